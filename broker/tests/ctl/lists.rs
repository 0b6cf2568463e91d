//! Clients, subscriptions and topics of a running broker, on two shards.

use crate::PATIENCE;
use crate::broker::Broker;
use crate::wire::{receive, send};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;

/// Properties of CONNECT.
const SESSION_EXPIRY_60: &[u8] = &[0x11, 0, 0, 0, 60];
const MAXIMUM_PACKET_SIZE_30: &[u8] = &[0x27, 0, 0, 0, 30];

/// All entries of a list, of however many pages.
pub(crate) fn list(broker: &Broker, asked: &[&str], name: &str) -> Vec<Value> {
    let told = broker.ctl(&[&["--json"], asked].concat());
    let pages = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    pages.flat_map(|page| page[name].as_array().expect("a list").clone()).collect()
}

fn show(broker: &Broker, client: &str) -> Value {
    serde_json::from_str(&broker.ctl(&["--json", "clients", "show", client])).expect("JSON")
}

pub(crate) fn subscribe(stream: &mut TcpStream, filter: &str, options: u8) {
    let length = u8::try_from(filter.len()).expect("short");
    send(stream, 0x82, &[&[0, 1, 0, 0, length], filter.as_bytes(), &[options]].concat());
    let (head, body) = receive(stream);
    assert!(head == 0x90 && body[3] <= 2, "{body:?}");
}

/// Publishes at QoS 1 and waits until that is acknowledged.
pub(crate) fn publish(stream: &mut TcpStream, topic: &str, payload: &[u8]) {
    let length = u8::try_from(topic.len()).expect("short");
    send(stream, 0x32, &[&[0, length], topic.as_bytes(), &[0, 1, 0], payload].concat());
    assert_eq!(receive(stream).0, 0x40);
}

#[test]
fn every_client_of_every_shard_is_listed_once() {
    let broker = Broker::start("clients", "");
    let clients: Vec<TcpStream> = (0..40).map(|number| broker.client(&format!("c{number:02}")).0).collect();
    let mut found: Vec<(String, u64)> = list(&broker, &["clients", "list"], "clients")
        .iter()
        .map(|row| (row["clientid"].as_str().expect("text").to_owned(), row["shard"].as_u64().expect("a number")))
        .collect();
    found.sort();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, (0..40).map(|number| format!("c{number:02}")).collect::<Vec<_>>());
    assert!([0, 1].iter().all(|shard| found.iter().any(|(_, on)| on == shard)), "both shards");
    let text = broker.ctl(&["clients", "list"]);
    let address = clients[7].local_addr().expect("connected");
    assert_eq!(text.lines().count(), 40);
    let line = text.lines().find(|line| line.starts_with("c07 ")).expect("one of them");
    assert!(line.starts_with(&format!("c07 {address} proto_ver=5 keepalive=0 ")), "{line}");
}

#[test]
fn one_client_is_shown_with_what_was_dropped_and_why() {
    let broker = Broker::start("show", "mqtt { max_mqueue_len = 1, max_inflight = 2 }");
    let mut publisher = broker.client("publisher").0;
    let mut narrow = broker.client_with("narrow", MAXIMUM_PACKET_SIZE_30).0;
    subscribe(&mut narrow, "t", 0);
    subscribe(&mut narrow, "u/+", 0);
    let mut away = broker.client_with("away", SESSION_EXPIRY_60).0;
    subscribe(&mut away, "t", 1);
    send(&mut away, 0xE0, &[]);
    assert_eq!(away.read(&mut [0; 1]).expect("the end"), 0);
    for payload in [&[b'x'; 40][..], b"small", b"small"] {
        publish(&mut publisher, "t", payload);
    }
    assert_eq!(receive(&mut narrow).0, 0x30);
    let shown = show(&broker, "narrow");
    let address = narrow.local_addr().expect("connected");
    for (field, expected) in [
        ("connected", Value::from(true)),
        ("ip_address", address.ip().to_string().into()),
        ("port", address.port().into()),
        ("proto_ver", 5.into()),
        ("subscriptions_cnt", 2.into()),
        ("inflight_max", 2.into()),
        ("send_msg.dropped.too_large", 1.into()),
        ("send_msg.dropped.queue_full", 0.into()),
    ] {
        assert_eq!(shown[field], expected, "{field} of {shown}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let age = now - u128::from(shown["connected_at"].as_u64().expect("a time"));
    assert!(age < 60_000, "connected {age} ms ago");
    // Its shard may have to hear of the last message yet.
    let by = Instant::now() + PATIENCE;
    let shown = loop {
        let shown = show(&broker, "away");
        if shown["send_msg.dropped.queue_full"] == 2 || Instant::now() > by {
            break shown;
        }
    };
    for (field, expected) in [
        ("connected", Value::from(false)),
        ("expiry_interval", 60.into()),
        ("mqueue_len", 1.into()),
        ("send_msg.dropped.queue_full", 2.into()),
        ("ip_address", Value::Null),
    ] {
        assert_eq!(shown[field], expected, "{field} of {shown}");
    }
    assert!(broker.ctl(&["clients", "show", "away"]).contains("\nmqueue_len: 1\n"));
    assert!(broker.refused(&["clients", "show", "nobody"]).contains("there is no client `nobody`"));
}

#[test]
fn a_kicked_client_is_told_and_its_session_is_gone() {
    let broker = Broker::start("kick", "");
    for number in 0..6 {
        let name = format!("c{number}");
        let mut client = broker.client_with(&name, SESSION_EXPIRY_60).0;
        if number % 2 == 0 {
            assert!(broker.ctl(&["clients", "kick", &name]).contains(&format!("kicked: {name}\n")));
            assert_eq!(receive(&mut client), (0xE0, vec![0x98]), "administrative action");
        } else {
            send(&mut client, 0xE0, &[]);
        }
        assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
        if number % 2 == 1 {
            // Not connected, but a session.
            broker.ctl(&["clients", "kick", &name]);
        }
        assert!(broker.refused(&["clients", "kick", &name]).contains("there is no client"));
    }
    assert!(list(&broker, &["clients", "list"], "clients").is_empty());
}

#[test]
fn subscriptions_and_topics_are_listed_as_clients_wrote_them() {
    let broker = Broker::start("subscriptions", "mqtt.exclusive_subscription = true");
    let mut clients: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("c{number}")).0).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        subscribe(client, "all/+", 1);
        subscribe(client, "$share/g/all/#", 2);
        subscribe(client, &format!("$exclusive/own/{number}"), 0b1101);
    }
    let rows = list(&broker, &["subscriptions", "list"], "subscriptions");
    assert_eq!(rows.len(), 24);
    let mut of_one = list(&broker, &["subscriptions", "list", "c3"], "subscriptions");
    of_one.sort_by_key(|row| row["topic"].as_str().map(str::to_owned));
    let expected = [
        r#"{"clientid":"c3","nl":1,"qos":1,"rap":1,"topic":"$exclusive/own/3"}"#,
        r#"{"clientid":"c3","nl":0,"qos":2,"rap":0,"topic":"$share/g/all/#"}"#,
        r#"{"clientid":"c3","nl":0,"qos":1,"rap":0,"topic":"all/+"}"#,
    ];
    assert_eq!(of_one.iter().map(Value::to_string).collect::<Vec<_>>(), expected);
    let text = broker.ctl(&["subscriptions", "list", "c3"]);
    assert!(text.contains("c3 -> $share/g/all/# qos=2 nl=0 rap=0\n"), "{text}");
    assert!(broker.refused(&["subscriptions", "list", "nobody"]).contains("there is no client"));

    let mut topics: BTreeMap<String, u64> = BTreeMap::new();
    for row in list(&broker, &["topics", "list"], "topics") {
        *topics.entry(row["topic"].as_str().expect("text").to_owned()).or_default() +=
            row["subscribers"].as_u64().expect("a number");
    }
    assert_eq!(topics.len(), 10);
    assert_eq!((topics["all/+"], topics["$share/g/all/#"], topics["own/5"]), (8, 8, 1));
    let tree = broker.ctl(&["topics", "tree"]);
    assert!(tree.contains("own filters=8 subscribers=8\n") && tree.contains(" subscribers=8\nall filters="), "{tree}");
    assert_eq!(broker.ctl(&["topics", "tree", "own"]).lines().count(), 8);
    assert_eq!(broker.ctl(&["topics", "tree", "own/5", "--depth", "3"]), "own/5 filters=1 subscribers=1\n");
}

#[test]
fn a_cursor_from_elsewhere_is_refused() {
    let broker = Broker::start("cursor", "");
    let answer = |cursor: &str| broker.say(&format!(r#"{{"v":1,"cmd":"clients.list","cursor":"{cursor}"}}"#));
    assert!(answer("0.0.0").contains(r#""ok":true,"result":{"clients":[]}"#), "{}", answer("0.0.0"));
    for wrong in ["2.0.0", "x", "0.0", ""] {
        assert!(answer(wrong).contains("is no cursor"), "{wrong}");
    }
}

#[test]
fn retained_messages_are_counted_listed_and_removed_on_every_shard() {
    let broker = Broker::start("retainer", "");
    let mut publisher = broker.client("publisher").0;
    let mut retain = |topic: &str| {
        let length = u8::try_from(topic.len()).expect("short");
        send(&mut publisher, 0x33, &[&[0, length], topic.as_bytes(), &[0, 1, 0], b"payload"].concat());
        assert_eq!(receive(&mut publisher).0, 0x40);
    };
    (0..12).for_each(|number| retain(&format!("a/{number}")));
    retain("b");
    retain("$c/d");
    assert_eq!(broker.ctl(&["retainer", "info"]), "retained: 14\n");
    let topics = |filter: &[&str]| list(&broker, &[&["retainer", "topics"], filter].concat(), "retained").len();
    assert_eq!((topics(&[]), topics(&["#"]), topics(&["a/+"]), topics(&["b"]), topics(&["c"])), (14, 13, 12, 1, 0));
    assert!(broker.ctl(&["retainer", "topics", "a/7"]).contains("a/7 qos=1 payload_bytes=7\n"));
    assert!(broker.refused(&["retainer", "clean", "a/#/b"]).contains("is no topic filter"));
    assert!(broker.refused(&["retainer", "clean", "$share/g/a"]).contains("it names a group"));
    assert!(broker.ctl(&["retainer", "clean", "a/#"]).contains("removed: 12\n"));
    let mut reader = broker.client("reader").0;
    subscribe(&mut reader, "#", 0);
    let (head, body) = receive(&mut reader);
    assert_eq!((head, &body[..3]), (0x31, &b"\x00\x01b"[..]), "the only one that is left for it");
    assert!(broker.ctl(&["retainer", "clean"]).contains("removed: 2\n"));
    assert_eq!(broker.ctl(&["retainer", "info"]), "retained: 0\n");
}

#[test]
fn listeners_and_rules_are_told() {
    let file = "rewrite = [{action = publish, source_topic = \"x/#\", re = \"^x/(.+)$\", \
                dest_topic = \"${clientid}/$1\"}, {action = subscribe, source_topic = \"y/#\", re = \"^y/(.+)$\", \
                dest_topic = \"z/$1\"}]";
    let broker = Broker::start("listeners-told", file);
    let listeners = broker.ctl(&["listeners", "list"]);
    let running = format!(
        " 127.0.0.1:{} running acceptors=2 zone=default connections=0 max_connections=infinity denied=0 turned_away=0\n",
        broker.port
    );
    assert!(listeners.starts_with("tcp:") && listeners.contains(&running), "{listeners}");
    let test = |asked: &[&str]| broker.ctl(&[&["rewrite", "test"], asked].concat());
    assert_eq!(test(&["publish", "x/y/z", "--clientid", "me"]), "rewritten: true\ntopic: me/y/z\n");
    assert_eq!(test(&["subscribe", "x/y/z", "--clientid", "me"]), "rewritten: false\ntopic: x/y/z\n");
    let delayed = test(&["publish", "$delayed/5/x/y", "--clientid", "me"]);
    assert_eq!(delayed, "rewritten: true\ntopic: $delayed/5/me/y\n");
    for (prefix, asked, told) in
        [("", "y/+", "z/+"), ("$share/g/", "y/#", "z/#"), ("$queue/", "y/1", "z/1"), ("$exclusive/", "y/1", "z/1")]
    {
        let answer = test(&["subscribe", &format!("{prefix}{asked}")]);
        assert_eq!(answer, format!("rewritten: true\ntopic: {prefix}{told}\n"));
    }
    assert!(broker.refused(&["rewrite", "test", "fly", "x"]).contains("is no action"));
}

#[test]
fn the_lag_of_a_group_is_what_its_members_have_not_acknowledged() {
    let broker =
        Broker::start("lag", "mqtt { max_inflight = 1, shared_subscription_strategy = round_robin_per_group }");
    let mut publisher = broker.client("publisher").0;
    let mut members: Vec<TcpStream> = (0..5).map(|number| broker.client(&format!("m{number}")).0).collect();
    for member in &mut members {
        subscribe(member, "$share/g/jobs/+", 1);
        subscribe(member, "news", 1);
    }
    for number in 0..10 {
        publish(&mut publisher, &format!("jobs/{number}"), b"x");
    }
    // What is in flight is of the group: other messages come by another way, and may be faster.
    assert!(members.iter_mut().all(|member| receive(member).0 == 0x32));
    publish(&mut publisher, "news", b"not of the group");
    let by = Instant::now() + PATIENCE;
    let lag = loop {
        let told = broker.ctl(&["--json", "subscriptions", "lag"]);
        let lag: Value = serde_json::from_str(&told).expect("JSON");
        // The last messages of the group may be on their way.
        if lag["groups"][0]["mqueue_len"] == 5 || Instant::now() > by {
            break lag;
        }
    };
    assert_eq!((lag["complete"].as_bool(), lag["groups"].as_array().map(Vec::len)), (Some(true), Some(1)), "{lag}");
    let group = &lag["groups"][0];
    assert_eq!(
        (&group["topic"], &group["mqueue_len"], &group["inflight_cnt"]),
        (&"$share/g/jobs/+".into(), &5.into(), &5.into())
    );
    let text = broker.ctl(&["subscriptions", "lag"]);
    assert!(text.starts_with("$share/g/jobs/+ members=5 mqueue=5 inflight=5\n  m"), "{text}");
    assert_eq!(text.lines().filter(|line| line.ends_with(" mqueue=1 inflight=1")).count(), 5, "{text}");
}

#[test]
fn a_group_can_have_a_strategy_of_its_own() {
    let broker = Broker::start("strategy", "broker.shared_subscription_group.one.strategy = hash_clientid");
    let mut publisher = broker.client("publisher").0;
    let members: Vec<TcpStream> = (0..4)
        .map(|number| {
            let mut member = broker.client(&format!("m{number}")).0;
            subscribe(&mut member, if number < 2 { "$share/one/t" } else { "$share/two/t" }, 1);
            member
        })
        .collect();
    let lag = |topic: &str| -> Vec<u64> {
        let told: Value = serde_json::from_str(&broker.ctl(&["--json", "subscriptions", "lag"])).expect("JSON");
        let group =
            told["groups"].as_array().expect("a list").iter().find(|group| group["topic"] == topic).expect("it");
        let members = group["members"].as_array().expect("a list");
        let mut counts: Vec<u64> = members.iter().map(|it| it["inflight_cnt"].as_u64().expect("a number")).collect();
        counts.sort_unstable();
        counts
    };
    let until = |expected: [u64; 2], topic: &str| {
        let by = Instant::now() + PATIENCE;
        while lag(topic) != expected {
            assert!(Instant::now() < by, "{topic}: {:?}", lag(topic));
        }
    };
    (0..10).for_each(|_| publish(&mut publisher, "t", b"x"));
    until([0, 10], "$share/one/t");
    until([5, 5], "$share/two/t");
    broker.ctl(&["conf", "set", "broker.shared_subscription_group.one.strategy", "round_robin_per_group"]);
    (0..10).for_each(|_| publish(&mut publisher, "t", b"x"));
    until([5, 15], "$share/one/t");
    drop(members);
}

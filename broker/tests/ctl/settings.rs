//! Settings changed while it runs.

use crate::broker::{Broker, pings, subscribe};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn a_setting_changes_for_everybody_at_once_and_outlives_the_broker() {
    let mut broker = Broker::start("set", "mqtt.max_topic_filters = 5\n");
    let mut clients: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("c{number}")).0).collect();
    assert!(clients.iter_mut().all(|client| subscribe(client, 5).is_some_and(|codes| codes.len() == 5)));
    let told = broker.ctl(&["conf", "set", "mqtt.max_topic_levels", "1"]);
    assert!(told.contains("mqtt.max_topic_levels = 1  # changed at run time, kept in "), "{told}");
    broker.ctl(&["conf", "set", "mqtt.max_topic_filters", "9"]);
    for client in &mut clients {
        assert!(pings(client), "nobody was dropped");
        assert_eq!(subscribe(client, 9).map(|codes| codes.len()), Some(9), "on every shard");
    }
    assert_eq!(std::fs::read_dir(broker.dir.join("data/configs")).expect("there").count(), 2, "and the one before");
    for restart in [Broker::restart, Broker::crash] {
        restart(&mut broker);
        let shown = broker.ctl(&["conf", "show", "mqtt.max_topic_filters"]);
        assert!(shown.starts_with("mqtt.max_topic_filters = 9  # ") && shown.contains("cluster.hocon:"), "{shown}");
        let mut client = broker.client("again").0;
        assert_eq!(subscribe(&mut client, 9).map(|codes| codes.len()), Some(9));
    }
}

#[test]
fn subscriptions_for_everybody_begin_with_the_next_client() {
    let mut broker = Broker::start("auto", "");
    let (mut before, _) = broker.client("before");
    let list = "[{topic = \"to/${clientid}\", qos = 1}]";
    let told = broker.ctl(&["conf", "set", "auto_subscribe.topics", list]);
    assert!(told.contains(&format!("auto_subscribe.topics = {list}  # changed at run time")), "{told}");
    for restarted in [false, true] {
        if restarted {
            broker.restart();
            before = broker.client("other").0;
        }
        let (mut after, _) = broker.client("after");
        // Answered once its subscriptions are there.
        assert!(pings(&mut after));
        before.write_all(b"\x30\x0b\x00\x08to/after\x00").expect("sent");
        let mut publish = [0; 13];
        after.read_exact(&mut publish).expect("a PUBLISH");
        assert_eq!(&publish, b"\x30\x0b\x00\x08to/after\x00");
    }
}

/// Publishes to `old/a` and gives the topic under which `#` gets that.
fn named(publisher: &mut TcpStream, subscriber: &mut TcpStream) -> String {
    publisher.write_all(b"\x30\x09\x00\x05old/a\x00x").expect("sent");
    let mut head = [0; 4];
    subscriber.read_exact(&mut head).expect("a PUBLISH");
    let mut rest = vec![0; usize::from(head[1]) - 2];
    subscriber.read_exact(&mut rest).expect("a PUBLISH");
    String::from_utf8(rest[..usize::from(head[3])].to_vec()).expect("text")
}

#[test]
fn rules_of_rewriting_change_on_all_shards_while_clients_publish() {
    let mut broker = Broker::start("rewrite", "");
    let (mut subscriber, _) = broker.client("subscriber");
    subscriber.write_all(b"\x82\x07\x00\x01\x00\x00\x01#\x00").expect("sent");
    subscriber.read_exact(&mut [0; 6]).expect("SUBACK");
    // Some of them live on either shard.
    let mut publishers: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("c{number}")).0).collect();
    let mut all_named = |broker: &Broker, expected: &dyn Fn(usize) -> String| {
        for (number, publisher) in publishers.iter_mut().enumerate() {
            assert_eq!(named(publisher, &mut subscriber), expected(number));
        }
        let tested = broker.ctl(&["rewrite", "test", "publish", "old/a", "--clientid", "c0"]);
        assert!(tested.contains(&expected(0)), "{tested}");
    };
    let rule = |dest: &str| {
        format!("[{{action = all, source_topic = \"old/#\", re = \"^old/(.+)$\", dest_topic = \"{dest}\"}}]")
    };
    all_named(&broker, &|_| "old/a".to_owned());
    broker.ctl(&["conf", "set", "rewrite", &rule("new/${clientid}/$1")]);
    all_named(&broker, &|number| format!("new/c{number}/a"));
    let refused = broker.refused(&["conf", "set", "rewrite", &rule("new/$2")]);
    assert!(refused.contains("has no group 2"), "{refused}");
    all_named(&broker, &|number| format!("new/c{number}/a"));
    broker.ctl(&["conf", "set", "rewrite", "[]"]);
    all_named(&broker, &|_| "old/a".to_owned());
    std::fs::remove_dir_all(broker.dir.join("data/configs")).expect("was kept");
    std::fs::write(broker.dir.join("r.conf"), format!("rewrite = {}\n", rule("file/$1"))).expect("a file");
    broker.signal("-HUP");
    assert!(broker.wait_for("read again").contains("1 changed"));
    all_named(&broker, &|_| "file/a".to_owned());
}

#[test]
fn what_cannot_change_is_refused_and_changes_nothing() {
    let broker = Broker::start("refuse", "mqtt.max_inflight = 5\n");
    let refused = |key: &str, value: &str| broker.refused(&["conf", "set", key, value]);
    let text = refused("mqtt.max_inflight", "many");
    assert!(text.contains("is not a whole number") && text.contains("allowed: an integer from 1 to 65535"), "{text}");
    assert!(refused("mqtt.max_inflght", "5").contains("did you mean mqtt.max_inflight?"));
    assert!(refused("ringmq.shards", "1").contains("cannot change while the broker runs"));
    assert!(refused("mqtt.max_packet_size", "1KB").contains("may only grow while the broker runs"));
    assert!(refused("mqtt", "{max_inflight = 4}").contains("is a group of keys"));
    assert!(refused("dashboard.x", "1").contains("a setting of EMQX that ringmq does not have"));
    assert!(!broker.dir.join("data/configs").exists());
    assert!(broker.ctl(&["conf", "show", "mqtt.max_inflight"]).contains("mqtt.max_inflight = 5  # r.conf:1:1\n"));
    assert!(broker.refused(&["conf", "show", "mqtt.nothing"]).contains("there is no key mqtt.nothing"));
}

#[test]
fn files_are_read_again_on_a_signal() {
    let mut broker = Broker::start("reload", "mqtt.max_inflight = 5\n");
    let (mut client, connack) = broker.client("one");
    let property = |connack: &[u8], code: u8| connack.iter().skip(3).any(|byte| *byte == code);
    assert!(!property(&connack, 0x13), "no server keep alive yet");
    std::fs::write(broker.dir.join("r.conf"), "mqtt { server_keepalive = 77 }\nringmq.spin = 0\n").expect("a file");
    broker.signal("-HUP");
    assert!(broker.wait_for("read again").contains("2 changed"));
    let connack = broker.client("two").1;
    assert!(connack.windows(3).any(|bytes| bytes == [0x13, 0, 77]), "{connack:?}");
    assert!(broker.ctl(&["conf", "show", "mqtt.max_inflight"]).contains("32  # default"));
    assert!(!broker.ctl(&["conf", "show", "ringmq.spin"]).contains("= 0 "), "waits for the next start");
    std::fs::write(broker.dir.join("r.conf"), "mqtt { server_keepalive = perhaps }\n").expect("a file");
    broker.signal("-HUP");
    broker.wait_for("configuration not changed");
    let text = broker.refused(&["conf", "reload"]);
    assert!(text.contains("--> r.conf:1:8"), "{text}");
    assert!(broker.ctl(&["conf", "show", "mqtt.server_keepalive"]).contains("= 77 "));
    assert!(pings(&mut client));
}

#[test]
fn a_file_is_loaded_on_all_shards_and_for_the_next_start() {
    let mut broker = Broker::start("load", "mqtt { max_topic_levels = 5, max_topic_filters = 2 }\n");
    let mut clients: Vec<TcpStream> = (0..6).map(|number| broker.client(&format!("c{number}")).0).collect();
    let load = |broker: &Broker, mode: &[&str], text: &str| {
        std::fs::write(broker.dir.join("more.conf"), text).expect("a file");
        broker.ctl(&[&["conf", "load"], mode, &["more.conf"]].concat())
    };
    let value = |broker: &Broker, key: &str| {
        let shown = broker.ctl(&["conf", "show", key]);
        shown.split(' ').nth(2).expect("a value").to_owned()
    };
    let told = load(&broker, &["--merge"], "mqtt.max_topic_filters = 9\n");
    assert!(told.starts_with("mqtt.max_topic_filters = 9  # changed at run time, kept in "), "{told}");
    for client in &mut clients {
        assert_eq!(subscribe(client, 9).map(|codes| codes.len()), Some(9), "on every shard");
    }
    assert_eq!(value(&broker, "mqtt.max_topic_levels"), "5", "what the file does not say stays");
    load(&broker, &["--replace"], "mqtt.max_topic_filters = 7\n");
    broker.restart();
    assert_eq!(["filters", "levels"].map(|what| value(&broker, &format!("mqtt.max_topic_{what}"))), ["7", "128"]);
    assert_eq!(subscribe(&mut broker.client("again").0, 7).map(|codes| codes.len()), Some(7));
    let json = |text: &str| {
        std::fs::write(broker.dir.join("more.conf"), text).expect("a file");
        let path = broker.dir.join("more.conf").display().to_string();
        broker.say(&format!(r#"{{"v":1,"cmd":"conf.load","path":"{path}","mode":"merge"}}"#))
    };
    let told = json("mqtt.max_topic_filters = 8\nringmq.spin = 0\ndashboard.x = 1\n");
    assert!(told.contains("ringmq.spin has changed, but cannot change while the broker runs"), "{told}");
    assert!(
        told.contains("not available yet: dashboard") && told.contains(r#""key":"mqtt.max_topic_filters","#),
        "{told}"
    );
    let kept = std::fs::read_to_string(broker.dir.join("data/configs/cluster.hocon")).expect("a file");
    assert!(kept.contains("spin = 0"), "{kept}");
    for (text, problem) in [
        ("mqtt.max_inflight = many", "is not a whole number"),
        ("node.name = \"a@b\"", "node cannot be loaded"),
        ("", "no settings"),
    ] {
        std::fs::write(broker.dir.join("more.conf"), text).expect("a file");
        let refused = broker.refused(&["conf", "load", "more.conf"]);
        assert!(refused.contains(problem), "{refused}");
    }
    assert!(broker.refused(&["conf", "load", "missing.conf"]).contains("missing.conf"));
    let after = std::fs::read_to_string(broker.dir.join("data/configs/cluster.hocon")).expect("a file");
    assert_eq!(after, kept, "what is refused changes nothing");
    let keys = broker.ctl(&["conf", "show_keys"]);
    assert!(keys.starts_with("alarm\nauto_subscribe\n") && keys.contains("\nmqtt\n"), "{keys}");
}

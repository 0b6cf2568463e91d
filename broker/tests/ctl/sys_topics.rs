//! What the broker publishes of itself below `$SYS`, as its clients see it, on two shards.

use crate::PATIENCE;
use crate::broker::Broker;
use crate::wire::receive;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

/// The next message of QoS 0 to a client of MQTT 5: its first byte, its topic, its payload.
fn message(stream: &mut TcpStream) -> (u8, String, String) {
    let (head, body) = receive(stream);
    assert_eq!(head & 0xF6, 0x30, "a message of QoS 0: {body:?}");
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    assert_eq!(body[2 + length], 0, "no properties");
    (head, text(&body[2..2 + length]), text(&body[3 + length..]))
}

fn subscribe(stream: &mut TcpStream, filter: &str) {
    let length = u8::try_from(filter.len()).expect("short");
    let body = [&[0, 1, 0, 0, length], filter.as_bytes(), &[0]].concat();
    stream.write_all(&[&[0x82, u8::try_from(body.len()).expect("short")], &body[..]].concat()).expect("sent");
    // Its own subscription may be told first.
    while receive(stream).0 != 0x90 {}
}

fn unsubscribe(stream: &mut TcpStream, filter: &str) {
    let length = u8::try_from(filter.len()).expect("short");
    let body = [&[0, 2, 0, 0, length], filter.as_bytes()].concat();
    stream.write_all(&[&[0xA2, u8::try_from(body.len()).expect("short")], &body[..]].concat()).expect("sent");
}

#[test]
fn facts_and_counters_are_published_to_every_shard_again_and_again() {
    let file = "sys_topics { sys_msg_interval = 1s, sys_heartbeat_interval = 1s }";
    let broker = Broker::start("sys", file);
    let mut clients: Vec<TcpStream> = (0..6).map(|number| broker.client(&format!("c{number}")).0).collect();
    clients.iter_mut().for_each(|client| subscribe(client, "$SYS/#"));
    let node = "$SYS/brokers/emqx@127.0.0.1";
    for client in &mut clients {
        let by = Instant::now() + PATIENCE;
        let mut seen = BTreeMap::new();
        // Shards publish their counters once a second.
        while seen.get(&format!("{node}/stats/connections/count")).is_none_or(|count| count != "6") {
            assert!(Instant::now() < by, "{seen:?}");
            let (_, topic, payload) = message(client);
            seen.insert(topic, payload);
        }
        // What was seen before is older than that.
        let packets = format!("{node}/metrics/packets/received");
        seen.remove(&packets);
        while !seen.contains_key(&packets)
            || !seen.contains_key(&format!("{node}/metrics/bytes/sent"))
            || !seen.contains_key(&format!("{node}/uptime"))
        {
            let (_, topic, payload) = message(client);
            seen.insert(topic, payload);
        }
        assert_eq!(seen["$SYS/brokers"], "emqx@127.0.0.1");
        assert_eq!(seen[&format!("{node}/version")], env!("CARGO_PKG_VERSION"));
        assert_eq!(seen[&format!("{node}/sysdescr")], "ringmq");
        assert!(seen[&format!("{node}/uptime")].parse::<u64>().expect("milliseconds") >= 1000);
        assert!(seen[&format!("{node}/datetime")].ends_with("+00:00"));
        let received = seen[&packets].parse::<u64>().expect("a number");
        assert!(received >= 12, "{received} packets");
    }
    let mut late = broker.client("late").0;
    subscribe(&mut late, "$SYS/brokers/+/version");
    let (head, topic, _) = message(&mut late);
    assert_eq!((head, topic), (0x31, format!("{node}/version")), "retained");
}

#[test]
fn clients_that_come_and_go_are_told_of() {
    let broker = Broker::start("events", "node.name = \"n1@h\"");
    // On whichever shard each of them lives.
    let mut listeners: Vec<TcpStream> = (0..4).map(|number| broker.client(&format!("l{number}")).0).collect();
    listeners.iter_mut().for_each(|listener| subscribe(listener, "$SYS/brokers/+/clients/c/+"));
    let mut client = TcpStream::connect(("127.0.0.1", broker.port)).expect("accepted");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    client.write_all(b"\x10\x10\0\x04MQTT\x04\x82\0\x3C\0\x01c\0\x01u").expect("sent");
    assert_eq!(receive(&mut client).0, 0x20);
    let address = client.local_addr().expect("connected");
    subscribe_v3(&mut client);
    broker.ctl(&["clients", "kick", "c"]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    for listener in &mut listeners {
        let (_, topic, payload) = message(listener);
        assert_eq!(topic, "$SYS/brokers/n1@h/clients/c/connected");
        let told: Value = serde_json::from_str(&payload).expect("JSON");
        for (field, expected) in [
            ("clientid", Value::from("c")),
            ("username", "u".into()),
            ("ipaddress", address.ip().to_string().into()),
            ("sockport", broker.port.into()),
            ("protocol", "mqtt".into()),
            ("proto_name", "MQTT".into()),
            ("proto_ver", 4.into()),
            ("keepalive", 60.into()),
            ("clean_start", true.into()),
            ("expiry_interval", 0.into()),
        ] {
            assert_eq!(told[field], expected, "{field} of {told}");
        }
        let age = now - u128::from(told["ts"].as_u64().expect("a time"));
        assert!(age < 60_000, "told {age} ms ago");
        let (_, topic, payload) = message(listener);
        assert_eq!(topic, "$SYS/brokers/n1@h/clients/c/disconnected", "subscriptions are not told");
        let told: Value = serde_json::from_str(&payload).expect("JSON");
        assert_eq!((&told["reason"], &told["username"]), (&Value::from("kicked"), &Value::from("u")));
        assert!(told["disconnected_at"].as_u64() >= told["connected_at"].as_u64());
    }
}

/// Subscribes a client of MQTT 3.1.1 to `t`.
fn subscribe_v3(stream: &mut TcpStream) {
    stream.write_all(b"\x82\x06\0\x01\0\x01t\0").expect("sent");
    assert_eq!(receive(stream).0, 0x90);
}

#[test]
fn subscriptions_are_told_if_that_is_wanted_and_connections_are_not_if_it_is_not() {
    let file = "sys_topics.sys_event_messages { client_connected = false, client_disconnected = false, \
                client_subscribed = true, client_unsubscribed = true }";
    let broker = Broker::start("told", file);
    let mut listener = broker.client("listener").0;
    subscribe(&mut listener, "$SYS/brokers/+/clients/c/#");
    let mut client = broker.client("c").0;
    subscribe(&mut client, "$share/g/a/+");
    unsubscribe(&mut client, "$share/g/a/+");
    unsubscribe(&mut client, "never");
    unsubscribe(&mut client, "$share/g/a/+");
    subscribe(&mut client, "b");
    let events: Vec<(String, Value)> = (0..3)
        .map(|_| {
            let (_, topic, payload) = message(&mut listener);
            let event = topic.strip_prefix("$SYS/brokers/emqx@127.0.0.1/clients/c/").expect("an event").to_owned();
            (event, serde_json::from_str(&payload).expect("JSON"))
        })
        .collect();
    let told: Vec<(&str, &str)> =
        events.iter().map(|(event, told)| (event.as_str(), told["topic"].as_str().expect("a filter"))).collect();
    assert_eq!(told, [("subscribed", "$share/g/a/+"), ("unsubscribed", "$share/g/a/+"), ("subscribed", "b")]);
    assert_eq!(events[0].1["subopts"], serde_json::json!({ "qos": 0, "nl": 0, "rap": 0, "rh": 0 }));
    assert_eq!(events[0].1["username"], "undefined");
}

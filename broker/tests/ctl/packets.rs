//! Counters of the real program move by exactly what clients do and are told, on two shards.

use crate::PATIENCE;
use crate::broker::Broker;
use crate::wire::{expect, publish, receive, rest, send, subscribe};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

/// Those that are looked at: what clients do. Others depend on time, and on which shard a client lives on.
const GROUPS: [&str; 7] =
    ["authentication.", "bytes.received", "client.", "delivery.", "messages.", "packets.", "session."];
const BY_PLACE: [&str; 3] = ["client.handed_over", "messages.forward", "messages.forwarded_in_vain"];

/// The counters of those groups that are not zero.
fn counters(broker: &Broker) -> BTreeMap<String, u64> {
    let rows: Vec<Value> = serde_json::from_str(&broker.ctl(&["--json", "metrics"])).expect("JSON");
    let row = |row: &Value| (row["name"].as_str().expect("a name").to_owned(), row["sum"].as_u64().expect("a number"));
    let meant = |name: &str| GROUPS.iter().any(|group| name.starts_with(group)) && !BY_PLACE.contains(&name);
    rows.iter().map(row).filter(|(name, sum)| meant(name) && *sum > 0).collect()
}

/// Waits until these counters have these values and all others are zero: shards publish theirs once a second.
fn await_counters(broker: &Broker, expected: &[(&str, u64)]) {
    let expected: BTreeMap<String, u64> = expected.iter().map(|(name, sum)| ((*name).to_owned(), *sum)).collect();
    let by = Instant::now() + PATIENCE;
    let mut found = counters(broker);
    while found != expected && Instant::now() < by {
        found = counters(broker);
    }
    let names = found.keys().chain(expected.keys());
    let wrong: BTreeMap<_, _> = names
        .filter(|name| found.get(*name) != expected.get(*name))
        .map(|name| (name, (found.get(name), expected.get(name))))
        .collect();
    assert!(wrong.is_empty(), "counted, and what was to be: {wrong:?}");
}

/// A connection that has sent these bytes.
fn raw(broker: &Broker, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port)).expect("accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(bytes).expect("sent");
    stream
}

#[test]
fn an_ordinary_day_is_counted_packet_by_packet() {
    let broker = Broker::start("packets", "");
    let mut sub = broker.client("sub").0;
    assert_eq!((subscribe(&mut sub, "t", 2), subscribe(&mut sub, "t/#/x", 0)), (2, 0x8F));
    send(&mut sub, 0xA2, &[0, 3, 0, 0, 1, b'u']);
    expect(&mut sub, 0xB0, &[0, 3, 0, 0x11]);
    send(&mut sub, 0xC0, &[]);
    expect(&mut sub, 0xD0, &[]);

    let mut publisher = broker.client("pub").0;
    publish(&mut publisher, 0x30, "t", 0, b"0");
    expect(&mut sub, 0x30, b"\0\x01t\x000");
    publish(&mut publisher, 0x32, "t", 1, b"1");
    expect(&mut publisher, 0x40, &[0, 1]);
    expect(&mut sub, 0x32, b"\0\x01t\0\x01\x001");
    send(&mut sub, 0x40, &[0, 1]);
    publish(&mut publisher, 0x34, "t", 2, b"2");
    expect(&mut publisher, 0x50, &[0, 2]);
    send(&mut publisher, 0x62, &[0, 2]);
    expect(&mut publisher, 0x70, &[0, 2]);
    expect(&mut sub, 0x34, b"\0\x01t\0\x02\x002");
    send(&mut sub, 0x50, &[0, 2]);
    expect(&mut sub, 0x62, &[0, 2]);
    send(&mut sub, 0x70, &[0, 2]);
    publish(&mut publisher, 0x32, "nobody", 3, b"");
    expect(&mut publisher, 0x40, &[0, 3, 0x10]);
    send(&mut publisher, 0xE0, &[]);
    assert!(rest(&mut publisher).is_empty());

    let mut mortal = raw(&broker, b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01m\0\x01t\0\x01w");
    expect(&mut mortal, 0x20, &[0, 0]);
    drop(mortal);
    expect(&mut sub, 0x30, b"\0\x01t\0w");
    assert_eq!(rest(&mut raw(&broker, b"\x10\x0C\0\x04MQTT\x04\0\0\0\0\0")), [0x20, 2, 0, 2]);
    broker.ctl(&["clients", "kick", "sub"]);
    assert_eq!(rest(&mut sub), [0xE0, 1, 0x98]);

    let expected = [
        ("authentication.success", 3),
        ("authentication.success.anonymous", 3),
        ("bytes.received", 62 + 62 + 21 + 14),
        ("client.auth.anonymous", 3),
        ("client.connack", 4),
        ("client.connect", 3),
        ("client.connected", 3),
        ("client.disconnected", 3),
        ("client.kicked", 1),
        ("client.refused", 1),
        ("client.subscribe", 2),
        ("client.unsubscribe", 1),
        ("messages.acked", 2),
        ("messages.delivered", 4),
        ("messages.dropped", 1),
        ("messages.dropped.no_subscribers", 1),
        ("messages.publish", 5),
        ("messages.qos0.received", 1),
        ("messages.qos0.sent", 2),
        ("messages.qos1.received", 2),
        ("messages.qos1.sent", 1),
        ("messages.qos2.received", 1),
        ("messages.qos2.sent", 1),
        ("messages.received", 4),
        ("messages.sent", 4),
        ("messages.will", 1),
        ("packets.connack.error", 1),
        ("packets.connack.sent", 4),
        ("packets.connect.received", 4),
        ("packets.disconnect.received", 1),
        ("packets.disconnect.sent", 1),
        ("packets.pingreq.received", 1),
        ("packets.pingresp.sent", 1),
        ("packets.puback.received", 1),
        ("packets.puback.sent", 2),
        ("packets.pubcomp.received", 1),
        ("packets.pubcomp.sent", 1),
        ("packets.publish.received", 4),
        ("packets.publish.sent", 4),
        ("packets.pubrec.received", 1),
        ("packets.pubrec.sent", 1),
        ("packets.pubrel.received", 1),
        ("packets.pubrel.sent", 1),
        ("packets.received", 17),
        ("packets.sent", 18),
        ("packets.suback.sent", 2),
        ("packets.subscribe.error", 1),
        ("packets.subscribe.received", 2),
        ("packets.unsuback.sent", 1),
        ("packets.unsubscribe.received", 1),
        ("session.created", 3),
        ("session.terminated", 3),
    ];
    await_counters(&broker, &expected);
}

/// What clients do wrong, and deliveries that are left out.
#[test]
fn a_bad_day_is_counted_by_what_went_wrong() {
    let broker = Broker::start("errors", "mqtt { max_awaiting_rel = 1, max_topic_filters = 1 }");
    let mut odd = broker.client("odd").0;
    publish(&mut odd, 0x34, "nobody", 1, b"");
    expect(&mut odd, 0x50, &[0, 1, 0x10]);
    // A repetition, and another message under the same identifier.
    publish(&mut odd, 0x3C, "nobody", 1, b"");
    expect(&mut odd, 0x50, &[0, 1]);
    publish(&mut odd, 0x34, "nobody", 1, b"");
    expect(&mut odd, 0x50, &[0, 1, 0x91]);
    // Acknowledgements of nothing.
    send(&mut odd, 0x62, &[0, 9]);
    expect(&mut odd, 0x70, &[0, 9, 0x92]);
    send(&mut odd, 0x40, &[0, 9]);
    send(&mut odd, 0x70, &[0, 9]);
    send(&mut odd, 0x50, &[0, 9]);
    expect(&mut odd, 0x62, &[0, 9, 0x92]);
    // One more than may wait for PUBREL.
    publish(&mut odd, 0x34, "nobody", 2, b"");
    assert_eq!(rest(&mut odd), [0xE0, 1, 0x93]);

    // PUBLISH of QoS 3, AUTH without a method, a filter too many in SUBSCRIBE and in UNSUBSCRIBE.
    for (name, head, body, answer) in [
        ("a", 0x36, &b"\0\x01t\0\x01\0"[..], &[0xE0, 1, 0x81][..]),
        ("b", 0xF0, &b""[..], &[0xE0, 1, 0x82][..]),
        ("c", 0x82, &b"\0\x01\0\0\x01a\0\0\x01b\0"[..], &[0xE0, 1, 0x97][..]),
        ("d", 0xA2, &b"\0\x01\0\0\x01a\0\x01b"[..], &[0xE0, 1, 0x97][..]),
    ] {
        let mut client = broker.client(name).0;
        send(&mut client, head, body);
        assert_eq!(rest(&mut client), answer, "{name}");
    }
    let mut own = broker.client("own").0;
    send(&mut own, 0xA2, &[&[0, 1, 0, 0, 5][..], b"t/#/x"].concat());
    expect(&mut own, 0xB0, &[0, 1, 0, 0x8F]);
    // With No Local, and for a client that takes packets of 30 bytes.
    assert_eq!(subscribe(&mut own, "d", 4), 0);
    let mut narrow = broker.client_with("narrow", &[0x27, 0, 0, 0, 30]).0;
    assert_eq!(subscribe(&mut narrow, "d", 0), 0);
    publish(&mut own, 0x30, "d", 0, &[b'x'; 40]);
    // A message that fits comes behind it.
    publish(&mut own, 0x30, "d", 0, b"y");
    expect(&mut narrow, 0x30, b"\0\x01d\0y");
    // One that waits for PUBACK, and one that waits for PUBREC.
    assert_eq!(subscribe(&mut narrow, "e", 2), 2);
    publish(&mut narrow, 0x32, "e", 1, b"");
    let mut seen = [receive(&mut narrow).0, receive(&mut narrow).0];
    seen.sort_unstable();
    assert_eq!(seen, [0x32, 0x40]);
    publish(&mut narrow, 0x34, "e", 1, b"");
    let mut seen = [receive(&mut narrow).0, receive(&mut narrow).0];
    seen.sort_unstable();
    assert_eq!(seen, [0x34, 0x50]);
    send(&mut narrow, 0x70, &[0, 1]);
    send(&mut narrow, 0x40, &[0, 2]);
    send(&mut narrow, 0x50, &[0, 1]);
    expect(&mut narrow, 0x62, &[0, 1, 0x92]);

    let expected = [
        ("authentication.success", 7),
        ("authentication.success.anonymous", 7),
        ("bytes.received", 86 + 24 + 18 + 29 + 27 + 92 + 72),
        ("client.auth.anonymous", 7),
        ("client.connack", 7),
        ("client.connect", 7),
        ("client.connected", 7),
        ("client.disconnected", 5),
        ("client.subscribe", 3),
        ("client.unsubscribe", 1),
        ("delivery.dropped", 3),
        ("delivery.dropped.no_local", 2),
        ("delivery.dropped.too_large", 1),
        ("messages.delivered", 3),
        ("messages.dropped", 1),
        ("messages.dropped.no_subscribers", 1),
        ("messages.publish", 5),
        ("messages.qos0.received", 2),
        ("messages.qos0.sent", 1),
        ("messages.qos1.received", 1),
        ("messages.qos1.sent", 1),
        ("messages.qos2.received", 2),
        ("messages.qos2.sent", 1),
        ("messages.received", 5),
        ("messages.sent", 3),
        ("packets.auth.received", 1),
        ("packets.connack.sent", 7),
        ("packets.connect.received", 7),
        ("packets.disconnect.sent", 5),
        ("packets.malformed", 1),
        ("packets.protocol_error", 4),
        ("packets.puback.inuse", 1),
        ("packets.puback.missed", 1),
        ("packets.puback.received", 2),
        ("packets.puback.sent", 1),
        ("packets.pubcomp.inuse", 1),
        ("packets.pubcomp.missed", 1),
        ("packets.pubcomp.received", 2),
        ("packets.pubcomp.sent", 1),
        ("packets.publish.dropped", 1),
        ("packets.publish.error", 2),
        ("packets.publish.inuse", 2),
        ("packets.publish.quota_exceeded", 1),
        ("packets.publish.received", 9),
        ("packets.publish.sent", 3),
        ("packets.pubrec.inuse", 1),
        ("packets.pubrec.missed", 1),
        ("packets.pubrec.received", 2),
        ("packets.pubrec.sent", 4),
        ("packets.pubrel.missed", 1),
        ("packets.pubrel.received", 1),
        ("packets.pubrel.sent", 2),
        ("packets.received", 30),
        ("packets.sent", 27),
        ("packets.suback.sent", 3),
        ("packets.subscribe.error", 1),
        ("packets.subscribe.received", 4),
        ("packets.unsuback.sent", 1),
        ("packets.unsubscribe.error", 2),
        ("packets.unsubscribe.received", 2),
        ("session.created", 7),
        ("session.terminated", 5),
    ];
    await_counters(&broker, &expected);
}

//! Every counter that the program declares is moved by something: two brokers are led through all that they count.
//!
//! A counter that is new has to be moved here, or its reason to stay at zero be given in [`UNMOVED`].

use crate::PATIENCE;
use crate::broker::Broker;
use crate::wire::{receive, rest, send};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Counters that nothing here moves, and why. What begins with `driver.` is tested with the drivers.
const UNMOVED: [(&str, &str); 18] = [
    ("client.force_shutdown", LIMITS),
    ("client.held_back", LIMITS),
    ("client.held_back.in_vain", LIMITS),
    ("client.limited.paused", LIMITS),
    ("client.limited.rejected", LIMITS),
    ("client.queue_full", LIMITS),
    ("connections.held_back.count", LIMITS),
    ("messages.dropped.limited", LIMITS),
    ("messages.queue.dropped", QUEUES),
    ("messages.queue.expired", QUEUES),
    ("messages.queue.received", QUEUES),
    ("messages.queue.replaced", QUEUES),
    ("messages.queue.returned", QUEUES),
    ("messages.queue.settled", QUEUES),
    ("overload_protection.delay.ok", "needs a shard that is late while it replays; moved in the shard's own tests"),
    ("overload_protection.new_conn", LIMITS),
    ("packets.auth.sent", "needs a method of authentication, of which there is none; moved in the shard's own tests"),
    ("queues.messages.count", QUEUES),
];

const QUEUES: &str = "needs a message queue, and every broker has none; moved in queues.rs";

const LIMITS: &str = "needs limits that would be in the way here; moved in limits.rs";

const FILE: &str = "mqtt { idle_timeout = 1s, max_awaiting_rel = 1, await_rel_timeout = 1s, max_mqueue_len = 1, \
                    mqueue_store_qos0 = false, max_packet_size = 4MB }\n\
                    sysmon.vm.long_schedule = 50ms\n\
                    retainer.max_payload_size = 10B\n\
                    listeners.tcp.default.tcp_options.send_timeout = 1s\n";

const SESSION_EXPIRY_60: &[u8] = &[0x11, 0, 0, 0, 60];
const MAXIMUM_PACKET_SIZE_30: &[u8] = &[0x27, 0, 0, 0, 30];

/// The names of all counters, and of those that are not zero.
fn counters(broker: &Broker) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut moved) = (BTreeSet::new(), BTreeSet::new());
    for group in ["metrics", "stats"] {
        let rows: Vec<Value> = serde_json::from_str(&broker.ctl(&["--json", group])).expect("JSON");
        for row in rows {
            let name = row["name"].as_str().expect("a name").to_owned();
            if name.starts_with("driver.") {
                continue;
            }
            if row["sum"].as_u64().is_some_and(|sum| sum > 0) {
                moved.insert(name.clone());
            }
            all.insert(name);
        }
    }
    (all, moved)
}

/// Reads packets up to one that begins with this byte.
fn receive_until(stream: &mut TcpStream, head: u8) {
    while receive(stream).0 != head {}
}

fn await_end(stream: &mut TcpStream) {
    let _ = rest(stream);
}

fn subscribe(stream: &mut TcpStream, filter: &str, options: u8) {
    let length = u8::try_from(filter.len()).expect("short");
    send(stream, 0x82, &[&[0, 1, 0, 0, length], filter.as_bytes(), &[options]].concat());
    receive_until(stream, 0x90);
}

/// Publishes with this first byte, and waits for the answer to QoS 1 and 2; for QoS 0 for that to a ping.
fn publish(stream: &mut TcpStream, head: u8, topic: &str, packet_id: u8, properties: &[u8], payload: &[u8]) {
    let length = u8::try_from(topic.len()).expect("short");
    let id: &[u8] = if head & 6 == 0 { &[] } else { &[0, packet_id] };
    let properties = [&[u8::try_from(properties.len()).expect("short")], properties].concat();
    send(stream, head, &[&[0, length], topic.as_bytes(), id, &properties, payload].concat());
    match head & 6 {
        0 => {
            send(stream, 0xC0, &[]);
            receive_until(stream, 0xD0);
        }
        2 => receive_until(stream, 0x40),
        _ => receive_until(stream, 0x50),
    }
}

/// A connection that has sent these bytes.
fn raw(broker: &Broker, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port)).expect("accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(bytes).expect("sent");
    stream
}

#[test]
fn every_counter_is_moved_by_something() {
    let broker = Broker::start("counters", FILE);
    // There to the end, for the gauges.
    let (mut held, _) = broker.client("held");
    subscribe(&mut held, "held", 0);
    subscribe(&mut held, "$share/g/held/too", 0);
    let mut silent = [raw(&broker, b""), raw(&broker, b"\x10\x0D\0\x04MQTT\x04\x02\0\x01\0\x01s")];
    pause(&broker);
    connections(&broker);
    messages(&broker);
    handshakes(&broker);
    leave_what_expires(&broker);
    // That takes longer than a second, so it has expired afterwards.
    acknowledgements(&broker);
    find_what_has_expired(&broker);
    drops(&broker);
    let _slow = slow_reader(&broker);
    silent.iter_mut().for_each(await_end);
    // Those that time passes for, and what has not reached its shard yet.
    let by = Instant::now() + PATIENCE;
    let (all, mut moved) = counters(&broker);
    let mut limited = rate_limited();
    // A gauge of moments, which `alarms` waits for with a client that stays congested.
    limited.extend([
        "connections.congested.count".to_owned(),
        "connections.congested.max".to_owned(),
        "connections.held_back.max".to_owned(),
    ]);
    let unmoved = |moved: &BTreeSet<String>| -> Vec<String> {
        // The most that a gauge has been moves with it.
        let gauge = |name: &str| name.strip_suffix(".max").map_or(name.to_owned(), |name| format!("{name}.count"));
        let excused = |name: &String| UNMOVED.iter().any(|(known, _)| *known == gauge(name));
        all.iter()
            .filter(|name| !moved.contains(*name) && !limited.contains(*name) && !excused(name))
            .cloned()
            .collect()
    };
    while !unmoved(&moved).is_empty() {
        assert!(Instant::now() < by, "move these here, or say in UNMOVED why they stay at zero: {:?}", unmoved(&moved));
        moved.extend(counters(&broker).1);
    }
    for (name, why) in UNMOVED {
        assert!(all.contains(name), "{name} does not exist any more");
        assert!(!moved.contains(name), "{name} is moved after all; it was said: {why}");
    }
}

/// What a broker counts that lets an address connect once a second, and wants to hear from a proxy which it is.
fn rate_limited() -> BTreeSet<String> {
    let settings = "listeners.tcp.default { max_conn_rate_per_ip = \"1/s\", proxy_protocol = true }\n";
    let broker = Broker::start("limited", settings);
    let by = Instant::now() + PATIENCE;
    loop {
        let held: Vec<TcpStream> = (0..8).map(|_| raw(&broker, b"PROXY UNKNOWN\r\n")).collect();
        await_end(&mut raw(&broker, b"anybody"));
        let moved = counters(&broker).1;
        if ["client.rate_limited", "client.proxy_protocol_error"].iter().all(|name| moved.contains(*name)) {
            return moved;
        }
        assert!(Instant::now() < by, "{} connections: {moved:?}", held.len());
    }
}

/// Stops the broker for longer than it may be late.
fn pause(broker: &Broker) {
    // All shards answer, and so each has an appointment.
    broker.ctl(&["clients", "list"]);
    broker.freeze();
    let mut waiting = TcpStream::connect(("127.0.0.1", broker.port)).expect("in the backlog");
    waiting.set_read_timeout(Some(Duration::from_millis(1200))).expect("a socket");
    let came = waiting.read(&mut [0]);
    broker.signal("-CONT");
    assert!(came.is_err(), "nobody answers: {came:?}");
}

/// Sessions that come, are taken over, resumed, discarded and ended; connections that are refused.
fn connections(broker: &Broker) {
    drop((0..8).map(|number| broker.client(&format!("many{number}"))).collect::<Vec<_>>());
    let (first, _) = broker.client("twice");
    let (second, _) = broker.client("twice");
    broker.ctl(&["clients", "kick", "twice"]);
    drop((first, second));
    // Kept, resumed, and discarded by a clean start.
    let kept = |flags: u8| {
        let head = [&b"\x10\x13\0\x04MQTT\x05"[..], &[flags]].concat();
        let mut stream = raw(broker, &[&head[..], b"\0\0\x05", SESSION_EXPIRY_60, b"\0\x01k"].concat());
        receive_until(&mut stream, 0x20);
        send(&mut stream, 0xE0, &[]);
        await_end(&mut stream);
    };
    [2, 0, 2].into_iter().for_each(kept);
    await_end(&mut raw(broker, b"\x10\x0C\0\x04MQTT\x04\x00\0\0\0\0"));
    broker.ctl(&["banned", "add", "clientid", "outlaw"]);
    await_end(&mut raw(broker, b"\x10\x12\0\x04MQTT\x04\x02\0\0\0\x06outlaw"));
    let (mut stranger, _) = broker.client("stranger");
    send(&mut stranger, 0xD0, &[]);
    await_end(&mut stranger);
    let (mut stranger, _) = broker.client("stranger");
    send(&mut stranger, 0x36, &[0, 1, b'a', 0, 1, 0]);
    await_end(&mut stranger);
    let (mut stranger, _) = broker.client("stranger");
    send(&mut stranger, 0xF0, &[]);
    await_end(&mut stranger);
    let mut mortal = raw(broker, b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01m\0\x01t\0\x01w");
    receive_until(&mut mortal, 0x20);
}

/// Messages of every QoS in and out, to other shards, retained, delayed, and to nobody.
fn messages(broker: &Broker) {
    let mut readers: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("r{number}")).0).collect();
    for reader in &mut readers {
        subscribe(reader, "m", 2);
        subscribe(reader, "x/+/y", 0);
    }
    let mut writers: Vec<TcpStream> = (0..4).map(|number| broker.client(&format!("w{number}")).0).collect();
    for writer in &mut writers {
        publish(writer, 0x30, "m", 0, &[], b"0");
        publish(writer, 0x32, "m", 1, &[], b"1");
        publish(writer, 0x34, "m", 2, &[], b"2");
        send(writer, 0x62, &[0, 2]);
        receive_until(writer, 0x70);
        // The level before the wildcard is known to other shards, and nothing else.
        publish(writer, 0x30, "x/1/z", 0, &[], b"");
        publish(writer, 0x33, "kept", 3, &[], b"kept");
        publish(writer, 0x33, "kept", 4, &[], b"larger than ten");
        publish(writer, 0x32, "$delayed/600/later", 5, &[], b"");
        publish(writer, 0x32, "$delayed/soon/never", 6, &[], b"");
        publish(writer, 0x30, "nobody/wants/this", 0, &[], b"");
        // More than a shard may have waiting for another one.
        publish(writer, 0x32, "x/1/z", 7, &[], &vec![b'x'; 2 * 1024 * 1024]);
    }
    for reader in &mut readers {
        receive_until(reader, 0x32);
        send(reader, 0x40, &[0, 1]);
    }
    // Gauges are published once a second.
    let by = Instant::now() + PATIENCE;
    while !counters(broker).1.contains("messages.acked") {
        assert!(Instant::now() < by, "{:?}", counters(broker).1);
    }
}

/// Deliveries acknowledged in the wrong way and in the right one; filters that are none.
fn handshakes(broker: &Broker) {
    // Its own subscriber, so that a delivery comes before the acknowledgement.
    let (mut echo, _) = broker.client("echo");
    subscribe(&mut echo, "echo", 2);
    subscribe(&mut echo, "echo/#/x", 2);
    send(&mut echo, 0xA2, &[&[0, 1, 0, 0, 8][..], b"echo/#/x"].concat());
    receive_until(&mut echo, 0xB0);
    publish(&mut echo, 0x32, "echo", 1, &[], b"");
    // The first waits for PUBACK.
    send(&mut echo, 0x50, &[0, 1]);
    receive_until(&mut echo, 0x62);
    send(&mut echo, 0x70, &[0, 1]);
    send(&mut echo, 0x40, &[0, 1]);
    publish(&mut echo, 0x34, "echo", 2, &[], b"");
    // The second waits for PUBREC.
    send(&mut echo, 0x40, &[0, 2]);
    send(&mut echo, 0x50, &[0, 2]);
    receive_until(&mut echo, 0x62);
    send(&mut echo, 0x70, &[0, 2]);
    send(&mut echo, 0xC0, &[]);
    receive_until(&mut echo, 0xD0);
}

/// Queues a message for a client that is away; it expires within a second.
fn leave_what_expires(broker: &Broker) {
    let (mut late, _) = broker.client_with("late", SESSION_EXPIRY_60);
    subscribe(&mut late, "e", 1);
    send(&mut late, 0xE0, &[]);
    await_end(&mut late);
    let (mut writer, _) = broker.client("hasty");
    publish(&mut writer, 0x32, "e", 1, &[2, 0, 0, 0, 1], b"");
}

/// The client is back.
fn find_what_has_expired(broker: &Broker) {
    let mut back = raw(broker, b"");
    send(&mut back, 0x10, &[&b"\0\x04MQTT\x05\x00\0\0\x05"[..], SESSION_EXPIRY_60, b"\0\x04late"].concat());
    receive_until(&mut back, 0x20);
}

/// Acknowledgements of what was never sent, and QoS 2 that is never released.
fn acknowledgements(broker: &Broker) {
    let (mut client, _) = broker.client("odd");
    for (head, answered) in [(0x40, false), (0x50, false), (0x62, true), (0x70, false)] {
        send(&mut client, head, &[0, 9]);
        if answered {
            receive_until(&mut client, 0x70);
        }
    }
    publish(&mut client, 0x34, "m", 1, &[], b"");
    publish(&mut client, 0x34, "m", 1, &[], b"");
    send(&mut client, 0x34, &[0, 1, b'm', 0, 2, 0]);
    await_end(&mut client);
    // Its connection goes on until the message is given up.
    let (mut client, _) = broker.client("unreleased");
    publish(&mut client, 0x34, "m", 1, &[], b"");
    let by = Instant::now() + PATIENCE;
    while !counters(broker).1.contains("messages.dropped.await_pubrel_timeout") {
        assert!(Instant::now() < by, "{:?}", counters(broker).1);
    }
}

/// Messages that do not reach a client, for every reason.
fn drops(broker: &Broker) {
    let (mut writer, _) = broker.client("writer");
    let (mut narrow, _) = broker.client_with("narrow", MAXIMUM_PACKET_SIZE_30);
    subscribe(&mut narrow, "d", 0);
    let (mut own, _) = broker.client("own");
    subscribe(&mut own, "d", 4);
    publish(&mut own, 0x30, "d", 0, &[], &[b'x'; 40]);
    let (mut away, _) = broker.client_with("away", SESSION_EXPIRY_60);
    subscribe(&mut away, "d", 1);
    send(&mut away, 0xE0, &[]);
    await_end(&mut away);
    publish(&mut writer, 0x30, "d", 0, &[], b"");
    for packet_id in 1..3 {
        publish(&mut writer, 0x32, "d", packet_id, &[], b"");
    }
    // The one member of a group is gone with its message, once it has that.
    let (mut alone, _) = broker.client_with("alone", SESSION_EXPIRY_60);
    subscribe(&mut alone, "$share/g/s", 1);
    send(&mut alone, 0xE0, &[]);
    await_end(&mut alone);
    publish(&mut writer, 0x32, "s", 3, &[], b"");
    let by = Instant::now() + PATIENCE;
    while !broker.ctl(&["--json", "clients", "show", "alone"]).contains(r#""mqueue_len":1"#) {
        assert!(Instant::now() < by, "{}", broker.ctl(&["clients", "show", "alone"]));
    }
    broker.ctl(&["clients", "kick", "alone"]);
}

/// A client that takes nothing while much is sent to it, until it is closed.
fn slow_reader(broker: &Broker) -> TcpStream {
    let (mut slow, _) = broker.client("slow");
    subscribe(&mut slow, "flood", 0);
    let (mut writer, _) = broker.client("flooder");
    let by = Instant::now() + PATIENCE;
    let mut body = b"\0\x05flood\0".to_vec();
    body.resize(512 * 1024, b'x');
    while !counters(broker).1.contains("client.send_timeout") {
        assert!(Instant::now() < by, "{:?}", counters(broker).1);
        (0..8).for_each(|_| send(&mut writer, 0x30, &body));
    }
    slow
}

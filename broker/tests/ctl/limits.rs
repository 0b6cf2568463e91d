//! Zones, and what listeners and clients may have.

use crate::PATIENCE;
use crate::broker::{Broker, pings, subscribe};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Waits until a counter has a value, summed over the shards, which publish it once a second.
fn await_counter(broker: &Broker, name: &str, value: u64) {
    let by = Instant::now() + PATIENCE;
    let wanted = [name.to_owned(), value.to_string()];
    loop {
        let told = broker.ctl(&["metrics"]);
        if told.lines().any(|line| line.split_whitespace().take(2).eq(wanted.iter().map(String::as_str))) {
            return;
        }
        assert!(Instant::now() < by, "{wanted:?} is not in {told}");
    }
}

/// Publishes to `t` at QoS 1; the reason code of its acknowledgement.
fn publish(stream: &mut TcpStream) -> u8 {
    stream.write_all(b"\x32\x07\x00\x01t\x00\x01\x00x").expect("sent");
    acknowledged(stream)
}

fn acknowledged(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a PUBACK");
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).expect("a PUBACK");
    assert_eq!(head[0], 0x40, "{rest:?}");
    rest.get(2).copied().unwrap_or(0)
}

/// Subscribes to `t` at QoS 1.
fn subscribe_to_t(stream: &mut TcpStream) {
    stream.write_all(b"\x82\x07\x00\x01\x00\x00\x01t\x01").expect("sent");
    let mut suback = [0; 6];
    stream.read_exact(&mut suback).expect("a SUBACK");
    assert_eq!(suback, [0x90, 4, 0, 1, 0, 1]);
}

/// True if the broker closes a new connection at once.
fn is_turned_away(broker: &Broker) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", broker.port)) else { return true };
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // The end of the connection, or a reset.
    !matches!(stream.read(&mut [0]), Ok(1..))
}

const TWO_LISTENERS: &str = "listeners.tcp.default.bind = \"127.0.0.1:0\"\n\
                             listeners.tcp.inner { bind = \"127.0.0.1:0\", zone = inner }\n\
                             zones.inner.mqtt { max_topic_filters = 2, server_keepalive = 77 }\n";

#[test]
fn a_zone_has_its_own_settings_and_they_can_change() {
    let mut broker = Broker::start_on("zones", TWO_LISTENERS, 2);
    for keep_alive in [77, 99] {
        for number in 0..6 {
            let (mut outer, connack) = broker.client_at(broker.ports[0], &format!("outer{number}"), &[]);
            assert!(!connack.contains(&0x13), "no server keep alive: {connack:?}");
            assert_eq!(subscribe(&mut outer, 3).map(|codes| codes.len()), Some(3));
            let (mut inner, connack) = broker.client_at(broker.ports[1], &format!("inner{number}"), &[]);
            assert!(connack.windows(3).any(|bytes| bytes == [0x13, 0, keep_alive]), "{connack:?}");
            assert_eq!(subscribe(&mut inner, 2).map(|codes| codes.len()), Some(2));
            let shown = broker.ctl(&["--json", "clients", "show", &format!("inner{number}")]);
            assert!(shown.contains(r#""listener":"tcp:inner""#) && shown.contains(r#""zone":"inner""#), "{shown}");
            assert_eq!(subscribe(&mut inner, 3), None, "one filter too many");
        }
        if keep_alive == 77 {
            broker.ctl(&["conf", "set", "zones.inner.mqtt.server_keepalive", "99"]);
            broker.restart();
        }
    }
    let listed = broker.ctl(&["listeners", "list"]);
    let inner = listed.lines().find(|line| line.starts_with("tcp:inner ")).expect("a listener");
    assert!(inner.contains(" zone=inner connections=") && inner.contains(" max_connections=infinity "), "{inner}");
    let shown = broker.ctl(&["conf", "show", "zones.inner"]);
    assert!(shown.contains("zones.inner.mqtt.max_topic_filters = 2  # r.conf:3:"), "{shown}");
    assert!(shown.contains("zones.inner.mqtt.server_keepalive = 99  # "), "{shown}");
}

#[test]
fn messages_above_the_rate_are_dropped_and_counted() {
    let file = "mqtt.limiter.messages_rate = \"2/1h\"\nringmq.limit_action = drop\n";
    let broker = Broker::start("drop", file);
    let mut client = broker.client("one").0;
    // Nobody subscribes.
    assert_eq!([(); 4].map(|()| publish(&mut client)), [0x10, 0x10, 0x97, 0x97]);
    await_counter(&broker, "messages.dropped.limited", 2);
    assert_eq!(publish(&mut broker.client("other").0), 0x10, "each client has its own");
    broker.ctl(&["conf", "set", "mqtt.limiter.messages_rate", "infinity"]);
    assert_eq!(publish(&mut client), 0x10, "at once");
    broker.ctl(&["conf", "set", "mqtt.limiter.messages_rate", "1/1h"]);
    broker.ctl(&["conf", "set", "ringmq.limit_action", "reject"]);
    let mut client = broker.client("one").0;
    assert_eq!(publish(&mut client), 0x10);
    client.write_all(b"\x32\x07\x00\x01t\x00\x02\x00x").expect("sent");
    let mut told = Vec::new();
    client.read_to_end(&mut told).expect("the end");
    assert_eq!(told, [0xE0, 1, 0x96]);
    await_counter(&broker, "client.limited.rejected", 1);
}

/// Nothing is lost: what is above the rate comes later.
#[test]
fn a_listeners_clients_are_not_read_while_they_are_over_its_rate() {
    let broker = Broker::start("pause", "listeners.tcp.default.messages_rate = \"10/s\"\n");
    let mut client = broker.client("one").0;
    client.write_all(&b"\x32\x07\x00\x01t\x00\x01\x00x".repeat(30)).expect("sent");
    assert!((0..30).all(|_| acknowledged(&mut client) == 0x10));
    let start = Instant::now();
    assert!(pings(&mut client));
    assert!(start.elapsed() >= Duration::from_millis(1500), "{:?}", start.elapsed());
    await_counter(&broker, "client.limited.paused", 1);
}

#[test]
fn a_listener_turns_away_whom_it_may_not_let_in() {
    let broker = Broker::start("access", "listeners.tcp.default.access_rules = [\"deny 127.0.0.0/8\"]\n");
    assert!((0..3).all(|_| is_turned_away(&broker)));
    assert!(broker.ctl(&["listeners", "list"]).contains(" connections=0 max_connections=infinity denied=3 "));
    await_counter(&broker, "driver.denied", 3);
    let broker = Broker::start("full", "listeners.tcp.default.max_connections = 2\n");
    let _within = [broker.client("one"), broker.client("two")];
    assert!(is_turned_away(&broker));
    assert!(broker.ctl(&["listeners", "list"]).contains(" connections=2 max_connections=2 denied=0 turned_away=1\n"));
    await_counter(&broker, "driver.turned_away", 1);
}

#[test]
fn clients_for_which_too_much_waits_are_disconnected() {
    let file = "mqtt { max_inflight = 1, max_mqueue_len = 2 }\nforce_shutdown.max_mailbox_size = 1\n";
    let broker = Broker::start("overfull", file);
    let mut publisher = broker.client("publisher").0;
    for (counter, change) in
        [("client.force_shutdown", None), ("client.queue_full", Some(["force_shutdown.enable", "false"]))]
    {
        if let Some([key, value]) = change {
            broker.ctl(&["conf", "set", key, value]);
            broker.ctl(&["conf", "set", "ringmq.queue_full_policy", "disconnect"]);
        }
        let mut subscriber = broker.client("subscriber").0;
        subscribe_to_t(&mut subscriber);
        // One is in flight; of the others two may wait, or one.
        for _ in 0..4 {
            publish(&mut publisher);
        }
        let mut told = Vec::new();
        subscriber.read_to_end(&mut told).expect("the end");
        assert!(told.starts_with(&[0x32]) && told.ends_with(&[0xE0, 1, 0x97]), "{told:?}");
        await_counter(&broker, counter, 1);
    }
}

#[test]
fn a_full_queue_holds_its_publishers_back_and_is_shown() {
    let file = "mqtt { max_inflight = 1, max_mqueue_len = 2 }\n\
                ringmq { queue_full_policy = back_pressure, back_pressure.patience = 4s }\n";
    let broker = Broker::start("backpressure", file);
    let mut publisher = broker.client("publisher").0;
    let mut subscriber = broker.client("subscriber").0;
    subscribe_to_t(&mut subscriber);
    for _ in 0..3 {
        publish(&mut publisher);
    }
    await_counter(&broker, "client.held_back", 1);
    assert!(broker.ctl(&["stats"]).contains("connections.held_back.count"), "a gauge");
    assert!(broker.ctl(&["--json", "clients", "show", "publisher"]).contains(r#""held_back":true"#));
    assert!(broker.ctl(&["--json", "clients", "show", "subscriber"]).contains(r#""holds_back":1"#));
    await_counter(&broker, "client.held_back.in_vain", 1);
    assert!(pings(&mut publisher), "it is read again");
    let policies = "[{topic = \"x/#\", policy = back_pressure}, {topic = t, policy = drop_newest}]";
    broker.ctl(&["conf", "set", "ringmq.queue_full_policies", policies]);
    publish(&mut publisher);
    await_counter(&broker, "delivery.dropped.queue_full", 1);
    assert!(pings(&mut publisher));
}

/// Stops the broker for longer than it may be late while clients connect at these ports; the reason codes that they get.
fn connacks_after_a_pause(broker: &Broker, ports: &[u16]) -> Vec<u8> {
    // All shards answer, and so each has been on time once and knows what late is.
    broker.ctl(&["clients", "list"]);
    broker.freeze();
    let mut new: Vec<TcpStream> = (b'a'..)
        .zip(ports)
        .map(|(name, port)| {
            let mut stream = TcpStream::connect(("127.0.0.1", *port)).expect("in the backlog");
            let connect = [&b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01"[..], &[name]].concat();
            stream.write_all(&connect).expect("sent");
            stream
        })
        .collect();
    new[0].set_read_timeout(Some(Duration::from_millis(1500))).expect("a socket");
    assert!(new[0].read(&mut [0]).is_err(), "nobody answers");
    broker.signal("-CONT");
    let connack = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).expect("a CONNACK");
        assert_eq!(connack[0], 0x20, "{connack:?}");
        connack[3]
    };
    new.iter_mut().map(connack).collect()
}

/// Overload protection is a zone's, and can be switched while the broker runs.
#[test]
fn only_a_zone_that_is_protected_refuses_new_clients() {
    let file = format!("{TWO_LISTENERS}ringmq.overload_lateness = 1s\n");
    let broker = Broker::start_on("overload-zone", &file, 2);
    let [plain, inner] = broker.ports[..] else { panic!("two listeners") };
    assert_eq!(connacks_after_a_pause(&broker, &[plain, inner]), [0, 0], "nobody is protected yet");
    broker.ctl(&["conf", "set", "zones.inner.overload_protection.enable", "true"]);
    assert_eq!(connacks_after_a_pause(&broker, &[plain, inner, plain, inner]), [0, 0x89, 0, 0x89]);
    await_counter(&broker, "overload_protection.new_conn", 2);
}

/// A shard that could not run for a while is late, and refuses who comes until it has been on time again.
#[test]
fn an_overloaded_shard_refuses_new_clients() {
    let broker = Broker::start("overload", "overload_protection.enable = true\nringmq.overload_lateness = 1s\n");
    let mut old = broker.client("old").0;
    for connack in connacks_after_a_pause(&broker, &[broker.port; 4]) {
        assert_eq!(connack, 0x89);
    }
    await_counter(&broker, "overload_protection.new_conn", 4);
    assert!(pings(&mut old), "who is there is served");
    let by = Instant::now() + PATIENCE;
    while broker.client("a").1[1] == 0x89 {
        assert!(Instant::now() < by, "it is over after a while");
    }
}

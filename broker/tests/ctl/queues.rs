//! Message queues of the real program: declared while it runs, listed, bounded, counted.

use crate::PATIENCE;
use crate::broker::{Broker, pings};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// Publishes to `t/<letter>` at QoS 1 and waits for the acknowledgement.
fn publish(stream: &mut TcpStream, letter: u8) {
    stream.write_all(&[0x32, 9, 0, 3, b't', b'/', letter, 0, 1, 0, b'x']).expect("sent");
    let mut puback = [0; 4];
    stream.read_exact(&mut puback).expect("PUBACK");
    assert_eq!(puback[0], 0x40);
    if puback[1] == 3 {
        stream.read_exact(&mut [0]).expect("its reason code");
    }
}

/// Subscribes to `$q/jobs` at QoS 1; the granted code.
fn consume(stream: &mut TcpStream) -> u8 {
    stream.write_all(b"\x82\x0D\x00\x01\x00\x00\x07$q/jobs\x01").expect("sent");
    let mut suback = [0; 6];
    stream.read_exact(&mut suback).expect("SUBACK");
    suback[5]
}

/// The packet identifier of the next PUBLISH.
fn delivered(stream: &mut TcpStream) -> [u8; 2] {
    let mut publish = [0; 11];
    stream.read_exact(&mut publish).expect("PUBLISH");
    assert_eq!(publish[..2], [0x32, 9], "{publish:?}");
    [publish[7], publish[8]]
}

/// What is told of the queue once that satisfies `wanted`.
fn shown(broker: &Broker, wanted: impl Fn(&Value) -> bool) -> Value {
    let by = Instant::now() + PATIENCE;
    loop {
        let told: Value = serde_json::from_str(&broker.ctl(&["--json", "queues", "show", "jobs"])).expect("JSON");
        if wanted(&told) {
            return told;
        }
        assert!(Instant::now() < by, "{told}");
    }
}

#[test]
fn a_queue_is_declared_filled_consumed_and_shown() {
    let mut broker = Broker::start("queues", "");
    assert_eq!(broker.ctl(&["queues", "list"]), "");
    assert!(broker.refused(&["queues", "show", "jobs"]).contains("there is no queue `jobs`"));
    let mut publisher = broker.client("publisher").0;
    let mut consumer = broker.client("consumer").0;
    assert_eq!(consume(&mut consumer), 0x8F, "nobody has declared it");
    broker.ctl(&["conf", "set", "ringmq.queues.jobs.topic_filter", "\"t/+\""]);
    broker.ctl(&["conf", "set", "ringmq.queues.jobs.max_length", "5"]);
    for letter in b"abcdefg" {
        publish(&mut publisher, *letter);
    }
    let told = shown(&broker, |told| told["received"] == 7);
    let facts = ["length", "lag", "dropped", "inflight_cnt", "consumers"].map(|name| told[name].clone());
    assert_eq!(facts, [5, 5, 2, 0, 0].map(Value::from), "{told}");
    assert_eq!(told["bytes"], 5 * (128 + 4));
    assert_eq!(consume(&mut consumer), 1);
    let ids: Vec<[u8; 2]> = (0..5).map(|_| delivered(&mut consumer)).collect();
    consumer.write_all(&[0x40, 2, ids[0][0], ids[0][1]]).expect("sent");
    assert!(pings(&mut consumer));
    let told = shown(&broker, |told| told["settled"] == 1);
    assert_eq!((&told["length"], &told["lag"], &told["consumers"]), (&4.into(), &0.into(), &1.into()), "{told}");
    assert_eq!(told["members"][0]["clientid"], "consumer");
    assert_eq!(told["members"][0]["inflight_cnt"], 4);
    let text = broker.ctl(&["queues", "show", "jobs"]);
    assert!(text.starts_with("jobs <- t/+ length=4 ") && text.contains("\n  consumer inflight=4 shard="), "{text}");
    assert!(broker.ctl(&["--json", "subscriptions", "list", "consumer"]).contains(r#""topic":"$q/jobs""#));
    assert_eq!(broker.ctl(&["subscriptions", "lag"]), "", "that is about shared subscriptions");
    // What it leaves waits again, and a value takes the place of the one before.
    drop(consumer);
    shown(&broker, |told| told["returned"] == 4 && told["consumers"] == 0);
    broker.ctl(&["conf", "set", "ringmq.queues.jobs.last_value", "true"]);
    for _ in 0..3 {
        publish(&mut publisher, b'z');
    }
    shown(&broker, |told| told["replaced"] == 2 && told["length"] == 5);
    // Counters are the sums, a second later.
    let by = Instant::now() + PATIENCE;
    for (name, value) in [("received", 10), ("settled", 1), ("returned", 4), ("replaced", 2), ("dropped", 2)] {
        let wanted = [format!("messages.queue.{name}"), value.to_string()];
        let found = |told: String| {
            told.lines().any(|line| line.split_whitespace().take(2).eq(wanted.iter().map(String::as_str)))
        };
        while !found(broker.ctl(&["metrics"])) {
            assert!(Instant::now() < by, "{wanted:?}");
        }
    }
    assert!(broker.ctl(&["stats"]).contains("queues.messages.count"), "a gauge");
    broker.ctl(&["conf", "set", "ringmq.queues.jobs.message_expiry", "1s"]);
    publish(&mut publisher, b'y');
    shown(&broker, |told| told["expired"] == 1);
    // It is declared after a restart; what it held is not there.
    broker.restart();
    let told = shown(&broker, |told| told["declared"] == true);
    assert_eq!((&told["length"], &told["last_value"]), (&0.into(), &true.into()), "{told}");
    broker.ctl(&["conf", "set", "ringmq.queues.jobs.enable", "false"]);
    assert!(broker.refused(&["queues", "show", "jobs"]).contains("there is no queue"));
    assert_eq!(broker.ctl(&["queues", "list"]), "");
}

//! Slow subscriptions of the real program.

use crate::PATIENCE;
use crate::broker::{Broker, pings};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn a_late_acknowledgement_is_listed_until_it_is_cleared() {
    let broker = Broker::start("slow-subs", "slow_subs { enable = true, threshold = 100ms }");
    let rows = || -> Vec<Value> {
        let told: Value = serde_json::from_str(&broker.ctl(&["--json", "slow-subs", "list"])).expect("JSON");
        told["slow_subs"].as_array().expect("a list").clone()
    };
    let mut subscriber = broker.client("lat\te").0;
    subscriber.write_all(b"\x82\x07\x00\x01\x00\x00\x01t\x01").expect("sent");
    subscriber.read_exact(&mut [0; 6]).expect("SUBACK");
    let mut publisher = broker.client("publisher").0;
    publisher.write_all(b"\x32\x07\x00\x01t\x00\x01\x00x").expect("sent");
    assert!(rows().is_empty());
    let mut answer_after = |wait: Duration| {
        let mut publish = [0; 9];
        subscriber.read_exact(&mut publish).expect("PUBLISH");
        assert_eq!(publish[..2], [0x32, 7]);
        // Time is the subject.
        let received = Instant::now();
        while let Some(left) = wait.checked_sub(received.elapsed()) {
            std::thread::park_timeout(left);
        }
        subscriber.write_all(&[0x40, 2, publish[5], publish[6], 0xC0, 0]).expect("sent");
        subscriber.read_exact(&mut [0; 2]).expect("PINGRESP, so the acknowledgement has been seen");
    };
    answer_after(Duration::from_millis(400));
    let found = rows();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["clientid"], &found[0]["topic"]), (&"lat\te".into(), &"t".into()));
    let slowest = found[0]["timespan"].as_u64().expect("a number");
    assert!(slowest >= 400, "{found:?}");
    publisher.write_all(b"\x32\x07\x00\x01t\x00\x02\x00x").expect("sent");
    answer_after(Duration::from_millis(110));
    let found = rows();
    assert!(found.len() == 1 && found[0]["timespan"].as_u64() >= Some(slowest), "the longest time stays: {found:?}");
    let text = broker.ctl(&["slow-subs", "list"]);
    assert!(text.starts_with("lat\\te t timespan="), "{text}");
    broker.ctl(&["slow-subs", "clear"]);
    assert!(rows().is_empty());
}

#[test]
fn the_slowest_of_all_shards_are_one_table() {
    let broker = Broker::start("slow-table", "slow_subs { enable = true, threshold = 100ms, top_k_num = 3 }");
    let rows = || -> Vec<Value> {
        let told: Value = serde_json::from_str(&broker.ctl(&["--json", "slow-subs", "list"])).expect("JSON");
        told["slow_subs"].as_array().expect("a list").clone()
    };
    let mut subscribers: Vec<_> = (0..8).map(|number| broker.client(&format!("s{number}")).0).collect();
    for subscriber in &mut subscribers {
        subscriber.write_all(b"\x82\x07\x00\x01\x00\x00\x01t\x01").expect("sent");
        subscriber.read_exact(&mut [0; 6]).expect("SUBACK");
    }
    let mut publisher = broker.client("publisher").0;
    publisher.write_all(b"\x32\x07\x00\x01t\x00\x01\x00x").expect("sent");
    let published = Instant::now();
    // One after the other takes longer and longer. Time is the subject.
    for (number, subscriber) in (0_u32..).zip(&mut subscribers) {
        let mut publish = [0; 9];
        subscriber.read_exact(&mut publish).expect("PUBLISH");
        while let Some(left) = Duration::from_millis(150 + 100 * u64::from(number)).checked_sub(published.elapsed()) {
            std::thread::park_timeout(left);
        }
        subscriber.write_all(&[0x40, 2, publish[5], publish[6], 0xC0, 0]).expect("sent");
        subscriber.read_exact(&mut [0; 2]).expect("PINGRESP, so the acknowledgement has been seen");
    }
    let found = rows();
    let clients: Vec<&str> = found.iter().filter_map(|row| row["clientid"].as_str()).collect();
    assert_eq!(clients, ["s7", "s6", "s5"], "as many as the whole broker has, the slowest first: {found:?}");
    let spans: Vec<u64> = found.iter().filter_map(|row| row["timespan"].as_u64()).collect();
    assert!(spans.is_sorted_by(|left, right| left >= right) && spans[2] >= 600, "{found:?}");
    let on_shards: std::collections::BTreeSet<String> = (0..8)
        .map(|number| broker.ctl(&["clients", "show", &format!("s{number}")]))
        .filter_map(|shown| shown.lines().find(|line| line.starts_with("shard: ")).map(str::to_owned))
        .collect();
    assert_eq!(on_shards.len(), 2, "they live on both");
}

/// The clients and topics that are listed, with their times, by topic.
fn listed(broker: &Broker) -> Vec<(String, u64)> {
    let told: Value = serde_json::from_str(&broker.ctl(&["--json", "slow-subs", "list"])).expect("JSON");
    let row = |row: &Value| {
        (row["topic"].as_str().expect("text").to_owned(), row["timespan"].as_u64().expect("a number of milliseconds"))
    };
    let mut rows: Vec<_> = told["slow_subs"].as_array().expect("a list").iter().map(row).collect();
    rows.sort();
    rows
}

/// Publishes to a topic of three characters at QoS 1 and waits until that is acknowledged.
fn publish(publisher: &mut TcpStream, topic: &str) {
    let packet = [&b"\x32\x09\x00\x03"[..], topic.as_bytes(), &b"\x00\x01\x00x"[..]].concat();
    publisher.write_all(&packet).expect("sent");
    let mut head = [0; 2];
    publisher.read_exact(&mut head).expect("PUBACK");
    assert_eq!(head[0], 0x40);
    publisher.read_exact(&mut vec![0; usize::from(head[1])]).expect("PUBACK");
}

/// The next message, which is one of these; gives what acknowledges it.
fn take(subscriber: &mut TcpStream) -> [u8; 4] {
    let mut packet = [0; 11];
    subscriber.read_exact(&mut packet).expect("PUBLISH");
    assert_eq!(packet[..2], [0x32, 9]);
    [0x40, 2, packet[7], packet[8]]
}

/// Lets time pass, which is the subject.
fn wait(span: Duration) {
    let start = Instant::now();
    while let Some(left) = span.checked_sub(start.elapsed()) {
        std::thread::park_timeout(left);
    }
}

/// Two messages, one after the other: the second waits in the queue until the first is acknowledged, which takes long, and
/// is acknowledged at once.
#[test]
fn the_time_that_counts_is_the_one_that_is_set() {
    let file = "mqtt.max_inflight = 1\nslow_subs { enable = true, threshold = 500ms, stats_type = response }";
    let broker = Broker::start("slow-kinds", file);
    let (mut publisher, mut subscriber) = (broker.client("publisher").0, broker.client("subscriber").0);
    subscriber.write_all(b"\x82\x09\x00\x01\x00\x00\x03t/+\x01").expect("sent");
    subscriber.read_exact(&mut [0; 6]).expect("SUBACK");
    for (kind, expected) in [("response", &["t/1"][..]), ("internal", &["t/2"]), ("whole", &["t/1", "t/2"])] {
        broker.ctl(&["conf", "set", "slow_subs.stats_type", kind]);
        broker.ctl(&["slow-subs", "clear"]);
        publish(&mut publisher, "t/1");
        let first = take(&mut subscriber);
        publish(&mut publisher, "t/2");
        wait(Duration::from_millis(700));
        subscriber.write_all(&first).expect("sent");
        let second = take(&mut subscriber);
        subscriber.write_all(&second).expect("sent");
        assert!(pings(&mut subscriber), "the acknowledgement has been seen");
        let rows = listed(&broker);
        assert_eq!(rows.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(), expected, "{kind}");
        assert!(rows.iter().all(|(_, span_ms)| (500..10_000).contains(span_ms)), "{kind}: {rows:?}");
    }
}

#[test]
fn what_was_slow_is_forgotten_after_a_while() {
    let broker = Broker::start("slow-expiry", "slow_subs { enable = true, threshold = 100ms, expire_interval = 2s }");
    let (mut publisher, mut subscriber) = (broker.client("publisher").0, broker.client("subscriber").0);
    subscriber.write_all(b"\x82\x09\x00\x01\x00\x00\x03t/+\x01").expect("sent");
    subscriber.read_exact(&mut [0; 6]).expect("SUBACK");
    publish(&mut publisher, "t/1");
    let acknowledgement = take(&mut subscriber);
    wait(Duration::from_millis(200));
    let answered = Instant::now();
    subscriber.write_all(&acknowledgement).expect("sent");
    assert!(pings(&mut subscriber), "the acknowledgement has been seen");
    assert_eq!(listed(&broker).len(), 1);
    while !listed(&broker).is_empty() {
        assert!(answered.elapsed() < PATIENCE, "it stays");
    }
    // Less a millisecond, for times are whole ones.
    assert!(answered.elapsed() >= Duration::from_millis(1999), "{:?}", answered.elapsed());
}

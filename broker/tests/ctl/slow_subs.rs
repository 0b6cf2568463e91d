//! Slow subscriptions of the real program.

use crate::broker::Broker;
use serde_json::Value;
use std::io::{Read, Write};
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
    let mut publish = [0; 9];
    subscriber.read_exact(&mut publish).expect("PUBLISH");
    assert_eq!(publish[..2], [0x32, 7]);
    assert!(rows().is_empty());
    // Time is the subject.
    let received = Instant::now();
    while let Some(left) = Duration::from_millis(150).checked_sub(received.elapsed()) {
        std::thread::park_timeout(left);
    }
    subscriber.write_all(&[0x40, 2, publish[5], publish[6], 0xC0, 0]).expect("sent");
    subscriber.read_exact(&mut [0; 2]).expect("PINGRESP, so the acknowledgement has been seen");
    let found = rows();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["clientid"], &found[0]["topic"]), (&"lat\te".into(), &"t".into()));
    assert!(found[0]["timespan"].as_u64().expect("a number") >= 150, "{found:?}");
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

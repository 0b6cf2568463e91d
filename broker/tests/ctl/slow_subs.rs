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

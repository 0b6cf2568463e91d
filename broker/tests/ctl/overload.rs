//! What a shard that does not keep up puts off: retained messages, by `overload_protection.backoff_delay`.

use crate::PATIENCE;
use crate::broker::{Broker, pings};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Retained messages: eight slices of 256, or nearly, on each of two shards.
const MESSAGES: u16 = 4000;

/// Of these, how many are published last, and acknowledged: some at home on either shard.
const ACKNOWLEDGED: u16 = 16;

/// Bytes of a message in MQTT 5 at QoS 0, on its way in and out.
const PACKET_BYTES: usize = 12;

/// Clients of which some live on each of two shards.
const COMPANIONS: u64 = 8;

/// How long the process is stopped: more than the shards may be late.
const STOPPED: Duration = Duration::from_millis(1500);

/// An overload lasts until five looks in a row, a tenth of a second apart, were on time.
const OVERLOAD_MIN: Duration = Duration::from_millis(500);

fn counter(broker: &Broker, name: &str) -> u64 {
    let told: Value = serde_json::from_str(&broker.ctl(&["--json", "metrics"])).expect("JSON");
    let row = told.as_array().expect("counters").iter().find(|row| row["name"] == name).expect(name);
    row["sum"].as_u64().expect("a number")
}

/// Retains `r/0000` and so on, all of which are stored in the end: what waits for an acknowledgement is behind the rest
/// on its way to either shard.
fn retain_all(publisher: &mut TcpStream) {
    let mut packets = Vec::new();
    for number in 0..MESSAGES - ACKNOWLEDGED {
        packets.extend_from_slice(b"\x31\x0a\x00\x06");
        packets.extend_from_slice(format!("r/{number:04}").as_bytes());
        packets.extend_from_slice(b"\x00x");
    }
    publisher.write_all(&packets).expect("sent");
    for number in MESSAGES - ACKNOWLEDGED..MESSAGES {
        let [high, low] = (number + 1).to_be_bytes();
        let publish =
            [&b"\x33\x0c\x00\x06"[..], format!("r/{number:04}").as_bytes(), &[high, low], &b"\x00x"[..]].concat();
        publisher.write_all(&publish).expect("sent");
        let mut head = [0; 2];
        publisher.read_exact(&mut head).expect("PUBACK");
        assert_eq!(head[0], 0x40);
        publisher.read_exact(&mut vec![0; usize::from(head[1])]).expect("PUBACK");
    }
}

/// Subscribes to all of them while the shards are stopped. Gives the time from when they run again to the last message.
fn replay_after_a_pause(broker: &Broker, subscriber: &mut TcpStream) -> Duration {
    // All shards answer, and so each has been on time once and knows what late is.
    broker.ctl(&["clients", "list"]);
    broker.freeze();
    subscriber.write_all(b"\x82\x09\x00\x01\x00\x00\x03r/#\x00").expect("sent");
    subscriber.set_read_timeout(Some(STOPPED)).expect("a socket");
    assert!(subscriber.read(&mut [0]).is_err(), "nobody answers");
    subscriber.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let running = Instant::now();
    broker.signal("-CONT");
    let mut suback = [0; 6];
    subscriber.read_exact(&mut suback).expect("SUBACK");
    assert_eq!(suback, [0x90, 4, 0, 1, 0, 0]);
    let mut messages = vec![0; usize::from(MESSAGES) * PACKET_BYTES];
    subscriber.read_exact(&mut messages).expect("all of them");
    let took = running.elapsed();
    let mut topics: Vec<&[u8]> = messages.chunks(PACKET_BYTES).map(|packet| &packet[4..10]).collect();
    topics.sort_unstable();
    assert!(topics.iter().zip(0..MESSAGES).all(|(topic, number)| **topic == *format!("r/{number:04}").as_bytes()));
    assert!(pings(subscriber));
    took
}

#[test]
fn an_overloaded_shard_puts_slices_off_by_the_delay_that_is_set() {
    let file = "overload_protection { enable = true, backoff_new_conn = false, backoff_delay = 0 }\n\
                ringmq.overload_lateness = 1s\n";
    let broker = Broker::start("backoff", file);
    let (mut publisher, mut subscriber) = (broker.client("publisher").0, broker.client("subscriber").0);
    retain_all(&mut publisher);
    let mut connected = 2;
    let mut before = 0;
    // A slice goes on when the delay or the overload is over.
    for (delay, put_off) in [("0", 0..=0), ("1", 5..=u64::from(MESSAGES)), ("60000", 1..=2)] {
        broker.ctl(&["conf", "set", "overload_protection.backoff_delay", delay]);
        let took = replay_after_a_pause(&broker, &mut subscriber);
        if delay == "60000" {
            assert!(took >= OVERLOAD_MIN, "{took:?}");
        }
        // Shards publish all of their counters at once: each has done so after this.
        let _companions: Vec<_> = (0..COMPANIONS).map(|number| broker.client(&format!("c{number}"))).collect();
        connected += COMPANIONS;
        let by = Instant::now() + PATIENCE;
        while counter(&broker, "client.connected") < connected {
            assert!(Instant::now() < by);
        }
        let now = counter(&broker, "overload_protection.delay.ok");
        assert!(put_off.contains(&(now - before)), "{} slices were put off by {delay} ms", now - before);
        before = now;
    }
}

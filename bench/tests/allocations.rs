//! Promises about memory that are counted, not timed: a QoS 0 message is delivered without an allocation once buffers
//! have grown to their size, and an idle client with one subscription takes at most 512 bytes of user memory.
//!
//! The shard is driven directly; what drivers and the kernel add is not in these numbers, and what the allocator adds
//! to each block is not either.

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::Counting;
use ringmq_wire::QoS;
use std::fmt::Write;
use support::{Place, Rig, publish};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages until buffers, caches and tables have their size.
const WARM_UP: usize = 2_000;

/// Messages that are counted.
const COUNTED: usize = 10_000;

/// Bytes of user memory that an idle client with one subscription may take.
const IDLE_CLIENT_BYTES_MAX: i64 = 512;

/// Bytes that one more subscription, to a filter nobody else has, may take beside the filter's text.
const SUBSCRIPTION_BYTES_MAX: i64 = 96;

/// Bytes that a retained message may take beside its topic and payload.
const RETAINED_BYTES_MAX: i64 = 96;

/// Publishes to `topic` and returns the allocations per delivered message.
fn allocations_per_delivery(name: &str, rig: &mut Rig, publisher: Place, topic: &str, subscribers: usize) -> f64 {
    let packet = publish(topic, QoS::AtMostOnce, 0, &[0x5a; 64]);
    let run = |rig: &mut Rig, messages: usize| {
        let before = rig.bytes_out;
        for _ in 0..messages {
            rig.receive(publisher, &packet);
            rig.advance(1);
        }
        assert_eq!(rig.bytes_out - before, (messages * subscribers * packet.len()) as u64, "all arrive, once");
    };
    run(rig, WARM_UP);
    let before = counting::allocations();
    run(rig, COUNTED);
    let allocations = counting::allocations() - before;
    let each = allocations as f64 / (COUNTED * subscribers) as f64;
    println!("{name}: {allocations} allocations, {each} per delivered message");
    each
}

/// A client whose home is the shard given.
fn client_on(rig: &mut Rig, shard: usize, role: &str) -> Place {
    (0..64)
        .map(|number| rig.connect(&format!("{role}-{number}"), 0))
        .find(|place| place.shard == shard)
        .expect("64 names that all hash to other shards")
}

#[test]
fn one_to_one_delivery_does_not_allocate() {
    let mut rig = Rig::new(1);
    let subscriber = rig.connect("subscriber", 0);
    rig.subscribe(subscriber, "site/1/temperature", QoS::AtMostOnce);
    let publisher = rig.connect("publisher", 0);
    assert_eq!(allocations_per_delivery("one to one", &mut rig, publisher, "site/1/temperature", 1), 0.0);
}

#[test]
fn a_fan_out_does_not_allocate() {
    const SUBSCRIBERS: usize = 100;
    let mut rig = Rig::new(1);
    for number in 0..SUBSCRIBERS {
        let subscriber = rig.connect(&format!("subscriber-{number}"), 0);
        rig.subscribe(subscriber, if number % 2 == 0 { "site/1/+" } else { "site/1/temperature" }, QoS::AtMostOnce);
    }
    let publisher = rig.connect("publisher", 0);
    assert_eq!(allocations_per_delivery("fan-out", &mut rig, publisher, "site/1/temperature", SUBSCRIBERS), 0.0);
}

#[test]
fn delivery_on_another_shard_does_not_allocate() {
    let mut rig = Rig::new(2);
    let subscriber = client_on(&mut rig, 1, "subscriber");
    rig.subscribe(subscriber, "site/1/temperature", QoS::AtMostOnce);
    let publisher = client_on(&mut rig, 0, "publisher");
    assert_eq!(allocations_per_delivery("across shards", &mut rig, publisher, "site/1/temperature", 1), 0.0);
}

/// User memory of each of `count` clients that connect, subscribe to a topic of their own, and do nothing.
fn bytes_per_idle_client(count: usize) -> i64 {
    // What the caller itself holds is made before the count begins.
    let names: Vec<(String, String)> =
        (0..count).map(|number| (format!("client-{number:06}"), format!("site/{number:06}/commands"))).collect();
    let mut rig = Rig::new(1);
    let before = counting::bytes();
    for (client_id, filter) in &names {
        let client = rig.connect(client_id, 60);
        rig.subscribe(client, filter, QoS::AtLeastOnce);
    }
    let each = (counting::bytes() - before) / count as i64;
    println!("each of {count} idle clients with one subscription takes {each} bytes");
    each
}

/// Tables that grow by doubling are half empty just above a power of two, so that is measured too.
#[test]
fn an_idle_client_takes_at_most_512_bytes() {
    for count in [66_000, 100_000] {
        let each = bytes_per_idle_client(count);
        assert!(each <= IDLE_CLIENT_BYTES_MAX, "{each} bytes each of {count} clients");
    }
}

/// User memory of each of `count` further subscriptions of one client, beside their texts.
fn bytes_per_subscription(count: usize) -> i64 {
    const TEXT: usize = "site/000000/commands".len();
    let filters: Vec<String> = (0..count).map(|number| format!("site/{number:06}/commands")).collect();
    let mut rig = Rig::new(1);
    let client = rig.connect("many", 0);
    rig.subscribe(client, "the/first", QoS::AtLeastOnce);
    let before = counting::bytes();
    for filter in &filters {
        rig.subscribe(client, filter, QoS::AtLeastOnce);
    }
    let each = (counting::bytes() - before) / count as i64 - TEXT as i64;
    println!("each of {count} further subscriptions takes {each} bytes beside its text");
    each
}

#[test]
fn a_further_subscription_takes_at_most_96_bytes() {
    for count in [66_000, 100_000] {
        let each = bytes_per_subscription(count);
        assert!(each <= SUBSCRIPTION_BYTES_MAX, "{each} bytes each of {count} subscriptions");
    }
}

/// User memory of each of `count` retained messages, beside topic and payload. Topics come in no particular order, by steps
/// of a prime: in their own order a B-tree's nodes would be left half full.
fn bytes_per_retained(count: usize) -> i64 {
    const STEP: usize = 7919;
    const PAYLOAD: [u8; 64] = [0x5a; 64];
    const TOPIC: usize = "site/000000/temperature".len();
    let mut rig = Rig::new(1);
    let publisher = rig.connect("publisher", 0);
    let before = counting::bytes();
    let mut topic = String::with_capacity(TOPIC);
    for turn in 0..count {
        topic.clear();
        write!(topic, "site/{:06}/temperature", turn * STEP % count).expect("a string takes all");
        let mut packet = publish(&topic, QoS::AtMostOnce, 0, &PAYLOAD);
        packet[0] |= 0x01; // RETAIN
        rig.receive(publisher, &packet);
    }
    let each = (counting::bytes() - before) / count as i64 - (TOPIC + PAYLOAD.len()) as i64;
    println!("each of {count} retained messages takes {each} bytes beside topic and payload");
    each
}

#[test]
fn a_retained_message_takes_at_most_96_bytes_beside_topic_and_payload() {
    for count in [66_000, 100_000] {
        let each = bytes_per_retained(count);
        assert!(each <= RETAINED_BYTES_MAX, "{each} bytes each of {count} retained messages");
    }
}

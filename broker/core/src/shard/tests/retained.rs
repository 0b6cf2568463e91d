//! Retained messages across shards.

use super::harness::{World, options};
use crate::limit::Rate;
use crate::settings::Settings;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use ringmq_wire::{PacketType, QoS, ReasonCode, Version, encode_ack};

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-9]
#[test]
fn the_last_retained_message_is_replayed_wherever_it_lives() {
    let mut world = World::new(4, Settings::default());
    let publisher = world.connect("p", Version::V311);
    for number in 0..20_u16 {
        world.publish_as(publisher, &format!("r/{number}"), "old", QoS::AtLeastOnce, 1, true);
        world.publish_as(publisher, &format!("r/{number}"), "new", QoS::AtLeastOnce, 2, true);
        assert_eq!(world.packets(publisher), ["PUBACK #1 00", "PUBACK #2 00"]);
    }
    world.publish_as(publisher, "r/3", "", QoS::AtLeastOnce, 3, true);
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, "r/+", options(QoS::AtMostOnce));
    world.settle();
    let packets = world.packets(subscriber);
    assert_eq!(packets[0], "SUBACK #99 [00]");
    let got: BTreeSet<_> = packets[1..].iter().cloned().collect();
    let want: BTreeSet<_> =
        (0..20).filter(|number| *number != 3).map(|number| format!("PUBLISH q0 r/{number} retain new")).collect();
    assert_eq!(got, want);
    assert_eq!(packets.len(), 20, "each once");
}

/// A replay larger than the queue waits for the client instead of overflowing.
#[test]
fn a_large_replay_loses_nothing() {
    let mut world = World::new(3, Settings::default());
    let publisher = world.connect("p", Version::V311);
    let topics = 5_000;
    for number in 0..topics {
        world.publish_as(publisher, &format!("r/{number}"), "x", QoS::AtLeastOnce, 1, true);
    }
    world.packets(publisher);
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, "#", options(QoS::AtLeastOnce));
    let mut seen = BTreeSet::new();
    loop {
        world.settle();
        let packets = world.packets(subscriber);
        let published = packets.iter().filter(|packet| packet.starts_with("PUBLISH")).count();
        if published == 0 {
            break;
        }
        for packet in packets {
            let Some(rest) = packet.strip_prefix("PUBLISH q1 ") else { continue };
            let (topic, rest) = rest.split_once(" retain #").expect("retained");
            assert!(seen.insert(alloc::string::String::from(topic)), "{topic} twice");
            let packet_id = rest.split(' ').next().unwrap().parse().unwrap();
            let mut ack = alloc::vec::Vec::new();
            encode_ack(&mut ack, PacketType::PubAck, Version::V311, packet_id, ReasonCode::SUCCESS);
            world.send(subscriber, &ack);
        }
    }
    assert_eq!(seen.len(), topics);
    let dropped: u64 = (0..3).map(|shard| world.shard(shard).counters().delivery_dropped_queue_full).sum();
    assert_eq!(dropped, 0);
}

/// `retainer.delivery_rate`: after each tenth of a second at most a tenth of the rate more.
#[test]
fn a_replay_keeps_to_the_rate() {
    for shards in [1, 3] {
        let mut world = World::new(shards, Settings { retainer_delivery_rate: 100, ..Settings::default() });
        let publisher = world.connect("p", Version::V5);
        for number in 0..60 {
            world.publish_as(publisher, &format!("r/{number}"), "x", QoS::AtMostOnce, 0, true);
        }
        let subscriber = world.connect("s", Version::V5);
        world.subscribe(subscriber, "r/#", options(QoS::AtMostOnce));
        let mut got = 0;
        for tenth in 1..=20_usize {
            world.settle();
            got += world.packets(subscriber).iter().filter(|packet| packet.starts_with("PUBLISH")).count();
            assert!(got <= 10 * tenth, "{got} messages in {tenth} tenths of a second");
            world.pass(100);
        }
        assert_eq!(got, 60);
    }
}

/// `retainer.enable`
#[test]
fn nothing_is_retained_or_replayed_while_that_is_off() {
    let mut world = World::new(2, Settings::default());
    let publisher = world.connect("p", Version::V311);
    world.publish_as(publisher, "r/kept", "x", QoS::AtMostOnce, 0, true);
    world.configure(&Settings { retainer_enable: false, ..Settings::default() });
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, "r/#", options(QoS::AtMostOnce));
    world.publish_as(publisher, "r/live", "x", QoS::AtMostOnce, 0, true);
    world.publish_as(publisher, "r/kept", "", QoS::AtMostOnce, 0, true);
    world.settle();
    assert_eq!(world.packets(subscriber), ["SUBACK #99 [00]", "PUBLISH q0 r/live x", "PUBLISH q0 r/kept "]);
    world.configure(&Settings::default());
    world.subscribe(subscriber, "r/#", options(QoS::AtMostOnce));
    world.settle();
    assert_eq!(world.packets(subscriber), ["SUBACK #99 [00]", "PUBLISH q0 r/kept retain x"]);
}

/// `retainer.msg_expiry_interval`: for messages without an expiry of their own.
#[test]
fn a_retained_message_expires_after_the_interval_unless_it_says_otherwise() {
    let interval = Some(core::time::Duration::from_secs(10));
    let mut world = World::new(1, Settings { retainer_msg_expiry_interval: interval, ..Settings::default() });
    let publisher = world.connect("p", Version::V311);
    world.publish_as(publisher, "r/1", "x", QoS::AtMostOnce, 0, true);
    let subscriber = world.connect("s", Version::V311);
    for (after_ms, replayed) in [(9_900, true), (200, false)] {
        world.pass(after_ms);
        world.subscribe(subscriber, "r/#", options(QoS::AtMostOnce));
        world.settle();
        assert_eq!(world.packets(subscriber).len(), 1 + usize::from(replayed), "after {after_ms} ms more");
    }
}

/// `retainer.max_publish_rate`: what is more is delivered, and changes nothing of what is retained.
#[test]
fn what_is_stored_and_cleared_in_a_time_can_be_limited() {
    let retainer_max_publish_rate = Rate::new(3, 1_000_000_000);
    let mut world = World::new(1, Settings { retainer_max_publish_rate, ..Settings::default() });
    let client = world.connect("c", Version::V5);
    world.subscribe(client, "r/#", options(QoS::AtMostOnce));
    world.packets(client);
    let publish = |world: &mut World, number: u16, payload: &str| {
        world.publish_as(client, &format!("r/{number}"), payload, QoS::AtMostOnce, 0, true);
        assert_eq!(world.packets(client).len(), 1, "delivered in any case");
        let counters = world.shard(0).counters();
        (counters.retained, counters.retained_dropped)
    };
    let counts: Vec<_> = (0..5).map(|number| publish(&mut world, number, "x")).collect();
    assert_eq!(counts, [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]);
    assert_eq!(publish(&mut world, 0, ""), (3, 3), "clearing counts as well");
    world.pass(1_000);
    assert_eq!(publish(&mut world, 0, ""), (2, 3));
}

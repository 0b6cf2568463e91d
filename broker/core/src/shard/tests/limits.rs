//! Clients that publish more than they may.

use super::harness::{World, options};
use crate::limit::{Allowance, LimitAction, Limits, Rate};
use crate::settings::Settings;
use ringmq_wire::{QoS, Version};

const SECOND_NS: u64 = 1_000_000_000;

fn per_second(amount: u64) -> Allowance {
    Allowance { rate: Rate::new(amount, SECOND_NS), burst: None }
}

fn messages(amount: u64, action: LimitAction) -> Settings {
    let limits = Limits { messages: per_second(amount), action, ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

/// Nothing that was received is lost, and nobody is taken for silent.
#[test]
fn a_client_over_its_rate_is_not_read_for_a_while() {
    let mut world = World::new(1, messages(10, LimitAction::Pause));
    let subscriber = world.connect("s", Version::V5);
    world.subscribe(subscriber, "t", options(QoS::AtMostOnce));
    world.packets(subscriber);
    let publisher = world.connect_as(Version::V5, |connect| connect.keep_alive = 1);
    world.pass(500);
    for _ in 0..10 {
        assert!(!world.is_paused(publisher));
        world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
    }
    assert!(world.is_paused(publisher));
    // What was received before it was paused still counts.
    (0..20).for_each(|_| world.publish(publisher, "t", "x", QoS::AtMostOnce, 0));
    assert_eq!(world.packets(subscriber).len(), 30);
    world.pass(2000);
    assert!(world.is_paused(publisher), "the debt is not paid");
    world.pass(102);
    assert!(!world.is_paused(publisher) && world.is_open(publisher));
    assert_eq!(world.shard(0).counters().client_limited_paused, 1);
    world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
    assert!(world.is_paused(publisher), "one was left");
    world.drop_link(publisher);
    world.pass(5000);
}

#[test]
fn what_is_too_much_is_dropped_and_the_publisher_told() {
    let mut world = World::new(1, messages(2, LimitAction::Drop));
    let subscriber = world.connect("s", Version::V5);
    world.subscribe(subscriber, "t", options(QoS::ExactlyOnce));
    world.packets(subscriber);
    for (version, refusal) in [(Version::V5, "97"), (Version::V311, "00")] {
        let publisher = world.connect("p", version);
        for packet_id in 1..=4 {
            world.publish(publisher, "t", "x", QoS::AtLeastOnce, packet_id);
        }
        let expected = [
            "PUBACK #1 00".into(),
            "PUBACK #2 00".into(),
            alloc::format!("PUBACK #3 {refusal}"),
            alloc::format!("PUBACK #4 {refusal}"),
        ];
        assert_eq!(world.packets(publisher), expected);
        world.publish(publisher, "t", "x", QoS::ExactlyOnce, 5);
        assert_eq!(world.packets(publisher), [alloc::format!("PUBREC #5 {refusal}")]);
        world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
        assert_eq!(world.packets(subscriber).len(), 2, "none of those");
        world.pass(500);
        // In version 5 the exchange is over, and the identifier free [MQTT-4.3.3-9]; before that it goes on.
        if version == Version::V5 {
            world.publish(publisher, "t", "x", QoS::ExactlyOnce, 5);
            assert_eq!(world.packets(publisher), ["PUBREC #5 00"]);
            assert_eq!(world.packets(subscriber).len(), 1);
        } else {
            world.send(publisher, &[0x62, 2, 0, 5]);
            assert_eq!(world.packets(publisher), ["PUBCOMP #5 00"]);
            assert_eq!(world.shard(0).counters().pubrel_missed, 0);
        }
    }
    assert_eq!(world.shard(0).counters().messages_dropped_limited, 8);
}

#[test]
fn an_alias_that_comes_with_a_dropped_message_holds() {
    let mut world = World::new(1, messages(1, LimitAction::Drop));
    let publisher = world.connect("p", Version::V5);
    world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
    // Topic t with alias 1, then the alias alone.
    world.send(publisher, b"\x30\x08\x00\x01t\x03\x23\x00\x01x");
    world.send(publisher, b"\x30\x07\x00\x00\x03\x23\x00\x01x");
    assert!(world.is_open(publisher));
    assert_eq!(world.shard(0).counters().messages_dropped_limited, 2);
}

#[test]
fn who_publishes_too_much_is_disconnected_where_that_is_wanted() {
    let mut world = World::new(1, messages(2, LimitAction::Reject));
    let publisher = world.connect("p", Version::V5);
    for packet_id in 1..=3 {
        world.publish(publisher, "t", "x", QoS::AtLeastOnce, packet_id);
    }
    assert_eq!(world.packets(publisher), ["PUBACK #1 10", "PUBACK #2 10", "DISCONNECT 96"]);
    assert!(!world.is_open(publisher));
    let counters = world.shard(0).counters();
    assert_eq!((counters.client_limited_rejected, counters.packets_protocol_error), (1, 0));
    let publisher = world.connect("p", Version::V311);
    (1..=3).for_each(|packet_id| world.publish(publisher, "t", "x", QoS::AtLeastOnce, packet_id));
    assert!(!world.is_open(publisher));
    assert_eq!(world.packets(publisher), ["PUBACK #1 00", "PUBACK #2 00"]);
}

#[test]
fn bytes_are_limited_and_each_client_for_itself() {
    let limits = Limits { bytes: per_second(100), ..Limits::default() };
    let mut world = World::new(1, Settings { limits, ..Settings::default() });
    let (one, other) = (world.connect("one", Version::V5), world.connect("other", Version::V5));
    world.publish(one, "t", &"x".repeat(98), QoS::AtMostOnce, 0);
    assert!(!world.is_paused(one), "one byte is left");
    world.publish(one, "t", &"x".repeat(99), QoS::AtMostOnce, 0);
    assert!(world.is_paused(one));
    world.publish(other, "t", "x", QoS::AtMostOnce, 0);
    assert!(!world.is_paused(other));
}

/// A repetition was counted when it first came [MQTT-4.3.3-10].
#[test]
fn a_repetition_is_not_counted() {
    let mut world = World::new(1, messages(2, LimitAction::Drop));
    let publisher = world.connect("p", Version::V5);
    for _ in 0..5 {
        world.send(publisher, b"\x3c\x07\x00\x01t\x00\x05\x00x");
        assert_eq!(world.packets(publisher).len(), 1);
    }
    world.publish(publisher, "t", "x", QoS::AtLeastOnce, 1);
    assert_eq!(world.packets(publisher), ["PUBACK #1 10"]);
}

//! Delayed publishing.

use super::harness::{World, options};
use crate::settings::Settings;
use alloc::format;
use alloc::vec::Vec;
use ringmq_wire::{QoS, Version};

#[test]
fn a_delayed_message_comes_when_it_is_due_and_not_before() {
    for shards in [1, 4] {
        let mut world = World::new(shards, Settings::default());
        let subscriber = world.connect("s", Version::V5);
        world.subscribe(subscriber, "#", options(QoS::AtMostOnce));
        world.packets(subscriber);
        let publisher = world.connect("p", Version::V5);
        world.publish(publisher, "$delayed/5/a/b", "five", QoS::AtLeastOnce, 1);
        world.publish(publisher, "$delayed/2/a/b", "two", QoS::ExactlyOnce, 2);
        world.publish(publisher, "$delayed/2/a/c", "behind", QoS::AtMostOnce, 0);
        world.publish(publisher, "$delayed/0/a/b", "now", QoS::AtMostOnce, 0);
        assert_eq!(world.packets(publisher), ["PUBACK #1 00", "PUBREC #2 00"]);
        assert_eq!(world.packets(subscriber), ["PUBLISH q0 a/b now"]);
        world.pass(1_999);
        assert_eq!(world.packets(subscriber), [""; 0]);
        world.pass(1);
        world.settle();
        assert_eq!(world.packets(subscriber), ["PUBLISH q0 a/b two", "PUBLISH q0 a/c behind"]);
        world.drop_link(publisher);
        world.pass(3_000);
        assert_eq!(world.packets(subscriber), ["PUBLISH q0 a/b five"], "whether its publisher is still there or not");
    }
}

/// The harness' clock reads 0 at the beginning of 1970.
#[test]
fn a_large_number_is_a_time() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect("c", Version::V5);
    world.subscribe(client, "t", options(QoS::AtMostOnce));
    world.pass(4_294_960_000);
    world.publish(client, "$delayed/4294970/t", "in ten seconds", QoS::AtLeastOnce, 1);
    world.publish(client, "$delayed/8589934/t", "too far", QoS::AtLeastOnce, 2);
    assert_eq!(world.packets(client), ["SUBACK #99 [00]", "PUBACK #1 00", "PUBACK #2 10"]);
    world.pass(10_000);
    assert_eq!(world.packets(client), ["PUBLISH q0 t in ten seconds"]);
    let counters = world.shard(0).counters();
    assert_eq!((counters.messages_delayed, counters.messages_delayed_dropped, counters.delayed), (1, 1, 0));
}

#[test]
fn what_is_due_waits_while_a_shard_is_congested() {
    let mut world = World::new(2, Settings::default());
    let client = world.connect("c", Version::V5);
    world.subscribe(client, "t", options(QoS::AtMostOnce));
    world.publish(client, "$delayed/1/t", "late", QoS::AtMostOnce, 0);
    world.packets(client);
    for (shard, other) in [(0, 1), (1, 0)] {
        world.tell_congested(shard, other, true);
    }
    world.pass(1_000);
    assert_eq!(world.packets(client), [""; 0]);
    let next_ms: Vec<_> = (0..2).filter_map(|shard| world.shard(shard).delayed.next_due_ms()).collect();
    assert_eq!(next_ms, [1_001], "looked at again soon, not without a pause");
    for (shard, other) in [(0, 1), (1, 0)] {
        world.tell_congested(shard, other, false);
    }
    world.pass(1);
    assert_eq!(world.packets(client), ["PUBLISH q0 t late"]);
}

#[test]
fn there_is_room_for_as_many_as_the_operator_says() {
    let mut world = World::new(1, Settings { delayed_max_messages: 3, ..Settings::default() });
    let client = world.connect("c", Version::V5);
    world.subscribe(client, "t", options(QoS::AtMostOnce));
    world.packets(client);
    for number in 1..=5 {
        world.publish(client, "$delayed/1/t", &format!("{number}"), QoS::AtLeastOnce, number);
    }
    let acks = world.packets(client);
    assert_eq!(acks, ["PUBACK #1 00", "PUBACK #2 00", "PUBACK #3 00", "PUBACK #4 10", "PUBACK #5 10"]);
    assert_eq!(world.shard(0).counters().delayed, 3);
    world.pass(1_000);
    assert_eq!(world.packets(client), ["PUBLISH q0 t 1", "PUBLISH q0 t 2", "PUBLISH q0 t 3"]);
}

#[test]
fn a_retained_message_is_stored_when_it_is_due() {
    let mut world = World::new(4, Settings::default());
    let client = world.connect("c", Version::V5);
    world.publish_as(client, "$delayed/1/t", "kept", QoS::AtLeastOnce, 1, true);
    let stored = |world: &World| (0..4).map(|shard| world.shard(shard).counters().retained).sum::<u64>();
    assert_eq!(stored(&world), 0);
    world.pass(1_000);
    assert_eq!(stored(&world), 1);
}

#[test]
fn without_the_feature_it_is_a_topic_like_any_other() {
    let mut world = World::new(1, Settings { delayed_enable: false, ..Settings::default() });
    let client = world.connect("c", Version::V5);
    world.subscribe(client, "$delayed/#", options(QoS::AtMostOnce));
    world.publish(client, "$delayed/9/t", "x", QoS::AtMostOnce, 0);
    assert_eq!(world.packets(client), ["SUBACK #99 [00]", "PUBLISH q0 $delayed/9/t x"]);
}

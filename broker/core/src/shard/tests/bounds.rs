//! What a hostile or slow client can make a shard hold, and what holds it up.

use super::harness::{World, options};
use crate::machine::HIGH_WATER_BYTES;
use crate::settings::Settings;
use alloc::format;
use alloc::vec::Vec;
use ringmq_wire::{QoS, Version};

/// A client that sends requests and never reads the answers is not read any more, and in the end is closed.
#[test]
fn answers_to_a_client_that_never_reads_are_bounded() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect("c", Version::V311);
    world.set_deaf(client, true);
    let pings = [0xC0, 0].repeat(2048);
    let mut batches = 0;
    while !world.is_paused(client) {
        world.send(client, &pings);
        batches += 1;
        assert!(batches < 1000, "never paused");
    }
    assert!(world.unsent(client) < HIGH_WATER_BYTES + 2 * pings.len());
    world.set_deaf(client, false);
    assert!(!world.is_paused(client), "resumed once it reads");
    world.set_deaf(client, true);
    while !world.is_paused(client) {
        world.send(client, &pings);
    }
    world.pass(15_000);
    assert!(!world.is_open(client));
    assert_eq!(world.shard(0).counters().client_send_timeout, 1);
}

/// A publisher that is held up is not taken for silent.
#[test]
fn a_paused_client_is_not_silent() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect_as(Version::V5, |connect| connect.keep_alive = 10);
    world.set_deaf(client, true);
    while !world.is_paused(client) {
        world.send(client, &[0xC0, 0].repeat(2048));
    }
    world.pass(14_000);
    world.set_deaf(client, false);
    world.pass(1_500);
    assert!(world.is_open(client));
}

/// Fan-outs that pile up on another shard hold up the publisher here, and let it go on when they are done.
#[test]
fn fan_outs_elsewhere_hold_up_the_publisher() {
    let mut world = World::new(2, Settings::default());
    let publisher = world.connect("p", Version::V311);
    for number in 0..12_000 {
        let client = world.connect(&format!("s{number}"), Version::V311);
        world.subscribe(client, "all", options(QoS::AtMostOnce));
    }
    let mut sent = 0;
    while !world.is_paused(publisher) {
        world.publish(publisher, "all", "x", QoS::AtMostOnce, 0);
        sent += 1;
        assert!(sent < 10_000, "never held up");
    }
    world.settle();
    world.pass(2);
    assert!(!world.is_paused(publisher));
    let delivered: u64 = (0..2).map(|shard| world.shard(shard).counters().messages_sent).sum();
    assert_eq!(delivered, 12_000 * sent);
}

/// Slices of several replays together fit the queue they may have to wait in.
#[test]
fn replays_of_many_shards_and_filters_do_not_overflow_the_queue() {
    let settings = Settings { max_mqueue_len: 20, ..Settings::default() };
    let mut world = World::new(8, settings);
    let publisher = world.connect("p", Version::V311);
    for number in 0..500 {
        world.publish_as(publisher, &format!("r/{number}"), "x", QoS::AtLeastOnce, 1, true);
    }
    let subscriber = world.connect("s", Version::V311);
    for filter in ["#", "r/#", "r/+", "+/+"] {
        world.subscribe(subscriber, filter, options(QoS::AtLeastOnce));
    }
    world.settle();
    let dropped: u64 = (0..8).map(|shard| world.shard(shard).counters().delivery_dropped_queue_full).sum();
    assert_eq!(dropped, 0);
}

/// A slow reader at QoS 0 gets the whole replay.
#[test]
fn a_replay_goes_on_when_the_connection_drains() {
    let mut world = World::new(1, Settings::default());
    let publisher = world.connect("p", Version::V311);
    let payload = "x".repeat(4096);
    for number in 0..2000 {
        world.publish_as(publisher, &format!("r/{number}"), &payload, QoS::AtMostOnce, 0, true);
    }
    let subscriber = world.connect("s", Version::V311);
    world.set_deaf(subscriber, true);
    world.subscribe(subscriber, "#", options(QoS::AtMostOnce));
    let mut got = 0;
    for _ in 0..1000 {
        world.settle();
        assert!(world.unsent(subscriber) < 2 * HIGH_WATER_BYTES);
        world.set_deaf(subscriber, false);
        got += world.packets(subscriber).iter().filter(|packet| packet.starts_with("PUBLISH")).count();
        if got == 2000 {
            return;
        }
        world.set_deaf(subscriber, true);
    }
    panic!("{got} of 2000 retained messages");
}

/// Pipelined SUBSCRIBEs that wait for other shards hold the client up; none is refused.
#[test]
fn pipelined_subscribes_are_all_answered() {
    let mut world = World::new(3, Settings::default());
    let client = world.connect("c", Version::V5);
    for number in 0..600 {
        world.subscribe(client, &format!("f{number}/+"), options(QoS::AtMostOnce));
    }
    assert_eq!(world.packets(client).len(), 600);
    assert!(!world.is_paused(client));
}

/// A CONNACK above the client's Maximum Packet Size closes the connection and changes nothing [MQTT-3.1.2-24]
/// [MQTT-3.14.0-1].
#[test]
fn a_client_too_small_for_its_connack_changes_nothing() {
    let mut world = World::new(1, Settings::default());
    let old = world.connect("c", Version::V5);
    let small = world.open(Version::V5);
    let connect = super::harness::connect_packet(Version::V5, |connect| {
        connect.client_id = "c";
        connect.properties.maximum_packet_size = Some(4);
    });
    world.send(small, &connect);
    assert_eq!(world.packets(small), Vec::<alloc::string::String>::new());
    assert!(!world.is_open(small));
    assert!(world.is_open(old), "the session is not taken over");
}

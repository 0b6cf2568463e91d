//! Fan-outs that take several turns.

use super::harness::{Client, World, options};
use crate::settings::Settings;
use alloc::format;
use alloc::vec::Vec;
use ringmq_wire::{QoS, Version};

/// More subscribers than one slice serves.
const MANY: usize = 10_000;

/// Many subscribers to one topic.
fn crowd(world: &mut World, subscribers: usize) -> Vec<Client> {
    let mut join = |number: usize| {
        let client = world.connect(&format!("s{number}"), Version::V311);
        world.subscribe(client, "all", options(QoS::AtMostOnce));
        world.packets(client);
        client
    };
    (0..subscribers).map(&mut join).collect()
}

#[test]
fn a_large_fan_out_lets_pings_through_and_keeps_order() {
    let mut world = World::new(1, Settings::default());
    let publisher = world.connect("p", Version::V311);
    let subscribers = crowd(&mut world, MANY);
    world.publish(publisher, "all", "first", QoS::AtMostOnce, 0);
    world.publish(publisher, "all", "second", QoS::AtMostOnce, 0);
    let last = *subscribers.last().unwrap();
    assert!(world.packets(last).is_empty(), "not in the same turn");
    world.send(last, &[0xC0, 0]);
    assert_eq!(world.packets(last), ["PINGRESP"]);
    assert!(world.settle() > 2);
    for client in subscribers {
        if client != last {
            assert_eq!(world.packets(client), ["PUBLISH q0 all first", "PUBLISH q0 all second"]);
        }
    }
    assert_eq!(world.packets(last), ["PUBLISH q0 all first", "PUBLISH q0 all second"]);
}

#[test]
fn who_leaves_during_a_fan_out_gets_nothing_more() {
    let mut world = World::new(1, Settings::default());
    let publisher = world.connect("p", Version::V311);
    let subscribers = crowd(&mut world, MANY);
    world.publish(publisher, "all", "x", QoS::AtMostOnce, 0);
    for client in &subscribers[MANY / 2..] {
        world.drop_link(*client);
    }
    world.settle();
    assert_eq!(world.shard(0).counters().messages_sent, MANY as u64 / 2);
}

#[test]
fn messages_for_the_same_subscribers_leave_together() {
    let mut world = World::new(1, Settings::default());
    let publisher = world.connect("p", Version::V311);
    let subscribers = crowd(&mut world, 1_000);
    world.send(publisher, &b"\x30\x06\x00\x03allx".repeat(20));
    for client in subscribers {
        assert_eq!(world.packets(client).len(), 20, "in one turn");
    }
}

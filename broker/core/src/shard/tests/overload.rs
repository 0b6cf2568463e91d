//! A shard that does not keep up.

use super::harness::{World, connect_packet, options};
use crate::settings::{OverloadProtection, Settings};
use ringmq_wire::{QoS, Version};

fn settings(backoff_new_conn: bool) -> Settings {
    let overload = OverloadProtection { enable: true, backoff_new_conn, ..OverloadProtection::default() };
    Settings { overload, ..Settings::default() }
}

/// Makes the shards late.
fn overload(world: &mut World) {
    world.pass(1);
    world.pass(1000);
}

#[test]
fn an_overloaded_shard_refuses_new_clients_and_keeps_its_own() {
    let mut world = World::new(1, settings(true));
    let old = world.connect("old", Version::V5);
    overload(&mut world);
    for (version, code) in [(Version::V5, "89"), (Version::V311, "88")] {
        let new = world.open(version);
        world.send(new, &connect_packet(version, |connect| connect.client_id = "new"));
        let told = world.packets(new);
        assert!(told.len() == 1 && told[0].starts_with(&alloc::format!("CONNACK {code}")), "{told:?}");
        assert!(!world.is_open(new));
    }
    assert_eq!(world.shard(0).counters().overload_new_conn, 2);
    world.send(old, &[0xC0, 0]);
    assert_eq!(world.packets(old), ["PINGRESP"]);
    (0..5).for_each(|_| world.pass(100));
    world.connect("new", Version::V5);
}

#[test]
fn nobody_is_refused_where_that_is_not_wanted() {
    let mut world = World::new(1, settings(false));
    overload(&mut world);
    world.connect("new", Version::V5);
    let mut world = World::new(1, Settings::default());
    overload(&mut world);
    world.connect("new", Version::V5);
    world.configure(&settings(true));
    world.connect("another", Version::V5);
    overload(&mut world);
    let late = world.open(Version::V5);
    world.send(late, &connect_packet(Version::V5, |connect| connect.client_id = "late"));
    assert!(!world.is_open(late), "switched on while it runs");
    world.configure(&Settings::default());
    world.connect("late", Version::V5);
}

#[test]
fn only_clients_of_listeners_that_are_protected_are_refused() {
    let protected = settings(true);
    let plain = Settings::default();
    let for_listeners = alloc::vec![plain.clone(), protected, settings(false)];
    let mut world = World::new(1, Settings { for_listeners, ..plain });
    overload(&mut world);
    for (listener, admitted) in [(0, true), (1, false), (2, true)] {
        world.come_by(listener);
        let new = world.open(Version::V5);
        world.send(new, &connect_packet(Version::V5, |connect| connect.client_id = "new"));
        assert_eq!(world.is_open(new), admitted, "listener {listener}");
    }
    // What is no longer wanted anywhere is no longer measured.
    world.configure(&Settings::default());
    world.come_by(1);
    world.connect("late", Version::V5);
}

#[test]
fn retained_messages_are_put_off_and_not_lost() {
    let mut world = World::new(1, settings(true));
    let client = world.connect("c", Version::V311);
    for number in 0..1000 {
        world.publish_as(client, &alloc::format!("r/{number}"), "x", QoS::AtMostOnce, 0, true);
    }
    overload(&mut world);
    world.subscribe(client, "#", options(QoS::AtMostOnce));
    let mut got = 0;
    while got < 1001 {
        world.pass(0);
        let packets = world.packets(client).len();
        assert!(packets <= 2 * 256 + 1);
        got += packets;
        if got < 1001 {
            assert!(!world.shard_is_busy(0), "what is put off is not looked at again and again");
            world.pass(1);
        }
    }
    assert!(world.shard(0).counters().overload_delay > 0);
}

//! Clients that are disconnected because of what waits for them.

use super::harness::{Client, World, connect_packet, options};
use crate::control::Control;
use crate::machine::HIGH_WATER_BYTES;
use crate::settings::{ForceShutdown, QueueFullPolicy, Settings};
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{QoS, Version};

/// A subscriber of `t` that acknowledges nothing, and whose session outlives its connection.
fn silent_subscriber(world: &mut World) -> Client {
    let client = world.connect_as(Version::V5, |connect| {
        connect.client_id = "s";
        connect.properties.session_expiry = Some(100);
    });
    world.subscribe(client, "t", options(QoS::AtLeastOnce));
    assert_eq!(world.packets(client).len(), 1);
    client
}

fn publish(world: &mut World, publisher: Client, payloads: &[String]) {
    for payload in payloads {
        world.publish(publisher, "t", payload, QoS::AtLeastOnce, 1);
    }
    world.packets(publisher);
}

fn numbered(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|number| alloc::format!("{number}")).collect()
}

/// What the client gets once it takes bytes again, and what comes after that on a new connection.
fn rest(world: &mut World) -> Vec<String> {
    let back = world.open(Version::V5);
    let connect = connect_packet(Version::V5, |connect| {
        connect.client_id = "s";
        connect.clean_start = false;
    });
    world.send(back, &connect);
    let mut got = Vec::new();
    loop {
        let packets = world.packets(back);
        if packets.is_empty() {
            return got;
        }
        for packet in packets.iter().filter(|packet| packet.starts_with("PUBLISH")) {
            let id: u16 = packet.split(['#', ' ']).filter_map(|word| word.parse().ok()).next().expect("an identifier");
            got.push(packet.rsplit(' ').next().expect("a payload").into());
            world.send(back, &[0x40, 2, (id >> 8) as u8, id as u8]);
        }
    }
}

#[test]
fn a_backlog_of_too_many_messages_ends_the_connection_and_not_the_session() {
    let force_shutdown = ForceShutdown { max_mailbox_size: 10, ..ForceShutdown::default() };
    let mut world = World::new(1, Settings { force_shutdown, max_inflight: 2, ..Settings::default() });
    let (publisher, client) = (world.connect("p", Version::V5), silent_subscriber(&mut world));
    publish(&mut world, publisher, &numbered(0, 12));
    assert!(world.is_open(client), "ten wait behind two in flight");
    publish(&mut world, publisher, &numbered(12, 13));
    assert!(!world.is_open(client));
    assert_eq!(world.shard(0).counters().client_force_shutdown, 1);
    assert_eq!(world.packets(client).last().map(String::as_str), Some("DISCONNECT 97"));
    publish(&mut world, publisher, &numbered(13, 20));
    assert_eq!(rest(&mut world), numbered(0, 20), "a session without a connection queues as ever");
}

#[test]
fn a_backlog_of_too_many_bytes_ends_the_connection() {
    let force_shutdown = ForceShutdown { max_heap_size: 4096, ..ForceShutdown::default() };
    let mut world = World::new(1, Settings { force_shutdown, max_inflight: 1, ..Settings::default() });
    let (publisher, client) = (world.connect("p", Version::V5), silent_subscriber(&mut world));
    let payload = "x".repeat(999);
    publish(&mut world, publisher, &alloc::vec![payload.clone(); 5]);
    assert!(world.is_open(client), "one is in flight, four thousand bytes wait");
    publish(&mut world, publisher, &[payload]);
    assert!(!world.is_open(client));
}

#[test]
fn nothing_is_ended_where_that_is_turned_off() {
    let force_shutdown = ForceShutdown { enable: false, max_mailbox_size: 1, max_heap_size: 1 };
    let mut world = World::new(1, Settings { force_shutdown, max_inflight: 1, ..Settings::default() });
    let (publisher, client) = (world.connect("p", Version::V5), silent_subscriber(&mut world));
    publish(&mut world, publisher, &numbered(0, 50));
    assert!(world.is_open(client));
}

#[test]
fn a_full_queue_keeps_the_newest_or_the_oldest() {
    for (queue_full_policy, kept) in [
        (QueueFullPolicy::DropOldest, [numbered(0, 1), numbered(3, 5)].concat()),
        (QueueFullPolicy::DropNewest, numbered(0, 3)),
    ] {
        let settings = Settings { queue_full_policy, max_mqueue_len: 2, max_inflight: 1, ..Settings::default() };
        let mut world = World::new(1, settings);
        let (publisher, client) = (world.connect("p", Version::V5), silent_subscriber(&mut world));
        publish(&mut world, publisher, &numbered(0, 5));
        assert!(world.is_open(client));
        assert_eq!(world.shard(0).counters().delivery_dropped_queue_full, 2);
        world.drop_link(client);
        assert_eq!(rest(&mut world), kept, "{queue_full_policy:?}");
    }
}

#[test]
fn a_full_queue_can_end_the_connection() {
    let queue_full_policy = QueueFullPolicy::Disconnect;
    let settings = Settings { queue_full_policy, max_mqueue_len: 2, max_inflight: 1, ..Settings::default() };
    let mut world = World::new(1, settings);
    let (publisher, client) = (world.connect("p", Version::V5), silent_subscriber(&mut world));
    publish(&mut world, publisher, &numbered(0, 3));
    assert!(world.is_open(client));
    publish(&mut world, publisher, &numbered(3, 4));
    assert!(!world.is_open(client));
    let counters = world.shard(0).counters();
    assert_eq!((counters.client_queue_full, counters.delivery_dropped_queue_full), (1, 1));
    assert_eq!(world.packets(client).last().map(String::as_str), Some("DISCONNECT 97"));
    // Without a connection there is nothing to end: the oldest goes.
    publish(&mut world, publisher, &numbered(4, 5));
    assert_eq!(rest(&mut world), ["0", "2", "4"]);
}

#[test]
fn congestion_is_counted_once_and_shown() {
    let mut world = World::new(1, Settings { max_inflight: 10_000, ..Settings::default() });
    let (publisher, client) = (world.connect("p", Version::V5), silent_subscriber(&mut world));
    let congested = |world: &mut World| match world.ask(0, Control::ShowClient("s".into())) {
        Control::Client(Some(facts)) => facts.congested,
        other => panic!("{other:?}"),
    };
    assert!(!congested(&mut world));
    world.set_deaf(client, true);
    let payload = "x".repeat(HIGH_WATER_BYTES / 8);
    publish(&mut world, publisher, &alloc::vec![payload; 20]);
    assert!(congested(&mut world));
    assert_eq!(world.shard(0).counters().client_congested, 1);
    world.set_deaf(client, false);
    assert!(!congested(&mut world));
}

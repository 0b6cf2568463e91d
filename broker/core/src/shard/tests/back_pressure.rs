//! Publishers that are not read while a queue that they feed is full.

use super::harness::{Client, World, connect_packet, options};
use crate::settings::{BackPressure, QueueFullPolicy, Settings, TopicPolicy};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use ringmq_wire::{QoS, Version};

/// A queue of eight behind a window of one.
fn settings() -> Settings {
    Settings {
        queue_full_policy: QueueFullPolicy::BackPressure,
        max_mqueue_len: 8,
        max_inflight: 1,
        ..Settings::default()
    }
}

/// A subscriber of `filter` whose session outlives its connection.
fn subscriber(world: &mut World, client_id: &'static str, filter: &str) -> Client {
    let client = world.connect_as(Version::V5, |connect| {
        connect.client_id = client_id;
        connect.properties.session_expiry = Some(1000);
    });
    world.subscribe(client, filter, options(QoS::AtLeastOnce));
    world.packets(client);
    client
}

fn publish(world: &mut World, publisher: Client, topic: &str, numbers: core::ops::Range<u32>) {
    for number in numbers {
        world.publish(publisher, topic, &format!("{number}"), QoS::AtLeastOnce, 1);
        world.settle();
    }
}

/// Acknowledges what has been sent, and what that brings, `times` over. Gives the payloads.
fn take(world: &mut World, client: Client, times: usize) -> Vec<String> {
    let mut got = Vec::new();
    while got.len() < times {
        let packets = world.packets(client);
        let published: Vec<&String> = packets.iter().filter(|packet| packet.starts_with("PUBLISH")).collect();
        assert!(!published.is_empty(), "only {got:?}");
        for packet in published {
            let id: u16 = packet.split(['#', ' ']).filter_map(|word| word.parse().ok()).next().expect("an identifier");
            got.push(packet.rsplit(' ').next().expect("a payload").into());
            world.send(client, &[0x40, 2, (id >> 8) as u8, id as u8]);
        }
    }
    got
}

fn numbered(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|number| format!("{number}")).collect()
}

/// A client of each of two shards: names whose homes differ.
fn on_both_shards(world: &mut World) -> [Client; 2] {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let clients: Vec<Client> = names.iter().map(|name| subscriber(world, name, &format!("own/{name}"))).collect();
    [0, 1]
        .map(|shard| *clients.iter().find(|client| world.shard_of(**client) == shard).expect("a client of each shard"))
}

#[test]
fn a_full_queue_stops_its_publishers_until_it_has_room() {
    for shards in [1, 2] {
        let mut world = World::new(shards, settings());
        let [slow, publisher] = match shards {
            1 => ["s", "p"].map(|name| subscriber(&mut world, name, &format!("own/{name}"))),
            _ => on_both_shards(&mut world),
        };
        world.subscribe(slow, "t", options(QoS::AtLeastOnce));
        world.packets(slow);
        let other = world.connect("other", Version::V5);
        publish(&mut world, publisher, "t", 0..8);
        assert!(!world.is_paused(publisher), "one is in flight, seven wait");
        publish(&mut world, publisher, "t", 8..9);
        assert!(world.is_paused(publisher));
        assert!(!world.is_paused(other), "nobody else is");
        // What had been received by then is queued all the same.
        publish(&mut world, publisher, "t", 9..30);
        assert_eq!(take(&mut world, slow, 21), numbered(0, 21));
        assert!(world.is_paused(publisher), "eight wait again");
        assert_eq!(take(&mut world, slow, 1), numbered(21, 22));
        assert!(!world.is_paused(publisher), "an eighth of the queue is free");
        assert_eq!(take(&mut world, slow, 8), numbered(22, 30));
        let dropped: u64 = (0..shards).map(|shard| world.shard(shard).counters().delivery_dropped_queue_full).sum();
        let held_back: u64 = (0..shards).map(|shard| world.shard(shard).counters().client_held_back).sum();
        assert_eq!((dropped, held_back), (0, 1), "{shards} shards");
    }
}

#[test]
fn a_publisher_of_two_full_queues_waits_for_both() {
    let mut world = World::new(1, settings());
    let slow = ["s1", "s2"].map(|name| subscriber(&mut world, name, "t"));
    let publisher = world.connect("p", Version::V5);
    publish(&mut world, publisher, "t", 0..9);
    assert!(world.is_paused(publisher));
    take(&mut world, slow[0], 9);
    assert!(world.is_paused(publisher), "the other queue is still full");
    world.drop_link(slow[1]);
    assert!(!world.is_paused(publisher), "a session without a connection holds nobody back");
}

#[test]
fn a_client_that_takes_nothing_holds_its_publishers_back_for_a_while() {
    let mut world = World::new(1, settings());
    let slow = subscriber(&mut world, "s", "t");
    let publisher = world.connect_as(Version::V5, |connect| {
        connect.client_id = "p";
        connect.keep_alive = 2;
    });
    publish(&mut world, publisher, "t", 0..9);
    world.pass(9_000);
    assert!(world.is_paused(publisher) && world.is_open(publisher), "who is not read cannot be heard");
    take(&mut world, slow, 1);
    publish(&mut world, publisher, "t", 9..10);
    assert!(world.is_paused(publisher), "eight wait again, and the time begins anew");
    world.pass(9_999);
    assert!(world.is_paused(publisher));
    world.pass(1);
    assert!(!world.is_paused(publisher));
    assert_eq!(world.shard(0).counters().client_held_back_in_vain, 1);
    // From now on the oldest goes.
    publish(&mut world, publisher, "t", 10..12);
    assert!(!world.is_paused(publisher));
    assert_eq!(world.shard(0).counters().delivery_dropped_queue_full, 2);
    assert_eq!(take(&mut world, slow, 1), ["1"]);
    publish(&mut world, publisher, "t", 12..13);
    assert!(world.is_paused(publisher), "it has taken something");
    assert_eq!(take(&mut world, slow, 9), numbered(4, 13), "two and three were the oldest");
}

#[test]
fn a_session_without_a_connection_falls_back() {
    for (fallback, kept) in [
        (QueueFullPolicy::DropOldest, [numbered(0, 1), numbered(4, 12)].concat()),
        (QueueFullPolicy::DropNewest, numbered(0, 9)),
    ] {
        let back_pressure = BackPressure { fallback, ..BackPressure::default() };
        let mut world = World::new(1, Settings { back_pressure, ..settings() });
        let slow = subscriber(&mut world, "s", "t");
        let publisher = world.connect("p", Version::V5);
        publish(&mut world, publisher, "t", 0..1);
        world.drop_link(slow);
        publish(&mut world, publisher, "t", 1..12);
        assert!(!world.is_paused(publisher));
        let back = world.open(Version::V5);
        let connect = connect_packet(Version::V5, |connect| {
            connect.client_id = "s";
            connect.clean_start = false;
        });
        world.send(back, &connect);
        assert_eq!(take(&mut world, back, 9), kept, "{fallback:?}");
    }
}

#[test]
fn what_comes_beyond_the_overrun_is_dropped() {
    let back_pressure = BackPressure { max_overrun: 3, ..BackPressure::default() };
    let mut world = World::new(1, Settings { back_pressure, ..settings() });
    let slow = subscriber(&mut world, "s", "t");
    let publisher = world.connect("p", Version::V5);
    publish(&mut world, publisher, "t", 0..20);
    assert_eq!(world.shard(0).counters().delivery_dropped_queue_full, 8);
    assert_eq!(take(&mut world, slow, 12), numbered(0, 12));
}

#[test]
fn the_topic_decides_and_a_spared_message_stays() {
    let alarms = TopicPolicy { topic: "alarms/#".into(), policy: QueueFullPolicy::BackPressure };
    let settings = Settings {
        queue_full_policy: QueueFullPolicy::DropOldest,
        queue_full_policies: alloc::vec![alarms],
        ..settings()
    };
    let mut world = World::new(1, settings);
    let slow = subscriber(&mut world, "s", "#");
    let [sensor, alarm] = ["sensor", "alarm"].map(|name| world.connect(name, Version::V5));
    publish(&mut world, sensor, "values", 0..1);
    publish(&mut world, alarm, "alarms/1", 100..104);
    publish(&mut world, sensor, "values", 1..20);
    assert!(!world.is_paused(sensor) && !world.is_paused(alarm));
    publish(&mut world, alarm, "alarms/1", 104..105);
    assert!(world.is_paused(alarm) && !world.is_paused(sensor));
    let expected = [numbered(0, 1), numbered(100, 104), numbered(16, 20), numbered(104, 105)].concat();
    assert_eq!(take(&mut world, slow, 10), expected);
}

#[test]
fn clients_that_feed_each_other_are_read() {
    let mut world = World::new(1, settings());
    let [a, b] = [("a", "to/a"), ("b", "to/b")].map(|(name, topic)| subscriber(&mut world, name, topic));
    publish(&mut world, a, "to/b", 0..9);
    assert!(world.is_paused(a));
    publish(&mut world, b, "to/a", 0..9);
    assert!(!world.is_paused(a), "its own queue is full: it has to be read");
    assert!(!world.is_paused(b), "so is this one's");
    assert_eq!(take(&mut world, a, 9), numbered(0, 9));
    assert!(world.is_paused(a), "it has room, and feeds a queue that has none");
    assert_eq!(take(&mut world, b, 9), numbered(0, 9));
    assert!(!world.is_paused(a) && !world.is_paused(b));
}

#[test]
fn who_comes_back_is_still_held_back() {
    let mut world = World::new(1, settings());
    let slow = subscriber(&mut world, "s", "t");
    let publisher = subscriber(&mut world, "p", "own/p");
    publish(&mut world, publisher, "t", 0..9);
    assert!(world.is_paused(publisher));
    world.drop_link(publisher);
    let back = world.connect_as(Version::V5, |connect| {
        connect.client_id = "p";
        connect.clean_start = false;
        connect.properties.session_expiry = Some(1000);
    });
    assert!(world.is_paused(back));
    take(&mut world, slow, 9);
    assert!(!world.is_paused(back));
    // A session that ends is held back no longer, and its successor is not it.
    publish(&mut world, back, "t", 9..18);
    assert!(world.is_paused(back));
    world.drop_link(back);
    let fresh = world.connect("p", Version::V5);
    assert!(!world.is_paused(fresh));
    assert_eq!(world.shard(0).counters().connections_held_back, 0);
    take(&mut world, slow, 9);
}

#[test]
fn patience_can_be_set() {
    let back_pressure = BackPressure { patience: Duration::from_millis(500), ..BackPressure::default() };
    let mut world = World::new(1, Settings { back_pressure, ..settings() });
    subscriber(&mut world, "s", "t");
    let publisher = world.connect("p", Version::V5);
    publish(&mut world, publisher, "t", 0..9);
    world.pass(499);
    assert!(world.is_paused(publisher));
    world.pass(1);
    assert!(!world.is_paused(publisher));
}

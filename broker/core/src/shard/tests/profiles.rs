//! Settings that differ from listener to listener.

use super::harness::{World, connect_packet, options};
use crate::settings::Settings;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use ringmq_wire::{QoS, Version};

fn two_listeners(first: Settings, second: Settings) -> Settings {
    Settings { for_listeners: vec![first.clone(), second], ..first }
}

#[test]
fn each_listener_has_its_own_settings_on_every_shard() {
    let second = Settings { max_topic_levels: 1, retain_available: false, ..Settings::default() };
    let mut world = World::new(4, two_listeners(Settings::default(), second));
    for number in 0..16 {
        world.come_by(0);
        let client = world.connect(&format!("first{number}"), Version::V5);
        world.subscribe(client, "a/b", options(QoS::AtMostOnce));
        assert_eq!(world.packets(client), ["SUBACK #99 [00]"]);
        world.come_by(1);
        let client = world.connect(&format!("second{number}"), Version::V5);
        world.subscribe(client, "a/b", options(QoS::AtMostOnce));
        assert_eq!(world.packets(client), ["SUBACK #99 [8f]"], "the filter has two levels");
        world.publish_as(client, "a", "x", QoS::AtMostOnce, 0, true);
        assert_eq!(world.packets(client), ["DISCONNECT 9a"]);
    }
}

#[test]
fn a_session_keeps_the_settings_of_its_last_connection() {
    let second = Settings { max_mqueue_len: 2, ..Settings::default() };
    let mut world = World::new(2, two_listeners(Settings::default(), second));
    let publisher = world.connect("p", Version::V5);
    for (listener, kept) in [(0, 5), (1, 2)] {
        world.come_by(listener);
        let client = world.connect_as(Version::V5, |connect| {
            connect.client_id = "s";
            connect.properties.session_expiry = Some(100);
        });
        world.subscribe(client, "t", options(QoS::AtLeastOnce));
        world.drop_link(client);
        for number in 0..5 {
            world.publish(publisher, "t", "x", QoS::AtLeastOnce, number + 1);
        }
        let back = world.open(Version::V5);
        let connect = connect_packet(Version::V5, |connect| {
            connect.client_id = "s";
            connect.clean_start = false;
        });
        world.send(back, &connect);
        let got: Vec<_> = world.packets(back);
        assert_eq!(got.iter().filter(|packet| packet.starts_with("PUBLISH")).count(), kept, "{got:?}");
        world.drop_link(back);
    }
}

#[test]
fn a_change_holds_for_each_listener_at_once() {
    let mut world = World::new(2, Settings::default());
    world.come_by(1);
    let client = world.connect("c", Version::V5);
    let levels = |first, second| {
        let settings = |max_topic_levels| Settings { max_topic_levels, ..Settings::default() };
        two_listeners(settings(first), settings(second))
    };
    for (settings, code) in [(levels(1, 9), "00"), (levels(9, 1), "8f"), (Settings::default(), "00")] {
        world.configure(&settings);
        world.subscribe(client, "a/b", options(QoS::AtMostOnce));
        assert_eq!(world.packets(client), [format!("SUBACK #99 [{code}]")]);
    }
}

/// Slices of a replay from another shard fit the shortest queue that any listener's clients have.
#[test]
fn a_replay_fits_the_queue_of_a_client_with_a_short_one() {
    let second = Settings { max_mqueue_len: 20, ..Settings::default() };
    let mut world = World::new(8, two_listeners(Settings::default(), second));
    let publisher = world.connect("p", Version::V311);
    for number in 0..500 {
        world.publish_as(publisher, &format!("r/{number}"), "x", QoS::AtLeastOnce, 1, true);
    }
    world.come_by(1);
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, "#", options(QoS::AtLeastOnce));
    world.settle();
    let dropped: u64 = (0..8).map(|shard| world.shard(shard).counters().delivery_dropped_queue_full).sum();
    assert_eq!(dropped, 0);
}

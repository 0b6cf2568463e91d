//! Connections that do not take what they are sent.

use super::harness::{World, options};
use crate::control::{CongestionFacts, Control};
use crate::machine::HIGH_WATER_BYTES;
use crate::settings::{ConnCongestion, Settings};
use alloc::vec::Vec;
use core::time::Duration;
use ringmq_wire::{QoS, Version};

fn congested(world: &mut World) -> Vec<CongestionFacts> {
    let Control::Congested(found) = world.ask(0, Control::ListCongested) else { panic!("no answer") };
    found
}

fn world(enable_alarm: bool) -> World {
    let conn_congestion = ConnCongestion { enable_alarm, min_sustain: Duration::from_secs(5) };
    World::new(1, Settings { conn_congestion, max_mqueue_len: 3, ..Settings::default() })
}

#[test]
fn a_slow_reader_is_known_until_it_has_kept_up_for_long_enough() {
    let mut world = world(true);
    let publisher = world.connect("p", Version::V311);
    let slow = world.connect_as(Version::V5, |connect| {
        connect.client_id = "slow";
        connect.username = Some("u");
    });
    world.subscribe(slow, "t", options(QoS::AtMostOnce));
    let payload = "x".repeat(HIGH_WATER_BYTES / 4);
    world.publish(publisher, "t", &payload, QoS::AtMostOnce, 0);
    assert!(congested(&mut world).is_empty());
    world.set_deaf(slow, true);
    for _ in 0..6 {
        world.publish(publisher, "t", &payload, QoS::AtMostOnce, 0);
    }
    let found = congested(&mut world);
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].client_id, found[0].username.as_deref(), found[0].queued), ("slow", Some("u"), 2));
    assert!(found[0].unsent_bytes >= HIGH_WATER_BYTES);
    world.pass(9_000);
    assert_eq!(congested(&mut world).len(), 1, "as long as it is so");
    world.set_deaf(slow, false);
    world.pass(4_900);
    assert_eq!((congested(&mut world).len(), world.shard(0).counters().connections_congested), (1, 1));
    world.pass(200);
    assert_eq!((congested(&mut world).len(), world.shard(0).counters().connections_congested), (0, 0));
}

#[test]
fn who_is_gone_is_forgotten_and_nobody_is_known_unless_that_is_wanted() {
    for enable_alarm in [true, false] {
        let mut world = world(enable_alarm);
        let publisher = world.connect("p", Version::V311);
        let slow = world.connect("slow", Version::V5);
        world.subscribe(slow, "t", options(QoS::AtMostOnce));
        world.set_deaf(slow, true);
        let payload = "x".repeat(HIGH_WATER_BYTES / 2);
        for _ in 0..4 {
            world.publish(publisher, "t", &payload, QoS::AtMostOnce, 0);
        }
        assert_eq!(congested(&mut world).len(), usize::from(enable_alarm));
        world.drop_link(slow);
        assert!(congested(&mut world).is_empty());
    }
}

/// `tcp_options.high_watermark`: a mark for the clients of each listener.
#[test]
fn a_listener_says_how_much_may_be_unsent() {
    let with = |high_watermark| Settings { high_watermark, mqueue_store_qos0: true, ..Settings::default() };
    let (small, large) = (128 * 1024, 2 * HIGH_WATER_BYTES);
    let for_listeners = alloc::vec![with(small), with(large)];
    let mut world = World::new(1, Settings { for_listeners, ..Settings::default() });
    let publisher = world.connect("p", Version::V311);
    for (listener, mark) in [(0, small), (1, large)] {
        world.come_by(listener);
        let slow = world.connect(if listener == 0 { "little" } else { "much" }, Version::V5);
        let topic = if listener == 0 { "l" } else { "m" };
        world.subscribe(slow, topic, options(QoS::AtMostOnce));
        world.packets(slow);
        world.set_deaf(slow, true);
        let payload = "x".repeat(16 * 1024);
        let sent = 2 * mark / payload.len();
        for _ in 0..sent {
            world.publish(publisher, topic, &payload, QoS::AtMostOnce, 0);
        }
        let unsent = world.unsent(slow);
        assert!((mark..mark + 2 * payload.len()).contains(&unsent), "{unsent} of {mark}");
        // Nothing is lost, and the rest comes once all but a quarter of the mark has gone.
        world.set_deaf(slow, false);
        world.settle();
        assert_eq!(world.packets(slow).len(), sent);
    }
}

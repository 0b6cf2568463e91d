//! Slow subscriptions.

use super::harness::{Client, World, connect_packet, options};
use crate::control::Control;
use crate::settings::{Settings, SlowSubs, SlowSubsTime};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use ringmq_wire::{PacketType, QoS, ReasonCode, Version, encode_ack};

fn world(enable: bool, time: SlowSubsTime) -> World {
    let slow_subs = SlowSubs { enable, time, threshold: Duration::from_millis(100), ..SlowSubs::default() };
    World::new(1, Settings { slow_subs, ..Settings::default() })
}

fn slow(world: &mut World) -> Vec<String> {
    let Control::SlowSubs(slow) = world.ask(0, Control::ListSlowSubs) else { panic!("no answer") };
    let mut slow: Vec<String> =
        slow.iter().map(|slow| format!("{} {} {}", slow.client_id, slow.topic, slow.span_ms)).collect();
    slow.sort();
    slow
}

fn ack(world: &mut World, client: Client, packet_type: PacketType, packet_id: u16) {
    let mut bytes = Vec::new();
    encode_ack(&mut bytes, packet_type, Version::V311, packet_id, ReasonCode::SUCCESS);
    world.send(client, &bytes);
}

/// One message is answered late, one waits for its client, one is answered in time.
fn run(world: &mut World) {
    world.pass(1_000);
    let resume = |connect: &mut ringmq_wire::Connect<'_>| {
        connect.client_id = "s";
        connect.clean_start = false;
    };
    let client = world.connect_as(Version::V311, resume);
    for (filter, qos) in [("q0", QoS::AtMostOnce), ("q1/+", QoS::AtLeastOnce), ("q2", QoS::ExactlyOnce)] {
        world.subscribe(client, filter, options(qos));
    }
    let publisher = world.connect("p", Version::V311);
    world.publish(publisher, "q1/late", "x", QoS::AtLeastOnce, 1);
    world.publish(publisher, "q2", "x", QoS::ExactlyOnce, 2);
    world.publish(publisher, "q1/prompt", "x", QoS::AtLeastOnce, 3);
    world.publish(publisher, "q0", "x", QoS::AtMostOnce, 0);
    world.pass(50);
    ack(world, client, PacketType::PubAck, 3);
    world.pass(100);
    ack(world, client, PacketType::PubAck, 1);
    world.pass(50);
    ack(world, client, PacketType::PubRec, 2);
    ack(world, client, PacketType::PubComp, 2);
    world.drop_link(client);
    world.publish(publisher, "q1/waits", "x", QoS::AtLeastOnce, 4);
    world.publish(publisher, "q0", "x", QoS::AtMostOnce, 0);
    world.pass(300);
    let client = world.open(Version::V311);
    world.send(client, &connect_packet(Version::V311, resume));
    let packets = world.packets(client);
    assert_eq!(packets, ["CONNACK 00 present=true", "PUBLISH q1 q1/waits #1 x", "PUBLISH q0 q0 x"]);
    world.pass(30);
    ack(world, client, PacketType::PubAck, 1);
}

#[test]
fn each_kind_of_time_is_measured() {
    for (time, expected) in [
        (SlowSubsTime::Whole, &["s q0 300", "s q1/late 150", "s q1/waits 330", "s q2 200"][..]),
        (SlowSubsTime::Internal, &["s q0 300", "s q1/waits 300"]),
        (SlowSubsTime::Response, &["s q1/late 150", "s q2 200"]),
    ] {
        let mut world = world(true, time);
        run(&mut world);
        assert_eq!(slow(&mut world), expected, "{time:?}");
        assert!(matches!(world.ask(0, Control::ClearSlowSubs), Control::SlowSubsCleared));
        assert!(slow(&mut world).is_empty());
    }
}

#[test]
fn nothing_is_measured_unless_it_is_wanted() {
    let mut world = world(false, SlowSubsTime::Whole);
    run(&mut world);
    assert!(slow(&mut world).is_empty());
}

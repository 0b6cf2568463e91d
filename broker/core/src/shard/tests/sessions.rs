//! Sessions: take-over, resumption, identifiers, wills, keep alive.

use super::harness::{World, connect_packet, options};
use crate::settings::Settings;
use alloc::vec;
use alloc::vec::Vec;
use ringmq_wire::{PacketType, PublishProperties, QoS, ReasonCode, Version, Will, encode_ack};

fn will(topic: &'static str, delay: u32) -> Will<'static> {
    Will { qos: QoS::AtMostOnce, retain: false, topic, payload: b"gone", delay, properties: PublishProperties::NONE }
}

/// Client identifiers spread over the shards; a session must work wherever it lives.
#[test]
fn a_message_crosses_shards() {
    let mut world = World::new(4, Settings::default());
    for number in 0..20_u16 {
        let subscriber = world.connect(&alloc::format!("sub{number}"), Version::V311);
        let publisher = world.connect(&alloc::format!("pub{number}"), Version::V5);
        world.subscribe(subscriber, "a/+", options(QoS::AtLeastOnce));
        assert_eq!(world.packets(subscriber), ["SUBACK #99 [01]"]);
        world.publish(publisher, "a/b", "hi", QoS::ExactlyOnce, 5);
        assert_eq!(world.packets(publisher), ["PUBREC #5 00"]);
        assert_eq!(world.packets(subscriber), ["PUBLISH q1 a/b #1 hi"]);
        world.drop_link(subscriber);
    }
}

/// [MQTT-3.1.4-3] [MQTT3-3.1.4-2]
#[test]
fn the_same_client_takes_over_and_resumes() {
    let mut world = World::new(2, Settings::default());
    let persistent = |connect: &mut ringmq_wire::Connect<'_>| {
        connect.client_id = "twin";
        connect.properties.session_expiry = Some(100);
    };
    let first = world.connect_as(Version::V5, persistent);
    world.subscribe(first, "t", options(QoS::AtLeastOnce));
    world.packets(first);
    let publisher = world.connect("p", Version::V311);
    world.publish(publisher, "t", "one", QoS::AtLeastOnce, 1);
    assert_eq!(world.packets(first), ["PUBLISH q1 t #1 one"]);
    let second = world.open(Version::V5);
    let resume = connect_packet(Version::V5, |connect| {
        persistent(connect);
        connect.clean_start = false;
    });
    world.send(second, &resume);
    assert_eq!(world.packets(first), ["DISCONNECT 8e"]);
    assert!(!world.is_open(first));
    // [MQTT-4.4.0-1] [MQTT-3.3.1-1]
    assert_eq!(world.packets(second), ["CONNACK 00 present=true", "PUBLISH q1 t dup #1 one"]);
}

/// [MQTT-4.4.0-1] [MQTT-4.6.0-1]: after a reconnect, in the old order, PUBREL where PUBREC had come.
#[test]
fn unacknowledged_messages_are_resent_in_order() {
    let mut world = World::new(1, Settings::default());
    let connect = |clean_start| {
        connect_packet(Version::V311, |connect| {
            connect.client_id = "s";
            connect.clean_start = clean_start;
        })
    };
    let client = world.open(Version::V311);
    world.send(client, &connect(false));
    world.subscribe(client, "#", options(QoS::ExactlyOnce));
    let publisher = world.connect("p", Version::V311);
    for (number, payload) in ["a", "b", "c"].iter().enumerate() {
        world.publish(publisher, "t", payload, QoS::ExactlyOnce, 1 + u16::try_from(number).unwrap());
    }
    world.packets(client);
    let mut pubrec = Vec::new();
    encode_ack(&mut pubrec, PacketType::PubRec, Version::V311, 1, ReasonCode::SUCCESS);
    world.send(client, &pubrec);
    assert_eq!(world.packets(client), ["PUBREL #1 00"]);
    world.drop_link(client);
    world.publish(publisher, "t", "d", QoS::ExactlyOnce, 4);
    let client = world.open(Version::V311);
    world.send(client, &connect(false));
    assert_eq!(
        world.packets(client),
        [
            "CONNACK 00 present=true",
            "PUBREL #1 00",
            "PUBLISH q2 t dup #2 b",
            "PUBLISH q2 t dup #3 c",
            "PUBLISH q2 t #4 d"
        ]
    );
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9]
#[test]
fn a_delayed_will_waits_and_a_reconnect_cancels_it() {
    let mut world = World::new(2, Settings::default());
    let watcher = world.connect("w", Version::V311);
    world.subscribe(watcher, "will", options(QoS::AtMostOnce));
    world.packets(watcher);
    let connect = |connect: &mut ringmq_wire::Connect<'_>| {
        connect.client_id = "dying";
        connect.clean_start = false;
        connect.properties.session_expiry = Some(60);
        connect.will = Some(will("will", 5));
    };
    let client = world.connect_as(Version::V5, connect);
    world.drop_link(client);
    world.pass(4_999);
    assert!(world.packets(watcher).is_empty(), "not before its delay");
    let client = world.connect_as(Version::V5, connect);
    world.pass(10_000);
    assert!(world.packets(watcher).is_empty(), "cancelled by the reconnect");
    world.drop_link(client);
    world.pass(5_000);
    assert_eq!(world.packets(watcher), ["PUBLISH q0 will gone"]);
    world.pass(60_000);
    assert!(world.packets(watcher).is_empty(), "only once");
}

/// The session ends before the delay does [MQTT-3.1.2-8].
#[test]
fn the_end_of_the_session_releases_the_will() {
    let mut world = World::new(1, Settings::default());
    let watcher = world.connect("w", Version::V311);
    world.subscribe(watcher, "will", options(QoS::AtMostOnce));
    world.packets(watcher);
    let client = world.connect_as(Version::V5, |connect| {
        connect.client_id = "dying";
        connect.properties.session_expiry = Some(3);
        connect.will = Some(will("will", 500));
    });
    world.drop_link(client);
    world.pass(3_000);
    assert_eq!(world.packets(watcher), ["PUBLISH q0 will gone"]);
    assert_eq!(world.shard(0).counters().sessions, 1, "only the watcher's");
}

/// [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
#[test]
fn silence_ends_a_connection_after_one_and_a_half_keep_alives() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect_as(Version::V5, |connect| connect.keep_alive = 10);
    world.pass(14_999);
    assert!(world.is_open(client));
    world.send(client, &[0xC0, 0]);
    assert_eq!(world.packets(client), ["PINGRESP"]);
    world.pass(14_999);
    assert!(world.is_open(client), "the ping counts");
    world.pass(1);
    assert_eq!(world.packets(client), ["DISCONNECT 8d"]);
    assert!(!world.is_open(client));
}

#[test]
fn a_connection_without_connect_is_closed() {
    let mut world = World::new(1, Settings::default());
    let client = world.open(Version::V311);
    world.pass(15_000);
    assert!(!world.is_open(client));
    assert_eq!(world.shard(0).counters().client_idle, 1);
}

/// An identifier is given to a client without one, and it is at home where the client is [MQTT-3.1.3-6]
/// [MQTT-3.2.2-16].
#[test]
fn a_nameless_client_gets_a_name() {
    let mut world = World::new(8, Settings::default());
    for _ in 0..50 {
        world.connect("", Version::V5);
    }
    assert_eq!(world.shard(0).counters().sessions, 50);
    assert_eq!(world.shard(0).counters().client_handed_over, 0);
}

/// Packets may come in pieces of any size.
#[test]
fn packets_are_assembled_from_single_bytes() {
    let mut world = World::new(2, Settings::default());
    for name in ["even", "odd", "other"] {
        let client = world.open(Version::V5);
        let mut bytes = connect_packet(Version::V5, |connect| connect.client_id = name);
        bytes.extend([0xC0, 0, 0xC0, 0]);
        for byte in bytes {
            world.send(client, &[byte]);
        }
        assert_eq!(world.packets(client), ["CONNACK 00 present=false", "PINGRESP", "PINGRESP"]);
    }
}

/// [MQTT-3.3.4-9] [MQTT-4.9.0-2]: the window holds back, the queue keeps, the oldest goes when it is full.
#[test]
fn window_and_queue_are_bounded() {
    let settings = Settings { max_inflight: 2, max_mqueue_len: 3, ..Settings::default() };
    let mut world = World::new(1, settings);
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, "t", options(QoS::AtLeastOnce));
    let publisher = world.connect("p", Version::V311);
    for number in 1..=7_u16 {
        world.publish(publisher, "t", &alloc::format!("{number}"), QoS::AtLeastOnce, number);
    }
    assert_eq!(world.packets(subscriber)[1..], ["PUBLISH q1 t #1 1", "PUBLISH q1 t #2 2"]);
    assert_eq!(world.shard(0).counters().delivery_dropped_queue_full, 2);
    let mut acks = Vec::new();
    for packet_id in [1, 2, 3, 4, 5] {
        encode_ack(&mut acks, PacketType::PubAck, Version::V311, packet_id, ReasonCode::SUCCESS);
    }
    world.send(subscriber, &acks);
    assert_eq!(world.packets(subscriber), ["PUBLISH q1 t #3 5", "PUBLISH q1 t #4 6", "PUBLISH q1 t #5 7"]);
    world.send(subscriber, &acks[..4]);
    assert_eq!(world.shard(0).counters().puback_missed, 1);
}

/// [MQTT-3.1.0-2] [MQTT3-3.1.0-2] and the rest of what only a server may send.
#[test]
fn what_a_client_must_not_send_ends_the_connection() {
    for bytes in [connect_packet(Version::V5, |_| {}), vec![0xD0, 0], vec![0x20, 3, 0, 0, 0], vec![0xF0, 0]] {
        let mut world = World::new(1, Settings::default());
        let client = world.connect("c", Version::V5);
        world.send(client, &bytes);
        assert_eq!(world.packets(client), ["DISCONNECT 82"], "{bytes:02x?}");
        assert!(!world.is_open(client));
    }
}

/// [MQTT-2.2.1-4]: one message that is never acknowledged does not stop the others when identifiers start again.
#[test]
fn identifiers_wrap_around_one_in_use() {
    let mut world = World::new(1, Settings::default());
    let subscriber = world.connect("s", Version::V5);
    world.subscribe(subscriber, "t", options(QoS::AtLeastOnce));
    let publisher = world.connect("p", Version::V311);
    world.publish(publisher, "t", "held", QoS::AtLeastOnce, 1);
    world.packets(subscriber);
    for number in 0..66_000_u32 {
        world.publish(publisher, "t", "x", QoS::AtLeastOnce, 1);
        let packets = world.packets(subscriber);
        assert_eq!(packets.len(), 1, "message {number}");
        let packet_id: u16 = packets[0].split(['#', ' ']).nth(4).unwrap().parse().unwrap();
        assert_ne!(packet_id, 1);
        let mut ack = Vec::new();
        encode_ack(&mut ack, PacketType::PubAck, Version::V5, packet_id, ReasonCode::SUCCESS);
        world.send(subscriber, &ack);
    }
}

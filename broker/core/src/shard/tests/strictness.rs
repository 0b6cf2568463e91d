//! Packets that are wrong and do no harm.

use super::harness::{World, options};
use crate::settings::Settings;
use alloc::vec;
use ringmq_wire::{QoS, Version};

/// Listener 1 is lenient, listener 0 is not.
fn world(shards: usize) -> World {
    let lenient = Settings { strict_mode: false, ..Settings::default() };
    World::new(shards, Settings { for_listeners: vec![Settings::default(), lenient], ..Settings::default() })
}

#[test]
fn clients_of_a_lenient_listener_go_on_and_others_do_not() {
    for (bytes, answer) in [
        (&b"\x82\x06\0\0\0\x01a\0"[..], "lenient SUBACK #0 [00]"),
        (b"\xA0\x05\0\x09\0\x01a", "UNSUBACK #9 []"),
        (b"\x32\x05\0\x01t\0\0", "lenient PUBACK #0 00"),
        (b"\xC1\0", "PINGRESP"),
    ] {
        for shards in [1, 4] {
            let mut world = world(shards);
            for listener in [0, 1] {
                world.come_by(listener);
                let client = world.connect("c", Version::V311);
                world.send(client, bytes);
                world.settle();
                let expected: &[&str] = if listener == 0 { &[] } else { &[answer] };
                assert_eq!(world.packets(client), expected, "{bytes:02x?} on {shards} shards");
                assert_eq!(world.is_open(client), listener == 1);
            }
        }
    }
}

#[test]
fn a_lone_password_is_let_pass_where_the_client_is_at_home() {
    let bytes = b"\x10\x10\0\x04MQTT\x04\x42\0\x3C\0\x01c\0\x01p";
    for shards in [1, 4] {
        let mut world = world(shards);
        for listener in [0, 1] {
            world.come_by(listener);
            let client = world.open(Version::V311);
            world.send(client, bytes);
            world.settle();
            assert_eq!(world.is_open(client), listener == 1, "{shards} shards");
        }
    }
}

#[test]
fn identifier_0_makes_a_whole_exchange_of_qos_2() {
    let mut world = world(1);
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, "t", options(QoS::AtMostOnce));
    world.packets(subscriber);
    world.come_by(1);
    let client = world.connect("c", Version::V311);
    let publish = b"\x34\x06\0\x01t\0\0x";
    for _ in 0..2 {
        world.send(client, publish);
        // A repetition is answered and not published again.
        world.send(client, publish);
        assert_eq!(world.packets(client), ["lenient PUBREC #0 00", "lenient PUBREC #0 00"]);
        world.send(client, b"\x60\x02\0\0");
        assert_eq!(world.packets(client), ["lenient PUBCOMP #0 00"]);
    }
    assert_eq!(world.packets(subscriber), ["PUBLISH q0 t x", "PUBLISH q0 t x"]);
}

//! Connections that a proxy hands on.

use super::harness::{World, connect_packet};
use crate::control::Control;
use crate::settings::Settings;
use crate::shard::Shard;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use ringmq_wire::Version;

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 4242 1883\r\n";

/// A header of version 2 for [2001:db8::7]:4242, with more behind the addresses.
fn v2() -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x28".to_vec();
    bytes.extend([0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    bytes.extend([0; 16]);
    bytes.extend([0x10, 0x92, 7, 0x5B]);
    bytes.extend([4, 0, 1, 0]);
    bytes
}

fn settings() -> Settings {
    Settings { proxy_protocol: true, ..Settings::default() }
}

fn connect(client_id: &str) -> Vec<u8> {
    let client_id: &'static str = client_id.to_owned().leak();
    connect_packet(Version::V5, |connect| connect.client_id = client_id)
}

fn sum(world: &World, shards: usize, count: impl Fn(&Shard) -> u64) -> u64 {
    (0..shards).map(|shard| count(world.shard(shard))).sum()
}

/// Where a client is said to come from.
fn peer(world: &mut World, shards: usize, client_id: &str) -> Option<SocketAddr> {
    let found = (0..shards).find_map(|shard| match world.ask(shard, Control::ShowClient(client_id.into())) {
        Control::Client(facts) => facts,
        other => panic!("not an answer: {other:?}"),
    });
    found.expect("the client is there").peer
}

#[test]
fn a_client_comes_from_where_its_proxy_says() {
    const SHARDS: usize = 4;
    let mut world = World::new(SHARDS, settings());
    // Twelve names are at home on every shard: most of the connections are handed over.
    for number in 0..12 {
        let name = format!("c{number}");
        let (header, expected) = match number % 4 {
            0 => (HEADER.to_vec(), "203.0.113.7:4242"),
            1 => (v2(), "[2001:db8::7]:4242"),
            2 => (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1:5000"),
            _ => (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec(), "127.0.0.1:5000"),
        };
        let client = world.open(Version::V5);
        world.send(client, &[header, connect(&name)].concat());
        assert_eq!(world.packets(client), ["CONNACK 00 present=false"]);
        assert_eq!(peer(&mut world, SHARDS, &name), Some(expected.parse().unwrap()), "{name}");
    }
    assert!((0..SHARDS).all(|shard| world.shard(shard).counters().connections > 0));
}

#[test]
fn the_header_may_come_in_pieces() {
    for header in [HEADER.to_vec(), v2()] {
        let mut world = World::new(4, settings());
        let client = world.open(Version::V5);
        for byte in [header, connect("c")].concat() {
            world.send(client, &[byte]);
        }
        assert_eq!(world.packets(client), ["CONNACK 00 present=false"]);
        assert_eq!(peer(&mut world, 4, "c").unwrap().port(), 4242);
    }
}

#[test]
fn a_connection_without_a_sound_header_is_closed() {
    let mut world = World::new(1, settings());
    let wrong: [Vec<u8>; 4] = [
        connect("c"),
        b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
        [b"PROXY TCP4 ".to_vec(), [b'1'; 200].to_vec()].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
    ];
    for (number, bytes) in wrong.iter().enumerate() {
        let client = world.open(Version::V5);
        world.send(client, bytes);
        assert!(!world.is_open(client) && world.packets(client).is_empty(), "{bytes:?}");
        assert_eq!(world.shard(0).counters().client_proxy_protocol_error, number as u64 + 1);
    }
    // A header is for a connection, not for a packet.
    let client = world.open(Version::V5);
    world.send(client, &[HEADER, HEADER, HEADER].concat());
    assert!(!world.is_open(client));
    assert_eq!(world.shard(0).counters().client_proxy_protocol_error, 4);
}

#[test]
fn a_header_that_is_late_is_not_waited_for() {
    let mut world = World::new(1, settings());
    let (silent, slow, right) = (world.open(Version::V5), world.open(Version::V5), world.open(Version::V5));
    world.send(slow, &HEADER[..10]);
    world.send(right, HEADER);
    world.pass(2_999);
    assert!(world.is_open(silent) && world.is_open(slow));
    world.pass(1);
    assert!(!world.is_open(silent) && !world.is_open(slow) && world.is_open(right));
    let counters = world.shard(0).counters();
    assert_eq!((counters.client_proxy_protocol_error, counters.client_idle), (2, 0));
    // What comes after it has the time that every CONNECT has.
    world.pass(12_000);
    assert!(!world.is_open(right));
    assert_eq!(world.shard(0).counters().client_idle, 1);
}

#[test]
fn connections_are_counted_by_the_address_that_the_proxy_says() {
    let settings = Settings { max_conn_rate_per_ip: 2, idle_timeout: Duration::from_secs(5), ..settings() };
    let mut world = World::new(1, settings);
    let line = |last: u8| format!("PROXY TCP4 203.0.113.{last} 198.51.100.1 4242 1883\r\n").into_bytes();
    let open = |world: &mut World, last: u8| {
        let client = world.open(Version::V5);
        world.send(client, &line(last));
        world.is_open(client)
    };
    assert_eq!([1, 1, 1, 2, 2, 2].map(|last| open(&mut world, last)), [true, true, false, true, true, false]);
    assert_eq!(sum(&world, 1, |shard| shard.counters().client_rate_limited), 2);
}

#[test]
fn only_listeners_that_ask_for_headers_take_them() {
    let plain = Settings::default();
    let for_listeners = alloc::vec![plain.clone(), settings()];
    let mut world = World::new(2, Settings { for_listeners, ..plain });
    world.connect("plain", Version::V5);
    let spoofing = world.open(Version::V5);
    world.send(spoofing, &[HEADER.to_vec(), connect(&"s".repeat(50))].concat());
    assert!(!world.is_open(spoofing), "not for a client to say");
    world.come_by(1);
    let client = world.open(Version::V5);
    world.send(client, &[HEADER.to_vec(), connect("c")].concat());
    assert_eq!(world.packets(client), ["CONNACK 00 present=false"]);
    let told: Vec<String> = ["plain", "c"].map(|name| peer(&mut world, 2, name).unwrap().to_string()).into();
    assert_eq!(told, ["127.0.0.1:5000", "203.0.113.7:4242"]);
}

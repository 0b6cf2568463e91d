//! Enhanced authentication, with a method made for the test.

use super::harness::{World, connect_packet};
use crate::counters::Counters;
use crate::enhanced_auth::{AuthExchange, AuthMethod, AuthStep};
use crate::settings::Settings;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use ringmq_wire::{Auth, ReasonCode, UserProperties, Version};

/// The client must answer `answer` to `question`.
struct Question;

struct Exchange {
    asked: bool,
}

impl AuthMethod for Question {
    fn name(&self) -> &str {
        "QUESTION"
    }
    fn begin(&self, _client_id: &str) -> Box<dyn AuthExchange> {
        Box::new(Exchange { asked: false })
    }
}

impl AuthExchange for Exchange {
    fn step(&mut self, data: &[u8], reply: &mut Vec<u8>) -> AuthStep {
        if !core::mem::replace(&mut self.asked, true) {
            reply.extend_from_slice(b"question");
            return AuthStep::Continue;
        }
        if data == b"answer" { AuthStep::Done } else { AuthStep::Refuse(ReasonCode::NOT_AUTHORIZED) }
    }
}

fn world() -> World {
    World::with_auth(2, &Settings::default(), || vec![Box::new(Question)])
}

fn auth(reason: ReasonCode, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = Auth {
        reason,
        authentication_method: Some("QUESTION"),
        authentication_data: Some(data),
        reason_string: None,
        user_properties: UserProperties::NONE,
    };
    packet.encode(&mut bytes);
    bytes
}

fn connect(method: &'static str) -> Vec<u8> {
    connect_packet(Version::V5, |connect| connect.properties.authentication_method = Some(method))
}

/// [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5]
#[test]
fn an_exchange_leads_to_connack_and_can_be_repeated() {
    let mut world = world();
    let client = world.open(Version::V5);
    world.send(client, &connect("QUESTION"));
    assert_eq!(world.packets(client), ["AUTH 18 Some(\"question\")"]);
    world.send(client, &auth(ReasonCode::CONTINUE_AUTHENTICATION, b"answer"));
    assert_eq!(world.packets(client), ["CONNACK 00 present=false"]);
    // [MQTT-4.12.1-1]
    world.send(client, &auth(ReasonCode::RE_AUTHENTICATE, b""));
    assert_eq!(world.packets(client), ["AUTH 18 Some(\"question\")"]);
    world.send(client, &auth(ReasonCode::CONTINUE_AUTHENTICATION, b"answer"));
    assert_eq!(world.packets(client), ["AUTH 00 None"]);
    // [MQTT-4.12.1-2]
    world.send(client, &auth(ReasonCode::RE_AUTHENTICATE, b""));
    world.packets(client);
    world.send(client, &auth(ReasonCode::CONTINUE_AUTHENTICATION, b"wrong"));
    assert_eq!(world.packets(client), ["DISCONNECT 87"]);
    assert!(!world.is_open(client));
    let counted = [world.shard(0).counters(), world.shard(1).counters()];
    let sum = |of: fn(&Counters) -> u64| counted.iter().map(of).sum::<u64>();
    assert_eq!((sum(|c| c.auth_received), sum(|c| c.auth_sent)), (5, 4));
    assert_eq!((sum(|c| c.authentication_success), sum(|c| c.authentication_success_anonymous)), (1, 0));
}

/// [MQTT-4.12.0-4] [MQTT-3.1.4-6]
#[test]
fn a_refused_exchange_is_a_refused_connect() {
    for (bytes, code) in [
        (auth(ReasonCode::CONTINUE_AUTHENTICATION, b"wrong"), "CONNACK 87 present=false"),
        (vec![0xC0, 0], "CONNACK 82 present=false"),
    ] {
        let mut world = world();
        let client = world.open(Version::V5);
        world.send(client, &connect("QUESTION"));
        world.packets(client);
        world.send(client, &bytes);
        assert_eq!(world.packets(client), [code]);
        assert!(!world.is_open(client));
    }
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-7]
#[test]
fn an_unknown_method_is_refused_and_auth_needs_one() {
    let mut world = world();
    let client = world.open(Version::V5);
    world.send(client, &connect("KERBEROS"));
    assert_eq!(world.packets(client), ["CONNACK 8c present=false"]);
    assert!(!world.is_open(client));
    let client = world.connect("plain", Version::V5);
    world.send(client, &auth(ReasonCode::RE_AUTHENTICATE, b""));
    assert_eq!(world.packets(client), ["DISCONNECT 82"]);
}

//! Whole messages through a shard: what a driver hands in, and all that follows until bytes are ready to be sent.

use super::rig::{Place, Rig, publish};
use super::{Counter, Scenario};
use ringmq_wire::{PacketType, QoS, ReasonCode, Version, encode_ack};

/// Where all scenarios publish.
const TOPIC: &str = "site/0042/line/07/temperature";
/// Bytes of a message.
const PAYLOAD: [u8; 64] = [0x5a; 64];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario { name: "shard/publish-q0-to-1", run: |to| fan_out(to, 1, QoS::AtMostOnce) },
        Scenario { name: "shard/publish-q0-to-100", run: |to| fan_out(to, 100, QoS::AtMostOnce) },
        Scenario { name: "shard/publish-q1-acknowledged", run: acknowledged },
        Scenario { name: "shard/publish-no-subscriber", run: |to| fan_out(to, 0, QoS::AtMostOnce) },
        Scenario { name: "shard/connect-subscribe", run: connect_subscribe },
    ]
}

fn rig_with(subscribers: usize, qos: QoS) -> (Rig, Place, Vec<Place>) {
    let mut rig = Rig::new(1);
    let places = (0..subscribers).map(|number| rig.connect(&format!("subscriber-{number}"), 0)).collect::<Vec<_>>();
    for place in &places {
        rig.subscribe(*place, TOPIC, qos);
    }
    let publisher = rig.connect("publisher", 0);
    (rig, publisher, places)
}

fn fan_out(to: &mut Counter, subscribers: usize, qos: QoS) {
    let (mut rig, publisher, _) = rig_with(subscribers, qos);
    let packet = publish(TOPIC, qos, 0, &PAYLOAD);
    to.count(|| {
        let before = rig.bytes_out;
        rig.receive(publisher, &packet);
        rig.advance(1);
        assert_eq!(rig.bytes_out - before, (subscribers * packet.len()) as u64, "all arrive, once");
    });
}

/// QoS 1 on both sides: publish, acknowledge it to the publisher, deliver, take the subscriber's acknowledgement.
fn acknowledged(to: &mut Counter) {
    let (mut rig, publisher, subscribers) = rig_with(1, QoS::AtLeastOnce);
    let packet = publish(TOPIC, QoS::AtLeastOnce, 1, &PAYLOAD);
    let mut packet_id = 0;
    let mut answer = Vec::new();
    to.count(|| {
        let before = rig.bytes_out;
        rig.receive(publisher, &packet);
        // An identifier that was not acknowledged would soon fill the window, and nothing would be delivered.
        assert_eq!(rig.bytes_out - before, packet.len() as u64 + 4, "the message and a PUBACK");
        packet_id += 1;
        answer.clear();
        encode_ack(&mut answer, PacketType::PubAck, Version::V311, packet_id, ReasonCode::SUCCESS);
        rig.receive(subscribers[0], &answer);
    });
}

/// A new client with one subscription; each repetition is another client.
fn connect_subscribe(to: &mut Counter) {
    let mut rig = Rig::new(1);
    let mut number = 0;
    to.count(|| {
        number += 1;
        let client = rig.connect(&format!("client-{number:06}"), 60);
        rig.subscribe(client, &format!("device/{number:07}/commands"), QoS::AtLeastOnce);
    });
}

//! The fleet without sockets: the test is the driver and the broker in one, and decides every byte.

use super::*;
use crate::cli::Cli;
use crate::clock::{Clock, NANOS_PER_MILLI};
use crate::live::Live;
use crate::plan::Plan;
use crate::stage::Stage;
use clap::Parser;
use ringmq_core::machine::{CloseCause, CloseHow, Command, ConnId, Input, Machine, Origin};
use ringmq_wire::{
    Ack, ConnAck, ConnAckProperties, Cut, MAX_PACKET_LEN, Packet, PacketType, PublishOut, QoS, ReasonCode, SubAck,
    Version, cut, decode,
};
use std::mem;
use std::sync::mpsc::{Receiver, channel};

struct Rig {
    fleet: Fleet,
    fx: Effects,
    told: Receiver<Event>,
    version: Version,
}

impl Rig {
    /// Thread 0 of a run with these options, its clients connected and subscribed; client `i` has connection `i`.
    fn new(line: &str, properties: ConnAckProperties<'_>) -> Self {
        let cli = Cli::try_parse_from(std::iter::once("ringmq-loadgen").chain(line.split_whitespace())).unwrap();
        let plan = Arc::new(Plan::new(&cli).unwrap());
        let (threads, version) = (plan.threads(), plan.identity.version);
        let (events, told) = channel();
        let (stage, directory) = (Arc::new(Stage::new(threads)), Arc::new(Directory::new(&plan)));
        let fleet =
            Fleet::new(Context { plan, stage, directory, live: Live::unwatched(), clock: Clock::start(), events }, 0);
        let mut rig = Self { fleet, fx: Effects::new(threads), told, version };
        rig.begin(Phase::Connect);
        for command in mem::take(&mut rig.fx.commands) {
            let Command::Connect { token, remote, .. } = command else { panic!("{command:?}") };
            let origin = Origin::Connected { token };
            rig.input(Input::Opened { conn: ConnId(token as u32), peer: remote, origin });
        }
        for client in 0..rig.fleet.clients.len() as u32 {
            assert!(matches!(rig.sent(client)[..], [Sent::Connect]));
            let mut bytes = Vec::new();
            ConnAck { properties, ..ConnAck::default() }.encode(version, &mut bytes);
            rig.receive(client, &bytes);
        }
        rig.tick();
        rig.begin(Phase::Subscribe);
        for client in rig.fleet.publishers.len() as u32..rig.fleet.clients.len() as u32 {
            assert!(matches!(rig.sent(client)[..], [Sent::Subscribe]));
            let mut bytes = Vec::new();
            let codes = [rig.fleet.cx.plan.subscription_qos.bits()];
            SubAck { packet_id: 1, codes: &codes, properties: ringmq_wire::AckProperties::NONE }
                .encode(version, &mut bytes);
            rig.receive(client, &bytes);
        }
        rig.tick();
        let reached: Vec<Event> = rig.told.try_iter().collect();
        assert_eq!(reached.len(), 2, "connected and subscribed: {reached:?}");
        rig
    }

    fn begin(&mut self, phase: Phase) {
        self.fleet.cx.stage.begin(phase, self.fleet.cx.clock.now());
        self.tick();
    }

    fn tick(&mut self) {
        self.input(Input::Tick);
    }

    fn input(&mut self, input: Input<'_>) {
        self.fleet.handle(Time(0), input, &mut self.fx);
    }

    fn receive(&mut self, client: u32, bytes: &[u8]) {
        self.input(Input::Received { conn: ConnId(client), bytes });
    }

    fn acknowledge(&mut self, client: u32, kind: PacketType, packet_id: u16, reason: ReasonCode) {
        let mut bytes = Vec::new();
        let properties = ringmq_wire::AckProperties::NONE;
        Ack { packet_id, reason, properties }.encode(kind, self.version, &mut bytes);
        self.receive(client, &bytes);
    }

    /// Takes what the fleet has to send on a connection.
    fn sent(&mut self, client: u32) -> Vec<Sent> {
        let bytes = self.fx.outbox.detach(ConnId(client)).rest();
        let mut packets = Vec::new();
        let mut rest = &bytes[..];
        while let Cut::Frame(frame, used) = cut(rest, MAX_PACKET_LEN).unwrap() {
            rest = &rest[used..];
            packets.push(match decode(frame, self.version).unwrap() {
                Packet::Connect(_) => Sent::Connect,
                Packet::Subscribe(_) => Sent::Subscribe,
                Packet::Publish(publish) => Sent::Publish(publish.packet_id, publish.payload.to_vec()),
                Packet::PubAck(ack) => Sent::Ack(PacketType::PubAck, ack.packet_id),
                Packet::PubRec(ack) => Sent::Ack(PacketType::PubRec, ack.packet_id),
                Packet::PubRel(ack) => Sent::Ack(PacketType::PubRel, ack.packet_id),
                Packet::PubComp(ack) => Sent::Ack(PacketType::PubComp, ack.packet_id),
                other => panic!("unexpected {other:?}"),
            });
        }
        assert!(rest.is_empty(), "only whole packets are sent");
        packets
    }

    fn published(&mut self, client: u32) -> Vec<(u16, Vec<u8>)> {
        let messages = self.sent(client).into_iter().map(|sent| match sent {
            Sent::Publish(packet_id, payload) => (packet_id, payload),
            other => panic!("unexpected {other:?}"),
        });
        messages.collect()
    }

    fn message(&self, qos: QoS, packet_id: u16, dup: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let message = PublishOut {
            qos,
            retain: false,
            dup,
            topic: b"t",
            packet_id,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload,
        };
        message.encode(self.version, &mut bytes);
        bytes
    }

    fn errors(&self) -> Vec<&str> {
        self.fleet.meter.errors.keys().map(String::as_str).collect()
    }
}

#[derive(Debug, PartialEq)]
enum Sent {
    Connect,
    Subscribe,
    Publish(u16, Vec<u8>),
    Ack(PacketType, u16),
}

/// [MQTT-3.3.4-7]
#[test]
fn the_servers_receive_maximum_bounds_a_larger_window() {
    let properties = ConnAckProperties { receive_maximum: Some(3), ..ConnAckProperties::default() };
    let mut rig = Rig::new("p2p --pairs 1 --mqtt 5 --qos 1 --window 10 --credit ack", properties);
    rig.begin(Phase::Traffic);
    let ids: Vec<u16> = rig.published(0).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1, 2, 3]);
    rig.tick();
    assert!(rig.published(0).is_empty());
    rig.acknowledge(0, PacketType::PubAck, 2, ReasonCode::SUCCESS);
    assert_eq!(
        rig.published(0).iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [2],
        "the free identifier is used again"
    );
    rig.acknowledge(0, PacketType::PubAck, 9, ReasonCode::SUCCESS);
    assert_eq!(rig.errors(), ["PubAck for a packet identifier that is not in that state"]);
}

/// [MQTT-4.3.3-4]
#[test]
fn a_qos_2_exchange_is_complete_or_ends_with_a_failed_pubrec() {
    let mut rig = Rig::new("p2p --pairs 1 --mqtt 5 --qos 2 --window 2 --credit ack", ConnAckProperties::default());
    rig.begin(Phase::Traffic);
    assert_eq!(rig.published(0).len(), 2);
    rig.acknowledge(0, PacketType::PubRec, 1, ReasonCode::SUCCESS);
    assert_eq!(rig.sent(0), [Sent::Ack(PacketType::PubRel, 1)], "and no further message");
    rig.acknowledge(0, PacketType::PubComp, 1, ReasonCode::SUCCESS);
    assert_eq!(rig.published(0).len(), 1);
    rig.acknowledge(0, PacketType::PubRec, 2, ReasonCode::QUOTA_EXCEEDED);
    assert_eq!(rig.published(0).len(), 1, "a failed PUBREC frees its place");
    assert_eq!(rig.errors(), ["PubRec: Quota exceeded (0x97)"]);
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-11]
#[test]
fn a_repeated_qos_2_message_is_answered_and_counted_once() {
    let mut rig = Rig::new("p2p --pairs 1 --qos 2 --window 1", ConnAckProperties::default());
    rig.begin(Phase::Traffic);
    let (_, payload) = rig.published(0).remove(0);
    for dup in [false, true] {
        let bytes = rig.message(QoS::ExactlyOnce, 7, dup, &payload);
        rig.receive(1, &bytes);
        assert_eq!(rig.sent(1), [Sent::Ack(PacketType::PubRec, 7)]);
    }
    for _ in 0..2 {
        rig.acknowledge(1, PacketType::PubRel, 7, ReasonCode::SUCCESS);
        assert_eq!(rig.sent(1), [Sent::Ack(PacketType::PubComp, 7)]);
    }
    let tally = rig.fleet.checks.tally();
    assert_eq!((tally.delivered, tally.duplicates), (1, 0));
}

#[test]
fn frames_may_come_in_any_pieces() {
    for piece in [1, 2, 3, 7, 50, 1000] {
        let mut rig = Rig::new("p2p --pairs 1 --window 5 --size 150", ConnAckProperties::default());
        rig.begin(Phase::Traffic);
        let messages = rig.published(0);
        assert_eq!(messages.len(), 5);
        let bytes: Vec<u8> =
            messages.iter().flat_map(|(_, payload)| rig.message(QoS::AtMostOnce, 0, false, payload)).collect();
        for part in bytes.chunks(piece) {
            rig.receive(1, part);
        }
        assert_eq!(rig.fleet.checks.tally().delivered, 5, "in pieces of {piece}");
        assert_eq!(rig.published(0).len(), 5, "each delivery lets the next message go");
    }
}

#[test]
fn a_fan_out_window_counts_every_copy() {
    let mut rig = Rig::new("fanout --subscribers 3 --window 2", ConnAckProperties::default());
    rig.begin(Phase::Traffic);
    let messages = rig.published(0);
    assert_eq!(messages.len(), 2);
    let bytes = rig.message(QoS::AtMostOnce, 0, false, &messages[0].1);
    for subscriber in 1..3 {
        rig.receive(subscriber, &bytes);
        assert!(rig.published(0).is_empty(), "a copy is missing");
    }
    rig.receive(3, &bytes);
    assert_eq!(rig.published(0).len(), 1);
}

#[test]
fn credits_for_other_threads_go_through_the_mesh() {
    // Two threads: publisher 1 runs on the other one, subscriber 0 here hears from both.
    let line = "fanin --publishers 2 --subscribers 1 --all --window 1 --cores 0,1";
    let mut rig = Rig::new(line, ConnAckProperties::default());
    rig.begin(Phase::Traffic);
    assert_eq!(rig.published(0).len(), 1);
    let payload = rig.fleet.maker.make(1, 0, 0).to_vec();
    let bytes = rig.message(QoS::AtMostOnce, 0, false, &payload);
    rig.receive(1, &bytes);
    let staged = mem::take(rig.fx.mesh.lane(ShardId(1), ringmq_core::machine::Lane::Data));
    assert_eq!(staged, [0, 0, 0, 0, 1, 0, 0, 0], "one credit for the other thread's first publisher");
    // The same record from the other thread is a credit for our own first publisher.
    rig.input(Input::Mesh { from: ShardId(1), bytes: &staged });
    assert_eq!(rig.published(0).len(), 1);
}

#[test]
fn an_open_loop_held_back_catches_up_and_counts_from_when_messages_were_due() {
    let properties = ConnAckProperties { receive_maximum: Some(1), ..ConnAckProperties::default() };
    let mut rig = Rig::new("p2p --pairs 1 --mqtt 5 --qos 1 --rate 1000000", properties);
    rig.begin(Phase::Traffic);
    let start = rig.fleet.cx.stage.phase_start();
    for sequence in 0..3 {
        while rig.fleet.publishers[0].behind == 0 && rig.fleet.publishers[0].sequence == sequence {
            rig.tick();
        }
        let (id, payload) = rig.published(0).remove(0);
        let header = rig.fleet.maker.read(&payload, || None).unwrap();
        assert_eq!((header.sequence, header.intended_ns), (Some(sequence), Some(start + sequence * 1000)));
        while rig.fleet.publishers[0].behind == 0 {
            rig.tick();
        }
        assert!(rig.published(0).is_empty(), "the Receive Maximum is used up");
        rig.acknowledge(0, PacketType::PubAck, id, ReasonCode::SUCCESS);
    }
}

#[test]
fn losing_a_connection_keeps_the_account_straight() {
    let mut rig = Rig::new("p2p --pairs 1 --qos 2 --window 4", ConnAckProperties::default());
    rig.begin(Phase::Traffic);
    let (_, payload) = rig.published(0).remove(0);
    let bytes = rig.message(QoS::ExactlyOnce, 1, false, &payload);
    rig.receive(1, &bytes);
    assert_eq!(rig.fleet.account.unacknowledged, 5);
    for client in 0..2 {
        rig.input(Input::Closed { conn: ConnId(client), cause: CloseCause::Peer });
    }
    assert_eq!((rig.fleet.account.unacknowledged, rig.fleet.open), (0, 0));
    rig.tick();
    assert!(rig.told.try_iter().any(|event| matches!(event, Event::Abandoned)));
    assert_eq!(rig.fleet.meter.errors["connection closed by the broker"], 2);
}

#[test]
fn garbage_from_the_broker_closes_the_connection_and_nothing_else() {
    for garbage in
        [&[0x00, 0x00][..], &[0x36, 0x02, 0, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF], &[0xC0, 0x00], &[0x20, 2, 0, 0]]
    {
        let mut rig = Rig::new("p2p --pairs 2 --window 1", ConnAckProperties::default());
        rig.begin(Phase::Traffic);
        rig.receive(3, garbage);
        assert!(matches!(rig.fx.commands[..], [Command::Close { conn: ConnId(3), how: CloseHow::Abort }]));
        assert_eq!((rig.fleet.meter.errors.len(), rig.fleet.open), (1, 3), "{garbage:?}");
    }
}

#[test]
fn a_latency_ends_with_the_kernels_time_if_that_is_asked_for_and_else_with_the_reading() {
    const LATE_NS: u64 = 20 * NANOS_PER_MILLI;
    for timestamps in ["kernel", "reading"] {
        let line = format!("p2p --pairs 1 --window 1 --timestamps {timestamps}");
        let mut rig = Rig::new(&line, ConnAckProperties::default());
        rig.fleet.cx.stage.measure_from(0);
        let before = rig.fleet.cx.clock.now();
        rig.begin(Phase::Traffic);
        let (_, payload) = rig.published(0).remove(0);
        rig.fleet.arriving(crate::clock::wall_ns());
        let arrived = rig.fleet.cx.clock.now();
        while rig.fleet.cx.clock.now() < arrived + LATE_NS {
            std::hint::spin_loop();
        }
        let message = rig.message(QoS::AtMostOnce, 0, false, &payload);
        rig.receive(1, &message);
        let took_us = rig.fleet.meter.end_to_end.percentiles().unwrap().max_us;
        let late_us = LATE_NS as f64 / 1000.0;
        if timestamps == "kernel" {
            // The clocks are read one after the other, and three digits are kept.
            let longest_us = ((arrived - before) as f64 / 1000.0 + 2.0) * 1.01;
            assert!(took_us <= longest_us, "{took_us} us and not {longest_us} at most");
            let read_us = rig.fleet.meter.read.percentiles().unwrap().min_us;
            assert!(read_us >= late_us * 0.99, "{read_us}");
        } else {
            assert!(took_us >= late_us * 0.99, "{took_us}");
            assert!(rig.fleet.meter.read.is_empty());
        }
    }
}

#[test]
fn a_thread_that_has_opened_all_its_connections_sleeps_until_the_others_have() {
    let mut rig = Rig::new("conn --clients 3 --subscribe --connect-rate 1000000000", ConnAckProperties::default());
    rig.fleet.phase = Phase::Connect;
    assert_eq!(rig.fleet.deadline(), Some(Time(rig.fleet.poll_ns)), "nothing is due any more");
}

//! Whole messages through a shard, timed: how a fan-out is encoded for many subscribers, and what a session does with
//! its subscriber's acknowledgements.
//!
//! Absent: sockets and system calls, which scripts/bench measures, and the rings between shards (see mesh.rs).

#[path = "../tests/support/mod.rs"]
mod rig;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rig::{Place, Rig, publish};
use ringmq_core::machine::Input;
use ringmq_wire::{PacketType, QoS, ReasonCode, Version, encode_ack};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Where everything is published.
const TOPIC: &str = "site/0042/line/07/temperature";
/// Bytes of a message.
const PAYLOAD: [u8; 64] = [0x5a; 64];
/// Subscribers of one fan-out.
const SUBSCRIBERS: usize = 1000;
/// Subscribers of a fan-out that takes many turns.
const CROWD: usize = 100_000;
/// Messages on their way to one subscriber: half of the default window, so that none waits.
const IN_FLIGHT: u16 = 16;

fn subscribed(count: usize, qos: QoS) -> (Rig, Place, Vec<Place>) {
    let mut rig = Rig::new(1);
    let places: Vec<Place> = (0..count).map(|number| rig.connect(&format!("subscriber-{number}"), 0)).collect();
    for place in &places {
        rig.subscribe(*place, TOPIC, qos);
    }
    let publisher = rig.connect("publisher", 0);
    (rig, publisher, places)
}

/// The packet that answers the delivery with this identifier.
fn answer(to: &mut Vec<u8>, kind: PacketType, packet_id: u16) {
    encode_ack(to, kind, Version::V311, packet_id, ReasonCode::SUCCESS);
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out encode");
    group.throughput(Throughput::Elements(SUBSCRIBERS as u64));
    group.bench_function(BenchmarkId::new("QoS 0", SUBSCRIBERS), |bencher| {
        let (mut rig, publisher, _) = subscribed(SUBSCRIBERS, QoS::AtMostOnce);
        let packet = publish(TOPIC, QoS::AtMostOnce, 0, &PAYLOAD);
        bencher.iter(|| {
            let before = rig.bytes_out;
            rig.receive(publisher, black_box(&packet));
            rig.advance(1);
            assert_eq!(rig.bytes_out - before, (SUBSCRIBERS * packet.len()) as u64, "all arrive, once");
        });
    });
    // At QoS 1 every copy has a packet identifier of its own. What is acknowledged afterwards is not timed.
    group.bench_function(BenchmarkId::new("QoS 1", SUBSCRIBERS), |bencher| {
        let (mut rig, publisher, subscribers) = subscribed(SUBSCRIBERS, QoS::AtLeastOnce);
        let packet = publish(TOPIC, QoS::AtLeastOnce, 1, &PAYLOAD);
        let mut packet_id = 0_u16;
        bencher.iter_custom(|iterations| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..iterations {
                let before = rig.bytes_out;
                let start = Instant::now();
                rig.receive(publisher, black_box(&packet));
                elapsed += start.elapsed();
                packet_id = if packet_id == u16::MAX { 1 } else { packet_id + 1 };
                let mut puback = Vec::new();
                answer(&mut puback, PacketType::PubAck, packet_id);
                let sent = SUBSCRIBERS * packet.len() + puback.len();
                assert_eq!(rig.bytes_out - before, sent as u64, "all arrive, once, and the publisher has its PUBACK");
                for subscriber in &subscribers {
                    rig.receive(*subscriber, &puback);
                }
                rig.advance(1);
            }
            elapsed
        });
    });
    group.finish();
}

/// The longest turn while one message goes to a crowd: what somebody else's ping waits for. What takes the bytes out of the
/// shard is in it, sockets are not.
fn longest_turn(criterion: &mut Criterion) {
    let (mut rig, publisher, _) = subscribed(CROWD, QoS::AtMostOnce);
    let packet = publish(TOPIC, QoS::AtMostOnce, 0, &PAYLOAD);
    criterion.benchmark_group("fan-out, longest turn").sample_size(10).bench_function(
        BenchmarkId::new("QoS 0", CROWD),
        |bencher| {
            bencher.iter_custom(|iterations| {
                let mut longest_of_all = Duration::ZERO;
                for _ in 0..iterations {
                    let sent = rig.bytes_out + (CROWD * packet.len()) as u64;
                    let mut longest = Duration::ZERO;
                    let mut input = Input::Received { conn: publisher.conn, bytes: black_box(&packet) };
                    while rig.bytes_out < sent {
                        let start = Instant::now();
                        rig.input(publisher.shard, input);
                        rig.send(publisher.shard);
                        longest = longest.max(start.elapsed());
                        input = Input::Tick;
                    }
                    longest_of_all += longest;
                }
                longest_of_all
            });
        },
    );
}

/// A subscriber's acknowledgements of a batch of deliveries, in one read. The deliveries themselves are not timed.
fn acknowledgement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session acknowledgement");
    group.throughput(Throughput::Elements(u64::from(IN_FLIGHT)));
    let cases: [(&str, QoS, &[PacketType]); 2] = [
        ("PUBACK", QoS::AtLeastOnce, &[PacketType::PubAck]),
        ("PUBREC and PUBCOMP", QoS::ExactlyOnce, &[PacketType::PubRec, PacketType::PubComp]),
    ];
    for (name, qos, kinds) in cases {
        group.bench_function(BenchmarkId::new(name, IN_FLIGHT), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut session = Session::new(qos);
                (0..iterations).map(|_| session.acknowledge_batch(kinds)).sum()
            });
        });
    }
    group.finish();
}

/// A publisher and one subscriber, whose identifiers are followed from the first on.
struct Session {
    rig: Rig,
    publisher: Place,
    subscriber: Place,
    qos: QoS,
    packet_id: u16,
}

impl Session {
    fn new(qos: QoS) -> Self {
        let (rig, publisher, subscribers) = subscribed(1, qos);
        Self { rig, publisher, subscriber: subscribers[0], qos, packet_id: 0 }
    }

    /// Publishes a batch, and times what the subscriber answers to its deliveries.
    fn acknowledge_batch(&mut self, kinds: &[PacketType]) -> Duration {
        for packet_id in 1..=IN_FLIGHT {
            self.rig.receive(self.publisher, &publish(TOPIC, self.qos, packet_id, &PAYLOAD));
            if self.qos == QoS::ExactlyOnce {
                let mut release = Vec::new();
                answer(&mut release, PacketType::PubRel, packet_id);
                self.rig.receive(self.publisher, &release);
            }
        }
        let in_flight: Vec<u16> = (0..IN_FLIGHT).map(|_| self.next_packet_id()).collect();
        let mut elapsed = Duration::ZERO;
        for kind in kinds {
            let mut answers = Vec::new();
            for packet_id in &in_flight {
                answer(&mut answers, *kind, *packet_id);
            }
            let before = self.rig.bytes_out;
            let start = Instant::now();
            self.rig.receive(self.subscriber, black_box(&answers));
            elapsed += start.elapsed();
            // Only PUBREC is answered; the answer also shows that the identifiers were those in flight.
            let answered = if *kind == PacketType::PubRec { answers.len() } else { 0 };
            assert_eq!(self.rig.bytes_out - before, answered as u64, "a PUBREL for each PUBREC");
        }
        elapsed
    }

    fn next_packet_id(&mut self) -> u16 {
        self.packet_id = if self.packet_id == u16::MAX { 1 } else { self.packet_id + 1 };
        self.packet_id
    }
}

criterion_group!(benches, fan_out, longest_turn, acknowledgement);
criterion_main!(benches);

//! Decoding and encoding of the packets that dominate traffic: PUBLISH and the acknowledgements.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringmq_wire::{Cut, MAX_PACKET_LEN, PacketType, PublishOut, QoS, ReasonCode, Version, cut, decode, encode_ack};
use std::hint::black_box;

/// A topic as sensors have them: `site/0042/line/07/temperature`.
const TOPIC: &[u8] = b"site/0042/line/07/temperature";

/// Payload sizes, in bytes: the comparison's usual message, and one whose copying begins to show.
const PAYLOADS: [usize; 2] = [64, 1024];

fn publish<'a>(qos: QoS, payload: &'a [u8]) -> PublishOut<'a> {
    PublishOut {
        qos,
        retain: false,
        dup: false,
        topic: TOPIC,
        packet_id: 4711,
        expiry: None,
        alias: None,
        subscription_ids: &[],
        properties: &[],
        payload,
    }
}

fn take_frame(bytes: &[u8], version: Version) {
    match cut(black_box(bytes), MAX_PACKET_LEN) {
        Ok(Cut::Frame(frame, _)) => {
            // By reference: a copy of the largest packet would be measured with each of the smallest.
            let packet = decode(frame, version).expect("a valid packet");
            black_box(&packet);
        }
        other => panic!("one whole frame, not {other:?}"),
    }
}

fn publishes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for (version, name) in [(Version::V311, "3.1.1"), (Version::V5, "5.0")] {
        for (qos, level) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1)] {
            for size in PAYLOADS {
                let payload = vec![0x5a; size];
                let message = publish(qos, &payload);
                let mut encoded = Vec::new();
                message.encode(version, &mut encoded);
                group.throughput(Throughput::Bytes(encoded.len() as u64));
                let parameter = format!("{name}/qos{level}/{size}");
                group.bench_function(BenchmarkId::new("decode", &parameter), |bencher| {
                    bencher.iter(|| take_frame(&encoded, version));
                });
                let mut out = Vec::with_capacity(2 * encoded.len());
                group.bench_function(BenchmarkId::new("encode", &parameter), |bencher| {
                    bencher.iter(|| {
                        out.clear();
                        black_box(&message).encode(version, &mut out);
                        black_box(out.len())
                    });
                });
            }
        }
    }
    group.finish();
}

fn acknowledgements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ack");
    for (version, name) in [(Version::V311, "3.1.1"), (Version::V5, "5.0")] {
        let mut encoded = Vec::new();
        encode_ack(&mut encoded, PacketType::PubAck, version, 4711, ReasonCode::SUCCESS);
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| take_frame(&encoded, version));
        });
        let mut out = Vec::with_capacity(16);
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_ack(&mut out, PacketType::PubAck, version, black_box(4711), ReasonCode::SUCCESS);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, publishes, acknowledgements);
criterion_main!(benches);

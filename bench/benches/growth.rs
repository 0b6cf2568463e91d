//! How the tables grow: three corpora from a thousand to a million subscriptions, retained messages and timers likewise.
//!
//! `scripts/growth` draws the estimates. Absent: anything of one size, which the other benchmarks have.

#[path = "support/corpora.rs"]
mod corpora;

use corpora::Corpus;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringmq_core::retained::Store;
use ringmq_core::timer::Wheel;
use ringmq_core::topics::{Index, Matches, SubOptions, Subscriber};
use ringmq_mesh::interest::InterestTable;
use std::hint::black_box;

/// Entries of a table.
const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Topics looked up in turn: more than the index remembers the answers of, at most.
const TOPICS_MAX: u32 = 100_000;
/// The corpora by their names.
const CORPORA: [(&str, Corpus); 3] =
    [("telemetry tree", Corpus::Telemetry), ("topic per device", Corpus::Devices), ("chat rooms", Corpus::Chat)];

/// The sizes to measure; the smallest alone where only the benchmarks themselves are tested (criterion is then given
/// `--test`, or, by `cargo test`, no `--bench`).
fn sizes() -> &'static [u32] {
    let given = |option: &str| std::env::args().any(|argument| argument == option);
    if given("--test") || !given("--bench") { &SIZES[..1] } else { &SIZES }
}

fn subscriber(id: u32) -> Subscriber {
    Subscriber { id, subscription_id: 0, options: SubOptions::new(1, false, false) }
}

fn topics_of(corpus: Corpus, size: u32) -> Vec<String> {
    (0..size.min(TOPICS_MAX)).map(|turn| corpus.topic(turn, size)).collect()
}

fn topic_index(criterion: &mut Criterion) {
    for (name, corpus) in CORPORA {
        let mut group = criterion.benchmark_group(format!("growth, topic index, {name}"));
        for &size in sizes() {
            let mut index = Index::new(7);
            for number in 0..size {
                index.subscribe(&corpus.filter(number), subscriber(number));
            }
            let topics = topics_of(corpus, size);
            let mut turn = topics.iter().cycle();
            let mut matches = Matches::default();
            group.bench_function(BenchmarkId::new("match", size), |bencher| {
                bencher.iter(|| {
                    index.matching(turn.next().expect("endless"), &mut matches);
                    black_box(matches.as_slice().len())
                });
            });
            group.bench_function(BenchmarkId::new("subscribe and unsubscribe", size), |bencher| {
                bencher.iter(|| {
                    let subscribed = index.subscribe(black_box("site/+/line/+/new"), subscriber(size));
                    black_box(index.unsubscribe(subscribed.id, size))
                });
            });
        }
        group.finish();
    }
}

fn interest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth, interest table");
    for &size in sizes() {
        let table = InterestTable::new(2, 7, size as usize * 2);
        let mut shards = [table.handle(0), table.handle(1)];
        for number in 0..size {
            shards[number as usize % 2].announce(&Corpus::Devices.filter(number));
        }
        let topics = topics_of(Corpus::Devices, size);
        let mut turn = topics.iter().cycle();
        group.bench_function(BenchmarkId::new("look up", size), |bencher| {
            bencher.iter(|| black_box(shards[0].lookup(turn.next().expect("endless"))));
        });
    }
    group.finish();
}

fn retained(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth, retained messages");
    for &size in sizes() {
        let mut store: Store<String> = Store::new();
        for number in 0..size {
            store.insert(format!("site/{:05}/line/{:02}/state", number / 40, number % 40));
        }
        group.bench_function(BenchmarkId::new("wildcard, one site of 40", size), |bencher| {
            bencher.iter(|| {
                let mut found = 0;
                let mut cursor = None;
                loop {
                    cursor = store.scan(black_box("site/00007/line/+/state"), cursor, 256, &mut |_, _| found += 1);
                    if cursor.is_none() {
                        break black_box(found);
                    }
                }
            });
        });
    }
    group.finish();
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth, timer wheel");
    for &size in sizes() {
        let mut wheel = Wheel::new(0);
        let timers: Vec<_> = (0..size).map(|key| wheel.schedule(key, 60_000 + u64::from(key))).collect();
        let mut turn = timers.iter().cycle();
        let mut at_ms = 60_000;
        group.bench_function(BenchmarkId::new("reschedule", size), |bencher| {
            bencher.iter(|| {
                at_ms += 1;
                black_box(wheel.reschedule(*turn.next().expect("endless"), at_ms % 600_000))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, topic_index, interest, retained, timers);
criterion_main!(benches);

//! The shard's tables: topic index, retained messages, timer wheel.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringmq_core::retained::Store;
use ringmq_core::timer::Wheel;
use ringmq_core::topics::{Index, Matches, SubOptions, Subscriber};
use std::hint::black_box;

/// Exact filters in the index, and timers in the wheel: one for each of 100,000 clients.
const CLIENTS: u32 = 100_000;

/// Topics that are published to in turn: more than one look-up remembers, few enough to stay in the processor's cache.
const TOPICS: u32 = 1024;

/// Wheel's slots are emptied at most this many timers a call.
const FIRE_MAX: usize = 4096;

fn subscriber(id: u32) -> Subscriber {
    Subscriber { id, subscription_id: 0, options: SubOptions::new(1, false, false) }
}

fn index_with(wildcards: u32) -> Index {
    let mut index = Index::new(7);
    for client in 0..CLIENTS {
        index.subscribe(&format!("site/{client:06}/commands"), subscriber(client));
    }
    for number in 0..wildcards {
        let filter = match number % 3 {
            0 => format!("site/{number:06}/#"),
            1 => format!("site/+/line/{number}"),
            _ => format!("+/{number:06}/commands"),
        };
        index.subscribe(&filter, subscriber(CLIENTS + number));
    }
    index
}

fn topic_index(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic index");
    let topics: Vec<String> = (0..TOPICS).map(|number| format!("site/{:06}/commands", number * 97)).collect();
    for wildcards in [0, 10, 10_000] {
        let mut index = index_with(wildcards);
        let mut matches = Matches::default();
        for (name, count) in [("same topic", 1), ("changing topics", topics.len())] {
            let mut turn = topics[..count].iter().cycle();
            group.bench_function(BenchmarkId::new(format!("match, {name}"), wildcards), |bencher| {
                bencher.iter(|| {
                    index.matching(turn.next().expect("endless"), &mut matches);
                    black_box(matches.as_slice().len())
                });
            });
        }
        group.bench_function(BenchmarkId::new("subscribe and unsubscribe, exact", wildcards), |bencher| {
            bencher.iter(|| {
                let subscribed = index.subscribe(black_box("site/new/commands"), subscriber(1));
                black_box(index.unsubscribe(subscribed.id, 1))
            });
        });
    }
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out walk");
    let mut index = Index::new(7);
    for id in 0..1000 {
        index.subscribe("site/all", subscriber(id));
    }
    let id = index.find("site/all").expect("just subscribed");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 subscribers", |bencher| {
        bencher.iter(|| {
            let mut walk = index.fan_out(id);
            let mut sum = 0u64;
            loop {
                let chunk = index.next_chunk(&mut walk, 256);
                if chunk.is_empty() {
                    break black_box(sum);
                }
                sum += chunk.iter().map(|subscriber| u64::from(subscriber.id)).sum::<u64>();
            }
        });
    });
    group.finish();
}

fn retained(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retained");
    let mut store: Store<String> = Store::new();
    for client in 0..CLIENTS {
        store.insert(format!("site/{client:06}/state"));
    }
    group.bench_function("get", |bencher| {
        bencher.iter(|| black_box(store.get(black_box("site/004711/state"))));
    });
    group.bench_function("replace", |bencher| {
        bencher.iter(|| black_box(store.insert(black_box("site/004711/state").to_owned())));
    });
    group.finish();
}

fn timer_wheel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timer wheel");
    let mut wheel = Wheel::new(0);
    let timers: Vec<_> = (0..CLIENTS).map(|key| wheel.schedule(key, 60_000 + u64::from(key))).collect();
    let mut turn = timers.iter().cycle();
    let mut at_ms = 60_000;
    group.bench_function("reschedule one of 100,000", |bencher| {
        bencher.iter(|| {
            at_ms += 1;
            black_box(wheel.reschedule(*turn.next().expect("endless"), at_ms % 600_000))
        });
    });
    group.bench_function("schedule and cancel among 100,000", |bencher| {
        bencher.iter(|| {
            let id = wheel.schedule(7, black_box(30_000));
            black_box(wheel.cancel(id))
        });
    });
    group.throughput(Throughput::Elements(u64::from(CLIENTS)));
    group.bench_function("fire 100,000 over 100 s", |bencher| {
        bencher.iter_with_setup(
            || {
                let mut wheel = Wheel::new(0);
                for key in 0..CLIENTS {
                    wheel.schedule(key, u64::from(key) + 1);
                }
                wheel
            },
            |mut wheel| {
                let mut fired = Vec::new();
                let mut count = 0;
                while let Some(deadline_ms) = wheel.next_deadline_ms() {
                    while wheel.advance(deadline_ms, FIRE_MAX, &mut fired) {}
                    count += fired.len();
                    fired.clear();
                }
                assert_eq!(count, CLIENTS as usize);
            },
        );
    });
    group.finish();
}

criterion_group!(benches, topic_index, fan_out, retained, timer_wheel);
criterion_main!(benches);

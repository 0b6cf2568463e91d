//! The ring between two shards, alone and between two threads, the wake protocol, and the interest table's look-up.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringmq_mesh::interest::InterestTable;
use ringmq_mesh::park::Parking;
use ringmq_mesh::ring::{Consumer, Producer, ring};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::{read, write};
use std::hint::{black_box, spin_loop};
use std::thread;

/// Items a ring holds in these measurements.
const CAPACITY: usize = 1024;

/// Items moved by one iteration.
const BATCH: usize = 64;

/// Distinct exact filters in the interest table.
const FILTERS: usize = 100_000;

fn push_all(producer: &mut Producer<u64>, mut items: std::ops::Range<u64>) {
    while !items.is_empty() {
        if producer.push_many(&mut items) == 0 {
            // The other thread may share this core.
            spin_loop();
            thread::yield_now();
        }
    }
}

fn drain_exactly(consumer: &mut Consumer<u64>, count: usize) -> u64 {
    let mut sum = 0;
    let mut taken = 0;
    while taken < count {
        let got = consumer.drain(count - taken, |item| sum += item);
        if got == 0 {
            spin_loop();
            thread::yield_now();
        }
        taken += got;
    }
    sum
}

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("push and pop singly, one thread", |bencher| {
        let (mut producer, mut consumer) = ring::<u64>(CAPACITY);
        bencher.iter(|| {
            for item in 0..BATCH as u64 {
                producer.push(item).expect("room");
                black_box(consumer.pop());
            }
        });
    });
    group.bench_function("push and drain a batch, one thread", |bencher| {
        let (mut producer, mut consumer) = ring::<u64>(CAPACITY);
        bencher.iter(|| {
            push_all(&mut producer, 0..BATCH as u64);
            black_box(drain_exactly(&mut consumer, BATCH))
        });
    });
    group.bench_function("stream of batches, two threads", |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut producer, mut consumer) = ring::<u64>(CAPACITY);
            let items = iterations * BATCH as u64;
            thread::scope(|scope| {
                let start = std::time::Instant::now();
                scope.spawn(move || push_all(&mut producer, 0..items));
                let sum = drain_exactly(&mut consumer, items as usize);
                let elapsed = start.elapsed();
                assert_eq!(sum, (0..items).sum::<u64>(), "every item arrives once");
                elapsed
            })
        });
    });
    group.bench_function("round trip of one item, two threads", |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut there, mut inbox) = ring::<u64>(CAPACITY);
            let (mut back, mut answers) = ring::<u64>(CAPACITY);
            thread::scope(|scope| {
                scope.spawn(move || {
                    for _ in 0..iterations {
                        let item = drain_exactly(&mut inbox, 1);
                        push_all(&mut back, item..item + 1);
                    }
                });
                let start = std::time::Instant::now();
                for item in 0..iterations {
                    push_all(&mut there, item..item + 1);
                    black_box(drain_exactly(&mut answers, 1));
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// What telling a shard of new items costs: while it runs, where that is all there is to it, and while it sleeps.
fn wakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake");
    group.bench_function("of a shard that runs", |bencher| {
        let parking = Parking::new();
        bencher.iter(|| black_box(black_box(&parking).should_wake()));
    });
    group.bench_function("announce a sleep, be told, run again", |bencher| {
        let parking = Parking::new();
        bencher.iter(|| {
            parking.prepare_sleep();
            assert!(black_box(&parking).should_wake(), "it sleeps");
            parking.awake();
        });
    });
    // Both threads sleep in turn, so an iteration is two signals, two wake-ups and the kernel's scheduling of both.
    group.bench_function("round trip between two sleeping threads", |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut there, mut inbox) = ring::<u64>(CAPACITY);
            let (mut back, mut answers) = ring::<u64>(CAPACITY);
            let (here, other) = (Sleeper::new(), Sleeper::new());
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..iterations {
                        let item = other.await_item(&mut inbox);
                        here.push_and_signal(&mut back, item);
                    }
                });
                let start = std::time::Instant::now();
                for item in 0..iterations {
                    other.push_and_signal(&mut there, item);
                    assert_eq!(here.await_item(&mut answers), item, "the item comes back");
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// A thread that sleeps until it is signalled, by an eventfd as the epoll driver does it.
struct Sleeper {
    parking: Parking,
    signal: OwnedFd,
}

impl Sleeper {
    fn new() -> Self {
        Self { parking: Parking::new(), signal: eventfd(0, EventfdFlags::empty()).expect("an eventfd") }
    }

    fn await_item(&self, from: &mut Consumer<u64>) -> u64 {
        loop {
            if let Some(item) = from.pop() {
                return item;
            }
            self.parking.prepare_sleep();
            if let Some(item) = from.pop() {
                self.parking.awake();
                return item;
            }
            // Blocks until the count is above zero. A signal that came late ends this sleep early: hence the loop.
            read(&self.signal, &mut [0; 8]).expect("reads the count");
            self.parking.awake();
        }
    }

    fn push_and_signal(&self, to: &mut Producer<u64>, item: u64) {
        to.push(item).expect("room");
        if self.parking.should_wake() {
            write(&self.signal, &1_u64.to_ne_bytes()).expect("counts up");
        }
    }
}

fn look_ups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("interest look-up");
    for (wildcards, name) in [(0, "exact filters only"), (64, "exact filters and 64 with wildcards")] {
        let table = InterestTable::new(2, 7, FILTERS);
        let mut shards = [table.handle(0), table.handle(1)];
        for number in 0..FILTERS {
            shards[number % 2].announce(&format!("site/{number:05}/line/07/temperature"));
        }
        for number in 0..wildcards {
            shards[number % 2].announce(&format!("site/{number:05}/#"));
        }
        for (topic, hit) in [("site/04711/line/07/temperature", "hit"), ("site/04711/line/07/pressure", "miss")] {
            group.bench_function(BenchmarkId::new(name, hit), |bencher| {
                bencher.iter(|| black_box(shards[0].lookup(black_box(topic))));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rings, wakes, look_ups);
criterion_main!(benches);

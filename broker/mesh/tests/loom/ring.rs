//! Order, no loss, no duplication, and each item dropped exactly once.

use crate::explore;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use ringmq_mesh::ring::{Consumer, ring};

/// Counts drops. Heap-allocated, so that loom also reports a leak.
struct Item {
    number: usize,
    drops: Arc<AtomicUsize>,
    _heap: Arc<()>,
}

impl Item {
    fn new(number: usize, drops: &Arc<AtomicUsize>) -> Self {
        Self { number, drops: Arc::clone(drops), _heap: Arc::new(()) }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn take_all(consumer: &mut Consumer<Item>, count: usize) {
    let mut next = 0;
    while next < count {
        let taken = consumer.drain(2, |item| {
            assert_eq!(item.number, next, "out of order");
            next += 1;
        });
        if taken == 0 {
            thread::yield_now();
        }
    }
    assert!(consumer.pop().is_none(), "an item too many");
}

/// More items than slots, one by one: both sides wrap around and meet full and empty.
#[test]
fn push_and_drain() {
    const ITEMS: usize = 4;
    explore(4, || {
        let (mut producer, mut consumer) = ring(2);
        let drops = Arc::new(AtomicUsize::new(0));
        let sender = {
            let drops = Arc::clone(&drops);
            thread::spawn(move || {
                for number in 0..ITEMS {
                    let mut item = Item::new(number, &drops);
                    while let Err(back) = producer.push(item) {
                        item = back;
                        thread::yield_now();
                    }
                }
            })
        };
        take_all(&mut consumer, ITEMS);
        sender.join().unwrap();
        assert!(consumer.is_disconnected() && consumer.is_empty());
        assert_eq!(drops.load(Ordering::Relaxed), ITEMS);
    });
}

/// Staged items become visible together and in order.
#[test]
fn stage_and_publish() {
    explore(4, || {
        let (mut producer, mut consumer) = ring(2);
        let drops = Arc::new(AtomicUsize::new(0));
        let sender = {
            let drops = Arc::clone(&drops);
            thread::spawn(move || {
                assert!(producer.stage(Item::new(0, &drops)).is_ok());
                assert!(producer.stage(Item::new(1, &drops)).is_ok());
                assert_eq!(producer.publish(), 2);
            })
        };
        while consumer.is_empty() {
            thread::yield_now();
        }
        assert_eq!(consumer.drain(2, |_| ()), 2, "one store shows both");
        sender.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

/// Both ends are dropped at any point: what was taken and what was left sum up to what was pushed.
#[test]
fn drop_of_both_ends() {
    explore(4, || {
        let (mut producer, mut consumer) = ring(2);
        let drops = Arc::new(AtomicUsize::new(0));
        let sender = {
            let drops = Arc::clone(&drops);
            thread::spawn(move || {
                // Refused items are dropped here, a staged one in the ring.
                for number in 0..3 {
                    let _ = producer.push(Item::new(number, &drops));
                }
                let _ = producer.stage(Item::new(3, &drops));
            })
        };
        drop(consumer.pop());
        drop(consumer);
        sender.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 4);
    });
}

/// A consumer that sees the producer gone has seen everything it pushed.
#[test]
fn disconnection_comes_last() {
    explore(4, || {
        let (mut producer, mut consumer) = ring(2);
        let sender = thread::spawn(move || {
            assert!(producer.push(1).is_ok());
            assert!(producer.stage(2).is_ok());
        });
        while !consumer.is_disconnected() {
            thread::yield_now();
        }
        assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
        sender.join().unwrap();
    });
}

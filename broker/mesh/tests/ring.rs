//! The ring on the standard library's atomics: against a queue, across threads, and at its edges. The interleavings
//! themselves are explored in `loom.rs`.
#![cfg(not(loom))]

use proptest::prelude::*;
use ringmq_mesh::ring::{Consumer, Producer, ring};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    Push,
    Stage,
    Publish,
    PushMany(usize),
    Pop,
    Drain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Push),
        2 => Just(Step::Stage),
        1 => Just(Step::Publish),
        1 => (0..12_usize).prop_map(Step::PushMany),
        3 => Just(Step::Pop),
        1 => (0..12_usize).prop_map(Step::Drain),
    ];
    prop::collection::vec(step, 0..300)
}

/// Every item is a clone of one `Arc`, so its count tells how many were not dropped yet.
type Item = (u64, Arc<()>);

struct Model {
    producer: Producer<Item>,
    consumer: Consumer<Item>,
    staged: VecDeque<u64>,
    visible: VecDeque<u64>,
    next: u64,
    token: Arc<()>,
}

impl Model {
    fn new(capacity: usize) -> Self {
        let (producer, consumer) = ring(capacity);
        let token = Arc::new(());
        Self { producer, consumer, staged: VecDeque::new(), visible: VecDeque::new(), next: 0, token }
    }

    fn room(&self) -> usize {
        self.producer.capacity() - self.staged.len() - self.visible.len()
    }

    fn item(&mut self) -> Item {
        self.next += 1;
        (self.next, Arc::clone(&self.token))
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push | Step::Stage => {
                let (room, item) = (self.room(), self.item());
                let number = item.0;
                let push = matches!(step, Step::Push);
                let result = if push { self.producer.push(item) } else { self.producer.stage(item) };
                assert_eq!(result.is_ok(), room > 0);
                if room > 0 {
                    self.staged.push_back(number);
                    if push {
                        self.visible.append(&mut self.staged);
                    }
                }
            }
            Step::Publish => {
                assert_eq!(self.producer.publish(), self.staged.len());
                self.visible.append(&mut self.staged);
            }
            Step::PushMany(count) => {
                let room = self.room();
                let items: Vec<Item> = (0..count).map(|_| self.item()).collect();
                self.staged.extend(items.iter().take(room).map(|item| item.0));
                self.visible.append(&mut self.staged);
                let mut items = items.into_iter();
                assert_eq!(self.producer.push_many(&mut items), count.min(room));
                assert_eq!(items.len(), count - count.min(room), "what does not fit stays with the caller");
            }
            Step::Pop => assert_eq!(self.consumer.pop().map(|item| item.0), self.visible.pop_front()),
            Step::Drain(max) => {
                let mut taken = Vec::new();
                let count = self.consumer.drain(max, |item| taken.push(item.0));
                assert_eq!(count, max.min(self.visible.len()));
                assert_eq!(taken, self.visible.drain(..count).collect::<Vec<_>>());
            }
        }
        assert_eq!(self.consumer.is_empty(), self.visible.is_empty());
        assert!(self.producer.room() <= self.room());
        assert_eq!(self.producer.is_full(), self.room() == 0);
        assert_eq!(Arc::strong_count(&self.token), 1 + self.staged.len() + self.visible.len());
    }
}

proptest! {
    /// A ring is a bounded queue whose staged tail is invisible, and it drops what is left in it exactly once.
    #[test]
    fn behaves_like_a_queue(capacity in 0..9_usize, steps in steps(), producer_first: bool) {
        let mut model = Model::new(capacity);
        prop_assert_eq!(model.producer.capacity(), capacity.next_power_of_two());
        for step in &steps {
            model.step(step);
        }
        let Model { producer, mut consumer, staged, visible, token, .. } = model;
        if producer_first {
            prop_assert!(!consumer.is_disconnected());
            drop(producer);
            prop_assert!(consumer.is_disconnected());
            // Dropping the producer publishes what was staged.
            let mut left = Vec::new();
            consumer.drain(usize::MAX, |item| left.push(item.0));
            prop_assert_eq!(left, visible.into_iter().chain(staged).collect::<Vec<_>>());
        } else {
            prop_assert!(!producer.is_disconnected());
            drop(consumer);
            prop_assert!(producer.is_disconnected());
            drop(producer);
        }
        prop_assert_eq!(Arc::strong_count(&token), 1);
    }
}

/// A consumer whose callback panics has taken that item and no other.
#[test]
fn panic_while_draining_loses_one_item() {
    let (mut producer, mut consumer) = ring(4);
    let token = Arc::new(());
    producer.push_many(&mut (0..4).map(|number| (number, Arc::clone(&token))));
    let outcome = catch_unwind(AssertUnwindSafe(|| consumer.drain(4, |item| assert_ne!(item.0, 1))));
    assert!(outcome.is_err());
    assert_eq!(Arc::strong_count(&token), 3);
    assert_eq!(consumer.pop().map(|item| item.0), Some(2));
    assert_eq!(producer.push_many(&mut std::iter::repeat((9, Arc::clone(&token)))), 3);
    drop((producer, consumer));
    assert_eq!(Arc::strong_count(&token), 1);
}

/// A producer whose iterator panics keeps what it wrote before, and publishes it next time.
#[test]
fn panic_while_pushing_keeps_order() {
    let (mut producer, mut consumer) = ring(4);
    let outcome =
        catch_unwind(AssertUnwindSafe(|| producer.push_many(&mut (0..4).inspect(|number| assert_ne!(*number, 2)))));
    assert!(outcome.is_err());
    producer.push(7).unwrap();
    let mut taken = Vec::new();
    consumer.drain(9, |number| taken.push(number));
    assert_eq!(taken, [0, 1, 7]);
}

#[test]
#[should_panic(expected = "exceeds the limit")]
fn capacity_is_limited() {
    let _ = ring::<u8>(ringmq_mesh::ring::CAPACITY_MAX + 1);
}

/// Two threads, all ways to push and to take: everything arrives once and in order.
#[test]
fn keeps_order_across_threads() {
    const ITEMS: u64 = 200_000;
    let (mut producer, mut consumer) = ring::<Box<u64>>(64);
    let sender = std::thread::spawn(move || {
        let mut items = (0..ITEMS).map(Box::new).peekable();
        while let Some(next) = items.peek() {
            let sent = match **next % 3 {
                0 => producer.push_many(&mut items.by_ref().take(17)),
                _ if producer.is_full() => 0,
                1 => usize::from(producer.push(items.next().expect("peeked")).is_ok()),
                _ => usize::from(producer.stage(items.next().expect("peeked")).is_ok()),
            };
            if sent == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut expected = 0;
    loop {
        let last = consumer.is_disconnected();
        let mut taken = consumer.drain(5, |item| {
            assert_eq!(*item, expected);
            expected += 1;
        });
        if let Some(item) = consumer.pop() {
            assert_eq!(*item, expected);
            expected += 1;
            taken += 1;
        }
        if taken == 0 {
            if last {
                break;
            }
            std::thread::yield_now();
        }
    }
    sender.join().unwrap();
    assert_eq!(expected, ITEMS);
}

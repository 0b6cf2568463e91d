//! What was announced before a lookup is seen by it, through a growth as well.

use crate::explore;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use ringmq_mesh::interest::InterestTable;

/// One shard announces and says so (as a SUBACK does); whoever has heard of it sees the shard.
#[test]
fn announced_is_visible() {
    explore(5, || {
        let table = InterestTable::new(2, 1, 4);
        let (mut subscriber, publisher) = (table.handle(0), table.handle(1));
        let acknowledged = Arc::new(AtomicBool::new(false));
        let shard = {
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || {
                subscriber.announce("a/+");
                acknowledged.store(true, Ordering::Release);
                subscriber
            })
        };
        let heard = acknowledged.load(Ordering::Acquire);
        let mask = publisher.lookup("a/b");
        assert!(!heard || mask == 1, "announced, acknowledged, and not seen");
        let subscriber = shard.join().unwrap();
        assert_eq!(publisher.lookup("a/b"), 1);
        drop(subscriber);
    });
}

/// Two shards take the same slot, or two neighbouring ones, at the same time.
#[test]
fn concurrent_announcements() {
    explore(5, || {
        let table = InterestTable::new(2, 1, 4);
        let (mut one, mut two) = (table.handle(0), table.handle(1));
        let shard = thread::spawn(move || {
            one.announce("same");
            one.announce("one");
            one
        });
        two.announce("two");
        two.announce("same");
        let one = shard.join().unwrap();
        for shard in [&one, &two] {
            assert_eq!((shard.lookup("one"), shard.lookup("two"), shard.lookup("same")), (1, 2, 3));
        }
    });
}

/// Two different keys want one slot: whoever loses it takes the next. Among so many seeds are some that make them meet.
#[test]
fn contention_for_a_slot() {
    for seed in 0..24 {
        explore(3, move || {
            let table = InterestTable::new(2, seed, 4);
            let (mut one, mut two) = (table.handle(0), table.handle(1));
            let shard = thread::spawn(move || {
                one.announce("one");
                one
            });
            two.announce("two");
            let one = shard.join().unwrap();
            assert_eq!((one.lookup("one"), one.lookup("two")), (1, 2));
        });
    }
}

/// A shard announces while the other drives a growth; at the end of each step both see both.
#[test]
fn announced_is_visible_through_growth() {
    explore(3, || {
        // Four keys are the limit of eight slots; the fifth starts a growth.
        let table = InterestTable::new(2, 1, 4);
        let (mut subscriber, mut publisher) = (table.handle(0), table.handle(1));
        for topic in ["a", "b", "c", "d", "e"] {
            subscriber.announce(topic);
        }
        let acknowledged = Arc::new(AtomicBool::new(false));
        let shard = {
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || {
                subscriber.turn();
                subscriber.announce("new");
                acknowledged.store(true, Ordering::Release);
                subscriber.turn();
                subscriber
            })
        };
        for _ in 0..2 {
            publisher.turn();
            let heard = acknowledged.load(Ordering::Acquire);
            assert!(!heard || publisher.lookup("new") == 1, "announced, acknowledged, and not seen");
            assert_eq!(publisher.lookup("a"), 1, "lost in the growth");
        }
        let mut subscriber = shard.join().unwrap();
        for _ in 0..3 {
            subscriber.turn();
            publisher.turn();
        }
        assert_eq!((publisher.lookup("e"), publisher.lookup("new"), publisher.lookup("f")), (1, 1, 0));
    });
}

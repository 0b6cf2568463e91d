//! The shards' way to the interest table: the real one, one that broadcasts, and a broken one.
//!
//! The broadcasting table is an oracle of the real one: whatever differs between a run with either, beyond messages
//! forwarded in vain, is a false negative of the real table.

use ringmq_core::interest::Interest;
use std::cell::Cell;
use std::rc::Rc;

/// Turns of the table that one call takes part in; its growth needs a few for each shard.
const TURNS_MAX: usize = 64;

/// Announcements that are not withdrawn, over all shards: 0 again once nobody subscribes.
pub(crate) type Announced = Rc<Cell<i64>>;

/// A shard's handle on the table of `ringmq-mesh`.
pub(crate) struct Table {
    handle: ringmq_mesh::interest::Interest,
    announced: Announced,
}

impl Table {
    /// Wraps a handle.
    pub(crate) fn new(handle: ringmq_mesh::interest::Interest, announced: Announced) -> Self {
        Self { handle, announced }
    }
}

impl Interest for Table {
    fn announce(&mut self, filter: &str) {
        self.announced.set(self.announced.get() + 1);
        self.handle.announce(filter);
    }

    fn withdraw(&mut self, filter: &str) {
        self.announced.set(self.announced.get() - 1);
        self.handle.withdraw(filter);
    }

    fn lookup(&mut self, topic: &str) -> u64 {
        self.handle.lookup(topic)
    }

    fn turn(&mut self) {
        for _ in 0..TURNS_MAX {
            if !self.handle.turn().busy {
                break;
            }
        }
    }
}

/// Says that every shard may have a subscriber.
pub(crate) struct Broadcast {
    shards: u64,
    announced: Announced,
}

impl Broadcast {
    /// For this many shards.
    pub(crate) fn new(shards: usize, announced: Announced) -> Self {
        Self { shards: u64::MAX >> (64 - shards), announced }
    }
}

impl Interest for Broadcast {
    fn announce(&mut self, _: &str) {
        self.announced.set(self.announced.get() + 1);
    }

    fn withdraw(&mut self, _: &str) {
        self.announced.set(self.announced.get() - 1);
    }

    fn lookup(&mut self, _: &str) -> u64 {
        self.shards
    }

    fn turn(&mut self) {}
}

/// Sabotage: forgets other shards for one topic in so many.
pub(crate) struct Forgetful {
    inner: Box<dyn Interest>,
    lookups: u64,
    every: u64,
}

impl Forgetful {
    /// Answers every so manieth lookup with nobody.
    pub(crate) fn new(inner: Box<dyn Interest>, every: u64) -> Self {
        Self { inner, lookups: 0, every }
    }
}

impl Interest for Forgetful {
    fn announce(&mut self, filter: &str) {
        self.inner.announce(filter);
    }

    fn withdraw(&mut self, filter: &str) {
        self.inner.withdraw(filter);
    }

    fn lookup(&mut self, topic: &str) -> u64 {
        self.lookups += 1;
        if self.lookups.is_multiple_of(self.every) { 0 } else { self.inner.lookup(topic) }
    }

    fn turn(&mut self) {
        self.inner.turn();
    }
}

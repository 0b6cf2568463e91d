//! Which shards may have a subscriber for a topic: one table for the process, read on every publish.
//!
//! Each shard announces the filters of its own subscribers and looks up the topics of its own publishers. A lookup
//! answers with a mask of shards. A set bit may be false (the destination matches exactly and finds nobody: a wasted
//! message); **a clear bit never is**: once [`Interest::announce`] has returned, every lookup that happens after it
//! sees the shard. So a shard acknowledges a subscription only after announcing it.
//!
//! # Keys
//! A filter without wildcard is announced as it is, any other by the levels before its first wildcard: `a/b/+/c` and
//! `a/b/#` by the prefix `a/b`, `#` by the empty prefix. A publish to `a/b/c` looks for the exact `a/b/c` and for the
//! prefixes of 0, 1, 2 and 3 levels (`a/b/c/#` matches `a/b/c`, \[MQTT-4.7.1-1\] and section 4.7.1.2), but only for the
//! depths at which some prefix was announced: with none, a lookup is one probe. A topic that begins with `$` does not
//! look for the empty prefix \[MQTT-4.7.2-1\].
//!
//! # Memory
//! Each shard counts its announcements by key: at most 22.5 bytes a distinct key while their number grows. The shared
//! table takes 16 bytes a slot and is 40 to 60 percent full: 27 to 40 bytes a key that any shard announced. While it
//! grows, both generations exist.
//!
//! # Threads
//! Lookups only load. A shard writes only when a key's count leaves or reaches zero, and then only its own bit. No path
//! but a change of generation (`growth`) takes a lock.
//!
//! Absent: exact matching, shared subscription groups (the group's home announces the filter without its `$share`
//! part), and counting false positives (the destination's business).

mod counts;
mod growth;
mod key;
mod slots;

pub use key::LEVELS_MAX;

use counts::Counts;
use growth::{Growth, View};
use key::Hasher;
use slots::{CROWDED_PERCENT, DEPTH_BITS, Slots, depth_bit};
use std::sync::Arc;

/// Most shards: one bit each in a mask.
pub const SHARDS_MAX: usize = 64;

/// Slots of its own counts that a shard copies into a new generation in one turn: some tens of microseconds.
pub const COPY_SLOTS_PER_TURN: usize = 4096;

/// The table that the shards of a process share.
pub struct InterestTable {
    hasher: Hasher,
    shards: usize,
    growth: Growth,
}

impl InterestTable {
    /// A table for `shards` shards that holds `initial_capacity` distinct keys before it grows. The `seed` should be
    /// unpredictable to clients, who could otherwise make topics collide.
    ///
    /// # Panics
    /// If `shards` is 0 or above [`SHARDS_MAX`].
    #[must_use]
    pub fn new(shards: usize, seed: u64, initial_capacity: usize) -> Arc<Self> {
        assert!((1..=SHARDS_MAX).contains(&shards), "{shards} shards, but 1 to {SHARDS_MAX} are possible");
        let slots = Slots::slots_for(initial_capacity, CROWDED_PERCENT);
        Arc::new(Self { hasher: Hasher::new(seed), shards, growth: Growth::new(slots) })
    }

    /// The handle of one shard, to be moved to its thread.
    ///
    /// # Panics
    /// If there is no such shard, or it has a handle already.
    #[must_use]
    pub fn handle(self: &Arc<Self>, shard: usize) -> Interest {
        assert!(shard < self.shards, "shard {shard} of {}", self.shards);
        let bit = 1 << shard;
        let View { epoch, current, other, .. } = self.growth.join(bit);
        Interest {
            table: Arc::clone(self),
            current,
            other,
            epoch,
            bit,
            counts: Counts::default(),
            depths: [0; DEPTH_BITS + 1],
            nudge: 0,
        }
    }
}

/// One shard's access to the [`InterestTable`]. Dropping it withdraws everything the shard has announced.
pub struct Interest {
    table: Arc<InterestTable>,
    /// The generation that lookups read.
    current: Arc<Slots>,
    /// A second generation to keep up to date, while the table grows.
    other: Option<Arc<Slots>>,
    /// The transition that the two follow from.
    epoch: u64,
    /// This shard in a mask.
    bit: u64,
    counts: Counts,
    /// Announcements by depth of their prefix, to tell a new generation which depths are in use.
    depths: [u64; DEPTH_BITS + 1],
    /// Shards to be named by the next turn.
    nudge: u64,
}

/// What [`Interest::turn`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// This shard has more to do for the table: it should take another turn before it sleeps.
    pub busy: bool,
    /// Shards that should take a turn soon, even if they sleep: the table's growth waits for them. Not urgent; until
    /// then nothing is lost, but memory is held, and a table that fills up meanwhile answers too much.
    pub nudge: u64,
}

impl Interest {
    /// Tells all shards that this one has a subscriber for `filter`. To be called once for each subscription, or once
    /// for each distinct filter; [`Interest::withdraw`] is its exact counterpart. When it returns, lookups by any shard
    /// see it.
    pub fn announce(&mut self, filter: &str) {
        let key = self.table.hasher.key(filter);
        if let Some(depth) = key.depth.map(depth_bit) {
            self.depths[depth] += 1;
            if self.depths[depth] == 1 {
                self.generations().for_each(|slots| slots.add_depths(1 << depth));
            }
        }
        if self.counts.increment(key.fingerprint) {
            self.generations().for_each(|slots| slots.set(key.fingerprint, self.bit));
            self.grow_if_crowded();
        }
    }

    /// Takes back one [`Interest::announce`] of the same filter.
    ///
    /// # Panics
    /// If the filter was withdrawn more often than announced.
    pub fn withdraw(&mut self, filter: &str) {
        let key = self.table.hasher.key(filter);
        if self.counts.decrement(key.fingerprint) {
            self.generations().for_each(|slots| slots.clear(key.fingerprint, self.bit));
        }
        if let Some(depth) = key.depth.map(depth_bit) {
            self.depths[depth] -= 1;
        }
    }

    /// The shards (this one included) that may have a subscriber for `topic`, as a mask.
    #[inline]
    #[must_use]
    pub fn lookup(&self, topic: &str) -> u64 {
        let slots = &*self.current;
        let mask = slots.everything() | slots.get(self.table.hasher.exact(topic));
        match slots.depths() {
            0 => mask,
            depths => mask | self.lookup_prefixes(topic, depths),
        }
    }

    /// The shards that have announced a prefix of `topic`, probing only `depths`.
    fn lookup_prefixes(&self, topic: &str, depths: u64) -> u64 {
        let hasher = &self.table.hasher;
        let slots = &*self.current;
        let mut mask = 0;
        // [MQTT-4.7.2-1]
        if depths & 1 != 0 && !topic.starts_with('$') {
            mask |= slots.get(hasher.root());
        }
        let mut deepest = (u64::BITS - 1 - depths.leading_zeros()) as usize;
        if deepest == DEPTH_BITS {
            deepest = LEVELS_MAX;
        }
        let mut prefixes = hasher.prefixes(topic);
        for depth in 1..deepest + 1 {
            let Some(prefix) = prefixes.next() else { break };
            if depths >> depth_bit(depth) & 1 != 0 {
                mask |= slots.get(prefix);
            }
        }
        mask
    }

    /// To be called once a turn: takes part in the table's growth. Costs one load when there is none.
    #[inline]
    pub fn turn(&mut self) -> Turn {
        if self.epoch == self.table.growth.epoch() && !self.counts.is_walking() && self.nudge == 0 {
            return Turn::default();
        }
        self.turn_of_growth()
    }

    /// Distinct keys that this shard has announced and not withdrawn.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.counts.len()
    }

    #[cold]
    fn turn_of_growth(&mut self) -> Turn {
        if self.epoch != self.table.growth.epoch() {
            self.follow();
            // Keys announced meanwhile may have crowded the generation that the growth brought.
            self.grow_if_crowded();
        }
        if self.counts.is_walking() {
            self.copy();
        }
        let busy = self.counts.is_walking() || self.epoch != self.table.growth.epoch();
        Turn { busy, nudge: core::mem::take(&mut self.nudge) }
    }

    /// Begins a growth, if one is due and none is under way.
    fn grow_if_crowded(&mut self) {
        let settled = self.other.is_none() && self.epoch == self.table.growth.epoch();
        if settled && self.current.is_crowded() {
            self.nudge |= self.table.growth.begin(&self.current, self.bit);
        }
    }

    /// Does what a transition asks for.
    fn follow(&mut self) {
        let view = self.table.growth.follow(self.bit);
        self.epoch = view.epoch;
        self.current = view.current;
        self.other = view.other;
        self.nudge |= view.nudge;
        self.counts.stop_walk();
        if view.copy {
            self.counts.start_walk();
            let depths =
                (0..=DEPTH_BITS).filter(|depth| self.depths[*depth] > 0).fold(0, |set, depth| set | 1 << depth);
            if let Some(next) = &self.other {
                next.add_depths(depths);
            }
        }
    }

    /// Copies a slice of the live keys into the next generation.
    fn copy(&mut self) {
        let next = self.other.as_ref().expect("there is a next generation to copy into");
        if self.counts.walk(COPY_SLOTS_PER_TURN, |fingerprint| next.set(fingerprint, self.bit)) {
            self.nudge |= self.table.growth.copied(self.bit);
        }
    }

    /// The generations to be kept up to date.
    fn generations(&self) -> impl Iterator<Item = &Slots> {
        core::iter::once(&*self.current).chain(self.other.as_deref())
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        for slots in self.generations() {
            self.counts.iter().for_each(|fingerprint| slots.clear(fingerprint, self.bit));
            slots.forget(self.bit);
        }
        self.table.growth.leave(self.bit);
    }
}

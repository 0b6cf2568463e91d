//! One shard's own count of announcements by fingerprint: what turns many subscriptions into one bit.
//!
//! Open addressing in two flat arrays, 12 bytes a slot, between 53 and 80 percent full while it grows: 15 to 22.5 bytes a
//! key. Entries that are withdrawn are removed at once by shifting their successors back.
//!
//! All entries can be walked a slice at a time while the table changes: whatever was in it when the walk began and is
//! still in it when the walk ends has been visited, some entries more than once.
//!
//! Absent: sharing. This belongs to one thread.

use super::slots::home;

/// Fewest slots of a table that is not empty.
const SLOTS_MIN: usize = 8;
/// Load, in percent, beyond which the table grows.
const LOAD_MAX_PERCENT: usize = 80;
/// Load, in percent, below which the table shrinks.
const LOAD_MIN_PERCENT: usize = 25;
/// Load, in percent, after growing or shrinking: two thirds of the maximum, so growth is by half.
const LOAD_RESIZED_PERCENT: usize = 53;

/// Counts by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// 0 marks an empty slot.
    fingerprints: Vec<u64>,
    counts: Vec<u32>,
    len: usize,
    /// The next slot to be visited, while a walk is under way.
    walk: Option<usize>,
}

impl Counts {
    /// Distinct fingerprints.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Counts one more; true if it is the first. A count that reaches its maximum stays there for good.
    pub(super) fn increment(&mut self, fingerprint: u64) -> bool {
        if let Some(slot) = self.find(fingerprint) {
            self.counts[slot] = self.counts[slot].saturating_add(1);
            return false;
        }
        if (self.len + 1) * 100 > self.fingerprints.len() * LOAD_MAX_PERCENT {
            self.resize();
        }
        self.insert(fingerprint, 1);
        self.len += 1;
        true
    }

    /// Counts one less; true if it was the last.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn decrement(&mut self, fingerprint: u64) -> bool {
        let slot = self.find(fingerprint).expect("withdrawn more often than announced");
        match self.counts[slot] {
            u32::MAX => false,
            1 => {
                self.remove(slot);
                true
            }
            count => {
                self.counts[slot] = count - 1;
                false
            }
        }
    }

    /// All fingerprints.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.fingerprints.iter().copied().filter(|fingerprint| *fingerprint != 0)
    }

    /// Begins a walk, or begins it anew.
    pub(super) fn start_walk(&mut self) {
        self.walk = Some(0);
    }

    /// True while a walk is under way.
    #[inline]
    pub(super) fn is_walking(&self) -> bool {
        self.walk.is_some()
    }

    /// Abandons the walk under way, if any.
    pub(super) fn stop_walk(&mut self) {
        self.walk = None;
    }

    /// Continues the walk over the next `slots` slots; true if it has ended.
    pub(super) fn walk(&mut self, slots: usize, visit: impl FnMut(u64)) -> bool {
        let Some(from) = self.walk else { return true };
        let to = from.saturating_add(slots).min(self.fingerprints.len());
        self.fingerprints[from..to].iter().copied().filter(|fingerprint| *fingerprint != 0).for_each(visit);
        self.walk = (to < self.fingerprints.len()).then_some(to);
        self.walk.is_none()
    }

    fn find(&self, fingerprint: u64) -> Option<usize> {
        if self.fingerprints.is_empty() {
            return None;
        }
        let mut slot = home(fingerprint, self.fingerprints.len());
        loop {
            match self.fingerprints[slot] {
                0 => return None,
                found if found == fingerprint => return Some(slot),
                _ => slot = self.after(slot),
            }
        }
    }

    /// Puts a fingerprint that is not there into the first free slot; there is one, for the load is limited.
    fn insert(&mut self, fingerprint: u64, count: u32) {
        let mut slot = home(fingerprint, self.fingerprints.len());
        while self.fingerprints[slot] != 0 {
            slot = self.after(slot);
        }
        self.fingerprints[slot] = fingerprint;
        self.counts[slot] = count;
    }

    fn remove(&mut self, slot: usize) {
        let mut hole = slot;
        let mut next = self.after(hole);
        while self.fingerprints[next] != 0 {
            let home = home(self.fingerprints[next], self.fingerprints.len());
            if self.distance(home, next) >= self.distance(hole, next) {
                self.fingerprints[hole] = self.fingerprints[next];
                self.counts[hole] = self.counts[next];
                // An entry that slips behind the walk must still be visited.
                self.walk = self.walk.map(|at| if hole < at && at <= next { hole } else { at });
                hole = next;
            }
            next = self.after(next);
        }
        self.fingerprints[hole] = 0;
        self.len -= 1;
        if self.fingerprints.len() > SLOTS_MIN && self.len * 100 < self.fingerprints.len() * LOAD_MIN_PERCENT {
            self.resize();
        }
    }

    fn resize(&mut self) {
        let slots = ((self.len + 1) * 100).div_ceil(LOAD_RESIZED_PERCENT).max(SLOTS_MIN);
        let fingerprints = core::mem::replace(&mut self.fingerprints, vec![0; slots]);
        let counts = core::mem::replace(&mut self.counts, vec![0; slots]);
        for (fingerprint, count) in fingerprints.into_iter().zip(counts) {
            if fingerprint != 0 {
                self.insert(fingerprint, count);
            }
        }
        self.walk = self.walk.map(|_| 0);
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.fingerprints.len() { 0 } else { slot + 1 }
    }

    /// Steps from one slot forward to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.fingerprints.len() - from }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    #[derive(Debug, Clone)]
    enum Step {
        Increment(u64),
        Decrement(u64),
        StartWalk,
        Walk(usize),
    }

    /// Fingerprints in few clusters, some of which wrap around the end of the table.
    fn fingerprint() -> impl Strategy<Value = u64> {
        (0..5_u64, 1..12_u64)
            .prop_map(|(cluster, offset)| (u64::MAX / 4).wrapping_mul(cluster).wrapping_sub(6).wrapping_add(offset))
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => fingerprint().prop_map(Step::Increment),
            5 => fingerprint().prop_map(Step::Decrement),
            1 => Just(Step::StartWalk),
            3 => (1..6_usize).prop_map(Step::Walk),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        /// Counts as a map of numbers does; a walk visits everything that was there from its begin to its end.
        #[test]
        fn counts_and_walks(steps in steps()) {
            let mut counts = Counts::default();
            let mut model: HashMap<u64, u32> = HashMap::new();
            let mut owed: HashSet<u64> = HashSet::new();
            for step in steps {
                match step {
                    Step::Increment(0) | Step::Decrement(0) => {}
                    Step::Increment(fingerprint) => {
                        let count = model.entry(fingerprint).or_default();
                        *count += 1;
                        prop_assert_eq!(counts.increment(fingerprint), *count == 1);
                    }
                    Step::Decrement(fingerprint) => {
                        let Some(count) = model.get_mut(&fingerprint) else { continue };
                        *count -= 1;
                        prop_assert_eq!(counts.decrement(fingerprint), *count == 0);
                        if *count == 0 {
                            model.remove(&fingerprint);
                            owed.remove(&fingerprint);
                        }
                    }
                    Step::StartWalk => {
                        counts.start_walk();
                        owed = model.keys().copied().collect();
                    }
                    Step::Walk(slots) => {
                        let walking = counts.is_walking();
                        let ended = counts.walk(slots, |fingerprint| {
                            owed.remove(&fingerprint);
                        });
                        prop_assert_eq!(ended, !counts.is_walking());
                        prop_assert!(!walking || !ended || owed.is_empty(), "a walk left something out");
                    }
                }
                prop_assert_eq!(counts.len(), model.len());
                let all: HashSet<u64> = counts.iter().collect();
                prop_assert!(all.iter().all(|fingerprint| model.contains_key(fingerprint)) && all.len() == model.len());
            }
        }

        /// The memory that the module promises, while keys are only added.
        #[test]
        fn at_most_23_bytes_a_key_while_growing(fingerprints in prop::collection::hash_set(1..u64::MAX, 20..400)) {
            let mut counts = Counts::default();
            for fingerprint in fingerprints {
                counts.increment(fingerprint);
                let bytes = 12 * counts.fingerprints.capacity();
                prop_assert!(counts.len() < 20 || bytes <= 23 * counts.len(), "{} for {}", bytes, counts.len());
            }
        }
    }

    #[test]
    fn a_full_count_never_falls() {
        let mut counts = Counts::default();
        assert!(counts.increment(5));
        let slot = counts.find(5).unwrap();
        counts.counts[slot] = u32::MAX - 1;
        assert!(!counts.increment(5) && !counts.increment(5) && !counts.decrement(5));
        assert_eq!((counts.counts[slot], counts.len()), (u32::MAX, 1));
    }
}

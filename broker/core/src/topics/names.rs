//! A table from strings to numbers that keeps neither.
//!
//! An entry is one word: a 32-bit hash and the number, under which the caller keeps the string. Entries lie where their
//! hash says or just behind (linear probing), so that a look-up among a million costs one cache miss here and one for
//! the string, where a table with separate tags costs one more. The table has parts that grow one at a time.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Parts of the table. With a million entries a part holds about 4000, which are moved to a larger allocation in some
/// tens of microseconds.
const PARTS: usize = 256;

/// The highest hash bits choose the part, the lowest the place in it.
const PART_SHIFT: u32 = 24;

/// Places of the smallest part that holds anything.
const PLACES_MIN: usize = 4;

/// No entry: [`Names::insert`] does not take this number.
const VACANT: u64 = u64::MAX;

/// String -> number.
#[derive(Debug)]
pub(super) struct Names {
    parts: Box<[Part]>,
}

#[derive(Debug, Default)]
struct Part {
    /// A power of two of places, at most three quarters of them taken; or none.
    places: Vec<u64>,
    taken: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect() }
    }
}

impl Names {
    /// The number of a string with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let part = &self.parts[part(hash)];
        let mask = part.places.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let entry = part.places[at & mask];
            if entry == VACANT {
                return None;
            }
            if hash_of(entry) == hash && is_it(number_of(entry)) {
                return Some(number_of(entry));
            }
            at += 1;
        }
    }

    /// Adds a string that is known to be absent.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        assert_ne!(number, u32::MAX, "number stands for a vacant place");
        let part = &mut self.parts[part(hash)];
        part.taken += 1;
        if part.taken * 4 > part.places.len() * 3 {
            part.resize();
        }
        part.place(entry(hash, number));
    }

    /// Removes a string. False if it is absent.
    pub(super) fn remove(&mut self, hash: u32, number: u32) -> bool {
        let part = &mut self.parts[part(hash)];
        let Some(mask) = part.places.len().checked_sub(1) else { return false };
        let mut hole = hash as usize & mask;
        while part.places[hole] != entry(hash, number) {
            if part.places[hole] == VACANT {
                return false;
            }
            hole = (hole + 1) & mask;
        }
        // Whatever follows without a gap and may lie in the hole moves there, so that no search ends too early.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let follower = part.places[at];
            if follower == VACANT {
                break;
            }
            let wanted = hash_of(follower) as usize & mask;
            if at.wrapping_sub(wanted) & mask >= at.wrapping_sub(hole) & mask {
                part.places[hole] = follower;
                hole = at;
            }
        }
        part.places[hole] = VACANT;
        part.taken -= 1;
        if part.places.len() > PLACES_MIN && part.taken * 8 < part.places.len() {
            part.resize();
        }
        true
    }
}

impl Part {
    /// Moves to an allocation that `taken` entries fill by three eighths at least and by three quarters at most, as far
    /// as the smallest size allows.
    fn resize(&mut self) {
        let places = (self.taken * 4).div_ceil(3).next_power_of_two().max(PLACES_MIN);
        let mut vacant = Vec::new();
        vacant.resize(places, VACANT);
        for entry in core::mem::replace(&mut self.places, vacant) {
            if entry != VACANT {
                self.place(entry);
            }
        }
    }

    fn place(&mut self, entry: u64) {
        let mask = self.places.len() - 1;
        let mut at = hash_of(entry) as usize & mask;
        while self.places[at] != VACANT {
            at = (at + 1) & mask;
        }
        self.places[at] = entry;
    }
}

#[inline]
const fn part(hash: u32) -> usize {
    (hash >> PART_SHIFT) as usize
}

#[inline]
const fn entry(hash: u32, number: u32) -> u64 {
    ((hash as u64) << 32) | number as u64
}

#[inline]
const fn hash_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
const fn number_of(entry: u64) -> u32 {
    entry as u32
}

#[cfg(test)]
mod tests {
    use super::Names;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// Few different hashes, so that probes run into each other and around the end.
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((prop::bool::weighted(0.6), 0..400_u32), 0..1500)) {
            let mut names = Names::default();
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            let hash_of = |name: u32| (name % 3).wrapping_mul(u32::MAX / 2) ^ (name / 40);
            for (insert, name) in steps {
                let hash = hash_of(name);
                if insert && !model.contains_key(&name) {
                    names.insert(hash, name);
                    model.insert(name, hash);
                } else if !insert {
                    prop_assert_eq!(names.remove(hash, name), model.remove(&name).is_some());
                }
                prop_assert_eq!(names.find(hash, |held| held == name).is_some(), model.contains_key(&name));
            }
            for (name, hash) in &model {
                prop_assert_eq!(names.find(*hash, |held| held == *name), Some(*name));
            }
            prop_assert_eq!(names.parts.iter().map(|part| part.taken).sum::<usize>(), model.len());
            for (name, hash) in model {
                prop_assert!(names.remove(hash, name));
            }
            prop_assert!(names.parts.iter().all(|part| part.taken == 0 && part.places.len() <= super::PLACES_MIN));
        }
    }
}

//! A map of fixed capacity that forgets the key that was not used for the longest time.

use alloc::vec::Vec;
use hashbrown::HashTable;

/// End of the list.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry<V> {
    key: u64,
    newer: u32,
    older: u32,
    value: V,
}

/// `u64` -> `V` for the keys used last.
#[derive(Debug)]
pub(super) struct Recent<V> {
    entries: Vec<Entry<V>>,
    by_key: HashTable<u32>,
    newest: u32,
    oldest: u32,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_key: HashTable::new(), newest: NONE, oldest: NONE }
    }
}

impl<V> Recent<V> {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of a key, which becomes the newest; the new value of `initial` if it has none. At `capacity` the
    /// oldest key makes room.
    pub(super) fn get_or_insert_with(&mut self, key: u64, capacity: usize, initial: impl FnOnce() -> V) -> &mut V {
        let entries = &self.entries;
        let known = self.by_key.find(mix(key), |at| entries[*at as usize].key == key).copied();
        let at = match known {
            Some(at) if at == self.newest => return &mut self.entries[at as usize].value,
            Some(at) => {
                self.unlink(at);
                at
            }
            None => self.place_for(key, capacity, initial()),
        };
        self.link_newest(at);
        &mut self.entries[at as usize].value
    }

    /// A place outside the list that holds the new key.
    fn place_for(&mut self, key: u64, capacity: usize, value: V) -> u32 {
        let entry = Entry { key, newer: NONE, older: NONE, value };
        let at = if self.entries.len() < capacity.max(1) {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("small capacity")
        } else {
            let at = self.oldest;
            self.unlink(at);
            let forgotten = core::mem::replace(&mut self.entries[at as usize], entry);
            let place = self.by_key.find_entry(mix(forgotten.key), |held| *held == at);
            place.expect("every entry is found by its key").remove();
            at
        };
        let entries = &self.entries;
        self.by_key.insert_unique(mix(key), at, |at| mix(entries[*at as usize].key));
        at
    }

    fn link_newest(&mut self, at: u32) {
        let entry = &mut self.entries[at as usize];
        entry.newer = NONE;
        entry.older = self.newest;
        match self.newest {
            NONE => self.oldest = at,
            newest => self.entries[newest as usize].newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Entry { newer, older, .. } = self.entries[at as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }
}

/// Keys are numbers of our own making, so that mixing them needs no seed. The constant is the golden ratio's fraction.
const fn mix(key: u64) -> u64 {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::Recent;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn forgets_what_was_not_used_for_longest(
            uses in prop::collection::vec(0..12_u64, 0..200),
            capacity in 1..9_usize,
        ) {
            let mut recent = Recent::default();
            // Newest last.
            let mut model: Vec<(u64, usize)> = Vec::new();
            for (time, key) in uses.into_iter().enumerate() {
                let value = *recent.get_or_insert_with(key, capacity, || time);
                let known = model.iter().position(|(held, _)| *held == key).map(|at| model.remove(at));
                let expected = known.unwrap_or((key, time));
                prop_assert_eq!(value, expected.1);
                model.push(expected);
                if model.len() > capacity {
                    model.remove(0);
                }
                prop_assert_eq!(recent.len(), model.len());
            }
        }
    }
}

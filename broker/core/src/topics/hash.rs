//! Hashing of what clients choose, and hash tables that grow in small steps.
//!
//! All hashes are seeded: a client that does not know the seed cannot aim for collisions.

use alloc::boxed::Box;
use core::hash::Hasher;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;

/// Parts of a [`Partitioned`] table. With a million entries a part holds about 4000, which are moved to a larger
/// allocation in some tens of microseconds.
const PARTITIONS: usize = 256;

/// Lowest of the hash bits that choose the part: above those that choose the bucket, below those kept as its tag.
const PARTITION_SHIFT: u32 = 17;

/// A part that is emptier than one in this many places is made smaller.
const SPARSE_RATIO: usize = 8;

/// Places below which a part is not worth making smaller.
const SMALL_CAPACITY: usize = 16;

/// Makes 32-bit hashes that depend on a seed.
#[derive(Debug)]
pub(crate) struct SeededHash {
    accumulator: u64,
    shared: SharedSeed,
}

impl SeededHash {
    pub(crate) fn new(seed: u64) -> Self {
        // Two different values from one seed; the constant is the golden ratio's fraction.
        Self { accumulator: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), shared: SharedSeed::from_u64(seed) }
    }

    #[inline]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.accumulator, &self.shared);
        hasher.write(bytes);
        fold(hasher.finish())
    }

    #[inline]
    pub(crate) fn pair(&self, first: u32, second: u32) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.accumulator, &self.shared);
        hasher.write_u32(first);
        hasher.write_u32(second);
        fold(hasher.finish())
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
const fn fold(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// A hash table in [`PARTITIONS`] parts that grow one at a time, so that no insertion moves more than one part.
#[derive(Debug)]
pub(crate) struct Partitioned<T> {
    parts: Box<[HashTable<T>]>,
}

impl<T> Default for Partitioned<T> {
    fn default() -> Self {
        Self { parts: (0..PARTITIONS).map(|_| HashTable::new()).collect() }
    }
}

impl<T> Partitioned<T> {
    #[inline]
    pub(crate) fn find(&self, hash: u32, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts[part(hash)].find(spread(hash), eq)
    }

    pub(crate) fn find_mut(&mut self, hash: u32, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.parts[part(hash)].find_mut(spread(hash), eq)
    }

    /// Adds an entry that is known to be absent. `hash_of` gives the hash of any entry again.
    pub(crate) fn insert(&mut self, hash: u32, entry: T, hash_of: impl Fn(&T) -> u32) {
        self.parts[part(hash)].insert_unique(spread(hash), entry, |held| spread(hash_of(held)));
    }

    pub(crate) fn remove(&mut self, hash: u32, eq: impl FnMut(&T) -> bool, hash_of: impl Fn(&T) -> u32) -> Option<T> {
        let part = &mut self.parts[part(hash)];
        let (entry, _) = part.find_entry(spread(hash), eq).ok()?.remove();
        if part.capacity() > SMALL_CAPACITY && part.len() < part.capacity() / SPARSE_RATIO {
            part.shrink_to(part.len() * 2, |held| spread(hash_of(held)));
        }
        Some(entry)
    }
}

#[inline]
const fn part(hash: u32) -> usize {
    (hash >> PARTITION_SHIFT) as usize % PARTITIONS
}

/// The table takes buckets from the low bits and tags from the seven highest.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

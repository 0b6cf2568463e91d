//! Which shard a client, a retained topic or a shared group is at home on.
//!
//! Names hash to one of 4096 slots and a table maps slots to shards: a table and not a modulus, so that slots can move
//! one day without everything moving.

use crate::machine::ShardId;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use foldhash::quality::FixedState;

/// Slots that names are spread over.
pub const SLOTS: usize = 4096;

/// The table of slots, the same on every shard of a process.
#[derive(Debug, Clone)]
pub struct Placement {
    hash: FixedState,
    shard_of: Vec<ShardId>,
}

impl Placement {
    /// Slots dealt evenly to `shards` shards. The seed must be the same on all of them and unknown to clients.
    ///
    /// # Panics
    /// With no shard, or more than [`SHARDS_MAX`](crate::machine::SHARDS_MAX).
    #[must_use]
    pub fn new(shards: usize, seed: u64) -> Self {
        assert!((1..=crate::machine::SHARDS_MAX).contains(&shards), "1 to 64 shards");
        let owner = |slot: usize| ShardId(u8::try_from(slot * shards / SLOTS).expect("at most 64 shards"));
        Self { hash: FixedState::with_seed(seed), shard_of: (0..SLOTS).map(owner).collect() }
    }

    /// Seeded hash of a name, every bit of which depends on all of the name: a client's home must say nothing about that of
    /// another whose name is much the same, or a fleet whose names differ in a number shares one shard.
    #[inline]
    #[must_use]
    pub fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(name);
        hasher.finish()
    }

    /// The shard that owns whatever has this hash.
    #[inline]
    #[must_use]
    pub fn home_of_hash(&self, hash: u64) -> ShardId {
        // The upper bits: hash tables that use the same hash take the lower ones.
        self.shard_of[usize::try_from(hash >> 52).expect("12 bits")]
    }

    /// The shard that owns whatever has this name.
    #[inline]
    #[must_use]
    pub fn home(&self, name: &[u8]) -> ShardId {
        self.home_of_hash(self.hash(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Placement;
    use crate::machine::ShardId;
    use alloc::format;

    #[test]
    fn names_spread_over_all_shards() {
        let placement = Placement::new(5, 42);
        let mut counts = [0_u32; 5];
        for number in 0..10_000_u32 {
            counts[usize::from(placement.home(&number.to_be_bytes()).0)] += 1;
        }
        assert!(counts.iter().all(|count| (1_600..2_400).contains(count)), "{counts:?}");
    }

    #[test]
    fn names_that_are_much_the_same_are_at_home_on_shards_of_their_own() {
        for seed in (0..100_u64).map(|seed| seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let placement = Placement::new(2, seed);
            let home = |kind: &str, number: u32| placement.home(format!("load-{kind}-{number}").as_bytes());
            let apart = (0..1_000).filter(|number| home("pub", *number) != home("sub", *number)).count();
            let second = (0..1_000).filter(|number| home("pub", *number) == ShardId(1)).count();
            assert!((400..600).contains(&apart), "seed {seed}: {apart} of 1,000 pairs are apart");
            assert!((400..600).contains(&second), "seed {seed}: {second} of 1,000 are on the second shard");
        }
    }

    #[test]
    fn one_shard_owns_everything() {
        let placement = Placement::new(1, 7);
        assert!((0..100_u8).all(|name| placement.home(&[name]).0 == 0));
    }
}

//! A shard's view of other shards' subscriptions, on top of the mesh's shared table.
//!
//! It stands here because nothing below the drivers sees both the shard's contract and the mesh. Absent: what filters and
//! topics mean; they are handed on as text.

use ringmq_core::interest::Interest;

/// Turns of the table's growth taken in one call. The core calls about once a second, the table would like every turn:
/// with this many slices, a growing table of ten million filters takes a new generation in seconds, not hours.
const SLICES_MAX: usize = 64;

/// One shard's handle on the table.
pub struct MeshInterest(ringmq_mesh::interest::Interest);

impl MeshInterest {
    /// Makes the shard's handle fit the shard.
    #[must_use]
    pub const fn new(handle: ringmq_mesh::interest::Interest) -> Self {
        Self(handle)
    }
}

impl std::fmt::Debug for MeshInterest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("MeshInterest").finish_non_exhaustive()
    }
}

impl Interest for MeshInterest {
    fn announce(&mut self, filter: &str) {
        self.0.announce(filter);
        // Growth is called for by what is announced, so it goes on with it.
        self.0.turn();
    }

    fn withdraw(&mut self, filter: &str) {
        self.0.withdraw(filter);
    }

    fn lookup(&mut self, topic: &str) -> u64 {
        self.0.lookup(topic)
    }

    fn turn(&mut self) {
        for _ in 0..SLICES_MAX {
            if !self.0.turn().busy {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_mesh::interest::InterestTable;

    #[test]
    fn one_shard_sees_what_another_announces() {
        let table = InterestTable::new(2, 1, 16);
        let mut shards = [0, 1].map(|shard| MeshInterest::new(table.handle(shard)));
        shards[1].announce("a/+");
        shards[1].turn();
        assert_eq!(shards[0].lookup("a/b"), 0b10);
        shards[1].withdraw("a/+");
        assert_eq!(shards[0].lookup("a/b"), 0);
    }
}

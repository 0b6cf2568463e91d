//! Making the shards' machines: what the core's shard needs from the process around it.
//!
//! Absent: methods of enhanced authentication, of which there are none yet.

use crate::counters::SharedCounters;
use ringmq_core::interest::Interest;
use ringmq_core::machine::ShardId;
use ringmq_core::settings::Settings;
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_drive::MeshInterest;
use ringmq_mesh::interest::InterestTable;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Distinct filters for which the interest table has room before it first grows.
const INTEREST_KEYS: usize = 4096;

/// Makes the shard of each thread.
pub(crate) struct Factory {
    settings: Settings,
    shards: usize,
    seed: u64,
    /// Absent where there is only one shard.
    interest: Option<Arc<InterestTable>>,
    counters: Arc<SharedCounters>,
}

impl Factory {
    pub(crate) fn new(settings: Settings, shards: usize, counters: Arc<SharedCounters>) -> Self {
        let interest = (shards > 1).then(|| InterestTable::new(shards, secret(), INTEREST_KEYS));
        Self { settings, shards, seed: secret(), interest, counters }
    }

    /// To be called on the shard's own thread, once for each.
    pub(crate) fn make(&self, id: ShardId) -> Shard {
        let handle = |table: &Arc<InterestTable>| -> Box<dyn Interest> {
            Box::new(MeshInterest::new(table.handle(usize::from(id.0))))
        };
        Shard::new(ShardConfig {
            id,
            shards: self.shards,
            settings: self.settings.clone(),
            seed: self.seed,
            interest: self.interest.as_ref().map(handle),
            auth_methods: Vec::new(),
            counters: Some(self.counters.sink(id)),
        })
    }
}

/// A number that clients cannot guess: the standard library keys every hasher from the system's random source.
fn secret() -> u64 {
    RandomState::new().hash_one(0)
}

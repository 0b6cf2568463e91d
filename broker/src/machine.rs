//! Making the shards' machines: what the core's shard needs from the process around it.
//!
//! Absent: methods of enhanced authentication, of which there are none yet.

use crate::banned::Matcher;
use crate::counters::SharedCounters;
use crate::rewrite::{Rule, Rules};
use crate::sys::Events;
use ringmq_core::interest::Interest;
use ringmq_core::machine::ShardId;
use ringmq_core::settings::Settings;
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_drive::MeshInterest;
use ringmq_mesh::interest::InterestTable;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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
    rewriter: Option<Rules>,
    bans: Option<Matcher>,
    unix_offset_ms: u64,
    events: Option<Events>,
}

impl Factory {
    pub(crate) fn new(settings: Settings, rewrite: &[Rule], shards: usize, counters: Arc<SharedCounters>) -> Self {
        let interest = (shards > 1).then(|| InterestTable::new(shards, secret(), INTEREST_KEYS));
        let (rewriter, unix_offset_ms) = (Rules::rewriter(rewrite), unix_offset_ms());
        Self {
            settings,
            shards,
            seed: secret(),
            interest,
            counters,
            rewriter,
            bans: None,
            unix_offset_ms,
            events: None,
        }
    }

    /// The same, with words for what happens to clients.
    pub(crate) fn with_events(self, events: Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// With clients that are banned from the start.
    pub(crate) fn with_bans(self, bans: Option<Matcher>) -> Self {
        Self { bans, ..self }
    }

    /// To be called on the shard's own thread, once for each.
    pub(crate) fn make(&self, id: ShardId) -> Shard {
        let handle = |table: &Arc<InterestTable>| -> Box<dyn Interest> {
            Box::new(MeshInterest::new(table.handle(usize::from(id.0))))
        };
        let mut shard = Shard::new(ShardConfig {
            id,
            shards: self.shards,
            settings: self.settings.clone(),
            seed: self.seed,
            interest: self.interest.as_ref().map(handle),
            auth_methods: Vec::new(),
            counters: Some(self.counters.sink(id)),
            rewriter: Rules::boxed(self.rewriter.as_ref()),
            unix_offset_ms: self.unix_offset_ms,
        });
        shard.set_ban_list(Matcher::boxed(self.bans.as_ref()));
        match &self.events {
            Some(events) => shard.with_observer(Box::new(events.clone())),
            None => shard,
        }
    }
}

/// Milliseconds since 1970 when the monotonic clock, which drivers read, was 0. Later changes of the system's time are
/// not seen.
fn unix_offset_ms() -> u64 {
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let monotonic_ms = u64::try_from(monotonic.tv_sec * 1000 + monotonic.tv_nsec / 1_000_000).unwrap_or(0);
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX).saturating_sub(monotonic_ms)
}

/// A number that clients cannot guess: the standard library keys every hasher from the system's random source.
fn secret() -> u64 {
    RandomState::new().hash_one(0)
}

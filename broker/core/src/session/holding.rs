//! Whom a full queue holds back (`ringmq.queue_full_policy = back_pressure`).

use foldhash::fast::FixedState;
use hashbrown::HashSet;

/// Publishers that one queue holds back at a time. Those beyond are read, and what they publish is bounded by
/// `ringmq.back_pressure.max_overrun` alone.
const PUBLISHERS_MAX: usize = 65_536;

/// A queue that was full and has not had room since.
#[derive(Debug)]
pub(crate) struct Holding {
    /// By [`Publisher::key`](crate::message::Publisher::key), which are numbers of our own making.
    publishers: HashSet<u64, FixedState>,
    /// When the client last took something, or else when the queue became full; milliseconds.
    pub(crate) took_ms: u64,
    /// That is too long ago: nobody is held back until the client takes something.
    pub(crate) gave_up: bool,
}

impl Holding {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { publishers: HashSet::with_hasher(FixedState::default()), took_ms: now_ms, gave_up: false }
    }

    /// Adds a publisher; true if it has to be told.
    pub(crate) fn add(&mut self, publisher: u64) -> bool {
        self.publishers.len() < PUBLISHERS_MAX && self.publishers.insert(publisher)
    }

    /// Publishers that are held back.
    pub(crate) fn len(&self) -> usize {
        self.publishers.len()
    }

    /// Forgets the publishers; all of them have to be told.
    pub(crate) fn let_go(&mut self) -> impl Iterator<Item = u64> {
        self.publishers.drain()
    }
}

//! Time limits that are all the same length, and therefore expire in the order in which they were started.

use ringmq_core::machine::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// A first-in first-out queue of time limits on connections.
#[derive(Debug)]
pub(crate) struct Timers {
    length: u64,
    queue: VecDeque<(Time, u32, u32)>,
}

impl Timers {
    /// Limits of this length.
    pub(crate) fn new(length: Duration) -> Self {
        Self { length: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX), queue: VecDeque::new() }
    }

    /// Starts a limit on the connection in `slot`. There is no way to stop it: an expired limit whose generation is no
    /// longer the slot's is void.
    pub(crate) fn start(&mut self, now: Time, slot: u32, generation: u32) {
        self.queue.push_back((Time(now.0.saturating_add(self.length)), slot, generation));
    }

    /// When the next one expires.
    pub(crate) fn next(&self) -> Option<Time> {
        self.queue.front().map(|(at, _, _)| *at)
    }

    /// Slot and generation of one that has expired.
    pub(crate) fn expired(&mut self, now: Time) -> Option<(u32, u32)> {
        let (at, slot, generation) = *self.queue.front()?;
        (at <= now).then(|| {
            self.queue.pop_front();
            (slot, generation)
        })
    }
}

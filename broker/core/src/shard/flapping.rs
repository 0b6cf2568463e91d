//! Clients that connect and disconnect again and again (EMQX's `flapping_detect`): found here, banned by the process.
//!
//! A client is counted on its home shard, by the hash of its identifier. Its window begins with a disconnect; enough of
//! them before it ends, and the client's name waits to be fetched ([`Control::TakeFlapping`]).
//!
//! Absent: the ban. Until it comes, the client may connect.
//!
//! [`Control::TakeFlapping`]: crate::control::Control::TakeFlapping

use super::Shard;
use super::leave::End;
use alloc::boxed::Box;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Clients counted at a time. Of more, those that disconnect while there is room are.
const CLIENTS_MAX: usize = 65_536;

/// Names that wait to be fetched. What is found beyond is found again.
const FOUND_MAX: usize = 1024;

/// What a client did in its window.
#[derive(Clone, Copy)]
struct Window {
    ends_ms: u64,
    disconnects: u32,
}

/// Who has disconnected of late.
pub(super) struct Flapping {
    windows: HashMap<u64, Window, FixedState>,
    /// When windows that have ended are next looked for, milliseconds.
    sweep_ms: u64,
    found: Vec<Box<str>>,
}

impl Flapping {
    pub(super) fn new(seed: u64) -> Self {
        Self { windows: HashMap::with_hasher(FixedState::with_seed(seed)), sweep_ms: 0, found: Vec::new() }
    }

    /// Counts a disconnect; true if the client has now had as many as it may not have.
    fn count(&mut self, client: u64, now_ms: u64, window_ms: u64, max: u32) -> bool {
        if now_ms >= self.sweep_ms {
            self.windows.retain(|_, window| now_ms < window.ends_ms);
            self.sweep_ms = now_ms.saturating_add(window_ms);
        }
        if self.windows.len() >= CLIENTS_MAX && !self.windows.contains_key(&client) {
            return false;
        }
        let fresh = Window { ends_ms: now_ms.saturating_add(window_ms), disconnects: 0 };
        let window = self.windows.entry(client).or_insert(fresh);
        if now_ms >= window.ends_ms {
            *window = fresh;
        }
        window.disconnects += 1;
        let found = window.disconnects >= max;
        if found {
            self.windows.remove(&client);
        }
        found
    }
}

impl Shard {
    /// Counts the end of a session's connection, unless it was the broker's own will.
    #[cold]
    pub(super) fn count_disconnect(&mut self, session: u32, why: End) {
        if matches!(why, End::Kicked | End::ShuttingDown) {
            return;
        }
        let Some(held) = self.hub.sessions.get(session) else { return };
        let client_id = held.names.client_id();
        let client = self.placement.hash(client_id.as_bytes());
        let settings = &self.hub.settings.flapping;
        let window_ms = u64::try_from(settings.window.as_millis()).unwrap_or(u64::MAX);
        if self.flapping.count(client, self.hub.now_ms, window_ms, settings.max_disconnects)
            && self.flapping.found.len() < FOUND_MAX
        {
            self.flapping.found.push(client_id.into());
        }
    }

    /// The clients that were found since the last time.
    pub(super) fn take_flapping(&mut self) -> Vec<Box<str>> {
        core::mem::take(&mut self.flapping.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_found_by_what_it_does_within_one_window() {
        let mut flapping = Flapping::new(1);
        let mut count = |client, now_ms| flapping.count(client, now_ms, 100, 3);
        assert_eq!([0, 50, 99].map(|now_ms| count(1, now_ms)), [false, false, true]);
        assert!(!count(1, 99), "it begins anew");
        assert_eq!([200, 250, 300, 350, 399].map(|now_ms| count(2, now_ms)), [false, false, false, false, true]);
        assert_eq!([1000, 1000].map(|now_ms| count(3, now_ms)), [false; 2]);
        assert!(!count(4, 1000) && count(3, 1000), "each for itself");
    }

    #[test]
    fn memory_is_bounded_and_freed() {
        let mut flapping = Flapping::new(1);
        for client in 0..2 * CLIENTS_MAX as u64 {
            assert!(!flapping.count(client, 0, 100, 2));
        }
        assert_eq!(flapping.windows.len(), CLIENTS_MAX);
        assert!(flapping.count(5, 99, 100, 2), "those that are counted are counted on");
        assert!(!flapping.count(5, 200, 100, 2));
        assert_eq!(flapping.windows.len(), 1);
    }
}

//! Messages that wait, in their order, found by key where they have one.

use crate::message::Message;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::ops::Bound;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Rc<Message>,
    /// What it is told apart by, in a queue of last values.
    pub(super) key: Option<Rc<[u8]>>,
    /// Counts messages as they come: of two with the same key, the greater one is the newer.
    pub(super) arrival: u64,
    /// When it expires, or is held no longer; milliseconds.
    pub(super) until_ms: u64,
}

/// The line. Places are numbers that grow; a message that comes back has its own again.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<u64, Waiting>,
    /// Places of messages that have a key. No two that wait have the same.
    by_key: HashMap<Rc<[u8]>, u64, FixedState>,
    bytes: usize,
    next: u64,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// As [`super::cost`] counts them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting)
    }

    /// Where a message with this key waits.
    pub(super) fn place_of(&self, key: &[u8]) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    /// Puts a new message in at a place that is free, or at the end.
    pub(super) fn put(&mut self, place: Option<u64>, message: Rc<Message>, key: Option<Rc<[u8]>>, until_ms: u64) {
        self.next += 1;
        let arrival = self.next;
        self.put_back(place.unwrap_or(arrival), Waiting { message, key, arrival, until_ms });
    }

    /// Puts a message that was taken out in at a place that is free.
    pub(super) fn put_back(&mut self, place: u64, waiting: Waiting) {
        self.bytes += super::cost(&waiting.message);
        if let Some(key) = &waiting.key {
            let other = self.by_key.insert(Rc::clone(key), place);
            assert!(other.is_none(), "two messages with one key wait");
        }
        let other = self.waiting.insert(place, waiting);
        assert!(other.is_none(), "two messages wait at one place");
    }

    pub(super) fn take(&mut self, place: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&place)?;
        self.forget(&waiting);
        Some(waiting)
    }

    /// Takes the message that is first in line.
    pub(super) fn take_first(&mut self) -> Option<(u64, Waiting)> {
        let (place, waiting) = self.waiting.pop_first()?;
        self.forget(&waiting);
        Some((place, waiting))
    }

    fn forget(&mut self, waiting: &Waiting) {
        self.bytes -= super::cost(&waiting.message);
        if let Some(key) = &waiting.key {
            self.by_key.remove(key);
        }
    }

    /// Makes all messages that wait ones without a key.
    pub(super) fn forget_keys(&mut self) {
        self.by_key.clear();
        self.waiting.values_mut().for_each(|waiting| waiting.key = None);
    }

    /// Takes out messages that have expired, looking at `steps` of them from a place on. Says how many those were, and
    /// where to go on; 0 is the beginning.
    pub(super) fn sweep(&mut self, from: u64, now_ms: u64, steps: usize) -> (u64, u64) {
        let mut expired = 0;
        let mut at = from;
        for _ in 0..steps {
            let next = self.waiting.range((Bound::Excluded(at), Bound::Unbounded)).next();
            let Some((place, over)) = next.map(|(place, held)| (*place, held.until_ms <= now_ms)) else {
                return (expired, 0);
            };
            at = place;
            if over {
                self.take(place);
                expired += 1;
            }
        }
        (expired, at)
    }
}

//! Things that may come by the thousand at once and cost much each: connections that begin and end. Those of a storm are
//! served a part a turn, so that the packets of everybody else do not wait behind all of them.
//!
//! Absent: what is paced here is not refused or dropped; it is bounded by the number of connections there can be.

use std::collections::VecDeque;

/// How many are served in a turn: a few milliseconds' worth.
pub(crate) const PACED_PER_TURN: usize = 128;

/// Things to do, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Paced<T> {
    waiting: VecDeque<T>,
    /// How many more this turn serves.
    left: usize,
}

impl<T> Default for Paced<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), left: PACED_PER_TURN }
    }
}

impl<T> Paced<T> {
    /// A new turn.
    pub(crate) fn begin_turn(&mut self) {
        self.left = PACED_PER_TURN;
    }

    /// True if something waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Something came: it is given back if it is to be served at once.
    pub(crate) fn admit(&mut self, thing: T) -> Option<T> {
        if self.left == 0 || self.has_waiting() {
            self.waiting.push_back(thing);
            return None;
        }
        self.left -= 1;
        Some(thing)
    }

    /// The next that waited and is to be served in this turn.
    pub(crate) fn next(&mut self) -> Option<T> {
        if self.left == 0 {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.left -= 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_served_in_order_and_in_parts() {
        let mut paced = Paced::default();
        let mut served = Vec::new();
        for thing in 0..PACED_PER_TURN * 2 {
            served.extend(paced.admit(thing));
        }
        assert_eq!(served.len(), PACED_PER_TURN);
        assert_eq!(paced.next(), None, "not in this turn");
        paced.begin_turn();
        // Who comes now waits behind those who do already.
        assert_eq!(paced.admit(PACED_PER_TURN * 2), None);
        while let Some(thing) = paced.next() {
            served.push(thing);
        }
        assert!(paced.has_waiting());
        paced.begin_turn();
        served.extend(paced.next());
        assert!(!paced.has_waiting());
        assert_eq!(served, (0..=PACED_PER_TURN * 2).collect::<Vec<_>>());
    }
}

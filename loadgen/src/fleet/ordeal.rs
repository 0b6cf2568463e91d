//! What is kept of a thread's disturbed clients, and when each is hit.
//!
//! Absent: what is done to them, see `disturb`.

use crate::disturbance::Disturbance;
use crate::plan::Plan;
use ringmq_core::machine::ConnId;
use std::collections::VecDeque;

/// [`Ordeals::of`] of a client that is never disturbed.
const UNDISTURBED: u32 = u32::MAX;

/// The first connection of a client that is taken over, or the second one until it has its CONNACK.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) conn: u32,
    /// The second connection, without a CONNACK; else the first one, which the broker has to close.
    pub(super) is_second: bool,
    /// The beginning of a frame whose rest has not come yet.
    pub(super) partial: Vec<u8>,
}

impl Other {
    pub(super) fn conn(&self) -> ConnId {
        ConnId(self.conn)
    }
}

/// A disturbed client.
#[derive(Debug)]
pub(super) struct Ordeal {
    /// Its number on this thread.
    pub(super) client: usize,
    /// Its number over all threads.
    subscriber: u32,
    /// Which disturbance.
    pub(super) part: usize,
    /// The round that hit it last.
    pub(super) round: u64,
    /// Hit, and not back to normal.
    pub(super) under_way: bool,
    /// When the step it is in was meant to begin, nanoseconds: the hit, or the end of the absence.
    pub(super) intended_ns: u64,
    /// When the session was resumed, nanoseconds.
    pub(super) resumed_ns: u64,
    /// Take-over: the connection beside the client's own.
    pub(super) other: Option<Other>,
    /// By source: the first message that was not sent yet when the session was resumed; 0 once it has caught up.
    pub(super) targets: Vec<u64>,
    /// Targets that are not reached.
    pub(super) behind: usize,
}

/// One thread's part in a disturbance.
#[derive(Debug)]
pub(super) struct Part {
    /// Its ordeals.
    first: usize,
    count: usize,
    /// Next to be hit: the round, and which ordeal of this part.
    round: u64,
    cursor: usize,
    /// Those that are away or pause, with the end of that, earliest first.
    pub(super) returning: VecDeque<(u64, usize)>,
}

/// All of a thread.
#[derive(Debug, Default)]
pub(super) struct Ordeals {
    pub(super) parts: Vec<Part>,
    pub(super) all: Vec<Ordeal>,
    /// By client; empty if nothing is disturbed.
    of: Vec<u32>,
    /// Clients that are hit and not back to normal.
    pub(super) under_way: usize,
    /// Clients that receive what was queued for them.
    pub(super) replaying: usize,
    /// Steps done, by all clients.
    pub(super) steps: u64,
}

/// A hit that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) ordeal: usize,
    pub(super) round: u64,
    /// Nanoseconds of the run's clock.
    pub(super) at_ns: u64,
}

impl Ordeals {
    /// Those of a thread with these subscribers (numbers over all threads, ascending) after so many publishers.
    pub(super) fn new(plan: &Plan, publishers: usize, subscribers: &[u32]) -> Self {
        let mut ordeals = Self::default();
        if plan.disturbances.is_empty() {
            return ordeals;
        }
        ordeals.of = vec![UNDISTURBED; publishers + subscribers.len()];
        for (part, disturbance) in plan.disturbances.iter().enumerate() {
            let first = ordeals.all.len();
            for (local, subscriber) in subscribers.iter().enumerate() {
                if disturbance.hit().contains(subscriber) {
                    let client = publishers + local;
                    ordeals.of[client] = ordeals.all.len() as u32;
                    ordeals.all.push(Ordeal {
                        client,
                        subscriber: *subscriber,
                        part,
                        round: 0,
                        under_way: false,
                        intended_ns: 0,
                        resumed_ns: 0,
                        other: None,
                        targets: Vec::new(),
                        behind: 0,
                    });
                }
            }
            let count = ordeals.all.len() - first;
            ordeals.parts.push(Part { first, count, round: 0, cursor: 0, returning: VecDeque::with_capacity(count) });
        }
        ordeals
    }

    /// Whether a client of a disturbed run is not itself disturbed.
    pub(super) fn is_bystander(&self, client: usize) -> bool {
        self.of.get(client) == Some(&UNDISTURBED)
    }

    /// The ordeal of a client that is hit and not back to normal.
    pub(super) fn of(&self, client: usize) -> Option<usize> {
        let at = *self.of.get(client).filter(|at| **at != UNDISTURBED)? as usize;
        self.all[at].under_way.then_some(at)
    }

    /// The next hit of a part, if it is due at `now_ns`. `start_ns` is when the measurement starts.
    pub(super) fn take(&mut self, part: usize, of: &Disturbance, start_ns: u64, now_ns: u64) -> Option<Hit> {
        let Part { first, count, round, cursor, .. } = &mut self.parts[part];
        let ordeal = *first + *cursor;
        if *count == 0 {
            return None;
        }
        let begins = start_ns.saturating_add(of.round_ns(*round)?);
        let hit = Hit { ordeal, round: *round, at_ns: begins + of.offset_ns(self.all[ordeal].subscriber) };
        if hit.at_ns > now_ns {
            return None;
        }
        *cursor += 1;
        if *cursor == *count {
            (*cursor, *round) = (0, *round + 1);
        }
        Some(hit)
    }
}

//! The threads' side: plain numbers of one thread, published now and then without ever waiting.
//!
//! A thread counts into its own [`Gauge`]. Twenty times a second it copies its counters into a slot that it shares with
//! the [`Monitor`](super::Monitor), and once a second it adds the second's histograms, by exchanging them. The slot has a
//! lock, which the thread only tries: if the monitor is just reading, it is done a turn later. If nobody watches, all
//! that is left of it is a comparison.

use super::Distribution;
use crate::clock::{NANOS_PER_MILLI, NANOS_PER_SECOND};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex};

/// Pause between two publications, nanoseconds.
const PUBLISH_NS: u64 = 50 * NANOS_PER_MILLI;

/// Longest time told apart, microseconds (ten minutes); anything longer counts as this.
const LONGEST_US: u64 = 600_000_000;

/// Significant decimal digits kept.
const DIGITS: u8 = 2;

/// What a thread has counted since the start of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections that are open now, from CONNACK on.
    pub open: u64,
    /// Clients that got a CONNACK with success.
    pub connected: u64,
    /// Clients that got their SUBACK.
    pub subscribed: u64,
    /// Messages sent.
    pub sent: u64,
    /// Deliveries, repeated ones left out.
    pub delivered: u64,
    /// Messages acknowledged completely.
    pub acknowledged: u64,
    /// Messages that were skipped so far and are lost unless they come late, or a disturbance excuses them; 0 in shared
    /// subscriptions, where only the end of the run tells.
    pub missing: u64,
    /// Messages received again.
    pub duplicates: u64,
    /// Messages received after a later one of the same publisher.
    pub reordered: u64,
    /// Messages with a damaged payload or an impossible number.
    pub damaged: u64,
    /// Times a publisher that was due could not send because of the broker.
    pub held_back: u64,
}

impl Counters {
    /// Adds another thread's or process's counters.
    pub fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.connected += other.connected;
        self.subscribed += other.subscribed;
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.acknowledged += other.acknowledged;
        self.missing += other.missing;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.held_back += other.held_back;
    }
}

/// One thread's part of a second, or of several that nobody has fetched.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) number: u64,
    end_to_end: Histogram<u32>,
    acknowledge: Histogram<u32>,
    connect: Histogram<u32>,
    lag: Histogram<u32>,
    busy_ns: u64,
    idle_ns: u64,
    connected: u64,
    sent: u64,
    delivered: u64,
}

impl Default for Batch {
    fn default() -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are constants that fit");
        Self {
            number: 0,
            end_to_end: empty(),
            acknowledge: empty(),
            connect: empty(),
            lag: empty(),
            busy_ns: 0,
            idle_ns: 0,
            connected: 0,
            sent: 0,
            delivered: 0,
        }
    }
}

impl Batch {
    fn histograms(&mut self) -> [&mut Histogram<u32>; 4] {
        [&mut self.end_to_end, &mut self.acknowledge, &mut self.connect, &mut self.lag]
    }

    fn counts(&mut self) -> [&mut u64; 5] {
        [&mut self.busy_ns, &mut self.idle_ns, &mut self.connected, &mut self.sent, &mut self.delivered]
    }

    fn reset(&mut self) {
        self.histograms().into_iter().for_each(Histogram::reset);
        self.counts().into_iter().for_each(|count| *count = 0);
    }

    fn add(&mut self, more: &mut Self) {
        self.number = more.number;
        for (mine, theirs) in self.histograms().into_iter().zip(more.histograms()) {
            mine.add(&*theirs).expect("all histograms have the same bounds");
        }
        for (mine, theirs) in self.counts().into_iter().zip(more.counts()) {
            *mine += *theirs;
        }
    }

    pub(super) fn second(&self) -> super::Second {
        super::Second {
            number: self.number,
            connected: self.connected,
            sent: self.sent,
            delivered: self.delivered,
            end_to_end: Distribution::from_histogram(&self.end_to_end),
            acknowledge: Distribution::from_histogram(&self.acknowledge),
            connect: Distribution::from_histogram(&self.connect),
            lag: Distribution::from_histogram(&self.lag),
            busy_ns: self.busy_ns,
            idle_ns: self.idle_ns,
        }
    }
}

/// What one thread has published.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Slot(pub(super) Mutex<Published>);

#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) counters: Counters,
    pub(super) errors: BTreeMap<String, u64>,
    /// Whether `batch` waits to be fetched.
    pub(super) fresh: bool,
    pub(super) batch: Batch,
}

/// The slots of all threads.
#[derive(Debug, Default)]
pub struct Live {
    /// None if nobody watches.
    pub(super) slots: Box<[Slot]>,
}

impl Live {
    /// Slots for a run that is watched.
    #[must_use]
    pub fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self { slots: (0..threads).map(|_| Slot::default()).collect() })
    }

    /// For a run that nobody watches: nothing is published.
    #[must_use]
    pub fn unwatched() -> Arc<Self> {
        Arc::default()
    }
}

/// One thread's measurements of the second it is in.
#[derive(Debug)]
pub struct Gauge {
    live: Arc<Live>,
    thread: usize,
    on: bool,
    batch: Batch,
    /// When to publish next: after the pause, and at the end of a second.
    due_ns: u64,
    /// Errors that have been published.
    errors: u64,
}

impl Gauge {
    /// The gauge of thread number `thread`.
    #[must_use]
    pub fn new(live: Arc<Live>, thread: usize) -> Self {
        let on = thread < live.slots.len();
        Self { live, thread, on, batch: Batch::default(), due_ns: 0, errors: 0 }
    }

    /// A client got its CONNACK, so long after the connection was due.
    pub fn connected(&mut self, nanos: u64) {
        if self.on {
            self.batch.connected += 1;
            self.batch.connect.saturating_record(nanos.div_ceil(1000));
        }
    }

    /// A message was sent.
    pub fn sent(&mut self) {
        self.batch.sent += 1;
    }

    /// A scheduled message was looked at, so long after it was due.
    pub fn due(&mut self, nanos: u64) {
        if self.on {
            self.batch.lag.saturating_record(nanos.div_ceil(1000));
        }
    }

    /// A message was delivered, so long after it was due.
    pub fn delivered(&mut self, nanos: u64) {
        if self.on {
            self.batch.delivered += 1;
            self.batch.end_to_end.saturating_record(nanos.div_ceil(1000));
        }
    }

    /// A message was acknowledged completely, so long after it was due.
    pub fn acknowledged(&mut self, nanos: u64) {
        if self.on {
            self.batch.acknowledge.saturating_record(nanos.div_ceil(1000));
        }
    }

    /// A turn has ended that took this long.
    pub fn turn(&mut self, nanos: u64, busy: bool) {
        *(if busy { &mut self.batch.busy_ns } else { &mut self.batch.idle_ns }) += nanos;
    }

    /// Whether it is time to [publish](Self::publish).
    #[must_use]
    pub fn is_due(&self, now_ns: u64) -> bool {
        self.on && now_ns >= self.due_ns
    }

    /// Publishes, or leaves it for the next turn if the monitor is just reading.
    pub fn publish(&mut self, now_ns: u64, counters: Counters, errors: &BTreeMap<String, u64>) {
        let Ok(mut published) = self.live.slots[self.thread].0.try_lock() else { return };
        published.counters = counters;
        let count = errors.values().sum();
        if count != self.errors {
            self.errors = count;
            published.errors.clear();
            super::add_errors(&mut published.errors, errors);
        }
        let number = now_ns / NANOS_PER_SECOND;
        if number != self.batch.number {
            if published.fresh {
                published.batch.add(&mut self.batch);
            } else {
                published.fresh = true;
                mem::swap(&mut published.batch, &mut self.batch);
            }
            self.batch.reset();
            self.batch.number = number;
        }
        self.due_ns = (now_ns + PUBLISH_NS).min((number + 1) * NANOS_PER_SECOND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_slot_costs_a_turn_and_no_data() {
        let live = Live::new(1);
        let mut gauge = Gauge::new(Arc::clone(&live), 0);
        let none = BTreeMap::new();
        gauge.delivered(1000);
        {
            let _reading = live.slots[0].0.lock().unwrap();
            gauge.publish(NANOS_PER_SECOND, Counters::default(), &none);
        }
        assert!(gauge.is_due(NANOS_PER_SECOND), "nothing was published");
        gauge.delivered(2000);
        gauge.publish(NANOS_PER_SECOND, Counters::default(), &none);
        assert!(!gauge.is_due(NANOS_PER_SECOND + PUBLISH_NS - 1));
        gauge.publish(2 * NANOS_PER_SECOND - 10, Counters::default(), &none);
        assert!(!gauge.is_due(2 * NANOS_PER_SECOND - 1) && gauge.is_due(2 * NANOS_PER_SECOND), "a second ends on time");
        // Nobody fetches the first second: the next one is added to it.
        gauge.delivered(3000);
        gauge.publish(2 * NANOS_PER_SECOND, Counters { sent: 7, ..Counters::default() }, &none);
        let published = live.slots[0].0.lock().unwrap();
        let second = published.batch.second();
        assert_eq!((published.counters.sent, second.number, second.delivered), (7, 1, 3));
        assert_eq!(second.end_to_end, Distribution::from_pairs([(1, 1), (2, 1), (3, 1)]));
    }

    #[test]
    fn unwatched_threads_publish_nothing() {
        let mut gauge = Gauge::new(Live::unwatched(), 0);
        gauge.delivered(1);
        assert!(!gauge.is_due(u64::MAX));
        assert_eq!(gauge.batch.delivered, 0);
    }
}

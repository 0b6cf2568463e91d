//! What the workers of a run have sent to its coordinator about how far they are.
//!
//! Each has a slot. The thread that hears a worker fills it, and whoever watches the run fetches from all of them.
//! Absent: the way a snapshot travels, see [`workers`](crate::workers).

use super::{Counters, Cumulative, Second, Snapshot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds of one worker that are kept for whoever watches; of more the oldest are left out.
const SECONDS_KEPT: usize = 8;

/// One worker's.
#[derive(Debug, Default)]
struct Reported {
    counters: Counters,
    errors: BTreeMap<String, u64>,
    latency: BTreeMap<String, Cumulative>,
    /// Not fetched yet, oldest first.
    seconds: VecDeque<Second>,
    /// The number of the last one that was reported.
    last: Option<u64>,
}

/// The slots of all workers.
#[derive(Debug)]
pub struct Reports {
    slots: Box<[Mutex<Reported>]>,
}

impl Reports {
    /// Slots for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { slots: (0..workers).map(|_| Mutex::default()).collect() })
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.slots.len()
    }

    /// Takes what a worker says. A second that it has reported before does not count again.
    pub fn put(&self, worker: usize, snapshot: Snapshot) {
        let mut slot = self.slots[worker].lock().unwrap_or_else(PoisonError::into_inner);
        (slot.counters, slot.errors, slot.latency) = (snapshot.counters, snapshot.errors, snapshot.latency);
        let second = snapshot.second;
        if second.busy_ns + second.idle_ns == 0 || slot.last.is_some_and(|last| last >= second.number) {
            return;
        }
        slot.last = Some(second.number);
        if slot.seconds.len() == SECONDS_KEPT {
            slot.seconds.pop_front();
        }
        slot.seconds.push_back(second);
    }

    /// Sums the workers' counters, errors and latencies up in `run`, and returns the seconds that have come since the
    /// last time, by number.
    pub(super) fn fetch(&self, run: &mut Snapshot) -> Vec<Second> {
        run.latency.clear();
        let mut seconds = Vec::new();
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            run.counters.add(&slot.counters);
            super::add_errors(&mut run.errors, &slot.errors);
            for (name, theirs) in &slot.latency {
                run.latency.entry(name.clone()).or_default().merge(theirs);
            }
            seconds.extend(slot.seconds.drain(..));
        }
        seconds.sort_by_key(|second| second.number);
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Distribution;

    fn seen(number: u64, delivered: u64) -> Snapshot {
        let mut snapshot = Snapshot::new(1);
        snapshot.counters.delivered = delivered;
        let end_to_end = Distribution::from_pairs([(100, delivered)]);
        snapshot.second = Second { number, delivered, idle_ns: 1, end_to_end, ..Second::default() };
        snapshot.errors.insert("closed".into(), 1);
        snapshot.latency.entry("end_to_end".into()).or_default().add(&snapshot.second.end_to_end);
        snapshot
    }

    #[test]
    fn workers_add_up_and_no_second_counts_twice() {
        let reports = Reports::new(2);
        reports.put(0, seen(3, 5));
        reports.put(0, seen(3, 5));
        reports.put(1, seen(3, 7));
        reports.put(0, seen(4, 6));
        reports.put(1, Snapshot { second: Second::default(), ..seen(0, 7) });
        let mut run = Snapshot::new(2);
        let seconds: Vec<(u64, u64)> = reports.fetch(&mut run).iter().map(|it| (it.number, it.delivered)).collect();
        assert_eq!(seconds, [(3, 5), (3, 7), (4, 6)]);
        assert_eq!((run.counters.delivered, run.errors["closed"], run.latency["end_to_end"].count), (13, 2, 13));
        let mut again = Snapshot::new(2);
        assert!(reports.fetch(&mut again).is_empty());
        assert_eq!(again.counters.delivered, 13, "counters stay");
        assert_eq!(again.latency, run.latency);
    }

    #[test]
    fn what_nobody_fetches_is_bounded() {
        let reports = Reports::new(1);
        (0..100).for_each(|number| reports.put(0, seen(number, 1)));
        let seconds = reports.fetch(&mut Snapshot::new(1));
        assert_eq!((seconds.len(), seconds[0].number), (SECONDS_KEPT, 100 - SECONDS_KEPT as u64));
    }
}

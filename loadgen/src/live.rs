//! A run at one moment: what can be shown, scraped, or sent to another process while it goes on.
//!
//! The threads publish by a [`Gauge`] each, twenty times a second; a [`Monitor`] gathers that into a [`Snapshot`]. Snapshots are
//! plain data: they can be serialised, and those of several processes merged.
//!
//! Absent: the figures of the report, which come from the threads' own measurements and not from here; and drawing, which
//! is in [`watch`](crate::watch).

mod distribution;
mod gathering;
mod gauge;
mod monitor;
mod reports;

pub use distribution::{BOUNDS_US, Cumulative, Distribution};
pub use gauge::{Counters, Gauge, Live};
pub use monitor::Monitor;
pub use reports::Reports;

use crate::stage::Phase;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most kinds of errors that a snapshot tells apart; the rest are counted as [`OTHER_ERRORS`].
pub const ERROR_KINDS_MAX: usize = 32;

/// Name of the errors beyond [`ERROR_KINDS_MAX`].
pub const OTHER_ERRORS: &str = "other";

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Since the start of the run, seconds.
    pub elapsed_s: f64,
    /// The phase; of several processes that of the last one.
    pub phase: Phase,
    /// Whether now is in the measured interval.
    pub measuring: bool,
    /// Until sending ends, seconds; `None` outside the traffic phase.
    pub left_s: Option<f64>,
    /// How much of the traffic phase is over, 0 to 1; `None` outside it.
    pub progress: Option<f64>,
    /// Clients that there will be.
    pub clients: u64,
    /// Whether threads spin. If not, turns include the time asleep, and the busy share says nothing.
    pub spins: bool,
    /// What the threads have counted, summed up.
    pub counters: Counters,
    /// Errors of connections by their text, with their counts.
    pub errors: BTreeMap<String, u64>,
    /// The last whole second.
    pub second: Second,
    /// All of the run: `end_to_end`, `acknowledge`, `connect`.
    pub latency: BTreeMap<String, Cumulative>,
    /// The broker's processes, if any were named.
    pub broker: Option<BrokerLoad>,
}

/// What happened in one second of the run's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its number: seconds since the start of the run.
    pub number: u64,
    /// Clients that got a CONNACK.
    pub connected: u64,
    /// Messages sent.
    pub sent: u64,
    /// Deliveries, repeated ones left out.
    pub delivered: u64,
    /// From when a message was due until a subscriber had it.
    pub end_to_end: Distribution,
    /// From when a message was due until its last acknowledgement.
    pub acknowledge: Distribution,
    /// From when a connection was due until its CONNACK.
    pub connect: Distribution,
    /// Open loop: from when a message was due until the generator looked at it.
    pub lag: Distribution,
    /// Time of turns with input or output, nanoseconds, all threads together.
    pub busy_ns: u64,
    /// Time of turns without.
    pub idle_ns: u64,
}

impl Second {
    /// Adds another thread's or process's part of the same second.
    pub fn merge(&mut self, other: &Self) {
        self.number = self.number.max(other.number);
        self.connected += other.connected;
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.end_to_end.merge(&other.end_to_end);
        self.acknowledge.merge(&other.acknowledge);
        self.connect.merge(&other.connect);
        self.lag.merge(&other.lag);
        self.busy_ns += other.busy_ns;
        self.idle_ns += other.idle_ns;
    }

    /// Share of time in turns with input or output; near 1 the generator is the limit.
    #[must_use]
    pub fn busy_share(&self) -> f64 {
        self.busy_ns as f64 / (self.busy_ns + self.idle_ns).max(1) as f64
    }
}

/// The broker's processes together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BrokerLoad {
    /// Processors kept busy in the last second.
    pub cores: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

impl Snapshot {
    /// A run of `clients` clients that has not begun.
    #[must_use]
    pub fn new(clients: u64) -> Self {
        Self {
            elapsed_s: 0.0,
            phase: Phase::Prepare,
            measuring: false,
            left_s: None,
            progress: None,
            clients,
            spins: true,
            counters: Counters::default(),
            errors: BTreeMap::new(),
            second: Second::default(),
            latency: BTreeMap::new(),
            broker: None,
        }
    }

    /// Adds another process's part of the same run. Both should have seen the same second; the broker's load is that of
    /// whichever has one.
    pub fn merge(&mut self, other: &Self) {
        self.elapsed_s = self.elapsed_s.max(other.elapsed_s);
        self.phase = self.phase.min(other.phase);
        self.measuring &= other.measuring;
        let last = |mine: Option<f64>, theirs: Option<f64>, which: fn(f64, f64) -> f64| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(which(mine, theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.left_s = last(self.left_s, other.left_s, f64::max);
        self.progress = last(self.progress, other.progress, f64::min);
        self.clients += other.clients;
        self.spins &= other.spins;
        self.counters.add(&other.counters);
        add_errors(&mut self.errors, &other.errors);
        self.second.merge(&other.second);
        for (name, theirs) in &other.latency {
            self.latency.entry(name.clone()).or_default().merge(theirs);
        }
        self.broker = self.broker.or(other.broker);
    }

    /// Errors of all kinds.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The phase in a word for people.
    #[must_use]
    pub fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Prepare => "prepare",
            Phase::Connect => "connect",
            Phase::Retain => "retain",
            Phase::Subscribe => "subscribe",
            Phase::Traffic if self.measuring => "measure",
            Phase::Traffic => "warm up",
            Phase::Drain => "drain",
            Phase::Disconnect => "disconnect",
        }
    }
}

/// Adds errors by kind, within [`ERROR_KINDS_MAX`].
fn add_errors(sum: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        let known = sum.len() < ERROR_KINDS_MAX || sum.contains_key(what);
        *sum.entry(if known { what.clone() } else { OTHER_ERRORS.to_owned() }).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(phase: Phase, delivered: u64, micros: u64) -> Snapshot {
        let mut snapshot = Snapshot { phase, elapsed_s: micros as f64, ..Snapshot::new(10) };
        snapshot.counters.delivered = delivered;
        snapshot.second.delivered = delivered;
        snapshot.second.end_to_end = Distribution::from_pairs([(micros, delivered)]);
        snapshot.errors.insert("closed".into(), 1);
        let mut all = Cumulative::default();
        all.add(&snapshot.second.end_to_end);
        snapshot.latency.insert("end_to_end".into(), all);
        snapshot
    }

    #[test]
    fn two_processes_make_one_run_also_over_a_pipe() {
        let mut all = part(Phase::Traffic, 300, 100);
        let line = serde_json::to_string(&part(Phase::Subscribe, 100, 9000)).unwrap();
        all.merge(&serde_json::from_str(&line).unwrap());
        assert_eq!((all.clients, all.counters.delivered, all.second.delivered), (20, 400, 400));
        assert_eq!((all.phase, all.elapsed_s), (Phase::Subscribe, 9000.0), "the last one counts");
        let latencies = &all.second.end_to_end;
        assert_eq!((latencies.quantile(0.5), latencies.quantile(0.99)), (Some(100), Some(9000)));
        assert_eq!(all.latency["end_to_end"].count, 400);
        assert_eq!(all.errors["closed"], 2);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut sum = BTreeMap::new();
        let many = (0..100).map(|kind| (format!("kind {kind}"), 2)).collect();
        add_errors(&mut sum, &many);
        add_errors(&mut sum, &many);
        assert_eq!(sum.len(), ERROR_KINDS_MAX + 1);
        assert_eq!(sum.values().sum::<u64>(), 400);
    }
}

//! The reading side: gathers what the threads have published, or the workers have sent, into a [`Snapshot`].
//!
//! Absent: a thread of its own. Whoever wants snapshots calls [`Monitor::observe`], a few times a second at most.

use super::gathering::Gathering;
use super::{BrokerLoad, Live, Reports, Second, Snapshot};
use crate::clock::{Clock, NANOS_PER_SECOND};
use crate::plan::Plan;
use crate::procfs::{self, ProcessSample};
use crate::stage::{Phase, Stage};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Shortest interval over which the broker's CPU time is taken.
const BROKER_PERIOD: Duration = Duration::from_secs(1);

/// Where figures come from.
#[derive(Debug)]
enum Source {
    /// This process's threads.
    Threads(Arc<Live>),
    /// Other processes.
    Workers(Arc<Reports>),
}

/// Gathers snapshots of a run.
#[derive(Debug)]
pub struct Monitor {
    plan: Arc<Plan>,
    stage: Arc<Stage>,
    source: Source,
    clock: Clock,
    latest: Snapshot,
    gathering: Gathering,
    broker: Option<(Instant, ProcessSample)>,
}

impl Monitor {
    /// A monitor of this process's threads.
    #[must_use]
    pub fn new(plan: Arc<Plan>, stage: Arc<Stage>, live: Arc<Live>, clock: Clock) -> Self {
        Self::of(plan, stage, Source::Threads(live), clock)
    }

    /// A monitor of a run whose threads are those of other processes.
    #[must_use]
    pub fn of_workers(plan: Arc<Plan>, stage: Arc<Stage>, reports: Arc<Reports>, clock: Clock) -> Self {
        Self::of(plan, stage, Source::Workers(reports), clock)
    }

    fn of(plan: Arc<Plan>, stage: Arc<Stage>, source: Source, clock: Clock) -> Self {
        let latest = Snapshot { spins: plan.generator.spin, ..Snapshot::new(u64::from(plan.clients())) };
        Self { plan, stage, source, clock, latest, gathering: Gathering::default(), broker: None }
    }

    /// The run now. Its last second is the last one that all threads, or workers, have finished.
    pub fn observe(&mut self) -> &Snapshot {
        let now = self.clock.now();
        self.latest.elapsed_s = now as f64 / NANOS_PER_SECOND as f64;
        self.latest.phase = self.stage.phase();
        self.latest.measuring = self.latest.phase == Phase::Traffic && self.stage.measures(now);
        let total_s = (self.plan.lead_in() + self.plan.duration).as_secs_f64();
        let passed_s = now.saturating_sub(self.stage.phase_start()) as f64 / NANOS_PER_SECOND as f64;
        let sending = self.latest.phase == Phase::Traffic;
        self.latest.left_s = sending.then(|| (total_s - passed_s).max(0.0));
        self.latest.progress = sending.then(|| (passed_s / total_s.max(f64::MIN_POSITIVE)).min(1.0));
        self.gather();
        self.look_at_broker();
        &self.latest
    }

    fn gather(&mut self) {
        self.latest.counters = super::Counters::default();
        self.latest.errors.clear();
        match &self.source {
            Source::Threads(live) => {
                let live = Arc::clone(live);
                self.gather_threads(&live);
            }
            Source::Workers(reports) => {
                let reports = Arc::clone(reports);
                let seconds = reports.fetch(&mut self.latest);
                self.file(&seconds, reports.workers());
            }
        }
    }

    fn gather_threads(&mut self, live: &Live) {
        let mut parts = Vec::new();
        for slot in &live.slots {
            // A thread that panicked has nothing more to say; what it said is still right.
            let mut published = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
            self.latest.counters.add(&published.counters);
            super::add_errors(&mut self.latest.errors, &published.errors);
            if std::mem::take(&mut published.fresh) {
                parts.push(published.batch.second());
            }
        }
        for part in &parts {
            for (name, more) in
                [("end_to_end", &part.end_to_end), ("acknowledge", &part.acknowledge), ("connect", &part.connect)]
            {
                if more.count() > 0 {
                    self.latest.latency.entry(name.to_owned()).or_default().add(more);
                }
            }
        }
        self.file(&parts, live.slots.len());
    }

    /// Puts parts of seconds where they belong; each second has so many.
    fn file(&mut self, parts: &[Second], of: usize) {
        for part in parts {
            if let Some(second) = self.gathering.add(part, of) {
                self.latest.second = second;
            }
        }
    }

    fn look_at_broker(&mut self) {
        let now = Instant::now();
        if self.plan.pids.is_empty() || self.broker.is_some_and(|(at, _)| now - at < BROKER_PERIOD) {
            return;
        }
        let (mut sample, mut rss_bytes) = (ProcessSample::default(), 0);
        for pid in &self.plan.pids {
            // A broker that is gone is reported by the connections it closed.
            sample.add(&ProcessSample::take(*pid).unwrap_or_default());
            rss_bytes += procfs::resident_bytes(*pid).unwrap_or(0);
        }
        let cores = self
            .broker
            .map_or(0.0, |(at, before)| sample.since(&before).run_ns as f64 / (now - at).as_nanos().max(1) as f64);
        self.broker = Some((now, sample));
        self.latest.broker = Some(BrokerLoad { cores, rss_bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::live::{Counters, Gauge};
    use clap::Parser;
    use std::collections::BTreeMap;

    #[test]
    fn a_second_is_shown_when_all_threads_have_finished_it_or_one_is_ahead() {
        let line = format!("ringmq-loadgen p2p --pairs 5 --cores 0,1 --pid {}", std::process::id());
        let plan = Arc::new(Plan::new(&Cli::try_parse_from(line.split(' ')).unwrap()).unwrap());
        let (live, stage) = (Live::new(2), Arc::new(Stage::new(2)));
        let mut gauges = [0, 1].map(|thread| Gauge::new(Arc::clone(&live), thread));
        let mut monitor = Monitor::new(plan, Arc::clone(&stage), live, Clock::start());
        let mut end = |thread: usize, second: u64, delivered: u64| {
            let gauge = &mut gauges[thread];
            (0..delivered).for_each(|_| gauge.delivered(1000));
            let errors = BTreeMap::from([("closed".to_owned(), second)]);
            gauge.publish((second + 1) * NANOS_PER_SECOND, Counters { delivered, ..Counters::default() }, &errors);
        };
        end(0, 0, 3);
        assert_eq!(monitor.observe().second.delivered, 0, "the other thread is missing");
        assert_eq!(monitor.observe().counters.delivered, 3, "counters are there at once");
        end(1, 0, 4);
        stage.begin(Phase::Traffic, 0);
        let seen = monitor.observe();
        assert_eq!((seen.second.number, seen.second.delivered, seen.latency["end_to_end"].count), (0, 7, 7));
        assert_eq!((seen.clients, seen.phase_name()), (10, "warm up"));
        assert!(seen.left_s.unwrap() > 11.0 && seen.broker.unwrap().rss_bytes > 1_000_000);
        end(0, 1, 5);
        monitor.observe();
        end(0, 2, 1);
        let seen = monitor.observe();
        assert_eq!((seen.second.number, seen.second.delivered), (1, 5));
        assert_eq!((seen.errors["closed"], seen.latency["end_to_end"].count), (2, 13));
    }
}

//! Messages that this run has not sent, in a run that sends none: counted, and measured as far as they allow it.
//!
//! Retained messages are only counted: how old they are says nothing about the broker, and their numbers are out of
//! turn. Absent: how messages are read, see [`Strangers`](crate::payload::Strangers).

use super::Fleet;
use crate::checks::Verdict;
use crate::payload::Age;
use ringmq_wire::Publish;

impl Fleet {
    /// A message of somebody else's for the subscriber with this number on its thread.
    pub(super) fn delivered_foreign(&mut self, local: usize, publish: &Publish<'_>, now: u64) {
        let is_shared = self.cx.plan.scenario.share().is_some();
        let measures = self.cx.stage.measures(now);
        self.meter.delivered += u64::from(measures);
        let seen = self.strangers.look(publish.topic, publish.payload, self.arrived_ns);
        let number = seen.number.filter(|_| !is_shared && !publish.retain).and_then(|(publisher, sequence)| {
            let open = || self.checks.open(sequence);
            self.strangers.stream(local as u32, publisher, open).map(|stream| (stream, sequence))
        });
        let verdict = number.map(|(stream, sequence)| self.checks.record(stream, 0, sequence));
        self.checks.record_foreign(verdict.is_some());
        match verdict {
            Some(Verdict::New { skipped }) => self.missing += skipped,
            Some(Verdict::Late) => self.missing = self.missing.saturating_sub(1),
            Some(Verdict::Duplicate | Verdict::Absurd) => return,
            None => {}
        }
        let age = match seen.age {
            Age::Known(age) if !publish.retain => Some(age),
            Age::Ahead if !publish.retain => {
                self.meter.from_the_future += 1;
                None
            }
            _ => None,
        };
        if measures {
            self.meter.series.delivered(now - self.cx.stage.measured().0, age);
        }
        if let Some(age) = age {
            self.gauge.delivered(age);
        }
        let measured = age.filter(|age| self.cx.stage.measures(self.arrived_ns.saturating_sub(*age)));
        self.experience_message(self.publishers.len() + local, measured);
        if let Some(age) = measured {
            self.meter.end_to_end.record(age);
            if self.arrivals.is_some() {
                self.meter.read.record(now - self.arrived_ns);
            }
        }
    }
}

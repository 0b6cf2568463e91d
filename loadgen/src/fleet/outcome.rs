//! What a fleet hands over when its driver has ended.
//!
//! Absent: the verdict, which needs the outcomes of all fleets.

use super::{ClientExperience, Fleet, Meter};
use crate::arrivals::Arrivals;
use crate::checks::Checks;
use crate::scenario::Sources;

/// What one fleet found out.
#[derive(Debug)]
pub struct Outcome {
    /// Publishers and how many messages each sent.
    pub sent: Vec<(u32, u64)>,
    /// First stream and sources of each subscriber.
    pub subscribers: Vec<(usize, Sources)>,
    /// Loss, duplicates, order.
    pub checks: Checks,
    /// Everything else.
    pub meter: Meter,
    /// What each client went through, if there is to be a log.
    pub experiences: Vec<ClientExperience>,
}

impl Outcome {
    /// Every stream with its publisher.
    pub fn streams(&self) -> impl Iterator<Item = (usize, u32)> {
        self.subscribers
            .iter()
            .flat_map(|(first, sources)| sources.iter().enumerate().map(move |(at, publisher)| (first + at, publisher)))
    }
}

impl Fleet {
    /// What the fleet found out; for when the driver has ended.
    #[must_use]
    pub fn into_outcome(mut self) -> Outcome {
        self.meter.clock_steps = self.arrivals.as_ref().map_or(0, Arrivals::steps);
        self.checks.lose(self.awaited.iter().map(|awaited| awaited.missing() as u64).sum());
        Outcome {
            experiences: self.take_experiences(),
            sent: self.publishers.iter().map(|publisher| (publisher.global, publisher.sequence)).collect(),
            subscribers: self
                .subscribers
                .into_iter()
                .map(|subscriber| (subscriber.streams, subscriber.sources))
                .collect(),
            checks: self.checks,
            meter: self.meter,
        }
    }
}

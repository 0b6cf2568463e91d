//! What became of each disturbance. Absent: latencies by name, which are with all the others.

use super::tidy;
use crate::disturbance::{Disturbance, Kind};
use crate::fleet::DisturbanceCounts;
use serde::{Deserialize, Serialize};

/// One disturbance of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DisturbanceResult {
    /// What happened to the clients.
    pub kind: Kind,
    /// Clients that a round hits.
    pub clients: u32,
    /// Rounds that took place.
    pub rounds: u64,
    /// Clients hit, each round counted.
    pub hit: u64,
    /// Thereof back to normal: connected, subscribed and caught up, or reading.
    pub recovered: u64,
    /// Hits that were left out because the client was not back from the one before.
    pub skipped: u64,
    /// Take-over: first connections that were told why they were closed, DISCONNECT 0x8E; MQTT 5.0 only.
    pub told: u64,
    /// Messages that were queued in sessions, or on their way to them, when these were resumed.
    pub replayed: u64,
    /// From the beginning of a round, or the end of its first client's absence, until all are back to normal, on
    /// average of the rounds; milliseconds.
    pub all_back_mean_ms: Option<f64>,
    /// The same, the slowest round.
    pub all_back_max_ms: Option<f64>,
}

impl DisturbanceResult {
    /// What the counts come to.
    pub(super) fn new(disturbance: &Disturbance, counts: &DisturbanceCounts) -> Self {
        let times: Vec<f64> = counts.times_ns().map(|nanos| nanos as f64 / 1e6).collect();
        let max = times.iter().copied().reduce(f64::max);
        Self {
            kind: disturbance.disturb.kind,
            clients: disturbance.clients(),
            rounds: counts.rounds(),
            hit: counts.hit,
            recovered: counts.recovered,
            skipped: counts.skipped,
            told: counts.told,
            replayed: counts.replayed,
            all_back_mean_ms: max.map(|_| tidy(times.iter().sum::<f64>() / times.len() as f64)),
            all_back_max_ms: max.map(tidy),
        }
    }

    /// Why the run failed, if it did so by this.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        let name = self.kind.name();
        let lost = self.hit - self.recovered.min(self.hit);
        let left = (lost > 0).then(|| format!("{name}: {lost} of {} clients hit were not back to normal", self.hit));
        let none = (self.hit == 0).then(|| format!("{name}: no client was hit"));
        left.into_iter().chain(none)
    }

    /// The result for people to read.
    pub(super) fn row(&self) -> String {
        let mut text = format!("{} clients, {} rounds", self.clients, self.rounds);
        if let (Some(mean), Some(max)) = (self.all_back_mean_ms, self.all_back_max_ms) {
            text.push_str(&format!(", all back after {mean:.1} ms on average, {max:.1} ms at most"));
        }
        let left = self.hit - self.recovered.min(self.hit);
        for (count, what) in [
            (left, "NOT back to normal"),
            (self.skipped, "hits left out"),
            (self.told, "told of the take-over"),
            (self.replayed, "queued messages"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }
}

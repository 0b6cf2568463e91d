//! What is counted of each disturbance. Absent: latencies, which are in `meter`.

use serde::{Deserialize, Serialize};

/// Rounds whose times are kept; the counts have all of them.
const ROUNDS_KEPT: usize = 10_000;

/// One round.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Round {
    hit: u64,
    recovered: u64,
    /// From when the round was meant to begin until the last client was back to normal, nanoseconds.
    slowest_ns: u64,
}

/// Counts of one disturbance, of one thread or all together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DisturbanceCounts {
    /// Clients hit, each round counted.
    pub hit: u64,
    /// Thereof back to normal.
    pub recovered: u64,
    /// Hits that were left out because the client was not back from the one before.
    pub skipped: u64,
    /// Take-over: connections that were told the reason, DISCONNECT with 0x8E, before they were closed.
    pub told: u64,
    /// Messages that resumed sessions had waiting.
    pub replayed: u64,
    rounds: Vec<Round>,
}

impl DisturbanceCounts {
    /// A client is hit.
    pub fn hit(&mut self, round: u64) {
        self.hit += 1;
        if let Some(round) = self.round(round) {
            round.hit += 1;
        }
    }

    /// A client is back to normal, so long after its round was meant to begin.
    pub fn recovered(&mut self, round: u64, since_ns: u64) {
        self.recovered += 1;
        if let Some(round) = self.round(round) {
            round.recovered += 1;
            round.slowest_ns = round.slowest_ns.max(since_ns);
        }
    }

    fn round(&mut self, round: u64) -> Option<&mut Round> {
        let at = usize::try_from(round).ok().filter(|at| *at < ROUNDS_KEPT)?;
        if at >= self.rounds.len() {
            self.rounds.resize(at + 1, Round::default());
        }
        self.rounds.get_mut(at)
    }

    /// Adds another thread's counts.
    pub fn merge(&mut self, other: &Self) {
        self.hit += other.hit;
        self.recovered += other.recovered;
        self.skipped += other.skipped;
        self.told += other.told;
        self.replayed += other.replayed;
        if other.rounds.len() > self.rounds.len() {
            self.rounds.resize(other.rounds.len(), Round::default());
        }
        for (mine, theirs) in self.rounds.iter_mut().zip(&other.rounds) {
            mine.hit += theirs.hit;
            mine.recovered += theirs.recovered;
            mine.slowest_ns = mine.slowest_ns.max(theirs.slowest_ns);
        }
    }

    /// Rounds in which a client was hit.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.iter().filter(|round| round.hit > 0).count() as u64
    }

    /// Of each round from which all came back: how long that took, nanoseconds.
    pub fn times_ns(&self) -> impl Iterator<Item = u64> {
        self.rounds.iter().filter(|round| round.hit > 0 && round.hit == round.recovered).map(|round| round.slowest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounds_time_is_that_of_the_last_client_on_any_thread() {
        let (mut one, mut two) = (DisturbanceCounts::default(), DisturbanceCounts::default());
        for (counts, times) in [(&mut one, [5, 7]), (&mut two, [9, 3])] {
            for (round, time) in times.into_iter().enumerate() {
                counts.hit(round as u64);
                counts.recovered(round as u64, time);
            }
        }
        two.hit(2);
        two.hit(ROUNDS_KEPT as u64);
        one.merge(&two);
        assert_eq!((one.hit, one.recovered, one.rounds()), (6, 4, 3));
        assert_eq!(one.times_ns().collect::<Vec<_>>(), [9, 7], "nobody came back from the third");
    }
}

//! Distributions of times that travel: as pairs of value and count, and as cumulative counts below fixed bounds.
//!
//! Absent: recording, which the threads do into histograms.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Upper bounds of [`Cumulative`]'s buckets, microseconds. What is longer is in none of them, but is counted.
pub const BOUNDS_US: [u64; 19] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Times in microseconds and how often each occurred, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution(Vec<(u64, u64)>);

impl Distribution {
    /// A distribution of these times (microseconds, ascending) and counts.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self(pairs.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    /// What a histogram of microseconds holds.
    #[must_use]
    pub fn from_histogram(histogram: &Histogram<u32>) -> Self {
        let steps = histogram.iter_recorded();
        Self::from_pairs(steps.map(|step| (step.value_iterated_to(), u64::from(step.count_at_value()))))
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        if other.0.is_empty() {
            return;
        }
        self.0.extend_from_slice(&other.0);
        self.0.sort_unstable_by_key(|(value, _)| *value);
        self.0.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            earlier.1 += if same { later.1 } else { 0 };
            same
        });
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The time, microseconds, that a share of all do not exceed; `None` if there are none. 1 gives the longest.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let at = |(value, count): &(u64, u64)| {
            seen += count;
            (seen >= rank).then_some(*value)
        };
        self.0.iter().find_map(at)
    }

    /// The pairs of time and count.
    pub fn pairs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }
}

/// A distribution of all of a run: counts below [`BOUNDS_US`], each of them of its own bucket only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cumulative {
    /// By bound.
    pub buckets: [u64; BOUNDS_US.len()],
    /// All times.
    pub count: u64,
    /// Their sum, microseconds.
    pub sum_us: u64,
}

impl Cumulative {
    /// Adds more times.
    pub fn add(&mut self, more: &Distribution) {
        for (value, count) in more.pairs() {
            if let Some(bucket) = self.buckets.get_mut(BOUNDS_US.partition_point(|bound| *bound < value)) {
                *bucket += count;
            }
            self.count += count;
            self.sum_us += value * count;
        }
    }

    /// Adds another process's times.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_us += other.sum_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_order_and_counts() {
        let mut all = Distribution::from_pairs([(1, 2), (5, 1), (9, 0)]);
        all.merge(&Distribution::from_pairs([(1, 1), (3, 4)]));
        assert_eq!(all, Distribution::from_pairs([(1, 3), (3, 4), (5, 1)]));
        assert_eq!(all.count(), 8);
        let quantiles = [0.0, 0.375, 0.376, 0.875, 0.9, 1.0].map(|share| all.quantile(share).unwrap());
        assert_eq!(quantiles, [1, 1, 3, 3, 5, 5]);
        assert_eq!(Distribution::default().quantile(0.5), None);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_longest_to_none() {
        let mut all = Cumulative::default();
        all.add(&Distribution::from_pairs([(50, 1), (51, 2), (60_000_000, 3), (60_000_001, 4)]));
        assert_eq!((all.buckets[0], all.buckets[1], all.buckets[18]), (1, 2, 3));
        assert_eq!((all.count, all.buckets.iter().sum::<u64>()), (10, 6));
    }
}

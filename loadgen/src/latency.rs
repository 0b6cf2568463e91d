//! Latency histograms: nanoseconds, three significant digits, merged over threads.
//!
//! Absent: any decision about which moments a latency spans; the fleet makes it and the report names it.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest latency told apart, nanoseconds (ten minutes); anything longer counts as this.
const LONGEST_NS: u64 = 600_000_000_000;

/// Significant decimal digits kept.
const DIGITS: u8 = 3;

/// A distribution of times.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are constants that fit");
        Self { histogram }
    }
}

impl Latency {
    /// Counts one time, nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
    }

    /// Adds another thread's distribution.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms have the same bounds");
    }

    /// Percentiles; `None` if nothing was counted.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        if self.histogram.is_empty() {
            return None;
        }
        let at = |percentile| micros(self.histogram.value_at_percentile(percentile));
        Some(Percentiles {
            count: self.histogram.len(),
            mean_us: (self.histogram.mean() / 10.0).round() / 100.0,
            min_us: micros(self.histogram.min()),
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            p9999_us: at(99.99),
            max_us: micros(self.histogram.max()),
        })
    }
}

/// Microseconds with two decimals, which is more than the histogram's three digits need above a microsecond.
fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 10.0).round() / 100.0
}

/// A distribution in short, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many times were counted.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Shortest.
    pub min_us: f64,
    /// Half are at most this long.
    pub p50_us: f64,
    /// 90 % are at most this long.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// 99.99 %.
    pub p9999_us: f64,
    /// Longest.
    pub max_us: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_histograms_say_what_one_would() {
        let (mut all, mut even, mut odd) = (Latency::default(), Latency::default(), Latency::default());
        for k in 0..20_000_u64 {
            let nanos = k * 977 + 3;
            all.record(nanos);
            if k % 2 == 0 { &mut even } else { &mut odd }.record(nanos);
        }
        even.merge(&odd);
        assert_eq!(even.percentiles(), all.percentiles());
        let found = even.percentiles().unwrap();
        assert_eq!(found.count, 20_000);
        let exact = 977.0 * 0.99 * 20_000.0 / 1000.0;
        assert!((found.p99_us - exact).abs() / exact < 0.002, "{} is not {exact}", found.p99_us);
    }

    #[test]
    fn extremes_are_kept_within_the_bounds() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentiles(), None);
        latency.record(0);
        latency.record(u64::MAX);
        let found = latency.percentiles().unwrap();
        assert_eq!(found.count, 2);
        assert!(found.max_us >= 600_000_000.0 && found.max_us < 610_000_000.0);
    }
}

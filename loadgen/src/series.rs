//! What happened in each second of the measured interval.
//!
//! A thread keeps one histogram, for the second it is in, and of past seconds only the values that occurred: half an
//! hour is a few megabytes. Absent: seconds in which nothing was measured any more, the drain among them.

use crate::clock::NANOS_PER_SECOND;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest series, seconds (a day); what comes later is left out.
const SECONDS_MAX: usize = 86_400;

/// Longest latency told apart, microseconds (ten minutes); anything longer counts as this.
const LONGEST_US: u64 = 600_000_000;

/// Significant decimal digits kept.
const DIGITS: u8 = 2;

fn empty() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are constants that fit")
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Second {
    sent: u64,
    delivered: u64,
    /// Microseconds, and how often.
    latencies: Vec<(u64, u32)>,
}

/// One second of the result. Latencies are those of the messages that arrived in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SecondResult {
    /// Messages sent.
    pub sent: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Half of the deliveries took at most this long, microseconds; `None` if no latency is known.
    pub p50_us: Option<u64>,
    /// 99 % took at most this long.
    pub p99_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
}

/// The seconds of one thread, or of all together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Vec<Second>", from = "Vec<Second>")]
pub struct Series {
    seconds: Vec<Second>,
    /// Latencies of the last second.
    current: Histogram<u32>,
}

impl Default for Series {
    fn default() -> Self {
        Self { seconds: Vec::new(), current: empty() }
    }
}

impl From<Series> for Vec<Second> {
    fn from(mut series: Series) -> Self {
        series.close();
        series.seconds
    }
}

impl From<Vec<Second>> for Series {
    fn from(mut seconds: Vec<Second>) -> Self {
        seconds.truncate(SECONDS_MAX);
        Self { seconds, current: empty() }
    }
}

impl Series {
    /// Counts a message sent, so long after the start of the measured interval.
    pub fn sent(&mut self, since_start_ns: u64) {
        if let Some(second) = self.second(since_start_ns) {
            second.sent += 1;
        }
    }

    /// Counts a delivery, so long after the start of the measured interval, and how long it took if that is known.
    pub fn delivered(&mut self, since_start_ns: u64, latency_ns: Option<u64>) {
        if let Some(second) = self.second(since_start_ns) {
            second.delivered += 1;
            if let Some(latency_ns) = latency_ns {
                self.current.saturating_record(latency_ns.div_ceil(1000));
            }
        }
    }

    /// The second of a moment, which is the last one so far or later.
    fn second(&mut self, since_start_ns: u64) -> Option<&mut Second> {
        let index = (since_start_ns / NANOS_PER_SECOND) as usize;
        if index >= SECONDS_MAX {
            return None;
        }
        if index >= self.seconds.len() {
            self.close();
            self.seconds.resize_with(index + 1, Second::default);
        }
        self.seconds.last_mut()
    }

    /// Moves the histogram to the second it belongs to.
    fn close(&mut self) {
        if let Some(last) = self.seconds.last_mut() {
            let recorded = self.current.iter_recorded();
            last.latencies.extend(recorded.map(|step| (step.value_iterated_to(), step.count_at_value())));
        }
        self.current.reset();
    }

    /// Adds another thread's seconds.
    pub fn merge(&mut self, mut other: Self) {
        self.close();
        other.close();
        if other.seconds.len() > self.seconds.len() {
            self.seconds.resize_with(other.seconds.len(), Second::default);
        }
        for (mine, theirs) in self.seconds.iter_mut().zip(other.seconds) {
            mine.sent += theirs.sent;
            mine.delivered += theirs.delivered;
            mine.latencies.extend(theirs.latencies);
        }
    }

    /// The first `whole` seconds; those at the end in which nothing happened are there as well.
    #[must_use]
    pub fn finish(mut self, whole: usize) -> Vec<SecondResult> {
        self.close();
        self.seconds.resize_with(whole.min(SECONDS_MAX), Second::default);
        let result = |second: Second| {
            let mut all = empty();
            for (value, count) in second.latencies {
                all.saturating_record_n(value, count);
            }
            let at = |quantile: f64| (!all.is_empty()).then(|| all.value_at_quantile(quantile));
            let (sent, delivered) = (second.sent, second.delivered);
            SecondResult { sent, delivered, p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) }
        };
        self.seconds.into_iter().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_make_one_series_with_gaps_and_whole_seconds_only() {
        let (mut one, mut two) = (Series::default(), Series::default());
        for k in 1..=100 {
            one.delivered(k * 1000, Some(k * 1000));
            two.delivered(NANOS_PER_SECOND - 1, Some(k * 1000));
        }
        for _ in 0..100 {
            two.delivered(2 * NANOS_PER_SECOND, Some(5_000_000));
        }
        one.sent(NANOS_PER_SECOND);
        two.sent(3 * NANOS_PER_SECOND + 1);
        let mut all = Series::default();
        all.merge(one);
        // As if it came from another process.
        all.merge(serde_json::from_str(&serde_json::to_string(&two).unwrap()).unwrap());
        let found = all.finish(3);
        let first = SecondResult { sent: 0, delivered: 200, p50_us: Some(50), p99_us: Some(99), max_us: Some(100) };
        assert_eq!(found[0], first);
        assert_eq!(found[1], SecondResult { sent: 1, delivered: 0, p50_us: None, p99_us: None, max_us: None });
        assert_eq!((found[2].delivered, found.len()), (100, 3));
        let p99 = found[2].p99_us.unwrap();
        assert!((4950..=5050).contains(&p99), "{p99}");
        assert_eq!(Series::default().finish(2).len(), 2, "silence is data as well");
    }
}

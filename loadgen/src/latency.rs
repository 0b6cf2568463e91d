//! Latency histograms: nanoseconds, three significant digits, merged over threads.
//!
//! Absent: any decision about which moments a latency spans; the fleet makes it and the report names it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Longest latency told apart, nanoseconds (ten minutes); anything longer counts as this.
const LONGEST_NS: u64 = 600_000_000_000;

/// Significant decimal digits kept.
const DIGITS: u8 = 3;

/// A distribution of times. As text, and in serde's formats, it is HdrHistogram's V2 format, deflated and in base64.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// The whole distribution, exactly: HdrHistogram's V2 format, deflated, in base64, which its libraries for other
    /// languages read as well. Values are nanoseconds. A few thousand characters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("writing to memory works, and these bounds fit the format");
        STANDARD.encode(bytes)
    }

    /// Reads what [`Latency::encode`] wrote.
    ///
    /// # Errors
    /// A text, if it is anything else: another format, or other bounds or digits, which could not be merged.
    pub fn decode(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|problem| format!("a histogram is not base64: {problem}"))?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|problem| format!("a histogram is damaged: {problem}"))?;
        let found = (histogram.low(), histogram.high(), histogram.sigfig());
        if found != (1, LONGEST_NS, DIGITS) {
            return Err(format!("a histogram has other bounds: {found:?} instead of {:?}", (1, LONGEST_NS, DIGITS)));
        }
        Ok(Self { histogram })
    }

    /// The whole distribution in the text format of HdrHistogram's plotting tools, in milliseconds, with `steps` lines
    /// for each halving of the distance to 100 %.
    #[must_use]
    pub fn distribution(&self, steps: u32) -> String {
        let millis = |nanos: f64| nanos / 1e6;
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut total = 0;
        for step in self.histogram.iter_quantiles(steps) {
            total += step.count_since_last_iteration();
            let (value, quantile) = (millis(step.value_iterated_to() as f64), step.quantile_iterated_to());
            let _ = write!(text, "{value:12.6} {quantile:2.12} {total:10}");
            // At 100 % the reciprocal is infinite, and the format leaves it out.
            let _ = if quantile < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(text) };
        }
        let (mean, deviation) = (millis(self.histogram.mean()), millis(self.histogram.stdev()));
        let (max, count) = (millis(self.histogram.max() as f64), self.histogram.len());
        let _ = writeln!(text, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]");
        let _ = writeln!(text, "#[Max     = {max:12.6}, Total count    = {count:12}]");
        text
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

impl From<Latency> for String {
    fn from(latency: Latency) -> Self {
        latency.encode()
    }
}

impl TryFrom<String> for Latency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::decode(&text)
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
    fn the_distribution_rises_to_everything() {
        let mut latency = Latency::default();
        for k in 1..=1000 {
            latency.record(k * 1_000_000);
        }
        let text = latency.distribution(5);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert!(rows.len() > 20 && rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        let half = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((half[0] - 500.0).abs() < 1.0 && half[2] as u64 == 500, "{text}");
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[1], last[2] as u64), (3, 1.0, 1000));
    }

    #[test]
    fn what_is_encoded_can_be_merged_later_and_stays_small() {
        let (mut all, mut one, mut two) = (Latency::default(), Latency::default(), Latency::default());
        let mut nanos = 20_000;
        for k in 0..200_000_u64 {
            nanos = nanos * 1_103_515_245 % 2_147_483_647;
            let long = 50_000 + nanos % 3_000_000;
            all.record(long);
            if k % 3 == 0 { &mut one } else { &mut two }.record(long);
        }
        let mut merged = Latency::decode(&one.encode()).unwrap();
        merged.merge(&Latency::decode(&two.encode()).unwrap());
        assert_eq!((merged.percentiles(), merged.encode()), (all.percentiles(), all.encode()));
        assert!(all.encode().len() < 16_384, "{} characters", all.encode().len());
        assert_eq!(Latency::decode(&Latency::default().encode()).unwrap().percentiles(), None);
    }

    #[test]
    fn what_is_not_such_a_histogram_is_refused() {
        let good = Latency::default().encode();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&Histogram::<u64>::new(2).unwrap(), &mut bytes).unwrap();
        for bad in ["", "?", "AAAA", &good[..good.len() / 2], &STANDARD.encode(bytes)] {
            assert!(Latency::decode(bad).is_err(), "`{bad}`");
        }
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

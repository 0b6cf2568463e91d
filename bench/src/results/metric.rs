//! The figures that runs are judged by.

use super::{Percentiles, Run};

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Server's CPU microseconds per delivered message, or per connection where there are no messages.
    Cpu,
    /// Messages delivered a second, or connections opened.
    Throughput,
    /// Median latency, microseconds.
    P50,
    /// 99th percentile, microseconds.
    P99,
    /// 99.9th percentile, microseconds.
    P999,
    /// Server's memory per connected client, bytes.
    ClientBytes,
}

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

impl Metric {
    /// All, in the order of reports.
    pub const ALL: [Self; 6] = [Self::Cpu, Self::Throughput, Self::P50, Self::P99, Self::P999, Self::ClientBytes];

    /// The figure, if the run has it and it is a number.
    #[must_use]
    pub fn of(self, run: &Run) -> Option<f64> {
        let latency = |field: fn(&Percentiles) -> Option<f64>| run.main_latency().and_then(field);
        let value = match self {
            Self::Cpu if run.has_messages() => run.broker.as_ref().and_then(|broker| broker.cpu_us_per_delivery),
            Self::Cpu => run.connect.broker_cpu_us,
            Self::Throughput if run.has_messages() => run.traffic.delivered_per_second,
            Self::Throughput => run.connect.per_second,
            Self::P50 => latency(|of| of.p50_us),
            Self::P99 => latency(|of| of.p99_us),
            Self::P999 => latency(|of| of.p999_us),
            Self::ClientBytes => run.connect.broker_bytes,
        };
        value.filter(|value| value.is_finite())
    }

    /// Name and unit for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "server CPU, µs each",
            Self::Throughput => "per second",
            Self::P50 => "p50, µs",
            Self::P99 => "p99, µs",
            Self::P999 => "p99.9, µs",
            Self::ClientBytes => "bytes per client",
        }
    }

    /// Which way is good.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Throughput => Direction::Higher,
            Self::Cpu | Self::P50 | Self::P99 | Self::P999 | Self::ClientBytes => Direction::Lower,
        }
    }

    /// The smallest change that is worth a word, as a share. Below it even a certain difference is not flagged: two
    /// builds of the same source differ by as much through where the code happens to lie in memory. Tails are judged
    /// more mildly because a handful of messages makes them.
    #[must_use]
    pub const fn smallest_change(self) -> f64 {
        match self {
            Self::Cpu | Self::Throughput => 0.03,
            Self::P50 | Self::ClientBytes => 0.05,
            Self::P99 => 0.10,
            Self::P999 => 0.15,
        }
    }
}

//! Measured results: the lines of `results/*.jsonl`, and the runs of one scenario taken together.
//!
//! `results/README.md` describes the lines. They are kept for years, so this reads every version up to
//! [`SCHEMA_MAX`], takes a field that is missing as unknown, and ignores fields it does not know. Absent: the types of
//! the load generator, which writes the lines. A reader that shared them would no longer read last year's.

mod groups;
mod histogram;
mod metric;
mod read;

pub use groups::{CurvePoint, Group, Key, group};
pub use metric::{Direction, Metric};
pub use read::{Problem, parse, read_file};

use serde::Deserialize;
use std::collections::BTreeMap;

/// The newest version of the lines that can be read.
pub const SCHEMA_MAX: u32 = 1;

/// One run: one line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Run {
    /// Version of the line.
    pub schema: u32,
    /// When the run ended, milliseconds since 1970.
    #[serde(default)]
    pub ended_unix_ms: u64,
    /// The machine.
    #[serde(default)]
    pub host: Host,
    /// Parameters of the scenario, by name.
    pub scenario: BTreeMap<String, serde_json::Value>,
    /// `passed`, `failed` or `invalid`.
    pub verdict: String,
    /// Why it failed or is invalid.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Connecting.
    pub connect: Connect,
    /// Messages.
    pub traffic: Traffic,
    /// Latencies by name.
    #[serde(default)]
    pub latency: BTreeMap<String, Percentiles>,
    /// The same latencies whole: HdrHistogram's V2 format, deflated, in base64.
    #[serde(default)]
    pub histograms: BTreeMap<String, String>,
    /// The server's processes, if the generator was told of them.
    pub broker: Option<Broker>,
    /// Name of the server, as `scripts/bench --list` has it.
    #[serde(default)]
    pub server: String,
    /// Name of the scenario, as `scripts/bench --list` has it.
    #[serde(default)]
    pub label: String,
    /// Which round of its session.
    #[serde(default)]
    pub round: u32,
    /// What the server was built from: abbreviated id, with `-dirty` if anything was not committed.
    #[serde(default)]
    pub commit: String,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Host {
    /// Kernel release.
    #[serde(default)]
    pub kernel: String,
    /// Name of the processor.
    #[serde(default)]
    pub cpu: String,
    /// Processors.
    #[serde(default)]
    pub cpus: usize,
    /// TCP congestion control.
    #[serde(default)]
    pub congestion_control: String,
}

/// Connecting.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Connect {
    /// Connections a second.
    pub per_second: Option<f64>,
    /// Server's CPU time per connection, microseconds.
    pub broker_cpu_us: Option<f64>,
    /// Server's memory per client, bytes.
    pub broker_bytes: Option<f64>,
}

/// Messages in the measured interval.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Traffic {
    /// Deliveries.
    #[serde(default)]
    pub delivered: u64,
    /// Deliveries a second.
    pub delivered_per_second: Option<f64>,
}

/// A distribution of times, microseconds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Percentiles {
    /// Half are at most this long.
    pub p50_us: Option<f64>,
    /// 90 % are.
    pub p90_us: Option<f64>,
    /// 99 %.
    pub p99_us: Option<f64>,
    /// 99.9 %.
    pub p999_us: Option<f64>,
    /// 99.99 %.
    pub p9999_us: Option<f64>,
    /// The longest.
    pub max_us: Option<f64>,
}

/// The server in the measured interval.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Broker {
    /// CPU time per delivery, microseconds.
    pub cpu_us_per_delivery: Option<f64>,
}

impl Run {
    /// Whether the checks passed and the schedule was kept; the figures of any other run mean something else.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "passed"
    }

    /// Whether messages were measured; if not, connections were.
    #[must_use]
    pub const fn has_messages(&self) -> bool {
        self.traffic.delivered > 0
    }

    /// Latency of delivery, or of the answer to CONNECT where there are no messages.
    #[must_use]
    pub fn main_latency(&self) -> Option<&Percentiles> {
        self.latency.get(self.main_latency_name())
    }

    fn main_latency_name(&self) -> &'static str {
        if self.has_messages() { "end_to_end" } else { "connack" }
    }

    fn main_distribution(&self) -> Option<histogram::Distribution> {
        histogram::Distribution::decode(self.histograms.get(self.main_latency_name())?)
    }

    /// Whether two runs did the same, whatever port they did it through.
    #[must_use]
    pub fn same_parameters(&self, other: &Self) -> bool {
        let relevant = |run: &Self| {
            let mut parameters = run.scenario.clone();
            parameters.remove("target");
            parameters
        };
        relevant(self) == relevant(other)
    }
}

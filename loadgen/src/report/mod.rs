//! The result of a run, as data: what goes into the JSON line, and the verdict.
//!
//! Field names are stable: results are kept and compared over years. Add, never rename. All times are in the unit the
//! name ends in. Absent: the rendering for people, which is in `table`.

mod disturbances;
mod fields;
mod judge;
mod parameters;
pub mod qoe;
mod simulated;
mod table;
#[cfg(test)]
mod tests;

pub use disturbances::DisturbanceResult;
pub use fields::{BrokerResult, ConnectResult, GeneratorResult, Host, Parameters, TrafficResult};
pub use simulated::SimulatedResult;

use crate::checks::Tally;
use crate::fleet::{ClientExperience, Meter};
use crate::latency::Percentiles;
use crate::plan::Plan;
use crate::procfs;
use crate::run::Samples;
use crate::series::SecondResult;
use crate::simulated::Ended;
use crate::workers::WorkerResult;
use judge::{ahead, scheduled, unmade, untimed};
use parameters::stamped;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Version of the JSON line's layout.
pub const SCHEMA: u32 = 1;

/// What stands for addresses, drivers and TCP's ways in the report of a run that had none.
const SIMULATED: &str = "simulated";

/// Everything that was found out.
#[derive(Debug)]
pub struct Findings {
    /// Loss, duplicates, order.
    pub tally: Tally,
    /// All threads' measurements.
    pub meter: Meter,
    /// Length of the measured interval.
    pub measured: Duration,
    /// The broker.
    pub samples: Samples,
    /// Warnings from before the run.
    pub warnings: Vec<String>,
    /// Messages sent in all of the run.
    pub sent_in_all: u64,
    /// The broker, if it was in this process.
    pub simulated: Option<Ended>,
    /// The workers, if there were any.
    pub workers: Vec<WorkerResult>,
    /// What each client went through, if there is to be a log of it.
    pub experiences: Vec<ClientExperience>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All checks passed.
    Passed,
    /// Loss at QoS 1 or 2, reordering, damage, or errors.
    Failed,
    /// The checks passed, but the schedule was not kept or the run was ended early: figures do not mean what they
    /// should.
    Invalid,
}

impl Verdict {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Invalid => 3,
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the generator.
    pub version: String,
    /// When the run ended, milliseconds since 1970.
    pub ended_unix_ms: u64,
    /// The machine.
    pub host: Host,
    /// What was run.
    pub scenario: Parameters,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether it was ended early, by a signal or a key.
    #[serde(default)]
    pub interrupted: bool,
    /// Why it failed or is invalid.
    pub reasons: Vec<String>,
    /// What may distort it.
    pub warnings: Vec<String>,
    /// Connecting.
    pub connect: ConnectResult,
    /// Messages.
    pub traffic: TrafficResult,
    /// Loss, duplicates, order; over the whole run.
    pub checks: Tally,
    /// Latencies, by name; those that do not occur are left out.
    pub latency: BTreeMap<String, Percentiles>,
    /// The same latencies whole, by the same names: [`Latency::encode`](crate::latency::Latency::encode).
    #[serde(default)]
    pub histograms: BTreeMap<String, String>,
    /// The measured interval's whole seconds, in order.
    #[serde(default)]
    pub series: Vec<SecondResult>,
    /// What happened to clients on purpose, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbances: Vec<DisturbanceResult>,
    /// The broker's processes, if any were named.
    pub broker: Option<BrokerResult>,
    /// The broker's half of a simulated run.
    #[serde(default)]
    pub simulated: Option<SimulatedResult>,
    /// The generator itself.
    pub generator: GeneratorResult,
    /// What went wrong with connections, and how often.
    pub errors: BTreeMap<String, u64>,
}

impl Report {
    /// Works out the result.
    #[must_use]
    pub fn new(plan: &Plan, findings: Findings) -> Self {
        let Findings { tally, meter, measured, samples, mut warnings, sent_in_all, simulated, workers, .. } = findings;
        warnings.extend(ahead(&meter).into_iter().chain(untimed(&meter)));
        let seconds = measured.as_secs_f64();
        let a_second = |count: u64| if seconds > 0.0 { tidy(count as f64 / seconds) } else { 0.0 };
        let per_delivery = |amount: f64| (meter.delivered > 0).then(|| tidy(amount / meter.delivered as f64));
        let broker_cpu = samples.end.broker.since(&samples.start.broker);
        let own_cpu = samples.end.generator.since(&samples.start.generator);
        // In a simulated run the process has two halves.
        let shards_ns = simulated.as_ref().map_or(0, |ended| ended.measured.cpu_ns);
        let named = !plan.pids.is_empty();
        let per_client = |amount: f64| (named && meter.connected > 0).then(|| tidy(amount / meter.connected as f64));
        let connect_s = samples.connect_time.as_secs_f64();
        let memory_growth = samples.memory[1].pss_bytes as f64 - samples.memory[0].pss_bytes as f64;
        let segments = samples.end.segments.zip(samples.start.segments);
        let turns = meter.busy_ns + meter.idle_ns;
        let schedule_kept = scheduled(plan, seconds).map(|scheduled| tidy(meter.due as f64 / scheduled));

        let mut report = Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            ended_unix_ms: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            host: Host {
                kernel: procfs::kernel_release(),
                cpu: procfs::cpu_model(),
                cpus: procfs::cpus(),
                congestion_control: if simulated.is_some() { SIMULATED.into() } else { procfs::congestion_control() },
            },
            scenario: Parameters::new(plan),
            verdict: Verdict::Passed,
            interrupted: samples.interrupted,
            reasons: Vec::new(),
            warnings,
            connect: ConnectResult {
                connected: meter.connected,
                seconds: tidy(connect_s),
                per_second: if connect_s > 0.0 { tidy(meter.connected as f64 / connect_s) } else { 0.0 },
                subscribe_seconds: tidy(samples.subscribe_time.as_secs_f64()),
                broker_cpu_us: per_client(samples.connect_cpu_ns as f64 / 1000.0),
                broker_bytes: per_client(memory_growth),
            },
            traffic: TrafficResult {
                seconds: tidy(seconds),
                sent: meter.sent,
                sent_per_second: a_second(meter.sent),
                delivered: meter.delivered,
                delivered_per_second: a_second(meter.delivered),
                segments_per_delivery: segments.and_then(|(end, start)| per_delivery(end.saturating_sub(start) as f64)),
                sent_in_all,
            },
            checks: Tally { unmade: unmade(plan, &tally, &meter), ..tally },
            latency: meter
                .latencies()
                .into_iter()
                .filter_map(|(name, latency)| Some((name.to_owned(), latency.percentiles()?)))
                .collect(),
            histograms: meter
                .latencies()
                .into_iter()
                .filter(|(_, latency)| !latency.is_empty())
                .map(|(name, latency)| (name.to_owned(), latency.encode()))
                .collect(),
            disturbances: plan
                .disturbances
                .iter()
                .zip(&meter.disturbances)
                .map(|(disturbance, counts)| DisturbanceResult::new(disturbance, counts))
                .collect(),
            broker: named.then(|| BrokerResult {
                pids: plan.pids.clone(),
                cpu_s: tidy(broker_cpu.run_ns as f64 / 1e9),
                user_s: tidy(broker_cpu.user_ns as f64 / 1e9),
                system_s: tidy(broker_cpu.system_ns as f64 / 1e9),
                cores: if seconds > 0.0 { tidy(broker_cpu.run_ns as f64 / 1e9 / seconds) } else { 0.0 },
                cpu_us_per_delivery: per_delivery(broker_cpu.run_ns as f64 / 1000.0),
                rss_bytes: samples.memory[2].rss_bytes,
                pss_bytes: samples.memory[2].pss_bytes,
            }),
            simulated: simulated.map(|ended| SimulatedResult::new(plan, ended, &meter)),
            generator: GeneratorResult {
                threads: plan.threads(),
                cores: plan.generator.cores.clone(),
                driver: if plan.simulated.is_some() { SIMULATED } else { plan.generator.driver.name() }.into(),
                spin: plan.generator.spin,
                cpu_us_per_delivery: per_delivery(own_cpu.run_ns.saturating_sub(shards_ns) as f64 / 1000.0),
                busy_share: tidy(meter.busy_ns as f64 / turns.max(1) as f64),
                busy_us_per_delivery: per_delivery(meter.busy_ns as f64 / 1000.0),
                wait_share: tidy(own_cpu.wait_ns as f64 / (measured.as_nanos().max(1) as f64 * plan.threads() as f64)),
                schedule_kept,
                held_back: meter.held_back,
                unsent: meter.unsent,
                stalls: meter.stalls,
                pings: meter.pings,
                unstamped: stamped(plan).then_some(meter.unstamped),
                clock_steps: stamped(plan).then_some(meter.clock_steps),
                workers,
            },
            series: if plan.traffic.is_some() || meter.delivered > 0 {
                meter.series.finish(measured.as_secs() as usize)
            } else {
                Vec::new()
            },
            errors: meter.errors,
        };
        report.judge(plan, samples.failed_clients);
        report
    }

    /// How the run ended.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Lines for standard error: warnings, and why the run failed or is invalid.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let word = match self.verdict {
            Verdict::Passed | Verdict::Failed => "FAILED",
            Verdict::Invalid => "INVALID",
        };
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        warnings.chain(self.reasons.iter().map(|reason| format!("{word}: {reason}"))).collect()
    }

    /// The result for people to read.
    #[must_use]
    pub fn table(&self) -> String {
        table::render(self)
    }
}

/// Six significant digits: more is noise, and the lines are kept for years.
pub(crate) fn tidy(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 5 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.clamp(0, 9));
    (value * scale).round() / scale
}

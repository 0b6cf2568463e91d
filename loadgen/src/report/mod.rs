//! The result of a run, as data: what goes into the JSON line, and the verdict.
//!
//! Field names are stable: results are kept and compared over years. Add, never rename. All times are in the unit the
//! name ends in. Absent: the rendering for people, which is in `table`.

mod disturbances;
mod simulated;
mod table;

pub use disturbances::DisturbanceResult;
pub use simulated::SimulatedResult;

use crate::checks::Tally;
use crate::fleet::Meter;
use crate::latency::Percentiles;
use crate::plan::{Pace, Plan};
use crate::procfs;
use crate::run::Samples;
use crate::series::SecondResult;
use crate::simulated::Ended;
use crate::workers::WorkerResult;
use ringmq_wire::QoS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Version of the JSON line's layout.
pub const SCHEMA: u32 = 1;

/// A rate run is invalid if one message in a hundred was handled later than this, microseconds.
const LAG_P99_US_MAX: f64 = 1000.0;

/// A rate run is invalid if less than this share of its messages became due or was sent in time.
const SCHEDULE_KEPT_MIN: f64 = 0.99;

/// Above this share of busy turns the generator itself may be what limits a closed loop.
const BUSY_SHARE_MAX: f64 = 0.95;

/// Above this share of waiting for a processor the generator's own delays show in the latencies.
const WAIT_SHARE_MAX: f64 = 0.02;

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

/// The machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Name of the first processor.
    pub cpu: String,
    /// Processors.
    pub cpus: usize,
    /// TCP congestion control of new connections.
    pub congestion_control: String,
}

/// What was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parameters {
    /// Name of the scenario.
    pub name: String,
    /// The broker's address.
    pub target: String,
    /// Protocol level: 3, 4 or 5.
    pub mqtt: u8,
    /// Publishers.
    pub publishers: u32,
    /// Subscribers, or idle clients.
    pub subscribers: u32,
    /// Group of the shared subscription.
    pub share: Option<String>,
    /// Subscribers that receive each message.
    pub copies: u32,
    /// QoS of the messages.
    pub qos: u8,
    /// QoS of the subscriptions.
    pub subscription_qos: u8,
    /// Payload, bytes.
    pub size: usize,
    /// Open loop: messages a second.
    pub rate: Option<u64>,
    /// Closed loop: messages in flight per publisher.
    pub window: Option<u32>,
    /// Closed loop: what ends a message's time in the window: `ack`, `delivery`, or `both`.
    pub credit: Option<String>,
    /// RETAIN.
    pub retain: bool,
    /// Publishers whose only message is retained before anybody subscribes.
    #[serde(default)]
    pub retained: u32,
    /// Keep-alive, seconds.
    pub keep_alive_s: u16,
    /// Connections a second.
    pub connect_rate: Option<u64>,
    /// Time before the measurement, seconds.
    pub warmup_s: f64,
    /// Time of the measurement as planned, seconds.
    pub duration_s: f64,
}

/// Connecting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectResult {
    /// Clients that got a CONNACK with success.
    pub connected: u64,
    /// Time until the last of them, seconds.
    pub seconds: f64,
    /// Connections a second.
    pub per_second: f64,
    /// Time for all subscriptions, seconds.
    pub subscribe_seconds: f64,
    /// Broker's CPU time per connection, microseconds.
    pub broker_cpu_us: Option<f64>,
    /// Broker's memory per client once all are connected and subscribed, bytes (growth of its proportional set size).
    pub broker_bytes: Option<f64>,
}

/// Messages; all but `sent_in_all` in the measured interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrafficResult {
    /// Length of the measured interval, seconds.
    pub seconds: f64,
    /// Messages sent.
    pub sent: u64,
    /// Messages sent a second.
    pub sent_per_second: f64,
    /// Deliveries.
    pub delivered: u64,
    /// Deliveries a second.
    pub delivered_per_second: f64,
    /// TCP segments per delivery, all sent in this network namespace counted.
    pub segments_per_delivery: Option<f64>,
    /// Messages sent in all of the run, warm-up included.
    pub sent_in_all: u64,
}

/// The broker's processes during the measured interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BrokerResult {
    /// Process numbers.
    pub pids: Vec<u32>,
    /// CPU time, seconds.
    pub cpu_s: f64,
    /// Thereof in user mode, in steps of ten milliseconds.
    pub user_s: f64,
    /// Thereof in the kernel, in steps of ten milliseconds.
    pub system_s: f64,
    /// Processors kept busy on average.
    pub cores: f64,
    /// CPU time per delivery, microseconds.
    pub cpu_us_per_delivery: Option<f64>,
    /// Resident memory at the end of the measurement, bytes.
    pub rss_bytes: u64,
    /// Proportional set size at the end of the measurement, bytes.
    pub pss_bytes: u64,
}

/// The generator during the measured interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GeneratorResult {
    /// Threads.
    pub threads: usize,
    /// The core of each thread, if pinned.
    pub cores: Vec<Option<usize>>,
    /// Driver.
    pub driver: String,
    /// Whether threads spin.
    pub spin: bool,
    /// CPU time per delivery, spinning included, microseconds.
    pub cpu_us_per_delivery: Option<f64>,
    /// Share of time in turns with input or output; the rest was spent spinning.
    pub busy_share: f64,
    /// Time of these turns per delivery, microseconds: what the generator can do at most is the reciprocal.
    pub busy_us_per_delivery: Option<f64>,
    /// Share of time for which its threads had to wait for a processor.
    pub wait_share: f64,
    /// Open loop: share of the schedule's messages that the generator got to in the interval.
    pub schedule_kept: Option<f64>,
    /// Times the broker held a publisher back that was due.
    pub held_back: u64,
    /// Messages that were due and never sent.
    pub unsent: u64,
    /// Closed-loop windows restarted after a second without any delivery.
    pub stalls: u64,
    /// PINGREQs sent in all of the run.
    pub pings: u64,
    /// The processes that the clients were spread over, with `--processes` and `--agents`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerResult>,
}

impl Report {
    /// Works out the result.
    #[must_use]
    pub fn new(plan: &Plan, findings: Findings) -> Self {
        let Findings { tally, meter, measured, samples, warnings, sent_in_all, simulated, workers } = findings;
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
                cpus: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
                congestion_control: if simulated.is_some() { SIMULATED.into() } else { procfs::congestion_control() },
            },
            scenario: parameters(plan),
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
            checks: tally,
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
                workers,
            },
            series: if plan.traffic.is_some() { meter.series.finish(measured.as_secs() as usize) } else { Vec::new() },
            errors: meter.errors,
        };
        report.judge(plan, samples.failed_clients);
        report
    }

    /// Applies the rules for failed and invalid runs.
    fn judge(&mut self, plan: &Plan, failed_clients: usize) {
        let mut failures = Vec::new();
        if failed_clients > 0 && plan.traffic.is_some() {
            failures.push(format!("{failed_clients} clients could not connect or subscribe: nothing was sent"));
        }
        for (what, count) in &self.errors {
            failures.push(format!("{count} x {what}"));
        }
        let checks = &self.checks;
        let qos = plan.delivery_qos();
        if checks.lost > 0 && qos != QoS::AtMostOnce {
            failures.push(format!("{} messages lost at QoS {}", checks.lost, qos.bits()));
        }
        if checks.reordered > 0 {
            failures.push(format!("{} messages out of order", checks.reordered));
        }
        if checks.duplicates > 0 && qos == QoS::ExactlyOnce {
            failures.push(format!("{} duplicates at QoS 2", checks.duplicates));
        }
        if checks.damaged > 0 {
            failures.push(format!("{} messages damaged", checks.damaged));
        }
        if failed_clients == 0 {
            // Those whose time had not come when the run was interrupted have not failed.
            let begun = self.disturbances.iter().filter(|part| part.hit > 0 || !self.interrupted);
            failures.extend(begun.flat_map(DisturbanceResult::failures));
        }
        let somebody_hears = (0..plan.live_publishers()).any(|publisher| plan.scenario.copies(publisher) > 0);
        // With a limit the last message may have come before the measurement had begun.
        let limited = plan.traffic.as_ref().is_some_and(|traffic| traffic.limit.is_some());
        let delivered = if limited { self.checks.delivered } else { self.traffic.delivered };
        if plan.traffic.is_some() && somebody_hears && failures.is_empty() && delivered == 0 && !self.interrupted {
            failures.push("nothing was delivered".into());
        }

        let mut invalid = Vec::new();
        if self.interrupted {
            let (measured, planned) = (self.traffic.seconds, plan.duration.as_secs_f64());
            invalid.push(format!("interrupted: measured for {measured:.1} of {planned:.1} s"));
        }
        // A run that was interrupted before it measured has no schedule.
        let begun = !self.interrupted || self.traffic.seconds > 0.0;
        let generator = &self.generator;
        if let Some(kept) = generator.schedule_kept.filter(|_| failed_clients == 0 && begun) {
            let lag = self.latency.get("generator_lag").map_or(0.0, |lag| lag.p99_us);
            if kept < SCHEDULE_KEPT_MIN || lag > LAG_P99_US_MAX {
                invalid.push(format!(
                    "the generator did not keep the schedule: it was {lag} us late at the 99th percentile (at most \
                     {LAG_P99_US_MAX}), and got to {:.1} % of it in time (at least {:.0} %)",
                    kept.min(1.0) * 100.0,
                    SCHEDULE_KEPT_MIN * 100.0
                ));
            }
            let sent = self.traffic.sent as f64 / scheduled(plan, self.traffic.seconds).unwrap_or(1.0);
            if kept >= SCHEDULE_KEPT_MIN && (sent < SCHEDULE_KEPT_MIN || generator.unsent > 0) {
                invalid.push(format!(
                    "the broker held publishers back: {:.1} % of the rate was sent, {} messages never",
                    sent * 100.0,
                    generator.unsent
                ));
            }
        }
        if generator.busy_share > BUSY_SHARE_MAX && generator.spin && self.simulated.is_none() {
            self.warnings.push(format!(
                "the generator was busy {:.0} % of the time and may have been the limit: give it more cores",
                generator.busy_share * 100.0
            ));
        }
        if generator.wait_share > WAIT_SHARE_MAX {
            self.warnings.push(format!(
                "the generator waited for a processor {:.0} % of the time: latencies are too long by that",
                generator.wait_share * 100.0
            ));
        }
        self.verdict = match (failures.is_empty(), invalid.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Invalid,
            (true, true) => Verdict::Passed,
        };
        self.reasons = failures;
        self.reasons.append(&mut invalid);
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

/// Open loop: messages due in a measured interval, at least one. A limit may end them, or it, early.
fn scheduled(plan: &Plan, seconds: f64) -> Option<f64> {
    let rate = plan.rate()? as f64;
    let limit = plan.traffic.as_ref().and_then(|traffic| traffic.limit).map_or(f64::INFINITY, |limit| limit as f64);
    let left = limit * f64::from(plan.scenario.publishers()) - rate * plan.warmup.as_secs_f64();
    Some((rate * seconds).min(left).max(1.0))
}

fn parameters(plan: &Plan) -> Parameters {
    let traffic = plan.traffic.as_ref();
    let (window, credit) = match traffic.map(|traffic| traffic.pace) {
        Some(Pace::Window { messages, until_acknowledged, until_delivered }) => {
            let credit = match (until_acknowledged, until_delivered) {
                (true, true) => "both",
                (true, false) => "ack",
                (false, _) => "delivery",
            };
            (Some(messages), Some(credit.to_owned()))
        }
        Some(Pace::Rate { .. }) | None => (None, None),
    };
    Parameters {
        name: plan.scenario.name().into(),
        target: if plan.simulated.is_some() { SIMULATED.into() } else { plan.remote.to_string() },
        mqtt: plan.identity.version.level(),
        publishers: plan.scenario.publishers(),
        subscribers: plan.scenario.subscribers(),
        share: plan.scenario.share().map(str::to_owned),
        copies: if plan.scenario.publishers() > 0 { plan.scenario.copies(0) } else { 0 },
        qos: traffic.map_or(0, |traffic| traffic.qos.bits()),
        subscription_qos: plan.subscription_qos.bits(),
        size: traffic.map_or(0, |traffic| traffic.size),
        rate: plan.rate(),
        window,
        credit,
        retain: traffic.is_some_and(|traffic| traffic.retain),
        retained: plan.retained,
        keep_alive_s: plan.identity.keep_alive,
        connect_rate: plan.connecting.rate,
        warmup_s: plan.warmup.as_secs_f64(),
        duration_s: plan.duration.as_secs_f64(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn findings() -> Findings {
        let mut meter = Meter { connected: 2, sent: 1000, due: 1000, delivered: 1000, ..Meter::default() };
        meter.idle_ns = 1;
        Findings {
            tally: Tally { delivered: 1000, ..Tally::default() },
            meter,
            measured: Duration::from_secs(1),
            samples: Samples::default(),
            warnings: Vec::new(),
            sent_in_all: 1000,
            simulated: None,
            workers: Vec::new(),
        }
    }

    fn verdict(line: &str, change: impl FnOnce(&mut Findings)) -> Verdict {
        let words = std::iter::once("ringmq-loadgen").chain(line.split_whitespace());
        let plan = Plan::new(&Cli::try_parse_from(words).unwrap()).unwrap();
        let mut findings = findings();
        change(&mut findings);
        let report = Report::new(&plan, findings);
        assert_eq!(report.reasons.is_empty(), report.verdict == Verdict::Passed, "a verdict has its reasons");
        let line = serde_json::to_string(&report).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap().verdict, report.verdict);
        report.verdict
    }

    #[test]
    fn what_fails_a_run_depends_on_the_qos_at_which_messages_arrive() {
        let lost = |findings: &mut Findings| findings.tally.lost = 1;
        let twice = |findings: &mut Findings| findings.tally.duplicates = 1;
        assert_eq!(verdict("p2p", |_| ()), Verdict::Passed);
        assert_eq!(verdict("p2p", lost), Verdict::Passed);
        assert_eq!(verdict("p2p --qos 1", lost), Verdict::Failed);
        assert_eq!(verdict("p2p --qos 1 --sub-qos 0", lost), Verdict::Passed);
        assert_eq!(verdict("p2p --qos 1", twice), Verdict::Passed);
        assert_eq!(verdict("p2p --qos 2", twice), Verdict::Failed);
        assert_eq!(verdict("p2p --qos 2 --sub-qos 1", twice), Verdict::Passed);
        assert_eq!(verdict("p2p", |findings| findings.tally.reordered = 1), Verdict::Failed);
        assert_eq!(verdict("p2p", |findings| findings.tally.damaged = 1), Verdict::Failed);
        assert_eq!(verdict("p2p", |findings| findings.tally.foreign = 1), Verdict::Passed);
        assert_eq!(verdict("p2p", |findings| findings.meter.error("closed".into())), Verdict::Failed);
        assert_eq!(verdict("p2p", |findings| findings.meter.delivered = 0), Verdict::Failed);
    }

    #[test]
    fn a_run_that_was_ended_early_is_no_result_but_what_failed_still_counts() {
        let early = |findings: &mut Findings| (findings.samples.interrupted, findings.meter.delivered) = (true, 0);
        assert_eq!(verdict("p2p", early), Verdict::Invalid);
        let lost = |findings: &mut Findings| (findings.samples.interrupted, findings.tally.lost) = (true, 1);
        assert_eq!(verdict("p2p --qos 1", lost), Verdict::Failed);
    }

    #[test]
    fn a_schedule_that_was_not_kept_makes_a_run_invalid() {
        let line = "p2p --rate 1000";
        assert_eq!(verdict(line, |findings| findings.meter.lag.record(900_000)), Verdict::Passed);
        assert_eq!(verdict(line, |findings| findings.meter.lag.record(1_100_000)), Verdict::Invalid);
        assert_eq!(verdict(line, |findings| findings.meter.due = 980), Verdict::Invalid);
        assert_eq!(verdict(line, |findings| findings.meter.sent = 980), Verdict::Invalid);
        assert_eq!(verdict(line, |findings| findings.meter.unsent = 1), Verdict::Invalid);
        assert_eq!(verdict("p2p", |findings| findings.meter.due = 0), Verdict::Passed, "a closed loop has none");
        let both = |findings: &mut Findings| (findings.meter.due, findings.tally.reordered) = (0, 1);
        assert_eq!(verdict(line, both), Verdict::Failed, "failure outweighs");
    }

    #[test]
    fn a_limit_ends_the_schedule() {
        let hundred = |findings: &mut Findings| (findings.meter.due, findings.meter.sent) = (100, 100);
        assert_eq!(verdict("p2p --pairs 10 --rate 1000", hundred), Verdict::Invalid);
        assert_eq!(verdict("p2p --pairs 10 --rate 1000 --limit 10", hundred), Verdict::Passed);
        assert_eq!(verdict("p2p --pairs 10 --rate 1000 --limit 12", hundred), Verdict::Invalid);
        assert_eq!(verdict("p2p --pairs 10 --rate 1000 --limit 12 --warmup 20ms", hundred), Verdict::Passed);
    }

    #[test]
    fn figures_keep_six_digits() {
        let cases = [(0.0, 0.0), (1_234_567.8, 1_234_568.0), (1.234_567_8, 1.234_57), (0.000_123_456_7, 0.000_123_457)];
        for (value, expected) in cases {
            assert_eq!(tidy(value), expected);
        }
        assert_eq!((tidy(f64::NAN), tidy(f64::INFINITY)), (0.0, 0.0));
    }
}

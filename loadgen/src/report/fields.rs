//! The parts of a result, field by field: names are kept for years, and only added to.
//!
//! Absent: where their values come from, see [`Report::new`](super::Report::new).

use crate::workers::WorkerResult;
use serde::{Deserialize, Serialize};

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
    /// Payload, bytes; the largest if there are several.
    pub size: usize,
    /// Sizes as they were asked for, if the payload is a pattern of more than one: `16..1024`, `16:90,1024:9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<String>,
    /// What the payload is: `pattern` (if absent), `file` or `template`.
    #[serde(default = "pattern", skip_serializing_if = "is_pattern")]
    pub payload: String,
    /// Headers ahead of it, in order: `stamp` (alone if absent), `cnt64`, `ts`. In a run that sends nothing, those that
    /// were looked for.
    #[serde(default = "stamp", skip_serializing_if = "is_stamp")]
    pub payload_headers: Vec<String>,
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
    /// What latencies end with that end with something received: `kernel`, or if absent the generator's reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<String>,
    /// Keep-alive, seconds.
    pub keep_alive_s: u16,
    /// Connections a second.
    pub connect_rate: Option<u64>,
    /// Time over which the load grew before the warm-up, seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ramp_up_s: f64,
    /// Time before the measurement, seconds.
    pub warmup_s: f64,
    /// Time of the measurement as planned, seconds.
    pub duration_s: f64,
}

// What is as ever is left out, so that results of all times can be compared: their parameters have to be equal.

fn pattern() -> String {
    "pattern".into()
}

fn is_pattern(payload: &str) -> bool {
    payload == "pattern"
}

fn stamp() -> Vec<String> {
    vec!["stamp".into()]
}

fn is_stamp(headers: &[String]) -> bool {
    headers == ["stamp"]
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
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
    /// With the kernel's timestamps: receives of the measured interval that had none, and were timed when they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstamped: Option<u64>,
    /// With the kernel's timestamps: times the wall clock was found to have been set in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_steps: Option<u64>,
    /// The processes that the clients were spread over, with `--processes` and `--agents`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerResult>,
}

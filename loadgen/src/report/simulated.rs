//! The broker's half of a simulated run, as data.

use super::tidy;
use crate::fleet::Meter;
use crate::plan::Plan;
use crate::simulated::Ended;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Memory that a client takes of the generator between the two samples that frame the broker's growth: its end of the
/// link (8), its slot in the outbox (4) and its connection's number (4), bytes.
const CLIENT_END_BYTES: f64 = 16.0;

/// The broker's half of a simulated run. Nothing here holds any work or memory of the kernel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SimulatedResult {
    /// Shards, each on a thread with its share of the clients.
    pub broker_shards: usize,
    /// CPU time of the shards, their mesh and their ends of the links in the measured interval, seconds.
    pub broker_cpu_s: f64,
    /// The same per delivery, microseconds.
    pub broker_cpu_us_per_delivery: Option<f64>,
    /// The same while connections were opened, per connection, microseconds.
    pub connect_cpu_us: Option<f64>,
    /// Memory per client of the generator's half, bytes: what the process grew by when its clients and empty shards were
    /// made, and 16 for each client's end of its link.
    pub generator_bytes_per_client: Option<f64>,
    /// Memory per client of the broker's half, bytes: what the process grew by from then until all clients were
    /// connected and subscribed, without those 16. Buffers in common are in it, so it is too much for few clients.
    pub broker_bytes_per_client: Option<f64>,
    /// Memory of the process when all clients were ready, bytes (proportional set size).
    pub ready_pss_bytes: u64,
    /// At the end of the measured interval, bytes (proportional set size).
    pub end_pss_bytes: u64,
    /// Connections handed from the shard that accepted them to the one they belong to; whole run.
    pub handed_over: u64,
    /// Batches from shard to shard in the measured interval.
    pub mesh_batches: u64,
    /// Bytes from shard to shard in the measured interval.
    pub mesh_bytes: u64,
    /// Bytes from clients in the measured interval.
    pub received_bytes: u64,
    /// Bytes to clients in the measured interval.
    pub sent_bytes: u64,
    /// The broker's counters that are not 0, by EMQX's names; whole run.
    pub counters: BTreeMap<String, u64>,
}

impl SimulatedResult {
    pub(super) fn new(plan: &Plan, ended: Ended, meter: &Meter) -> Self {
        let [before, made, ready, last] = ended.memory;
        let per = |amount: f64, count: u64| (count > 0).then(|| tidy(amount / count as f64));
        let clients = f64::from(plan.clients().max(1));
        let growth = |from: u64, to: u64| (from > 0).then_some(to as f64 - from as f64);
        let micros = |ns: u64| ns as f64 / 1000.0;
        Self {
            broker_shards: plan.threads(),
            broker_cpu_s: tidy(ended.measured.cpu_ns as f64 / 1e9),
            broker_cpu_us_per_delivery: per(micros(ended.measured.cpu_ns), meter.delivered),
            connect_cpu_us: per(micros(ended.connecting.cpu_ns), meter.connected),
            generator_bytes_per_client: growth(before.pss_bytes, made.pss_bytes)
                .map(|bytes| tidy(bytes / clients + CLIENT_END_BYTES)),
            broker_bytes_per_client: growth(made.pss_bytes, ready.pss_bytes)
                .and_then(|bytes| per(bytes, meter.connected))
                .map(|each| tidy(each - CLIENT_END_BYTES)),
            ready_pss_bytes: ready.pss_bytes,
            end_pss_bytes: last.pss_bytes,
            handed_over: ended.in_all.handed_over,
            mesh_batches: ended.measured.mesh_batches,
            mesh_bytes: ended.measured.mesh_bytes,
            received_bytes: ended.measured.received_bytes,
            sent_bytes: ended.measured.sent_bytes,
            counters: ended.counters,
        }
    }
}

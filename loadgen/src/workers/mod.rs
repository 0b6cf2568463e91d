//! A run over several processes, on this host and others, with one result: no process's limits are the run's.
//!
//! The process that the user started, the *coordinator*, opens no connection. *Workers* do: processes it starts itself
//! (`--processes`) and *agents* started by hand on other hosts (`--agents`), both by one protocol. Each has a row of
//! the run's threads and all clients of these; the coordinator moves the phases, decides when everything sent is
//! accounted for, shows what the workers count meanwhile, and merges what they measured.
//!
//! | file | what it does |
//! |---|---|
//! | `share` | which threads a worker has, and which plans can be divided |
//! | `stream` | frames, bounded |
//! | `protocol` | what coordinator and agent say |
//! | `order` | options on their way to a worker, and which ones an agent takes |
//! | `offset` | clocks of other hosts |
//! | `coordinator`, `crew` | the coordinator's side: the run, and its connections to the workers |
//! | `agent` | the worker's side |
//! | `summary` | the workers in a line of the report |
//!
//! Absent: authentication and encryption (an agent listens on loopback unless told), credits between processes, and
//! restarting a worker: if one is lost the run ends with an error.

mod agent;
mod coordinator;
mod crew;
mod offset;
mod order;
mod protocol;
mod share;
mod stream;
mod summary;

pub(crate) use agent::run as run_agent;
pub(crate) use coordinator::carry_out;
pub use share::Share;
pub(crate) use summary::summary;

use serde::{Deserialize, Serialize};

/// One worker of a run, in the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerResult {
    /// Name of its host.
    pub host: String,
    /// Process number there.
    pub pid: u32,
    /// Where the agent listens; nothing if the coordinator started the process itself.
    pub agent: Option<String>,
    /// Clients it had.
    pub clients: u32,
    /// The core of each of its threads, if pinned.
    pub cores: Vec<Option<usize>>,
    /// Clients that got a CONNACK with success.
    pub connected: u64,
    /// Messages sent in the measured interval.
    pub sent: u64,
    /// Deliveries in the measured interval.
    pub delivered: u64,
    /// Share of time in turns with input or output.
    pub busy_share: f64,
    /// Share of time for which its threads had to wait for a processor.
    pub wait_share: f64,
    /// Open loop: how late it was with what was due, 99th percentile, microseconds.
    pub lag_p99_us: Option<f64>,
    /// How far its host's clock is ahead of the coordinator's, microseconds; 0 on the same host.
    pub clock_offset_us: f64,
    /// How wrong the offset can be either way, drift during the run included, microseconds; 0 on the same host.
    pub clock_uncertainty_us: f64,
}

//! What the main thread saw of the broker and of its own process.
//!
//! Absent: what the clients saw, which the fleets measure.

use crate::procfs::{Memory, ProcessSample};
use crate::simulated::Usage;
use std::time::Duration;

/// The broker and the generator at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// All of the broker's processes together; zeros if none was named.
    pub broker: ProcessSample,
    /// This process.
    pub generator: ProcessSample,
    /// What the shards of a simulated run have used.
    pub simulated: Usage,
    /// TCP segments sent in this network namespace, both sides together on loopback.
    pub segments: Option<u64>,
}

/// What the main thread saw of the broker during a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Samples {
    /// Broker's memory before the first connection, when all clients were ready, and at the end of the measurement.
    pub memory: [Memory; 3],
    /// Broker's CPU time while connections were opened, nanoseconds.
    pub connect_cpu_ns: u64,
    /// What the shards of a simulated run used meanwhile.
    pub connect_simulated: Usage,
    /// How long it took to open all connections.
    pub connect_time: Duration,
    /// How long it took to make all subscriptions.
    pub subscribe_time: Duration,
    /// At the start of the measured interval.
    pub start: Sample,
    /// At its end.
    pub end: Sample,
    /// Clients that did not get as far as the traffic.
    pub failed_clients: usize,
    /// The run was ended early.
    pub interrupted: bool,
}

impl Samples {
    /// With the CPU time of workers in the place of this process's own.
    pub(crate) fn of_workers(mut self, cpu: ProcessSample) -> Self {
        (self.start.generator, self.end.generator) = (ProcessSample::default(), cpu);
        self
    }
}

//! The load generator as a library: simulated MQTT clients on the broker's own codec and drivers.
//!
//! From the command line to the report, a run passes through these modules:
//!
//! [`cli`] (what was asked, perhaps a scenario file, see [`definition`]) -> [`plan`] (what will be done, with a [`scenario`]) -> [`run`] (threads and phases, over a
//! shared [`stage`]) -> [`fleet`] (the clients of one thread, with [`schedule`], [`payload`], [`checks`], [`latency`], [`series`])
//! -> [`report`] (what came of it, with [`procfs`]); meanwhile it can be watched through [`live`]
//! and by [`watch`].
//! [`workers`] spreads the threads over processes and hosts.
//! With [`simulated`] the broker's shards are in the same process, without sockets.
//!
//! The generator tries hard not to be what it measures: threads spin while they measure, open-loop latency counts from
//! the time a message was due, times are read when a message is really handled, or are the kernel's (see [`arrivals`]),
//! every message is checked, and the generator's own load and lag are part of every report.
//!
//! Absent: starting brokers and comparing runs (the benchmark harness does that), TLS and WebSocket.
#![forbid(unsafe_code)]

pub mod arrivals;
pub mod checks;
pub mod cli;
pub mod clock;
pub mod definition;
pub mod disturbance;
pub mod figures;
pub mod fleet;
pub mod latency;
pub mod live;
pub mod payload;
pub mod plan;
pub mod procfs;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod series;
pub mod simulated;
pub mod stage;
pub mod watch;
pub mod workers;

//! The parts of a plan: what is published and when, how clients introduce themselves, how the generator runs.
//!
//! Absent: what they mean together, see [`Plan`](super::Plan), and how options become parts, see `resolve`.

use super::{Naming, WillPlan};
use crate::cli::Timestamps;
use crate::payload::Payload;
use ringmq_drive::DriverKind;
use ringmq_wire::{QoS, Version};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What is published.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// QoS of the messages.
    pub qos: QoS,
    /// What is in them.
    pub payload: Payload,
    /// When messages are sent.
    pub pace: Pace,
    /// Whether RETAIN is set.
    pub retain: bool,
    /// Open loop: messages that each publisher sends at once, all publishers together; 1 spreads them evenly.
    pub burst: u32,
    /// Messages after which each publisher is done.
    pub limit: Option<u64>,
}

/// When messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Open loop.
    Rate {
        /// Messages a second over all publishers.
        per_second: u64,
    },
    /// Closed loop.
    Window {
        /// Messages in flight per publisher.
        messages: u32,
        /// Whether a message stays in flight until it is acknowledged.
        until_acknowledged: bool,
        /// Whether a message stays in flight until it is delivered.
        until_delivered: bool,
    },
}

/// How clients introduce themselves.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Protocol version.
    pub version: Version,
    /// Seconds; 0 is none.
    pub keep_alive: u16,
    /// Clean Start or Clean Session.
    pub clean: bool,
    /// Session Expiry Interval, seconds; sent in MQTT 5.0 if not 0.
    pub expiry: u32,
    /// Receive Maximum; sent in MQTT 5.0.
    pub receive_maximum: Option<u16>,
    /// Password.
    pub password: Option<String>,
    /// Client identifiers and the user name.
    pub naming: Naming,
    /// The will of every client.
    pub will: Option<WillPlan>,
    /// Topics begin with this and a slash; if it is empty, they are as the scenario has them.
    pub topic_prefix: String,
}

/// How connections are opened.
#[derive(Debug, Clone)]
pub struct Connecting {
    /// Connections a second over all clients; `None` is as fast as the window allows.
    pub rate: Option<u64>,
    /// Most connections or subscriptions on their way at once, per thread.
    pub window: u32,
    /// How long nothing may move before the run is given up.
    pub timeout: Duration,
    /// Source addresses, used in turn by client number; none lets the kernel choose.
    pub sources: Vec<IpAddr>,
}

/// How the generator itself runs.
#[derive(Debug, Clone)]
pub struct Generator {
    /// One thread each; `None` is not pinned.
    pub cores: Vec<Option<usize>>,
    /// Driver of every thread.
    pub driver: DriverKind,
    /// What latencies end with.
    pub timestamps: Timestamps,
    /// Whether connections are in tables of the threads' rings.
    pub direct: bool,
    /// Whether threads poll without sleeping.
    pub spin: bool,
    /// Where the JSON line goes.
    pub json: Option<PathBuf>,
    /// What the names of the latencies' files begin with.
    pub hgrm: Option<String>,
    /// Where the clients' log goes.
    pub qoe_log: Option<PathBuf>,
    /// Whether what each client goes through is kept: here for the log, or for the coordinator's.
    pub experiences: bool,
    /// No progress, no table.
    pub quiet: bool,
    /// Who watches.
    pub watch: crate::watch::Options,
}

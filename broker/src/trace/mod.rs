//! Traces: what an operator wants to see of a client, a topic or an address, written to a file packet by packet.
//!
//! Shards know the rules ([`ringmq_core::trace`]) and tell of packets; they put a bounded copy of each into a bounded
//! queue, or count it as lost. One thread ([`writer`]), which exists from the first trace on, words and writes them, and
//! ends a trace when its time or its file is full. Those that run are written down and go on after a restart.
//!
//! Absent: download and reading by position, which need an HTTP API.

mod file;
mod registry;
mod words;
mod writer;

pub(crate) use registry::{Asked, Registry, Tracer};
pub(crate) use words::PayloadEncode;

use std::time::Duration;

/// What a trace may write, bytes, as in EMQX.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How long a trace lasts unless it is told, as EMQX's from its command line.
const DEFAULT_DURATION: Duration = Duration::from_secs(1800);

/// The longest that can be asked for.
const DURATION_MAX: Duration = Duration::from_secs(86_400);

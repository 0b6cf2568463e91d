//! What the broker is measured against, and the scenarios it is measured in.
//!
//! - [`floor`]: a bare forwarder that moves the same frames as the broker without being a broker. The cost of a
//!   scenario through it is the lowest cost this machine allows; a broker is judged by its ratio to that.
//! - [`results`], [`stats`], [`compare`], [`history`]: reading what was measured, and judging it. [`plot`] draws it.
//! - `benches/`: criterion micro-benchmarks of the broker's pure parts, run by `cargo bench -p ringmq-bench`.
//! - `tests/`: promises of `docs/SPECIFICATION.md` that are counted, not timed: allocations per message, bytes per
//!   idle client.
//!
//! Absent from the library: any use of the broker's crates. A floor that shared code with what it is compared with
//! would hide that code's cost.

pub mod compare;
pub mod floor;
pub mod history;
pub mod plot;
pub mod results;
pub mod stats;

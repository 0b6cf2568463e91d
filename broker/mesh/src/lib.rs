//! What the shards of one process share, and nothing else: the way from one pinned thread to another.
//!
//! - [`ring`]: a bounded single-producer single-consumer ring; one for each ordered pair of shards and lane.
//! - [`park`]: how a shard announces that it is about to sleep and how a producer learns that it must wake it.
//! - [`interest`]: the process-wide table of which shard may have a subscriber for a topic.
//!
//! Absent: the wake-up itself (a ring message or an eventfd, the driver's business), the format of what crosses a
//! ring, and any exact topic matching. `unsafe` is confined to `ring.rs`.
//!
//! Under `--cfg loom` the crate is built on loom's atomics; `tests/loom.rs` explores the interleavings.

#![deny(unsafe_code)]

pub mod interest;
pub mod park;
#[allow(unsafe_code)]
pub mod ring;
mod sync;

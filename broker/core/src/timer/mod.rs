//! Timers of one shard: a hierarchical wheel over virtual time in milliseconds.
//!
//! Absent: clocks. Time passes when [`Wheel::advance`] says so.

mod wheel;

pub use wheel::{TimerId, Wheel};

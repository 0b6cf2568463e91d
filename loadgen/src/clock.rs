//! The generator's clock: monotonic nanoseconds since the start of the run, the same for all its threads.
//!
//! Drivers stamp a whole turn with one time; latencies need the moment at which a message is really handled, so the
//! fleet reads this clock once for every piece of input. Absent: wall-clock time.

use std::time::Instant;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: u64 = 1_000_000;

/// A monotonic clock; copies agree with each other on every thread of the process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds since [`Clock::start`]. A run would have to last 584 years to overflow it.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

//! The generator's clock: monotonic nanoseconds since the start of the run, the same for all its threads and processes.
//!
//! Drivers stamp a whole turn with one time; latencies need the moment at which a message is really handled, so the
//! fleet reads this clock once for every piece of input. The wall clock is here only to be compared with it.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: u64 = 1_000_000;

/// The system's monotonic clock, nanoseconds; all processes of a host see the same one.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Never negative: it counts from the start of the system.
    now.tv_sec.cast_unsigned() * NANOS_PER_SECOND + now.tv_nsec.cast_unsigned()
}

/// The system's wall clock, nanoseconds since 1970; 0 before that.
#[must_use]
pub fn wall_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    u64::try_from(now.tv_sec).map_or(0, |seconds| seconds * NANOS_PER_SECOND + now.tv_nsec.cast_unsigned())
}

/// A monotonic clock; copies agree with each other on every thread of the process, and with those of other processes
/// that have the same zero.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What [`monotonic_ns`] shows when this clock shows 0; below zero if that was before the system started.
    zero_ns: i64,
}

impl Clock {
    /// A clock that shows 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self::with_zero(monotonic_ns().cast_signed())
    }

    /// A clock that shows 0 when [`monotonic_ns`] shows this.
    #[must_use]
    pub const fn with_zero(zero_ns: i64) -> Self {
        Self { zero_ns }
    }

    /// What [`monotonic_ns`] shows when this clock shows 0.
    #[must_use]
    pub const fn zero_ns(&self) -> i64 {
        self.zero_ns
    }

    /// Nanoseconds since the clock showed 0. A run would have to last 292 years to overflow it.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(monotonic_ns().cast_signed() - self.zero_ns).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_with_one_zero_agree_and_run() {
        let one = Clock::start();
        let other = Clock::with_zero(one.zero_ns());
        let (first, second, third) = (one.now(), other.now(), one.now());
        assert!(first <= second && second <= third && third < NANOS_PER_SECOND, "{first} {second} {third}");
        assert!(Clock::with_zero(-5).now() > monotonic_ns() - NANOS_PER_SECOND);
    }
}

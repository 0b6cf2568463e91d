//! The monotonic clock drivers read once a turn.

use ringmq_core::machine::Time;

/// Nanoseconds of `CLOCK_MONOTONIC`: the same clock for every shard of the machine.
pub(crate) fn now() -> Time {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid, writable timespec for the duration of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut spec) };
    assert_eq!(result, 0, "CLOCK_MONOTONIC always exists");
    Time(u64::try_from(spec.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(spec.tv_nsec).unwrap_or(0))
}

//! Whether a shard keeps up: how late it is for an appointment with itself.
//!
//! Ten times a second a shard wants to run at a given moment. How much later it does is the time that anything waits which
//! becomes ready then: for the turn before to end, and for the processor. A shard that was too late is overloaded until
//! it has been on time several times in a row. Then it makes no new connections, whose clients can go elsewhere or come
//! back, and puts off what can wait, so that those which it has are served.
//!
//! It looks if the clients of some listener are to be protected so; whether a client is turned away is up to the settings of
//! its own listener.

use crate::machine::Time;
use core::time::Duration;

/// Time between two appointments, nanoseconds.
const INTERVAL_NS: u64 = 100_000_000;

/// Appointments in a row that must be kept before an overload is over.
const CALM_LOOKS: u8 = 5;

/// What is known of a shard's load.
#[derive(Debug)]
pub(super) struct Load {
    /// The next appointment; the end of time if nobody wants to know.
    due: Time,
    /// None has been made: a shard learns the time in its first turn.
    first: bool,
    overloaded: bool,
    /// Appointments kept since the last one that was not.
    calm: u8,
    /// When to go on with what was put off, milliseconds.
    put_off_to_ms: Option<u64>,
}

impl Load {
    /// Nothing is measured unless it is wanted.
    pub(super) fn new(wanted: bool) -> Self {
        let due = if wanted { Time(0) } else { Time(u64::MAX) };
        Self { due, first: true, overloaded: false, calm: 0, put_off_to_ms: None }
    }

    /// Whether it is measured.
    pub(super) fn is_measured(&self) -> bool {
        self.due != Time(u64::MAX)
    }

    /// The next appointment.
    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// Takes note of how late it is, if it is time for that. To be called once a turn, before anything else.
    /// `lateness` is too late.
    #[inline]
    pub(super) fn turn(&mut self, lateness: Duration, now: Time) {
        if now >= self.due {
            self.look(lateness, now);
        }
    }

    #[cold]
    fn look(&mut self, lateness: Duration, now: Time) {
        let late_ns = u128::from(now.0 - self.due.0);
        self.due = Time(now.0.saturating_add(INTERVAL_NS));
        if core::mem::take(&mut self.first) {
            return;
        }
        let allowed_ns = lateness.as_nanos();
        if late_ns >= allowed_ns {
            (self.overloaded, self.calm) = (true, 0);
        } else if late_ns >= allowed_ns / 2 {
            self.calm = 0;
        } else {
            self.calm = self.calm.saturating_add(1);
            self.overloaded &= self.calm < CALM_LOOKS;
        }
    }

    /// True while the shard does not keep up.
    pub(super) fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// Puts off what can wait.
    pub(super) fn put_off(&mut self, to_ms: u64) {
        self.put_off_to_ms = Some(to_ms);
    }

    /// When to go on with it, milliseconds, if it was put off.
    pub(super) fn put_off_to_ms(&self) -> Option<u64> {
        self.put_off_to_ms
    }

    /// False while it is put off.
    pub(super) fn may_go_on(&mut self, now_ms: u64) -> bool {
        let over = !self.overloaded || self.put_off_to_ms.is_none_or(|to_ms| to_ms <= now_ms);
        if over {
            self.put_off_to_ms = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENESS: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_late_shard_is_overloaded_until_it_has_been_on_time_for_a_while() {
        let mut load = Load::new(true);
        assert!(load.is_measured());
        load.turn(LATENESS, at(1000));
        load.turn(LATENESS, at(1199));
        assert!(!load.is_overloaded(), "99 ms late");
        load.turn(LATENESS, at(1399));
        assert!(load.is_overloaded(), "100 ms late");
        let mut now = 1399;
        for _ in 0..4 {
            now += 149;
            load.turn(LATENESS, at(now));
        }
        now += 150;
        load.turn(LATENESS, at(now));
        assert!(load.is_overloaded(), "50 ms late, which begins the count anew");
        for _ in 0..5 {
            assert!(load.is_overloaded());
            now += 100;
            load.turn(LATENESS, at(now - 1));
            load.turn(LATENESS, at(now));
        }
        assert!(!load.is_overloaded());
    }

    #[test]
    fn nothing_is_measured_unless_it_is_wanted() {
        let mut load = Load::new(false);
        assert_eq!((load.due(), load.is_measured()), (Time(u64::MAX), false));
        load.turn(LATENESS, at(1_000_000));
        assert!(!load.is_overloaded());
    }
}

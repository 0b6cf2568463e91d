//! When the kernel received something, on the run's clock.
//!
//! The kernel stamps segments with the wall clock. What that is ahead of the monotonic clock changes only when somebody
//! sets the wall clock: both are slewed alike. So it is measured at the start, looked at again a hundred times a second
//! and whenever a stamp lies in the future, and every change is counted. Stamps in between may be wrong by the step.
//!
//! Absent: how stamps come here, see `Machine::arriving`, and what is made of them, see [`fleet`](crate::fleet).

use crate::clock::{Clock, NANOS_PER_MILLI, monotonic_ns, wall_ns};

/// Pause between two looks at the wall clock, nanoseconds.
const LOOK_NS: u64 = 10 * NANOS_PER_MILLI;

/// Attempts at reading both clocks at once.
const ATTEMPTS: usize = 16;

/// An attempt that took no longer is good enough, nanoseconds.
const QUICK_NS: u64 = 200;

/// A change by less is none, whatever the reading took, nanoseconds.
const STEP_NS_MIN: u64 = 1000;

/// Turns the stamps of one thread into times of the run's clock.
#[derive(Debug)]
pub struct Arrivals {
    clock: Clock,
    ahead: Ahead,
    /// When to look at the wall clock again, nanoseconds of the run's clock.
    look_ns: u64,
    /// The stamp of what comes next.
    told_unix_ns: Option<u64>,
    steps: u64,
}

/// What the wall clock is ahead of the monotonic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ahead {
    nanos: i64,
    /// It may be wrong by this, nanoseconds.
    uncertainty_ns: u64,
}

impl Ahead {
    /// Reads the clocks in turns and takes the reading that was least interrupted.
    fn measure() -> Self {
        let mut best = Self { nanos: 0, uncertainty_ns: u64::MAX };
        for _ in 0..ATTEMPTS {
            let (before, wall, after) = (monotonic_ns(), wall_ns(), monotonic_ns());
            let took = after.saturating_sub(before);
            if took / 2 < best.uncertainty_ns {
                let middle = before + took / 2;
                best = Self { nanos: wall.wrapping_sub(middle).cast_signed(), uncertainty_ns: took / 2 };
            }
            if took <= QUICK_NS {
                break;
            }
        }
        best
    }

    /// Whether the clock was set between these two readings.
    fn differs(self, other: Self) -> bool {
        let known = self.uncertainty_ns.saturating_add(other.uncertainty_ns).max(STEP_NS_MIN);
        self.nanos.abs_diff(other.nanos) > known
    }
}

impl Arrivals {
    /// For a run with this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, ahead: Ahead::measure(), look_ns: 0, told_unix_ns: None, steps: 0 }
    }

    /// The kernel's stamp of what comes next, nanoseconds since 1970.
    pub fn tell(&mut self, unix_ns: u64) {
        self.told_unix_ns = Some(unix_ns);
    }

    /// When that arrived which is read `now_ns`, nanoseconds of the run's clock; `None` if it has no stamp, or one that
    /// cannot be.
    pub fn take(&mut self, now_ns: u64) -> Option<u64> {
        let unix_ns = self.told_unix_ns.take()?;
        if now_ns >= self.look_ns {
            self.look(now_ns);
        }
        self.on_the_clock(unix_ns, now_ns).or_else(|| {
            self.look(now_ns);
            self.on_the_clock(unix_ns, now_ns)
        })
    }

    /// Times at which the wall clock turned out to have been set.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A stamp as a time of the run's clock, unless that is still to come. The clocks are not known better than their
    /// uncertainty, so what lies ahead by that is of this moment.
    fn on_the_clock(&self, unix_ns: u64, now_ns: u64) -> Option<u64> {
        let at = unix_ns.cast_signed().wrapping_sub(self.ahead.nanos).wrapping_sub(self.clock.zero_ns());
        let at = u64::try_from(at).ok()?;
        (at <= now_ns.saturating_add(self.ahead.uncertainty_ns)).then_some(at.min(now_ns))
    }

    fn look(&mut self, now_ns: u64) {
        self.look_ns = now_ns + LOOK_NS;
        let ahead = Ahead::measure();
        if ahead.differs(self.ahead) {
            self.steps += 1;
            self.ahead = ahead;
        } else if ahead.uncertainty_ns < self.ahead.uncertainty_ns {
            self.ahead = ahead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NANOS_PER_SECOND;

    #[test]
    fn a_stamp_is_a_time_between_before_and_after() {
        let clock = Clock::start();
        let mut arrivals = Arrivals::new(clock);
        assert_eq!(arrivals.take(clock.now()), None, "nothing was told");
        for _ in 0..1000 {
            let before = clock.now();
            arrivals.tell(wall_ns());
            let after = clock.now();
            let at = arrivals.take(after).unwrap();
            let uncertainty = arrivals.ahead.uncertainty_ns;
            assert!(before <= at + uncertainty && at <= after, "{before} {at} {after}, give or take {uncertainty}");
            assert_eq!(arrivals.take(after), None, "a stamp is for one receive");
        }
        assert_eq!(arrivals.steps(), 0);
    }

    #[test]
    fn a_clock_set_ahead_is_noticed_by_the_first_stamp_and_one_set_back_soon() {
        let clock = Clock::start();
        let mut arrivals = Arrivals::new(clock);
        arrivals.take(clock.now());
        for (step, steps) in [(-NANOS_PER_SECOND.cast_signed(), 1), (NANOS_PER_SECOND.cast_signed(), 2)] {
            // As if the wall clock had been set by the opposite of this.
            arrivals.ahead.nanos += step;
            let before = clock.now();
            arrivals.tell(wall_ns());
            let now = if step < 0 { clock.now() } else { clock.now().max(arrivals.look_ns) };
            let at = arrivals.take(now).unwrap();
            assert!((before.saturating_sub(NANOS_PER_MILLI)..=now).contains(&at), "{before} {at} {now}");
            assert_eq!(arrivals.steps(), steps);
        }
    }

    #[test]
    fn a_stamp_of_the_future_is_none() {
        let clock = Clock::start();
        let mut arrivals = Arrivals::new(clock);
        arrivals.tell(wall_ns() + NANOS_PER_SECOND);
        assert_eq!((arrivals.take(clock.now()), arrivals.steps()), (None, 0));
    }
}

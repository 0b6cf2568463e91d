//! The open loop: which publisher is due when.
//!
//! Message `k` of the whole run is due at `start + k / rate` and belongs to publisher `k % publishers`, so publishers
//! are evenly staggered however they are spread over threads, and nobody has to talk to anybody. Due times never
//! depend on what happened before: a late generator or a slow broker does not shift the schedule, which is what keeps
//! coordinated omission out of the latencies. Absent: the closed loop, which needs no clock.

use crate::clock::NANOS_PER_SECOND;

/// Highest rate, messages per second.
pub const RATE_MAX: u64 = 1_000_000_000;

/// One thread's share of an open-loop schedule.
#[derive(Debug)]
pub struct Schedule {
    start_ns: u64,
    /// Messages per second over all publishers.
    rate: u64,
    /// Publishers over all threads.
    publishers: u64,
    /// Rounds that are due together.
    burst: u64,
    /// Rounds after which nothing is due any more.
    rounds: u64,
    /// How long the rate grows at first, nanoseconds.
    ramp_ns: u64,
    /// Global numbers of this thread's publishers, ascending.
    mine: Vec<u32>,
    round: u64,
    cursor: usize,
}

/// A message that has become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Position of the publisher in the list given to [`Schedule::new`].
    pub local: usize,
    /// When it became due, nanoseconds of the run's clock.
    pub at_ns: u64,
}

impl Schedule {
    /// A schedule of `rate` messages per second over `publishers` publishers, of which this thread owns `mine`.
    ///
    /// # Panics
    /// If `rate` is 0 or above [`RATE_MAX`], `publishers` is 0, or `mine` is not ascending.
    #[must_use]
    pub fn new(start_ns: u64, rate: u64, publishers: u32, mine: Vec<u32>) -> Self {
        assert!((1..=RATE_MAX).contains(&rate) && publishers > 0, "an open loop needs a rate and a publisher");
        assert!(mine.is_sorted(), "due times ascend only if the publishers do");
        Self {
            start_ns,
            rate,
            publishers: u64::from(publishers),
            burst: 1,
            rounds: u64::MAX,
            ramp_ns: 0,
            mine,
            round: 0,
            cursor: 0,
        }
    }

    /// The same number of messages, but all publishers send `rounds` at once and then pause.
    ///
    /// # Panics
    /// If `rounds` is 0.
    #[must_use]
    pub fn in_bursts(self, rounds: u32) -> Self {
        assert!(rounds > 0, "a burst has at least one message");
        Self { burst: u64::from(rounds), ..self }
    }

    /// The same, but each publisher sends so many messages only, if there is a number.
    #[must_use]
    pub fn with_rounds(self, rounds: Option<u64>) -> Self {
        Self { rounds: rounds.unwrap_or(u64::MAX), ..self }
    }

    /// The same, but at first the rate grows in a straight line, from nothing to what was asked for over this time; half
    /// as many messages are due in it as otherwise.
    #[must_use]
    pub fn ramping(self, ramp_ns: u64) -> Self {
        Self { ramp_ns, ..self }
    }

    /// When message `round` (from 0) of publisher `publisher` (global number) is due.
    #[must_use]
    pub fn due_at(&self, publisher: u32, round: u64) -> u64 {
        let index = match self.burst {
            1 => round * self.publishers + u64::from(publisher),
            burst => (round - round % burst) * self.publishers,
        };
        // Split into whole seconds and a rest below `rate`, so that the product stays far inside 64 bits.
        let (seconds, rest) = (index / self.rate, index % self.rate);
        let even = seconds * NANOS_PER_SECOND + rest * NANOS_PER_SECOND / self.rate;
        self.start_ns + if self.ramp_ns == 0 { even } else { ramped(even, self.ramp_ns) }
    }

    /// The next message of this thread, whether due or not; `None` if it owns no publisher.
    #[must_use]
    pub fn peek(&self) -> Option<Due> {
        let publisher = *self.mine.get(self.cursor)?;
        Some(Due { local: self.cursor, at_ns: self.due_at(publisher, self.round) })
    }

    /// Takes the next message if it is due at `now_ns`.
    pub fn take(&mut self, now_ns: u64) -> Option<Due> {
        let due = self.peek().filter(|due| due.at_ns <= now_ns)?;
        self.cursor += 1;
        if self.cursor == self.mine.len() {
            self.cursor = 0;
            self.round += 1;
            if self.round >= self.rounds {
                self.mine.clear();
            }
        }
        Some(due)
    }
}

/// When a message is due with a ramp that would be due at `even` without. While the rate grows, so many messages are due
/// by `t` as would be by `t * t / (2 * ramp)`; afterwards all are half the ramp later.
fn ramped(even: u64, ramp_ns: u64) -> u64 {
    if even >= ramp_ns / 2 {
        return even + ramp_ns / 2;
    }
    // Below the square of the ramp, and so its root below the ramp.
    (2 * u128::from(even) * u128::from(ramp_ns)).isqrt() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_together_keep_the_rate_and_stagger_evenly() {
        let (publishers, rate, start) = (7, 1000, 5_000);
        let mut all = Vec::new();
        for thread in 0..3 {
            let mine: Vec<u32> = (0..publishers).filter(|p| p % 3 == thread).collect();
            let mut schedule = Schedule::new(start, rate, publishers, mine.clone());
            let mut before = 0;
            while let Some(due) = schedule.take(start + NANOS_PER_SECOND - 1) {
                assert!(due.at_ns >= before, "one thread's due times ascend");
                before = due.at_ns;
                all.push((due.at_ns, mine[due.local]));
            }
        }
        all.sort_unstable();
        assert_eq!(all.len(), 1000);
        for (k, (at, publisher)) in all.iter().enumerate() {
            assert_eq!(*at, start + k as u64 * 1_000_000);
            assert_eq!(*publisher, k as u32 % publishers);
        }
    }

    #[test]
    fn nothing_is_due_early_and_a_late_caller_does_not_shift_it() {
        let mut schedule = Schedule::new(100, 10, 1, vec![0]);
        assert_eq!(schedule.take(99), None);
        assert_eq!(schedule.take(100), Some(Due { local: 0, at_ns: 100 }));
        assert_eq!(schedule.take(100), None);
        let late = 100 + 10 * NANOS_PER_SECOND;
        assert_eq!(schedule.take(late), Some(Due { local: 0, at_ns: 100_000_100 }));
        assert_eq!(schedule.take(late), Some(Due { local: 0, at_ns: 200_000_100 }));
    }

    #[test]
    fn a_burst_is_due_at_once_and_the_rate_is_kept() {
        let mut schedule = Schedule::new(7, 100, 2, vec![0, 1]).in_bursts(5);
        for second in 0..3 {
            // 100 messages a second of two publishers with 5 each in a burst: ten bursts.
            for tenth in 0..10 {
                let due = 7 + second * NANOS_PER_SECOND + tenth * NANOS_PER_SECOND / 10;
                assert_eq!(schedule.take(due - 1), None);
                let burst: Vec<Due> = std::iter::from_fn(|| schedule.take(due)).collect();
                assert_eq!(burst.len(), 10);
                assert!(burst.iter().all(|message| message.at_ns == due));
                assert_eq!(burst.iter().filter(|message| message.local == 1).count(), 5);
            }
        }
    }

    #[test]
    fn rates_that_do_not_divide_a_second_do_not_drift() {
        let schedule = Schedule::new(0, 3, 1, vec![0]);
        assert_eq!(schedule.due_at(0, 3_000_000), 1_000_000 * NANOS_PER_SECOND);
        let schedule = Schedule::new(0, 7, 1, vec![0]);
        assert_eq!(schedule.due_at(0, 13), NANOS_PER_SECOND + 857_142_857, "thirteen sevenths of a second");
    }

    #[test]
    fn a_ramp_grows_in_a_straight_line_and_ends_at_the_rate() {
        let mut schedule = Schedule::new(7, 1000, 2, vec![0, 1]).ramping(10 * NANOS_PER_SECOND);
        let mut by_second =
            |second: u64| std::iter::from_fn(|| schedule.take(7 + second * NANOS_PER_SECOND - 1)).count() as i64;
        // 1,000 messages a second after 10 s: 50 in the first second, 150 in the second, and so on.
        for second in 1..=10 {
            let (count, expected) = (by_second(second), 100 * second as i64 - 50);
            assert!((count - expected).abs() <= 1, "second {second}: {count} instead of {expected}");
        }
        for second in 11..15 {
            assert_eq!(by_second(second), 1000, "second {second}");
        }
        let ramp = 10 * NANOS_PER_SECOND;
        let times: Vec<u64> = (0..20_000).map(|k| ramped(k * 1_000_000, ramp)).collect();
        assert!(times.is_sorted() && times[0] == 0 && times[5000] == ramp, "{}", times[5000]);
    }

    #[test]
    fn nothing_is_due_after_the_last_round() {
        let mut schedule = Schedule::new(0, 10, 2, vec![0, 1]).with_rounds(Some(3));
        assert_eq!(std::iter::from_fn(|| schedule.take(u64::MAX / 2)).count(), 6);
        assert_eq!(schedule.peek(), None);
    }

    #[test]
    fn a_thread_without_publishers_has_nothing_to_send() {
        assert_eq!(Schedule::new(0, 3, 1, Vec::new()).take(u64::MAX), None);
    }
}

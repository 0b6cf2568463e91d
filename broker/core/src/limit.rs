//! Rates, and the token buckets that hold somebody to them.
//!
//! A bucket is one number: the moment at which it would be full again (the *generic cell rate algorithm*). It holds as
//! many tokens as its rate allows in a period and fills evenly. What is taken beyond that is a debt, paid before
//! anything else. Nothing has to happen as time passes, so a bucket that nobody uses costs nothing.
//!
//! Absent: a clock, and what is done to those who take too much.

use crate::machine::Time;

/// So much in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    period_ns: u64,
}

impl Rate {
    /// `amount` in each `period_ns` nanoseconds; `None` if either is 0.
    #[must_use]
    pub const fn new(amount: u64, period_ns: u64) -> Option<Self> {
        if amount == 0 || period_ns == 0 { None } else { Some(Self { amount, period_ns }) }
    }

    /// Time in which a bucket gains `amount` tokens, nanoseconds.
    fn cost_ns(self, amount: u64) -> u64 {
        let cost = u128::from(amount) * u128::from(self.period_ns) / u128::from(self.amount);
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// Time in which a bucket gains one token, nanoseconds.
    fn step_ns(self) -> u64 {
        self.cost_ns(1).clamp(1, self.period_ns)
    }
}

/// A token bucket. The default is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    full_at_ns: u64,
}

impl Bucket {
    /// The bucket that [`Bucket::raw`] told of.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self { full_at_ns: raw }
    }

    /// The bucket as a number, to be shared by threads.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.full_at_ns
    }

    /// True while it holds a token.
    #[must_use]
    pub fn is_open(self, rate: Rate, now: Time) -> bool {
        self.opens_at(rate) <= now
    }

    /// When it holds a token again.
    #[must_use]
    pub fn opens_at(self, rate: Rate) -> Time {
        Time(self.full_at_ns.saturating_add(rate.step_ns()).saturating_sub(rate.period_ns))
    }

    /// Takes tokens, also those that it does not hold.
    pub fn take(&mut self, rate: Rate, now: Time, amount: u64) {
        self.full_at_ns = self.full_at_ns.max(now.0).saturating_add(rate.cost_ns(amount));
    }
}

/// A rate, and one more that helps out while the first is used up (`*_rate` and `*_burst`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// What holds in the long run; `None` is no limit at all.
    pub rate: Option<Rate>,
    /// What may come on top.
    pub burst: Option<Rate>,
}

/// The buckets of an [`Allowance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buckets {
    /// Of its rate.
    pub regular: Bucket,
    /// Of its burst.
    pub burst: Bucket,
}

impl Buckets {
    /// When there is a token again: now or earlier if there is one.
    #[must_use]
    pub fn opens_at(&self, allowance: &Allowance) -> Time {
        let Some(rate) = allowance.rate else { return Time(0) };
        let regular = self.regular.opens_at(rate);
        allowance.burst.map_or(regular, |burst| regular.min(self.burst.opens_at(burst)))
    }

    /// Takes tokens from the bucket that has some, otherwise as a debt to the regular one.
    pub fn take(&mut self, allowance: &Allowance, now: Time, amount: u64) {
        let Some(rate) = allowance.rate else { return };
        match allowance.burst {
            Some(burst) if !self.regular.is_open(rate, now) && self.burst.is_open(burst, now) => {
                self.burst.take(burst, now, amount);
            }
            _ => self.regular.take(rate, now, amount),
        }
    }
}

/// What becomes of a client that publishes more than it may (`ringmq.limit_action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitAction {
    /// It is not read until it may publish again.
    #[default]
    Pause,
    /// Its messages are dropped.
    Drop,
    /// It is disconnected.
    Reject,
}

/// How much one client may publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// `messages_rate` and `messages_burst`: messages.
    pub messages: Allowance,
    /// `bytes_rate` and `bytes_burst`: bytes of their topics, properties and payloads.
    pub bytes: Allowance,
    /// `ringmq.limit_action`.
    pub action: LimitAction,
}

impl Limits {
    /// True if there is any.
    #[inline]
    #[must_use]
    pub fn any(&self) -> bool {
        self.messages.rate.is_some() || self.bytes.rate.is_some()
    }
}

/// What one client has published, against its [`Limits`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    messages: Buckets,
    bytes: Buckets,
}

impl Meter {
    /// When the client may publish again: now or earlier if it may now.
    pub(crate) fn opens_at(&self, limits: &Limits) -> Time {
        self.messages.opens_at(&limits.messages).max(self.bytes.opens_at(&limits.bytes))
    }

    /// Counts a message. A message may be larger than what is left.
    pub(crate) fn take(&mut self, limits: &Limits, now: Time, bytes: u64) {
        self.messages.take(&limits.messages, now, 1);
        self.bytes.take(&limits.bytes, now, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn rate(amount: u64, seconds: u64) -> Rate {
        Rate::new(amount, seconds * SECOND_NS).expect("a rate")
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    /// Takes one token after the other as long as there are some.
    fn drain(bucket: &mut Bucket, rate: Rate, now: Time) -> u64 {
        let mut taken = 0;
        while bucket.is_open(rate, now) {
            bucket.take(rate, now, 1);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_bucket_holds_what_its_rate_allows_in_a_period_and_fills_evenly() {
        let (mut bucket, rate) = (Bucket::default(), rate(10, 1));
        assert_eq!(drain(&mut bucket, rate, at(5000)), 10);
        assert_eq!(bucket.opens_at(rate), at(5100));
        assert_eq!(drain(&mut bucket, rate, at(5099)), 0);
        assert_eq!(drain(&mut bucket, rate, at(5300)), 3);
        assert_eq!(drain(&mut bucket, rate, at(60_000)), 10, "no more than it holds");
    }

    #[test]
    fn a_debt_is_paid_first() {
        let (mut bucket, rate) = (Bucket::default(), rate(1000, 1));
        bucket.take(rate, at(0), 5000);
        assert!(!bucket.is_open(rate, at(4000)));
        assert!(bucket.is_open(rate, at(4001)));
    }

    #[test]
    fn a_burst_helps_out_while_the_rate_is_used_up() {
        let allowance = Allowance { rate: Some(rate(2, 1)), burst: Some(rate(3, 60)) };
        let (mut buckets, mut taken) = (Buckets::default(), 0);
        while buckets.opens_at(&allowance) <= at(1000) {
            buckets.take(&allowance, at(1000), 1);
            taken += 1;
        }
        assert_eq!(taken, 5);
        assert_eq!(buckets.opens_at(&allowance), at(1500), "the regular bucket fills first");
        let unlimited = Allowance { rate: None, burst: Some(rate(3, 60)) };
        buckets.take(&unlimited, at(1000), 1_000_000);
        assert_eq!(buckets.opens_at(&unlimited), Time(0), "a burst alone is no limit");
    }

    #[test]
    fn both_messages_and_bytes_count() {
        let bytes = Allowance { rate: Some(rate(100, 1)), burst: None };
        let messages = Allowance { rate: Some(rate(10, 1)), burst: None };
        let limits = Limits { messages, bytes, ..Limits::default() };
        let mut meter = Meter::default();
        meter.take(&limits, at(1000), 300);
        assert_eq!(meter.opens_at(&limits), at(3010), "the bytes, although messages are left");
        let mut meter = Meter::default();
        (0..10).for_each(|_| meter.take(&limits, at(1000), 1));
        assert_eq!(meter.opens_at(&limits), at(1100), "the messages, although bytes are left");
    }

    proptest! {
        /// Whatever the steps in time, no more passes than a full bucket and what the rate allows since then.
        #[test]
        fn no_more_passes_than_the_rate_allows(
            amount in 1_u64..2000,
            seconds in 1_u64..100,
            steps in prop::collection::vec(0_u64..3_000, 1..100),
        ) {
            let (mut bucket, rate) = (Bucket::default(), rate(amount, seconds));
            let (start_ms, mut now_ms, mut passed) = (1_000_000, 1_000_000, 0);
            for step in steps {
                now_ms += step;
                passed += drain(&mut bucket, rate, at(now_ms));
                let allowed = amount + (now_ms - start_ms) * amount / (seconds * 1000) + 1;
                // A token's time is rounded down to whole nanoseconds.
                prop_assert!(passed <= allowed + passed / 10_000, "{passed} of {allowed}");
            }
        }

        #[test]
        fn extreme_numbers_do_no_harm(amount in 1_u64.., period in 1_u64.., now: u64, taken: u64) {
            let rate = Rate::new(amount, period).expect("a rate");
            let mut bucket = Bucket::default();
            bucket.take(rate, Time(now), taken);
            prop_assert!(bucket.opens_at(rate) <= Time(u64::MAX));
            bucket.take(rate, Time(now), taken);
        }
    }
}

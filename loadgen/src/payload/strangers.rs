//! What can be known of messages that this run has not sent: their age and their numbers.
//!
//! Without a wish a message is looked at for the signed stamp of another run; with headers named, for these. Ages come
//! from the stamp if its clock is this host's own, else from `ts`, which assumes that both wall clocks agree and neither
//! was set since this run began. Numbers belong to a stream: one publisher of a run where there is a stamp, one topic
//! where there is only a counter. Absent: the checks of the numbers.

use super::headers::{Headers, Layout};
use super::maker::Clocks;
use super::stamp::{self, Form, UNMARKED};
use crate::clock::{NANOS_PER_MILLI, NANOS_PER_SECOND};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Most streams that are followed.
const STREAMS_MAX: usize = 1 << 20;

/// Nothing is believed to be older, or to come from further ahead, nanoseconds.
const AGE_NS_MAX: u64 = 24 * 3600 * NANOS_PER_SECOND;

/// How old a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It does not say, or what it says cannot be.
    Unknown,
    /// Nanoseconds.
    Known(u64),
    /// Its time is still to come: the clocks do not agree.
    Ahead,
}

/// What a message says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How old it is.
    pub age: Age,
    /// Whose it is, and its number there.
    pub number: Option<(u64, u64)>,
}

/// Reads messages of others, and remembers whose they were.
#[derive(Debug)]
pub struct Strangers {
    layout: Layout,
    clocks: Clocks,
    hasher: RandomState,
    /// By subscriber and publisher: a number given by whoever checks.
    streams: HashMap<(u32, u64), usize>,
}

impl Strangers {
    /// For messages with these headers; `None` looks for stamps.
    #[must_use]
    pub fn new(headers: Option<&Headers>, clocks: Clocks) -> Self {
        let layout = headers.map_or_else(|| Headers::stamp().layout(Form::Signed), |it| it.layout(Form::Signed));
        Self { layout, clocks, hasher: RandomState::new(), streams: HashMap::new() }
    }

    /// Looks at a message that came `now_ns` of the run's clock.
    #[must_use]
    pub fn look(&self, topic: &str, payload: &[u8], now_ns: u64) -> Seen {
        let unknown = Seen { age: Age::Unknown, number: None };
        let Some(headers) = payload.get(..self.layout.bytes) else { return unknown };
        let mut seen = unknown;
        if let Some((at, form)) = self.layout.stamp {
            let bytes = &headers[at..at + form.bytes()];
            let Some(mark) = stamp::mark(bytes) else { return unknown };
            let stamp = form.read(bytes);
            seen.number = Some((u64::from(stamp.run) << 32 | u64::from(stamp.publisher), stamp.sequence));
            if mark != UNMARKED && mark == self.clocks.mark {
                let now = self.clocks.monotonic_ns.saturating_add(now_ns.cast_signed());
                seen.age = age(now, stamp.time_ns);
            }
        } else if let Some(sequence) = self.layout.read_cnt64(headers) {
            seen.number = Some((self.hasher.hash_one(topic), sequence));
        }
        if let (Age::Unknown, Some(unix_ms)) = (seen.age, self.layout.read_ts(headers)) {
            let now = self.clocks.unix_ns.saturating_add(now_ns).cast_signed();
            seen.age = match unix_ms.checked_mul(NANOS_PER_MILLI) {
                // A time that is cut to milliseconds makes a message up to one older than it is.
                Some(unix_ns) => age(now, unix_ns),
                None => Age::Unknown,
            };
        }
        seen
    }

    /// The stream of a subscriber and a publisher. A new one is made by `open`, if there is still room for it.
    pub fn stream(&mut self, subscriber: u32, publisher: u64, open: impl FnOnce() -> usize) -> Option<usize> {
        if let Some(stream) = self.streams.get(&(subscriber, publisher)) {
            return Some(*stream);
        }
        (self.streams.len() < STREAMS_MAX).then(|| {
            let stream = open();
            self.streams.insert((subscriber, publisher), stream);
            stream
        })
    }
}

/// From a time until now, if that can be.
fn age(now: i64, then: u64) -> Age {
    let Ok(then) = i64::try_from(then) else { return Age::Unknown };
    match now.checked_sub(then) {
        Some(age) if age.unsigned_abs() > AGE_NS_MAX => Age::Unknown,
        Some(age) if age < 0 => Age::Ahead,
        Some(age) => Age::Known(age.unsigned_abs()),
        None => Age::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Maker, Payload};
    use super::*;

    /// The same clocks as two processes see them that began three seconds apart.
    const THEIRS: Clocks =
        Clocks { monotonic_ns: 50 * NANOS_PER_SECOND as i64, mark: 5, unix_ns: 1_700_000_000_000_000_000 };
    const OURS: Clocks =
        Clocks { monotonic_ns: 53 * NANOS_PER_SECOND as i64, mark: 5, unix_ns: 1_700_000_003_000_000_000 };

    fn message(headers: &str, sequence: u64) -> Vec<u8> {
        let sizes = "64".parse().unwrap();
        let payload = Payload { headers: headers.parse().unwrap(), ..Payload::stamped(sizes) };
        // Due four of their seconds after they began, which is one of ours.
        Maker::new(7, &payload, THEIRS).make(3, sequence, 4 * NANOS_PER_SECOND).to_vec()
    }

    #[test]
    fn the_stamp_of_another_run_tells_age_and_number() {
        let strangers = Strangers::new(None, OURS);
        let seen = strangers.look("t", &message("stamp", 9), NANOS_PER_SECOND + 250);
        assert_eq!(seen, Seen { age: Age::Known(250), number: Some((7 << 32 | 3, 9)) });
        let elsewhere = Strangers::new(None, Clocks { mark: 6, ..OURS });
        let seen = elsewhere.look("t", &message("stamp", 9), NANOS_PER_SECOND);
        assert_eq!(seen, Seen { age: Age::Unknown, number: Some((7 << 32 | 3, 9)) }, "another host's clock");
        for other in [&b""[..], &[0; 64], &message("cnt64,ts", 9)] {
            assert_eq!(strangers.look("t", other, 0), Seen { age: Age::Unknown, number: None });
        }
    }

    #[test]
    fn named_headers_are_read() {
        let headers = "cnt64,ts".parse().unwrap();
        let strangers = Strangers::new(Some(&headers), OURS);
        let message = message("cnt64,ts", 9);
        let at = |now_ns| strangers.look("t", &message, now_ns);
        assert_eq!(at(NANOS_PER_SECOND + 250).age, Age::Known(250));
        assert_eq!(at(NANOS_PER_SECOND - 1).age, Age::Ahead);
        assert_eq!(at(AGE_NS_MAX * 2).age, Age::Unknown);
        let (stream, sequence) = at(0).number.unwrap();
        assert_eq!(sequence, 9);
        assert_ne!(strangers.look("u", &message, 0).number.unwrap().0, stream, "a topic is a stream");
        assert_eq!(strangers.look("t", &message[..15], 0).number, None, "too short for its headers");
    }

    #[test]
    fn streams_are_opened_once() {
        let mut strangers = Strangers::new(None, OURS);
        assert_eq!(strangers.stream(1, 2, || 70), Some(70));
        assert_eq!(strangers.stream(1, 2, || panic!("opened twice")), Some(70));
        assert_eq!(strangers.stream(2, 2, || 71), Some(71));
    }
}

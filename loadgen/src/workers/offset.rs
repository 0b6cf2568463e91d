//! How far another host's monotonic clock is from ours, measured over the control connection.
//!
//! As in NTP: ask, and assume that the answer was given in the middle of the round trip. The shortest of several round
//! trips is the best one, and half of it is how wrong the result can be, whatever the network did. Absent: drift during
//! a run, which shows when the measurement is repeated after it.

use super::protocol::{ANSWER_BYTES_MAX, Answer, Command};
use super::stream::{Stream, read, write};
use crate::clock::monotonic_ns;
use std::collections::BTreeMap;

/// Round trips of one measurement.
const EXCHANGES: usize = 32;

/// How far two of several clocks may be apart beyond their offsets, nanoseconds: each is compared with ours, and so with
/// each other by way of it.
pub(super) fn disagreement_ns<'a>(offsets: impl IntoIterator<Item = (&'a str, Offset)>) -> u64 {
    let mut by_clock: BTreeMap<&str, u64> = BTreeMap::new();
    for (clock, offset) in offsets {
        let most = by_clock.entry(clock).or_default();
        *most = offset.uncertainty_ns.max(*most);
    }
    let mut uncertainties: Vec<u64> = by_clock.into_values().collect();
    uncertainties.sort_unstable();
    uncertainties.iter().rev().take(2).sum()
}

/// Another clock against ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// What it shows minus what ours shows, nanoseconds.
    pub ahead_ns: i64,
    /// How wrong that can be, nanoseconds either way.
    pub uncertainty_ns: u64,
}

impl Offset {
    /// The same clock.
    pub(super) const NONE: Self = Self { ahead_ns: 0, uncertainty_ns: 0 };

    /// The offset by one exchange: asked and answered by our clock, and what the other showed between.
    fn of(asked_ns: u64, theirs_ns: u64, answered_ns: u64) -> Self {
        let round_trip_ns = answered_ns.saturating_sub(asked_ns);
        let middle_ns = asked_ns + round_trip_ns / 2;
        Self { ahead_ns: theirs_ns.wrapping_sub(middle_ns).cast_signed(), uncertainty_ns: round_trip_ns.div_ceil(2) }
    }

    /// Measures it. The agent must be waiting for commands.
    ///
    /// # Errors
    /// What the agent did instead of answering, for after its name.
    pub(super) fn measure(stream: &mut Stream) -> Result<Self, String> {
        let mut best: Option<Self> = None;
        for _ in 0..EXCHANGES {
            let asked_ns = monotonic_ns();
            write(stream, &Command::Clock).map_err(|problem| problem.to_string())?;
            let answer = read(stream, ANSWER_BYTES_MAX).map_err(|broken| broken.to_string())?;
            let answered_ns = monotonic_ns();
            let Answer::Clock(theirs_ns) = answer else { return Err("did not say what its clock shows".into()) };
            let found = Self::of(asked_ns, theirs_ns, answered_ns);
            if best.is_none_or(|best| found.uncertainty_ns < best.uncertainty_ns) {
                best = Some(found);
            }
        }
        best.ok_or_else(|| "was not asked".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::COMMAND_BYTES_MAX;
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn the_truth_is_within_the_uncertainty_however_the_round_trip_is_divided() {
        for (there, back) in [(0, 10), (10, 0), (5, 5), (3, 4)] {
            for ahead in [-1_000_000_i64, 0, 777] {
                let asked = 5_000_000_u64;
                let theirs = (asked + there).checked_add_signed(ahead).unwrap();
                let found = Offset::of(asked, theirs, asked + there + back);
                assert!(found.ahead_ns.abs_diff(ahead) <= found.uncertainty_ns, "{there} {back} {ahead}: {found:?}");
                assert!(found.uncertainty_ns <= 5);
            }
        }
    }

    #[test]
    fn two_clocks_may_be_wrong_in_opposite_directions_and_one_clock_is_one() {
        let wrong_by = |uncertainty_ns| Offset { ahead_ns: 7, uncertainty_ns };
        assert_eq!(disagreement_ns([("ours", Offset::NONE), ("a", wrong_by(30)), ("b", wrong_by(50))]), 80);
        assert_eq!(disagreement_ns([("ours", Offset::NONE), ("a", wrong_by(30)), ("a", wrong_by(20))]), 30);
        assert_eq!(disagreement_ns([("ours", Offset::NONE)]), 0);
    }

    #[test]
    fn a_shifted_clock_is_found_over_a_connection() {
        const AHEAD_NS: u64 = 3_600_000_000_000;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut ours = Stream::Local(ours);
        let agent = thread::spawn(move || {
            let mut stream = Stream::Local(theirs);
            while let Ok(Command::Clock) = read(&mut stream, COMMAND_BYTES_MAX) {
                write(&mut stream, &Answer::Clock(monotonic_ns() + AHEAD_NS)).unwrap();
            }
        });
        let found = Offset::measure(&mut ours).unwrap();
        assert!(found.ahead_ns.abs_diff(AHEAD_NS.cast_signed()) <= found.uncertainty_ns, "{found:?}");
        ours.shut();
        agent.join().unwrap();
    }
}

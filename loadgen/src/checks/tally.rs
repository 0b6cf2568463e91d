//! The counts that come of the checks, and which of them could not be made.
//!
//! A check that was not made is `null` in the result and never 0. Absent: what the counts mean for the run; that is the
//! report's decision.

use serde::{Deserialize, Serialize};

/// Counts of [`Verdict`](super::Verdict)s, and at the end of a run of what never came. In a result what was not checked is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "Written", from = "Written")]
pub struct Tally {
    /// Messages received for the first time; where there are no numbers, all of this run's.
    pub delivered: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages that did not come and did not have to: sent while the subscriber was away by the scenario's doing.
    pub missed: u64,
    /// Messages that never came to subscribers that read slowly and may lose messages.
    pub dropped: u64,
    /// Messages received again.
    pub duplicates: u64,
    /// Messages received after a later one of the same publisher.
    pub reordered: u64,
    /// Messages with a damaged payload or an impossible sequence number.
    pub damaged: u64,
    /// Messages of other runs or programs; where this run sends something, ignored otherwise.
    pub foreign: u64,
    /// Thereof without a number that could be checked, in a run that sends nothing itself.
    pub unnumbered: u64,
    /// What could not be checked.
    pub unmade: Unmade,
}

/// Checks that payloads or other programs' messages did not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unmade {
    /// Loss is not known.
    pub loss: bool,
    /// Loss is the difference of what was sent and received, which a duplicate would hide.
    pub loss_is_counted: bool,
    /// Duplicates are not known.
    pub duplicates: bool,
    /// Order is not known.
    pub order: bool,
    /// Damage is not known.
    pub damage: bool,
    /// No message said when it was due.
    pub latency: bool,
}

impl Unmade {
    /// Their names, as in a result's `not_made`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let all = [
            (self.loss, "loss"),
            (self.duplicates, "duplicates"),
            (self.order, "order"),
            (self.damage, "damage"),
            (self.latency, "latency"),
        ];
        all.into_iter().filter(|(unmade, _)| *unmade).map(|(_, name)| name.to_owned()).collect()
    }
}

impl Tally {
    /// Adds another thread's counts.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.missed += other.missed;
        self.dropped += other.dropped;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.foreign += other.foreign;
        self.unnumbered += other.unnumbered;
    }

    /// Where messages that never came are counted: those that did not have to, those of slow readers, or all others.
    pub(super) fn missing(&mut self, excused: bool, tolerated: bool) -> &mut u64 {
        match (excused, tolerated) {
            (true, _) => &mut self.missed,
            (false, true) => &mut self.dropped,
            (false, false) => &mut self.lost,
        }
    }
}

/// A tally as it is written: `None`, which becomes `null`, for what was not checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Written {
    delivered: u64,
    lost: Option<u64>,
    #[serde(default)]
    missed: u64,
    #[serde(default)]
    dropped: u64,
    duplicates: Option<u64>,
    reordered: Option<u64>,
    damaged: Option<u64>,
    foreign: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    unnumbered: u64,
    /// Names of the checks that were not made: `loss`, `duplicates`, `order`, `damage`, `latency`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_made: Vec<String>,
    /// `lost` is the difference of what was sent and received: a duplicate would hide a loss.
    #[serde(default, skip_serializing_if = "is_false")]
    lost_by_count: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl From<Tally> for Written {
    fn from(tally: Tally) -> Self {
        let Tally { delivered, missed, dropped, foreign, unnumbered, unmade, .. } = tally;
        let made = |unmade: bool, count: u64| (!unmade).then_some(count);
        Self {
            delivered,
            lost: made(unmade.loss, tally.lost),
            missed,
            dropped,
            duplicates: made(unmade.duplicates, tally.duplicates),
            reordered: made(unmade.order, tally.reordered),
            damaged: made(unmade.damage, tally.damaged),
            foreign,
            unnumbered,
            not_made: unmade.names(),
            lost_by_count: unmade.loss_is_counted,
        }
    }
}

impl From<Written> for Tally {
    fn from(written: Written) -> Self {
        let Written { delivered, lost, missed, dropped, duplicates, reordered, damaged, foreign, unnumbered, .. } =
            written;
        let unmade = Unmade {
            loss: lost.is_none(),
            loss_is_counted: written.lost_by_count,
            duplicates: duplicates.is_none(),
            order: reordered.is_none(),
            damage: damaged.is_none(),
            latency: written.not_made.iter().any(|name| name == "latency"),
        };
        let known = Option::unwrap_or_default;
        Self {
            delivered,
            lost: known(lost),
            missed,
            dropped,
            duplicates: known(duplicates),
            reordered: known(reordered),
            damaged: known(damaged),
            foreign,
            unnumbered,
            unmade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_null_and_not_nothing() {
        let unmade = Unmade { loss: true, order: true, latency: true, ..Unmade::default() };
        let tally = Tally { delivered: 7, unmade, ..Tally::default() };
        let line = serde_json::to_string(&tally).unwrap();
        let expected = r#"{"delivered":7,"lost":null,"missed":0,"dropped":0,"duplicates":0,"reordered":null,"#;
        assert_eq!(
            line,
            format!("{expected}\"damaged\":0,\"foreign\":0,\"not_made\":[\"loss\",\"order\",\"latency\"]}}")
        );
        assert_eq!(serde_json::from_str::<Tally>(&line).unwrap(), tally);
    }

    #[test]
    fn a_full_check_is_written_as_ever() {
        let tally =
            Tally { delivered: 7, lost: 1, duplicates: 2, reordered: 3, damaged: 4, foreign: 5, ..Tally::default() };
        let expected =
            r#"{"delivered":7,"lost":1,"missed":0,"dropped":0,"duplicates":2,"reordered":3,"damaged":4,"foreign":5}"#;
        assert_eq!(serde_json::to_string(&tally).unwrap(), expected);
        let older = r#"{"delivered":7,"lost":1,"duplicates":2,"reordered":3,"damaged":4,"foreign":5}"#;
        assert_eq!(serde_json::from_str::<Tally>(older).unwrap(), tally);
    }
}

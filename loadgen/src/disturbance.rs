//! What happens to clients during a run: connections are lost, taken over, subscriptions come and go, readers pause.
//!
//! A group of a scenario file may have one disturbance. It comes in *rounds*: the first `at` after the measurement's
//! start, the others every `every`. A round hits the first clients of the group, `share` of them, within `spread`.
//! Everything here is decided before the run, so that every hit has a time at which it was meant to happen, and what it
//! takes is measured from there. Absent: doing it, see [`fleet`](crate::fleet), and what may be lost by it, see
//! [`checks`](crate::checks).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The connection ends, and after a while the client connects again.
    Reconnect,
    /// The client connects a second time with its identifier; the broker has to close the first connection
    /// [MQTT-3.1.4-3] [MQTT3-3.1.4-2].
    Takeover,
    /// All filters are unsubscribed and, when that is acknowledged, subscribed again.
    Resubscribe,
    /// The client stops reading for a while.
    Pause,
}

impl Kind {
    /// Its name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::Takeover => "takeover",
            Self::Resubscribe => "resubscribe",
            Self::Pause => "pause",
        }
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Without a word.
    #[default]
    Abort,
    /// After DISCONNECT with reason 0.
    Disconnect,
}

/// A disturbance as a file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disturb {
    /// What happens. Required.
    pub kind: Kind,
    /// From the measurement's start to the first round.
    #[serde(default = "at_default", deserialize_with = "crate::definition::time")]
    pub at: Duration,
    /// From round to round; without it there is one.
    #[serde(default, deserialize_with = "some_time")]
    pub every: Option<Duration>,
    /// Share of the group that is hit, above 0 and at most 1.
    #[serde(default = "all")]
    pub share: f64,
    /// Time over which a round's hits are spread evenly.
    #[serde(default, deserialize_with = "crate::definition::time")]
    pub spread: Duration,
    /// `reconnect`: how the connection ends.
    pub how: Option<How>,
    /// `reconnect`: how long the client is away; `pause`: how long it does not read.
    #[serde(default, deserialize_with = "crate::definition::time")]
    pub lasts: Duration,
    /// `pause`: what the broker drops for these clients is reported and does not fail the run.
    #[serde(default)]
    pub may_lose: bool,
}

const fn at_default() -> Duration {
    Duration::from_secs(1)
}

const fn all() -> f64 {
    1.0
}

fn some_time<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    crate::definition::time(value).map(Some)
}

impl Disturb {
    /// What keys mean together.
    ///
    /// # Errors
    /// A text for the user.
    pub fn check(&self) -> Result<(), String> {
        let Self { kind, every, share, spread, how, lasts, may_lose, .. } = self;
        let name = kind.name();
        if !(*share > 0.0 && *share <= 1.0) {
            return Err("disturb: share is above 0 and at most 1".into());
        }
        if every.is_some_and(|every| every.is_zero() || every < *spread) {
            return Err("disturb: every is above 0 and at least as long as spread".into());
        }
        if how.is_some() && *kind != Kind::Reconnect {
            return Err(format!("disturb: how belongs to reconnect, not to {name}"));
        }
        if !lasts.is_zero() && !matches!(kind, Kind::Reconnect | Kind::Pause) {
            return Err(format!("disturb: lasts belongs to reconnect and pause, not to {name}"));
        }
        if lasts.is_zero() && *kind == Kind::Pause {
            return Err("disturb: a pause needs lasts".into());
        }
        if *may_lose && *kind != Kind::Pause {
            return Err(format!("disturb: may_lose belongs to pause: what a {name} may lose is known exactly"));
        }
        Ok(())
    }
}

/// A disturbance of a run: the file's, with the clients it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Disturbance {
    /// What happens, and when.
    pub disturb: Disturb,
    /// The group's first subscriber, by number over all threads.
    pub first: u32,
    /// The group's clients.
    pub group: u32,
}

impl Disturbance {
    /// Clients that a round hits: the group's first ones.
    #[must_use]
    pub fn clients(&self) -> u32 {
        ((f64::from(self.group) * self.disturb.share).ceil() as u32).clamp(1, self.group)
    }

    /// The subscribers hit.
    #[must_use]
    pub fn hit(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.clients()
    }

    /// Whether a subscriber is hit and may lose messages by it.
    #[must_use]
    pub fn may_lose(&self, subscriber: u32) -> bool {
        self.disturb.may_lose && self.hit().contains(&subscriber)
    }

    /// When round `round` begins, nanoseconds from the measurement's start; `None` if there is none so late.
    #[must_use]
    pub fn round_ns(&self, round: u64) -> Option<u64> {
        let every = match self.disturb.every {
            Some(every) => nanos(every),
            None if round == 0 => 0,
            None => return None,
        };
        nanos(self.disturb.at).checked_add(every.checked_mul(round)?)
    }

    /// How long after its round's beginning a subscriber is hit, nanoseconds.
    #[must_use]
    pub fn offset_ns(&self, subscriber: u32) -> u64 {
        let number = u128::from(subscriber - self.first);
        (u128::from(nanos(self.disturb.spread)) * number / u128::from(self.clients())) as u64
    }
}

/// Nanoseconds; centuries are cut short.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disturbance(text: &str, group: u32) -> Result<Disturbance, String> {
        let disturb: Disturb = toml::from_str(text).map_err(|problem| problem.to_string())?;
        disturb.check()?;
        Ok(Disturbance { disturb, first: 10, group })
    }

    #[test]
    fn rounds_hit_the_first_clients_of_the_group_evenly_spread() {
        let text = "kind = \"reconnect\"\nat = \"2s\"\nevery = \"5s\"\nshare = 0.25\nspread = \"1s\"";
        let storm = disturbance(text, 8).unwrap();
        assert_eq!((storm.clients(), storm.hit()), (2, 10..12));
        assert_eq!((storm.round_ns(0), storm.round_ns(2)), (Some(2_000_000_000), Some(12_000_000_000)));
        assert_eq!((storm.offset_ns(10), storm.offset_ns(11)), (0, 500_000_000));
        let once = disturbance("kind = \"takeover\"\nshare = 0.001", 8).unwrap();
        assert_eq!((once.clients(), once.round_ns(0), once.round_ns(1)), (1, Some(1_000_000_000), None));
        assert_eq!(once.round_ns(u64::MAX), None);
    }

    #[test]
    fn keys_that_mean_nothing_together_are_refused() {
        for (text, word) in [
            ("at = \"1s\"", "kind"),
            ("kind = \"nap\"", "nap"),
            ("kind = \"reconnect\"\nshare = 0.0", "share"),
            ("kind = \"reconnect\"\nshare = 1.5", "share"),
            ("kind = \"reconnect\"\nevery = \"0s\"", "every"),
            ("kind = \"reconnect\"\nevery = \"1s\"\nspread = \"2s\"", "every"),
            ("kind = \"reconnect\"\nmay_lose = true", "may_lose"),
            ("kind = \"takeover\"\nhow = \"abort\"", "how"),
            ("kind = \"takeover\"\nlasts = \"1s\"", "lasts"),
            ("kind = \"pause\"", "lasts"),
            ("kind = \"pause\"\nlast = \"1s\"", "last"),
        ] {
            let problem = disturbance(text, 8).unwrap_err();
            assert!(problem.contains(word), "{text}: {problem}");
        }
    }
}

//! What becomes of messages for a client whose queue is full.

use super::Settings;
use crate::topics::filter;
use alloc::boxed::Box;
use core::time::Duration;

/// What becomes of a message for a client whose queue is full (`ringmq.queue_full_policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QueueFullPolicy {
    /// The oldest message of its priority is dropped for it; one under [`QueueFullPolicy::BackPressure`] only if there is
    /// no other, and only for another such.
    #[default]
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// It is dropped and the client disconnected; without a connection as [`QueueFullPolicy::DropOldest`].
    Disconnect,
    /// It is queued all the same, and its publisher not read until there is room again: [`BackPressure`] has the bounds.
    /// Without a connection, and for a client that takes nothing, as [`BackPressure::fallback`].
    BackPressure,
}

/// A policy for the messages of some topics (a record of `ringmq.queue_full_policies`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPolicy {
    /// `topic`: a well-formed filter without a group.
    pub topic: Box<str>,
    /// `policy`.
    pub policy: QueueFullPolicy,
}

/// How far a full queue may hold publishers back (`ringmq.back_pressure`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackPressure {
    /// `patience`: for how long a client that takes nothing from its full queue does so.
    pub patience: Duration,
    /// `fallback`: what becomes of messages after that, and of those for a client without a connection:
    /// [`QueueFullPolicy::DropOldest`] or [`QueueFullPolicy::DropNewest`].
    pub fallback: QueueFullPolicy,
    /// `max_overrun`: messages that a queue may hold beyond `mqtt.max_mqueue_len`. They are those that had been received
    /// by the time their publishers were no longer read. One more is dropped.
    pub max_overrun: u32,
}

impl Default for BackPressure {
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), fallback: QueueFullPolicy::DropOldest, max_overrun: 65_536 }
    }
}

impl BackPressure {
    /// When a client that took something last at `took_ms` holds nobody back any more, milliseconds.
    pub(crate) fn gives_up_ms(&self, took_ms: u64) -> u64 {
        took_ms.saturating_add(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Settings {
    /// The policy for a message of this topic: that of the first filter that matches, or else the session's.
    pub(crate) fn queue_full_policy_for(&self, topic: &str) -> QueueFullPolicy {
        let own = self.queue_full_policies.iter().find(|own| filter::matches(&own.topic, topic));
        own.map_or(self.queue_full_policy, |own| own.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_filter_that_matches_decides() {
        let own = |topic: &str, policy| TopicPolicy { topic: topic.into(), policy };
        let settings = Settings {
            queue_full_policy: QueueFullPolicy::Disconnect,
            queue_full_policies: alloc::vec![
                own("alarms/low/#", QueueFullPolicy::DropNewest),
                own("alarms/#", QueueFullPolicy::BackPressure),
                own("#", QueueFullPolicy::DropOldest),
            ],
            ..Settings::default()
        };
        assert_eq!(settings.queue_full_policy_for("alarms/low/1"), QueueFullPolicy::DropNewest);
        assert_eq!(settings.queue_full_policy_for("alarms"), QueueFullPolicy::BackPressure);
        assert_eq!(settings.queue_full_policy_for("other"), QueueFullPolicy::DropOldest);
        assert_eq!(settings.queue_full_policy_for("$SYS/x"), QueueFullPolicy::Disconnect, "the session's");
    }
}

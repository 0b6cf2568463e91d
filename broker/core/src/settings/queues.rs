//! Message queues that the operator has declared (`ringmq.queues.<name>`).

use super::QueueFullPolicy;
use alloc::boxed::Box;
use core::time::Duration;

/// Queues that may be declared at a time, as in EMQX.
pub const QUEUES_MAX: usize = 100;

/// What the messages of a last-value queue are told apart by (`key`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QueueKey {
    /// `topic`: their topics.
    #[default]
    Topic,
    /// `user_property:<name>`: the value of the first user property of this name. A message without one is kept as if
    /// the queue were none of last values.
    UserProperty(Box<str>),
}

/// Which of the consumers that have room gets the next message (`dispatch`), by EMQX's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QueueDispatch {
    /// The one that has waited longest for its turn.
    #[default]
    RoundRobin,
    /// The one with the fewest unacknowledged messages.
    LeastInflight,
    /// Any, each with the same chance.
    Random,
}

/// A declared queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// `enable`.
    pub enable: bool,
    /// `topic_filter`: a well-formed filter without a group. Empty is not declared yet.
    pub topic_filter: Box<str>,
    /// `last_value`: a message takes the place of a waiting one with the same key.
    pub last_value: bool,
    /// `key`.
    pub key: QueueKey,
    /// `max_length`: messages held, those among them that are with consumers. At least 1.
    pub max_length: u32,
    /// `max_bytes`: bytes of their topics, properties and payloads, and
    /// [`ENTRY_BYTES`](crate::queue::ENTRY_BYTES) for each.
    pub max_bytes: u64,
    /// `full_policy`: what becomes of a message that does not fit any more: [`QueueFullPolicy::DropOldest`] or
    /// [`QueueFullPolicy::DropNewest`].
    pub full_policy: QueueFullPolicy,
    /// `message_expiry`: how long a message is held that has no shorter expiry of its own; `None` is for ever.
    pub message_expiry: Option<Duration>,
    /// `max_inflight`: messages that a consumer has and has not acknowledged. At least 1.
    pub max_inflight: u16,
    /// `dispatch`.
    pub dispatch: QueueDispatch,
}

impl QueueSettings {
    /// Those of a queue that somebody consumes and nobody has declared.
    pub(crate) fn undeclared() -> Self {
        Self { enable: false, ..Self::default() }
    }

    /// True if the queue takes messages.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.enable && !self.topic_filter.is_empty()
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            enable: true,
            topic_filter: Box::from(""),
            last_value: false,
            key: QueueKey::default(),
            max_length: 100_000,
            max_bytes: 100 * 1024 * 1024,
            full_policy: QueueFullPolicy::DropOldest,
            message_expiry: Some(Duration::from_secs(7 * 86_400)),
            max_inflight: 10,
            dispatch: QueueDispatch::default(),
        }
    }
}

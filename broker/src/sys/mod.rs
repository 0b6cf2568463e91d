//! `$SYS` topics: what the broker publishes of itself, under EMQX's names.
//!
//! [`heartbeat`] is what is published now and then: by a thread beside the shards, through a request to one of them,
//! which routes it like any message. [`events`] is what is published when a client comes or goes: by the client's own
//! shard, and only if somebody listens.
//!
//! Absent: alarms, and warnings about the run time, which are in `control`.

mod events;
mod heartbeat;

pub(crate) use events::{Events, Told, reason_name};
pub(crate) use heartbeat::start;

use std::time::Duration;

/// `sys_topics`: what is published, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SysTopics {
    /// `sys_msg_interval`: between two publications of facts and counters; `None` is never.
    pub(crate) msg_interval: Option<Duration>,
    /// `sys_heartbeat_interval`: between two signs of life; `None` is never.
    pub(crate) heartbeat_interval: Option<Duration>,
    /// `sys_event_messages`.
    pub(crate) told: Told,
}

impl Default for SysTopics {
    fn default() -> Self {
        Self {
            msg_interval: Some(Duration::from_secs(60)),
            heartbeat_interval: Some(Duration::from_secs(30)),
            told: Told::default(),
        }
    }
}

/// What `node.name` is unless it is set, as in EMQX.
pub(crate) const DEFAULT_NODE_NAME: &str = "emqx@127.0.0.1";

/// Why a text cannot be `node.name`, as the end of a sentence; it is a level of topics.
///
/// # Errors
/// It has not two parts around one `@`, or has in it what no level of a topic can.
pub(crate) fn check_node_name(name: &str) -> Result<(), &'static str> {
    let parts = name.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    if parts.is_none_or(|(_, host)| host.contains('@')) {
        return Err("is not of the form name@host");
    }
    if name.chars().any(|c| matches!(c, '/' | '+' | '#') || c.is_whitespace() || c.is_control()) {
        return Err("has a character in it that a level of a topic cannot have");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_s_name_is_a_level_of_a_topic() {
        assert_eq!(check_node_name(DEFAULT_NODE_NAME), Ok(()));
        for wrong in ["", "emqx", "@host", "emqx@", "a@b@c", "a/b@c", "a@+", "a b@c", "a@\u{0}"] {
            assert!(check_node_name(wrong).is_err(), "{wrong:?}");
        }
    }
}

//! Mountpoints (`listeners.tcp.<name>.mountpoint`): what stands before the topics of clients who know nothing of it.
//!
//! For everybody else the topic that such a client publishes to begins with its mountpoint, and so do its filters. What
//! it is sent has none. Prefixes that are no part of a topic stay in front: `$share/<group>/`, `$queue/`, `$exclusive/`,
//! `$delayed/<seconds>/`. The name of a message queue is no topic and stays as it is.
//!
//! Rules of rewriting come before a filter is given its mountpoint and after a topic name is, as in EMQX. Nothing here
//! runs for a client without a mountpoint.

use super::Shard;
use super::delayed::{DELAYED_PREFIX, undelayed};
use super::exclusive::EXCLUSIVE_PREFIX;
use super::queues::QUEUE_PREFIX;
use crate::settings::Settings;
use crate::topics::filter::{self, TOPIC_BYTES_MAX};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use ringmq_wire::{Connect, ReasonCode};

/// What the mountpoint of its listener makes of a CONNECT.
#[derive(Debug, Default)]
pub(super) struct Mounting {
    /// The client's own.
    pub(super) mountpoint: Option<Box<str>>,
    /// The topic of its will.
    pub(super) will_topic: Option<String>,
}

impl Shard {
    /// The mountpoint of a client that connects. One whose names cannot be in a topic is refused.
    pub(super) fn mounting_of(
        &self,
        settings: &Settings,
        client_id: &str,
        connect: &Connect<'_>,
    ) -> Result<Mounting, ReasonCode> {
        let Some(mountpoint) = &settings.mountpoint else { return Ok(Mounting::default()) };
        let mountpoint = mountpoint.for_client(client_id, connect.username).map_err(|_| ReasonCode::NOT_AUTHORIZED)?;
        let mut will_topic = None;
        if let Some(will) = &connect.will {
            let mut topic = will.topic.to_string();
            self.put_before(&mountpoint, &mut topic, settings)?;
            will_topic = Some(topic);
        }
        Ok(Mounting { mountpoint: Some(mountpoint), will_topic })
    }

    /// Makes of a topic that a client has written the one that it has for everybody else.
    pub(super) fn mount(&self, session: u32, topic: &mut String) -> Result<(), ReasonCode> {
        let held = self.hub.sessions.get(session).expect("live session");
        let mountpoint = held.extra.as_ref().and_then(|extra| extra.mountpoint.as_deref());
        let Some(mountpoint) = mountpoint else { return Ok(()) };
        self.put_before(mountpoint, topic, self.hub.profiles.of(held.listener))
    }

    /// Levels and bytes of the mountpoint count as the client's own.
    fn put_before(&self, mountpoint: &str, topic: &mut String, settings: &Settings) -> Result<(), ReasonCode> {
        let delays = self.hub.settings.delayed_enable && topic.starts_with(DELAYED_PREFIX);
        let at = match undelayed(topic).filter(|_| delays) {
            Some(bare) => topic.len() - bare.len(),
            // It is dropped for its number.
            None if delays => return Ok(()),
            None => 0,
        };
        topic.insert_str(at, mountpoint);
        let levels = filter::topic_levels(topic);
        if topic.len() > TOPIC_BYTES_MAX || levels > usize::from(settings.max_topic_levels) {
            return Err(ReasonCode::TOPIC_NAME_INVALID);
        }
        Ok(())
    }

    /// True if [`Shard::meant_filter`] may give another filter than the one that this client writes.
    pub(super) fn changes_filters(&self, session: u32) -> bool {
        self.rewriter.is_some() || self.hub.sessions.get(session).is_some_and(|held| held.flags.mounted)
    }

    /// The filter that is meant by one that a client has written: rewritten, then behind its mountpoint.
    pub(super) fn meant_filter(&self, session: u32, raw: &str) -> String {
        match self.rewriter {
            Some(_) => self.mounted_filter(session, &self.rewritten_filter(session, raw)),
            None => self.mounted_filter(session, raw),
        }
    }

    /// A filter behind the client's mountpoint. One that is wrong stays as it is, and is refused as it is.
    pub(super) fn mounted_filter(&self, session: u32, raw: &str) -> String {
        let held = self.hub.sessions.get(session).expect("live session");
        let mountpoint = held.extra.as_ref().and_then(|extra| extra.mountpoint.as_deref());
        let Some((mountpoint, real)) = mountpoint.zip(real_filter(raw)) else { return raw.to_string() };
        let prefix = &raw[..raw.len() - real.len()];
        format!("{prefix}{mountpoint}{real}")
    }
}

/// What is left of a filter without the prefixes that are no part of it; `None` if nothing can be mounted.
fn real_filter(raw: &str) -> Option<&str> {
    if raw.starts_with(QUEUE_PREFIX) {
        return None;
    }
    let Some(topic) = raw.strip_prefix(EXCLUSIVE_PREFIX) else { return Some(filter::parse(raw).ok()?.filter) };
    // Prefixes do not go together. With a mountpoint between them it would not be seen any more.
    let plain = filter::parse(topic).is_ok_and(|parsed| parsed.share.is_none());
    (plain && !topic.starts_with(EXCLUSIVE_PREFIX)).then_some(topic)
}

/// A topic as the client with this mountpoint knows it. One that is not below it, which the client can have subscribed
/// to on another listener, stays as it is.
pub(super) fn unmounted<'a>(mountpoint: &str, topic: &'a str) -> &'a str {
    topic.strip_prefix(mountpoint).filter(|topic| !topic.is_empty()).unwrap_or(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_filters_are_told_from_what_is_mounted() {
        let cases = [
            ("a/#", Some("a/#")),
            ("$SYS/x", Some("$SYS/x")),
            ("$share/g/a/+", Some("a/+")),
            ("$queue/a", Some("a")),
            ("$exclusive/a", Some("a")),
            ("$q/jobs", None),
            ("$share/g", None),
            ("a#", None),
            ("$exclusive/$share/g/a", None),
            ("$exclusive/$queue/a", None),
            ("$exclusive/$exclusive/a", None),
            ("$exclusive/", None),
        ];
        for (raw, expected) in cases {
            assert_eq!(real_filter(raw), expected, "{raw}");
        }
    }

    #[test]
    fn a_topic_is_given_back_whole_if_it_is_not_below_the_mountpoint() {
        assert_eq!(unmounted("m/", "m/a"), "a");
        assert_eq!(unmounted("m/", "m"), "m");
        assert_eq!(unmounted("m/", "n/m/a"), "n/m/a");
        assert_eq!(unmounted("m", "m"), "m", "no topic is empty");
    }
}

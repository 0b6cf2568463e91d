//! What the keys of a message queue (`ringmq.queues.<name>`) may say, where that is more than a number or a choice.

use ringmq_core::settings::{QUEUES_MAX, QueueKey, QueueSettings};
use ringmq_core::topics::filter;
use std::collections::BTreeMap;

/// Longest name of a queue, bytes.
const NAME_BYTES_MAX: usize = 64;

/// How a key that is a user property begins.
const USER_PROPERTY: &str = "user_property:";

/// The filter of the queue with this name. Empty is not declared.
///
/// # Errors
/// The name cannot be that of a queue, the text is no filter or a shared one, or there are queues enough.
pub(super) fn set_topic_filter(
    queues: &mut BTreeMap<Box<str>, QueueSettings>,
    name: &str,
    text: &str,
) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        return Err(format!("is for a queue whose name is not 1 to {NAME_BYTES_MAX} letters, digits, `_` and `-`"));
    }
    if !text.is_empty() {
        let parsed = filter::parse(text).map_err(|error| format!("is no topic filter: {error}"))?;
        if parsed.share.is_some() {
            return Err("is a shared subscription: give its filter alone".to_owned());
        }
        let others = queues.iter().filter(|(other, queue)| ***other != *name && !queue.topic_filter.is_empty());
        if others.count() >= QUEUES_MAX {
            return Err(format!("is for one more than {QUEUES_MAX} queues"));
        }
    }
    change(queues, name, |queue| queue.topic_filter = text.into());
    Ok(())
}

/// Changes a queue. One of which nothing is said is not kept.
pub(super) fn change(
    queues: &mut BTreeMap<Box<str>, QueueSettings>,
    name: &str,
    change: impl FnOnce(&mut QueueSettings),
) {
    let mut queue = queues.remove(name).unwrap_or_default();
    change(&mut queue);
    if queue != QueueSettings::default() {
        queues.insert(name.into(), queue);
    }
}

/// What messages are told apart by.
///
/// # Errors
/// The text is neither `topic` nor a user property with a name.
pub(super) fn key(text: &str) -> Result<QueueKey, String> {
    match text.strip_prefix(USER_PROPERTY) {
        Some(name) if !name.is_empty() => Ok(QueueKey::UserProperty(name.into())),
        None if text == "topic" => Ok(QueueKey::Topic),
        _ => Err("is neither topic nor user_property:NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_a_plain_name_and_a_filter_that_is_not_shared() {
        let mut queues = BTreeMap::new();
        for wrong in ["", "a/b", "a.b", "+", "ü", &"x".repeat(65)] {
            assert!(set_topic_filter(&mut queues, wrong, "t").is_err(), "{wrong}");
        }
        assert!(queues.is_empty(), "what is refused leaves nothing");
        for wrong in ["a/#/b", "$share/g/t", "$queue/t"] {
            assert!(set_topic_filter(&mut queues, "jobs", wrong).is_err(), "{wrong}");
        }
        set_topic_filter(&mut queues, "jobs", "jobs/#").expect("right");
        set_topic_filter(&mut queues, "jobs", "").expect("right");
        assert!(queues.is_empty(), "nothing is said of it");
    }

    #[test]
    fn there_are_only_so_many() {
        let mut queues = BTreeMap::new();
        for number in 0..QUEUES_MAX {
            set_topic_filter(&mut queues, &format!("q{number}"), "t").expect("one more");
        }
        assert!(set_topic_filter(&mut queues, "more", "t").is_err_and(|why| why.contains("100 queues")));
        set_topic_filter(&mut queues, "q7", "other").expect("a change");
        set_topic_filter(&mut queues, "q7", "").expect("one less");
        set_topic_filter(&mut queues, "more", "t").expect("one more");
    }

    #[test]
    fn keys_are_topics_or_user_properties() {
        assert_eq!(key("topic"), Ok(QueueKey::Topic));
        assert_eq!(key("user_property:device id"), Ok(QueueKey::UserProperty("device id".into())));
        for wrong in ["", "Topic", "user_property", "user_property:", "payload"] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}

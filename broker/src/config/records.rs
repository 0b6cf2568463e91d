//! Lists of records, such as `rewrite` and `auto_subscribe.topics`: what a record may hold, and what it means.

use crate::rewrite::{Applies, Rule};
use ringmq_core::settings::{AutoSubscription, QueueFullPolicy, TopicPolicy};
use ringmq_core::topics::filter;

/// Most records of a list.
pub(crate) const RECORDS_MAX: usize = 30;

/// The fields of one record that were given, by name.
pub(crate) struct Record<'a>(pub(crate) Vec<(&'static str, &'a str)>);

/// What is wrong with a record: the field, if it is one, and why, as the end of a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: Option<&'static str>,
    pub(crate) why: String,
}

impl Wrong {
    fn in_field(field: &'static str, why: impl Into<String>) -> Self {
        Self { field: Some(field), why: why.into() }
    }
}

impl Record<'_> {
    fn get(&self, field: &'static str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, value)| *value)
    }

    fn required(&self, field: &'static str) -> Result<&str, Wrong> {
        self.get(field).ok_or_else(|| Wrong { field: None, why: format!("has no {field}") })
    }

    /// A number from 0 to `max`; 0 if there is none.
    fn number(&self, field: &'static str, max: u8) -> Result<u8, Wrong> {
        let Some(text) = self.get(field) else { return Ok(0) };
        let number = text.parse().ok().filter(|number| *number <= max);
        number.ok_or_else(|| Wrong::in_field(field, format!("is not a number from 0 to {max}")))
    }
}

fn topic_filter(field: &'static str, text: &str) -> Result<(), Wrong> {
    filter::parse(text).map(drop).map_err(|error| Wrong::in_field(field, format!("is no topic filter: {error}")))
}

/// The fields of a record of `topic_metrics`.
pub(crate) const COUNTED_TOPIC: &[&str] = &["topic"];

/// One of `topic_metrics`, of which there are others already.
///
/// # Errors
/// What is no topic's name, or is among the others.
pub(crate) fn counted_topic(record: &Record<'_>, others: &[String]) -> Result<String, Wrong> {
    let topic = record.required("topic")?;
    if topic.is_empty() || filter::has_wildcard(topic) || filter::parse(topic).is_err() {
        return Err(Wrong::in_field("topic", format!("`{}` is no topic", topic.escape_debug())));
    }
    if others.iter().any(|other| other == topic) {
        return Err(Wrong::in_field("topic", format!("`{}` stands there twice", topic.escape_debug())));
    }
    Ok(topic.to_owned())
}

/// The fields of a record of `auto_subscribe.topics`.
pub(crate) const AUTO_SUBSCRIPTION: &[&str] = &["topic", "qos", "rh", "rap", "nl"];

/// What clients may stand for in a topic of `auto_subscribe.topics`.
const PLACEHOLDERS: [&str; 4] = ["clientid", "username", "host", "port"];

/// One of `auto_subscribe.topics`.
///
/// # Errors
/// A topic that is no filter or has an unknown placeholder, a number out of range.
pub(crate) fn auto_subscription(record: &Record<'_>) -> Result<AutoSubscription, Wrong> {
    let topic = record.required("topic")?;
    topic_filter("topic", topic)?;
    for part in topic.split("${").skip(1) {
        let name = part.split_once('}').map(|(name, _)| name);
        if !name.is_some_and(|name| PLACEHOLDERS.contains(&name)) {
            return Err(Wrong::in_field(
                "topic",
                "has a placeholder other than ${clientid}, ${username}, ${host}, ${port}",
            ));
        }
    }
    let no_local = record.number("nl", 1)? == 1;
    if no_local && filter::parse(topic).is_ok_and(|parsed| parsed.share.is_some()) {
        return Err(Wrong::in_field("nl", "cannot be 1 for a shared subscription"));
    }
    Ok(AutoSubscription {
        topic: topic.into(),
        qos: record.number("qos", 2)?,
        retain_handling: record.number("rh", 2)?,
        retain_as_published: record.number("rap", 1)? == 1,
        no_local,
    })
}

/// The policies for full queues, by their names.
pub(crate) const QUEUE_FULL_POLICY_NAMES: [&str; 4] = ["drop_oldest", "drop_newest", "disconnect", "back_pressure"];

/// These policies, in the same order.
pub(crate) const QUEUE_FULL_POLICIES: [QueueFullPolicy; 4] = [
    QueueFullPolicy::DropOldest,
    QueueFullPolicy::DropNewest,
    QueueFullPolicy::Disconnect,
    QueueFullPolicy::BackPressure,
];

/// The fields of a record of `ringmq.queue_full_policies`.
pub(crate) const TOPIC_POLICY: &[&str] = &["topic", "policy"];

/// One of `ringmq.queue_full_policies`.
///
/// # Errors
/// A topic that is no filter or a shared one, a policy that is none.
pub(crate) fn topic_policy(record: &Record<'_>) -> Result<TopicPolicy, Wrong> {
    let topic = record.required("topic")?;
    topic_filter("topic", topic)?;
    if filter::parse(topic).is_ok_and(|parsed| parsed.share.is_some()) {
        return Err(Wrong::in_field("topic", "is a shared subscription: give its filter alone"));
    }
    let policy = record.required("policy")?;
    let index = QUEUE_FULL_POLICY_NAMES.iter().position(|name| *name == policy);
    let why = || format!("is none of {}", QUEUE_FULL_POLICY_NAMES.join(", "));
    let policy = QUEUE_FULL_POLICIES[index.ok_or_else(|| Wrong::in_field("policy", why()))?];
    Ok(TopicPolicy { topic: topic.into(), policy })
}

/// The fields of a record of `rewrite`.
pub(crate) const REWRITE: &[&str] = &["action", "source_topic", "re", "dest_topic"];

/// One of `rewrite`.
///
/// # Errors
/// An action that is none, a source that is no filter, an expression that does not compile, a destination with
/// wildcards for messages.
pub(crate) fn rewrite_rule(record: &Record<'_>) -> Result<Rule, Wrong> {
    let applies = match record.required("action")? {
        "publish" => Applies::Publish,
        "subscribe" => Applies::Subscribe,
        "all" => Applies::All,
        _ => return Err(Wrong::in_field("action", "is none of publish, subscribe, all")),
    };
    let source = record.required("source_topic")?;
    topic_filter("source_topic", source)?;
    let destination = record.required("dest_topic")?;
    topic_filter("dest_topic", destination)?;
    if applies != Applies::Subscribe && filter::has_wildcard(destination) {
        return Err(Wrong::in_field("dest_topic", "has a wildcard, which the topic of a message cannot have"));
    }
    Rule::new(applies, source, record.required("re")?, destination).map_err(|why| Wrong::in_field("re", why))
}

//! Scenario files: what a TOML file may say, and what is wrong with one, by file and line.
//!
//! A file names groups of publishers and subscribers, what is published and how fast; [`plan`](crate::plan) turns it
//! into a run. Every key is optional unless said otherwise, and an unknown key is an error. Absent: the scenarios that
//! come with the generator, see [`presets`].

pub mod presets;

use crate::cli::{Credit, duration, group, size};
use crate::disturbance::{Disturb, Disturbance};
use crate::scenario::{PublisherGroup, SubscriberGroup, check_filter, check_topic};
use crate::schedule::RATE_MAX;
use ringmq_wire::{QoS, Version};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// Largest scenario file read, bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most clients of one group.
const GROUP_CLIENTS_MAX: u32 = 100_000_000;

/// Messages a publisher may have in flight: as many as there are packet identifiers [MQTT-2.2.1-2].
const WINDOW_MAX: u32 = 65_535;

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What it is for, in a few words. Required.
    pub description: String,
    /// Protocol version: `"3.1"`, `"3.1.1"` (if absent) or `"5.0"`.
    #[serde(default, deserialize_with = "version")]
    pub mqtt: Option<Version>,
    /// Keep-alive, seconds.
    pub keep_alive_s: Option<u16>,
    /// Clean Session or Clean Start.
    pub clean_start: Option<bool>,
    /// Session Expiry Interval, seconds; MQTT 5.0 only.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum announced to the broker; MQTT 5.0 only.
    #[serde(default, deserialize_with = "receive_maximum")]
    pub receive_maximum: Option<u16>,
    /// Connections opened a second, over all clients.
    #[serde(default, deserialize_with = "connect_rate")]
    pub connect_rate: Option<u64>,
    /// How long to measure: `"30m"`. Required.
    #[serde(deserialize_with = "time")]
    pub duration: Duration,
    /// How long to send before measuring.
    #[serde(default = "warmup_default", deserialize_with = "time")]
    pub warmup: Duration,
    /// After the last message, how long without any delivery until the rest counts as lost.
    #[serde(default = "drain_default", deserialize_with = "time")]
    pub drain: Duration,
    /// What is published; required if there are publishers.
    pub messages: Option<Messages>,
    /// Groups of publishers.
    #[serde(default)]
    pub publishers: Vec<Publishers>,
    /// Groups of subscribers.
    #[serde(default)]
    pub subscribers: Vec<Subscribers>,
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// QoS of the messages.
    #[serde(default, deserialize_with = "qos")]
    pub qos: QoS,
    /// Payload, bytes.
    #[serde(default = "size_default", deserialize_with = "payload_size")]
    pub size: usize,
    /// Open loop: messages a second of each publisher.
    #[serde(default, deserialize_with = "rate")]
    pub rate_per_publisher: Option<f64>,
    /// Open loop: messages that every publisher sends at once, all publishers together; 1 spreads them evenly.
    #[serde(default = "one", deserialize_with = "count")]
    pub burst: u32,
    /// Closed loop: messages in flight per publisher.
    #[serde(default, deserialize_with = "window")]
    pub window: Option<u32>,
    /// Closed loop: what ends a message's time in the window: `"ack"`, `"delivery"` or `"both"`.
    #[serde(default, deserialize_with = "credit")]
    pub credit: Option<Credit>,
    /// RETAIN.
    #[serde(default)]
    pub retain: bool,
}

/// A group of publishers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishers {
    /// How many. Required.
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// Whether `--scale` changes the count; true if absent.
    #[serde(default = "yes")]
    pub scaled: bool,
    /// Template of the topic. Required.
    #[serde(deserialize_with = "topic")]
    pub topic: String,
    /// How many values `%t` takes.
    #[serde(default = "one", deserialize_with = "count")]
    pub topics: u32,
    /// Each sends one retained message before anybody subscribes, and no other.
    #[serde(default)]
    pub retained: bool,
}

/// A group of subscribers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribers {
    /// How many. Required.
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// Whether `--scale` changes the count; true if absent.
    #[serde(default = "yes")]
    pub scaled: bool,
    /// Templates of the filters; none just holds connections.
    #[serde(default, deserialize_with = "filters")]
    pub filters: Vec<String>,
    /// How many values `%t` takes.
    #[serde(default = "one", deserialize_with = "count")]
    pub topics: u32,
    /// QoS of the subscriptions, if not that of the messages.
    #[serde(default, deserialize_with = "some_qos")]
    pub qos: Option<QoS>,
    /// What happens to them during the run.
    pub disturb: Option<Disturb>,
    /// Group name of the shared subscription that they are members of.
    #[serde(default, deserialize_with = "share")]
    pub share: Option<String>,
}

impl Definition {
    /// Reads a scenario file; `origin` is its name for messages.
    ///
    /// # Errors
    /// A text for the user, with file, line and column where there is one.
    pub fn read(origin: &str, text: &str) -> Result<Self, String> {
        let definition: Self = toml::from_str(text).map_err(|problem| {
            let place = problem.span().map_or_else(String::new, |span| place(text, span.start));
            format!("{origin}{place}: {}", problem.message())
        })?;
        definition.check().map_err(|problem| format!("{origin}: {problem}"))?;
        Ok(definition)
    }

    /// What keys mean together.
    fn check(&self) -> Result<(), String> {
        if self.publishers.is_empty() && self.subscribers.is_empty() {
            return Err("neither [[publishers]] nor [[subscribers]]".into());
        }
        match &self.messages {
            None if !self.publishers.is_empty() => return Err("[[publishers]] without [messages]".into()),
            Some(_) if self.publishers.is_empty() => return Err("[messages] without [[publishers]]".into()),
            Some(Messages { rate_per_publisher: Some(_), window: Some(_), .. }) => {
                return Err("[messages]: rate_per_publisher and window exclude each other".into());
            }
            Some(Messages { burst: 2.., rate_per_publisher: None, .. }) => {
                return Err("[messages]: burst belongs to a rate_per_publisher".into());
            }
            Some(Messages { credit: Some(_), window: None, .. }) => {
                return Err("[messages]: credit belongs to a window".into());
            }
            _ => {}
        }
        for disturb in self.subscribers.iter().filter_map(|group| group.disturb.as_ref()) {
            disturb.check().map_err(|problem| format!("[[subscribers]]: {problem}"))?;
        }
        let mut subscribing = self.subscribers.iter().filter(|group| !group.filters.is_empty());
        if let Some(first) = subscribing.next()
            && let Some(other) = subscribing.find(|other| (&other.share, other.qos) != (&first.share, first.qos))
        {
            let of = |group: &Subscribers| group.share.clone().unwrap_or_else(|| "none".into());
            return Err(format!(
                "[[subscribers]]: all that have filters must have the same share and qos (here are {} and {})",
                of(first),
                of(other)
            ));
        }
        Ok(())
    }

    /// Publishers of retained messages, `scale` times as many.
    #[must_use]
    pub fn retained(&self, scale: f64) -> u32 {
        let counts = self.publishers.iter().filter(|group| group.retained);
        counts.map(|group| scaled(group.count, group.scaled, scale)).fold(0, u32::saturating_add)
    }

    /// Groups of publishers, `scale` times as many, at least one each; those of retained messages come last.
    #[must_use]
    pub fn publisher_groups(&self, scale: f64) -> Vec<PublisherGroup> {
        let group = |group: &Publishers| PublisherGroup {
            count: scaled(group.count, group.scaled, scale),
            topic: group.topic.clone(),
            topics: group.topics,
        };
        let (last, first): (Vec<_>, Vec<_>) = self.publishers.iter().partition(|group| group.retained);
        first.into_iter().chain(last).map(group).collect()
    }

    /// Groups of subscribers, `scale` times as many, at least one each.
    #[must_use]
    pub fn subscriber_groups(&self, scale: f64) -> Vec<SubscriberGroup> {
        let group = |group: &Subscribers| SubscriberGroup {
            count: scaled(group.count, group.scaled, scale),
            filters: group.filters.clone(),
            topics: group.topics,
        };
        self.subscribers.iter().map(group).collect()
    }

    /// What happens to these groups, which are those of [`Definition::subscriber_groups`].
    #[must_use]
    pub fn disturbances(&self, groups: &[SubscriberGroup]) -> Vec<Disturbance> {
        let mut first = 0;
        let mut found = Vec::new();
        for (defined, group) in self.subscribers.iter().zip(groups) {
            if let Some(disturb) = &defined.disturb {
                found.push(Disturbance { disturb: disturb.clone(), first, group: group.count });
            }
            first += group.count;
        }
        found
    }

    /// The group whose filters are subscribed to, if any is: share and QoS are the same in all of them.
    #[must_use]
    pub fn subscribing(&self) -> Option<&Subscribers> {
        self.subscribers.iter().find(|group| !group.filters.is_empty())
    }
}

fn scaled(count: u32, is_scaled: bool, scale: f64) -> u32 {
    // A float that is too large becomes the largest integer, which the plan refuses as too many clients.
    if is_scaled { ((f64::from(count) * scale).round() as u32).max(1) } else { count }
}

/// `:line:column` of a byte.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!(":{line}:{column}")
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

const fn size_default() -> usize {
    64
}

const fn warmup_default() -> Duration {
    Duration::from_secs(2)
}

const fn drain_default() -> Duration {
    Duration::from_secs(2)
}

fn version<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Version>, D::Error> {
    match String::deserialize(value)?.as_str() {
        "3.1" => Ok(Some(Version::V31)),
        "3.1.1" => Ok(Some(Version::V311)),
        "5.0" => Ok(Some(Version::V5)),
        other => Err(D::Error::custom(format!("`{other}` is none of \"3.1\", \"3.1.1\", \"5.0\""))),
    }
}

pub(crate) fn time<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(value)?).map_err(D::Error::custom)
}

fn qos<'de, D: Deserializer<'de>>(value: D) -> Result<QoS, D::Error> {
    let number = u8::deserialize(value)?;
    QoS::from_bits(number).ok_or_else(|| D::Error::custom("a QoS is 0, 1 or 2"))
}

fn some_qos<'de, D: Deserializer<'de>>(value: D) -> Result<Option<QoS>, D::Error> {
    qos(value).map(Some)
}

fn payload_size<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    size(&u64::deserialize(value)?.to_string()).map_err(D::Error::custom)
}

fn rate<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let rate = f64::deserialize(value)?;
    if rate > 0.0 && rate <= RATE_MAX as f64 {
        return Ok(Some(rate));
    }
    Err(D::Error::custom(format!("a rate is above 0 and at most {RATE_MAX} messages a second")))
}

fn within<'de, D: Deserializer<'de>>(value: D, most: u64) -> Result<u64, D::Error> {
    let number = u64::deserialize(value)?;
    if (1..=most).contains(&number) { Ok(number) } else { Err(D::Error::custom(format!("must be 1 to {most}"))) }
}

fn window<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    within(value, u64::from(WINDOW_MAX)).map(|number| Some(number as u32))
}

fn receive_maximum<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u16>, D::Error> {
    within(value, u64::from(u16::MAX)).map(|number| Some(number as u16))
}

fn connect_rate<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    within(value, RATE_MAX).map(Some)
}

fn count<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    within(value, u64::from(GROUP_CLIENTS_MAX)).map(|number| number as u32)
}

fn credit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Credit>, D::Error> {
    match String::deserialize(value)?.as_str() {
        "ack" => Ok(Some(Credit::Ack)),
        "delivery" => Ok(Some(Credit::Delivery)),
        "both" => Ok(Some(Credit::Both)),
        other => Err(D::Error::custom(format!("`{other}` is none of \"ack\", \"delivery\", \"both\""))),
    }
}

fn topic<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let topic = String::deserialize(value)?;
    check_topic(&topic).map_err(D::Error::custom)?;
    Ok(topic)
}

fn filters<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let filters = Vec::<String>::deserialize(value)?;
    filters.iter().try_for_each(|filter| check_filter(filter)).map_err(D::Error::custom)?;
    Ok(filters)
}

fn share<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    group(&String::deserialize(value)?).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"description = "a pair"
duration = "1s"

[messages]
qos = 1
rate_per_publisher = 2

[[publishers]]
count = 10
topic = "a/%i"

[[subscribers]]
count = 10
filters = ["a/%i"]
"#;

    #[test]
    fn a_file_is_read_with_its_defaults() {
        let definition = Definition::read("x.toml", GOOD).unwrap();
        let messages = definition.messages.as_ref().unwrap();
        assert_eq!((messages.qos, messages.size, messages.rate_per_publisher), (QoS::AtLeastOnce, 64, Some(2.0)));
        assert_eq!((definition.duration, definition.warmup), (Duration::from_secs(1), Duration::from_secs(2)));
        assert_eq!((definition.mqtt, definition.keep_alive_s), (None, None));
    }

    #[test]
    fn scale_changes_counts_and_leaves_at_least_one() {
        let definition = Definition::read("x.toml", GOOD).unwrap();
        let counts =
            |scale| (definition.publisher_groups(scale)[0].count, definition.subscriber_groups(scale)[0].count);
        assert_eq!((counts(0.25), counts(3.0), counts(0.0001)), ((3, 3), (30, 30), (1, 1)));
        let fixed = GOOD.replace("topic = \"a/%i\"", "topic = \"a/%i\"\nscaled = false");
        assert_eq!(Definition::read("x.toml", &fixed).unwrap().publisher_groups(0.1)[0].count, 10);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (from, to, place, word) in [
            ("qos = 1", "quos = 1", "x.toml:5:1:", "quos"),
            ("qos = 1", "qos = 3", "x.toml:5:", "0, 1 or 2"),
            ("count = 10\ntopic", "count = 0\ntopic", "x.toml:9:", "must be 1 to"),
            ("topic = \"a/%i\"", "topic = \"a/#\"", "x.toml:10:", "wildcards"),
            ("filters = [\"a/%i\"]", "filters = [\"a/%x\"]", "x.toml:14:", "after %"),
            ("duration = \"1s\"", "duration = \"1x\"", "x.toml:2:", "unknown unit"),
            ("duration = \"1s\"", "duration = ", "x.toml:2:", ""),
            ("rate_per_publisher = 2", "rate_per_publisher = -1", "x.toml:6:", "a rate is"),
            ("rate_per_publisher = 2", "size = 15", "x.toml:6:", "must be 16"),
            ("rate_per_publisher = 2", "rate_per_publisher = 2\nwindow = 3", "x.toml: ", "exclude each other"),
            ("rate_per_publisher = 2", "credit = \"ack\"", "x.toml: ", "belongs to a window"),
            ("rate_per_publisher = 2", "burst = 2", "x.toml: ", "belongs to a rate"),
            ("[[subscribers]]", "[[publishers]]\ncount = 1\n\n[[subscribers]]", "x.toml:12:", "topic"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let problem = Definition::read("x.toml", &text).unwrap_err();
            assert!(problem.starts_with(place) && problem.contains(word), "{to}: {problem}");
        }
    }

    #[test]
    fn subscribers_of_two_kinds_cannot_be_checked_together() {
        let text = format!("{GOOD}\n[[subscribers]]\ncount = 1\nfilters = [\"b\"]\nshare = \"g\"\n");
        assert!(Definition::read("x.toml", &text).unwrap_err().contains("same share and qos"));
        let idle = format!("{GOOD}\n[[subscribers]]\ncount = 1\n");
        assert!(Definition::read("x.toml", &idle).is_ok());
    }
}

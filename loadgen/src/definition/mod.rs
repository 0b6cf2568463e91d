//! Scenario files: what a TOML file may say, and what is wrong with one, by file and line.
//!
//! A file names groups of publishers and subscribers, what is published and how fast; [`plan`](crate::plan) turns it
//! into a run. Every key is optional unless said otherwise, and an unknown key is an error. Absent: the scenarios that
//! come with the generator, see [`presets`].

pub mod presets;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use values::time;

use crate::cli::Credit;
use crate::disturbance::{Disturb, Disturbance};
use crate::payload::{Headers, Sizes};
use crate::scenario::{PublisherGroup, SubscriberGroup};
use ringmq_wire::{QoS, Version};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Largest scenario file read, bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What it is for, in a few words. Required.
    pub description: String,
    /// Protocol version: `"3.1"`, `"3.1.1"` (if absent) or `"5.0"`.
    #[serde(default, deserialize_with = "values::version")]
    pub mqtt: Option<Version>,
    /// Keep-alive, seconds.
    pub keep_alive_s: Option<u16>,
    /// Clean Session or Clean Start.
    pub clean_start: Option<bool>,
    /// Session Expiry Interval, seconds; MQTT 5.0 only.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum announced to the broker; MQTT 5.0 only.
    #[serde(default, deserialize_with = "values::receive_maximum")]
    pub receive_maximum: Option<u16>,
    /// Connections opened a second, over all clients.
    #[serde(default, deserialize_with = "values::connect_rate")]
    pub connect_rate: Option<u64>,
    /// How long the load grows in a straight line before the warm-up; without messages, the rate of connections.
    #[serde(default, deserialize_with = "values::some_time")]
    pub ramp_up: Option<Duration>,
    /// How long to wait between the last SUBACK and the first message.
    #[serde(default, deserialize_with = "values::time")]
    pub wait_before_publishing: Duration,
    /// Where each client's experience is written to, relative to the working directory.
    pub qoe_log: Option<PathBuf>,
    /// The will of every client.
    pub will: Option<Will>,
    /// How long to measure: `"30m"`. Required.
    #[serde(deserialize_with = "values::time")]
    pub duration: Duration,
    /// How long to send before measuring; 2 s if absent, or not at all with a limit.
    #[serde(default, deserialize_with = "values::some_time")]
    pub warmup: Option<Duration>,
    /// After the last message, how long without any delivery until the rest counts as lost.
    #[serde(default = "values::drain_default", deserialize_with = "values::time")]
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
    #[serde(default, deserialize_with = "values::qos")]
    pub qos: QoS,
    /// Payload, bytes, headers included: a number, `"16..1024"`, or `"16:90,1024:9"`; 64 if absent.
    #[serde(default, deserialize_with = "values::payload_size")]
    pub size: Option<Sizes>,
    /// File whose bytes are the payload, beside the scenario file.
    pub payload_file: Option<PathBuf>,
    /// Text of the payload, with placeholders.
    pub payload_template: Option<String>,
    /// Headers ahead of the payload: `"stamp"`, `"cnt64,ts"`, `"none"`.
    #[serde(default, deserialize_with = "values::payload_headers")]
    pub payload_headers: Option<Headers>,
    /// Open loop: messages a second of each publisher.
    #[serde(default, deserialize_with = "values::rate")]
    pub rate_per_publisher: Option<f64>,
    /// Open loop: messages that every publisher sends at once, all publishers together; 1 spreads them evenly.
    #[serde(default = "values::one", deserialize_with = "values::count")]
    pub burst: u32,
    /// Messages of each publisher, those of the warm-up included; the run ends with the last, or with its duration.
    #[serde(default, deserialize_with = "values::limit")]
    pub limit: Option<u64>,
    /// Closed loop: messages in flight per publisher.
    #[serde(default, deserialize_with = "values::window")]
    pub window: Option<u32>,
    /// Closed loop: what ends a message's time in the window: `"ack"`, `"delivery"` or `"both"`.
    #[serde(default, deserialize_with = "values::credit")]
    pub credit: Option<Credit>,
    /// RETAIN.
    #[serde(default)]
    pub retain: bool,
}

/// The will of every client.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Will {
    /// Template of its topic. Required.
    #[serde(deserialize_with = "values::topic")]
    pub topic: String,
    /// Its payload.
    #[serde(default)]
    pub payload: String,
    /// Its QoS.
    #[serde(default, deserialize_with = "values::qos")]
    pub qos: QoS,
    /// RETAIN.
    #[serde(default)]
    pub retain: bool,
}

/// A group of publishers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishers {
    /// How many. Required.
    #[serde(deserialize_with = "values::count")]
    pub count: u32,
    /// Whether `--scale` changes the count; true if absent.
    #[serde(default = "values::yes")]
    pub scaled: bool,
    /// Template of the topic. Required.
    #[serde(deserialize_with = "values::topic")]
    pub topic: String,
    /// How many values `%t` takes.
    #[serde(default = "values::one", deserialize_with = "values::count")]
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
    #[serde(deserialize_with = "values::count")]
    pub count: u32,
    /// Whether `--scale` changes the count; true if absent.
    #[serde(default = "values::yes")]
    pub scaled: bool,
    /// Templates of the filters; none just holds connections.
    #[serde(default, deserialize_with = "values::filters")]
    pub filters: Vec<String>,
    /// How many values `%t` takes.
    #[serde(default = "values::one", deserialize_with = "values::count")]
    pub topics: u32,
    /// QoS of the subscriptions, if not that of the messages.
    #[serde(default, deserialize_with = "values::some_qos")]
    pub qos: Option<QoS>,
    /// What happens to them during the run.
    pub disturb: Option<Disturb>,
    /// Group name of the shared subscription that they are members of.
    #[serde(default, deserialize_with = "values::share")]
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
            Some(Messages { payload_file: Some(_), payload_template: Some(_), .. }) => {
                return Err("[messages]: payload_file and payload_template exclude each other".into());
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

//! Topics whose messages are counted (EMQX's topic metrics): which they are, since when, and how fast they are.
//!
//! Shards count; here are the sums of what they count and, from two looks at these, rates.

use crate::wall_clock;
use ringmq_core::control::TopicCounts;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the sums are looked at.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// A topic that is counted.
#[derive(Debug, Clone)]
struct Entry {
    /// Seconds since 1970.
    created_s: u64,
    /// The same; `None` if it was never reset.
    reset_s: Option<u64>,
    /// What the shards had counted when it was registered or reset: what is shown is the difference.
    base: TopicCounts,
    /// What they had counted at the last look, and when that was.
    seen: Option<(Instant, TopicCounts)>,
    /// Messages a second between the last two looks.
    rates: Rates,
}

/// As [`TopicCounts`].
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    received: [f64; 3],
    sent: [f64; 3],
    dropped: f64,
}

/// The topics that are counted.
#[derive(Debug, Default)]
pub(crate) struct Registry(BTreeMap<String, Entry>);

impl Registry {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a topic is counted.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    /// The topics, for the shards.
    pub(crate) fn topics(&self) -> Vec<Box<str>> {
        self.0.keys().map(|topic| Box::from(topic.as_str())).collect()
    }

    /// Counts these topics, and no others. What was counted of those that stay does too.
    pub(crate) fn follow(&mut self, topics: &[String]) {
        self.0.retain(|known, _| topics.contains(known));
        for topic in topics {
            self.0.entry(topic.clone()).or_insert_with(|| Entry {
                created_s: wall_clock::now_s(),
                reset_s: None,
                base: TopicCounts::default(),
                seen: None,
                rates: Rates::default(),
            });
        }
    }

    /// Begins to count anew, one topic or all of them. `sums` is what the shards have counted.
    pub(crate) fn reset(&mut self, topic: Option<&str>, sums: &BTreeMap<String, TopicCounts>) {
        for (name, entry) in &mut self.0 {
            if topic.is_none_or(|topic| topic == name) {
                entry.base = sums.get(name).copied().unwrap_or_default();
                entry.reset_s = Some(wall_clock::now_s());
            }
        }
    }

    /// Takes note of what the shards have counted by now.
    pub(crate) fn look(&mut self, sums: &BTreeMap<String, TopicCounts>, now: Instant) {
        for (topic, entry) in &mut self.0 {
            let Some(counts) = sums.get(topic) else { continue };
            if let Some((at, before)) = entry.seen {
                entry.rates = Rates::between(&before, counts, now.saturating_duration_since(at));
            }
            entry.seen = Some((now, *counts));
        }
    }

    /// The topics with what the shards have counted, under EMQX's names.
    pub(crate) fn rows(&self, sums: &BTreeMap<String, TopicCounts>) -> Vec<Value> {
        let row = |(topic, entry): (&String, &Entry)| {
            let counts = sums.get(topic).copied().unwrap_or_default().since(&entry.base);
            let mut row = json!({
                "topic": topic,
                "create_time": wall_clock::rfc3339(entry.created_s),
                "metrics": metrics(&counts, &entry.rates),
            });
            if let Some(reset_s) = entry.reset_s {
                row["reset_time"] = json!(wall_clock::rfc3339(reset_s));
            }
            row
        };
        self.0.iter().map(row).collect()
    }
}

impl Rates {
    fn between(before: &TopicCounts, after: &TopicCounts, span: Duration) -> Self {
        let counts = after.since(before);
        // To a hundredth, which is more than two looks can tell.
        let rate = |count: u64| (count as f64 / span.as_secs_f64().max(f64::EPSILON) * 100.0).round() / 100.0;
        Self { received: counts.received.map(rate), sent: counts.sent.map(rate), dropped: rate(counts.dropped) }
    }
}

fn metrics(counts: &TopicCounts, rates: &Rates) -> Map<String, Value> {
    let mut metrics = Map::new();
    let mut put = |name: &str, count: u64, rate: f64| {
        metrics.insert(format!("messages.{name}.count"), json!(count));
        metrics.insert(format!("messages.{name}.rate"), json!(rate));
    };
    put("in", counts.received.iter().sum(), rates.received.iter().sum());
    put("out", counts.sent.iter().sum(), rates.sent.iter().sum());
    put("dropped", counts.dropped, rates.dropped);
    for qos in 0..3 {
        put(&format!("qos{qos}.in"), counts.received[qos], rates.received[qos]);
        put(&format!("qos{qos}.out"), counts.sent[qos], rates.sent[qos]);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(received: u64, sent: u64) -> BTreeMap<String, TopicCounts> {
        let counts = TopicCounts { received: [received, 1, 0], sent: [0, 0, sent], dropped: 2 };
        BTreeMap::from([("t".to_owned(), counts)])
    }

    #[test]
    fn rates_are_those_between_two_looks_and_a_reset_begins_anew() {
        let mut registry = Registry::default();
        registry.follow(&["t".to_owned()]);
        let start = Instant::now();
        registry.look(&sums(10, 0), start);
        registry.look(&sums(30, 5), start + Duration::from_secs(5));
        let row = registry.rows(&sums(31, 5)).remove(0);
        let metric = |row: &Value, name: &str| row["metrics"][name].as_f64().expect("a number");
        for (name, expected) in [
            ("messages.in.count", 32.0),
            ("messages.in.rate", 4.0),
            ("messages.qos0.in.rate", 4.0),
            ("messages.qos1.in.count", 1.0),
            ("messages.out.count", 5.0),
            ("messages.qos2.out.rate", 1.0),
            ("messages.dropped.count", 2.0),
            ("messages.dropped.rate", 0.0),
        ] {
            assert!((metric(&row, name) - expected).abs() < 1e-9, "{name} of {row}");
        }
        assert_eq!(row.get("reset_time"), None);
        registry.reset(Some("other"), &sums(31, 5));
        assert!(metric(&registry.rows(&sums(31, 5))[0], "messages.in.count") > 0.0);
        registry.reset(None, &sums(31, 5));
        let row = registry.rows(&sums(33, 5)).remove(0);
        assert_eq!((metric(&row, "messages.in.count"), metric(&row, "messages.out.count")), (2.0, 0.0));
        assert!(row["reset_time"].is_string());
    }

    #[test]
    fn what_stays_keeps_its_counts() {
        let mut registry = Registry::default();
        let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        registry.follow(&topics(&["t", "u"]));
        registry.reset(Some("t"), &sums(31, 5));
        registry.follow(&topics(&["v", "t"]));
        assert_eq!(registry.topics(), [Box::from("t"), Box::from("v")]);
        assert!(registry.contains("t") && !registry.contains("u"));
        assert!(registry.rows(&sums(31, 5))[0]["reset_time"].is_string());
        registry.follow(&[]);
        assert!(registry.is_empty());
    }
}

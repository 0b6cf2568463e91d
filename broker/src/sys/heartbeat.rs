//! What the broker publishes of itself now and then: facts and counters every `sys_topics.sys_msg_interval`, signs of
//! life every `sys_topics.sys_heartbeat_interval`. As in EMQX, each comes for the first time when its interval has
//! passed once.

use super::SysTopics;
use crate::control::Console;
use crate::counters::{Row, is_gauge};
use crate::timestamp::{Digits, rfc3339};
use ringmq_core::observe::OwnMessage;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use time::UtcOffset;

/// What the broker is, in a word.
const DESCRIPTION: &str = "ringmq";

/// Publishes from now on, on a thread of its own that lives as long as the process.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(topics: &SysTopics, node: &str, console: Arc<Console>) -> io::Result<()> {
    let (facts, life) = (topics.msg_interval, topics.heartbeat_interval);
    if facts.or(life).is_none() {
        return Ok(());
    }
    let node = node.to_owned();
    thread::Builder::new().name("sys".to_owned()).spawn(move || {
        let (mut facts, mut life) = (Turns::new(facts), Turns::new(life));
        loop {
            let now = Instant::now();
            let mut messages = Vec::new();
            if life.is_due(now) {
                messages.extend(signs_of_life(&node, console.uptime()));
            }
            if facts.is_due(now) {
                messages.extend(facts_of(&node));
                messages.extend(counters(&node, &console.counter_rows()));
            }
            // A shard that has too much to do misses one turn.
            let _ = console.publish(&messages);
            let next = [facts.next, life.next].into_iter().flatten().min();
            let wait = next.map_or(Duration::MAX, |next| next.saturating_duration_since(Instant::now()));
            // An early return does no harm.
            thread::park_timeout(wait);
        }
    })?;
    Ok(())
}

/// When something is to be done again and again.
struct Turns {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Turns {
    fn new(interval: Option<Duration>) -> Self {
        Self { interval, next: interval.map(|interval| Instant::now() + interval) }
    }

    /// True once in every interval.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            self.next = self.interval.map(|interval| now + interval);
        }
        due
    }
}

fn message(topic: String, text: impl Into<String>, retain: bool) -> OwnMessage {
    OwnMessage { topic: topic.into(), payload: text.into().into_bytes().into(), retain }
}

/// `uptime`, milliseconds, and `datetime`.
fn signs_of_life(node: &str, uptime: Duration) -> [OwnMessage; 2] {
    let now = rfc3339(SystemTime::now(), UtcOffset::UTC, Digits::Three);
    [
        message(format!("$SYS/brokers/{node}/uptime"), uptime.as_millis().to_string(), false),
        message(format!("$SYS/brokers/{node}/datetime"), now, false),
    ]
}

/// The list of nodes, and what this one is; retained.
fn facts_of(node: &str) -> [OwnMessage; 3] {
    [
        message("$SYS/brokers".to_owned(), node, true),
        message(format!("$SYS/brokers/{node}/version"), env!("CARGO_PKG_VERSION"), true),
        message(format!("$SYS/brokers/{node}/sysdescr"), DESCRIPTION, true),
    ]
}

/// `stats/...` and `metrics/...`: every counter of the whole broker. What only our drivers count is left out.
fn counters(node: &str, rows: &[Row]) -> Vec<OwnMessage> {
    let told = rows.iter().filter(|row| !row.name.starts_with("driver."));
    let told = told.map(|Row { name, sum, .. }| {
        let group = if is_gauge(name) { "stats" } else { "metrics" };
        message(format!("$SYS/brokers/{node}/{group}/{}", name.replace('.', "/")), sum.to_string(), false)
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_core::counters::Counters;

    fn told(messages: &[OwnMessage]) -> Vec<(&str, &str)> {
        messages.iter().map(|m| (&*m.topic, std::str::from_utf8(&m.payload).expect("text"))).collect()
    }

    #[test]
    fn counters_are_sums_under_emqx_names() {
        let names = ["connections.count", "messages.qos0.sent", "bytes.received", "driver.turns"];
        let rows: Vec<_> = names.iter().map(|name| Row::of_shards(name, vec![1, 2])).collect();
        let messages = counters("n@h", &rows);
        let expected = [
            ("$SYS/brokers/n@h/stats/connections/count", "3"),
            ("$SYS/brokers/n@h/metrics/messages/qos0/sent", "3"),
            ("$SYS/brokers/n@h/metrics/bytes/received", "3"),
        ];
        assert_eq!(told(&messages), expected);
        assert!(messages.iter().all(|message| !message.retain));
    }

    #[test]
    fn every_counter_of_the_shards_is_told() {
        let rows: Vec<_> = Counters::NAMES.iter().map(|name| Row::of_shards(name, vec![0])).collect();
        assert_eq!(counters("n@h", &rows).len(), Counters::COUNT);
    }

    #[test]
    fn facts_are_retained_and_signs_of_life_are_not() {
        let facts = facts_of("n@h");
        assert_eq!(told(&facts)[0], ("$SYS/brokers", "n@h"));
        assert!(facts.iter().all(|message| message.retain));
        let life = signs_of_life("n@h", Duration::from_millis(1234));
        assert_eq!(told(&life)[0], ("$SYS/brokers/n@h/uptime", "1234"));
        assert!(told(&life)[1].1.ends_with("+00:00") && life.iter().all(|message| !message.retain));
    }

    #[test]
    fn a_turn_comes_once_in_its_interval() {
        let mut turns = Turns::new(Some(Duration::from_secs(5)));
        let start = Instant::now();
        assert!(!turns.is_due(start));
        assert!(turns.is_due(start + Duration::from_secs(6)));
        assert!(!turns.is_due(start + Duration::from_secs(7)));
        assert!(turns.is_due(start + Duration::from_secs(12)));
        let mut never = Turns::new(None);
        assert!(!never.is_due(start + Duration::from_secs(1_000_000)) && never.next.is_none());
    }
}

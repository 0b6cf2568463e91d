//! Holding repetitions back: of notes that clients can cause at will, one of a kind in a window of time; at its end one
//! note tells how many there were. As in EMQX, nothing is held back while everything is noted (`debug`).

use super::note::Note;
use super::{Level, module};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// The notes that are held back, by what they say.
pub(super) const THROTTLED: [&str; 5] = [
    "client_protocol_error",
    "connection_refused",
    "dropped_msg_due_to_mqueue_is_full",
    "dropped_qos0_msg",
    "failed_to_retain_message",
];

/// What was noted in the window.
#[derive(Debug)]
pub(super) struct Throttle {
    window: Duration,
    /// When the window ends; `None` while nothing was noted.
    end: Option<Instant>,
    /// How often each was held back.
    held_back: BTreeMap<&'static str, u64>,
}

impl Throttle {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, end: None, held_back: BTreeMap::new() }
    }

    /// True if a note is to be written.
    pub(super) fn admits(&mut self, note: &Note, threshold: Option<Level>, now: Instant) -> bool {
        let Some(key) = THROTTLED.iter().find(|key| **key == note.message) else { return true };
        if threshold == Some(Level::Debug) {
            return true;
        }
        self.end.get_or_insert(now + self.window);
        match self.held_back.get_mut(key) {
            Some(count) => {
                *count += 1;
                false
            }
            None => {
                self.held_back.insert(*key, 0);
                true
            }
        }
    }

    /// How long until the window ends; `None` while there is none.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(now))
    }

    /// Ends the window if it is over. What is to be noted of it, if anything was held back.
    pub(super) fn summary(&mut self, now: Instant) -> Option<Note> {
        self.end.filter(|end| *end <= now)?;
        self.end = None;
        let held_back = std::mem::take(&mut self.held_back).into_iter().filter(|(_, count)| *count > 0);
        let dropped: Map<String, Value> = held_back.map(|(key, count)| (key.to_owned(), count.into())).collect();
        (!dropped.is_empty()).then(|| Note {
            at: SystemTime::now(),
            level: Level::Warning,
            module: module::BROKER.to_owned(),
            message: "log_events_throttled_during_last_period".to_owned(),
            fields: vec![("dropped", Value::Object(dropped)), ("period_s", self.window.as_secs().into())],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        let (level, at) = (Level::Warning, SystemTime::now());
        Note { at, level, module: module::CLIENT.to_owned(), message: message.to_owned(), fields: Vec::new() }
    }

    #[test]
    fn one_of_a_kind_passes_and_the_rest_is_counted() {
        let mut throttle = Throttle::new(Duration::from_secs(60));
        let start = Instant::now();
        let mut admits = |message: &str| throttle.admits(&note(message), Some(Level::Warning), start);
        assert!(admits("dropped_qos0_msg") && admits("client_protocol_error"));
        assert!(!admits("dropped_qos0_msg") && !admits("dropped_qos0_msg"));
        assert!(admits("client_connected") && admits("client_connected"), "others are never held back");
        assert_eq!(throttle.left(start), Some(Duration::from_secs(60)));
        assert_eq!(throttle.summary(start + Duration::from_secs(59)), None);
        let end = start + Duration::from_secs(60);
        let summary = throttle.summary(end).expect("something was held back");
        assert_eq!(summary.fields[0], ("dropped", serde_json::json!({ "dropped_qos0_msg": 2 })));
        assert!(throttle.left(end).is_none() && throttle.summary(end).is_none());
        assert!(throttle.admits(&note("dropped_qos0_msg"), Some(Level::Warning), end), "in the next window again");
        assert_eq!(throttle.summary(end + Duration::from_secs(60)), None, "and nothing was held back");
    }

    #[test]
    fn nothing_is_held_back_while_everything_is_noted() {
        let mut throttle = Throttle::new(Duration::from_secs(60));
        let now = Instant::now();
        assert!((0..3).all(|_| throttle.admits(&note("dropped_qos0_msg"), Some(Level::Debug), now)));
        assert!(throttle.left(now).is_none());
    }
}

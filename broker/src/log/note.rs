//! One note, on its way from whoever made it to the thread that writes.

use super::Level;
use serde_json::Value;
use std::fmt;
use std::time::SystemTime;
use tracing::field::{Field, Visit};

/// Bytes of a field's text that are kept.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// A note.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub(super) at: SystemTime,
    pub(super) level: Level,
    /// What it is about: see [`super::MODULES`].
    pub(super) module: String,
    /// What it says, a key such as `client_connected`.
    pub(super) message: String,
    /// What else is known, by name, in the order in which it was given.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Note {
    /// What was noted with one of `tracing`'s macros.
    pub(super) fn of(event: &tracing::Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut note = Self {
            at: SystemTime::now(),
            level: Level::of(*metadata.level()),
            module: metadata.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut note);
        note
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name(), value.into()));
    }
}

impl Visit for Note {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = cut(format!("{value:?}"));
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = cut(value.to_owned());
        } else {
            self.put(field, cut(value.to_owned()));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

/// A text of bounded length.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short".to_owned()), "short");
        let long = cut("é".repeat(TEXT_BYTES_MAX));
        assert_eq!(long.len(), TEXT_BYTES_MAX + 3);
        let odd = cut(format!("x{}", "é".repeat(TEXT_BYTES_MAX)));
        assert!(odd.len() == TEXT_BYTES_MAX + 2 && odd.ends_with("é..."));
    }
}

//! One ban: whom it means, who made it, why, and until when.

use super::who::{TEXT_BYTES_MAX, Who};
use crate::wall_clock;
use serde::{Deserialize, Serialize};

/// What `until` says of a ban that does not end.
pub(crate) const INFINITY: &str = "infinity";

/// A ban, as it is kept in the file; `as` and `who` are the key that it is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Who made it.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// When it was made, seconds since 1970.
    pub(crate) at_s: u64,
    /// When it ends, seconds since 1970; `None` is never.
    pub(crate) until_s: Option<u64>,
}

impl Rule {
    /// A ban from now on.
    pub(crate) fn from_now(by: &str, reason: &str, until_s: Option<u64>) -> Self {
        Self { by: by.to_owned(), reason: reason.to_owned(), at_s: wall_clock::now_s(), until_s }
    }

    /// Whether it still holds.
    pub(crate) fn holds(&self, now_s: u64) -> bool {
        self.until_s.is_none_or(|until_s| now_s < until_s)
    }

    /// Checks what comes from outside.
    ///
    /// # Errors
    /// A text is too long.
    pub(super) fn check(&self) -> Result<(), String> {
        let fits = self.by.len() <= TEXT_BYTES_MAX && self.reason.len() <= TEXT_BYTES_MAX;
        fits.then_some(()).ok_or_else(|| format!("by and reason have at most {TEXT_BYTES_MAX} bytes each"))
    }
}

/// Reads `until`.
///
/// # Errors
/// It is no time, as the end of a sentence that begins with the text.
pub(crate) fn parse_until(text: &str) -> Result<Option<u64>, String> {
    if text == INFINITY {
        return Ok(None);
    }
    wall_clock::parse(text).map(Some).map_err(|why| format!("{why}, nor {INFINITY}"))
}

/// Writes `until`.
pub(crate) fn written_until(until_s: Option<u64>) -> String {
    until_s.map_or_else(|| INFINITY.to_owned(), wall_clock::rfc3339)
}

/// A ban with its key, as text and numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(rename = "as")]
    kind: String,
    who: String,
    by: String,
    reason: String,
    /// Seconds since 1970.
    at: u64,
    /// Seconds since 1970; missing if it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

impl Record {
    pub(super) fn new(who: &Who, rule: &Rule) -> Self {
        let Rule { by, reason, at_s, until_s } = rule.clone();
        Self { kind: who.kind().to_owned(), who: who.to_string(), by, reason, at: at_s, until: until_s }
    }

    /// What it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(self) -> Result<(Who, Rule), String> {
        let who = Who::parse(&self.kind, &self.who)?;
        let rule = Rule { by: self.by, reason: self.reason, at_s: self.at, until_s: self.until };
        rule.check()?;
        Ok((who, rule))
    }
}

//! Settings of a running broker: those that hold, shown, and those of one more file, taken over.
//!
//! Absent: how settings reach the shards, which is the [`Console`]'s affair.

use super::console::Console;
use super::protocol::Answer;
use crate::config::{self, LoadMode, Problem, Problems, Row};
use serde_json::{Value, json};
use std::path::Path;

impl Console {
    /// The value of a key, of those that begin with it, or of all.
    pub(super) fn show(&self, key: Option<&str>) -> Answer {
        let mut rows = self.lock().rows();
        if let Some(key) = key {
            let within = format!("{key}.");
            rows.retain(|row| row.key == key || row.key.starts_with(&within));
            if rows.is_empty() {
                return Answer::refused(&[Problem::new(format!("there is no key {key}"))]);
            }
        }
        Answer::done(written(&rows), &[])
    }

    /// Takes over the settings of a file, on all shards and for the next start; gives what has changed, and what cannot
    /// before then.
    ///
    /// # Errors
    /// All that is wrong with the file; nothing has changed.
    pub(super) fn load(&self, path: &Path, mode: &str) -> Result<(Vec<Row>, Vec<Problem>), Problems> {
        let unknown = || Problem::new(format!("`{}` is no way to load", mode.escape_debug()));
        let mode = LoadMode::named(mode).ok_or_else(|| unknown().with_help("merge or replace"))?;
        let mut loaded = self.lock();
        let file = self.overrides();
        let change = config::load_file(&loaded, self.layers(), path, mode, &file)?;
        let warnings = change.loaded.warnings.clone();
        Ok((self.keep_and_bring(&mut loaded, change, &file)?, warnings))
    }
}

/// What has changed, and what was odd; or what is wrong.
pub(super) fn changed(result: Result<(Vec<Row>, Vec<Problem>), Problems>) -> Answer {
    match result {
        Ok((rows, warnings)) => Answer::done(json!({ "changed": written(&rows) }), &warnings),
        Err(problems) => Answer::refused(&problems.0),
    }
}

/// Keys with their values, as they are told.
pub(super) fn written(rows: &[Row]) -> Value {
    let row = |row: &Row| json!({ "key": row.key, "value": row.value, "origin": row.origin_text() });
    Value::Array(rows.iter().map(row).collect())
}

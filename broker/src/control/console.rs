//! What requests do: facts, counters, settings.

use super::protocol::{Answer, Command};
use crate::config::{Loaded, Problem, Row};
use crate::counters::SharedCounters;
use ringmq_drive::Control;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// What does not change while the broker runs.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Shards, and where they run.
    pub(crate) shards: String,
    /// The driver.
    pub(crate) driver: String,
    /// The data directory, in full.
    pub(crate) data_dir: PathBuf,
    /// Addresses listened on.
    pub(crate) listeners: Vec<String>,
}

/// What a running broker can tell of itself.
#[derive(Debug)]
pub(crate) struct Console {
    loaded: Loaded,
    control: Control,
    counters: Arc<SharedCounters>,
    facts: Facts,
    started: Instant,
}

impl Console {
    pub(crate) fn new(loaded: Loaded, control: Control, counters: Arc<SharedCounters>, facts: Facts) -> Self {
        Self { loaded, control, counters, facts, started: Instant::now() }
    }

    /// Does what was asked for.
    pub(crate) fn answer(&self, command: &Command) -> Answer {
        let done = |result| Answer::done(result, &[]);
        match command {
            Command::Status => done(json!({ "status": "running", "version": env!("CARGO_PKG_VERSION") })),
            Command::Broker => done(self.facts()),
            Command::Metrics => done(self.counted(|name| !is_gauge(name))),
            Command::Stats => done(self.counted(is_gauge)),
            Command::ConfShow { key } => self.show(key.as_deref()),
        }
    }

    fn facts(&self) -> Value {
        json!({
            "version": concat!(env!("CARGO_PKG_VERSION"), env!("RINGMQ_BUILD")),
            "uptime_s": self.started.elapsed().as_secs(),
            "shards": self.control.shards(),
            "placement": self.facts.shards,
            "driver": self.facts.driver,
            "data_dir": self.facts.data_dir.display().to_string(),
            "listeners": self.facts.listeners,
        })
    }

    fn counted(&self, wanted: impl Fn(&str) -> bool) -> Value {
        let rows = self.counters.rows(&self.control).into_iter().filter(|(name, _)| wanted(name));
        let rows = rows.map(|(name, shards)| {
            let sum = shards.iter().fold(0, |sum: u64, value| sum.wrapping_add(*value));
            json!({ "name": name, "sum": sum, "shards": shards })
        });
        Value::Array(rows.collect())
    }

    fn show(&self, key: Option<&str>) -> Answer {
        let mut rows = self.loaded.rows();
        if let Some(key) = key {
            let within = format!("{key}.");
            rows.retain(|row| row.key == key || row.key.starts_with(&within));
            if rows.is_empty() {
                return Answer::refused(&[Problem::new(format!("there is no key {key}"))]);
            }
        }
        Answer::done(written(&rows), &[])
    }
}

/// True for what can also shrink.
fn is_gauge(name: &str) -> bool {
    name.ends_with(".count") || name == "driver.connections"
}

fn written(rows: &[Row]) -> Value {
    let row = |row: &Row| json!({ "key": row.key, "value": row.value, "origin": row.origin_text() });
    Value::Array(rows.iter().map(row).collect())
}

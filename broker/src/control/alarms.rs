//! Alarms of a running broker: raised and ended by what it sees of its machine and its connections, told in the log and
//! on `$SYS/brokers/<node>/alarms/activate` and `deactivate`, and shown on request.

use super::console::Console;
use super::lists::Shards;
use crate::alarms::Change;
use crate::config::Problem;
use crate::log::module;
use crate::sysmon::{Reading, Verdict};
use crate::wall_clock;
use ringmq_core::control::{CongestionFacts, Control as Request};
use ringmq_core::observe::OwnMessage;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// How the names of alarms about congested connections begin.
const CONGESTION: &str = "conn_congestion/";

/// The gauge that says whether there are any.
const CONGESTED: &str = "connections.congested.count";

/// What stands for the user name of a client without one, as in EMQX.
const NO_USERNAME: &str = "unknown_user";

impl Console {
    /// The active alarms: `alarms`.
    pub(super) fn list_alarms(&self) -> Value {
        json!({ "alarms": self.alarms().active(wall_clock::now_ms()) })
    }

    /// Those that are over: `alarms`.
    pub(super) fn alarm_history(&self) -> Value {
        json!({ "alarms": self.alarms().history(wall_clock::now_ms()) })
    }

    /// Forgets those that are over.
    pub(super) fn clear_alarm_history(&self) -> Value {
        json!({ "cleared": self.alarms().clear_history() })
    }

    /// Raises or ends the alarm that a reading is about, if something follows from it.
    pub(crate) fn note_reading(&self, reading: &Reading) {
        let usage = format!("{:.2}%", reading.usage);
        match reading.verdict() {
            Verdict::TooMuch => {
                let mut details = Map::new();
                details.insert("usage".to_owned(), json!(usage));
                details.insert("high_watermark".to_owned(), json!(format!("{}%", reading.high_watermark)));
                if reading.low_watermark != reading.high_watermark {
                    details.insert("low_watermark".to_owned(), json!(format!("{}%", reading.low_watermark)));
                }
                self.activate(reading.alarm, format!("{usage} {} usage", reading.of), details);
            }
            Verdict::Between => {}
            Verdict::Fine => self.deactivate(reading.alarm),
        }
    }

    /// Raises an alarm for each congested connection, and ends those for connections that no longer are.
    ///
    /// # Errors
    /// The shards do not answer.
    pub(crate) fn check_congestion(&self) -> Result<(), Problem> {
        let active = self.alarms().active_below(CONGESTION);
        if active.is_empty() && self.counter(CONGESTED) == 0 {
            return Ok(());
        }
        let answers = Shards(self.shards()).ask_all(|| Request::ListCongested)?;
        let congested = answers.into_iter().flat_map(|(_, answer)| match answer {
            Request::Congested(congested) => congested,
            _ => Vec::new(),
        });
        let mut names = BTreeSet::new();
        for facts in congested {
            let name = format!("{CONGESTION}{}/{}", facts.client_id, facts.username.as_deref().unwrap_or(NO_USERNAME));
            self.activate(&name, format!("connection congested: {} bytes unsent", facts.unsent_bytes), details(&facts));
            names.insert(name);
        }
        active.iter().filter(|name| !names.contains(*name)).for_each(|name| self.deactivate(name));
        Ok(())
    }

    fn activate(&self, name: &str, message: String, details: Map<String, Value>) {
        if let Some(row) = self.alarms().activate(name, message, details, wall_clock::now_ms()) {
            let (alarm, reason) = (name, row["message"].as_str());
            if self.alarms().actions().log {
                tracing::warn!(target: module::BROKER, alarm, reason, "alarm_is_activated");
            }
            self.tell(Change::Activated, &row);
        }
    }

    fn deactivate(&self, name: &str) {
        if let Some(row) = self.alarms().deactivate(name, wall_clock::now_ms()) {
            let (alarm, duration_ms) = (name, row["duration"].as_u64());
            if self.alarms().actions().log {
                tracing::warn!(target: module::BROKER, alarm, duration_ms, "alarm_is_deactivated");
            }
            self.tell(Change::Deactivated, &row);
        }
    }

    /// Publishes what has become of an alarm, if that is wanted. A shard that has too much to do leaves it out: the alarm is in the list.
    fn tell(&self, change: Change, row: &Value) {
        if !self.alarms().actions().publish {
            return;
        }
        let end = match change {
            Change::Activated => "activate",
            Change::Deactivated => "deactivate",
        };
        let topic = format!("$SYS/brokers/{}/alarms/{end}", self.alarms().node());
        let message = OwnMessage { topic: topic.into(), payload: row.to_string().into_bytes().into(), retain: false };
        let _ = self.publish(&[message]);
    }
}

fn details(facts: &CongestionFacts) -> Map<String, Value> {
    let mut details = Map::new();
    details.insert("clientid".to_owned(), json!(facts.client_id));
    if let Some(username) = &facts.username {
        details.insert("username".to_owned(), json!(username));
    }
    details.insert("peername".to_owned(), json!(facts.peer.to_string()));
    details.insert("unsent_bytes".to_owned(), json!(facts.unsent_bytes));
    details.insert("mqueue_len".to_owned(), json!(facts.queued));
    details
}

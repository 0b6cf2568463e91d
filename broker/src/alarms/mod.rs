//! Alarms (EMQX's `alarm`): what is wrong with the broker or its machine now, and what was of late.
//!
//! An alarm has a name, of which there is one at a time. It is active until what it tells of is over; then it is history
//! for a while. Both are bounded, and both are kept over a restart: what was active then is over with the process that
//! saw it, as in EMQX.
//!
//! Absent: who raises alarms, and whom they are told to.

use crate::config::Problem;
use crate::data_file::DataFile;
use crate::wall_clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most active alarms: each client that is slow to read may have one.
const ACTIVE_MAX: usize = 4096;

/// What becomes of alarms (`alarm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// `actions`: how they are told.
    pub(crate) actions: Actions,
    /// `size_limit`: alarms that are over.
    pub(crate) size_limit: usize,
    /// `validity_period`: for how long after their end.
    pub(crate) validity_period: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        let actions = Actions { log: true, publish: true };
        Self { actions, size_limit: 1000, validity_period: Duration::from_secs(24 * 3600) }
    }
}

/// How changes of alarms are told (`alarm.actions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actions {
    /// `log`: in the log.
    pub(crate) log: bool,
    /// `publish`: as a message below `$SYS`.
    pub(crate) publish: bool,
}

/// Name of the file in the data directory.
const FILE: &str = "alarms.json";

/// What has become of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Activated,
    Deactivated,
}

/// An alarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Alarm {
    name: String,
    message: String,
    details: Map<String, Value>,
    /// Milliseconds since 1970.
    activated_ms: u64,
    /// The same; `None` while it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deactivated_ms: Option<u64>,
}

impl Alarm {
    /// The alarm under EMQX's names; `duration` in milliseconds.
    fn row(&self, node: &str, now_ms: u64) -> Value {
        let end_ms = self.deactivated_ms.unwrap_or(now_ms);
        let written = |ms: u64| wall_clock::rfc3339(ms / 1000);
        json!({
            "node": node,
            "name": self.name,
            "message": self.message,
            "details": self.details,
            "activate_at": written(self.activated_ms),
            "deactivate_at": self.deactivated_ms.map_or_else(|| "infinity".to_owned(), written),
            "duration": end_ms.saturating_sub(self.activated_ms),
        })
    }
}

/// What the file holds, the latest that is over first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    active: Vec<Alarm>,
    history: VecDeque<Alarm>,
}

#[derive(Debug)]
struct Book {
    keep: Keep,
    active: BTreeMap<String, Alarm>,
    /// The latest one first.
    history: VecDeque<Alarm>,
    /// Whether it is other than what the file holds.
    changed: bool,
}

impl Book {
    fn end(&mut self, mut alarm: Alarm, now_ms: u64) {
        alarm.deactivated_ms = Some(now_ms);
        self.history.push_front(alarm);
        self.history.truncate(self.keep.size_limit);
        self.changed = true;
    }
}

/// The alarms of this node.
#[derive(Debug)]
pub(crate) struct Alarms {
    node: String,
    file: DataFile,
    book: Mutex<Book>,
}

impl Alarms {
    /// Those that are kept in this directory, none of them active any more; and what is wrong with the file, if anything
    /// is.
    pub(crate) fn open(node: &str, keep: Keep, data_dir: &Path, now_ms: u64) -> (Self, Option<Problem>) {
        let file = DataFile::within(data_dir, FILE, "alarms");
        let (kept, problem) = match file.read::<Kept>() {
            Ok(kept) => (kept.unwrap_or_default(), None),
            Err(problem) => (Kept::default(), Some(problem)),
        };
        let mut book = Book { keep, active: BTreeMap::new(), history: kept.history, changed: false };
        book.history.truncate(keep.size_limit);
        kept.active.into_iter().for_each(|alarm| book.end(alarm, now_ms));
        (Self { node: node.to_owned(), file, book: Mutex::new(book) }, problem)
    }

    /// Goes by other settings from now on.
    pub(crate) fn set(&self, keep: Keep) {
        let mut book = self.lock();
        book.keep = keep;
        book.history.truncate(keep.size_limit);
    }

    /// How changes are told.
    pub(crate) fn actions(&self) -> Actions {
        self.lock().keep.actions
    }

    /// Writes to the file what has changed since that was last done. A failure is told once; the next change brings
    /// another try.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self) -> Result<(), Problem> {
        let kept = {
            let mut book = self.lock();
            if !std::mem::take(&mut book.changed) {
                return Ok(());
            }
            Kept { active: book.active.values().cloned().collect(), history: book.history.clone() }
        };
        self.file.write(kept)
    }

    /// The name of the node.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Raises an alarm; gives it if it is news, and not if it is active already or there are too many.
    pub(crate) fn activate(
        &self,
        name: &str,
        message: String,
        details: Map<String, Value>,
        now_ms: u64,
    ) -> Option<Value> {
        let mut book = self.lock();
        if book.active.len() >= ACTIVE_MAX || book.active.contains_key(name) {
            return None;
        }
        let alarm = Alarm { name: name.to_owned(), message, details, activated_ms: now_ms, deactivated_ms: None };
        let row = alarm.row(&self.node, now_ms);
        book.active.insert(name.to_owned(), alarm);
        book.changed = true;
        Some(row)
    }

    /// Ends an alarm; gives it if it was active.
    pub(crate) fn deactivate(&self, name: &str, now_ms: u64) -> Option<Value> {
        let mut book = self.lock();
        let alarm = book.active.remove(name)?;
        let row = Alarm { deactivated_ms: Some(now_ms), ..alarm.clone() }.row(&self.node, now_ms);
        book.end(alarm, now_ms);
        Some(row)
    }

    /// Active alarms whose names begin so.
    pub(crate) fn active_below(&self, prefix: &str) -> Vec<String> {
        self.lock().active.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// The active alarms, by name.
    pub(crate) fn active(&self, now_ms: u64) -> Vec<Value> {
        self.lock().active.values().map(|alarm| alarm.row(&self.node, now_ms)).collect()
    }

    /// Those that are over and whose time has not passed, the latest one first.
    pub(crate) fn history(&self, now_ms: u64) -> Vec<Value> {
        let mut book = self.lock();
        let valid_ms = u64::try_from(book.keep.validity_period.as_millis()).unwrap_or(u64::MAX);
        let is_over = |alarm: &Alarm| alarm.deactivated_ms.is_some_and(|ms| ms.saturating_add(valid_ms) <= now_ms);
        while book.history.back().is_some_and(is_over) {
            book.history.pop_back();
            book.changed = true;
        }
        book.history.iter().map(|alarm| alarm.row(&self.node, now_ms)).collect()
    }

    /// Forgets what is over; gives how many alarms that were.
    pub(crate) fn clear_history(&self) -> usize {
        let mut book = self.lock();
        book.changed = true;
        std::mem::take(&mut book.history).len()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // A panic ends the process.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn opened(dir: &Dir, keep: Keep) -> Alarms {
        let (alarms, problem) = Alarms::open("n@h", keep, &dir.path(""), 0);
        assert_eq!(problem, None);
        alarms
    }

    fn names(rows: &[Value]) -> Vec<&str> {
        rows.iter().map(|row| row["name"].as_str().expect("text")).collect()
    }

    fn raise(alarms: &Alarms, name: &str, now_ms: u64) -> Option<Value> {
        alarms.activate(name, "it is hot".to_owned(), Map::from_iter([("usage".to_owned(), json!("81%"))]), now_ms)
    }

    #[test]
    fn an_alarm_is_news_once_and_history_afterwards() {
        let dir = Dir::new("alarms");
        let alarms = opened(&dir, Keep::default());
        let row = raise(&alarms, "hot", 1_769_846_400_500).expect("news");
        let expected = json!({
            "node": "n@h",
            "name": "hot",
            "message": "it is hot",
            "details": { "usage": "81%" },
            "activate_at": "2026-01-31T08:00:00Z",
            "deactivate_at": "infinity",
            "duration": 0,
        });
        assert_eq!(row, expected);
        assert!(raise(&alarms, "hot", 1_769_846_401_000).is_none());
        assert_eq!(alarms.active(1_769_846_402_500)[0]["duration"], 2000);
        let row = alarms.deactivate("hot", 1_769_846_403_500).expect("was active");
        assert_eq!((&row["duration"], &row["deactivate_at"]), (&json!(3000), &json!("2026-01-31T08:00:03Z")));
        assert!(alarms.deactivate("hot", 0).is_none() && alarms.active(0).is_empty());
        assert_eq!(names(&alarms.history(1_769_846_404_000)), ["hot"]);
        assert!(raise(&alarms, "hot", 1_769_846_405_000).is_some(), "again");
    }

    #[test]
    fn history_is_bounded_in_number_and_time() {
        let dir = Dir::new("alarms");
        let keep = Keep { size_limit: 3, validity_period: Duration::from_millis(100), ..Keep::default() };
        let alarms = opened(&dir, keep);
        for (now_ms, name) in [(10, "a"), (20, "b"), (30, "c"), (40, "d")] {
            raise(&alarms, name, now_ms);
            alarms.deactivate(name, now_ms);
        }
        assert_eq!(names(&alarms.history(119)), ["d", "c", "b"]);
        assert_eq!(names(&alarms.history(120)), ["d", "c"]);
        alarms.set(Keep { size_limit: 1, validity_period: Duration::from_millis(90), ..keep });
        assert_eq!(names(&alarms.history(120)), ["d"]);
        assert_eq!(names(&alarms.history(130)), [""; 0]);
        raise(&alarms, "e", 130);
        alarms.deactivate("e", 130);
        assert_eq!((alarms.clear_history(), alarms.history(0).len()), (1, 0));
    }

    #[test]
    fn what_was_active_is_history_after_a_restart() {
        let dir = Dir::new("alarms");
        let alarms = opened(&dir, Keep::default());
        alarms.save().expect("nothing to write");
        assert!(!dir.path(FILE).exists());
        for (name, now_ms) in [("over", 10), ("active", 20)] {
            raise(&alarms, name, now_ms);
        }
        alarms.deactivate("over", 30);
        alarms.save().expect("written");
        raise(&alarms, "lost with a crash", 40);
        let (alarms, problem) = Alarms::open("n@h", Keep::default(), &dir.path(""), 1000);
        assert_eq!(problem, None);
        let history = alarms.history(1000);
        assert_eq!((names(&history), alarms.active(1000).len()), (vec!["active", "over"], 0));
        assert_eq!((&history[0]["duration"], &history[1]["duration"]), (&json!(980), &json!(20)));
        assert_eq!(history[1]["details"], json!({ "usage": "81%" }));
        alarms.clear_history();
        alarms.save().expect("written");
        assert!(opened(&dir, Keep::default()).history(1000).is_empty());
        dir.write(FILE, "{");
        let (alarms, problem) = Alarms::open("n@h", Keep::default(), &dir.path(""), 0);
        assert!(problem.is_some_and(|problem| problem.message.contains("not understood")));
        assert!(alarms.history(0).is_empty());
    }

    #[test]
    fn active_alarms_are_bounded_and_found_by_their_beginning() {
        let dir = Dir::new("alarms");
        let alarms = opened(&dir, Keep::default());
        for number in 0..ACTIVE_MAX {
            assert!(raise(&alarms, &format!("c/{number}"), 0).is_some());
        }
        assert!(raise(&alarms, "one more", 0).is_none());
        alarms.deactivate("c/7", 0);
        assert!(raise(&alarms, "one more", 0).is_some());
        assert_eq!((alarms.active_below("c/").len(), alarms.active_below("one").len()), (ACTIVE_MAX - 1, 1));
    }
}

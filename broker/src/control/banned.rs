//! The list of banned clients of a running broker: shown a page at a time, and changed on all shards or on none.

use super::lists::Shards;
use crate::banned::{self, BanFile, Matcher, Rule, Rules, Who};
use crate::config::Problem;
use crate::wall_clock;
use ringmq_core::control::Control as Request;
use ringmq_drive::Control;
use serde_json::{Map, Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bans on a page.
const PAGE_ROWS: usize = 256;

/// What a ban says that does not name its maker.
const BY: &str = "ctl";

/// The bans, and where they are kept. Locked for the whole of a change, so that changes come one after the other.
#[derive(Debug)]
pub(crate) struct Bans(Mutex<State>);

#[derive(Debug)]
struct State {
    file: BanFile,
    rules: Rules,
}

/// A ban as a request describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) kind: &'a str,
    pub(super) who: &'a str,
    pub(super) by: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) until: Option<&'a str>,
}

impl Bans {
    pub(crate) fn new(file: BanFile, rules: Rules) -> Self {
        Self(Mutex::new(State { file, rules }))
    }

    /// What shards that are being made ask.
    pub(crate) fn matcher(&self) -> Option<Matcher> {
        self.lock().rules.matcher()
    }

    /// The bans that hold: `banned`, and `next` unless it is the end.
    pub(super) fn list(&self, cursor: Option<&str>) -> Result<Value, Problem> {
        let first = cursor.map(parse_cursor).transpose()?;
        let now_s = wall_clock::now_s();
        let state = self.lock();
        let mut rest = state.rules.starting_at(first.as_ref()).filter(|(_, rule)| rule.holds(now_s));
        let rows: Vec<Value> = rest.by_ref().take(PAGE_ROWS).map(|(who, rule)| row(who, rule)).collect();
        let mut answer = Map::from_iter([("banned".to_owned(), Value::Array(rows))]);
        answer.extend(rest.next().map(|(who, _)| ("next".to_owned(), format!("{}:{who}", who.kind()).into())));
        Ok(Value::Object(answer))
    }

    /// Bans clients. A session of a client that is banned by its identifier ends.
    ///
    /// # Errors
    /// They are banned already, the request is wrong, or the change cannot be made; nothing has changed then.
    pub(super) fn add(&self, control: &Control, wanted: Wanted<'_>) -> Result<Value, Problem> {
        let who = Who::parse(wanted.kind, wanted.who).map_err(Problem::new)?;
        let now_s = wall_clock::now_s();
        let until = wanted.until.unwrap_or(banned::INFINITY);
        let wrong = |why: String| Problem::new(format!("until `{}` {why}", until.escape_debug()));
        let until_s = banned::parse_until(until).map_err(wrong)?;
        if until_s.is_some_and(|until_s| until_s <= now_s) {
            return Err(wrong("is over already".to_owned()));
        }
        let rule = Rule::from_now(wanted.by.unwrap_or(BY), wanted.reason.unwrap_or_default(), until_s);
        let answer = row(&who, &rule);
        let end = if let Who::ClientId(client_id) = &who { vec![Box::from(&**client_id)] } else { Vec::new() };
        self.change(control, &end, |rules| {
            if rules.get(&who).is_some() {
                let problem = Problem::new(format!("{} `{}` is banned already", who.kind(), wanted.who.escape_debug()));
                return Err(problem.with_help("delete that ban first"));
            }
            rules.add(who, rule)
        })?;
        Ok(answer)
    }

    /// Takes a ban back.
    ///
    /// # Errors
    /// There is none, or the change cannot be made.
    pub(super) fn delete(&self, control: &Control, kind: &str, who: &str) -> Result<Value, Problem> {
        let who = Who::parse(kind, who).map_err(Problem::new)?;
        let missing = || Problem::new(format!("{kind} `{}` is not banned", who.to_string().escape_debug()));
        self.change(control, &[], |rules| rules.remove(&who).map(drop).ok_or_else(missing))?;
        Ok(json!({ "deleted": { "as": who.kind(), "who": who.to_string() } }))
    }

    /// Takes all bans back.
    ///
    /// # Errors
    /// The change cannot be made.
    pub(super) fn clear(&self, control: &Control) -> Result<Value, Problem> {
        let mut cleared = 0;
        self.change(control, &[], |rules| {
            cleared = std::mem::take(rules).iter().count();
            Ok(())
        })?;
        Ok(json!({ "cleared": cleared }))
    }

    /// Changes the list: in the file, then on all shards. Bans that are over are forgotten on this occasion.
    pub(super) fn change(
        &self,
        control: &Control,
        end: &[Box<str>],
        edit: impl FnOnce(&mut Rules) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut state = self.lock();
        let mut rules = state.rules.clone();
        rules.expire(wall_clock::now_s());
        edit(&mut rules)?;
        state.file.write(&rules)?;
        let list = rules.matcher();
        let request = || Request::Ban { list: Matcher::boxed(list.as_ref()), end: end.to_vec() };
        let asked = match Shards(control).put_to_all(request) {
            Ok(asked) => asked,
            Err(problem) => {
                // No shard has it, so the file must not either.
                state.file.write(&state.rules)?;
                return Err(problem);
            }
        };
        // All have it before them.
        state.rules = rules;
        asked.answers().map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_cursor(text: &str) -> Result<Who, Problem> {
    let wrong = || Problem::new(format!("`{}` is no cursor", text.escape_debug()));
    let (kind, who) = text.split_once(':').ok_or_else(wrong)?;
    Who::parse(kind, who).map_err(|_| wrong().with_help("give back what `next` said, or nothing"))
}

/// A ban under EMQX's names.
fn row(who: &Who, rule: &Rule) -> Value {
    json!({
        "as": who.kind(),
        "who": who.to_string(),
        "by": rule.by,
        "reason": rule.reason,
        "at": wall_clock::rfc3339(rule.at_s),
        "until": banned::written_until(rule.until_s),
    })
}

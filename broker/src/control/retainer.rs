//! Questions about retained messages, a part at a time: how many, which, and removing them.
//!
//! A cursor is a shard and, after a point, the topic to go on at.

use super::lists::Shards;
use crate::config::Problem;
use ringmq_core::control::{Control as Request, Page, RetainedFacts, RetainedWalk};
use ringmq_core::machine::ShardId;
use ringmq_core::retained::Cursor;
use ringmq_core::topics::filter;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long one answer may go on removing.
const CLEANING: Duration = Duration::from_secs(5);

/// Pages asked for in search of the first message, for one answer.
const PAGES_MAX: usize = 64;

/// Where a walk goes on: a shard, and what to ask it.
struct At {
    shard: u8,
    from: Option<Cursor>,
}

impl Shards<'_> {
    /// How many messages are retained.
    pub(super) fn retainer_info(self) -> Result<Value, Problem> {
        let count = |(_, answer): &(ShardId, Request)| match answer {
            Request::RetainedCount(count) => *count,
            _ => 0,
        };
        let answers = self.ask_all(|| Request::CountRetained)?;
        Ok(json!({ "retained": answers.iter().map(count).sum::<usize>() }))
    }

    /// Retained messages whose topics match, all without a filter: `retained` and perhaps `next`.
    pub(super) fn retained(self, filter: Option<&str>, cursor: Option<&str>) -> Result<Value, Problem> {
        check_filter(filter)?;
        let mut at = self.begin(cursor)?;
        let mut rows = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(At { shard, from }) = at.take() else { break };
            let request = Request::ListRetained(RetainedWalk { filter: filter.map(Into::into), from });
            let Request::Retained(Page { rows: found, next }) = self.ask(ShardId(shard), request)? else {
                return Err(Problem::new(format!("shard {shard} gave no list")));
            };
            rows.extend(found.iter().map(row));
            at = self.onward(shard, next);
            if !rows.is_empty() {
                break;
            }
        }
        Ok(answer("retained", Value::Array(rows), at))
    }

    /// Removes retained messages whose topics match, all without a filter: `removed`, and `next` if there may be more.
    pub(super) fn clean_retained(self, filter: Option<&str>, cursor: Option<&str>) -> Result<Value, Problem> {
        check_filter(filter)?;
        let mut at = self.begin(cursor)?;
        let by = Instant::now() + CLEANING;
        let mut sum = 0;
        while let Some(At { shard, from }) = at.take() {
            let request = Request::CleanRetained(RetainedWalk { filter: filter.map(Into::into), from });
            let Request::CleanedRetained { removed, next } = self.ask(ShardId(shard), request)? else {
                return Err(Problem::new(format!("shard {shard} removed nothing")));
            };
            sum += removed;
            at = self.onward(shard, next);
            if Instant::now() > by {
                break;
            }
        }
        Ok(answer("removed", sum.into(), at))
    }

    fn begin(self, cursor: Option<&str>) -> Result<Option<At>, Problem> {
        let Some(text) = cursor else { return Ok(Some(At { shard: 0, from: None })) };
        let (shard, topic) = text.split_once('.').unwrap_or_default();
        let shard = shard.parse().ok().filter(|shard: &u8| usize::from(*shard) < self.0.shards());
        let problem = || Problem::new(format!("`{}` is no cursor", text.escape_debug()));
        let shard = shard.ok_or_else(|| problem().with_help("give back what `next` said, or nothing"))?;
        Ok(Some(At { shard, from: (!topic.is_empty()).then(|| Cursor::at(topic)) }))
    }

    /// Where to go on after an answer of a shard.
    fn onward(self, shard: u8, next: Option<Cursor>) -> Option<At> {
        match next {
            Some(cursor) => Some(At { shard, from: Some(cursor) }),
            None => (usize::from(shard) + 1 < self.0.shards()).then(|| At { shard: shard + 1, from: None }),
        }
    }
}

fn answer(name: &str, value: Value, next: Option<At>) -> Value {
    let mut result = Map::from_iter([(name.to_owned(), value)]);
    result.extend(next.map(|At { shard, from }| {
        let topic = from.as_ref().map_or("", Cursor::text);
        ("next".to_owned(), Value::String(format!("{shard}.{topic}")))
    }));
    Value::Object(result)
}

fn check_filter(filter: Option<&str>) -> Result<(), Problem> {
    let Some(filter) = filter else { return Ok(()) };
    let wrong = |why: &str| Err(Problem::new(format!("`{}` is no topic filter: {why}", filter.escape_debug())));
    match filter::parse(filter) {
        Ok(parsed) if parsed.share.is_none() => Ok(()),
        Ok(_) => wrong("it names a group"),
        Err(error) => wrong(&error.to_string()),
    }
}

fn row(facts: &RetainedFacts) -> Value {
    json!({ "topic": facts.topic, "qos": facts.qos, "payload_bytes": facts.payload_bytes })
}

//! Questions to shards while they run: lists a page at a time, single clients, and kicking one.
//!
//! A list goes through the shards in turn, and no shard does more than a page's work at a time. A cursor says where to
//! go on: shard, slot, and place within the slot. It is checked like anything else that comes from outside.

use super::subscriptions::EXCLUSIVE_PREFIX;
use crate::config::Problem;
use ringmq_core::control::{ClientFacts, Control as Request, FilterFacts, Page, Position, SubscriptionFacts};
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, Message};
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long the shards may be walked for one answer.
const WALK_MAX: Duration = Duration::from_secs(15);

/// How long shards may take to answer. They do it within a turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pages asked for in search of the first entry, for one answer.
const PAGES_MAX: usize = 64;

/// Where a list goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cursor {
    shard: u8,
    position: Position,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard, self.position.slot, self.position.within)
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let mut number = || numbers.next()?.parse().ok();
        let (shard, slot, within) = (number()?, number()?, number()?);
        let position = Position { slot, within };
        numbers.next().is_none().then_some(())?;
        Some(Self { shard: shard.try_into().ok()?, position })
    }
}

/// The shards, as they can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shards<'a>(pub(crate) &'a Control);

impl Shards<'_> {
    /// The sessions: `clients` and perhaps `next`.
    pub(super) fn clients(self, cursor: Option<&str>) -> Result<Value, Problem> {
        let page = |answer| if let Request::Clients(page) = answer { Some(page) } else { None };
        self.page("clients", cursor, Request::ListClients, page, client)
    }

    /// The subscriptions, perhaps of one client alone: `subscriptions` and perhaps `next`.
    pub(super) fn subscriptions(self, of: Option<&str>, cursor: Option<&str>) -> Result<Value, Problem> {
        if let Some(client_id) = of {
            self.client(client_id)?;
        }
        let request = |from| Request::ListSubscriptions { of: of.map(Into::into), from };
        let page = |answer| if let Request::Subscriptions(page) = answer { Some(page) } else { None };
        self.page("subscriptions", cursor, request, page, subscription)
    }

    /// The topics that clients have to themselves: `exclusive` and perhaps `next`.
    pub(super) fn exclusive(self, cursor: Option<&str>) -> Result<Value, Problem> {
        let mut page = self.subscriptions(None, cursor)?;
        let owned = |row: &Value| {
            let topic = row["topic"].as_str()?.strip_prefix(EXCLUSIVE_PREFIX)?;
            Some(json!({ "topic": topic, "clientid": row["clientid"] }))
        };
        let rows = page["subscriptions"].as_array().into_iter().flatten().filter_map(owned).collect::<Vec<_>>();
        let mut result = json!({ "exclusive": rows });
        if let Some(next) = page.get_mut("next") {
            result["next"] = next.take();
        }
        Ok(result)
    }

    /// The filters that somebody subscribes to, shard by shard: `topics` and perhaps `next`.
    pub(super) fn topics(self, cursor: Option<&str>) -> Result<Value, Problem> {
        let page = |answer| if let Request::Filters(page) = answer { Some(page) } else { None };
        self.page("topics", cursor, Request::ListFilters, page, topic)
    }

    /// One session.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn client(self, client_id: &str) -> Result<Value, Problem> {
        let answers = self.ask_all(|| Request::ShowClient(client_id.into()))?;
        let found = answers.into_iter().find_map(|(shard, answer)| match answer {
            Request::Client(Some(facts)) => Some(client(shard, &facts)),
            _ => None,
        });
        found.ok_or_else(|| unknown(client_id))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn kick(self, client_id: &str) -> Result<Value, Problem> {
        let answers = self.ask_all(|| Request::KickClient(client_id.into()))?;
        let kicked = answers.iter().any(|(_, answer)| matches!(answer, Request::Kicked(true)));
        kicked.then(|| json!({ "kicked": client_id })).ok_or_else(|| unknown(client_id))
    }

    /// Their number.
    pub(crate) fn shards(self) -> u8 {
        u8::try_from(self.0.shards()).expect("at most 64 shards")
    }

    fn page<T>(
        self,
        name: &str,
        cursor: Option<&str>,
        request: impl Fn(Position) -> Request,
        page: impl Fn(Request) -> Option<Page<T>>,
        row: impl Fn(ShardId, &T) -> Value,
    ) -> Result<Value, Problem> {
        let mut next = Some(match cursor {
            None => Cursor::default(),
            Some(text) => {
                Cursor::parse(text).filter(|cursor| usize::from(cursor.shard) < self.0.shards()).ok_or_else(|| {
                    Problem::new(format!("`{}` is no cursor", text.escape_debug()))
                        .with_help("give back what `next` said, or nothing")
                })?
            }
        });
        let mut rows = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(Cursor { shard, position }) = next.filter(|_| rows.is_empty()) else { break };
            let answer = self.ask(ShardId(shard), request(position))?;
            let found = page(answer).ok_or_else(|| Problem::new(format!("shard {shard} gave no list")))?;
            rows.extend(found.rows.iter().map(|found| row(ShardId(shard), found)));
            let after = usize::from(shard) + 1;
            let following =
                (after < self.0.shards()).then(|| Cursor { shard: shard + 1, position: Position::default() });
            next = found.next.map(|position| Cursor { shard, position }).or(following);
        }
        let mut result = Map::from_iter([(name.to_owned(), Value::Array(rows))]);
        result.extend(next.map(|cursor| ("next".to_owned(), Value::String(cursor.to_string()))));
        Ok(Value::Object(result))
    }

    /// Visits all entries of a list of every shard; false if that took too long, and some were left out.
    pub(super) fn walk<T>(
        self,
        request: impl Fn(Position) -> Request,
        page: impl Fn(Request) -> Option<Page<T>>,
        mut visit: impl FnMut(&T),
    ) -> Result<bool, Problem> {
        let by = Instant::now() + WALK_MAX;
        let mut seen_all = true;
        for shard in (0..self.shards()).map(ShardId) {
            let mut next = Some(Position::default());
            while let Some(from) = next {
                let found = page(self.ask(shard, request(from))?)
                    .ok_or_else(|| Problem::new(format!("shard {} gave no list", shard.0)))?;
                found.rows.iter().for_each(&mut visit);
                next = found.next.filter(|_| Instant::now() < by);
                seen_all &= next == found.next;
            }
        }
        Ok(seen_all)
    }

    /// Asks one shard.
    pub(crate) fn ask(self, shard: ShardId, request: Request) -> Result<Request, Problem> {
        let answers = self.0.ask(shard, Box::new(request)).map_err(|full| Problem::new(full.to_string()))?;
        receive(&answers, Instant::now() + PATIENCE).map(|(_, answer)| answer)
    }

    /// Asks all shards the same.
    ///
    /// # Errors
    /// One has too much to do, and none was asked; or one does not answer in time.
    pub(crate) fn ask_all(self, request: impl Fn() -> Request) -> Result<Vec<(ShardId, Request)>, Problem> {
        self.put_to_all(request)?.answers()
    }

    /// Puts the same before all shards, without waiting for what they answer.
    ///
    /// # Errors
    /// One has too much to do, and none was asked.
    pub(crate) fn put_to_all(self, request: impl Fn() -> Request) -> Result<Asked, Problem> {
        let message = |_| -> Message { Box::new(request()) };
        let answers = self.0.ask_all(message).map_err(|full| Problem::new(full.to_string()))?;
        Ok(Asked { answers, shards: self.0.shards() })
    }
}

/// What all shards have before them, and will do.
pub(crate) struct Asked {
    answers: Receiver<(ShardId, Message)>,
    shards: usize,
}

impl Asked {
    /// What each made of it.
    ///
    /// # Errors
    /// One does not answer in time.
    pub(super) fn answers(self) -> Result<Vec<(ShardId, Request)>, Problem> {
        let by = Instant::now() + PATIENCE;
        (0..self.shards).map(|_| receive(&self.answers, by)).collect()
    }
}

/// One shard's answer, which is a `T`.
///
/// # Errors
/// It has not come by that time, or is something else.
pub(crate) fn receive<T: 'static>(
    answers: &Receiver<(ShardId, Message)>,
    by: Instant,
) -> Result<(ShardId, T), Problem> {
    let late =
        || Problem::new("a shard has not answered in time").with_help("it does what was asked before it reads on");
    let (shard, message) = answers.recv_timeout(by.saturating_duration_since(Instant::now())).map_err(|_| late())?;
    let answer = message.downcast().map_err(|_| Problem::new(format!("shard {} gave no answer", shard.0)))?;
    Ok((shard, *answer))
}

pub(super) fn unknown(client_id: &str) -> Problem {
    Problem::new(format!("there is no client `{}`", client_id.escape_debug()))
}

/// A client under EMQX's names, as far as it has them.
fn client(shard: ShardId, facts: &ClientFacts) -> Value {
    let mut row = json!({
        "clientid": facts.client_id,
        "connected": facts.peer.is_some(),
        "listener": facts.listener,
        "proto_ver": facts.protocol_level,
        "keepalive": facts.keep_alive_s,
        "expiry_interval": facts.expiry_s,
        "subscriptions_cnt": facts.subscriptions,
        "mqueue_len": facts.queued,
        "inflight_cnt": facts.in_flight,
        "inflight_max": facts.in_flight_max,
        "awaiting_rel_cnt": facts.unreleased,
        "unsent_bytes": facts.unsent_bytes,
        "congested": facts.congested,
        "held_back": facts.held_back,
        "holds_back": facts.holds_back,
        "send_msg.dropped.queue_full": facts.drops.queue_full,
        "send_msg.dropped.too_large": facts.drops.too_large,
        "send_msg.dropped.expired": facts.drops.expired,
        "send_msg.dropped.qos0_msg": facts.drops.qos0_msg,
        "shard": shard.0,
    });
    if let Some(username) = &facts.username {
        row["username"] = json!(username);
    }
    if let Some(mountpoint) = &facts.mountpoint {
        row["mountpoint"] = json!(mountpoint);
    }
    match facts.peer {
        Some(peer) => {
            row["ip_address"] = json!(peer.ip());
            row["port"] = json!(peer.port());
            row["connected_at"] = json!(facts.since_ms);
        }
        None => row["disconnected_at"] = json!(facts.since_ms),
    }
    row
}

fn subscription(_: ShardId, facts: &SubscriptionFacts) -> Value {
    let mut row = json!({
        "clientid": facts.client_id,
        "topic": facts.filter,
        "qos": facts.qos,
        "nl": u8::from(facts.no_local),
        "rap": u8::from(facts.retain_as_published),
    });
    if facts.subscription_id != 0 {
        row["subid"] = json!(facts.subscription_id);
    }
    row
}

fn topic(shard: ShardId, facts: &FilterFacts) -> Value {
    json!({ "topic": facts.filter, "shard": shard.0, "subscribers": facts.subscribers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written_and_nothing_else_is() {
        let cursor = Cursor { shard: 63, position: Position { slot: 4_000_000_000, within: 7 } };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        assert_eq!(Cursor::parse("0.0.0"), Some(Cursor::default()));
        for wrong in ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.0", "256.0.0", "0.4294967296.0", " 0.0.0"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}

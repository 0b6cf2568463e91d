//! Subscriptions that the operator makes and ends in a client's place.

use super::lists::{Shards, unknown};
use crate::config::Problem;
use ringmq_core::control::{Control as Request, ExclusiveOwner, SubscribeOutcome};
use ringmq_core::machine::ShardId;
use ringmq_wire::QoS;
use serde_json::{Value, json};

/// Begins the filter of an exclusive subscription.
pub(super) const EXCLUSIVE_PREFIX: &str = "$exclusive/";

impl Shards<'_> {
    /// Subscribes a connected client: `subscribed`, and the `qos`.
    ///
    /// # Errors
    /// There is no such client, it is not connected, or may not have such a subscription.
    pub(super) fn add_subscription(self, client_id: &str, filter: &str, qos: u8) -> Result<Value, Problem> {
        let named =
            QoS::from_bits(qos).ok_or_else(|| Problem::new(format!("{qos} is no QoS")).with_help("0, 1 or 2"))?;
        if filter.starts_with(EXCLUSIVE_PREFIX) {
            // Whether it is free is known on another shard, which answers the client.
            let problem = Problem::new("an exclusive subscription can only be made by its client");
            return Err(problem.with_help("add the topic alone: exclusive ones do not hinder it"));
        }
        let request = || Request::Subscribe { client_id: client_id.into(), filter: filter.into(), qos: named };
        let outcome = self.ask_all(request)?.into_iter().find_map(|(_, answer)| match answer {
            Request::Subscribed(outcome) => outcome,
            _ => None,
        });
        match outcome.ok_or_else(|| unknown(client_id))? {
            SubscribeOutcome::Done => Ok(json!({ "subscribed": filter, "qos": qos })),
            SubscribeOutcome::NotConnected => {
                let problem = Problem::new(format!("the client `{}` is not connected", client_id.escape_debug()));
                Err(problem.with_help("auto_subscribe.topics is for clients that come"))
            }
            SubscribeOutcome::Refused(reason) => {
                Err(Problem::new(format!("`{}` is refused: {reason}", filter.escape_debug())))
            }
        }
    }

    /// Ends a subscription: `unsubscribed`.
    ///
    /// # Errors
    /// There is no such client, or it has no such subscription.
    pub(super) fn delete_subscription(self, client_id: &str, filter: &str) -> Result<Value, Problem> {
        let request = || Request::Unsubscribe { client_id: client_id.into(), filter: filter.into() };
        let ended = self.ask_all(request)?.into_iter().find_map(|(_, answer)| match answer {
            Request::Unsubscribed(ended) => ended,
            _ => None,
        });
        if ended.ok_or_else(|| unknown(client_id))? {
            return Ok(json!({ "unsubscribed": filter }));
        }
        let (client, filter) = (client_id.escape_debug(), filter.escape_debug());
        let problem = Problem::new(format!("the client `{client}` does not subscribe to `{filter}`"));
        Err(problem.with_help("as `ctl subscriptions list` shows them, in quotes"))
    }

    /// Takes a topic from the client that has it to itself: `deleted`, and whose it was, `clientid`.
    ///
    /// # Errors
    /// Nobody has it.
    pub(super) fn delete_exclusive(self, topic: &str) -> Result<Value, Problem> {
        let topic = topic.strip_prefix(EXCLUSIVE_PREFIX).unwrap_or(topic);
        let answers = self.ask_all(|| Request::FindExclusive(topic.into()))?;
        let owner = answers.into_iter().find_map(|(_, answer)| match answer {
            Request::FoundExclusive(owner) => owner,
            _ => None,
        });
        let ended = owner.map(|owner| self.end_exclusive(owner, topic)).transpose()?.flatten();
        let nobody = || Problem::new(format!("nobody has `{}` exclusively", topic.escape_debug()));
        ended.map(|client_id| json!({ "deleted": topic, "clientid": client_id })).ok_or_else(nobody)
    }

    fn end_exclusive(self, owner: ExclusiveOwner, topic: &str) -> Result<Option<Box<str>>, Problem> {
        let ShardId(shard) = owner.shard;
        match self.ask(owner.shard, Request::EndExclusive { owner, topic: topic.into() })? {
            Request::EndedExclusive(client_id) => Ok(client_id),
            _ => Err(Problem::new(format!("shard {shard} gave no answer"))),
        }
    }
}

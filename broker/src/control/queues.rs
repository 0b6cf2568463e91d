//! Message queues of a running broker: how long they are, who consumes them, and how far these lag behind.

use super::lists::Shards;
use crate::config::Problem;
use ringmq_core::control::{Control as Request, QueueConsumerFacts, QueueFacts};
use ringmq_core::machine::ShardId;
use serde_json::{Value, json};

impl Shards<'_> {
    /// All of them, by name: `queues`.
    pub(super) fn queues(self) -> Result<Value, Problem> {
        let mut queues = self.queue_facts(|| Request::ListQueues)?;
        queues.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        let rows: Vec<Value> = queues.iter().map(|(shard, facts)| row(*shard, facts)).collect();
        Ok(json!({ "queues": rows }))
    }

    /// One of them, with its consumers.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn queue(self, name: &str) -> Result<Value, Problem> {
        let queues = self.queue_facts(|| Request::ShowQueue(name.into()))?;
        let Some((shard, facts)) = queues.first() else {
            let problem = Problem::new(format!("there is no queue `{}`", name.escape_debug()));
            return Err(problem.with_help("set ringmq.queues.<name>.topic_filter to declare one"));
        };
        let consumer = |facts: &QueueConsumerFacts| json!({ "clientid": facts.client_id, "shard": facts.shard.0, "inflight_cnt": facts.in_flight });
        let mut shown = row(*shard, facts);
        shown["members"] = facts.shown.iter().map(consumer).collect();
        shown["complete"] = json!(facts.shown.len() == facts.consumers);
        Ok(shown)
    }

    fn queue_facts(self, request: impl Fn() -> Request) -> Result<Vec<(ShardId, QueueFacts)>, Problem> {
        let answers = self.ask_all(request)?;
        let facts = answers.into_iter().flat_map(|(shard, answer)| {
            let queues = if let Request::Queues(queues) = answer { queues } else { Vec::new() };
            queues.into_iter().map(move |facts| (shard, facts))
        });
        Ok(facts.collect())
    }
}

fn row(shard: ShardId, facts: &QueueFacts) -> Value {
    json!({
        "name": facts.name,
        "declared": facts.declared,
        "topic_filter": facts.topic_filter,
        "last_value": facts.last_value,
        "length": facts.length,
        "bytes": facts.bytes,
        "lag": facts.waiting,
        "lag_ms": facts.oldest_ms.unwrap_or(0),
        "inflight_cnt": facts.length - facts.waiting,
        "consumers": facts.consumers,
        "received": facts.counts.received,
        "settled": facts.counts.settled,
        "returned": facts.counts.returned,
        "replaced": facts.counts.replaced,
        "dropped": facts.counts.dropped,
        "expired": facts.counts.expired,
        "shard": shard.0,
    })
}

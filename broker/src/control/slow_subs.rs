//! The slowest subscriptions of a running broker: those of all shards, the slowest first.

use super::console::Console;
use super::lists::Shards;
use crate::config::Problem;
use ringmq_core::control::{Control as Request, SlowSubFacts};
use serde_json::{Value, json};
use std::cmp::Reverse;

impl Console {
    /// The slowest, as many as `slow_subs.top_k_num`: `slow_subs`.
    pub(super) fn list_slow_subs(&self) -> Result<Value, Problem> {
        let answers = Shards(self.shards()).ask_all(|| Request::ListSlowSubs)?;
        let slow = answers.into_iter().flat_map(|(_, answer)| match answer {
            Request::SlowSubs(slow) => slow,
            _ => Vec::new(),
        });
        let mut slow: Vec<SlowSubFacts> = slow.collect();
        slow.sort_by_key(|facts| Reverse(facts.span_ms));
        slow.truncate(usize::from(self.settings().slow_subs.top_k));
        let row = |facts: &SlowSubFacts| {
            json!({
                "clientid": facts.client_id,
                "topic": facts.topic,
                "timespan": facts.span_ms,
                "node": self.alarms().node(),
                "last_update_time": facts.at_ms,
            })
        };
        Ok(json!({ "slow_subs": slow.iter().map(row).collect::<Vec<_>>() }))
    }

    /// Forgets them.
    pub(super) fn clear_slow_subs(&self) -> Result<Value, Problem> {
        Shards(self.shards()).ask_all(|| Request::ClearSlowSubs)?;
        Ok(json!({ "cleared": true }))
    }
}

//! Topic metrics of a running broker: topics are registered with all shards or with none, and what these count is summed.

use super::console::Console;
use super::lists::Shards;
use crate::config::Problem;
use crate::topic_metrics::{INTERVAL, Refusal, Registry};
use ringmq_core::control::{COUNTED_TOPICS_MAX, Control as Request, TopicCounts};
use ringmq_core::topics::filter;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The topics that are counted. Locked for the whole of a change, so that changes come one after the other.
#[derive(Debug, Default)]
pub(super) struct TopicMetrics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    /// When the sums were last looked at.
    looked: Option<Instant>,
}

impl TopicMetrics {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// What was counted: `topic_metrics`.
    pub(super) fn list_topic_metrics(&self) -> Result<Value, Problem> {
        let state = self.topic_metrics().lock();
        let sums = self.topic_sums(&state.registry)?;
        Ok(json!({ "topic_metrics": state.registry.rows(&sums) }))
    }

    /// Counts a topic from now on.
    ///
    /// # Errors
    /// It is no topic's name, is counted already, there are too many, or the shards cannot be told.
    pub(super) fn register_topic(&self, topic: &str) -> Result<Value, Problem> {
        let quoted = topic.escape_debug();
        if topic.is_empty() || filter::has_wildcard(topic) || filter::parse(topic).is_err() {
            let problem = Problem::new(format!("`{quoted}` is no topic"));
            return Err(problem.with_help("topics are counted exactly as they are, without wildcards"));
        }
        let mut state = self.topic_metrics().lock();
        state.registry.register(topic).map_err(|refusal| match refusal {
            Refusal::Known => Problem::new(format!("`{quoted}` is counted already")),
            Refusal::Full => Problem::new(format!("{COUNTED_TOPICS_MAX} topics are counted already"))
                .with_help("unregister one of them"),
        })?;
        if let Err(problem) = self.count_topics(&state.registry) {
            state.registry.unregister(topic);
            return Err(problem);
        }
        Ok(json!({ "registered": topic }))
    }

    /// Counts a topic no longer, or all of them.
    ///
    /// # Errors
    /// It is not counted, or the shards cannot be told; what they count is not shown any more even then.
    pub(super) fn unregister_topic(&self, topic: Option<&str>) -> Result<Value, Problem> {
        let mut state = self.topic_metrics().lock();
        let unregistered = match topic {
            Some(topic) if state.registry.unregister(topic) => 1,
            Some(topic) => return Err(unknown(topic)),
            None => state.registry.clear(),
        };
        self.count_topics(&state.registry)?;
        Ok(json!({ "unregistered": unregistered }))
    }

    /// Begins to count anew, one topic or all of them.
    ///
    /// # Errors
    /// It is not counted, or the shards do not answer.
    pub(super) fn reset_topic(&self, topic: Option<&str>) -> Result<Value, Problem> {
        let mut state = self.topic_metrics().lock();
        if let Some(topic) = topic.filter(|topic| !state.registry.contains(topic)) {
            return Err(unknown(topic));
        }
        let sums = self.topic_sums(&state.registry)?;
        state.registry.reset(topic, &sums);
        Ok(json!({ "reset": topic.map_or_else(|| state.registry.topics().len(), |_| 1) }))
    }

    /// Looks at the sums now and then, which is what rates are made of.
    ///
    /// # Errors
    /// The shards do not answer.
    pub(crate) fn look_at_topics(&self, now: Instant) -> Result<(), Problem> {
        let mut state = self.topic_metrics().lock();
        let due = state.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= INTERVAL);
        if !due || state.registry.is_empty() {
            return Ok(());
        }
        state.looked = Some(now);
        let sums = self.topic_sums(&state.registry)?;
        state.registry.look(&sums, now);
        Ok(())
    }

    fn count_topics(&self, registry: &Registry) -> Result<(), Problem> {
        Shards(self.shards()).put_to_all(|| Request::CountTopics(registry.topics()))?.answers().map(drop)
    }

    fn topic_sums(&self, registry: &Registry) -> Result<BTreeMap<String, TopicCounts>, Problem> {
        let mut sums: BTreeMap<String, TopicCounts> = BTreeMap::new();
        if registry.is_empty() {
            return Ok(sums);
        }
        for (_, answer) in Shards(self.shards()).ask_all(|| Request::ListTopicCounts)? {
            let Request::TopicCounts(counts) = answer else { continue };
            for (topic, counts) in counts {
                sums.entry(topic.into()).or_default().add(&counts);
            }
        }
        Ok(sums)
    }
}

fn unknown(topic: &str) -> Problem {
    Problem::new(format!("`{}` is not counted", topic.escape_debug()))
}

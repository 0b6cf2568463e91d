//! Topic metrics of a running broker: which topics are counted is a setting (`topic_metrics`), brought to all shards or to
//! none like any other; what these count is summed here.

use super::console::Console;
use super::lists::Shards;
use crate::config::{Config, Problem, Problems, quoted};
use crate::topic_metrics::{INTERVAL, Registry};
use ringmq_core::control::{COUNTED_TOPICS_MAX, Control as Request, TopicCounts};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The setting.
const KEY: &str = "topic_metrics";

/// What was counted. Locked after the configuration where both are.
#[derive(Debug, Default)]
pub(super) struct TopicMetrics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    /// When the sums were last looked at.
    looked: Option<Instant>,
}

impl TopicMetrics {
    /// Counts these topics and no others.
    pub(super) fn follow(&self, topics: &[String]) {
        self.lock().registry.follow(topics);
    }

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
    /// It is no topic's name, is counted already, there are too many, or the change cannot be made.
    pub(super) fn register_topic(&self, topic: &str) -> Result<Value, Problem> {
        self.edit_topics(|topics| {
            if topics.iter().any(|known| known == topic) {
                return Err(Problem::new(format!("`{}` is counted already", topic.escape_debug())));
            }
            if topics.len() >= COUNTED_TOPICS_MAX {
                let problem = Problem::new(format!("{COUNTED_TOPICS_MAX} topics are counted already"));
                return Err(problem.with_help("unregister one of them"));
            }
            topics.push(topic.to_owned());
            Ok(())
        })?;
        Ok(json!({ "registered": topic }))
    }

    /// Counts a topic no longer, or all of them.
    ///
    /// # Errors
    /// It is not counted, or the change cannot be made.
    pub(super) fn unregister_topic(&self, topic: Option<&str>) -> Result<Value, Problem> {
        let mut unregistered = 0;
        self.edit_topics(|topics| {
            let before = topics.len();
            topics.retain(|known| topic.is_some_and(|topic| topic != known));
            unregistered = before - topics.len();
            topic.filter(|_| unregistered == 0).map_or(Ok(()), |topic| Err(unknown(topic)))
        })?;
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

    /// Has all shards count the topics of `new`, if these are others than those of `old`.
    ///
    /// # Errors
    /// A shard has too much to do, and none counts them.
    pub(super) fn count_topics(&self, old: &Config, new: &Config) -> Result<(), Problem> {
        if new.topic_metrics == old.topic_metrics {
            return Ok(());
        }
        let topics = || new.topic_metrics.iter().map(|topic| Box::from(topic.as_str())).collect();
        // All have it before them and come to it before anything that they are asked later.
        Shards(self.shards()).put_to_all(|| Request::CountTopics(topics())).map(drop)
    }

    fn edit_topics(&self, edit: impl FnOnce(&mut Vec<String>) -> Result<(), Problem>) -> Result<(), Problem> {
        let changed = self.set_to(KEY, |config| {
            let mut topics = config.topic_metrics.clone();
            edit(&mut topics)?;
            let records: Vec<String> = topics.iter().map(|topic| format!("{{topic = {}}}", quoted(topic))).collect();
            Ok(format!("[{}]", records.join(", ")))
        });
        let first = |Problems(problems): Problems| problems.into_iter().next();
        changed.map(drop).map_err(|problems| first(problems).unwrap_or_else(|| Problem::new("refused")))
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

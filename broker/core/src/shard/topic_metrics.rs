//! Messages counted by topic (EMQX's topic metrics): for a few topics that the operator has named, exactly as they are.
//!
//! Where no topic is named there is no [`TopicMetrics`], and a message pays one test for that.
//!
//! Absent: rates, and the sum over the shards, which are the process's affair.

use super::Shard;
use crate::control::{COUNTED_TOPICS_MAX, TopicCounts};
use alloc::boxed::Box;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ringmq_wire::QoS;

/// What was counted, by topic.
pub(super) struct TopicMetrics(HashMap<Box<str>, TopicCounts, FixedState>);

impl TopicMetrics {
    /// A message was published.
    #[cold]
    pub(super) fn count_in(&mut self, topic: &str, qos: QoS) {
        if let Some(counts) = self.0.get_mut(topic) {
            counts.received[usize::from(qos.bits())] += 1;
        }
    }

    /// A message was sent to a client.
    #[cold]
    pub(super) fn count_out(&mut self, topic: &str, qos: QoS) {
        if let Some(counts) = self.0.get_mut(topic) {
            counts.sent[usize::from(qos.bits())] += 1;
        }
    }

    /// A message matched no subscription.
    #[cold]
    pub(super) fn count_dropped(&mut self, topic: &str) {
        if let Some(counts) = self.0.get_mut(topic) {
            counts.dropped += 1;
        }
    }
}

impl Shard {
    /// Counts these topics from now on and no others; those that were counted before go on.
    pub(super) fn count_topics(&mut self, topics: Vec<Box<str>>) {
        let mut before = self.hub.topic_metrics.take();
        if topics.is_empty() {
            return;
        }
        let mut counts = HashMap::with_hasher(FixedState::with_seed(self.placement.hash(b"topic metrics")));
        for topic in topics.into_iter().take(COUNTED_TOPICS_MAX) {
            let so_far = before.as_mut().and_then(|before| before.0.remove(&topic)).unwrap_or_default();
            counts.insert(topic, so_far);
        }
        self.hub.topic_metrics = Some(Box::new(TopicMetrics(counts)));
    }

    /// What was counted.
    pub(super) fn topic_counts(&self) -> Vec<(Box<str>, TopicCounts)> {
        let metrics = self.hub.topic_metrics.as_ref();
        metrics
            .map_or_else(Vec::new, |metrics| metrics.0.iter().map(|(topic, counts)| (topic.clone(), *counts)).collect())
    }
}

//! `fanout`: a few publishers, many subscribers, the same topics for all.

use super::{Scenario, Sources};

/// A few to many.
#[derive(Debug, Clone)]
pub struct Fanout {
    /// How many publish.
    pub publishers: u32,
    /// How many subscribe, each to all topics.
    pub subscribers: u32,
    /// Topics, by name without wildcards; publisher `i` uses topic `i % topics`.
    pub topics: u32,
}

impl Scenario for Fanout {
    fn name(&self) -> &str {
        "fanout"
    }

    fn publishers(&self) -> u32 {
        self.publishers
    }

    fn subscribers(&self) -> u32 {
        self.subscribers
    }

    fn topic(&self, publisher: u32) -> String {
        format!("out/{}", publisher % self.topics)
    }

    fn filters(&self, _subscriber: u32) -> Vec<String> {
        (0..self.topics).map(|topic| format!("out/{topic}")).collect()
    }

    fn sources(&self, _subscriber: u32) -> Sources {
        Sources::Progression { first: 0, step: 1, count: self.publishers }
    }

    fn copies(&self, _publisher: u32) -> u32 {
        self.subscribers
    }
}

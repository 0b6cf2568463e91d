//! `fanin`: many publishers, a few subscribers. Every publisher has a topic of its own, `in/SUBSCRIBER/PUBLISHER`;
//! what the subscribers subscribe to decides who hears whom.

use super::{Scenario, Sources};

/// Who hears whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Publisher `i` is heard by subscriber `i % subscribers` alone, which subscribes by a wildcard.
    Slice,
    /// Everyone hears everyone.
    All,
    /// The subscribers are members of one shared subscription with this group name.
    Shared(String),
}

/// Many to a few.
#[derive(Debug, Clone)]
pub struct Fanin {
    /// How many publish.
    pub publishers: u32,
    /// How many subscribe.
    pub subscribers: u32,
    /// Who hears whom.
    pub reach: Reach,
}

impl Scenario for Fanin {
    fn name(&self) -> &str {
        "fanin"
    }

    fn publishers(&self) -> u32 {
        self.publishers
    }

    fn subscribers(&self) -> u32 {
        self.subscribers
    }

    fn topic(&self, publisher: u32) -> String {
        format!("in/{}/{publisher}", publisher % self.subscribers)
    }

    fn filters(&self, subscriber: u32) -> Vec<String> {
        match self.reach {
            Reach::Slice => vec![format!("in/{subscriber}/#")],
            Reach::All | Reach::Shared(_) => vec!["in/#".into()],
        }
    }

    fn share(&self) -> Option<&str> {
        match &self.reach {
            Reach::Shared(group) => Some(group),
            Reach::Slice | Reach::All => None,
        }
    }

    fn sources(&self, subscriber: u32) -> Sources {
        match self.reach {
            Reach::All | Reach::Shared(_) => Sources::Progression { first: 0, step: 1, count: self.publishers },
            Reach::Slice => {
                let count = self.publishers.saturating_sub(subscriber).div_ceil(self.subscribers);
                Sources::Progression { first: subscriber, step: self.subscribers, count }
            }
        }
    }

    fn copies(&self, _publisher: u32) -> u32 {
        match self.reach {
            Reach::Slice | Reach::Shared(_) => 1,
            Reach::All => self.subscribers,
        }
    }

    fn publisher_thread(&self, publisher: u32, threads: u32) -> u32 {
        match self.reach {
            Reach::Slice => self.subscriber_thread(publisher % self.subscribers, threads),
            Reach::All | Reach::Shared(_) => publisher % threads,
        }
    }
}

//! Scenarios: who publishes what to whom, as pure functions of client numbers.
//!
//! Publishers and subscribers are numbered from 0 each. Nothing is stored per client here, so a scenario of a million
//! clients is a few integers. Absent: rates, sizes and everything else that scenarios have in common.

mod conn;
mod fanin;
mod fanout;
mod groups;
mod p2p;
mod routing;

pub use conn::Conn;
pub use fanin::{Fanin, Reach};
pub use fanout::Fanout;
pub(crate) use groups::{Fill, check_filter, check_topic, expand};
pub use groups::{Groups, PublisherGroup, SubscriberGroup};
pub use p2p::P2p;

use std::sync::Arc;

/// The publishers a subscriber receives from, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// `first`, `first + step`, ...
    Progression {
        /// Number of the first publisher.
        first: u32,
        /// Distance to the next; at least 1.
        step: u32,
        /// How many.
        count: u32,
    },
    /// Any others, ascending; shared by all subscribers with the same filters.
    List(Arc<[u32]>),
}

impl Sources {
    /// None at all.
    pub const NONE: Self = Self::Progression { first: 0, step: 1, count: 0 };

    /// Puts ascending publishers into the smaller of the two forms.
    #[must_use]
    pub fn new(publishers: &[u32]) -> Self {
        let Some(first) = publishers.first().copied() else { return Self::NONE };
        let step = publishers.get(1).map_or(1, |second| second - first);
        if publishers.windows(2).all(|pair| pair[1] - pair[0] == step) {
            return Self::Progression { first, step, count: publishers.len() as u32 };
        }
        Self::List(publishers.into())
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::Progression { count, .. } => *count,
            Self::List(list) => list.len() as u32,
        }
    }

    /// Position of a publisher; `None` if the subscriber should not hear from it.
    #[must_use]
    pub fn position(&self, publisher: u32) -> Option<u32> {
        match self {
            Self::Progression { first, step, count } => {
                let distance = publisher.checked_sub(*first)?;
                (distance % step == 0).then_some(distance / step).filter(|position| position < count)
            }
            Self::List(list) => list.binary_search(&publisher).ok().map(|position| position as u32),
        }
    }

    /// The publishers.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.count()).map(move |position| match self {
            Self::Progression { first, step, .. } => first + position * step,
            Self::List(list) => list[position as usize],
        })
    }
}

/// Who publishes what to whom.
pub trait Scenario: Send + Sync + std::fmt::Debug {
    /// The name on the command line, or of the file.
    fn name(&self) -> &str;

    /// How many clients publish.
    fn publishers(&self) -> u32;

    /// How many clients receive, or just hold a connection.
    fn subscribers(&self) -> u32;

    /// What a publisher publishes to, below the topic prefix.
    fn topic(&self, publisher: u32) -> String;

    /// What a subscriber subscribes to, below the topic prefix; may be nothing.
    fn filters(&self, subscriber: u32) -> Vec<String>;

    /// The shared subscription's group that all subscribers are members of.
    fn share(&self) -> Option<&str> {
        None
    }

    /// Whose messages a subscriber receives. Must be what [`Scenario::topic`] and [`Scenario::filters`] amount to.
    fn sources(&self, subscriber: u32) -> Sources;

    /// How many subscribers receive a message of a publisher.
    fn copies(&self, publisher: u32) -> u32;

    /// The thread that runs a publisher.
    fn publisher_thread(&self, publisher: u32, threads: u32) -> u32 {
        publisher % threads
    }

    /// The thread that runs a subscriber.
    fn subscriber_thread(&self, subscriber: u32, threads: u32) -> u32 {
        subscriber % threads
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// MQTT's matching of a topic against a filter, straight from section 4.7.
    pub(super) fn matches(filter: &str, topic: &str) -> bool {
        let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
        loop {
            match (filter.next(), topic.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(level), Some(name)) if level == name => {}
                _ => return false,
            }
        }
    }

    #[test]
    fn sources_and_copies_are_what_topics_and_filters_amount_to() {
        let scenarios: [Box<dyn Scenario>; 7] = [
            Box::new(Conn { clients: 3, subscribe: true }),
            Box::new(P2p { pairs: 5 }),
            Box::new(Fanin { publishers: 11, subscribers: 3, reach: Reach::Slice }),
            Box::new(Fanin { publishers: 2, subscribers: 3, reach: Reach::Slice }),
            Box::new(Fanin { publishers: 4, subscribers: 3, reach: Reach::All }),
            Box::new(Fanout { publishers: 3, subscribers: 4, topics: 2 }),
            Box::new(Fanout { publishers: 1, subscribers: 4, topics: 1 }),
        ];
        for scenario in scenarios {
            let mut copies = vec![0; scenario.publishers() as usize];
            for subscriber in 0..scenario.subscribers() {
                let sources = scenario.sources(subscriber);
                let mut expected = Vec::new();
                for publisher in 0..scenario.publishers() {
                    let topic = scenario.topic(publisher);
                    let hits = scenario.filters(subscriber).iter().filter(|filter| matches(filter, &topic)).count();
                    assert!(hits < 2, "{scenario:?}: overlapping filters may deliver twice");
                    if hits == 1 {
                        expected.push(publisher);
                        copies[publisher as usize] += 1;
                    }
                    assert_eq!(sources.position(publisher).is_some(), hits == 1, "{scenario:?} {publisher}");
                }
                assert_eq!(sources.iter().collect::<Vec<_>>(), expected, "{scenario:?}");
            }
            for publisher in 0..scenario.publishers() {
                assert_eq!(scenario.copies(publisher), copies[publisher as usize], "{scenario:?} {publisher}");
            }
        }
    }

    #[test]
    fn a_group_receives_each_message_once() {
        let scenario = Fanin { publishers: 4, subscribers: 3, reach: Reach::Shared("workers".into()) };
        assert_eq!(scenario.share(), Some("workers"));
        assert_eq!(scenario.copies(3), 1);
        assert_eq!(scenario.sources(2).count(), 4);
    }

    #[test]
    fn what_belongs_together_runs_on_one_thread() {
        let pairs = P2p { pairs: 10 };
        let slices = Fanin { publishers: 100, subscribers: 7, reach: Reach::Slice };
        for threads in 1..5 {
            for pair in 0..10 {
                assert_eq!(pairs.publisher_thread(pair, threads), pairs.subscriber_thread(pair, threads));
            }
            for publisher in 0..100 {
                let subscriber = publisher % 7;
                let its = slices.subscriber_thread(subscriber, threads);
                assert_eq!(slices.publisher_thread(publisher, threads), its);
            }
        }
    }
}

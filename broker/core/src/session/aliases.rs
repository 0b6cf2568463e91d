//! Topic aliases of one connection (MQTT 5.0, section 3.3.2.3.4), in both directions. They end with the connection
//! [MQTT-3.3.2-7].

use alloc::boxed::Box;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Most bytes of topic names remembered by alias for one client, in each direction.
const ALIASED_BYTES_MAX: usize = 1024 * 1024;

/// Aliases that the client assigned.
#[derive(Debug, Default)]
pub(crate) struct AliasesIn {
    /// Topic by alias minus one.
    topics: Vec<Option<Box<str>>>,
    bytes: usize,
}

impl AliasesIn {
    /// Assigns an alias, or assigns it anew. False if the client has used up what may be remembered for it.
    #[must_use]
    pub(crate) fn assign(&mut self, alias: u16, topic: &str) -> bool {
        let at = usize::from(alias) - 1;
        if at >= self.topics.len() {
            self.topics.resize(at + 1, None);
        }
        let freed = self.topics[at].as_ref().map_or(0, |held| held.len());
        if self.bytes - freed + topic.len() > ALIASED_BYTES_MAX {
            return false;
        }
        self.bytes = self.bytes - freed + topic.len();
        self.topics[at] = Some(topic.into());
        true
    }

    /// The topic of an alias, if it was assigned.
    pub(crate) fn topic(&self, alias: u16) -> Option<&str> {
        self.topics.get(usize::from(alias) - 1)?.as_deref()
    }
}

/// Aliases that we assigned, at most as many as the client allows [MQTT-3.1.2-26] [MQTT-3.3.2-11].
#[derive(Debug)]
pub(crate) struct AliasesOut {
    max: u16,
    by_topic: HashMap<Box<str>, u16, FixedState>,
    bytes: usize,
}

/// How to send a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicForm {
    /// In full, without an alias.
    Full,
    /// In full, and with this alias from now on.
    Assign(u16),
    /// As this alias alone.
    Alias(u16),
}

impl AliasesOut {
    /// For a client that allows `max` aliases, at least one. The seed keeps collisions out of clients' hands.
    pub(crate) fn new(max: u16, seed: u64) -> Self {
        Self { max, by_topic: HashMap::with_hasher(FixedState::with_seed(seed)), bytes: 0 }
    }

    /// How to send a topic. If it is sent with a new alias, [`AliasesOut::assign`] must be told.
    pub(crate) fn form(&self, topic: &str) -> TopicForm {
        if let Some(alias) = self.by_topic.get(topic) {
            return TopicForm::Alias(*alias);
        }
        let used = self.by_topic.len();
        if used >= usize::from(self.max) || self.bytes + topic.len() > ALIASED_BYTES_MAX {
            return TopicForm::Full;
        }
        TopicForm::Assign(u16::try_from(used + 1).expect("at most the maximum"))
    }

    /// A topic was sent with the new alias that [`AliasesOut::form`] proposed.
    pub(crate) fn assign(&mut self, topic: &str, alias: u16) {
        self.bytes += topic.len();
        self.by_topic.insert(topic.into(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_can_be_assigned_anew() {
        let mut aliases = AliasesIn::default();
        assert_eq!(aliases.topic(3), None);
        assert!(aliases.assign(3, "a"));
        assert!(aliases.assign(3, "b"));
        assert_eq!(aliases.topic(3), Some("b"));
        assert_eq!(aliases.topic(2), None);
    }

    #[test]
    fn remembered_topics_are_bounded() {
        let mut aliases = AliasesIn::default();
        let long = "x".repeat(60_000);
        let taken = (1..=40).take_while(|alias| aliases.assign(*alias, &long)).count();
        assert_eq!(taken, ALIASED_BYTES_MAX / long.len());
        assert!(aliases.assign(1, "short"), "assigning anew frees the old name");
    }

    /// [MQTT-3.1.2-26] [MQTT-3.3.2-11]
    #[test]
    fn no_alias_above_the_maximum() {
        let mut aliases = AliasesOut::new(2, 1);
        for (topic, alias) in [("a", 1), ("b", 2)] {
            assert_eq!(aliases.form(topic), TopicForm::Assign(alias));
            aliases.assign(topic, alias);
        }
        assert_eq!(aliases.form("c"), TopicForm::Full);
        assert_eq!(aliases.form("a"), TopicForm::Alias(1));
    }
}

//! Which connections a topic leads to, worked out once per topic and kept until a subscription changes.
//!
//! Absent: any index that makes the first look-up of a topic fast, and removal of duplicates where one connection's
//! filters overlap.

use super::ConnIndex;
use std::collections::HashMap;

/// Most topics remembered. One more clears the memory, which is then filled again.
const TOPICS_MAX: usize = 1 << 20;

/// Number of a remembered topic in [`Routes`].
pub(super) type TopicIndex = u32;

/// Number of a filter in [`Routes`].
pub(super) type FilterIndex = u32;

#[derive(Debug)]
struct Filter {
    /// Without a `$share/group/` prefix.
    pattern: Box<[u8]>,
    shared: bool,
    members: Vec<ConnIndex>,
    /// Which member of a shared filter is next.
    turn: usize,
}

/// Where one topic leads.
#[derive(Debug)]
pub(super) struct Route {
    topic: Box<[u8]>,
    /// [`Routes::generation`] when `targets` and `groups` were worked out.
    generation: u64,
    targets: Vec<ConnIndex>,
    groups: Vec<FilterIndex>,
}

impl Route {
    /// Connections that each get every message of the topic.
    pub(super) fn targets(&self) -> &[ConnIndex] {
        &self.targets
    }

    /// True if some subscription is shared, so that consecutive messages go to different connections.
    pub(super) fn is_shared(&self) -> bool {
        !self.groups.is_empty()
    }
}

/// All subscriptions, and the routes that follow from them.
#[derive(Debug, Default)]
pub(super) struct Routes {
    filters: Vec<Filter>,
    filter_by_text: HashMap<Box<[u8]>, FilterIndex>,
    /// Filters with a wildcard and shared filters: every new topic is compared with each of them.
    compared: Vec<FilterIndex>,
    topics: Vec<Route>,
    topic_by_text: HashMap<Box<[u8]>, TopicIndex>,
    /// Raised by every change of a subscription.
    generation: u64,
}

impl Routes {
    /// Adds `conn` to a filter, once. The number is needed to take it away again.
    pub(super) fn subscribe(&mut self, text: &[u8], conn: ConnIndex) -> FilterIndex {
        let index = self.filter_by_text.get(text).copied().unwrap_or_else(|| self.add_filter(text));
        let members = &mut self.filters[index as usize].members;
        if !members.contains(&conn) {
            members.push(conn);
        }
        self.generation += 1;
        index
    }

    /// Takes `conn` out of a filter, given the filter's text.
    pub(super) fn unsubscribe(&mut self, text: &[u8], conn: ConnIndex) -> Option<FilterIndex> {
        let index = *self.filter_by_text.get(text)?;
        self.leave(index, conn);
        Some(index)
    }

    /// Takes `conn` out of a filter.
    pub(super) fn leave(&mut self, index: FilterIndex, conn: ConnIndex) {
        self.filters[index as usize].members.retain(|member| *member != conn);
        self.generation += 1;
    }

    /// The number of a topic, with its route up to date. `remembered` is the number last returned to this caller.
    #[inline]
    pub(super) fn resolve(&mut self, topic: &[u8], remembered: Option<TopicIndex>) -> TopicIndex {
        if let Some(index) = remembered
            && let Some(route) = self.topics.get(index as usize)
            && route.generation == self.generation
            && *route.topic == *topic
        {
            return index;
        }
        self.resolve_slowly(topic)
    }

    pub(super) fn route(&self, index: TopicIndex) -> &Route {
        &self.topics[index as usize]
    }

    /// Calls `deliver` with the connection whose turn it is in each shared subscription of a topic.
    pub(super) fn take_turns(&mut self, index: TopicIndex, mut deliver: impl FnMut(ConnIndex)) {
        for group in &self.topics[index as usize].groups {
            let filter = &mut self.filters[*group as usize];
            if filter.turn >= filter.members.len() {
                filter.turn = 0;
            }
            if let Some(member) = filter.members.get(filter.turn) {
                filter.turn += 1;
                deliver(*member);
            }
        }
    }

    fn add_filter(&mut self, text: &[u8]) -> FilterIndex {
        let index = number(self.filters.len());
        let (shared, pattern) = match text.strip_prefix(b"$share/") {
            Some(rest) => {
                let group_bytes = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                (true, rest.get(group_bytes + 1..).unwrap_or(&[]))
            }
            None => (false, text),
        };
        if shared || pattern.iter().any(|byte| matches!(byte, b'#' | b'+')) {
            self.compared.push(index);
        }
        self.filters.push(Filter { pattern: pattern.into(), shared, members: Vec::new(), turn: 0 });
        self.filter_by_text.insert(text.into(), index);
        index
    }

    #[cold]
    fn resolve_slowly(&mut self, topic: &[u8]) -> TopicIndex {
        let index = match self.topic_by_text.get(topic) {
            Some(index) => *index,
            None => self.add_topic(topic),
        };
        let route = &mut self.topics[index as usize];
        if route.generation != self.generation {
            route.generation = self.generation;
            route.targets.clear();
            route.groups.clear();
            let exact = self.filter_by_text.get(topic).copied();
            let matching = self.compared.iter().copied().filter(|candidate| {
                let filter = &self.filters[*candidate as usize];
                Some(*candidate) != exact && matches(&filter.pattern, topic)
            });
            for candidate in exact.into_iter().chain(matching) {
                let filter = &self.filters[candidate as usize];
                if filter.shared {
                    route.groups.push(candidate);
                } else {
                    route.targets.extend_from_slice(&filter.members);
                }
            }
        }
        index
    }

    fn add_topic(&mut self, topic: &[u8]) -> TopicIndex {
        if self.topics.len() >= TOPICS_MAX {
            self.topics.clear();
            self.topic_by_text.clear();
        }
        let index = number(self.topics.len());
        let generation = self.generation.wrapping_sub(1);
        self.topics.push(Route { topic: topic.into(), generation, targets: Vec::new(), groups: Vec::new() });
        self.topic_by_text.insert(topic.into(), index);
        index
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2^32 filters or topics")
}

/// MQTT's topic matching (section 4.7), without the rule about topics that begin with `$`.
fn matches(pattern: &[u8], topic: &[u8]) -> bool {
    let mut levels = topic.split(|byte| *byte == b'/');
    for wanted in pattern.split(|byte| *byte == b'/') {
        match (wanted, levels.next()) {
            (b"#", _) => return true,
            (b"+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (pattern, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/#", "a/b/c", true),
            ("a/#", "a", true),
            ("#", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/b", "/b", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), topic.as_bytes()), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn a_remembered_route_follows_the_subscriptions() {
        let mut routes = Routes::default();
        let topic = routes.resolve(b"t/1", None);
        assert!(routes.route(topic).targets().is_empty());
        routes.subscribe(b"t/1", 7);
        let wild = routes.subscribe(b"t/#", 8);
        assert_eq!(routes.resolve(b"t/1", Some(topic)), topic);
        assert_eq!(routes.route(topic).targets(), [7, 8]);
        routes.leave(wild, 8);
        routes.unsubscribe(b"t/1", 7);
        routes.resolve(b"t/1", Some(topic));
        assert!(routes.route(topic).targets().is_empty());
    }

    #[test]
    fn shared_subscriptions_take_turns() {
        let mut routes = Routes::default();
        for conn in [1, 2, 3] {
            routes.subscribe(b"$share/g/t/#", conn);
        }
        let topic = routes.resolve(b"t/x", None);
        assert!(routes.route(topic).is_shared());
        let mut got = Vec::new();
        for _ in 0..5 {
            routes.take_turns(topic, |conn| got.push(conn));
        }
        assert_eq!(got, [1, 2, 3, 1, 2]);
    }
}

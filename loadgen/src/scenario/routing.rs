//! Who hears whom, worked out from topics and filters.
//!
//! The written-out rule of section 4.7 compares every topic with every filter, which takes hours for 50,000 of each.
//! Filters of one *shape* (number of levels, places of `+`, a `#` at the end) can match a topic in one way only: with
//! the topic's own levels everywhere else. So each topic is looked up once for each shape that occurs, and that is a
//! handful. Absent: topics that begin with `$`, since every topic of a run begins with the run's prefix.

use super::Sources;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most levels of a topic or filter.
pub(super) const LEVELS_MAX: usize = 64;

/// Where a filter has wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    /// Levels, without the `#`.
    levels: usize,
    /// Bit `i` is set if level `i` is `+`.
    plus: u64,
    /// Whether a `#` follows.
    hash: bool,
}

impl Shape {
    fn of(filter: &str) -> Self {
        let mut shape = Self { levels: 0, plus: 0, hash: false };
        for level in filter.split('/') {
            if level == "#" {
                shape.hash = true;
                break;
            }
            if level == "+" {
                shape.plus |= 1 << shape.levels;
            }
            shape.levels += 1;
        }
        shape
    }

    /// The only filter of this shape that could match these levels.
    fn candidate(&self, levels: &[&str]) -> Option<String> {
        let long_enough = if self.hash { levels.len() >= self.levels } else { levels.len() == self.levels };
        if !long_enough {
            return None;
        }
        let own = (0..self.levels).map(|at| if self.plus >> at & 1 == 1 { "+" } else { levels[at] });
        Some(own.chain(self.hash.then_some("#")).collect::<Vec<_>>().join("/"))
    }
}

/// Who hears whom.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    /// By subscriber.
    pub(super) sources: Vec<Sources>,
    /// By publisher: how many subscribers receive a message of it.
    pub(super) copies: Vec<u32>,
}

/// Works out who hears whom. With `shared`, all subscriptions are those of one group, which receives each message once.
///
/// # Errors
/// A text for the user, if filters overlap: servers may then deliver a message once or several times [MQTT-3.3.4-2].
pub(super) fn route(topics: &[String], filters: &[Vec<String>], shared: bool) -> Result<Routes, String> {
    let mut number_of: HashMap<&str, usize> = HashMap::new();
    let mut shapes = HashSet::new();
    // How many subscribers each filter has.
    let mut holders: Vec<u32> = Vec::new();
    for filter in filters.iter().flatten() {
        let number = *number_of.entry(filter).or_insert_with(|| {
            shapes.insert(Shape::of(filter));
            holders.push(0);
            holders.len() - 1
        });
        holders[number] += 1;
    }

    let mut heard: Vec<Vec<u32>> = vec![Vec::new(); holders.len()];
    let mut copies = Vec::with_capacity(topics.len());
    for (publisher, topic) in topics.iter().enumerate() {
        let levels: Vec<&str> = topic.split('/').collect();
        let candidates = shapes.iter().filter_map(|shape| shape.candidate(&levels));
        let (mut matching, mut subscribers) = (0, 0);
        for number in candidates.filter_map(|filter| number_of.get(filter.as_str()).copied()) {
            heard[number].push(publisher as u32);
            matching += 1;
            subscribers += holders[number];
        }
        if shared && matching > 1 {
            return Err(format!("several filters of the shared subscription match `{topic}`"));
        }
        copies.push(if shared { u32::from(matching > 0) } else { subscribers });
    }

    let mut known: BTreeMap<Vec<usize>, Sources> = BTreeMap::new();
    let mut sources = Vec::with_capacity(filters.len());
    for list in filters {
        let numbers: Vec<usize> = list.iter().map(|filter| number_of[filter.as_str()]).collect();
        if let Some(found) = known.get(&numbers) {
            sources.push(found.clone());
            continue;
        }
        let mut publishers: Vec<u32> = numbers.iter().flat_map(|number| heard[*number].iter().copied()).collect();
        publishers.sort_unstable();
        if let Some(pair) = publishers.windows(2).find(|pair| pair[0] == pair[1]) {
            let topic = &topics[pair[0] as usize];
            return Err(format!("several filters of one subscriber match `{topic}`: {}", list.join(", ")));
        }
        let found = Sources::new(&publishers);
        known.insert(numbers, found.clone());
        sources.push(found);
    }
    Ok(Routes { sources, copies })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::matches;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Every publisher with every subscriber, against the rule as it is written.
    #[test]
    fn random_topics_and_filters_agree_with_the_written_rule() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        let (mut routed, mut overlapping) = (0, 0);
        for _ in 0..3000 {
            let mut levels = |words: &[&str]| -> String {
                let count = 1 + random(3);
                (0..count).map(|_| words[random(words.len())]).collect::<Vec<_>>().join("/")
            };
            let topics: Vec<String> = (0..4).map(|_| levels(&["a", "b", ""])).collect();
            let mut filter = |tail: &str| format!("{}{tail}", levels(&["a", "b", "", "+"]));
            let filters: Vec<Vec<String>> =
                vec![vec![filter("")], vec![filter(""), filter("/#")], vec!["#".into()], Vec::new()];
            let hits = |list: &[String], topic: &String| list.iter().filter(|filter| matches(filter, topic)).count();
            let overlap = filters.iter().any(|list| topics.iter().any(|topic| hits(list, topic) > 1));
            match route(&topics, &filters, false) {
                Err(_) => {
                    assert!(overlap, "{topics:?} {filters:?}");
                    overlapping += 1;
                }
                Ok(routes) => {
                    assert!(!overlap, "{topics:?} {filters:?}");
                    routed += 1;
                    for (list, sources) in filters.iter().zip(&routes.sources) {
                        let expected: Vec<u32> = (0..4).filter(|p| hits(list, &topics[*p as usize]) == 1).collect();
                        assert_eq!(sources.iter().collect::<Vec<_>>(), expected, "{topics:?} {list:?}");
                        for publisher in 0..5 {
                            let at = expected.iter().position(|p| *p == publisher).map(|at| at as u32);
                            assert_eq!(sources.position(publisher), at);
                        }
                    }
                    for (topic, copies) in topics.iter().zip(&routes.copies) {
                        let expected: usize = filters.iter().map(|list| hits(list, topic)).sum();
                        assert_eq!(*copies as usize, expected);
                    }
                }
            }
        }
        assert!(routed > 500 && overlapping > 100, "{routed} routed, {overlapping} overlapping");
    }

    #[test]
    fn a_group_gets_each_message_once_and_its_filters_must_not_overlap() {
        let topics = texts(&["t/0", "t/1", "u/0"]);
        let routes = route(&topics, &[texts(&["t/#"]), texts(&["t/#"])], true).unwrap();
        assert_eq!(routes.copies, [1, 1, 0]);
        assert_eq!(routes.sources[1], Sources::Progression { first: 0, step: 1, count: 2 });
        assert!(route(&topics, &[texts(&["t/#"]), texts(&["t/0"])], true).is_err());
    }
}

//! The store against a sorted map and the plain definition of a match.

use super::walk::{Standing, standing};
use super::{Store, Topical};
use crate::topics::filter::matches;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Levels whose first differing bytes lie on both sides of `/`.
fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop_oneof![Just(""), Just("a"), Just("b"), Just("a!"), Just("a\u{1}"), Just("$a"), Just("é")]
            .prop_map(String::from),
        1 => (0..30_u8).prop_map(|number| format!("level-long-enough-for-the-heap-{number}")),
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("not empty", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    (prop::collection::vec(prop_oneof![2 => level(), 3 => Just(String::from("+"))], 0..5), any::<bool>())
        .prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#".into());
            }
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

/// Insertions and removals.
fn changes(count: usize) -> impl Strategy<Value = Vec<(bool, String, u32)>> {
    prop::collection::vec((prop::bool::weighted(0.7), topic(), any::<u32>()), 0..count)
}

/// A topic with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held(String, u32);

impl Topical for Held {
    fn topic_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn change(store: &mut Store<Held>, model: &mut BTreeMap<String, u32>, (insert, topic, value): (bool, String, u32)) {
    if insert {
        let replaced = store.insert(Held(topic.clone(), value)).map(|held| held.1);
        assert_eq!(replaced, model.insert(topic, value));
    } else {
        assert_eq!(store.remove(&topic).map(|held| held.1), model.remove(&topic));
    }
    assert_eq!(store.len(), model.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]: a walk that is not disturbed visits what the definition says.
    #[test]
    fn visits_what_matches(history in changes(150), filters in prop::collection::vec(filter(), 1..12),
                           limit in prop_oneof![1..8_usize, Just(usize::MAX)]) {
        let mut store = Store::new();
        let mut model = BTreeMap::new();
        for step in history {
            change(&mut store, &mut model, step);
        }
        for (topic, value) in &model {
            prop_assert_eq!(store.get(topic), Some(&Held(topic.clone(), *value)));
        }
        for filter in filters {
            let mut visited = Vec::new();
            let mut cursor = None;
            loop {
                let mut visit = |topic: &str, held: &Held| visited.push((String::from(topic), held.1));
                cursor = store.scan(&filter, cursor, limit, &mut visit);
                if cursor.is_none() {
                    break;
                }
            }
            visited.sort();
            let expected: Vec<(String, u32)> = model.iter().filter(|(topic, _)| matches(&filter, topic))
                .map(|(topic, value)| (topic.clone(), *value)).collect();
            prop_assert_eq!(visited, expected, "filter {}", filter);
        }
    }

    #[test]
    fn a_walk_survives_changes(before in changes(150), between in prop::collection::vec(changes(8), 0..40),
                               filter in filter(), limit in 1..8_usize) {
        let mut store = Store::new();
        let mut model = BTreeMap::new();
        for step in before {
            change(&mut store, &mut model, step);
        }
        let mut throughout: BTreeSet<String> = model.keys().filter(|topic| matches(&filter, topic)).cloned().collect();
        let mut visited = BTreeSet::new();
        let mut between = between.into_iter();
        let mut cursor = None;
        loop {
            let mut count = 0;
            cursor = store.scan(&filter, cursor, limit, &mut |topic, _| {
                count += 1;
                assert!(visited.insert(String::from(topic)), "{topic} visited twice");
                assert!(matches(&filter, topic));
            });
            prop_assert!(count <= limit);
            if cursor.is_none() {
                break;
            }
            for step in between.next().unwrap_or_default() {
                change(&mut store, &mut model, step);
                throughout.retain(|topic| model.contains_key(topic));
            }
        }
        prop_assert!(visited.is_superset(&throughout), "left out: {:?}", throughout.difference(&visited));
    }

    /// What a walk skips does not match, and it never goes back.
    #[test]
    fn skips_only_what_cannot_match(filter in filter(), topic in topic(), other in topic()) {
        use super::key::level_order;
        let mut next = String::new();
        let (low, high) =
            if level_order(topic.as_bytes(), other.as_bytes()).is_lt() { (&topic, &other) } else { (&other, &topic) };
        match standing(&filter, low, &mut next) {
            Standing::Match => prop_assert!(matches(&filter, low)),
            Standing::Before => {
                prop_assert!(!matches(&filter, low));
                prop_assert!(level_order(low.as_bytes(), next.as_bytes()).is_lt(), "{:?} is not above", next);
                let skipped = level_order(high.as_bytes(), next.as_bytes()).is_lt();
                prop_assert!(!skipped || !matches(&filter, high), "{} skipped on the way to {:?}", high, next);
            }
            Standing::Past => prop_assert!(!matches(&filter, low) && !matches(&filter, high)),
        }
    }
}

/// Slices needed when every slice looks at one topic: the number of topics looked at.
fn looked_at(store: &Store<String>, filter: &str) -> (usize, usize) {
    let (mut looked, mut visited) = (0, 0);
    let mut cursor = None;
    loop {
        looked += 1;
        cursor = store.scan(filter, cursor, 1, &mut |_, _| visited += 1);
        if cursor.is_none() {
            return (looked, visited);
        }
    }
}

#[test]
fn a_walk_looks_at_little_that_does_not_match() {
    let mut store = Store::new();
    for number in 0..100 {
        for below in 0..100 {
            store.insert(format!("a/{number}/c/{below}"));
            store.insert(format!("a/{number}/d/{below}"));
            store.insert(format!("$SYS/{number}/{below}"));
        }
    }
    assert_eq!(looked_at(&store, "a/7/c/#"), (101, 100));
    assert_eq!(looked_at(&store, "a/7/+/5").1, 2);
    // One look beyond the matches of each of the 100 levels under the `+`.
    assert_eq!(looked_at(&store, "a/+/c/#").1, 10_000);
    assert!(looked_at(&store, "a/+/c/#").0 <= 10_100 + 1);
    assert!(looked_at(&store, "a/+/d/5").0 <= 401);
    assert_eq!(looked_at(&store, "b/#"), (1, 0));
    assert_eq!(looked_at(&store, "a/+"), (100, 0), "descendants of a level are skipped in one step");
    // [MQTT-4.7.2-1]: all reserved topics in one step, then every level below `a`.
    assert_eq!(looked_at(&store, "+/+"), (1 + 100, 0));
}

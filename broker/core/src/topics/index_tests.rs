//! The index against a list of filters and the plain definition of a match.

use super::super::filter::matches;
use super::super::subscribers::CHUNK_SUBSCRIBERS_MAX;
use super::super::{SubOptions, Subscriber};
use super::{FilterId, Index, Matches};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

fn subscriber(id: u32, subscription_id: u32) -> Subscriber {
    Subscriber { id, subscription_id, options: SubOptions::new(1, false, true) }
}

/// Few distinct levels, so that paths meet; empty ones, reserved ones and ones too long to be stored in place among
/// them, and enough that a node's literal edges leave the node.
fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop_oneof![Just("a"), Just("b"), Just(""), Just("$SYS"), Just("c")].prop_map(String::from),
        2 => (0..12_u8).prop_map(|number| format!("n{number}")),
        1 => Just("level-that-is-longer-than-thirty-bytes".into()),
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/")),
        1 => prop::collection::vec(level(), 100..130).prop_map(|levels| levels.join("/")),
    ]
    .prop_filter("not empty", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just(String::from("+"))];
    let levels =
        prop_oneof![20 => prop::collection::vec(level.clone(), 0..5), 1 => prop::collection::vec(level, 90..120)];
    (levels, any::<bool>())
        .prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#".into());
            }
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe(String, u32, u32),
    /// The how-manieth filter, the how-manieth of its subscribers.
    Unsubscribe(usize, usize),
    Match(String),
    /// A topic made from the how-manieth filter: likely to match something.
    MatchLike(usize, String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter(), 0..6_u32, 0..3_u32).prop_map(|(filter, id, tag)| Step::Subscribe(filter, id, tag)),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(filter, which)| Step::Unsubscribe(filter, which)),
        2 => topic().prop_map(Step::Match),
        4 => (any::<usize>(), level()).prop_map(|(filter, level)| Step::MatchLike(filter, level)),
    ]
}

type Model = BTreeMap<String, (FilterId, BTreeMap<u32, Subscriber>)>;

fn check_match(index: &mut Index, model: &Model, topic: &str, out: &mut Matches) {
    let mut expected: Vec<FilterId> =
        model.iter().filter(|(filter, _)| matches(filter, topic)).map(|(_, (id, _))| *id).collect();
    expected.sort();
    // The second time from the cache.
    for _ in 0..2 {
        index.matching(topic, out);
        let mut found = out.as_slice().to_vec();
        found.sort();
        assert_eq!(found, expected, "filters for {topic:?}");
    }
}

fn unsubscribe(index: &mut Index, model: &mut Model, filter: &str, subscriber: u32) {
    let (id, subscribers) = model.get_mut(filter).unwrap();
    let id = *id;
    let expected = subscribers.remove(&subscriber).unwrap();
    let gone = subscribers.is_empty();
    let left = index.unsubscribe(id, subscriber).expect("subscribed");
    assert_eq!(left.subscriber, expected);
    assert_eq!(left.filter_gone.as_deref(), gone.then_some(filter));
    if gone {
        model.remove(filter);
        assert_eq!(index.find(filter), None);
    } else {
        assert_eq!(index.unsubscribe(id, subscriber), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-4.7.3-4]: wherever a filter sits in the index, it matches as
    /// the definition says, whatever came and went before.
    #[test]
    fn finds_what_the_definition_finds(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..150)) {
        let mut index = Index::new(seed);
        let mut model = Model::new();
        let mut out = Matches::default();
        for step in steps {
            match step {
                Step::Subscribe(filter, id, tag) => {
                    let done = index.subscribe(&filter, subscriber(id, tag));
                    prop_assert_eq!(done.new_filter, !model.contains_key(&filter));
                    let entry = model.entry(filter.clone()).or_insert((done.id, BTreeMap::new()));
                    prop_assert_eq!(entry.0, done.id);
                    prop_assert_eq!(done.replaced, entry.1.insert(id, subscriber(id, tag)));
                    prop_assert_eq!(index.filter(done.id), &*filter);
                    prop_assert_eq!(index.find(&filter), Some(done.id));
                }
                Step::Unsubscribe(filter, which) if !model.is_empty() => {
                    let (filter, (_, subscribers)) = model.iter().nth(filter % model.len()).unwrap();
                    let subscriber = *subscribers.keys().nth(which % subscribers.len()).unwrap();
                    let filter = filter.clone();
                    unsubscribe(&mut index, &mut model, &filter, subscriber);
                }
                Step::Unsubscribe(..) => {}
                Step::Match(topic) => check_match(&mut index, &model, &topic, &mut out),
                Step::MatchLike(filter, level) if !model.is_empty() => {
                    let filter = model.keys().nth(filter % model.len()).unwrap();
                    let topic = filter.replace(['+', '#'], &level);
                    check_match(&mut index, &model, &topic, &mut out);
                    check_match(&mut index, &model, &format!("{topic}/{level}"), &mut out);
                    if let Some((parent, _)) = topic.rsplit_once('/') {
                        check_match(&mut index, &model, parent, &mut out);
                    }
                }
                Step::MatchLike(..) => {}
            }
            prop_assert_eq!(index.len(), model.len());
        }
        for (filter, (id, subscribers)) in &model {
            let held: Vec<Subscriber> = index.chunk_from(*id, None).to_vec();
            prop_assert_eq!(held, subscribers.values().copied().collect::<Vec<_>>(), "subscribers of {}", filter);
        }
        while let Some((filter, (_, subscribers))) = model.first_key_value() {
            let (filter, subscriber) = (filter.clone(), *subscribers.keys().next().unwrap());
            unsubscribe(&mut index, &mut model, &filter, subscriber);
        }
        prop_assert!(index.is_empty() && index.trie.is_empty());
        prop_assert_eq!(index.trie.size(), (1, 0), "nodes and levels are left over");
    }

    /// Whoever stays subscribed during a fan-out in slices gets the message once.
    #[test]
    fn slices_of_a_changing_list_miss_nobody(
        size in prop_oneof![1..5_u32, 500..4000_u32],
        changes in prop::collection::vec(prop::collection::vec((any::<bool>(), 0..4000_u32), 0..300), 0..12),
        limit in prop_oneof![1..50_usize, 500..3000_usize],
    ) {
        let mut index = Index::new(7);
        let mut members: BTreeMap<u32, bool> = BTreeMap::new();
        let mut id = None;
        for number in 0..size {
            id = Some(index.subscribe("a/b", subscriber(number * 2, number)).id);
            members.insert(number * 2, true);
        }
        let id = id.unwrap();
        let mut walk = index.fan_out(id);
        let mut given: Vec<u32> = Vec::new();
        let mut changes = changes.into_iter();
        loop {
            let chunk = index.next_chunk(&mut walk, limit);
            if chunk.is_empty() {
                break;
            }
            prop_assert!(chunk.len() <= limit);
            given.extend(chunk.iter().map(|subscriber| subscriber.id));
            for (join, number) in changes.next().unwrap_or_default() {
                if join {
                    index.subscribe("a/b", subscriber(number, 0));
                    members.entry(number).or_insert(false);
                } else if index.count(id) > 1 && index.unsubscribe(id, number).is_some() {
                    members.remove(&number);
                }
                prop_assert_eq!(index.count(id), members.len());
            }
        }
        prop_assert!(given.is_sorted_by(|one, next| one < next), "somebody twice, or out of order");
        for (member, _) in members.iter().filter(|(_, throughout)| **throughout) {
            prop_assert!(given.binary_search(member).is_ok(), "{} was left out", member);
        }
        for member in members.keys() {
            prop_assert_eq!(index.subscriber(id, *member).map(|held| held.id), Some(*member));
        }
    }

    #[test]
    fn large_lists_behave_as_sorted_maps(steps in prop::collection::vec((0..4_u8, 0..6000_u32), 0..200)) {
        let mut index = Index::new(1);
        let mut model = BTreeMap::new();
        let id = index.subscribe("t", subscriber(0, 0)).id;
        model.insert(0, subscriber(0, 0));
        for (kind, number) in steps {
            // Runs of neighbours, so that chunks fill, split, empty and merge.
            for number in number..number + 200 {
                if kind > 1 {
                    let added = subscriber(number, u32::from(kind));
                    prop_assert_eq!(index.subscribe("t", added).replaced, model.insert(number, added));
                } else if number > 0 {
                    let removed = index.unsubscribe(id, number).map(|left| left.subscriber);
                    prop_assert_eq!(removed, model.remove(&number));
                }
            }
            prop_assert_eq!(index.count(id), model.len());
        }
        let mut held = Vec::new();
        let mut after = None;
        loop {
            let chunk = index.chunk_from(id, after);
            prop_assert!(chunk.len() <= CHUNK_SUBSCRIBERS_MAX);
            let Some(last) = chunk.last() else { break };
            after = Some(last.id);
            held.extend_from_slice(chunk);
        }
        prop_assert_eq!(held, model.values().copied().collect::<Vec<_>>());
    }
}

#[test]
fn a_fan_out_ends_with_its_filter_even_if_the_number_is_reused() {
    let mut index = Index::new(3);
    let first = index.subscribe("a", subscriber(1, 0)).id;
    let mut walk = index.fan_out(first);
    index.unsubscribe(first, 1);
    let second = index.subscribe("b", subscriber(2, 0)).id;
    assert_eq!(first, second, "the test needs a reused number");
    assert!(index.next_chunk(&mut walk, 10).is_empty());
}

#[test]
fn a_subscription_that_comes_or_goes_is_noticed_by_a_cached_topic() {
    let mut index = Index::new(3);
    let mut out = Matches::default();
    let one = index.subscribe("a/+", subscriber(1, 0)).id;
    index.matching("a/b", &mut out);
    assert_eq!(out.as_slice(), [one]);
    let two = index.subscribe("+/b", subscriber(1, 0)).id;
    index.matching("a/b", &mut out);
    assert_eq!(out.as_slice().len(), 2);
    index.unsubscribe(one, 1);
    index.matching("a/b", &mut out);
    assert_eq!(out.as_slice(), [two]);
}

#[test]
fn more_matches_than_the_cache_holds_are_all_found() {
    let mut index = Index::new(3);
    let mut out = Matches::default();
    let levels = ["a", "b", "c", "d", "e"];
    for mask in 0..32_u32 {
        let chosen = levels.iter().enumerate().map(|(at, level)| if mask >> at & 1 == 1 { "+" } else { level });
        index.subscribe(&chosen.collect::<Vec<_>>().join("/"), subscriber(1, 0));
    }
    for _ in 0..2 {
        index.matching("a/b/c/d/e", &mut out);
        assert_eq!(out.as_slice().len(), 32);
    }
}

//! Groups: who gets what, while members come and go.

use super::{Group, PUBLISHERS_MAX};
use crate::machine::ShardId;
use crate::settings::ShareStrategy::{
    self, HashClientId, HashTopic, Local, Random, RoundRobin, RoundRobinPerGroup, Sticky,
};
use crate::share::{Member, MemberKey};
use crate::topics::SubOptions;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use proptest::prelude::*;

const STRATEGIES: [ShareStrategy; 7] = [Random, RoundRobin, RoundRobinPerGroup, Sticky, Local, HashTopic, HashClientId];

fn member(session: u32) -> Member {
    let shard = ShardId(u8::try_from(session % 3).unwrap());
    Member { shard, session: session / 3, generation: 1, subscription_id: 0, options: SubOptions::new(1, false, false) }
}

fn group(members: u32) -> Group {
    let mut group = Group::new();
    for session in 0..members {
        assert_eq!(group.join(member(session)), None);
    }
    group
}

fn leave(group: &mut Group, member: Member) -> Option<Member> {
    group.leave(member.shard, member.session, member.generation)
}

/// The `number`th of a sequence of words without pattern (the finalizer of `SplitMix64`).
fn word(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How often each member is picked in `picks` messages of `publishers` publishers in turn, each with its own topic.
fn shares(group: &mut Group, strategy: ShareStrategy, publishers: u64, picks: u64) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for pick in 0..picks {
        let publisher = pick % publishers;
        let picked = group.pick(strategy, publisher, word(publisher), word(!pick), word(pick)).unwrap();
        *counts.entry(picked.session * 3 + u32::from(picked.shard.0)).or_default() += 1;
    }
    counts
}

#[test]
fn nobody_is_picked_from_an_empty_group() {
    for strategy in STRATEGIES {
        assert_eq!(Group::new().pick(strategy, 1, 2, 3, 4), None);
    }
}

#[test]
fn turns_are_exactly_fair() {
    let mut group = group(7);
    assert!(shares(&mut group, RoundRobinPerGroup, 5, 700).values().all(|count| *count == 100));
    // One sequence a publisher: each of the five gives every member the same.
    let counts = shares(&mut group, RoundRobin, 5, 5 * 7 * 20);
    assert_eq!(counts.len(), 7);
    assert!(counts.values().all(|count| *count == 100));
}

#[test]
fn chance_and_hashes_are_roughly_fair() {
    for strategy in [Random, Local, HashTopic] {
        let counts = shares(&mut group(10), strategy, 3, 10_000);
        assert!(
            counts.len() == 10 && counts.values().all(|count| (850..1150).contains(count)),
            "{strategy:?}: {counts:?}"
        );
    }
    for strategy in [Sticky, HashClientId] {
        let counts = shares(&mut group(10), strategy, 1000, 10_000);
        assert!(
            counts.len() == 10 && counts.values().all(|count| (700..1300).contains(count)),
            "{strategy:?}: {counts:?}"
        );
    }
}

#[test]
fn small_hashes_reach_every_member() {
    let mut group = group(5);
    let picked: BTreeSet<_> =
        (0..100).map(|hash| group.pick(HashTopic, 0, 0, hash, 0).unwrap().who().session).collect();
    assert_eq!(picked.len(), 2, "five members on three shards have two session numbers");
    let picked: BTreeSet<u8> = (0..100).map(|hash| group.pick(HashTopic, 0, 0, hash, 0).unwrap().shard.0).collect();
    assert_eq!(picked.len(), 3);
}

#[test]
fn hashes_depend_on_nothing_else() {
    let mut group = group(10);
    for hash in 0..100 {
        let by_topic = group.pick(HashTopic, 1, 1, hash, 1);
        assert_eq!(group.pick(HashTopic, 2, 2, hash, 2), by_topic);
        assert_eq!(group.pick(HashClientId, 3, hash, 3, 3), by_topic, "the same hash is the same place");
    }
}

#[test]
fn sticky_holds_until_the_member_leaves() {
    let mut group = group(20);
    let first: Vec<Member> =
        (0..50).map(|publisher| group.pick(Sticky, publisher, 0, 0, word(publisher)).unwrap()).collect();
    let gone = first[0];
    assert_eq!(leave(&mut group, gone), Some(gone));
    for (publisher, held) in (0..50).zip(&first) {
        let again = group.pick(Sticky, publisher, 0, 0, word(publisher + 1000)).unwrap();
        assert_eq!(again == *held, *held != gone, "publisher {publisher}");
        assert_eq!(group.pick(Sticky, publisher, 0, 0, word(publisher + 2000)), Some(again));
    }
    // The same slot in the hands of another session is another member.
    let successor = Member { generation: 2, ..first[1] };
    assert_eq!(group.join(successor), Some(first[1]));
    let picked: Vec<Member> = (0..40).filter_map(|n| group.pick(Sticky, 1, 0, 0, word(n))).collect();
    assert!(picked.iter().all(|member| *member == picked[0]));
}

#[test]
fn sticky_takes_up_changed_options() {
    let mut group = group(1);
    let before = group.pick(Sticky, 1, 0, 0, 0).unwrap();
    let changed = Member { options: SubOptions::new(2, false, false), subscription_id: 9, ..before };
    assert_eq!(group.join(changed), Some(before));
    assert_eq!(group.pick(Sticky, 1, 0, 0, 0), Some(changed));
}

#[test]
fn publishers_are_forgotten_beyond_the_bound() {
    let mut group = group(3);
    for publisher in 0..10_000 {
        group.pick(RoundRobin, publisher, 0, 0, word(publisher));
        group.pick(Sticky, publisher, 0, 0, word(publisher));
    }
    assert_eq!(group.remembered(), PUBLISHERS_MAX);
    // The last ones are still known: their choice does not move.
    let held = group.pick(Sticky, 9_999, 0, 0, 1);
    assert!((0..100).all(|random| group.pick(Sticky, 9_999, 0, 0, word(random)) == held));
}

#[test]
fn strategies_without_memory_take_none() {
    let mut group = group(3);
    for strategy in [Random, Local, HashTopic, HashClientId, RoundRobinPerGroup] {
        group.pick(strategy, 1, 2, 3, 4);
    }
    assert_eq!(group.remembered(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn picks_members_and_only_members(
        strategy in prop::sample::select(&STRATEGIES[..]),
        steps in prop::collection::vec((0..10_u8, 0..60_u32, 1..3_u32, any::<u64>()), 0..400),
    ) {
        let mut group = Group::new();
        let mut model: BTreeMap<(ShardId, u32), Member> = BTreeMap::new();
        for (kind, session, generation, random) in steps {
            let target = Member { generation, subscription_id: session, ..member(session) };
            let slot = (target.shard, target.session);
            match kind {
                0..4 => prop_assert_eq!(group.join(target), model.insert(slot, target)),
                4..7 => {
                    let held = model.get(&slot).copied().filter(|held| held.generation == generation);
                    prop_assert_eq!(leave(&mut group, target), held);
                    if held.is_some() {
                        model.remove(&slot);
                    }
                }
                _ => {
                    let picked = group.pick(strategy, random % 5, random, random, random);
                    prop_assert_eq!(picked.is_some(), !model.is_empty());
                    prop_assert!(picked.is_none_or(|it| model.get(&(it.shard, it.session)) == Some(&it)));
                }
            }
            prop_assert_eq!(group.len(), model.len());
        }
        let held: BTreeMap<_, _> = group.members().iter().map(|it| ((it.shard, it.session), *it)).collect();
        prop_assert_eq!(held, model);
    }

    /// A message that every pick fails to deliver is offered to every member once, and then to nobody.
    #[test]
    fn redispatch_tries_everybody_once(strategy in prop::sample::select(&STRATEGIES[..]), size in 1..40_u32,
                                       random in any::<u64>()) {
        let mut group = group(size);
        let mut failed: Vec<MemberKey> = Vec::new();
        while let Some(picked) = group.pick_except(strategy, 1, random, random, random, &failed) {
            prop_assert!(!failed.contains(&picked.who()), "offered twice");
            failed.push(picked.who());
        }
        prop_assert_eq!(failed.len(), size as usize);
    }

    /// Between two leavings the turns stay fair: nobody is picked twice before everybody was picked once.
    #[test]
    fn turns_stay_fair_after_changes(strategy in prop::sample::select(&[RoundRobin, RoundRobinPerGroup][..]),
                                     changes in prop::collection::vec((any::<bool>(), 0..40_u32), 1..20)) {
        let mut group = group(5);
        for (join, session) in changes {
            if join {
                group.join(member(session));
            } else {
                leave(&mut group, member(session));
            }
            let round: Vec<MemberKey> =
                (0..group.len()).filter_map(|_| group.pick(strategy, 1, 0, 0, 7)).map(|picked| picked.who()).collect();
            for (at, picked) in round.iter().enumerate() {
                prop_assert!(!round[..at].contains(picked), "a member was picked twice in a round");
            }
            prop_assert_eq!(round.len(), group.len());
        }
    }
}

//! Shared subscriptions across shards.

use super::harness::{World, options};
use crate::settings::{Settings, ShareGroup, ShareStrategy, StickyPick};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use ringmq_wire::{PacketType, QoS, ReasonCode, Version, encode_ack};

#[test]
fn each_message_goes_to_one_member() {
    for strategy in [
        ShareStrategy::Random,
        ShareStrategy::RoundRobin,
        ShareStrategy::RoundRobinPerGroup,
        ShareStrategy::Sticky,
        ShareStrategy::Local,
        ShareStrategy::HashTopic,
        ShareStrategy::HashClientId,
    ] {
        let settings = Settings { shared_subscription_strategy: strategy, ..Settings::default() };
        let mut world = World::new(4, settings);
        let members: Vec<_> = (0..5)
            .map(|number| {
                let client = world.connect(&format!("m{number}"), Version::V5);
                world.subscribe(client, "$share/g/t/+", options(QoS::AtMostOnce));
                assert_eq!(world.packets(client), ["SUBACK #99 [00]"]);
                client
            })
            .collect();
        let publisher = world.connect("p", Version::V311);
        for number in 0..100 {
            world.publish(publisher, &format!("t/{number}"), "x", QoS::AtMostOnce, 0);
        }
        let counts: Vec<_> = members.iter().map(|member| world.packets(*member).len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 100, "{strategy:?} {counts:?}");
        let used = counts.iter().filter(|count| **count > 0).count();
        match strategy {
            ShareStrategy::Sticky | ShareStrategy::HashClientId => assert_eq!(used, 1, "{strategy:?}"),
            ShareStrategy::RoundRobin | ShareStrategy::RoundRobinPerGroup => assert_eq!(counts, [20; 5]),
            _ => assert_eq!(used, 5, "{strategy:?} {counts:?}"),
        }
    }
}

/// `broker.shared_subscription_group.<group>.strategy`
#[test]
fn a_group_can_have_a_strategy_of_its_own() {
    let of_its_own = ShareGroup { strategy: Some(ShareStrategy::HashClientId), ..ShareGroup::default() };
    let settings = Settings {
        shared_subscription_strategy: ShareStrategy::RoundRobin,
        shared_subscription_groups: [("one".into(), of_its_own)].into(),
        ..Settings::default()
    };
    let mut world = World::new(2, settings);
    let members: Vec<_> = (0..4)
        .map(|number| {
            let client = world.connect(&format!("m{number}"), Version::V5);
            let group = if number < 2 { "one" } else { "others" };
            world.subscribe(client, &format!("$share/{group}/t"), options(QoS::AtMostOnce));
            world.packets(client);
            client
        })
        .collect();
    let publisher = world.connect("p", Version::V311);
    for _ in 0..20 {
        world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
    }
    let mut counts: Vec<_> = members.iter().map(|member| world.packets(*member).len()).collect();
    counts[..2].sort_unstable();
    assert_eq!(counts, [0, 20, 10, 10]);
}

/// `mqtt.shared_subscription_initial_sticky_pick`, and that of one group: what is picked first is kept.
#[test]
fn a_sticky_group_begins_with_the_member_that_it_is_told_to() {
    let of_its_own = ShareGroup { initial_sticky_pick: Some(StickyPick::HashTopic), ..ShareGroup::default() };
    let settings = Settings {
        shared_subscription_strategy: ShareStrategy::Sticky,
        shared_subscription_initial_sticky_pick: StickyPick::HashClientId,
        shared_subscription_groups: [("by-topic".into(), of_its_own)].into(),
        ..Settings::default()
    };
    // Which of a group's ten members gets the messages of a publisher that sends these topics, one after the other.
    // Whoever else has connected draws random numbers, on which it must not depend.
    let picked = |group: &str, client_id: &str, topics: [&str; 2], others: usize| {
        let mut world = World::new(2, settings.clone());
        for number in 0..others {
            world.connect(&format!("o{number}"), Version::V5);
        }
        let members: Vec<_> = (0..10).map(|number| world.connect(&format!("m{number}"), Version::V5)).collect();
        for member in &members {
            world.subscribe(*member, &format!("$share/{group}/+"), options(QoS::AtMostOnce));
            world.packets(*member);
        }
        let publisher = world.connect(client_id, Version::V311);
        topics.iter().for_each(|topic| world.publish(publisher, topic, "x", QoS::AtMostOnce, 0));
        let got = members.iter().map(|member| world.packets(*member).len());
        let got = got.enumerate().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
        let [(member, 2)] = got[..] else { panic!("one member has both: {got:?}") };
        member
    };
    let mut by_client = BTreeSet::new();
    let mut by_topic = BTreeSet::new();
    for number in 0..10 {
        let name = format!("p{number}");
        let first = picked("by-client", &name, ["a", "b"], 0);
        assert_eq!(picked("by-client", &name, ["c", "a"], 1 + number), first, "whatever the topic");
        by_client.insert(first);
        by_topic.insert(picked("by-topic", &name, ["a", "b"], number));
    }
    assert!(by_client.len() > 1, "clients differ");
    assert_eq!(by_topic.len(), 1, "whoever publishes");
}

/// EMQX: what a member leaves unacknowledged goes to another.
#[test]
fn messages_of_a_member_that_is_gone_go_to_another() {
    let mut world = World::new(3, Settings::default());
    let publisher = world.connect("p", Version::V311);
    let first = world.connect("first", Version::V311);
    world.subscribe(first, "$queue/jobs", options(QoS::AtLeastOnce));
    world.publish(publisher, "jobs", "one", QoS::AtLeastOnce, 1);
    world.publish(publisher, "jobs", "two", QoS::AtLeastOnce, 2);
    assert_eq!(world.packets(first)[1..], ["PUBLISH q1 jobs #1 one", "PUBLISH q1 jobs #2 two"]);
    let mut ack = Vec::new();
    encode_ack(&mut ack, PacketType::PubAck, Version::V311, 1, ReasonCode::SUCCESS);
    world.send(first, &ack);
    let second = world.connect("second", Version::V311);
    world.subscribe(second, "$share/$queue/jobs", options(QoS::AtLeastOnce));
    world.packets(second);
    world.drop_link(first);
    assert_eq!(world.packets(second), ["PUBLISH q1 jobs #1 two"]);
}

#[test]
fn an_empty_group_is_forgotten() {
    let mut world = World::new(2, Settings::default());
    let publisher = world.connect("p", Version::V5);
    for round in 0..3 {
        let member = world.connect(&format!("m{round}"), Version::V311);
        world.subscribe(member, "$share/g/t", options(QoS::AtMostOnce));
        world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
        assert_eq!(world.packets(member).len(), 2);
        world.drop_link(member);
    }
    let subscriptions: u64 = (0..2).map(|shard| world.shard(shard).counters().subscriptions).sum();
    assert_eq!(subscriptions, 0);
}

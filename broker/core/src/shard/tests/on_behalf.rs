//! Subscriptions that the operator makes and ends in a client's place.

use super::harness::{World, options};
use crate::control::{Control, ExclusiveOwner, SubscribeOutcome};
use crate::settings::Settings;
use alloc::vec;
use alloc::vec::Vec;
use ringmq_wire::{QoS, ReasonCode, Version};

/// What the one shard says that the client is at home on.
fn subscribe(world: &mut World, shards: usize, client_id: &str, filter: &str) -> Vec<SubscribeOutcome> {
    let answer = |shard| {
        let request = Control::Subscribe { client_id: client_id.into(), filter: filter.into(), qos: QoS::AtLeastOnce };
        let Control::Subscribed(outcome) = world.ask(shard, request) else { panic!("no answer") };
        outcome
    };
    (0..shards).filter_map(answer).collect()
}

fn unsubscribe(world: &mut World, shards: usize, client_id: &str, filter: &str) -> Vec<bool> {
    let answer = |shard| {
        let request = Control::Unsubscribe { client_id: client_id.into(), filter: filter.into() };
        let Control::Unsubscribed(ended) = world.ask(shard, request) else { panic!("no answer") };
        ended
    };
    (0..shards).filter_map(answer).collect()
}

fn owner(world: &mut World, shards: usize, topic: &str) -> Vec<ExclusiveOwner> {
    let answer = |shard| {
        let found = world.ask(shard, Control::FindExclusive(topic.into()));
        let Control::FoundExclusive(owner) = found else { panic!("no answer") };
        owner
    };
    (0..shards).filter_map(answer).collect()
}

fn end_exclusive(world: &mut World, owner: ExclusiveOwner, topic: &str) -> Option<alloc::boxed::Box<str>> {
    let request = Control::EndExclusive { owner, topic: topic.into() };
    let Control::EndedExclusive(client) = world.ask(usize::from(owner.shard.0), request) else { panic!("no answer") };
    client
}

#[test]
fn a_client_gets_what_the_operator_subscribes_it_to() {
    for shards in [1, 4] {
        let mut world = World::new(shards, Settings::default());
        let publisher = world.connect("p", Version::V5);
        world.publish_as(publisher, "t/kept", "r", QoS::AtMostOnce, 0, true);
        let client = world.connect("c", Version::V5);
        for filter in ["t/#", "$share/g/u"] {
            assert_eq!(subscribe(&mut world, shards, "c", filter), [SubscribeOutcome::Done], "{filter}");
        }
        world.settle();
        assert_eq!(world.packets(client), ["PUBLISH q0 t/kept retain r"], "and no SUBACK");
        for topic in ["t/1", "u"] {
            world.publish(publisher, topic, "x", QoS::AtMostOnce, 0);
        }
        assert_eq!(world.packets(client), ["PUBLISH q0 t/1 x", "PUBLISH q0 u x"]);
        for filter in ["t/#", "$share/g/u"] {
            assert_eq!(unsubscribe(&mut world, shards, "c", filter), [true]);
            assert_eq!(unsubscribe(&mut world, shards, "c", filter), [false]);
        }
        for topic in ["t/1", "u"] {
            world.publish(publisher, topic, "x", QoS::AtMostOnce, 0);
        }
        assert!(world.packets(client).is_empty());
    }
}

#[test]
fn what_cannot_be_is_said() {
    for shards in [1, 4] {
        let mut world = World::new(shards, Settings::default());
        assert!(subscribe(&mut world, shards, "nobody", "t").is_empty());
        assert!(unsubscribe(&mut world, shards, "nobody", "t").is_empty());
        let client = world.connect_as(Version::V311, |connect| {
            connect.client_id = "c";
            connect.clean_start = false;
        });
        let refused = subscribe(&mut world, shards, "c", "a/#/b");
        assert_eq!(refused, [SubscribeOutcome::Refused(ReasonCode::TOPIC_FILTER_INVALID)]);
        assert!(world.is_open(client), "that is not the client's fault");
        assert_eq!(subscribe(&mut world, shards, "c", "t"), [SubscribeOutcome::Done]);
        world.drop_link(client);
        assert_eq!(subscribe(&mut world, shards, "c", "u"), [SubscribeOutcome::NotConnected]);
        assert_eq!(unsubscribe(&mut world, shards, "c", "t"), [true], "away or not");
    }
}

#[test]
fn an_exclusive_topic_is_free_once_the_operator_has_ended_it() {
    for shards in [1, 4] {
        let mut world = World::new(shards, Settings { exclusive_subscription: true, ..Settings::default() });
        for number in 0..6 {
            let (one, other) = (alloc::format!("one{number}"), alloc::format!("other{number}"));
            let (first, second) = (world.connect(&one, Version::V5), world.connect(&other, Version::V5));
            assert!(owner(&mut world, shards, "t").is_empty());
            world.subscribe(first, "$exclusive/t", options(QoS::AtMostOnce));
            world.packets(first);
            let found = owner(&mut world, shards, "t");
            assert_eq!(found.len(), 1);
            assert_eq!(end_exclusive(&mut world, found[0], "t").as_deref(), Some(one.as_str()));
            assert_eq!(end_exclusive(&mut world, found[0], "t"), None, "once");
            world.subscribe(second, "$exclusive/t", options(QoS::AtMostOnce));
            assert_eq!(world.packets(second), ["SUBACK #99 [00]"]);
            assert_eq!(unsubscribe(&mut world, shards, &other, "$exclusive/t"), vec![true]);
        }
    }
}

//! Exclusive subscriptions: one owner for a topic, wherever topic and sessions live.

use super::harness::{Client, World, options};
use crate::settings::Settings;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use ringmq_wire::{QoS, SubscribeOut, UnsubscribeOut, UserProperties, Version};

fn world(shards: usize) -> World {
    World::new(shards, Settings { exclusive_subscription: true, ..Settings::default() })
}

fn ask(world: &mut World, client: Client, filter: &str) -> Vec<alloc::string::String> {
    world.subscribe(client, filter, options(QoS::AtMostOnce));
    world.packets(client)
}

fn unsubscribe(world: &mut World, client: Client, filter: &str) -> Vec<alloc::string::String> {
    let mut bytes = Vec::new();
    let unsubscribe = UnsubscribeOut { packet_id: 7, filters: &[filter], user_properties: UserProperties::NONE };
    unsubscribe.encode(Version::V5, &mut bytes);
    world.send(client, &bytes);
    world.packets(client)
}

const GRANTED: [&str; 1] = ["SUBACK #99 [00]"];
const TAKEN: [&str; 1] = ["SUBACK #99 [97]"];

#[test]
fn a_topic_has_one_owner_and_is_free_after_it() {
    for shards in [1, 4] {
        let mut world = world(shards);
        // Enough clients and topics for every arrangement of homes.
        let clients: Vec<_> = (0..6).map(|number| world.connect(&format!("c{number}"), Version::V5)).collect();
        for topic in (0..6).map(|number| format!("$exclusive/t/{number}")) {
            for (at, owner) in clients.iter().enumerate() {
                let other = clients[(at + 1) % clients.len()];
                assert_eq!(ask(&mut world, *owner, &topic), GRANTED);
                assert_eq!(ask(&mut world, other, &topic), TAKEN);
                assert_eq!(ask(&mut world, *owner, &topic), GRANTED, "again");
                assert_eq!(unsubscribe(&mut world, other, &topic), ["UNSUBACK #7 [11]"]);
                assert_eq!(ask(&mut world, other, &topic), TAKEN);
                assert_eq!(unsubscribe(&mut world, *owner, &topic), ["UNSUBACK #7 [00]"]);
                assert_eq!(unsubscribe(&mut world, *owner, &topic), ["UNSUBACK #7 [11]"]);
            }
        }
    }
}

#[test]
fn what_was_granted_can_be_given_up_after_they_were_switched_off() {
    for shards in [1, 4] {
        let mut world = world(shards);
        let clients: Vec<_> = (0..6).map(|number| world.connect(&format!("c{number}"), Version::V5)).collect();
        let topic = |number: usize| format!("$exclusive/t/{number}");
        for (number, owner) in clients.iter().enumerate() {
            assert_eq!(ask(&mut world, *owner, &topic(number)), GRANTED);
        }
        world.configure(&Settings::default());
        for (number, owner) in clients.iter().enumerate() {
            assert_eq!(ask(&mut world, *owner, &topic(number)), ["SUBACK #99 [8f]"]);
            if number % 2 == 0 {
                assert_eq!(unsubscribe(&mut world, *owner, &topic(number)), ["UNSUBACK #7 [00]"]);
            } else {
                // The plain subscription replaces it.
                assert_eq!(ask(&mut world, *owner, &format!("t/{number}")), GRANTED);
            }
            assert_eq!(unsubscribe(&mut world, *owner, &topic(number)), ["UNSUBACK #7 [11]"]);
        }
        assert!((0..shards).all(|shard| world.shard(shard).exclusives.len() == 0), "all are free");
    }
}

#[test]
fn messages_come_under_the_bare_topic_with_what_is_retained_first() {
    for shards in [1, 4] {
        let mut world = world(shards);
        let publisher = world.connect("p", Version::V311);
        for number in 0..6 {
            let topic = format!("t/{number}");
            world.publish_as(publisher, &topic, "old", QoS::AtMostOnce, 0, true);
            let owner = world.connect(&format!("c{number}"), Version::V5);
            let other = world.connect(&format!("d{number}"), Version::V5);
            world.subscribe(owner, &format!("$exclusive/{topic}"), options(QoS::AtMostOnce));
            world.subscribe(other, &format!("$exclusive/{topic}"), options(QoS::AtMostOnce));
            world.settle();
            world.publish(publisher, &topic, "new", QoS::AtMostOnce, 0);
            let retained = format!("PUBLISH q0 {topic} retain old");
            assert_eq!(world.packets(owner), [GRANTED[0], &retained, &format!("PUBLISH q0 {topic} new")]);
            assert_eq!(world.packets(other), TAKEN, "nothing for whom it was refused");
        }
    }
}

#[test]
fn the_end_of_a_session_frees_its_topics_and_the_end_of_a_connection_does_not() {
    for shards in [1, 4] {
        let mut world = world(shards);
        for number in 0..6 {
            let topic = format!("$exclusive/t/{number}");
            let owner = world.connect_as(Version::V5, |connect| {
                connect.client_id = format!("c{number}").leak();
                connect.properties.session_expiry = Some(5);
            });
            let other = world.connect(&format!("d{number}"), Version::V5);
            assert_eq!(ask(&mut world, owner, &topic), GRANTED);
            world.drop_link(owner);
            assert_eq!(ask(&mut world, other, &topic), TAKEN);
            world.pass(6_000);
            assert_eq!(ask(&mut world, other, &topic), GRANTED);
        }
    }
}

/// The client does not wait for the SUBACK, so the home of the topic answers a claim that has been taken back.
#[test]
fn unsubscribing_before_the_grant_leaves_the_topic_free() {
    for number in 0..6 {
        let mut world = world(4);
        let topic = format!("$exclusive/t/{number}");
        let client = world.connect("c", Version::V5);
        let other = world.connect("d", Version::V5);
        let mut bytes = Vec::new();
        let filters = [(topic.as_str(), options(QoS::AtMostOnce))];
        let user_properties = UserProperties::NONE;
        let subscribe = SubscribeOut { packet_id: 1, subscription_id: None, filters: &filters, user_properties };
        subscribe.encode(Version::V5, &mut bytes);
        let unsubscribe = UnsubscribeOut { packet_id: 2, filters: &[&topic], user_properties };
        unsubscribe.encode(Version::V5, &mut bytes);
        world.send(client, &bytes);
        let mut packets = world.packets(client);
        packets.sort();
        assert_eq!(packets, ["SUBACK #1 [00]", "UNSUBACK #2 [00]"]);
        assert_eq!(ask(&mut world, other, &topic), GRANTED);
        world.publish(other, &topic["$exclusive/".len()..], "x", QoS::AtMostOnce, 0);
        assert_eq!(world.packets(client), [""; 0]);
        assert_eq!(world.packets(other).len(), 1);
    }
}

#[test]
fn a_plain_subscription_takes_the_place_of_the_exclusive_one() {
    let mut world = world(4);
    let client = world.connect("c", Version::V5);
    let other = world.connect("d", Version::V5);
    for topic in (0..6).map(|number| format!("t/{number}")) {
        assert_eq!(ask(&mut world, client, &format!("$exclusive/{topic}")), GRANTED);
        assert_eq!(ask(&mut world, client, &topic), GRANTED);
        assert_eq!(ask(&mut world, other, &format!("$exclusive/{topic}")), GRANTED);
        world.publish(other, &topic, "x", QoS::AtMostOnce, 0);
        world.settle();
        assert_eq!(world.packets(client), [format!("PUBLISH q0 {topic} x")]);
        assert_eq!(world.packets(other).len(), 1);
    }
    assert_eq!(world.shard(0).exclusives.len() + (1..4).map(|s| world.shard(s).exclusives.len()).sum::<usize>(), 6);
}

#[test]
fn what_cannot_be_exclusive_is_refused() {
    let mut world = world(1);
    let client = world.connect("c", Version::V5);
    for filter in ["$exclusive/", "$exclusive/a/+", "$exclusive/#", "$exclusive/$share/g/t", "$exclusive/$exclusive/t"]
    {
        assert_eq!(ask(&mut world, client, filter), ["SUBACK #99 [8f]".to_string()], "{filter}");
    }
    let mut world = World::new(1, Settings::default());
    let client = world.connect("c", Version::V5);
    assert_eq!(ask(&mut world, client, "$exclusive/t"), ["SUBACK #99 [8f]"], "turned off");
}

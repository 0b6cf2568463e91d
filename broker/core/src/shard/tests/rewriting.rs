//! Rewritten topics and the operator's subscriptions.

use super::harness::{World, options};
use crate::rewrite::{RewriteAction, RewriteClient, Rewriter};
use crate::settings::{AutoSubscription, Settings};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{QoS, UnsubscribeOut, UserProperties, Version};

/// Moves `old/...` to `new/<client>/<user>/...` or, for subscriptions, `new/+/+/...`; `bad/...` to what is no topic.
#[derive(Debug)]
struct Mover;

impl Rewriter for Mover {
    fn rewrite(&self, action: RewriteAction, topic: &str, client: RewriteClient<'_>, out: &mut String) -> bool {
        if topic.starts_with("bad/") {
            out.push_str("no/#");
            return true;
        }
        let Some(rest) = topic.strip_prefix("old/") else { return false };
        *out = match action {
            RewriteAction::Publish => format!("new/{}/{}/{rest}", client.client_id, client.username.unwrap_or("-")),
            RewriteAction::Subscribe => format!("new/+/+/{rest}"),
        };
        true
    }
}

fn world(shards: usize) -> World {
    let settings = Settings { exclusive_subscription: true, ..Settings::default() };
    World::with_rewriter(shards, &settings, || Some(Box::new(Mover)))
}

#[test]
fn topics_are_rewritten_on_both_sides() {
    for shards in [1, 4] {
        let mut world = world(shards);
        let subscriber = world.connect("s", Version::V5);
        for filter in ["old/a", "$share/g/old/b", "bad/x"] {
            world.subscribe(subscriber, filter, options(QoS::AtMostOnce));
        }
        assert_eq!(world.packets(subscriber), ["SUBACK #99 [00]", "SUBACK #99 [00]", "SUBACK #99 [00]"]);
        let publisher = world.connect_as(Version::V5, |connect| {
            connect.client_id = "p";
            connect.username = Some("u");
        });
        for topic in ["old/a", "old/b", "old/c", "$delayed/1/old/a"] {
            world.publish(publisher, topic, "x", QoS::AtMostOnce, 0);
        }
        world.pass(1_000);
        world.settle();
        let expected = ["PUBLISH q0 new/p/u/a x", "PUBLISH q0 new/p/u/b x", "PUBLISH q0 new/p/u/a x"];
        assert_eq!(world.packets(subscriber), expected);
        // What is no topic name changes nothing.
        let plain = world.connect("t", Version::V5);
        world.subscribe(plain, "+/x", options(QoS::AtMostOnce));
        world.publish(publisher, "bad/x", "y", QoS::AtMostOnce, 0);
        assert_eq!(world.packets(plain), ["SUBACK #99 [00]", "PUBLISH q0 bad/x y"]);
    }
}

#[test]
fn a_client_unsubscribes_with_the_name_it_subscribed_with() {
    let mut world = world(4);
    let client = world.connect("c", Version::V5);
    for filter in ["old/a", "$share/g/old/b"] {
        world.subscribe(client, filter, options(QoS::AtMostOnce));
        let mut bytes = Vec::new();
        let unsubscribe = UnsubscribeOut { packet_id: 7, filters: &[filter], user_properties: UserProperties::NONE };
        unsubscribe.encode(Version::V5, &mut bytes);
        world.send(client, &bytes);
        assert_eq!(world.packets(client), ["SUBACK #99 [00]", "UNSUBACK #7 [00]"], "{filter}");
    }
}

#[test]
fn rules_come_and_go_while_clients_are_there() {
    for shards in [1, 4] {
        let mut world = World::new(shards, Settings::default());
        let subscriber = world.connect("s", Version::V5);
        world.subscribe(subscriber, "#", options(QoS::AtMostOnce));
        let publishers: Vec<_> = (0..4).map(|number| world.connect(&format!("p{number}"), Version::V5)).collect();
        world.packets(subscriber);
        let publish = |world: &mut World| -> Vec<String> {
            publishers.iter().for_each(|client| world.publish(*client, "old/a", "x", QoS::AtMostOnce, 0));
            world.settle();
            let mut got = world.packets(subscriber);
            got.sort_unstable();
            got
        };
        let plain = ["PUBLISH q0 old/a x"; 4];
        assert_eq!(publish(&mut world), plain);
        world.configure_with(&Settings::default(), || Some(Box::new(Mover)));
        let moved: Vec<String> = (0..4).map(|number| format!("PUBLISH q0 new/p{number}/-/a x")).collect();
        assert_eq!(publish(&mut world), moved);
        world.configure(&Settings::default());
        assert_eq!(publish(&mut world), plain);
    }
}

#[test]
fn a_will_is_rewritten() {
    let mut world = world(4);
    let subscriber = world.connect("s", Version::V5);
    world.subscribe(subscriber, "new/#", options(QoS::AtMostOnce));
    let client = world.connect_as(Version::V311, |connect| {
        let (topic, payload) = ("old/will", b"gone".as_slice());
        let properties = ringmq_wire::PublishProperties::NONE;
        connect.will =
            Some(ringmq_wire::Will { qos: QoS::AtMostOnce, retain: false, topic, payload, delay: 0, properties });
        connect.username = Some("u");
    });
    world.packets(subscriber);
    world.drop_link(client);
    world.settle();
    assert_eq!(world.packets(subscriber), ["PUBLISH q0 new/c/u/will gone"]);
}

fn auto(topic: &str) -> AutoSubscription {
    AutoSubscription { topic: topic.into(), qos: 1, retain_handling: 0, retain_as_published: false, no_local: false }
}

#[test]
fn every_client_gets_the_operators_subscriptions_and_no_answer() {
    for shards in [1, 4] {
        let topics = ["to/${clientid}", "from/${host}/${port}", "user/${username}", "$share/g/all"];
        let auto_subscribe = topics.map(auto).to_vec();
        let mut world = World::new(shards, Settings { auto_subscribe, ..Settings::default() });
        let publisher = world.connect("p", Version::V5);
        world.publish_as(publisher, "to/c", "kept", QoS::AtLeastOnce, 1, true);
        world.packets(publisher);
        let client = world.connect("c", Version::V311);
        world.settle();
        let got = world.packets(client);
        // `connect` has looked at the CONNACK, and may have seen the retained message with it.
        assert!(got.is_empty() || got == ["PUBLISH q1 to/c retain #1 kept"], "{got:?}");
        for topic in ["to/c", "to/d", "from/127.0.0.1/5000", "user/", "user/c"] {
            world.publish(publisher, topic, "x", QoS::AtMostOnce, 0);
        }
        world.settle();
        assert_eq!(world.packets(client), ["PUBLISH q0 to/c x", "PUBLISH q0 from/127.0.0.1/5000 x"]);
        let subscriptions: u64 = (0..shards).map(|shard| world.shard(shard).counters().subscriptions).sum();
        assert_eq!(subscriptions, 6, "the one with a user name is left out");
    }
}

//! Clients of a listener with a mountpoint beside those of one without.

use super::harness::{Client, World, connect_packet, options};
use crate::settings::{AutoSubscription, Mountpoint, Settings};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{
    ConnectProperties, PublishOut, PublishProperties, QoS, UnsubscribeOut, UserProperties, Version, Will,
};

const PLAIN: u16 = 0;
const MOUNTED: u16 = 1;
const BY_USER: u16 = 2;

/// Settings whose second listener mounts by client, and whose third by user.
fn settings(common: Settings) -> Settings {
    let on = |text| Settings { mountpoint: Mountpoint::parse(text).unwrap(), ..common.clone() };
    Settings { for_listeners: [on(""), on("to/${clientid}/"), on("${username}/")].into(), ..common }
}

fn world(shards: usize) -> World {
    World::new(shards, settings(Settings { exclusive_subscription: true, ..Settings::default() }))
}

/// A client that comes by one of the listeners.
fn by(world: &mut World, listener: u16, client_id: &str, version: Version) -> Client {
    world.come_by(listener);
    world.connect(client_id, version)
}

fn unsubscribe(world: &mut World, client: Client, filter: &str, version: Version) {
    let mut bytes = Vec::new();
    let unsubscribe = UnsubscribeOut { packet_id: 7, filters: &[filter], user_properties: UserProperties::NONE };
    unsubscribe.encode(version, &mut bytes);
    world.send(client, &bytes);
}

/// The packets that have come since, once nothing is left to do.
fn got(world: &mut World, client: Client) -> Vec<String> {
    world.settle();
    world.packets(client)
}

#[test]
fn a_client_does_not_know_what_stands_before_its_topics() {
    for (shards, version) in [(1, Version::V311), (4, Version::V5)] {
        let mut world = world(shards);
        let inside = by(&mut world, MOUNTED, "c", version);
        let outside = by(&mut world, PLAIN, "o", version);
        world.subscribe(inside, "a/#", options(QoS::ExactlyOnce));
        world.subscribe(outside, "#", options(QoS::AtLeastOnce));
        assert_eq!(got(&mut world, inside), ["SUBACK #99 [02]"]);
        assert_eq!(got(&mut world, outside), ["SUBACK #99 [01]"]);
        world.publish(inside, "a/b", "1", QoS::AtMostOnce, 0);
        world.publish(outside, "to/c/a/c", "2", QoS::AtLeastOnce, 1);
        world.publish(outside, "a/b", "3", QoS::AtMostOnce, 0);
        assert_eq!(got(&mut world, inside), ["PUBLISH q0 a/b 1", "PUBLISH q1 a/c #1 2"]);
        let all = ["PUBLISH q0 to/c/a/b 1", "PUBACK #1 00", "PUBLISH q1 to/c/a/c #1 2", "PUBLISH q0 a/b 3"];
        let mut seen = got(&mut world, outside);
        let mut all = all.map(String::from).to_vec();
        seen.sort_unstable();
        all.sort_unstable();
        assert_eq!(seen, all);
        unsubscribe(&mut world, inside, "a/#", version);
        world.publish(outside, "to/c/a/b", "4", QoS::AtMostOnce, 0);
        assert_eq!(got(&mut world, inside).len(), 1, "the UNSUBACK alone");
    }
}

#[test]
fn frames_of_a_fan_out_are_not_shared_with_those_who_see_another_topic() {
    let mut world = world(1);
    // The mounted ones before, between and behind the plain ones, whatever the order of the index is.
    let mut clients = Vec::new();
    for number in 0..12 {
        let listener = if number % 3 == 0 { BY_USER } else { PLAIN };
        world.come_by(listener);
        let name: &'static str = format!("n{number}").leak();
        let client = world.connect_as(Version::V5, |connect| {
            connect.client_id = name;
            connect.username = Some("all");
        });
        world.subscribe(client, if listener == PLAIN { "all/t" } else { "t" }, options(QoS::AtLeastOnce));
        world.packets(client);
        clients.push((client, if listener == PLAIN { "PUBLISH q1 all/t #1 x" } else { "PUBLISH q1 t #1 x" }));
    }
    let publisher = by(&mut world, PLAIN, "p", Version::V5);
    world.publish(publisher, "all/t", "x", QoS::AtLeastOnce, 1);
    for (client, expected) in clients {
        assert_eq!(got(&mut world, client), [expected]);
    }
}

#[test]
fn prefixes_that_are_no_part_of_a_topic_stay_in_front() {
    for shards in [1, 4] {
        let mut world = world(shards);
        let inside = by(&mut world, MOUNTED, "c", Version::V5);
        let outside = by(&mut world, PLAIN, "o", Version::V5);
        for filter in ["$share/g/s", "$queue/q", "$exclusive/e"] {
            world.subscribe(inside, filter, options(QoS::AtMostOnce));
            assert_eq!(got(&mut world, inside), ["SUBACK #99 [00]"], "{filter}");
        }
        for topic in ["s", "q", "e"] {
            world.publish(outside, topic, "not for it", QoS::AtMostOnce, 0);
            world.publish(outside, &format!("to/c/{topic}"), "x", QoS::AtMostOnce, 0);
            assert_eq!(got(&mut world, inside), [format!("PUBLISH q0 {topic} x")]);
        }
        // The topic that somebody else has alone is the mounted one.
        let other = by(&mut world, PLAIN, "x", Version::V5);
        world.subscribe(other, "$exclusive/e", options(QoS::AtMostOnce));
        assert_eq!(got(&mut world, other), ["SUBACK #99 [00]"]);
        world.subscribe(other, "$exclusive/to/c/e", options(QoS::AtMostOnce));
        assert_eq!(got(&mut world, other), ["SUBACK #99 [97]"]);
        for filter in ["$share/g/s", "$queue/q", "$exclusive/e"] {
            unsubscribe(&mut world, inside, filter, Version::V5);
            assert_eq!(got(&mut world, inside), ["UNSUBACK #7 [00]"], "{filter}");
        }
        world.subscribe(other, "$exclusive/to/c/e", options(QoS::AtMostOnce));
        assert_eq!(got(&mut world, other), ["SUBACK #99 [00]"]);
        // What is wrong without a mountpoint is wrong with one.
        for filter in ["$share/g/", "$exclusive/$share/g/t", "$share/$q/t", "$q/none"] {
            world.subscribe(inside, filter, options(QoS::AtMostOnce));
            assert_eq!(got(&mut world, inside), ["SUBACK #99 [8f]"], "{filter}");
        }
    }
}

#[test]
fn delayed_messages_and_wills_are_mounted_once() {
    for shards in [1, 4] {
        let mut world = world(shards);
        let outside = by(&mut world, PLAIN, "o", Version::V5);
        world.subscribe(outside, "to/#", options(QoS::AtMostOnce));
        world.packets(outside);
        world.come_by(MOUNTED);
        let inside = world.connect_as(Version::V311, |connect| {
            connect.will = Some(Will {
                qos: QoS::AtMostOnce,
                retain: false,
                topic: "$delayed/2/gone",
                payload: b"w",
                delay: 0,
                properties: PublishProperties::NONE,
            });
        });
        world.publish(inside, "$delayed/1/later", "d", QoS::AtMostOnce, 0);
        world.publish(inside, "$delayed/x/never", "d", QoS::AtMostOnce, 0);
        assert!(got(&mut world, outside).is_empty());
        world.drop_link(inside);
        world.pass(1_000);
        assert_eq!(got(&mut world, outside), ["PUBLISH q0 to/c/later d"]);
        world.pass(1_000);
        assert_eq!(got(&mut world, outside), ["PUBLISH q0 to/c/gone w"]);
    }
}

#[test]
fn what_is_no_delay_is_a_topic_like_any_other() {
    let mut world = World::new(1, settings(Settings { delayed_enable: false, ..Settings::default() }));
    let outside = by(&mut world, PLAIN, "o", Version::V5);
    world.subscribe(outside, "to/#", options(QoS::AtMostOnce));
    world.packets(outside);
    let inside = by(&mut world, MOUNTED, "c", Version::V5);
    world.publish(inside, "$delayed/1/t", "x", QoS::AtMostOnce, 0);
    assert_eq!(got(&mut world, outside), ["PUBLISH q0 to/c/$delayed/1/t x"]);
}

#[test]
fn retained_messages_come_without_the_mountpoint() {
    for shards in [1, 4] {
        let mut world = world(shards);
        let first = by(&mut world, MOUNTED, "c", Version::V5);
        world.publish_as(first, "kept/1", "x", QoS::AtLeastOnce, 1, true);
        got(&mut world, first);
        world.drop_link(first);
        for (listener, filter, expected) in [
            (MOUNTED, "kept/1", "PUBLISH q0 kept/1 retain x"),
            (MOUNTED, "#", "PUBLISH q0 kept/1 retain x"),
            (PLAIN, "to/c/kept/1", "PUBLISH q0 to/c/kept/1 retain x"),
        ] {
            let client = by(&mut world, listener, "c", Version::V5);
            world.subscribe(client, filter, options(QoS::AtMostOnce));
            assert_eq!(got(&mut world, client), ["SUBACK #99 [00]", expected], "{filter}");
            world.drop_link(client);
        }
    }
}

#[test]
fn aliases_stand_for_what_the_client_knows() {
    let mut world = world(1);
    world.come_by(MOUNTED);
    let inside = world.connect_as(Version::V5, |connect| {
        connect.properties = ConnectProperties { topic_alias_maximum: 5, ..ConnectProperties::default() };
    });
    world.subscribe(inside, "#", options(QoS::AtMostOnce));
    got(&mut world, inside);
    for topic in ["t", ""] {
        let mut bytes = Vec::new();
        let publish = PublishOut {
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            topic: topic.as_bytes(),
            packet_id: 0,
            expiry: None,
            alias: Some(3),
            subscription_ids: &[],
            properties: &[],
            payload: b"x",
        };
        publish.encode(Version::V5, &mut bytes);
        world.send(inside, &bytes);
    }
    // The second comes by the alias that the first has set.
    assert_eq!(got(&mut world, inside), ["PUBLISH q0 t x", "PUBLISH q0  x"]);
}

#[test]
fn the_operators_subscriptions_are_mounted() {
    let auto = AutoSubscription {
        topic: "for/${clientid}".into(),
        qos: 0,
        retain_handling: 0,
        retain_as_published: false,
        no_local: false,
    };
    let mut world = World::new(4, settings(Settings { auto_subscribe: [auto].into(), ..Settings::default() }));
    let inside = by(&mut world, MOUNTED, "c", Version::V5);
    let outside = by(&mut world, PLAIN, "o", Version::V5);
    world.publish(outside, "for/c", "not for it", QoS::AtMostOnce, 0);
    world.publish(outside, "to/c/for/c", "x", QoS::AtMostOnce, 0);
    assert_eq!(got(&mut world, inside), ["PUBLISH q0 for/c x"]);
}

#[test]
fn a_session_keeps_its_filters_and_sees_topics_as_its_new_connection_does() {
    let mut world = world(4);
    let lasting = |connect: &mut ringmq_wire::Connect<'_>| connect.clean_start = false;
    world.come_by(MOUNTED);
    let client = world.connect_as(Version::V311, lasting);
    world.subscribe(client, "a", options(QoS::AtLeastOnce));
    got(&mut world, client);
    world.drop_link(client);
    let outside = by(&mut world, PLAIN, "o", Version::V5);
    world.publish(outside, "to/c/a", "1", QoS::AtLeastOnce, 1);
    world.settle();
    world.come_by(PLAIN);
    let client = world.open(Version::V311);
    world.send(client, &connect_packet(Version::V311, lasting));
    assert_eq!(got(&mut world, client), ["CONNACK 00 present=true", "PUBLISH q1 to/c/a #1 1"]);
    world.drop_link(client);
    world.come_by(MOUNTED);
    let client = world.open(Version::V311);
    world.send(client, &connect_packet(Version::V311, lasting));
    // Sent again, as this connection knows it.
    assert_eq!(got(&mut world, client), ["CONNACK 00 present=true", "PUBLISH q1 a dup #1 1"]);
}

#[test]
fn a_client_whose_names_lead_out_of_its_mountpoint_is_refused() {
    let mut world = world(1);
    world.come_by(BY_USER);
    for username in ["+", "a/#", "$share/g"] {
        let client = world.open(Version::V5);
        world.send(client, &connect_packet(Version::V5, |connect| connect.username = Some(username)));
        assert_eq!(got(&mut world, client), ["CONNACK 87 present=false"], "{username}");
        assert!(!world.is_open(client));
    }
    let nameless = world.connect_as(Version::V5, |connect| connect.username = None);
    world.publish(nameless, "t", "x", QoS::AtLeastOnce, 1);
    assert_eq!(got(&mut world, nameless), ["PUBACK #1 10"], "it has a mountpoint of its own");
}

#[test]
fn levels_and_bytes_of_the_mountpoint_count() {
    let mut world = World::new(1, settings(Settings { max_topic_levels: 3, ..Settings::default() }));
    let inside = by(&mut world, MOUNTED, "c", Version::V5);
    world.subscribe(inside, "a/b", options(QoS::AtMostOnce));
    world.publish(inside, "a", "x", QoS::AtLeastOnce, 1);
    assert_eq!(got(&mut world, inside), ["SUBACK #99 [8f]", "PUBACK #1 10"]);
    world.publish(inside, "a/b", "x", QoS::AtMostOnce, 0);
    assert_eq!(got(&mut world, inside), ["DISCONNECT 90"]);
    let inside = by(&mut world, MOUNTED, "c", Version::V5);
    let longest: Box<str> = "x".repeat(65_535).into();
    world.subscribe(inside, &longest, options(QoS::AtMostOnce));
    world.publish(inside, &longest, "x", QoS::AtMostOnce, 0);
    assert_eq!(got(&mut world, inside), ["SUBACK #99 [8f]", "DISCONNECT 90"]);
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a/b",
        payload: b"",
        delay: 0,
        properties: PublishProperties::NONE,
    };
    let client = world.open(Version::V5);
    world.send(client, &connect_packet(Version::V5, |connect| connect.will = Some(will)));
    assert_eq!(got(&mut world, client), ["CONNACK 90 present=false"]);
}

//! Messages counted by topic.

use super::harness::{World, options};
use crate::control::{Control, TopicCounts};
use crate::settings::Settings;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use ringmq_wire::{QoS, Version};

fn watch(world: &mut World, topics: &[&str]) {
    for shard in 0..2 {
        let topics = topics.iter().map(|topic| Box::from(*topic)).collect();
        assert!(matches!(world.ask(shard, Control::CountTopics(topics)), Control::TopicsTaken));
    }
}

/// The sums over both shards.
fn counts(world: &mut World) -> BTreeMap<String, TopicCounts> {
    world.settle();
    let mut sums: BTreeMap<String, TopicCounts> = BTreeMap::new();
    for shard in 0..2 {
        let Control::TopicCounts(counts) = world.ask(shard, Control::ListTopicCounts) else { panic!("no answer") };
        for (topic, counts) in counts {
            sums.entry(topic.into()).or_default().add(&counts);
        }
    }
    sums
}

#[test]
fn named_topics_are_counted_on_every_shard_and_no_others() {
    let mut world = World::new(2, Settings::default());
    let clients: alloc::vec::Vec<_> = (0..6).map(|number| world.connect(&format!("c{number}"), Version::V5)).collect();
    for (client, qos) in clients.iter().zip([QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].iter().cycle()) {
        world.subscribe(*client, "a/+", options(*qos));
    }
    world.publish(clients[0], "a/b", "before", QoS::AtMostOnce, 0);
    world.settle();
    watch(&mut world, &["a/b", "nobody"]);
    for (number, client) in (1..).zip(&clients) {
        world.publish(*client, "a/b", "x", QoS::ExactlyOnce, number);
        world.publish(*client, "a/c", "x", QoS::AtLeastOnce, 10 + number);
    }
    world.publish(clients[0], "nobody", "x", QoS::AtLeastOnce, 30);
    let found = counts(&mut world);
    assert_eq!(found.len(), 2);
    assert_eq!(found["a/b"], TopicCounts { received: [0, 0, 6], sent: [12, 12, 12], dropped: 0 });
    // Whoever may have a subscriber is told of a message here, so no shard knows that nobody has one.
    assert_eq!(found["nobody"].received, [0, 1, 0]);
    watch(&mut world, &["a/b", "a/c"]);
    world.publish(clients[1], "a/c", "x", QoS::AtMostOnce, 0);
    let found = counts(&mut world);
    assert_eq!(found["a/b"].received, [0, 0, 6], "goes on");
    assert_eq!((found["a/c"].received, found["a/c"].sent, found.len()), ([1, 0, 0], [6, 0, 0], 2));
    watch(&mut world, &[]);
    assert!(counts(&mut world).is_empty());
}

#[test]
fn what_waits_counts_when_it_is_sent_and_what_matches_nothing_is_dropped() {
    let mut world = World::new(1, Settings::default());
    let ask = |world: &mut World| match world.ask(0, Control::ListTopicCounts) {
        Control::TopicCounts(counts) => counts[0].1,
        _ => panic!("no answer"),
    };
    world.ask(0, Control::CountTopics([Box::from("t")].into()));
    let publisher = world.connect("p", Version::V311);
    world.publish(publisher, "t", "x", QoS::AtMostOnce, 0);
    assert_eq!(ask(&mut world), TopicCounts { received: [1, 0, 0], sent: [0; 3], dropped: 1 });
    let away = |connect: &mut ringmq_wire::Connect<'_>| {
        connect.client_id = "away";
        connect.clean_start = false;
    };
    let client = world.connect_as(Version::V311, away);
    world.subscribe(client, "t", options(QoS::AtLeastOnce));
    world.drop_link(client);
    world.publish(publisher, "t", "x", QoS::AtLeastOnce, 1);
    assert_eq!(ask(&mut world).sent, [0; 3]);
    world.connect_as(Version::V311, away);
    assert_eq!(ask(&mut world), TopicCounts { received: [1, 1, 0], sent: [0, 1, 0], dropped: 1 });
}

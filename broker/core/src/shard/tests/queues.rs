//! Message queues, from clients to clients, on one shard and on several.

use super::harness::{Client, World, connect_packet, options};
use crate::control::Control;
use crate::settings::{QueueSettings, Settings};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{QoS, SubscribeOptions, UnsubscribeOut, UserProperties, Version};

fn with_queue(queue: QueueSettings) -> Settings {
    Settings { queues: [("jobs".into(), queue)].into(), ..Settings::default() }
}

fn jobs() -> QueueSettings {
    QueueSettings { topic_filter: "jobs/#".into(), ..QueueSettings::default() }
}

fn publish(world: &mut World, publisher: Client, numbers: core::ops::Range<u32>) {
    for number in numbers {
        world.publish(publisher, "jobs/1", &format!("{number}"), QoS::AtLeastOnce, 1);
    }
    world.settle();
}

/// The identifier and the payload of each PUBLISH that has come.
fn got(world: &mut World, client: Client) -> Vec<(u16, String)> {
    world.settle();
    let packets = world.packets(client);
    let published = packets.iter().filter(|packet| packet.starts_with("PUBLISH"));
    let parts = published.map(|packet| {
        assert!(!packet.contains(" dup"), "what another had is new to this one: {packet}");
        let id = packet.split_once('#').and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
        (id, packet.rsplit(' ').next().expect("a payload").into())
    });
    parts.collect()
}

fn payloads(world: &mut World, client: Client) -> Vec<String> {
    got(world, client).into_iter().map(|(_, payload)| payload).collect()
}

fn acknowledge(world: &mut World, client: Client, id: u16) {
    world.send(client, &[0x40, 2, (id >> 8) as u8, id as u8]);
    world.settle();
}

fn consumer(world: &mut World, client_id: &'static str, clean: bool) -> Client {
    let client = world.connect_as(Version::V5, |connect| {
        connect.client_id = client_id;
        connect.clean_start = clean;
        connect.properties.session_expiry = Some(1000);
    });
    if clean {
        world.subscribe(client, "$q/jobs", options(QoS::AtLeastOnce));
    }
    client
}

fn subscribed(world: &mut World, client: Client, filter: &str, options: SubscribeOptions) -> String {
    world.subscribe(client, filter, options);
    world.settle();
    world.packets(client).remove(0)
}

fn numbered(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|number| format!("{number}")).collect()
}

/// Messages that the queue holds, and those of them that wait.
fn held(world: &mut World, shards: usize) -> (usize, usize) {
    let mut sum = (0, 0);
    for shard in 0..shards {
        let Control::Queues(queues) = world.ask(shard, Control::ListQueues) else { panic!("queues") };
        for queue in queues {
            sum = (sum.0 + queue.length, sum.1 + queue.waiting);
        }
    }
    sum
}

/// Names of clients that live on each of a few shards.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[test]
fn messages_are_held_until_somebody_consumes_them() {
    for shards in [1, 2, 3] {
        let mut world = World::new(shards, with_queue(jobs()));
        let publisher = world.connect("p", Version::V5);
        publish(&mut world, publisher, 0..5);
        assert_eq!(world.packets(publisher)[0], "PUBACK #1 00", "somebody has it");
        assert_eq!(held(&mut world, shards), (5, 5));
        // Each of them once, whichever shard it lives on.
        for (at, name) in NAMES.into_iter().enumerate() {
            let client = consumer(&mut world, name, true);
            let wanted = if at == 0 { numbered(0, 5) } else { numbered(100, 105) };
            if at > 0 {
                publish(&mut world, publisher, 100..105);
            }
            let messages = got(&mut world, client);
            assert_eq!(messages.iter().map(|(_, payload)| payload.clone()).collect::<Vec<_>>(), wanted, "{name}");
            messages.iter().for_each(|(id, _)| acknowledge(&mut world, client, *id));
            assert_eq!(held(&mut world, shards), (0, 0));
            world.subscribe(client, "other", options(QoS::AtMostOnce));
            unsubscribe(&mut world, client, "$q/jobs");
        }
    }
}

fn unsubscribe(world: &mut World, client: Client, filter: &str) {
    let mut bytes = Vec::new();
    UnsubscribeOut { packet_id: 7, filters: &[filter], user_properties: UserProperties::NONE }
        .encode(Version::V5, &mut bytes);
    world.send(client, &bytes);
    world.settle();
}

#[test]
fn what_a_consumer_leaves_goes_to_another_and_what_it_acknowledged_does_not() {
    for shards in [1, 2, 3] {
        for (first, second) in [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")] {
            let mut world = World::new(shards, with_queue(jobs()));
            let publisher = world.connect("p", Version::V5);
            let one = consumer(&mut world, first, true);
            publish(&mut world, publisher, 0..5);
            let messages = got(&mut world, one);
            assert_eq!(messages.len(), 5);
            for (id, _) in &messages[..2] {
                acknowledge(&mut world, one, *id);
            }
            let two = consumer(&mut world, second, true);
            assert!(payloads(&mut world, two).is_empty(), "they are with the other");
            world.drop_link(one);
            assert_eq!(payloads(&mut world, two), numbered(2, 5));
            // It comes back to its session, and to what is left for it.
            publish(&mut world, publisher, 5..12);
            assert_eq!(payloads(&mut world, two), numbered(5, 12), "the only one that is there");
            let back = consumer(&mut world, first, false);
            assert!(payloads(&mut world, back).is_empty());
            world.drop_link(two);
            assert_eq!(payloads(&mut world, back), numbered(2, 12));
        }
    }
}

#[test]
fn consumers_share_and_none_has_more_than_it_may() {
    for shards in [1, 2] {
        let mut world = World::new(shards, with_queue(QueueSettings { max_inflight: 3, ..jobs() }));
        let publisher = world.connect("p", Version::V5);
        let consumers = ["a", "b", "c"].map(|name| consumer(&mut world, name, true));
        world.settle();
        publish(&mut world, publisher, 0..20);
        let messages = consumers.map(|client| got(&mut world, client));
        assert_eq!(messages.each_ref().map(Vec::len), [3, 3, 3]);
        let mut all: Vec<String> = messages.iter().flatten().map(|(_, payload)| payload.clone()).collect();
        all.sort_by_key(|payload| payload.parse::<u32>().expect("a number"));
        assert_eq!(all, numbered(0, 9));
        acknowledge(&mut world, consumers[1], messages[1][0].0);
        assert_eq!(payloads(&mut world, consumers[1]), ["9"]);
        assert_eq!(held(&mut world, shards), (19, 10));
    }
}

#[test]
fn at_most_once_is_done_with_once_it_is_sent() {
    for shards in [1, 2] {
        let mut world = World::new(shards, with_queue(QueueSettings { max_inflight: 1, ..jobs() }));
        let publisher = world.connect("p", Version::V5);
        publish(&mut world, publisher, 0..50);
        let client = world.connect("a", Version::V5);
        let suback = subscribed(&mut world, client, "$q/jobs", options(QoS::AtMostOnce));
        assert_eq!(suback, "SUBACK #99 [00]");
        publish(&mut world, publisher, 50..60);
        assert_eq!(held(&mut world, shards), (0, 0));
        let taken = world.shard(0).counters().messages_queue_settled
            + if shards == 2 { world.shard(1).counters().messages_queue_settled } else { 0 };
        assert_eq!(taken, 60);
    }
}

/// The whole of it in order, SUBACK first.
#[test]
fn a_consumer_at_most_once_gets_all_in_order() {
    let mut world = World::new(1, with_queue(jobs()));
    let publisher = world.connect("p", Version::V5);
    publish(&mut world, publisher, 0..3000);
    let client = world.connect("a", Version::V5);
    world.subscribe(client, "$q/jobs", options(QoS::AtMostOnce));
    world.settle();
    let packets = world.packets(client);
    assert_eq!(packets[0], "SUBACK #99 [00]");
    let payloads: Vec<&str> = packets[1..].iter().filter_map(|packet| packet.rsplit(' ').next()).collect();
    assert_eq!(payloads, numbered(0, 3000));
}

#[test]
fn exactly_once_is_not_granted() {
    let mut world = World::new(1, with_queue(jobs()));
    let client = world.connect("a", Version::V5);
    assert_eq!(subscribed(&mut world, client, "$q/jobs", options(QoS::ExactlyOnce)), "SUBACK #99 [01]");
    world.publish(client, "jobs/1", "x", QoS::ExactlyOnce, 5);
    world.settle();
    assert!(world.packets(client).contains(&"PUBLISH q1 jobs/1 #1 x".into()));
}

#[test]
fn only_declared_queues_can_be_consumed() {
    let mut world = World::new(2, with_queue(jobs()));
    let client = world.connect("a", Version::V5);
    for filter in ["$q/other", "$q/", "$q/#", "$q/jobs/x", "$share/$q/jobs"] {
        assert_eq!(subscribed(&mut world, client, filter, options(QoS::AtLeastOnce)), "SUBACK #99 [8f]", "{filter}");
    }
    let no_local = SubscribeOptions { no_local: true, ..options(QoS::AtLeastOnce) };
    assert_eq!(subscribed(&mut world, client, "$q/jobs", no_local), "SUBACK #99 [83]");
    assert_eq!(subscribed(&mut world, client, "$q/jobs", options(QoS::AtLeastOnce)), "SUBACK #99 [01]");
    let listed = (0..2).flat_map(|shard| {
        match world.ask(shard, Control::ListSubscriptions { of: None, from: Default::default() }) {
            Control::Subscriptions(page) => page.rows,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(listed.map(|row| row.filter).collect::<Vec<_>>(), ["$q/jobs"]);
}

#[test]
fn what_waits_behind_a_small_window_goes_to_others_too() {
    for shards in [1, 2] {
        let mut world = World::new(shards, Settings { max_inflight: 1, ..with_queue(jobs()) });
        let publisher = world.connect("p", Version::V5);
        let one = consumer(&mut world, "a", true);
        publish(&mut world, publisher, 0..5);
        let sent = got(&mut world, one);
        assert_eq!(sent, [(1, "0".into())], "one in flight, four in its session");
        unsubscribe(&mut world, one, "$q/jobs");
        let two = consumer(&mut world, "b", true);
        let mut all = Vec::new();
        while let [(id, payload)] = &got(&mut world, two)[..] {
            all.push(payload.clone());
            acknowledge(&mut world, two, *id);
        }
        assert_eq!(all, numbered(0, 5));
        // Its identifier is in use until the client says otherwise, and that is all.
        world.subscribe(one, "t", options(QoS::AtLeastOnce));
        world.publish(publisher, "t", "y", QoS::AtLeastOnce, 1);
        assert!(payloads(&mut world, one).is_empty());
        acknowledge(&mut world, one, 1);
        assert_eq!(got(&mut world, one), [(2, "y".into())]);
        acknowledge(&mut world, one, 2);
        world.publish(publisher, "t", "x", QoS::AtLeastOnce, 1);
        assert_eq!(payloads(&mut world, one), ["x"]);
    }
}

#[test]
fn queues_come_and_go_while_clients_stay() {
    let mut world = World::new(2, Settings::default());
    let publisher = world.connect("p", Version::V5);
    publish(&mut world, publisher, 0..1);
    assert_eq!(world.packets(publisher).pop().as_deref(), Some("PUBACK #1 00"), "others may want it");
    world.configure(&with_queue(jobs()));
    let client = consumer(&mut world, "a", true);
    publish(&mut world, publisher, 1..3);
    assert_eq!(payloads(&mut world, client), ["1", "2"]);
    world.configure(&with_queue(QueueSettings { enable: false, ..jobs() }));
    assert_eq!(held(&mut world, 2), (0, 0), "it is forgotten with what it held");
    publish(&mut world, publisher, 3..4);
    assert!(payloads(&mut world, client).is_empty());
    let other = QueueSettings { topic_filter: "other/+".into(), ..jobs() };
    world.configure(&with_queue(other));
    publish(&mut world, publisher, 4..5);
    assert!(payloads(&mut world, client).is_empty());
    world.publish(publisher, "other/1", "x", QoS::AtLeastOnce, 1);
    assert_eq!(payloads(&mut world, client), ["x"], "who subscribed is still there");
    world.configure(&Settings::default());
    world.drop_link(client);
    world.pass(1_001_000);
    let Control::Queues(left) = world.ask(0, Control::ListQueues) else { panic!("queues") };
    let Control::Queues(more) = world.ask(1, Control::ListQueues) else { panic!("queues") };
    assert!(left.is_empty() && more.is_empty());
}

#[test]
fn the_last_value_of_each_topic_comes() {
    for shards in [1, 2] {
        let mut world = World::new(shards, with_queue(QueueSettings { last_value: true, ..jobs() }));
        let publisher = world.connect("p", Version::V5);
        for round in 0..3 {
            for device in 0..4 {
                let (topic, value) = (format!("jobs/{device}"), format!("{device}.{round}"));
                world.publish(publisher, &topic, &value, QoS::AtLeastOnce, 1);
            }
        }
        let client = consumer(&mut world, "a", true);
        assert_eq!(payloads(&mut world, client), ["0.2", "1.2", "2.2", "3.2"]);
    }
}

#[test]
fn a_takeover_gives_nothing_away() {
    for shards in [1, 2] {
        let mut world = World::new(shards, with_queue(jobs()));
        let publisher = world.connect("p", Version::V5);
        let one = consumer(&mut world, "a", true);
        publish(&mut world, publisher, 0..3);
        let messages = got(&mut world, one);
        acknowledge(&mut world, one, messages[1].0);
        let again = world.open(Version::V5);
        let connect = connect_packet(Version::V5, |connect| {
            connect.client_id = "a";
            connect.clean_start = false;
            connect.properties.session_expiry = Some(1000);
        });
        world.send(again, &connect);
        assert!(!world.is_open(one));
        assert_eq!(payloads(&mut world, again), ["0", "2"]);
        // The old session's subscription is gone with a clean start.
        world.connect("a", Version::V5);
        assert_eq!(held(&mut world, shards), (2, 2));
    }
}

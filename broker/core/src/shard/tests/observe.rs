//! What is told of clients' comings and goings, and to whom.

use super::harness::{World, options};
use crate::control::{Control, Position};
use crate::observe::{Dropped, EndReason, Event, Observer, OwnMessage, Refusal, Refused, What};
use crate::settings::Settings;
use crate::trace::{Direction, TraceRule, TraceWhat, Traced};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use ringmq_wire::{QoS, Version};

/// What it was told, and how often it was asked for words.
#[derive(Default)]
struct Heard {
    events: Vec<String>,
    worded: usize,
}

struct Notes(Rc<RefCell<Heard>>);

fn words(event: &Event<'_>) -> String {
    let what = match event.what {
        What::Connected { clean_start, .. } => format!("connected clean={clean_start}"),
        What::Disconnected { reason: EndReason::Named(name) } => format!("disconnected {name}"),
        What::Disconnected { reason: EndReason::Code(code) } => format!("disconnected {:02x}", code.0),
        What::Disconnected { reason: EndReason::Breach(code) } => format!("disconnected breach-{:02x}", code.0),
        What::Subscribed { filter, options } => format!("subscribed {filter} q{}", options.qos.bits()),
        What::Unsubscribed { filter } => format!("unsubscribed {filter}"),
    };
    let client = event.client;
    format!("{} {} {what}", client.client_id, client.username.unwrap_or("-"))
}

impl Observer for Notes {
    fn minds_subscriptions(&self) -> bool {
        true
    }

    fn observe(&mut self, event: &Event<'_>) {
        self.0.borrow_mut().events.push(words(event));
    }

    fn refused(&mut self, refused: &Refused) {
        let why = match refused.why {
            Refusal::Code(code) => format!("{:02x}", code.0),
            Refusal::Header(error) => error.name().to_string(),
        };
        self.0.borrow_mut().events.push(format!("{} refused {why}", refused.peer));
    }

    fn dropped(&mut self, dropped: &Dropped<'_>) {
        let Dropped { client_id, queue_full, qos0_msg, not_retained } = dropped;
        let client = client_id.unwrap_or("-");
        self.0.borrow_mut().events.push(format!("{client} dropped {queue_full} {qos0_msg} {not_retained}"));
    }

    fn traced(&mut self, rule: u32, traced: &Traced<'_>) {
        let sign = if traced.direction == Direction::Sent { '>' } else { '<' };
        let kind = traced.frame.packet_type().expect("a packet");
        self.0.borrow_mut().events.push(format!("trace {rule} {sign} {} {kind:?}", traced.client_id));
    }

    fn topic(&self, event: &Event<'_>, topic: &mut String) -> bool {
        topic.push_str("$SYS/");
        topic.push_str(event.client.client_id);
        true
    }

    fn payload(&self, event: &Event<'_>, payload: &mut Vec<u8>) {
        self.0.borrow_mut().worded += 1;
        payload.extend_from_slice(words(event).as_bytes());
    }
}

fn observed(shards: usize) -> (World, Rc<RefCell<Heard>>) {
    observed_with(shards, &Settings::default())
}

fn observed_with(shards: usize, settings: &Settings) -> (World, Rc<RefCell<Heard>>) {
    let heard = Rc::new(RefCell::new(Heard::default()));
    let observer = || -> Box<dyn Observer> { Box::new(Notes(Rc::clone(&heard))) };
    (World::observed(shards, settings, observer), Rc::clone(&heard))
}

fn own(topic: &str, retain: bool) -> OwnMessage {
    OwnMessage { topic: topic.into(), payload: Box::from(&b"x"[..]), retain }
}

#[test]
fn comings_and_goings_are_told_and_worded_only_if_somebody_listens() {
    let (mut world, heard) = observed(1);
    let first = world.connect_as(Version::V311, |connect| {
        connect.client_id = "first";
        connect.username = Some("who");
    });
    world.drop_link(first);
    let listener = world.connect("listener", Version::V5);
    assert_eq!(heard.borrow().worded, 0, "nobody listens");
    world.subscribe(listener, "$SYS/+", options(QoS::AtMostOnce));
    let told = world.packets(listener);
    assert_eq!(told, ["SUBACK #99 [00]", "PUBLISH q0 $SYS/listener listener - subscribed $SYS/+ q0"]);
    let second = world.connect("second", Version::V5);
    world.send(second, &[0xE0, 1, 4]);
    assert!(!world.is_open(second));
    let expected = ["connected clean=true", "disconnected 04"];
    assert_eq!(world.packets(listener), expected.map(|what| format!("PUBLISH q0 $SYS/second second - {what}")));
    assert_eq!(heard.borrow().events[..2], ["first who connected clean=true", "first who disconnected tcp_closed"]);
}

#[test]
fn endings_have_their_reasons() {
    let (mut world, heard) = observed(1);
    let last = |world: &mut World| {
        world.pass(0);
        let event = heard.borrow().events.last().expect("an event").clone();
        event.rsplit(' ').next().expect("a word").to_string()
    };
    let client = world.connect("c", Version::V311);
    world.send(client, &[0xE0, 0]);
    assert_eq!(last(&mut world), "normal");
    world.connect("c", Version::V5);
    world.connect("c", Version::V5);
    assert!(heard.borrow().events.contains(&"c - disconnected takenover".to_string()));
    assert!(matches!(world.ask(0, Control::KickClient("c".into())), Control::Kicked(true)));
    assert_eq!(last(&mut world), "kicked");
    let client = world.connect("c", Version::V5);
    world.send(client, &[0xD0, 0]);
    assert_eq!(last(&mut world), "breach-82", "a protocol error");
    world.connect_as(Version::V5, |connect| connect.keep_alive = 1);
    world.pass(2_000);
    assert_eq!(last(&mut world), "keepalive_timeout");
}

#[test]
fn a_client_whose_name_cannot_be_in_a_topic_is_told_of_to_nobody() {
    let (mut world, heard) = observed(1);
    let listener = world.connect("listener", Version::V5);
    world.subscribe(listener, "$SYS/#", options(QoS::AtMostOnce));
    world.packets(listener);
    let worded = heard.borrow().worded;
    world.connect("a+b", Version::V5);
    assert!(world.packets(listener).is_empty());
    assert_eq!(heard.borrow().worded, worded);
}

#[test]
fn the_broker_s_own_messages_reach_every_shard_and_are_retained_where_they_belong() {
    let (mut world, _) = observed(2);
    let clients: Vec<_> = (0..8).map(|number| world.connect(&format!("c{number}"), Version::V5)).collect();
    for client in &clients {
        world.subscribe(*client, "$SYS/#", options(QoS::AtMostOnce));
    }
    world.settle();
    for client in &clients {
        world.packets(*client);
    }
    let messages = (["$SYS/a", "$SYS/b", "$SYS/c", "$SYS/d"]).map(|topic| own(topic, true));
    let answer = world.ask(0, Control::Publish([&messages[..], &[own("$SYS/e", false)]].concat()));
    assert!(matches!(answer, Control::Published));
    world.settle();
    for client in &clients {
        assert_eq!(world.packets(*client).len(), 5);
    }
    let retained = |shard: usize| world.shard(shard).counters().retained;
    assert!(retained(0) + retained(1) == 4 && retained(0) > 0 && retained(1) > 0, "at home where they hash to");
    let late = world.connect("late", Version::V5);
    world.subscribe(late, "$SYS/+", options(QoS::AtMostOnce));
    world.settle();
    let told = world.packets(late);
    assert_eq!(told.iter().filter(|line| line.contains(" retain ")).count(), 4, "{told:?}");
}

#[test]
fn nobody_misses_what_nobody_subscribes_to() {
    let (mut world, _) = observed(1);
    world.ask(0, Control::Publish([own("$SYS/a", true), own("$SYS/b", false)].to_vec()));
    let counters = world.shard(0).counters();
    assert_eq!((counters.messages_dropped_no_subscribers, counters.retained), (0, 1));
}

#[test]
fn what_is_dropped_is_told_once_a_second_in_one() {
    let settings = Settings { max_mqueue_len: 2, retainer_max_payload_size: 1, ..Settings::default() };
    let (mut world, heard) = observed_with(1, &settings);
    let away = world.connect_as(Version::V311, |connect| {
        connect.client_id = "away";
        connect.clean_start = false;
    });
    world.subscribe(away, "t", options(QoS::AtMostOnce));
    world.drop_link(away);
    let publisher = world.connect("publisher", Version::V5);
    (0..5).for_each(|_| world.publish(publisher, "t", "x", QoS::AtMostOnce, 0));
    world.publish_as(publisher, "r", "large", QoS::AtMostOnce, 0, true);
    world.pass(1_000);
    world.pass(1_000);
    let heard = heard.borrow();
    let told: Vec<&String> = heard.events.iter().filter(|event| event.contains(" dropped ")).collect();
    assert_eq!(told, ["away dropped 3 0 1"]);
}

#[test]
fn connections_that_never_become_clients_are_told_of() {
    let (mut world, heard) = observed(1);
    for bytes in [&[0xC0, 0][..], &[0x10, 2, 0, 9], &[0x00, 0]] {
        let stranger = world.open(Version::V311);
        world.send(stranger, bytes);
        assert!(!world.is_open(stranger));
    }
    let told = &heard.borrow().events;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|event| event.starts_with("127.0.0.1:5000 refused 8")), "{told:?}");
}

fn traced(heard: &Rc<RefCell<Heard>>) -> Vec<String> {
    let mut heard = heard.borrow_mut();
    let events = core::mem::take(&mut heard.events);
    events.iter().filter_map(|event| event.strip_prefix("trace ")).map(ToString::to_string).collect()
}

fn trace(world: &mut World, rules: Vec<TraceRule>) {
    assert!(matches!(world.ask(0, Control::Trace(rules)), Control::TraceSet));
    assert!(matches!(world.ask(0, Control::MarkTraced(Position::default())), Control::MarkedTraced(None)));
}

#[test]
fn packets_of_a_client_are_traced_in_both_directions() {
    let (mut world, heard) = observed(1);
    let early = world.connect("early", Version::V5);
    let other = world.connect("other", Version::V311);
    let rule = |id, name: &str| TraceRule { id, what: TraceWhat::Client(name.into()) };
    trace(&mut world, [rule(7, "early"), rule(8, "late")].to_vec());
    world.subscribe(early, "t", options(QoS::AtLeastOnce));
    assert_eq!(traced(&heard), ["7 < early Subscribe", "7 > early SubAck"]);
    world.publish(other, "t", "x", QoS::AtLeastOnce, 5);
    world.publish(early, "t", "x", QoS::AtLeastOnce, 6);
    let expected = ["7 > early Publish", "7 < early Publish", "7 > early Publish", "7 > early PubAck"];
    assert_eq!(traced(&heard), expected, "what other does is not seen");
    world.connect("late", Version::V5);
    assert_eq!(traced(&heard), ["8 < late Connect", "8 > late ConnAck"]);
    trace(&mut world, Vec::new());
    world.send(early, &[0xC0, 0]);
    assert_eq!(traced(&heard), [""; 0]);
    assert!(world.shard(0).hub.traces.is_none());
}

#[test]
fn messages_of_a_topic_are_traced_whoever_has_them() {
    let (mut world, heard) = observed(1);
    let clients = ["a", "b", "c"].map(|name| world.connect(name, Version::V5));
    trace(&mut world, [TraceRule { id: 1, what: TraceWhat::Topic("t/+".into()) }].to_vec());
    world.subscribe(clients[0], "t/1", options(QoS::AtMostOnce));
    world.subscribe(clients[1], "#", options(QoS::AtMostOnce));
    world.publish(clients[2], "t/1", "x", QoS::AtMostOnce, 0);
    world.publish(clients[2], "u", "x", QoS::AtMostOnce, 0);
    world.settle();
    let mut seen = traced(&heard);
    seen.sort();
    assert_eq!(seen, ["1 < a Subscribe", "1 < c Publish", "1 > a Publish", "1 > b Publish"]);
}

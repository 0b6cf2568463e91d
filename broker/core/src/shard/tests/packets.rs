//! Packets by type: what is counted is what clients send and are sent, whatever happens to them.

use super::harness::{Client, World, connect_packet, options};
use crate::counters::Counters;
use crate::random::Random;
use crate::settings::Settings;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use ringmq_wire::{
    PacketType, PublishOut, PublishProperties, QoS, ReasonCode, SubscribeOut, UnsubscribeOut, UserProperties, Version,
    Will, encode_ack,
};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TOPICS: [&str; 4] = ["t/1", "t/2", "t/3", "$delayed/1/t/4"];
const FILTERS: [&str; 5] = ["t/#", "t/1", "$share/g/t/+", "t/2", "t/#/x"];
const STEPS: usize = 3000;

/// A counter.
type Of = fn(&Counters) -> u64;

/// Clients that do anything at all, and what passes between them and the shards.
struct Life {
    world: World,
    dice: Random,
    /// Every connection that there ever was; of some the answers are still to be read.
    clients: Vec<Client>,
    current: [Option<Client>; NAMES.len()],
    /// Is there all the time and wants every message.
    witness: Client,
    /// Messages that it has been sent.
    witnessed: u64,
    /// Packets from clients, by the upper half of their first byte.
    received: [u64; 16],
    /// Packets to clients, by their names.
    sent: BTreeMap<String, u64>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let settings = Settings { max_inflight: 3, max_awaiting_rel: 3, max_topic_filters: 2, ..Settings::default() };
        let mut world = World::new(3, settings);
        let witness = world.connect("witness", Version::V5);
        world.subscribe(witness, "#", options(QoS::AtMostOnce));
        let mut received = [0; 16];
        (received[1], received[8]) = (1, 1);
        Self {
            world,
            dice: Random::new(seed),
            clients: Vec::from([witness]),
            current: [None; NAMES.len()],
            witness,
            witnessed: 0,
            received,
            sent: BTreeMap::from([("CONNACK".to_string(), 1)]),
        }
    }

    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.dice.next_u64() % sides as u64).expect("small")
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn send(&mut self, client: Client, bytes: &[u8]) {
        self.received[usize::from(bytes[0] >> 4)] += 1;
        self.world.send(client, bytes);
    }

    fn version(who: usize) -> Version {
        if who.is_multiple_of(3) { Version::V311 } else { Version::V5 }
    }

    fn connect(&mut self, who: usize) {
        let version = Self::version(who);
        let (clean_start, with_will) = (self.below(4) == 0, self.below(3) == 0);
        let client = self.world.open(version);
        let packet = connect_packet(version, |connect| {
            connect.client_id = NAMES[who];
            connect.clean_start = clean_start;
            if version.is_v5() {
                connect.properties.session_expiry = Some(100);
            }
            connect.will = with_will.then_some(Will {
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: "t/1",
                payload: b"gone",
                delay: 0,
                properties: PublishProperties::NONE,
            });
        });
        self.clients.push(client);
        self.current[who] = Some(client);
        self.send(client, &packet);
    }

    fn publish(&mut self, client: Client, version: Version) {
        let qos = self.one_of(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { 1 + self.below(5) as u16 };
        let (topic, retain) = (self.one_of(&TOPICS), self.below(3) == 0);
        let dup = qos != QoS::AtMostOnce && self.below(4) == 0;
        let mut bytes = Vec::new();
        let publish = PublishOut {
            qos,
            retain,
            dup,
            topic: topic.as_bytes(),
            packet_id,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload: b"x",
        };
        publish.encode(version, &mut bytes);
        self.send(client, &bytes);
    }

    fn acknowledge(&mut self, client: Client, version: Version) {
        let of = self.one_of(&[PacketType::PubAck, PacketType::PubRec, PacketType::PubComp, PacketType::PubRel]);
        let refuses = version.is_v5() && of == PacketType::PubRec && self.below(4) == 0;
        let reason = if refuses { ReasonCode::UNSPECIFIED_ERROR } else { ReasonCode::SUCCESS };
        let mut bytes = Vec::new();
        let packet_id = 1 + self.below(8) as u16;
        encode_ack(&mut bytes, of, version, packet_id, reason);
        self.send(client, &bytes);
    }

    fn subscribe(&mut self, client: Client, version: Version) {
        let filters = 1 + usize::from(self.below(10) == 0) * 2;
        let filters: Vec<_> = (0..filters).map(|_| (self.one_of(&FILTERS), options(QoS::ExactlyOnce))).collect();
        let mut bytes = Vec::new();
        let (packet_id, subscription_id, user_properties) = (9, None, UserProperties::NONE);
        SubscribeOut { packet_id, subscription_id, filters: &filters, user_properties }.encode(version, &mut bytes);
        self.send(client, &bytes);
    }

    fn unsubscribe(&mut self, client: Client, version: Version) {
        let filters = [self.one_of(&FILTERS)];
        let mut bytes = Vec::new();
        let user_properties = UserProperties::NONE;
        UnsubscribeOut { packet_id: 9, filters: &filters, user_properties }.encode(version, &mut bytes);
        self.send(client, &bytes);
    }

    /// What no client should send: packets that are cut short, of flags that are not, of the server's own.
    fn misbehave(&mut self, client: Client) {
        let wrong: [&[u8]; 6] =
            [b"\x62\x01\x00", b"\x50\x01\x00", b"\x36\x00", b"\x20\x02\x00\x00", b"\x82\x01\x00", b"\xA2\x01\x00"];
        let wrong = self.one_of(&wrong);
        self.send(client, wrong);
    }

    fn step(&mut self) {
        let who = self.below(NAMES.len());
        let version = Self::version(who);
        let Some(client) = self.current[who].filter(|client| self.world.is_open(*client)) else {
            return self.connect(who);
        };
        match self.below(40) {
            0 => self.connect(who),
            1 => self.world.drop_link(client),
            2 => self.send(client, &[0xE0, 0]),
            3 => self.send(client, &[0xC0, 0]),
            4 => self.misbehave(client),
            5..8 => self.subscribe(client, version),
            8 => self.unsubscribe(client, version),
            9 => self.world.pass(500),
            10..25 => self.publish(client, version),
            _ => self.acknowledge(client, version),
        }
    }

    fn read(&mut self) {
        for client in &self.clients {
            for packet in self.world.packets(*client) {
                let packet = packet.strip_prefix("lenient ").unwrap_or(&packet);
                let name = packet.split(' ').next().expect("a name").to_string();
                self.witnessed += u64::from(*client == self.witness && name == "PUBLISH");
                *self.sent.entry(name).or_default() += 1;
            }
        }
        let (world, current) = (&self.world, &self.current);
        self.clients.retain(|client| world.is_open(*client) || current.contains(&Some(*client)));
    }

    fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        (0..3).map(|shard| of(&self.world.shard(shard).counters())).sum()
    }

    fn check(&self, step: usize) {
        let sent: [(&str, Of); 10] = [
            ("CONNACK", |c| c.connack_sent),
            ("PUBLISH", |c| c.publish_sent),
            ("PUBACK", |c| c.puback_sent),
            ("PUBREC", |c| c.pubrec_sent),
            ("PUBREL", |c| c.pubrel_sent),
            ("PUBCOMP", |c| c.pubcomp_sent),
            ("SUBACK", |c| c.suback_sent),
            ("UNSUBACK", |c| c.unsuback_sent),
            ("PINGRESP", |c| c.pingresp_sent),
            ("DISCONNECT", |c| c.disconnect_sent),
        ];
        for (name, of) in sent {
            let really = self.sent.get(name).copied().unwrap_or(0);
            assert_eq!(self.sum(of), really, "{name} sent, after step {step}: {:?}", self.sent);
        }
        let received: [(usize, Of); 10] = [
            (1, |c| c.connect_received),
            (3, |c| c.publish_received),
            (4, |c| c.puback_received),
            (5, |c| c.pubrec_received),
            (6, |c| c.pubrel_received),
            (7, |c| c.pubcomp_received),
            (8, |c| c.subscribe_received),
            (10, |c| c.unsubscribe_received),
            (12, |c| c.pingreq_received),
            (14, |c| c.disconnect_received),
        ];
        for (number, of) in received {
            assert_eq!(self.sum(of), self.received[number], "type {number} received, after step {step}");
        }
        assert_eq!(self.sum(|c| c.packets_sent), self.sent.values().sum::<u64>());
        assert_eq!(self.sum(|c| c.packets_received), self.received.iter().sum::<u64>());
        // A message that is to be delayed counts when it comes, and once more when somebody gets it.
        assert_eq!(self.sum(|c| c.messages_publish - c.messages_delayed), self.witnessed, "after step {step}");
    }
}

#[test]
fn what_is_counted_is_what_passes() {
    for seed in 0..4 {
        let mut life = Life::new(seed);
        for step in 0..STEPS {
            life.step();
            life.read();
            life.check(step);
        }
        // It was a life in which everything happens.
        for name in ["CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT"]
        {
            assert!(life.sent.get(name).is_some_and(|count| *count > 9), "{name}: {:?}", life.sent);
        }
        let rare: [(&str, Of); 12] = [
            ("publish_error", |c| c.publish_error),
            ("publish_inuse", |c| c.publish_inuse),
            ("publish_dropped", |c| c.publish_dropped),
            ("puback_inuse", |c| c.puback_inuse),
            ("pubrec_inuse", |c| c.pubrec_inuse),
            ("pubcomp_inuse", |c| c.pubcomp_inuse),
            ("pubrec_missed", |c| c.pubrec_missed),
            ("subscribe_error", |c| c.subscribe_error),
            ("unsubscribe_error", |c| c.unsubscribe_error),
            ("messages_will", |c| c.messages_will),
            ("messages_acked", |c| c.messages_acked),
            ("session_resumed", |c| c.session_resumed),
        ];
        for (name, of) in rare {
            assert!(life.sum(of) > 0, "{name} in the life of seed {seed}");
        }
    }
}

/// Who knows the message's identifier decides what an acknowledgement counts as.
#[test]
fn an_acknowledgement_of_the_wrong_kind_is_told_from_one_of_nothing() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect("c", Version::V5);
    world.subscribe(client, "t", options(QoS::ExactlyOnce));
    world.publish(client, "t", "1", QoS::AtLeastOnce, 1);
    world.publish(client, "t", "2", QoS::ExactlyOnce, 2);
    world.packets(client);
    let mut acknowledge = |of, packet_id| {
        let mut bytes = Vec::new();
        encode_ack(&mut bytes, of, Version::V5, packet_id, ReasonCode::SUCCESS);
        world.send(client, &bytes);
    };
    // The first message waits for PUBACK, the second for PUBREC.
    for (of, packet_id) in [(PacketType::PubRec, 1), (PacketType::PubComp, 1), (PacketType::PubAck, 2)] {
        acknowledge(of, packet_id);
        acknowledge(of, 77);
    }
    acknowledge(PacketType::PubAck, 1);
    acknowledge(PacketType::PubRec, 2);
    acknowledge(PacketType::PubRec, 2);
    let counters = world.shard(0).counters();
    assert_eq!((counters.puback_inuse, counters.puback_missed), (1, 1));
    assert_eq!((counters.pubrec_inuse, counters.pubrec_missed), (2, 1));
    assert_eq!((counters.pubcomp_inuse, counters.pubcomp_missed), (1, 1));
    assert_eq!(counters.messages_acked, 2);
}

/// Only what is later than the operator allows counts, and not the first moment, for which there was no appointment.
#[test]
fn a_shard_that_is_late_counts_it() {
    let mut world = World::new(1, Settings::default());
    let lateness = |world: &World| {
        let counters = world.shard(0).counters();
        (counters.sysmon_long_schedule, counters.sysmon_long_schedule_ms)
    };
    world.pass(10_000);
    assert_eq!(lateness(&world), (0, 0));
    world.pass(1239);
    assert_eq!(lateness(&world), (0, 0));
    world.pass(1240);
    assert_eq!(lateness(&world), (1, 240));
    world.configure(&Settings { long_schedule: None, ..Settings::default() });
    world.pass(5000);
    assert_eq!(lateness(&world), (1, 240));
}

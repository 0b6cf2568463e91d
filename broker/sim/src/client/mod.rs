//! A virtual client: the client's side of MQTT, written without a look at the broker's.
//!
//! This file is what a client does with what it receives and what it keeps; what it decides to do next is in `plan`,
//! how it writes packets in `write`.

mod plan;
mod write;

pub(crate) use plan::TOPICS;

use crate::dice::Dice;
use crate::host::LinkId;
use crate::oracle::{Delivered, Mark, Oracle};
use crate::shape::Shape;
use crate::trace::Trace;
use ringmq_wire::{
    Cut, MAX_PACKET_LEN, Packet, PacketType, Publish, QoS, ReasonCode, Version, cut, decode, encode_ack,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes and subscribes.
    Ordinary,
    /// Publishes, and belongs to shared groups.
    Worker,
    /// Sees all wills, on a link without faults.
    Observer,
    /// Consumes the message queue.
    Consumer,
    /// Subscribes once at the end to see what is retained.
    Inspector,
}

/// How far a client's connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Offline,
    /// CONNECT is sent.
    Connecting,
    Online,
}

/// A message of this client that is not acknowledged.
#[derive(Debug, Clone, Copy)]
struct Outgoing {
    packet_id: u16,
    message: usize,
    qos: u8,
    released: bool,
}

/// What the client wants of the world, beside what it did to the oracle.
pub(crate) struct Ctx<'a> {
    pub(crate) now_ns: u64,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) dice: &'a mut Dice,
    pub(crate) trace: &'a Trace,
    pub(crate) shape: &'a Shape,
    /// The run comes to its end: finish what is begun and begin nothing.
    pub(crate) draining: bool,
    /// Bytes to write, and what they mean.
    pub(crate) out: Vec<u8>,
    pub(crate) marks: Vec<(usize, Mark)>,
    /// Open a new link first; one that is there is forgotten but not closed.
    pub(crate) open: bool,
    /// Close the link after the bytes are written.
    pub(crate) fin: bool,
    /// Lose the link; some of what is under way may still arrive.
    pub(crate) cut: bool,
    /// Read nothing for so long.
    pub(crate) stall_ns: u64,
    /// Do nothing for so long.
    pub(crate) rest_ns: u64,
}

impl Ctx<'_> {
    fn mark(&mut self, mark: Mark) {
        self.marks.push((self.out.len(), mark));
    }

    fn fail(&mut self, client: usize, what: &str) {
        self.oracle.fail(format!("client {client}: {what}"));
    }
}

/// A client, over all its connections.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) id: String,
    pub(crate) version: Version,
    pub(crate) stage: Stage,
    pub(crate) link: Option<LinkId>,
    /// It keeps its session between connections.
    persistent: bool,
    buffer: Vec<u8>,

    // The session.
    last_packet_id: u16,
    outgoing: VecDeque<Outgoing>,
    /// QoS 2 messages received and not released.
    incoming: BTreeSet<u16>,

    // The connection.
    pub(crate) anonymous: bool,
    receive_maximum: usize,
    max_packet: u32,
    alias_maximum: u16,
    server_receive_maximum: usize,
    server_alias_maximum: u16,
    aliases_in: BTreeMap<u16, String>,
    aliases_out: BTreeMap<String, u16>,
    /// Deliveries of this connection that are not wholly acknowledged.
    unacked: BTreeSet<u16>,
    pubacks: VecDeque<u16>,
    pubrecs: VecDeque<u16>,
    pubcomps: VecDeque<u16>,
    /// SUBSCRIBE and UNSUBSCRIBE without an answer.
    asked: BTreeSet<u16>,
    /// PINGREQ without an answer.
    pings: u32,
    /// Retained messages that an inspector has received.
    pub(crate) collected: BTreeMap<String, Vec<usize>>,
}

impl Client {
    pub(crate) fn new(index: usize, role: Role, version: Version, persistent: bool) -> Self {
        Self {
            index,
            role,
            id: format!("client-{index}"),
            version,
            stage: Stage::Offline,
            link: None,
            persistent,
            buffer: Vec::new(),
            last_packet_id: 0,
            outgoing: VecDeque::new(),
            incoming: BTreeSet::new(),
            anonymous: false,
            receive_maximum: usize::from(u16::MAX),
            max_packet: MAX_PACKET_LEN,
            alias_maximum: 0,
            server_receive_maximum: 100,
            server_alias_maximum: 0,
            aliases_in: BTreeMap::new(),
            aliases_out: BTreeMap::new(),
            unacked: BTreeSet::new(),
            pubacks: VecDeque::new(),
            pubrecs: VecDeque::new(),
            pubcomps: VecDeque::new(),
            asked: BTreeSet::new(),
            pings: 0,
            collected: BTreeMap::new(),
        }
    }

    /// True if nothing of this client waits for an answer, but for a ping.
    pub(crate) fn is_settled(&self) -> bool {
        self.stage == Stage::Online && self.outgoing.is_empty() && self.asked.is_empty()
    }

    /// The link is gone, whoever ended it.
    pub(crate) fn disconnected(&mut self) {
        self.stage = Stage::Offline;
        self.link = None;
    }

    /// Forgets what belongs to a connection.
    fn reset_connection(&mut self) {
        self.buffer.clear();
        self.aliases_in.clear();
        self.aliases_out.clear();
        self.unacked.clear();
        self.pubacks.clear();
        self.pubrecs.clear();
        self.pubcomps.clear();
        self.asked.clear();
        self.pings = 0;
    }

    /// Bytes from the server.
    pub(crate) fn receive(&mut self, bytes: &[u8], ctx: &mut Ctx<'_>) {
        self.buffer.extend_from_slice(bytes);
        let buffer = core::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        loop {
            match cut(rest, MAX_PACKET_LEN) {
                Ok(Cut::Frame(frame, used)) => {
                    // [MQTT-3.1.2-24]
                    if used > self.max_packet as usize {
                        ctx.fail(
                            self.index,
                            &format!("a packet of {used} bytes, but {} are the most", self.max_packet),
                        );
                    }
                    match decode(frame, self.version) {
                        Ok(packet) => self.packet(&packet, ctx),
                        Err(error) => ctx.fail(self.index, &format!("received an invalid packet: {error:?}")),
                    }
                    rest = &rest[used..];
                }
                Ok(Cut::Partial { .. }) => break,
                Err(error) => {
                    ctx.fail(self.index, &format!("received what is no packet: {error:?}"));
                    break;
                }
            }
            if ctx.oracle.violation.is_some() {
                return;
            }
        }
        self.buffer = rest.to_vec();
        if ctx.draining || self.role == Role::Observer || ctx.dice.chance(600) {
            self.send_acks(usize::MAX, ctx);
        }
    }

    fn packet(&mut self, packet: &Packet<'_>, ctx: &mut Ctx<'_>) {
        let link = self.link.expect("bytes come on a link");
        // [MQTT-3.2.0-1]
        if self.stage == Stage::Connecting && !matches!(packet, Packet::ConnAck(_)) {
            return ctx.fail(self.index, &format!("{packet:?} before CONNACK"));
        }
        match packet {
            Packet::ConnAck(connack) => {
                if self.stage != Stage::Connecting || connack.reason != ReasonCode::SUCCESS {
                    return ctx.fail(self.index, &format!("unexpected {connack:?}"));
                }
                self.stage = Stage::Online;
                ctx.trace.say(ctx.now_ns, format_args!("client {} online on link {link}", self.index));
                ctx.oracle.connack(link, connack.session_present, self.version == Version::V31);
                let properties = &connack.properties;
                self.server_receive_maximum = usize::from(properties.receive_maximum.unwrap_or(100)).min(100);
                self.server_alias_maximum = properties.topic_alias_maximum;
                // MQTT 3.1 does not say, but the client knows whether it has asked for a session that stays.
                let known = ctx.oracle.links[&link].expect_present == Some(true);
                let present = connack.session_present || self.version == Version::V31 && known;
                self.continue_session(present, ctx);
            }
            Packet::Publish(publish) => self.delivered(publish, ctx),
            Packet::PubAck(ack) => {
                // In the order of the messages [MQTT-4.6.0-2].
                let first = self.outgoing.iter().position(|held| held.qos == 1);
                match first.filter(|at| self.outgoing[*at].packet_id == ack.packet_id) {
                    Some(at) => {
                        let done = self.outgoing.remove(at).expect("position");
                        ctx.oracle.acknowledged(done.message, ack.reason.0);
                    }
                    None => ctx.fail(self.index, &format!("PUBACK {} is not the next due", ack.packet_id)),
                }
            }
            Packet::PubRec(ack) => {
                let first = self.outgoing.iter().position(|held| held.qos == 2 && !held.released);
                match first.filter(|at| self.outgoing[*at].packet_id == ack.packet_id) {
                    Some(at) => {
                        self.outgoing[at].released = true;
                        ctx.oracle.acknowledged(self.outgoing[at].message, ack.reason.0);
                        encode_ack(&mut ctx.out, PacketType::PubRel, self.version, ack.packet_id, ReasonCode::SUCCESS);
                    }
                    None => ctx.fail(self.index, &format!("PUBREC {} is not the next due", ack.packet_id)),
                }
            }
            Packet::PubComp(ack) => {
                let at = self.outgoing.iter().position(|held| held.released && held.packet_id == ack.packet_id);
                match at {
                    Some(at) => {
                        self.outgoing.remove(at);
                    }
                    None => ctx.fail(self.index, &format!("PUBCOMP {} is not due", ack.packet_id)),
                }
            }
            Packet::PubRel(ack) => {
                self.incoming.remove(&ack.packet_id);
                self.pubcomps.push_back(ack.packet_id);
            }
            Packet::SubAck(ack) => {
                self.answered(ack.packet_id, ctx);
                ctx.oracle.answered(link, true, ack.packet_id, ack.codes, self.version.is_v5());
            }
            Packet::UnsubAck(ack) => {
                self.answered(ack.packet_id, ctx);
                let codes: Vec<u8> = ack.reasons().map(|code| code.0).collect();
                ctx.oracle.answered(link, false, ack.packet_id, &codes, self.version.is_v5());
            }
            Packet::PingResp => match self.pings.checked_sub(1) {
                Some(left) => self.pings = left,
                None => ctx.fail(self.index, "PINGRESP without PINGREQ"),
            },
            Packet::Disconnect(disconnect) => {
                let known = [ReasonCode::SESSION_TAKEN_OVER, ReasonCode::KEEP_ALIVE_TIMEOUT];
                if !known.contains(&disconnect.reason) {
                    ctx.fail(self.index, &format!("disconnected: {:?}", disconnect.reason));
                }
            }
            other => ctx.fail(self.index, &format!("unexpected {other:?}")),
        }
    }

    fn answered(&mut self, packet_id: u16, ctx: &mut Ctx<'_>) {
        if !self.asked.remove(&packet_id) {
            ctx.fail(self.index, &format!("an answer to {packet_id}, which was not asked"));
        }
    }

    fn delivered(&mut self, publish: &Publish<'_>, ctx: &mut Ctx<'_>) {
        let topic = match publish.properties.topic_alias {
            None => publish.topic.to_owned(),
            Some(alias) => {
                // [MQTT-3.1.2-26] [MQTT-3.1.2-27]
                if alias > self.alias_maximum {
                    return ctx.fail(self.index, &format!("alias {alias} above {}", self.alias_maximum));
                }
                if !publish.topic.is_empty() {
                    self.aliases_in.insert(alias, publish.topic.to_owned());
                }
                let Some(topic) = self.aliases_in.get(&alias) else {
                    return ctx.fail(self.index, &format!("alias {alias} was not assigned"));
                };
                topic.clone()
            }
        };
        let qos = publish.qos.bits();
        let first = publish.qos != QoS::ExactlyOnce || self.incoming.insert(publish.packet_id);
        let delivered = Delivered {
            link: self.link.expect("bytes come on a link"),
            topic: &topic,
            payload: publish.payload,
            qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            ids: publish.properties.subscription_ids().collect(),
            expiry_s: publish.properties.message_expiry,
            first,
        };
        let number = ctx.oracle.delivered(&delivered);
        ctx.trace.say(
            ctx.now_ns,
            format_args!(
                "client {} has message {number:?} at QoS {qos} to {topic}, id {}, dup {}, retain {}",
                self.index, publish.packet_id, publish.dup, publish.retain
            ),
        );
        if let Some(number) = number {
            if self.role == Role::Observer {
                ctx.oracle.will_seen(number);
            }
            if publish.retain {
                self.collected.entry(topic).or_default().push(number);
            }
        }
        if qos == 0 {
            return;
        }
        // [MQTT-2.2.1-4]
        if !self.unacked.insert(publish.packet_id) {
            return ctx.fail(self.index, &format!("packet identifier {} is in use", publish.packet_id));
        }
        // [MQTT-3.3.4-9]
        if self.unacked.len() > self.receive_maximum {
            let (count, max) = (self.unacked.len(), self.receive_maximum);
            return ctx.fail(self.index, &format!("{count} messages in flight, but {max} are the most"));
        }
        match publish.qos {
            QoS::AtLeastOnce => self.pubacks.push_back(publish.packet_id),
            _ => self.pubrecs.push_back(publish.packet_id),
        }
    }
}

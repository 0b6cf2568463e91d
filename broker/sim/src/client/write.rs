//! How a client writes its packets, and tells the oracle what they mean.

use super::{Client, Ctx, Outgoing, Role, Stage};
use crate::oracle::{ConnectMark, FilterMark, Mark, Message, QUEUE_GROUP, SubscribeMark, payload};
use crate::shape::QUEUE;
use ringmq_wire::{
    Connect, ConnectProperties, Disconnect, MAX_PACKET_LEN, PacketType, PublishOut, PublishProperties, QoS, ReasonCode,
    RetainHandling, SubscribeOptions, SubscribeOut, UnsubscribeOut, UserProperties, Version, Will, encode_ack,
    encode_pingreq,
};

/// A Session Expiry Interval that means never.
const NEVER_S: u32 = u32::MAX;

/// What MQTT 3 clients without clean session get by default: two hours.
const MQTT3_EXPIRY_S: u32 = 2 * 3600;

/// What a CONNECT asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub(super) clean_start: bool,
    pub(super) anonymous: bool,
    pub(super) expiry_s: u32,
    pub(super) keep_alive_s: u16,
    pub(super) receive_maximum: Option<u16>,
    pub(super) max_packet: Option<u32>,
    pub(super) alias_maximum: u16,
    /// QoS, RETAIN and delay in seconds.
    pub(super) will: Option<(u8, bool, u32)>,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) topic: String,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) expiry_s: Option<u32>,
    pub(super) len: usize,
}

fn qos(bits: u8) -> QoS {
    QoS::from_bits(bits).expect("0 to 2")
}

impl Client {
    pub(super) fn write_connect(&mut self, wish: &Wish, ctx: &mut Ctx<'_>) {
        let v5 = self.version.is_v5();
        self.reset_connection();
        // What was meant for the connection before is void.
        ctx.out.clear();
        ctx.marks.clear();
        self.stage = Stage::Connecting;
        // [MQTT-3.1.2-4]
        if wish.clean_start {
            self.outgoing.clear();
            self.incoming.clear();
        }
        self.anonymous = wish.anonymous;
        self.receive_maximum = wish.receive_maximum.filter(|_| v5).map_or(usize::from(u16::MAX), usize::from);
        self.max_packet = wish.max_packet.filter(|_| v5).unwrap_or(MAX_PACKET_LEN);
        self.alias_maximum = if v5 { wish.alias_maximum } else { 0 };
        self.server_alias_maximum = 0;
        let mut body = Vec::new();
        let will_topic = format!("w/{}", self.index);
        let will = wish.will.map(|(qos, retain, delay_s)| {
            let message = Message {
                publisher: self.index,
                topic: will_topic.clone(),
                qos,
                retain,
                expiry_s: None,
                payload_len: 16,
                is_will: true,
                sent_ns: ctx.now_ns,
                origin: self.index,
                routed: Vec::new(),
                routed_in: None,
                repeated: false,
                acked: None,
                shared_got: 0,
            };
            ctx.oracle.messages.push(message);
            let number = ctx.oracle.messages.len() - 1;
            payload(number, 16, &mut body);
            (number, if v5 { delay_s } else { 0 })
        });
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: wish.clean_start,
            keep_alive: wish.keep_alive_s,
            client_id: if wish.anonymous { "" } else { &self.id },
            will: wish.will.map(|(bits, retain, delay)| Will {
                qos: qos(bits),
                retain,
                topic: &will_topic,
                payload: &body,
                delay,
                properties: PublishProperties::NONE,
            }),
            username: None,
            password: None,
            properties: ConnectProperties {
                session_expiry: (wish.expiry_s > 0).then_some(wish.expiry_s),
                receive_maximum: wish.receive_maximum,
                maximum_packet_size: wish.max_packet,
                topic_alias_maximum: wish.alias_maximum,
                ..ConnectProperties::default()
            },
        };
        connect.encode(&mut ctx.out);
        let expiry_s = match (v5, wish.clean_start) {
            (true, _) => wish.expiry_s,
            (false, true) => 0,
            (false, false) => MQTT3_EXPIRY_S,
        };
        ctx.mark(Mark::Connect(Box::new(ConnectMark {
            client: self.index,
            anonymous: wish.anonymous,
            clean_start: wish.clean_start,
            expiry_s,
            keep_alive_s: wish.keep_alive_s,
            max_packet: wish.max_packet.filter(|_| v5),
            will,
        })));
        ctx.open = true;
    }

    /// After CONNACK: sends again what was not acknowledged, or forgets it [MQTT-4.4.0-1].
    pub(super) fn continue_session(&mut self, present: bool, ctx: &mut Ctx<'_>) {
        if !present {
            self.outgoing.clear();
            self.incoming.clear();
            return;
        }
        for held in self.outgoing.clone() {
            if held.released {
                encode_ack(&mut ctx.out, PacketType::PubRel, self.version, held.packet_id, ReasonCode::SUCCESS);
            } else {
                self.write_message(held, true, ctx);
            }
        }
    }

    pub(super) fn publish(&mut self, draft: Draft, ctx: &mut Ctx<'_>) {
        let Draft { topic, qos, retain, expiry_s, len } = draft;
        let expiry_s = expiry_s.filter(|_| self.version.is_v5());
        ctx.oracle.messages.push(Message {
            publisher: self.index,
            topic,
            qos,
            retain,
            expiry_s,
            payload_len: len,
            is_will: false,
            sent_ns: ctx.now_ns,
            origin: self.index,
            routed: Vec::new(),
            routed_in: None,
            repeated: false,
            acked: None,
            shared_got: 0,
        });
        let message = ctx.oracle.messages.len() - 1;
        let packet_id = if qos > 0 { self.next_packet_id() } else { 0 };
        let outgoing = Outgoing { packet_id, message, qos, released: false };
        if qos > 0 {
            self.outgoing.push_back(outgoing);
        }
        self.write_message(outgoing, false, ctx);
    }

    fn write_message(&mut self, outgoing: Outgoing, dup: bool, ctx: &mut Ctx<'_>) {
        ctx.oracle.messages[outgoing.message].repeated |= dup;
        let message = ctx.oracle.messages[outgoing.message].clone();
        let mut body = Vec::new();
        if message.payload_len > 0 {
            payload(outgoing.message, message.payload_len, &mut body);
        }
        let mut topic = message.topic.as_str();
        let alias = self.alias(topic, ctx);
        if alias.is_some() && self.aliases_out.get(topic) == alias.as_ref() {
            topic = "";
        } else if let Some(alias) = alias {
            self.aliases_out.retain(|_, held| *held != alias);
            self.aliases_out.insert(message.topic.clone(), alias);
        }
        let out = PublishOut {
            qos: qos(message.qos),
            retain: message.retain,
            dup,
            topic: topic.as_bytes(),
            packet_id: outgoing.packet_id,
            expiry: message.expiry_s,
            alias,
            subscription_ids: &[],
            properties: &[],
            payload: &body,
        };
        out.encode(self.version, &mut ctx.out);
        ctx.mark(Mark::Publish { message: outgoing.message });
        ctx.trace.say(
            ctx.now_ns,
            format_args!(
                "client {} publishes message {} at QoS {} to {}, id {}, retain {}, dup {dup}, {} bytes, expiry {:?}",
                self.index,
                outgoing.message,
                message.qos,
                message.topic,
                outgoing.packet_id,
                message.retain,
                message.payload_len,
                message.expiry_s
            ),
        );
    }

    /// The alias to send a topic with, if any.
    fn alias(&self, topic: &str, ctx: &mut Ctx<'_>) -> Option<u16> {
        if self.server_alias_maximum == 0 || self.stage != Stage::Online || ctx.dice.chance(500) {
            return None;
        }
        if let Some(alias) = self.aliases_out.get(topic) {
            return Some(*alias);
        }
        Some(u16::try_from(ctx.dice.within(1, u64::from(self.server_alias_maximum))).expect("an alias"))
    }

    pub(super) fn subscribe(&mut self, id: u32, filters: Vec<FilterMark>, ctx: &mut Ctx<'_>) {
        let v5 = self.version.is_v5();
        let packet_id = self.next_packet_id();
        let named: Vec<(String, SubscribeOptions)> = filters
            .iter()
            .map(|filter| {
                let name = match &filter.group {
                    Some(group) if group == QUEUE_GROUP => format!("{group}/{QUEUE}"),
                    Some(group) => format!("$share/{group}/{}", filter.filter),
                    None => filter.filter.clone(),
                };
                let options = SubscribeOptions {
                    qos: qos(filter.qos),
                    no_local: filter.no_local,
                    retain_as_published: filter.retain_as_published,
                    retain_handling: match filter.retain_handling {
                        0 => RetainHandling::Send,
                        1 => RetainHandling::SendIfNew,
                        _ => RetainHandling::DoNotSend,
                    },
                };
                (name, options)
            })
            .collect();
        let borrowed: Vec<(&str, SubscribeOptions)> = named.iter().map(|(name, how)| (name.as_str(), *how)).collect();
        let subscribe = SubscribeOut {
            packet_id,
            subscription_id: (id > 0 && v5).then_some(id),
            filters: &borrowed,
            user_properties: UserProperties::NONE,
        };
        subscribe.encode(self.version, &mut ctx.out);
        ctx.trace.say(ctx.now_ns, format_args!("client {} subscribes, id {id}, to {named:?}", self.index));
        self.asked.insert(packet_id);
        // MQTT 3 knows no options beside QoS.
        let filters = filters
            .into_iter()
            .map(|filter| FilterMark {
                no_local: filter.no_local && v5,
                retain_as_published: filter.retain_as_published && v5,
                retain_handling: if v5 { filter.retain_handling } else { 0 },
                ..filter
            })
            .collect();
        let id = if v5 { id } else { 0 };
        ctx.mark(Mark::Subscribe(Box::new(SubscribeMark { packet_id, id, filters })));
    }

    pub(super) fn unsubscribe(&mut self, filters: Vec<String>, ctx: &mut Ctx<'_>) {
        let packet_id = self.next_packet_id();
        let borrowed: Vec<&str> = filters.iter().map(String::as_str).collect();
        let unsubscribe = UnsubscribeOut { packet_id, filters: &borrowed, user_properties: UserProperties::NONE };
        unsubscribe.encode(self.version, &mut ctx.out);
        ctx.trace.say(ctx.now_ns, format_args!("client {} unsubscribes from {filters:?}", self.index));
        self.asked.insert(packet_id);
        ctx.mark(Mark::Unsubscribe { packet_id, filters });
    }

    pub(super) fn ping(&mut self, ctx: &mut Ctx<'_>) {
        encode_pingreq(&mut ctx.out);
        self.pings += 1;
    }

    /// Sends acknowledgements that are due, up to so many: of each kind in order, the kinds mixed.
    pub(super) fn send_acks(&mut self, mut most: usize, ctx: &mut Ctx<'_>) {
        while most > 0 && self.stage == Stage::Online {
            let mut queues = [
                (PacketType::PubAck, &mut self.pubacks),
                (PacketType::PubRec, &mut self.pubrecs),
                (PacketType::PubComp, &mut self.pubcomps),
            ];
            let start = ctx.dice.index(3);
            queues.rotate_left(start);
            let next = queues.iter_mut().find_map(|(kind, queue)| Some((*kind, queue.pop_front()?)));
            let Some((kind, packet_id)) = next else { return };
            if kind != PacketType::PubRec {
                self.unacked.remove(&packet_id);
            }
            encode_ack(&mut ctx.out, kind, self.version, packet_id, ReasonCode::SUCCESS);
            most -= 1;
        }
    }

    /// Says goodbye. `expiry_s` changes how long the session lives on.
    pub(crate) fn goodbye(&mut self, with_will: bool, expiry_s: Option<u32>, ctx: &mut Ctx<'_>) {
        let v5 = self.version.is_v5();
        let disconnect = Disconnect {
            reason: if with_will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::NORMAL_DISCONNECTION },
            session_expiry: expiry_s,
            ..Disconnect::default()
        };
        disconnect.encode(self.version, &mut ctx.out);
        ctx.mark(Mark::Disconnect { with_will: with_will && v5, expiry_s: expiry_s.filter(|_| v5) });
        ctx.fin = true;
        self.disconnected();
    }

    /// Comes back to the session that there is.
    pub(crate) fn resume(&mut self, ctx: &mut Ctx<'_>) {
        let wish = Wish { expiry_s: if self.version.is_v5() { NEVER_S } else { 0 }, ..Wish::default() };
        self.write_connect(&wish, ctx);
    }

    /// Connects to a session that ends with the connection.
    pub(crate) fn connect_clean(&mut self, ctx: &mut Ctx<'_>) {
        self.write_connect(&Wish { clean_start: true, ..Wish::default() }, ctx);
    }

    /// What observers and inspectors subscribe to.
    pub(crate) fn subscribe_plainly(&mut self, filter: &str, ctx: &mut Ctx<'_>) {
        let filter = FilterMark {
            filter: filter.to_owned(),
            group: None,
            qos: 2,
            no_local: false,
            retain_as_published: false,
            retain_handling: if self.role == Role::Observer { 2 } else { 0 },
        };
        self.subscribe(0, vec![filter], ctx);
    }

    /// Clears what may be retained at a topic.
    pub(crate) fn clear_retained(&mut self, topic: &str, ctx: &mut Ctx<'_>) {
        self.publish(Draft { topic: topic.to_owned(), qos: 1, retain: true, expiry_s: None, len: 0 }, ctx);
    }

    pub(super) fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let id = self.last_packet_id;
            if !self.asked.contains(&id) && !self.outgoing.iter().any(|held| held.packet_id == id) {
                return id;
            }
        }
    }

    pub(super) fn is_v311_or_less(&self) -> bool {
        self.version < Version::V5
    }
}

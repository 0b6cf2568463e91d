//! Sessions and how a message reaches one: sent now, put into the window, queued, or dropped and counted.
//!
//! This is the part of a shard that a fan-out changes while it walks the index of subscriptions, so it stands apart
//! from the index. It knows nothing of matching and of other shards.

use super::frames::Frames;
use crate::counters::Counters;
use crate::machine::{ConnId, Effects, HIGH_WATER_BYTES};
use crate::message::{Message, Publication};
use crate::session::{Delivery, Outgoing, Session, Stage, TopicForm, Via};
use crate::settings::Settings;
use crate::slab::Slab;
use crate::topics::SubOptions;
use alloc::rc::Rc;
use alloc::vec::Vec;
use ringmq_wire::{PacketType, PublishOut, QoS, ReasonCode, encode_ack};

/// A session with fewer queued messages than this has room for a replay of retained ones.
const ROOM_QUEUE_LEN: usize = 16;

/// Sessions and what delivering to them needs.
pub(super) struct Hub {
    pub(super) sessions: Slab<Session>,
    pub(super) settings: Rc<Settings>,
    pub(super) counters: Counters,
    pub(super) now_ms: u64,
    /// Sessions that have room again and asked to be told.
    pub(super) with_room: Vec<u32>,
    /// Sessions whose timer may be due earlier than it is set for.
    pub(super) to_arm: Vec<u32>,
}

/// A subscription as delivery sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) session: u32,
    pub(super) subscription_id: u32,
    pub(super) options: SubOptions,
    pub(super) via: Option<Via>,
}

/// What is made at most once of a message, however many receive it.
pub(super) struct Once<'a> {
    pub(super) passing: &'a Publication<'a>,
    /// The message in memory, once somebody has to wait for it.
    pub(super) kept: Option<Rc<Message>>,
    /// Encoded frames to copy, where more than one subscriber makes that worth while.
    pub(super) frames: Option<&'a mut Frames>,
}

impl<'a> Once<'a> {
    pub(super) fn new(passing: &'a Publication<'a>) -> Self {
        Self { passing, kept: None, frames: None }
    }

    fn keep(&mut self) -> Rc<Message> {
        self.kept.get_or_insert_with(|| Message::keep(self.passing)).clone()
    }
}

/// How one PUBLISH goes out.
#[derive(Debug, Clone, Copy)]
struct Form {
    qos: QoS,
    retain: bool,
    dup: bool,
    packet_id: u16,
    subscription_id: u32,
}

impl Hub {
    /// Gives a message to one session, once for each of its matching subscriptions at the QoS of that subscription
    /// [MQTT3-3.3.5-1].
    #[inline]
    pub(super) fn deliver(&mut self, target: Target, once: &mut Once<'_>, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(target.session) else { return };
        let passing = once.passing;
        // [MQTT-3.8.3-3]
        if target.options.no_local() && passing.publisher.key == session.key {
            self.counters.delivery_dropped_no_local += 1;
            return;
        }
        let qos = delivery_qos(&self.settings, passing.qos, target.options);
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
        let retain = passing.retain && (target.options.retain_as_published() || session.flags.bridge);
        self.dispatch(target, qos, retain, once, fx);
    }

    /// Gives a message to a session in answer to its SUBSCRIBE: with the RETAIN flag [MQTT3-3.3.1-8], also if it
    /// published it itself.
    pub(super) fn deliver_retained(&mut self, target: Target, once: &mut Once<'_>, fx: &mut Effects) {
        let qos = delivery_qos(&self.settings, once.passing.qos, target.options);
        self.dispatch(target, qos, true, once, fx);
    }

    fn dispatch(&mut self, target: Target, qos: QoS, retain: bool, once: &mut Once<'_>, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(target.session) else { return };
        let subscription_id = target.subscription_id;
        let Some(conn) = session.conn.filter(|conn| fx.outbox.unsent(*conn) < HIGH_WATER_BYTES) else {
            self.defer(target, qos, retain, once, fx);
            return;
        };
        if qos == QoS::AtMostOnce {
            if session.delivery.as_ref().is_some_and(|delivery| delivery.holds_up_at_most_once()) {
                // What waits already must go first [MQTT-4.6.0-6].
                self.defer(target, qos, retain, once, fx);
                return;
            }
            // [MQTT-4.3.1-1] [MQTT3-4.3.1-1]; as it came, so in its order [MQTT-4.6.0-5] [MQTT3-4.6.0-5]
            // [MQTT3-4.6.0-6].
            let form = Form { qos, retain, dup: false, packet_id: 0, subscription_id };
            match write(session, conn, once.passing, form, once.frames.as_deref_mut(), self.now_ms, fx) {
                Written::Sent => self.counters.messages_qos0_sent += 1,
                Written::TooLarge => self.counters.delivery_dropped_too_large += 1,
            }
            return;
        }
        let window = usize::from(session.window);
        let delivery = session.delivery_mut();
        // [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.6.0-6]
        let unsent = delivery.first_unsent().is_some();
        if unsent
            || !delivery.queue.is_empty()
            || delivery.window.len() >= window
            || delivery.next_packet_id().is_none()
        {
            self.defer(target, qos, retain, once, fx);
            return;
        }
        // Kept until it is acknowledged [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT3-4.3.2-1].
        let outgoing = Outgoing { message: once.keep(), qos, retain, subscription_id, via: target.via };
        let packet_id = delivery.launch(self.now_ms, outgoing).expect("an identifier is free");
        let form = Form { qos, retain, dup: false, packet_id, subscription_id };
        match write(session, conn, once.passing, form, once.frames.as_deref_mut(), self.now_ms, fx) {
            Written::Sent => {
                self.counters.count_sent(qos);
                if self.settings.retry_interval.is_some() {
                    self.to_arm.push(target.session);
                }
            }
            Written::TooLarge => {
                // As if it had been delivered [MQTT-3.1.2-25].
                session.delivery_mut().window.pop_back();
                self.counters.delivery_dropped_too_large += 1;
            }
        }
    }

    /// Queues a message for a session that cannot take it now, until it can or comes back [MQTT-4.8.2-4].
    #[cold]
    fn defer(&mut self, target: Target, qos: QoS, retain: bool, once: &mut Once<'_>, fx: &mut Effects) {
        let session = self.sessions.get_mut(target.session).expect("session to deliver to");
        if let Some(conn) = session.conn
            && fx.outbox.unsent(conn) >= HIGH_WATER_BYTES
            && session.delivery_mut().stalled_since_ms.is_none()
        {
            session.delivery_mut().stalled_since_ms = Some(self.now_ms);
            fx.outbox.watch_drain(conn);
            self.to_arm.push(target.session);
        }
        if qos == QoS::AtMostOnce && !self.settings.mqueue_store_qos0 {
            self.counters.delivery_dropped_qos0_msg += 1;
            return;
        }
        let outgoing =
            Outgoing { message: once.keep(), qos, retain, subscription_id: target.subscription_id, via: target.via };
        let delivery = session.delivery_mut();
        let max = self.settings.max_mqueue_len as usize;
        if max > 0 && delivery.queue.len() >= max {
            delivery.dequeue();
            self.counters.delivery_dropped_queue_full += 1;
        }
        delivery.enqueue(outgoing);
    }

    /// Sends what is queued as far as window and connection allow. To be called whenever either has opened.
    pub(super) fn pump(&mut self, to: u32, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(to) else { return };
        let Some(conn) = session.conn else { return };
        let window = usize::from(session.window);
        self.send_again(to, fx);
        let Some(session) = self.sessions.get_mut(to) else { return };
        while let Some(delivery) = &mut session.delivery
            && let Some(first) = delivery.queue.front()
        {
            let blocked = first.qos != QoS::AtMostOnce
                && (delivery.window.len() >= window || delivery.next_packet_id().is_none());
            if blocked {
                break;
            }
            if fx.outbox.unsent(conn) >= HIGH_WATER_BYTES {
                if delivery.stalled_since_ms.is_none() {
                    delivery.stalled_since_ms = Some(self.now_ms);
                    self.to_arm.push(to);
                }
                fx.outbox.watch_drain(conn);
                break;
            }
            let outgoing = delivery.dequeue().expect("a first one");
            if outgoing.message.expires_ms() <= self.now_ms {
                // [MQTT-3.3.2-5]
                self.counters.delivery_dropped_expired += 1;
                continue;
            }
            let Outgoing { message, qos, retain, subscription_id, .. } = outgoing.clone();
            let packet_id = match qos {
                QoS::AtMostOnce => 0,
                _ => delivery.launch(self.now_ms, outgoing).expect("an identifier is free"),
            };
            let form = Form { qos, retain, dup: false, packet_id, subscription_id };
            match write(session, conn, &message.view(), form, None, self.now_ms, fx) {
                Written::Sent => self.counters.count_sent(qos),
                Written::TooLarge => {
                    if qos != QoS::AtMostOnce {
                        session.delivery_mut().window.pop_back();
                    }
                    self.counters.delivery_dropped_too_large += 1;
                }
            }
        }
        if self.settings.retry_interval.is_some() {
            self.to_arm.push(to);
        }
        self.note_room(to, fx);
    }

    /// Notes a session that waits for room and has some.
    pub(super) fn note_room(&mut self, to: u32, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(to) else { return };
        if !session.flags.waits_for_room {
            return;
        }
        if has_room(session, fx) {
            session.flags.waits_for_room = false;
            self.with_room.push(to);
        } else if let Some(conn) = session.conn {
            // The queue may be empty and the connection full: then nothing else would look again.
            fx.outbox.watch_drain(conn);
        }
    }

    /// Takes up an interrupted exchange on a new connection: PUBREL goes out again at once; messages are marked, and
    /// [`Hub::pump`] sends them [MQTT-4.4.0-1] [MQTT3-4.4.0-1].
    pub(super) fn resume(&mut self, to: u32, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(to) else { return };
        let (Some(conn), Some(delivery)) = (session.conn, &mut session.delivery) else { return };
        delivery.send_all_again();
        for flight in delivery.window.iter_mut().filter(|flight| matches!(flight.stage, Stage::Released)) {
            flight.sent_ms = self.now_ms;
            let buffer = fx.outbox.buffer(conn);
            encode_ack(buffer, PacketType::PubRel, session.version, flight.packet_id, ReasonCode::SUCCESS);
        }
    }

    /// Sends marked messages again, in their order, as many as the client takes on this connection [MQTT-3.3.4-9]
    /// [MQTT-4.6.0-1] [MQTT3-4.6.0-1]: its Receive Maximum may be smaller than it was.
    fn send_again(&mut self, to: u32, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(to) else { return };
        let Some(conn) = session.conn else { return };
        let window = usize::from(session.window);
        while let Some(delivery) = &mut session.delivery
            && let Some(at) = delivery.first_unsent()
            && delivery.in_flight() < window
        {
            if fx.outbox.unsent(conn) >= HIGH_WATER_BYTES {
                if delivery.stalled_since_ms.is_none() {
                    delivery.stalled_since_ms = Some(self.now_ms);
                    self.to_arm.push(to);
                }
                fx.outbox.watch_drain(conn);
                return;
            }
            delivery.sent_again(at, self.now_ms);
            let flight = &delivery.window[at];
            let packet_id = flight.packet_id;
            let Stage::Published(outgoing) = &flight.stage else { unreachable!("only messages are marked") };
            // The message was sent, so its expiry does not matter any more [MQTT-4.3.3-7]; DUP is set because it is
            // sent again [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT3-3.3.1-1] [MQTT3-3.3.1-3].
            let Outgoing { message, qos, retain, subscription_id, .. } = outgoing.clone();
            let form = Form { qos, retain, dup: true, packet_id, subscription_id };
            match write(session, conn, &message.view(), form, None, self.now_ms, fx) {
                Written::Sent => self.counters.count_sent(qos),
                Written::TooLarge => {
                    // The client takes less than it did: as if it had been delivered [MQTT-3.1.2-25].
                    session.delivery_mut().land(at);
                    self.counters.delivery_dropped_too_large += 1;
                }
            }
        }
    }

    /// PUBACK from a subscriber: the message is delivered, or refused for good [MQTT-4.4.0-2] [MQTT-4.8.2-6].
    #[inline]
    pub(super) fn acknowledged(&mut self, from: u32, packet_id: u16, fx: &mut Effects) {
        let session = self.sessions.get_mut(from).expect("live session");
        let done = session.delivery.as_mut().and_then(|delivery| {
            let at = delivery.position(packet_id)?;
            let waits = matches!(&delivery.window[at].stage, Stage::Published(held) if held.qos == QoS::AtLeastOnce);
            waits.then(|| delivery.land(at))
        });
        if done.is_none() {
            self.counters.puback_missed += 1;
            return;
        }
        self.counters.messages_acked += 1;
        self.window_opened(from, fx);
    }

    /// PUBREC from a subscriber [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT3-4.3.3-1], also if the message has expired
    /// meanwhile [MQTT-4.3.3-13]. A refusal ends the exchange [MQTT-4.4.0-2].
    pub(super) fn received(&mut self, from: u32, packet_id: u16, reason: ReasonCode, fx: &mut Effects) {
        let session = self.sessions.get_mut(from).expect("live session");
        let conn = session.conn.expect("live session");
        let version = session.version;
        let known = session.delivery.as_mut().and_then(|delivery| {
            let at = delivery.position(packet_id)?;
            match &delivery.window[at].stage {
                Stage::Published(held) if held.qos != QoS::ExactlyOnce => None,
                Stage::Published(_) if reason.is_error() => {
                    delivery.land(at);
                    Some(true)
                }
                _ => {
                    delivery.release_to_client(at, self.now_ms);
                    Some(false)
                }
            }
        });
        match known {
            Some(true) => self.window_opened(from, fx),
            Some(false) => {
                encode_ack(fx.outbox.buffer(conn), PacketType::PubRel, version, packet_id, ReasonCode::SUCCESS);
            }
            None => {
                self.counters.pubrec_missed += 1;
                if !reason.is_error() {
                    let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                    encode_ack(fx.outbox.buffer(conn), PacketType::PubRel, version, packet_id, reason);
                }
            }
        }
    }

    /// PUBCOMP from a subscriber.
    pub(super) fn completed(&mut self, from: u32, packet_id: u16, fx: &mut Effects) {
        let session = self.sessions.get_mut(from).expect("live session");
        let done = session.delivery.as_mut().and_then(|delivery| {
            let at = delivery.position(packet_id)?;
            matches!(delivery.window[at].stage, Stage::Released).then(|| delivery.land(at))
        });
        if done.is_none() {
            self.counters.pubcomp_missed += 1;
            return;
        }
        self.counters.messages_acked += 1;
        self.window_opened(from, fx);
    }

    #[inline]
    fn window_opened(&mut self, session: u32, fx: &mut Effects) {
        let held = self.sessions.get(session).expect("live session");
        let waits = |delivery: &Delivery| !delivery.queue.is_empty() || delivery.in_flight() < delivery.window.len();
        if held.delivery.as_deref().is_some_and(waits) || held.flags.waits_for_room {
            self.pump(session, fx);
        }
    }

    /// The connection takes bytes again.
    pub(super) fn drained(&mut self, session: u32, fx: &mut Effects) {
        if let Some(delivery) = self.sessions.get_mut(session).and_then(|held| held.delivery.as_mut()) {
            delivery.stalled_since_ms = None;
        }
        self.pump(session, fx);
    }
}

/// [MQTT-3.8.4-8] [MQTT-3.3.4-2]; the higher of the two if the operator wants it so.
fn delivery_qos(settings: &Settings, published: QoS, options: SubOptions) -> QoS {
    let granted = QoS::from_bits(options.qos()).expect("granted QoS");
    if settings.upgrade_qos { published.max(granted) } else { published.min(granted) }
}

/// True if a replay may give the session another slice.
pub(super) fn has_room(session: &Session, fx: &Effects) -> bool {
    let queued = session.delivery.as_ref().map_or(0, |delivery| delivery.queue.len());
    let free = session.conn.is_none_or(|conn| fx.outbox.unsent(conn) < HIGH_WATER_BYTES / 4);
    queued < ROOM_QUEUE_LEN && free
}

enum Written {
    Sent,
    TooLarge,
}

/// Appends a PUBLISH to what the connection is to be sent.
#[inline]
fn write(
    session: &mut Session,
    conn: ConnId,
    passing: &Publication<'_>,
    form: Form,
    frames: Option<&mut Frames>,
    now_ms: u64,
    fx: &mut Effects,
) -> Written {
    let version = session.version;
    let mut out = PublishOut {
        qos: form.qos,
        retain: form.retain,
        dup: form.dup,
        topic: passing.topic.as_bytes(),
        packet_id: form.packet_id,
        expiry: passing.expiry_s(now_ms),
        alias: None,
        // [MQTT-3.3.4-3] [MQTT-3.3.4-5]: one delivery for each matching subscription, each with its own identifier.
        subscription_ids: match form.subscription_id {
            0 => &[],
            _ => core::slice::from_ref(&form.subscription_id),
        },
        properties: passing.properties,
        payload: passing.payload,
    };
    let mut use_alias = session.flags.aliases_out;
    if session.max_packet_size != u32::MAX {
        let max = session.max_packet_size as usize;
        // With an alias a packet may become longer by more than the property: its lengths too.
        use_alias = use_alias && PublishOut { alias: Some(1), ..out }.encoded_len(version) <= max;
        if !use_alias && out.encoded_len(version) > max {
            return Written::TooLarge;
        }
    }
    if use_alias {
        let aliases = session.extra_mut().aliases_out.as_mut().expect("aliases are used");
        match aliases.form(passing.topic) {
            TopicForm::Full => {}
            TopicForm::Assign(alias) => out.alias = Some(alias),
            TopicForm::Alias(alias) => {
                out.alias = Some(alias);
                out.topic = &[];
            }
        }
        out.encode(version, fx.outbox.buffer(conn));
    } else if let Some(frames) = frames.filter(|_| form.subscription_id == 0 && !form.dup) {
        frames.copy(version, &out, fx.outbox.buffer(conn));
    } else {
        out.encode(version, fx.outbox.buffer(conn));
    }
    Written::Sent
}

impl Counters {
    fn count_sent(&mut self, qos: QoS) {
        match qos {
            QoS::AtMostOnce => self.messages_qos0_sent += 1,
            QoS::AtLeastOnce => self.messages_qos1_sent += 1,
            QoS::ExactlyOnce => self.messages_qos2_sent += 1,
        }
    }
}

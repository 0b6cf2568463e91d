//! Sessions and how a message reaches one: sent now, put into the window, queued, or dropped and counted.
//!
//! This is the part of a shard that a fan-out changes while it walks the index of subscriptions, so it stands apart
//! from the index. It knows nothing of matching and of other shards.

use super::back_pressure::{Notice, queue_holding_back};
use super::frames::Frames;
use super::overfull::{Cause, has_too_much};
use super::packets::Packets;
use super::profiles::Profiles;
use super::retain::slice_len;
use super::slow_subs::SlowSubs;
use super::topic_metrics::TopicMetrics;
use super::tracing::Traces;
use super::write::{Form, Written, lend, write};
use crate::counters::Counters;
use crate::machine::{ConnId, Effects};
use crate::message::{Message, Publication};
use crate::session::{Flight, Outgoing, Session, Stage, Stall, Via};
use crate::settings::{QueueFullPolicy, Settings};
use crate::slab::Slab;
use crate::topics::SubOptions;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use ringmq_wire::{PacketType, QoS, ReasonCode, encode_ack};

/// A session with more queued messages than this has no room for a replay of retained ones.
const ROOM_QUEUE_LEN: usize = 16;

/// Sessions and what delivering to them needs.
pub(super) struct Hub {
    pub(super) sessions: Slab<Session>,
    /// What holds for the shard as a whole.
    pub(super) settings: Rc<Settings>,
    /// What holds for clients.
    pub(super) profiles: Profiles,
    pub(super) counters: Counters,
    pub(super) packets: Packets,
    pub(super) now_ms: u64,
    /// Topics whose messages are counted, if there are any.
    pub(super) topic_metrics: Option<Box<TopicMetrics>>,
    /// Who was slow, if that is measured.
    pub(super) slow_subs: SlowSubs,
    /// Sessions that have room again and asked to be told.
    pub(super) with_room: Vec<u32>,
    /// Sessions whose timer may be due earlier than it is set for.
    pub(super) to_arm: Vec<u32>,
    /// The session that a message was last dropped for.
    pub(super) dropped_for: Option<u32>,
    /// Absent unless something is traced.
    pub(super) traces: Option<Box<Traces>>,
    /// Sessions to disconnect at the end of the step.
    pub(super) overfull: Vec<(u32, Cause)>,
    /// What the step means for publishers that feed full queues and for message queues, in order.
    pub(super) notices: Vec<Notice>,
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

    /// Of a message that is in memory already.
    pub(super) fn of_kept(passing: &'a Publication<'a>, message: &Rc<Message>) -> Self {
        Self { passing, kept: Some(message.clone()), frames: None }
    }

    fn keep(&mut self, now_ms: u64) -> Rc<Message> {
        self.kept.get_or_insert_with(|| Message::keep_at(self.passing, now_ms)).clone()
    }
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
        let qos = delivery_qos(self.profiles.of(session.listener), passing.qos, target.options);
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
        let retain = passing.retain && (target.options.retain_as_published() || session.flags.bridge);
        self.dispatch(target, qos, retain, once, fx);
    }

    /// Gives a retained message to a session in answer to its SUBSCRIBE: with the RETAIN flag [MQTT3-3.3.1-8]. For No
    /// Local the client identifier decides, because the session that published it may be long gone [MQTT-3.8.3-3].
    pub(super) fn deliver_retained(&mut self, target: Target, once: &mut Once<'_>, fx: &mut Effects) {
        let Some(session) = self.sessions.get(target.session) else { return };
        if target.options.no_local() && session.client_hash == once.passing.publisher.client_hash {
            self.counters.delivery_dropped_no_local += 1;
            return;
        }
        let qos = delivery_qos(self.profiles.of(session.listener), once.passing.qos, target.options);
        if self.settings.retainer_delivery_rate > 0
            && let Some(session) = self.sessions.get_mut(target.session)
        {
            session.extra_mut().replayed += 1;
        }
        self.dispatch(target, qos, true, once, fx);
    }

    fn dispatch(&mut self, target: Target, qos: QoS, retain: bool, once: &mut Once<'_>, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(target.session) else { return };
        let (profiles, listener) = (&self.profiles, session.listener);
        let takes = |conn: &ConnId| !profiles.is_congested(listener, fx.outbox.unsent(*conn));
        let Some(conn) = session.conn.filter(takes) else {
            self.defer(target, qos, retain, once, fx);
            return;
        };
        let mut form = Form { qos, retain, dup: false, packet_id: 0, subscription_id: target.subscription_id };
        if qos == QoS::AtMostOnce {
            if session.delivery.as_ref().is_some_and(|delivery| delivery.holds_up_at_most_once()) {
                // What waits already must go first [MQTT-4.6.0-6].
                self.defer(target, qos, retain, once, fx);
                return;
            }
            // [MQTT-4.3.1-1] [MQTT3-4.3.1-1]; as it came, so in its order [MQTT-4.6.0-5] [MQTT3-4.6.0-5]
            // [MQTT3-4.6.0-6].
            if let Some(traces) = &mut self.traces {
                traces.mark(target.session, session, conn, once.passing.topic, fx);
            }
            match write(session, conn, once.passing, form, once.frames.as_deref_mut(), self.now_ms, fx) {
                Written::Sent => {
                    self.counters.messages_qos0_sent += 1;
                    count_out(&mut self.topic_metrics, once.passing.topic, qos);
                }
                Written::TooLarge => {
                    self.counters.delivery_dropped_too_large += 1;
                    session.drops_mut().too_large += 1;
                }
            }
            return;
        }
        let window = usize::from(session.window);
        let delivery = session.delivery_mut();
        // [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.6.0-6]
        let free = !delivery.must_resend() && delivery.queue.is_empty() && delivery.window.len() < window;
        let Some(packet_id) = delivery.next_packet_id().filter(|_| free) else {
            self.defer(target, qos, retain, once, fx);
            return;
        };
        form.packet_id = packet_id;
        if let Some(traces) = &mut self.traces {
            traces.mark(target.session, session, conn, once.passing.topic, fx);
        }
        match write(session, conn, once.passing, form, once.frames.as_deref_mut(), self.now_ms, fx) {
            Written::Sent => {
                // Kept until it is acknowledged [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.3.3-2] [MQTT-4.3.3-3]
                // [MQTT3-4.3.2-1].
                let Target { subscription_id, via, .. } = target;
                let message = once.keep(self.now_ms);
                let outgoing = Outgoing { message, qos, retain, subscription_id, via, spared: false };
                session.delivery_mut().launch(self.now_ms, outgoing).expect("an identifier is free");
                self.counters.count_sent(qos);
                count_out(&mut self.topic_metrics, once.passing.topic, qos);
                if self.profiles.of(session.listener).retry_interval.is_some() {
                    self.to_arm.push(target.session);
                }
            }
            // As if it had been delivered [MQTT-3.1.2-25].
            Written::TooLarge => {
                self.counters.delivery_dropped_too_large += 1;
                session.drops_mut().too_large += 1;
            }
        }
    }

    /// Queues a message for a session that cannot take it now, until it can or comes back [MQTT-4.8.2-4].
    #[cold]
    fn defer(&mut self, target: Target, qos: QoS, retain: bool, once: &mut Once<'_>, fx: &mut Effects) {
        let session = self.sessions.get_mut(target.session).expect("session to deliver to");
        let settings = self.profiles.of(session.listener);
        if let Some(conn) = session.conn
            && self.profiles.is_congested(session.listener, fx.outbox.unsent(conn))
        {
            let low = settings.low_watermark();
            self.counters.client_congested += u64::from(stall(session, conn, low, self.now_ms, fx));
            self.to_arm.push(target.session);
        }
        let from_queue = matches!(target.via, Some(Via::Queue { .. }));
        if qos == QoS::AtMostOnce && !settings.mqueue_store_qos0 && !from_queue {
            self.counters.delivery_dropped_qos0_msg += 1;
            self.dropped_for = Some(target.session);
            session.drops_mut().qos0_msg += 1;
            return;
        }
        let Target { subscription_id, via, .. } = target;
        let mut policy = settings.queue_full_policy_for(once.passing.topic);
        let spared = policy == QueueFullPolicy::BackPressure;
        let outgoing = Outgoing { message: once.keep(self.now_ms), qos, retain, subscription_id, via, spared };
        let priority = settings.mqueue_priority(once.passing.topic);
        let max = settings.max_mqueue_len as usize;
        let connected = session.conn.is_some();
        let delivery = session.delivery_mut();
        if from_queue {
            // It has given no more than the client may have of it.
            delivery.queue.push(priority, Outgoing { spared: true, ..outgoing }, 0);
            return;
        }
        if spared && !(connected && delivery.holding.as_ref().is_none_or(|holding| !holding.gave_up)) {
            policy = settings.back_pressure.fallback;
        }
        let dropped = match policy {
            QueueFullPolicy::BackPressure => {
                let notices = &mut self.notices;
                !queue_holding_back(target.session, delivery, settings, (priority, outgoing), self.now_ms, notices)
            }
            QueueFullPolicy::Disconnect if connected && delivery.queue.is_full(priority, max) => {
                note(&mut self.overfull, target.session, Cause::QueueFull);
                true
            }
            QueueFullPolicy::DropNewest if delivery.queue.is_full(priority, max) => true,
            _ => {
                let dropped = delivery.queue.push(priority, outgoing, max);
                self.notices.extend(dropped.as_ref().and_then(|dropped| Notice::of_queue(dropped, true)));
                dropped.is_some()
            }
        };
        if dropped {
            self.counters.delivery_dropped_queue_full += 1;
            self.dropped_for = Some(target.session);
            session.drops_mut().queue_full += 1;
        }
        if has_too_much(session, settings, fx) {
            note(&mut self.overfull, target.session, Cause::Backlog);
        }
    }

    /// Sends what is to be sent again, then what is queued, as far as window and connection allow. To be called whenever
    /// either has opened.
    pub(super) fn pump(&mut self, to: u32, fx: &mut Effects) {
        self.send_again(to, fx);
        let Some(session) = self.sessions.get_mut(to) else { return };
        let Some(conn) = session.conn else { return };
        let window = usize::from(session.window);
        let mut took = false;
        while let Some(delivery) = &mut session.delivery
            && let Some(first) = delivery.queue.front()
        {
            let next_id = delivery.next_packet_id().filter(|_| delivery.window.len() < window);
            let packet_id = match (first.qos, next_id) {
                (QoS::AtMostOnce, _) => 0,
                (_, Some(packet_id)) => packet_id,
                (_, None) => break,
            };
            if self.profiles.is_congested(session.listener, fx.outbox.unsent(conn)) {
                let low = self.profiles.of(session.listener).low_watermark();
                self.counters.client_congested += u64::from(stall(session, conn, low, self.now_ms, fx));
                self.to_arm.push(to);
                break;
            }
            let outgoing = delivery.queue.pop().expect("a first one");
            took = true;
            let passing = outgoing.message.view();
            if passing.expired(self.now_ms) {
                // [MQTT-3.3.2-5]
                self.counters.delivery_dropped_expired += 1;
                session.drops_mut().expired += 1;
                self.notices.extend(Notice::of_queue(&outgoing, false));
                continue;
            }
            let Outgoing { qos, retain, subscription_id, .. } = outgoing;
            let form = Form { qos, retain, dup: false, packet_id, subscription_id };
            lend(&outgoing.message, self.traces.is_some(), fx);
            if let Some(traces) = &mut self.traces {
                traces.mark(to, session, conn, passing.topic, fx);
            }
            match write(session, conn, &passing, form, None, self.now_ms, fx) {
                Written::Sent => {
                    self.counters.count_sent(qos);
                    count_out(&mut self.topic_metrics, passing.topic, qos);
                    if self.settings.slow_subs.enable && qos == QoS::AtMostOnce {
                        self.slow_subs.note_sent(&self.settings.slow_subs, self.now_ms, session, &outgoing);
                    }
                    if qos == QoS::AtMostOnce {
                        self.notices.extend(Notice::of_queue(&outgoing, false));
                    } else {
                        session.delivery_mut().launch(self.now_ms, outgoing).expect("an identifier is free");
                    }
                }
                Written::TooLarge => {
                    self.counters.delivery_dropped_too_large += 1;
                    session.drops_mut().too_large += 1;
                    self.notices.extend(Notice::of_queue(&outgoing, false));
                }
            }
        }
        let holding = session.delivery.as_ref().is_some_and(|delivery| delivery.holding.is_some());
        if self.profiles.of(session.listener).retry_interval.is_some() {
            self.to_arm.push(to);
        }
        if took && holding {
            self.note_taken(to);
        }
        self.note_room(to, fx);
    }

    /// Notes a session that waits for room and has some.
    pub(super) fn note_room(&mut self, to: u32, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(to) else { return };
        if !session.flags.waits_for_room {
            return;
        }
        let settings = self.profiles.of(session.listener);
        if has_room(session, settings, fx) {
            session.flags.waits_for_room = false;
            self.with_room.push(to);
        } else if let Some(conn) = session.conn {
            // The queue may be empty and the connection full: then nothing else would look again.
            fx.outbox.watch_drain(conn, settings.low_watermark());
        }
    }

    /// Takes up the interrupted exchanges of a new connection [MQTT-4.4.0-1] [MQTT3-4.4.0-1], or those whose last packet
    /// was sent at or before `sent_ms`: PUBREL goes out again at once; messages are marked, and [`Hub::pump`] sends
    /// them.
    pub(super) fn repeat(&mut self, to: u32, sent_ms: u64, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(to) else { return };
        let (Some(conn), Some(delivery)) = (session.conn, &mut session.delivery) else { return };
        delivery.mark_to_resend(sent_ms);
        let released = |flight: &&mut Flight| matches!(flight.stage, Stage::Released) && flight.sent_ms <= sent_ms;
        for flight in delivery.window.iter_mut().filter(released) {
            flight.sent_ms = self.now_ms;
            self.packets.repeat_pubrel();
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
            && delivery.in_flight() < window
            && let Some(at) = delivery.first_to_resend()
        {
            if self.profiles.is_congested(session.listener, fx.outbox.unsent(conn)) {
                let low = self.profiles.of(session.listener).low_watermark();
                self.counters.client_congested += u64::from(stall(session, conn, low, self.now_ms, fx));
                self.to_arm.push(to);
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
            lend(&message, self.traces.is_some(), fx);
            if let Some(traces) = &mut self.traces {
                traces.mark(to, session, conn, message.view().topic, fx);
            }
            match write(session, conn, &message.view(), form, None, self.now_ms, fx) {
                Written::Sent => {
                    self.counters.count_sent(qos);
                    count_out(&mut self.topic_metrics, message.view().topic, qos);
                }
                Written::TooLarge => {
                    // The client takes less than it did: as if it had been delivered [MQTT-3.1.2-25].
                    let flight = session.delivery_mut().land(at);
                    self.notices.extend(flight.outgoing().and_then(|outgoing| Notice::of_queue(outgoing, false)));
                    self.counters.delivery_dropped_too_large += 1;
                    session.drops_mut().too_large += 1;
                }
            }
        }
    }

    /// The connection takes bytes again.
    pub(super) fn drained(&mut self, session: u32, fx: &mut Effects) {
        if let Some(delivery) = self.sessions.get_mut(session).and_then(|held| held.delivery.as_mut()) {
            delivery.stall = None;
        }
        self.pump(session, fx);
    }
}

/// Counts a message that was sent, if its topic is one of those that are counted.
#[inline]
fn count_out(metrics: &mut Option<Box<TopicMetrics>>, topic: &str, qos: QoS) {
    if let Some(metrics) = metrics {
        metrics.count_out(topic, qos);
    }
}

/// Notes that a connection has more to take than it should, until no more than `low` bytes are left. True if it had not
/// before.
pub(super) fn stall(session: &mut Session, conn: ConnId, low: usize, now_ms: u64, fx: &mut Effects) -> bool {
    let unsent = fx.outbox.unsent(conn);
    let stall = &mut session.delivery_mut().stall;
    let first = stall.is_none();
    stall.get_or_insert(Stall { since_ms: now_ms, unsent });
    fx.outbox.watch_drain(conn, low);
    first
}

/// Notes a session to be disconnected; usually it is noted once for each message of a burst.
fn note(noted: &mut Vec<(u32, Cause)>, session: u32, cause: Cause) {
    if noted.last() != Some(&(session, cause)) {
        noted.push((session, cause));
    }
}

/// [MQTT-3.8.4-8] [MQTT-3.3.4-2]; the higher of the two if the operator wants it so.
fn delivery_qos(settings: &Settings, published: QoS, options: SubOptions) -> QoS {
    let granted = QoS::from_bits(options.qos()).expect("granted QoS");
    if !settings.upgrade_qos {
        return published.min(granted);
    }
    let allowed = QoS::from_bits(settings.max_qos_allowed).unwrap_or(QoS::ExactlyOnce);
    published.max(granted.min(allowed))
}

/// True if a replay may give the session another slice: a whole one then fits its queue, behind at most a few messages.
pub(super) fn has_room(session: &Session, settings: &Settings, fx: &Effects) -> bool {
    let queued = session.delivery.as_ref().map_or(0, |delivery| delivery.queue.len());
    let max = match settings.max_mqueue_len as usize {
        0 => usize::MAX,
        max => max,
    };
    let fits = queued == 0 || (queued < ROOM_QUEUE_LEN && queued + slice_len(settings) <= max);
    fits && session.conn.is_none_or(|conn| fx.outbox.unsent(conn) <= settings.low_watermark())
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

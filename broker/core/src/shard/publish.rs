//! PUBLISH from clients, and how they are acknowledged (sections 3.3 and 4.3).

use super::leave::End;
use super::limits::Verdict;
use super::record::SessionRef;
use super::{Flow, Shard};
use crate::machine::{ConnId, Effects};
use crate::message::Publication;
use crate::session::{AliasesIn, HeldAck};
use crate::settings::Settings;
use crate::topics::filter;
use ringmq_wire::{Frame, PacketType, Publish, QoS, ReasonCode, Version, encode_ack};

/// What became of a message that was taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakenIn {
    /// Some session has it or another shard may have one that wants it.
    pub(super) matched: bool,
    /// Set while another shard has yet to store it as retained.
    pub(super) ticket: Option<u32>,
}

impl Shard {
    /// A PUBLISH from a live client.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "one PUBLISH is this many facts")]
    pub(super) fn publish(
        &mut self,
        session: u32,
        conn: ConnId,
        version: Version,
        listener: u16,
        mounted: bool,
        frame: Frame<'_>,
        fx: &mut Effects,
    ) -> Flow {
        let mut decoded = Publish::decode(frame.flags(), frame.body, version);
        if decoded.is_err()
            && let Some(lenience) = self.lenience(listener)
        {
            decoded = Publish::decode_with(frame.flags(), frame.body, version, lenience);
        }
        // Not moved out: it is large, and this is where every message passes.
        let publish = match &decoded {
            Ok(publish) => publish,
            Err(error) => {
                let error = *error;
                self.count_refused(error);
                self.hub.packets.fail(frame.first);
                self.end(session, End::Refused(error.reason), fx);
                return Flow::Ended;
            }
        };
        if let Err(reason) = Self::check_publish(publish, self.hub.profiles.of(listener)) {
            self.hub.packets.fail(frame.first);
            return self.refuse(session, reason, fx);
        }
        let alias = publish.properties.topic_alias;
        if alias.is_none() && !mounted {
            return self.publish_to(session, conn, version, publish, publish.topic, fx);
        }
        // A topic that an alias stands for is copied, because what follows may change the session.
        let mut topic = core::mem::take(&mut self.topic_scratch);
        topic.clear();
        let flow = match self.meant_topic(session, alias, publish.topic, &mut topic) {
            Ok(()) => self.publish_to(session, conn, version, publish, &topic, fx),
            Err(reason) => {
                self.hub.packets.fail(frame.first);
                self.refuse(session, reason, fx)
            }
        };
        self.topic_scratch = topic;
        flow
    }

    /// What a PUBLISH may not ask for here.
    #[inline]
    fn check_publish(publish: &Publish<'_>, settings: &Settings) -> Result<(), ReasonCode> {
        if publish.qos.bits() > settings.max_qos_allowed {
            return Err(ReasonCode::QOS_NOT_SUPPORTED);
        }
        if publish.retain && !settings.retain_available {
            return Err(ReasonCode::RETAIN_NOT_SUPPORTED);
        }
        // A topic has at most one level more than it has bytes, so short ones need not be counted.
        let levels_max = usize::from(settings.max_topic_levels);
        if publish.topic.len() >= levels_max && filter::topic_levels(publish.topic) > levels_max {
            return Err(ReasonCode::TOPIC_NAME_INVALID);
        }
        // [MQTT-3.3.4-6]
        if publish.properties.subscription_id_count > 0 {
            return Err(ReasonCode::PROTOCOL_ERROR);
        }
        if publish.properties.user_properties.len() > usize::from(settings.max_user_properties) {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        Ok(())
    }

    /// The topic that is meant by what a client has written: that of its alias, behind its mountpoint.
    fn meant_topic(
        &mut self,
        session: u32,
        alias: Option<u16>,
        topic: &str,
        into: &mut alloc::string::String,
    ) -> Result<(), ReasonCode> {
        match alias {
            Some(alias) => self.resolve_alias(session, alias, topic, into)?,
            None => into.push_str(topic),
        }
        self.mount(session, into)
    }

    /// Finds or sets the topic of an alias [MQTT-3.3.2-9] [MQTT-3.3.2-12].
    fn resolve_alias(
        &mut self,
        session: u32,
        alias: u16,
        topic: &str,
        into: &mut alloc::string::String,
    ) -> Result<(), ReasonCode> {
        let held = self.hub.sessions.get_mut(session).expect("live session");
        if alias > self.hub.profiles.of(held.listener).max_topic_alias {
            return Err(ReasonCode::TOPIC_ALIAS_INVALID);
        }
        let aliases = held.extra_mut().aliases_in.get_or_insert_with(AliasesIn::default);
        if topic.is_empty() {
            into.push_str(aliases.topic(alias).ok_or(ReasonCode::PROTOCOL_ERROR)?);
        } else {
            if !aliases.assign(alias, topic) {
                return Err(ReasonCode::QUOTA_EXCEEDED);
            }
            into.push_str(topic);
        }
        Ok(())
    }

    #[inline]
    fn publish_to(
        &mut self,
        session: u32,
        conn: ConnId,
        version: Version,
        publish: &Publish<'_>,
        topic: &str,
        fx: &mut Effects,
    ) -> Flow {
        let held = self.hub.sessions.get(session).expect("live session");
        let publisher = held.publisher();
        let settings = self.hub.profiles.of(held.listener);
        let limited = settings.limits.any();
        let expires_ms = match publish.properties.message_expiry {
            Some(expiry_s) => self.hub.now_ms + u64::from(expiry_s) * 1000,
            None => Self::default_expiry_ms(settings, self.hub.now_ms),
        };
        if publish.qos == QoS::ExactlyOnce
            && let Some(flow) = self.check_exactly_once(session, conn, version, publish, fx)
        {
            return flow;
        }
        let mut scratch = core::mem::take(&mut self.scratch);
        let passing = Publication {
            publisher,
            qos: publish.qos,
            retain: publish.retain,
            expires_ms,
            topic,
            properties: publish.properties.forwardable(&mut scratch),
            payload: publish.payload,
        };
        // At QoS 1 nothing is remembered: the same identifier is a new message next time [MQTT-4.3.2-5].
        let acknowledge_to = (publish.qos != QoS::AtMostOnce).then_some(session);
        let bytes = topic.len() + passing.properties.len() + passing.payload.len();
        let verdict = if limited { self.limit(session, conn, bytes, fx) } else { Verdict::Publish };
        let taken = match verdict {
            Verdict::Publish if self.is_special(topic) => self.take_in_special(&passing, session, acknowledge_to, fx),
            Verdict::Publish => self.take_in(&passing, acknowledge_to, fx),
            Verdict::Drop => self.leave_out(session, version, publish),
            Verdict::Ended => TakenIn { matched: true, ticket: None },
        };
        self.scratch = scratch;
        if verdict == Verdict::Ended {
            return Flow::Ended;
        }
        let counters = &mut self.hub.counters;
        // [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT3-3.3.4-1] [MQTT3-4.3.2-2] [MQTT3-4.3.3-2]
        let packet_type = match publish.qos {
            QoS::AtMostOnce => {
                counters.messages_qos0_received += 1;
                None
            }
            QoS::AtLeastOnce => {
                counters.messages_qos1_received += 1;
                Some(PacketType::PubAck)
            }
            QoS::ExactlyOnce => {
                counters.messages_qos2_received += 1;
                Some(PacketType::PubRec)
            }
        };
        if let Some(packet_type) = packet_type {
            let reason = match verdict {
                Verdict::Drop => ReasonCode::QUOTA_EXCEEDED,
                _ if taken.matched => ReasonCode::SUCCESS,
                _ => ReasonCode::NO_MATCHING_SUBSCRIBERS,
            };
            self.acknowledge(session, conn, version, packet_type, publish.packet_id, reason, taken.ticket, fx);
        }
        if self.pressure.is_felt() {
            self.hold_up(conn, fx);
        }
        Flow::Continue
    }

    /// Does not publish a message that is above its publisher's limits. A refusal ends the exchange of a QoS 2 message
    /// in version 5 [MQTT-4.3.3-9]; before that there is none, so it goes on as usual.
    fn leave_out(&mut self, session: u32, version: Version, publish: &Publish<'_>) -> TakenIn {
        self.pressure.begin_message();
        if publish.qos != QoS::AtMostOnce {
            self.hub.packets.fail(PacketType::Publish.first());
        }
        if publish.qos == QoS::ExactlyOnce && version.is_v5() {
            let held = self.hub.sessions.get_mut(session).expect("live session");
            held.delivery_mut().release(publish.packet_id);
        }
        TakenIn { matched: true, ticket: None }
    }

    /// Holds the identifier of a QoS 2 message until its PUBREL [MQTT-4.3.3-10]. Returns how to go on if the message
    /// must not be published.
    fn check_exactly_once(
        &mut self,
        session: u32,
        conn: ConnId,
        version: Version,
        publish: &Publish<'_>,
        fx: &mut Effects,
    ) -> Option<Flow> {
        let now_ms = self.hub.now_ms;
        let held = self.hub.sessions.get_mut(session).expect("live session");
        let max = usize::from(self.hub.profiles.of(held.listener).max_awaiting_rel);
        let delivery = held.delivery_mut();
        if delivery.is_unreleased(publish.packet_id) {
            self.hub.counters.publish_inuse += 1;
            // A repetition is acknowledged again; a new message under an identifier in use is told so, as EMQX does.
            let reason = if publish.dup { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_IN_USE };
            if reason.is_error() {
                self.hub.packets.fail(PacketType::Publish.first());
            }
            self.acknowledge(session, conn, version, PacketType::PubRec, publish.packet_id, reason, None, fx);
            return Some(Flow::Continue);
        }
        // [MQTT-3.3.4-7]
        if max > 0 && delivery.unreleased() >= max {
            self.hub.counters.publish_quota += 1;
            return Some(self.refuse(session, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, fx));
        }
        let first = delivery.unreleased() == 0;
        assert!(delivery.hold_until_released(publish.packet_id, now_ms), "identifier is not held yet");
        if first {
            self.hub.to_arm.push(session);
        }
        None
    }

    /// PUBREL from a publisher [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT3-4.3.3-2].
    pub(super) fn released(&mut self, session: u32, conn: ConnId, version: Version, packet_id: u16, fx: &mut Effects) {
        let held = self.hub.sessions.get_mut(session).expect("live session");
        let known = held.delivery.as_mut().is_some_and(|delivery| delivery.release(packet_id));
        let reason = if known {
            ReasonCode::SUCCESS
        } else {
            self.hub.counters.pubrel_missed += 1;
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
        };
        self.acknowledge(session, conn, version, PacketType::PubComp, packet_id, reason, None, fx);
    }

    /// Takes ownership of a message: retains it if it is to be retained, and routes it. `acknowledge_to` is the session
    /// that wants to know when it is retained.
    pub(super) fn take_in(
        &mut self,
        passing: &Publication<'_>,
        acknowledge_to: Option<u32>,
        fx: &mut Effects,
    ) -> TakenIn {
        self.pressure.begin_message();
        if let Some(metrics) = &mut self.hub.topic_metrics {
            metrics.count_in(passing.topic, passing.qos);
        }
        let mut ticket = None;
        if passing.retain {
            ticket = self.retain(passing, acknowledge_to, fx);
            if passing.payload.is_empty() && self.hub.settings.retainer_stop_publish_clear_msg {
                return TakenIn { matched: true, ticket };
            }
        }
        TakenIn { matched: self.route(passing, fx), ticket }
    }

    /// Acknowledges a publisher's packet, in the order in which its packets came: behind acknowledgements that wait for
    /// another shard.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "one acknowledgement is this many facts")]
    fn acknowledge(
        &mut self,
        session: u32,
        conn: ConnId,
        version: Version,
        packet_type: PacketType,
        packet_id: u16,
        reason: ReasonCode,
        ticket: Option<u32>,
        fx: &mut Effects,
    ) {
        let held = self.hub.sessions.get_mut(session).expect("live session");
        let waiting = held.extra.as_ref().is_some_and(|extra| !extra.held_acks.is_empty());
        if ticket.is_none() && !waiting {
            // [MQTT-2.2.1-5] [MQTT3-2.3.1-6]
            encode_ack(fx.outbox.buffer(conn), packet_type, version, packet_id, reason);
            return;
        }
        self.hub.packets.hold(packet_type);
        let ready = ticket.is_none();
        let ticket = ticket.unwrap_or(0);
        held.extra_mut().held_acks.push_back(HeldAck { ticket, packet_type, packet_id, reason, ready });
    }

    /// Another shard has stored what the acknowledgement with this ticket waits for.
    pub(super) fn acknowledge_held(&mut self, to: SessionRef, ticket: u32, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get_generation_mut(to.session, to.generation) else { return };
        let (Some(conn), Some(extra)) = (held.conn, &mut held.extra) else { return };
        if let Some(waiting) = extra.held_acks.iter_mut().find(|ack| ack.ticket == ticket) {
            waiting.ready = true;
        }
        while let Some(ack) = extra.held_acks.pop_front_if(|ack| ack.ready) {
            if let Some(traces) = self.hub.traces.as_mut().filter(|_| held.flags.traced) {
                traces.mark_next(to.session, conn, fx);
            }
            encode_ack(fx.outbox.buffer(conn), ack.packet_type, held.version, ack.packet_id, ack.reason);
            self.hub.packets.send_held(ack.packet_type);
        }
    }
}

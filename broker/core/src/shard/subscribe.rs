//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 and 3.10).

use super::conns::Pauses;
use super::record::{RemoteTarget, SessionRef};
use super::{Flow, Shard};
use crate::machine::{ConnId, Effects, ShardId};
use crate::session::{HeldSubAck, Subscription};
use crate::topics::{SubOptions, Subscriber, filter};
use alloc::vec::Vec;
use ringmq_wire::{
    AckProperties, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeOptions, UnsubAck, Unsubscribe, Version,
};

/// Replays of retained messages that may wait for one session; a subscription that would need more is refused.
const REPLAYS_PER_SESSION_MAX: usize = 65_536;

/// SUBACKs of one session that wait for other shards before the client is read no further.
const HELD_SUBACKS_SOFT_MAX: usize = 256;

/// A granted subscription, as far as the answer needs it.
struct Granted<'a> {
    code: ReasonCode,
    /// The filter whose retained messages are to be sent.
    replay: Option<(&'a str, SubOptions)>,
    /// The home of the shared group has to answer first.
    waits: bool,
}

impl Shard {
    /// SUBSCRIBE from a live client. Its filters are handled as if each had come alone [MQTT-3.8.4-5]
    /// [MQTT3-3.8.4-4], and answered together [MQTT-3.8.4-1] [MQTT-3.8.4-6] [MQTT3-3.8.4-1].
    pub(super) fn subscribe(&mut self, session: u32, conn: ConnId, subscribe: Subscribe<'_>, fx: &mut Effects) -> Flow {
        let settings = self.hub.settings.clone();
        if subscribe.filter_count > usize::from(settings.max_topic_filters)
            || subscribe.user_properties.len() > usize::from(settings.max_user_properties)
        {
            return self.refuse(session, ReasonCode::QUOTA_EXCEEDED, fx);
        }
        let ticket = self.ticket();
        let mut codes = Vec::with_capacity(subscribe.filter_count);
        let mut replays = Vec::new();
        let mut waiting = 0;
        let subscription_id = subscribe.subscription_id.unwrap_or(0);
        for (raw, options) in subscribe.filters() {
            match self.subscribe_one(session, raw, options, subscription_id, ticket, fx) {
                Ok(granted) => {
                    codes.push(granted.code.0);
                    waiting += u32::from(granted.waits);
                    replays.extend(granted.replay);
                }
                // [MQTT-3.8.3-4]
                Err(ReasonCode::PROTOCOL_ERROR) => return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx),
                Err(reason) => codes.push(reason.0),
            }
        }
        let generation = self.hub.sessions.generation(session).expect("live session");
        let mut ready = Vec::new();
        for (filter, options) in replays {
            let target = RemoteTarget { to: SessionRef { session, generation }, subscription_id, options };
            waiting += self.prepare_replay(target, filter, ticket, &mut ready, fx);
        }
        let packet_id = subscribe.packet_id;
        let suback = HeldSubAck { ticket, packet_id, codes, waiting, replays: ready };
        if waiting == 0 {
            self.grant(session, conn, suback, fx);
        } else {
            let extra = self.hub.sessions.get_mut(session).expect("live session").extra_mut();
            extra.held_subacks.push(suback);
            if extra.held_subacks.len() >= HELD_SUBACKS_SOFT_MAX {
                self.pause(conn, Pauses::SUBSCRIBING, fx);
            }
        }
        Flow::Continue
    }

    /// Sends a SUBACK, then the retained messages that go with it.
    fn grant(&mut self, session: u32, conn: ConnId, suback: HeldSubAck, fx: &mut Effects) {
        self.send_suback(session, conn, suback.packet_id, &suback.codes, fx);
        if !suback.replays.is_empty() {
            self.hub.sessions.get_mut(session).expect("live session").extra_mut().replays.extend(suback.replays);
            self.continue_replays(session, fx);
        }
    }

    fn subscribe_one<'a>(
        &mut self,
        session: u32,
        raw: &'a str,
        options: SubscribeOptions,
        subscription_id: u32,
        ticket: u32,
        fx: &mut Effects,
    ) -> Result<Granted<'a>, ReasonCode> {
        let settings = self.hub.settings.clone();
        // [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT3-4.7.0-1] [MQTT3-4.7.1-1] [MQTT3-4.7.1-2]
        // [MQTT3-4.7.1-3]
        let parsed = filter::parse(raw).map_err(|_| ReasonCode::TOPIC_FILTER_INVALID)?;
        if parsed.levels > settings.max_topic_levels {
            return Err(ReasonCode::TOPIC_FILTER_INVALID);
        }
        // [MQTT3-3.8.3-2]
        if parsed.wildcard && !settings.wildcard_subscription {
            return Err(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        if parsed.share.is_some() && !settings.shared_subscription {
            return Err(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        if parsed.share.is_some() && options.no_local {
            return Err(ReasonCode::PROTOCOL_ERROR);
        }
        let held = self.hub.sessions.get(session).expect("live session");
        let ignore_own = settings.ignore_loop_deliver && held.version != Version::V5;
        let subscriber = Subscriber {
            id: session,
            subscription_id,
            options: SubOptions::new(
                options.qos.bits(),
                options.no_local || (ignore_own && parsed.share.is_none()),
                options.retain_as_published,
            ),
        };
        let known = match parsed.share {
            Some(group) => self
                .find_joined(group, parsed.filter)
                .is_some_and(|id| held.subscriptions.contains(Subscription { filter: id, shared: true })),
            None => self
                .index
                .find(parsed.filter)
                .is_some_and(|id| held.subscriptions.contains(Subscription { filter: id, shared: false })),
        };
        let max = settings.max_subscriptions as usize;
        if !known && max > 0 && held.subscriptions.as_slice().len() >= max {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        // [MQTT-3.8.4-7] [MQTT-3.9.3-2] [MQTT-3.2.2-10] [MQTT3-3.8.4-5] [MQTT3-3.9.3-2]
        let code = ReasonCode(options.qos.bits());
        if let Some(group) = parsed.share {
            let joined = self.join(session, subscriber, (group, parsed.filter), ticket, fx);
            if joined.new {
                self.add_subscription(session, Subscription { filter: joined.id, shared: true });
            }
            // Retained messages are not sent for shared subscriptions.
            return Ok(Granted { code, replay: None, waits: joined.ticket.is_some() });
        }
        let wants_retained = match options.retain_handling {
            RetainHandling::Send => true,
            // [MQTT-3.3.1-10]
            RetainHandling::SendIfNew => !known,
            // [MQTT-3.3.1-11]
            RetainHandling::DoNotSend => false,
        };
        let waiting = held.extra.as_ref().map_or(0, |extra| extra.replays.len());
        if wants_retained && waiting >= REPLAYS_PER_SESSION_MAX {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        // An identical filter replaces the subscription without losing a message [MQTT-3.8.4-3] [MQTT-3.8.4-4]
        // [MQTT3-3.8.4-3].
        let subscribed = self.index.subscribe(parsed.filter, subscriber);
        if subscribed.new_filter
            && let Some(interest) = &mut self.interest
        {
            interest.announce(parsed.filter);
        }
        if subscribed.replaced.is_none() {
            self.add_subscription(session, Subscription { filter: subscribed.id, shared: false });
        }
        Ok(Granted { code, replay: wants_retained.then_some((parsed.filter, subscriber.options)), waits: false })
    }

    fn add_subscription(&mut self, session: u32, subscription: Subscription) {
        self.hub.sessions.get_mut(session).expect("live session").subscriptions.insert(subscription);
        self.hub.counters.subscriptions += 1;
    }

    /// [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-3.9.3-1] [MQTT3-3.8.4-2] [MQTT3-2.3.1-7]
    fn send_suback(&mut self, session: u32, conn: ConnId, packet_id: u16, codes: &[u8], fx: &mut Effects) {
        let held = self.hub.sessions.get(session).expect("live session");
        let suback = SubAck { packet_id, codes, properties: AckProperties::NONE };
        if !suback.encode_within(held.max_packet_size, held.version, fx.outbox.buffer(conn)) {
            self.hub.counters.delivery_dropped_too_large += 1;
        }
    }

    /// Another shard has answered what a SUBACK waits for, and may have a replay ready; the SUBACK goes out with the
    /// last answer.
    pub(super) fn suback_answered(
        &mut self,
        to: SessionRef,
        ticket: u32,
        replay: Option<(ShardId, u32)>,
        fx: &mut Effects,
    ) {
        let held = self.hub.sessions.get_generation_mut(to.session, to.generation);
        let waiting = held.and_then(|held| {
            let subacks = &mut held.extra.as_mut()?.held_subacks;
            let at = subacks.iter().position(|suback| suback.ticket == ticket)?;
            Some((held.conn?, subacks, at))
        });
        let Some((conn, subacks, at)) = waiting else {
            // The connection has ended, and with it the request.
            if let Some((shard, replay)) = replay {
                self.cancel_replay(shard, replay, fx);
            }
            return;
        };
        subacks[at].replays.extend(replay);
        subacks[at].waiting -= 1;
        if subacks[at].waiting == 0 {
            let suback = subacks.remove(at);
            let few = subacks.len() < HELD_SUBACKS_SOFT_MAX / 2;
            self.grant(to.session, conn, suback, fx);
            if few {
                self.unpause(conn, Pauses::SUBSCRIBING, fx);
            }
        }
    }

    /// UNSUBSCRIBE from a live client [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-6] [MQTT3-3.10.4-1]
    /// [MQTT3-3.10.4-2]. What is in the window or queued already is still delivered [MQTT-3.10.4-3]
    /// [MQTT3-3.10.4-3].
    pub(super) fn unsubscribe(
        &mut self,
        session: u32,
        conn: ConnId,
        unsubscribe: Unsubscribe<'_>,
        fx: &mut Effects,
    ) -> Flow {
        let settings = &self.hub.settings;
        if unsubscribe.filter_count > usize::from(settings.max_topic_filters)
            || unsubscribe.user_properties.len() > usize::from(settings.max_user_properties)
        {
            return self.refuse(session, ReasonCode::QUOTA_EXCEEDED, fx);
        }
        let mut codes = Vec::with_capacity(unsubscribe.filter_count);
        for raw in unsubscribe.filters() {
            codes.push(self.unsubscribe_one(session, raw, fx).0);
        }
        let held = self.hub.sessions.get(session).expect("live session");
        // [MQTT-3.10.4-5] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5]
        let unsuback = UnsubAck { packet_id: unsubscribe.packet_id, codes: &codes, properties: AckProperties::NONE };
        if !unsuback.encode_within(held.max_packet_size, held.version, fx.outbox.buffer(conn)) {
            self.hub.counters.delivery_dropped_too_large += 1;
        }
        Flow::Continue
    }

    fn unsubscribe_one(&mut self, session: u32, raw: &str, fx: &mut Effects) -> ReasonCode {
        let Ok(parsed) = filter::parse(raw) else { return ReasonCode::TOPIC_FILTER_INVALID };
        let (filter, shared) = match parsed.share {
            Some(group) => (self.find_joined(group, parsed.filter), true),
            None => (self.index.find(parsed.filter), false),
        };
        let Some(filter) = filter else { return ReasonCode::NO_SUBSCRIPTION_EXISTED };
        let subscription = Subscription { filter, shared };
        let held = self.hub.sessions.get_mut(session).expect("live session");
        if !held.subscriptions.contains(subscription) {
            return ReasonCode::NO_SUBSCRIPTION_EXISTED;
        }
        held.subscriptions.remove(subscription);
        self.drop_subscription(session, subscription, fx);
        ReasonCode::SUCCESS
    }

    /// Takes a subscription out of the shard's indexes.
    pub(super) fn drop_subscription(&mut self, session: u32, subscription: Subscription, fx: &mut Effects) {
        self.hub.counters.subscriptions -= 1;
        if subscription.shared {
            assert!(self.leave_group(session, subscription.filter, fx), "session belongs to its groups");
            return;
        }
        let ended = self.index.unsubscribe(subscription.filter, session).expect("subscription of the session");
        if let (Some(filter), Some(interest)) = (ended.filter_gone, &mut self.interest) {
            interest.withdraw(&filter);
        }
    }
}

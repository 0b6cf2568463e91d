//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 and 3.10).

use super::conns::Pauses;
use super::exclusive::EXCLUSIVE_PREFIX;
use super::queues::{QUEUE_GROUP, QUEUE_PREFIX};
use super::record::{RemoteTarget, SessionRef};
use super::{Flow, Shard};
use crate::machine::{ConnId, Effects, ShardId};
use crate::observe::What;
use crate::session::{Answer, Claim, HeldSubAck, Subscription};
use crate::topics::{SubOptions, Subscriber, filter};
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{
    AckProperties, PacketType, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeOptions, UnsubAck, Unsubscribe,
    Version,
};

/// Replays of retained messages that may wait for one session; a subscription that would need more is refused.
const REPLAYS_PER_SESSION_MAX: usize = 65_536;

/// SUBACKs of one session that wait for other shards before the client is read no further.
const HELD_SUBACKS_SOFT_MAX: usize = 256;

/// A granted subscription, as far as the answer needs it.
pub(super) struct Granted<'a> {
    pub(super) code: ReasonCode,
    /// The filter whose retained messages are to be sent.
    pub(super) replay: Option<(&'a str, SubOptions)>,
    /// The home of the shared group or of the exclusive topic has to answer first.
    pub(super) waits: bool,
    /// What the home of the exclusive topic has to grant.
    pub(super) claim: Option<Claim>,
}

impl Shard {
    /// SUBSCRIBE from a live client. Its filters are handled as if each had come alone [MQTT-3.8.4-5]
    /// [MQTT3-3.8.4-4], and answered together [MQTT-3.8.4-1] [MQTT-3.8.4-6] [MQTT3-3.8.4-1].
    pub(super) fn subscribe(&mut self, session: u32, conn: ConnId, subscribe: Subscribe<'_>, fx: &mut Effects) -> Flow {
        let settings = self.settings_of(session);
        if subscribe.filter_count > usize::from(settings.max_topic_filters)
            || subscribe.user_properties.len() > usize::from(settings.max_user_properties)
        {
            self.hub.packets.fail(PacketType::Subscribe.first());
            return self.refuse(session, ReasonCode::QUOTA_EXCEEDED, fx);
        }
        let (packet_id, subscription_id) = (subscribe.packet_id, subscribe.subscription_id.unwrap_or(0));
        if self.changes_filters(session) {
            let meant = |(raw, options)| (self.meant_filter(session, raw), options);
            let filters: Vec<(String, SubscribeOptions)> = subscribe.filters().map(meant).collect();
            let filters = filters.iter().map(|(filter, options)| (filter.as_str(), *options));
            return self.subscribe_to(session, conn, Answer::SubAck, packet_id, subscription_id, filters, fx).0;
        }
        self.subscribe_to(session, conn, Answer::SubAck, packet_id, subscription_id, subscribe.filters(), fx).0
    }

    /// Subscribes a session to filters, and answers once all is done. Why one was refused comes with it, the last of
    /// them if there are several.
    #[expect(clippy::too_many_arguments, reason = "one SUBSCRIBE is this many facts")]
    pub(super) fn subscribe_to<'a>(
        &mut self,
        session: u32,
        conn: ConnId,
        answer: Answer,
        packet_id: u16,
        subscription_id: u32,
        filters: impl Iterator<Item = (&'a str, SubscribeOptions)>,
        fx: &mut Effects,
    ) -> (Flow, Option<ReasonCode>) {
        let ticket = self.ticket();
        let mut refused = None;
        let mut codes = Vec::with_capacity(filters.size_hint().0);
        let mut replays = Vec::new();
        let mut claims = Vec::new();
        let mut waiting = 0;
        let tells = self.tells_of_subscriptions();
        let mut told = Vec::new();
        for (raw, options) in filters {
            match self.subscribe_one(session, raw, options, subscription_id, ticket, fx) {
                Ok(granted) => {
                    if tells && granted.claim.is_none() {
                        told.push((raw, options));
                    }
                    claims.extend(granted.claim.map(|claim| (codes.len(), claim)));
                    codes.push(granted.code.0);
                    waiting += u32::from(granted.waits);
                    replays.extend(granted.replay);
                }
                // [MQTT-3.8.3-4]
                Err(reason @ ReasonCode::PROTOCOL_ERROR) if answer == Answer::SubAck => {
                    self.hub.packets.fail(PacketType::Subscribe.first());
                    return (self.refuse(session, reason, fx), Some(reason));
                }
                Err(reason) => {
                    refused = Some(reason);
                    codes.push(reason.0);
                }
            }
        }
        self.hub.counters.client_subscribe += 1;
        let generation = self.hub.sessions.generation(session).expect("live session");
        let mut ready = Vec::new();
        for (filter, options) in replays {
            let target = RemoteTarget { to: SessionRef { session, generation }, subscription_id, options };
            waiting += self.prepare_replay(target, filter, ticket, &mut ready, fx);
        }
        let suback = HeldSubAck { answer, ticket, packet_id, codes, waiting, claims, replays: ready };
        self.grant_or_hold(session, conn, suback, fx);
        for (filter, options) in told {
            self.tell_of(session, conn, &What::Subscribed { filter, options }, fx);
        }
        (Flow::Continue, refused)
    }

    /// Sends a SUBACK or UNSUBACK, or keeps it until what it waits for is there.
    fn grant_or_hold(&mut self, session: u32, conn: ConnId, suback: HeldSubAck, fx: &mut Effects) {
        if suback.waiting == 0 {
            self.grant(session, conn, suback, fx);
        } else {
            let extra = self.hub.sessions.get_mut(session).expect("live session").extra_mut();
            extra.held_subacks.push(suback);
            if extra.held_subacks.len() >= HELD_SUBACKS_SOFT_MAX {
                self.pause(conn, Pauses::SUBSCRIBING, fx);
            }
        }
    }

    /// Sends a SUBACK, then the retained messages that go with it; or an UNSUBACK.
    fn grant(&mut self, session: u32, conn: ConnId, suback: HeldSubAck, fx: &mut Effects) {
        match suback.answer {
            Answer::SubAck => self.send_suback(session, conn, suback.packet_id, &suback.codes, fx),
            Answer::UnsubAck => self.send_unsuback(session, conn, suback.packet_id, &suback.codes, fx),
            Answer::Nothing => {}
        }
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
        let settings = self.settings_of(session);
        let (raw, exclusive) = match raw.strip_prefix(EXCLUSIVE_PREFIX) {
            Some(topic) if settings.exclusive_subscription => (topic, true),
            Some(_) => return Err(ReasonCode::TOPIC_FILTER_INVALID),
            None => (raw, false),
        };
        if let Some(queue) = raw.strip_prefix(QUEUE_PREFIX).filter(|_| !exclusive) {
            return self.subscribe_to_queue(session, queue, options, (subscription_id, ticket), fx);
        }
        // [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT3-4.7.0-1] [MQTT3-4.7.1-1] [MQTT3-4.7.1-2]
        // [MQTT3-4.7.1-3]
        let parsed = filter::parse(raw).map_err(|_| ReasonCode::TOPIC_FILTER_INVALID)?;
        if parsed.levels > settings.max_topic_levels {
            return Err(ReasonCode::TOPIC_FILTER_INVALID);
        }
        if exclusive && (parsed.wildcard || parsed.share.is_some() || raw.starts_with(EXCLUSIVE_PREFIX)) {
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
        // It would have the full names of message queues.
        if parsed.share == Some(QUEUE_GROUP) {
            return Err(ReasonCode::TOPIC_FILTER_INVALID);
        }
        if exclusive {
            return self.subscribe_exclusively(session, parsed.filter, options, (subscription_id, ticket), fx);
        }
        let Some(group) = parsed.share else {
            let granted = self.subscribe_plainly(session, parsed.filter, options, subscription_id)?;
            if self.has_exclusively(session, parsed.filter)
                && let Some(filter) = self.index.find(parsed.filter)
            {
                self.release_exclusive(session, filter, 0, fx);
            }
            return Ok(granted);
        };
        let subscriber = Subscriber {
            id: session,
            subscription_id,
            options: SubOptions::new(options.qos.bits(), false, options.retain_as_published),
        };
        let held = self.hub.sessions.get(session).expect("live session");
        let known = self
            .find_joined(group, parsed.filter)
            .is_some_and(|id| held.subscriptions.contains(Subscription { filter: id, shared: true }));
        self.check_quota(session, known)?;
        let joined = self.join(session, subscriber, (group, parsed.filter), ticket, fx);
        if joined.new {
            self.add_subscription(session, Subscription { filter: joined.id, shared: true });
        }
        // Retained messages are not sent for shared subscriptions. [MQTT-3.8.4-7] [MQTT-3.9.3-2] [MQTT-3.2.2-10]
        // [MQTT3-3.8.4-5] [MQTT3-3.9.3-2]
        let code = ReasonCode(options.qos.bits());
        Ok(Granted { code, replay: None, waits: joined.ticket.is_some(), claim: None })
    }

    pub(super) fn check_quota(&self, session: u32, known: bool) -> Result<(), ReasonCode> {
        let held = self.hub.sessions.get(session).expect("live session");
        let max = self.hub.profiles.of(held.listener).max_subscriptions as usize;
        if !known && max > 0 && held.subscriptions.as_slice().len() >= max {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        Ok(())
    }

    /// Subscribes a session to a filter that is not shared.
    pub(super) fn subscribe_plainly<'a>(
        &mut self,
        session: u32,
        filter: &'a str,
        options: SubscribeOptions,
        subscription_id: u32,
    ) -> Result<Granted<'a>, ReasonCode> {
        let held = self.hub.sessions.get(session).expect("live session");
        let settings = self.hub.profiles.of(held.listener);
        let ignore_own = settings.ignore_loop_deliver && held.version != Version::V5;
        let no_local = options.no_local || ignore_own;
        let subscriber = Subscriber {
            id: session,
            subscription_id,
            options: SubOptions::new(options.qos.bits(), no_local, options.retain_as_published),
        };
        let known = self
            .index
            .find(filter)
            .is_some_and(|id| held.subscriptions.contains(Subscription { filter: id, shared: false }));
        self.check_quota(session, known)?;
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
        let subscribed = self.index.subscribe(filter, subscriber);
        if subscribed.new_filter
            && let Some(interest) = &mut self.interest
        {
            interest.announce(filter);
        }
        if subscribed.replaced.is_none() {
            self.add_subscription(session, Subscription { filter: subscribed.id, shared: false });
        }
        // [MQTT-3.8.4-7] [MQTT-3.9.3-2] [MQTT-3.2.2-10] [MQTT3-3.8.4-5] [MQTT3-3.9.3-2]
        let code = ReasonCode(options.qos.bits());
        let replay = wants_retained.then_some((filter, subscriber.options));
        Ok(Granted { code, replay, waits: false, claim: None })
    }

    pub(super) fn add_subscription(&mut self, session: u32, subscription: Subscription) {
        self.hub.sessions.get_mut(session).expect("live session").subscriptions.insert(subscription);
        self.hub.counters.subscriptions += 1;
        self.hub.counters.subscriptions_shared += u64::from(subscription.shared);
    }

    /// [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-3.9.3-1] [MQTT3-3.8.4-2] [MQTT3-2.3.1-7]
    fn send_suback(&mut self, session: u32, conn: ConnId, packet_id: u16, codes: &[u8], fx: &mut Effects) {
        let held = self.hub.sessions.get(session).expect("live session");
        let suback = SubAck { packet_id, codes, properties: AckProperties::NONE };
        if suback.encode_within(held.max_packet_size, held.version, fx.outbox.buffer(conn)) {
            self.hub.counters.suback_sent += 1;
        } else {
            self.hub.counters.delivery_dropped_too_large += 1;
        }
        if has_error(codes) {
            self.hub.packets.fail(PacketType::Subscribe.first());
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
            if self.hub.traces.is_some() {
                self.trace_next(to.session, conn, fx);
            }
            self.grant(to.session, conn, suback, fx);
            if few {
                self.unpause(conn, Pauses::SUBSCRIBING, fx);
            }
            // Most sessions wait for other shards once, when they subscribe, and are idle then.
            if let Some(held) = self.hub.sessions.get_mut(to.session) {
                if let Some(extra) = held.extra.as_mut().filter(|extra| extra.held_subacks.is_empty()) {
                    extra.held_subacks = Vec::new();
                }
                held.shrink();
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
        let settings = self.settings_of(session);
        if unsubscribe.filter_count > usize::from(settings.max_topic_filters)
            || unsubscribe.user_properties.len() > usize::from(settings.max_user_properties)
        {
            self.hub.packets.fail(PacketType::Unsubscribe.first());
            return self.refuse(session, ReasonCode::QUOTA_EXCEEDED, fx);
        }
        self.hub.counters.client_unsubscribe += 1;
        let mut codes = Vec::with_capacity(unsubscribe.filter_count);
        let ticket = self.ticket();
        let mut waiting = 0;
        let tells = self.tells_of_subscriptions();
        let changes = self.changes_filters(session);
        for raw in unsubscribe.filters() {
            let meant = changes.then(|| self.meant_filter(session, raw));
            let raw = meant.as_deref().unwrap_or(raw);
            let reason = self.unsubscribe_one(session, raw, ticket, &mut waiting, fx);
            codes.push(reason.0);
            if tells && reason == ReasonCode::SUCCESS {
                self.tell_of(session, conn, &What::Unsubscribed { filter: raw }, fx);
            }
        }
        let packet_id = unsubscribe.packet_id;
        if waiting == 0 {
            self.send_unsuback(session, conn, packet_id, &codes, fx);
            return Flow::Continue;
        }
        let (claims, replays) = (Vec::new(), Vec::new());
        let unsuback = HeldSubAck { answer: Answer::UnsubAck, ticket, packet_id, codes, waiting, claims, replays };
        self.grant_or_hold(session, conn, unsuback, fx);
        Flow::Continue
    }

    /// [MQTT-3.10.4-5] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5]
    fn send_unsuback(&mut self, session: u32, conn: ConnId, packet_id: u16, codes: &[u8], fx: &mut Effects) {
        let held = self.hub.sessions.get(session).expect("live session");
        let unsuback = UnsubAck { packet_id, codes, properties: AckProperties::NONE };
        if unsuback.encode_within(held.max_packet_size, held.version, fx.outbox.buffer(conn)) {
            self.hub.counters.unsuback_sent += 1;
        } else {
            self.hub.counters.delivery_dropped_too_large += 1;
        }
        if has_error(codes) {
            self.hub.packets.fail(PacketType::Unsubscribe.first());
        }
    }

    /// Adds to `waiting` for each answer of another shard that is to come with `ticket`.
    pub(super) fn unsubscribe_one(
        &mut self,
        session: u32,
        raw: &str,
        ticket: u32,
        waiting: &mut u32,
        fx: &mut Effects,
    ) -> ReasonCode {
        let allowed = self.settings_of(session).exclusive_subscription;
        // What was granted before they were switched off can still be given up.
        let exclusive =
            raw.strip_prefix(EXCLUSIVE_PREFIX).filter(|topic| allowed || self.has_exclusively(session, topic));
        let Ok(parsed) = filter::parse(exclusive.unwrap_or(raw)) else { return ReasonCode::TOPIC_FILTER_INVALID };
        let pending = exclusive.is_some_and(|topic| self.withdraw_claims(session, topic));
        let (filter, shared) = match parsed.share {
            None if exclusive.is_none() && raw.starts_with(QUEUE_PREFIX) => (self.groups.joined().find(raw), true),
            Some(group) => (self.find_joined(group, parsed.filter), true),
            None => (self.index.find(parsed.filter), false),
        };
        let held = self.hub.sessions.get_mut(session).expect("live session");
        let subscription = filter
            .map(|filter| Subscription { filter, shared })
            .filter(|subscription| held.subscriptions.contains(*subscription));
        let Some(subscription) = subscription else {
            return if pending { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED };
        };
        held.subscriptions.remove(subscription);
        if !shared {
            *waiting += u32::from(self.release_exclusive(session, subscription.filter, ticket, fx));
        }
        self.drop_subscription(session, subscription, fx);
        ReasonCode::SUCCESS
    }

    /// Takes back claims of a topic that its home has not answered. True if there were any.
    fn withdraw_claims(&mut self, session: u32, topic: &str) -> bool {
        let held = self.hub.sessions.get_mut(session).expect("live session");
        let Some(extra) = &mut held.extra else { return false };
        let mut any = false;
        for (_, claim) in extra.held_subacks.iter_mut().flat_map(|suback| &mut suback.claims) {
            if *claim.topic == *topic {
                any = true;
                claim.withdrawn = true;
            }
        }
        any
    }

    /// A claim of a session here has been answered: sets its code if it was refused, asks for the retained messages if
    /// it was granted, and counts the answer.
    pub(super) fn claim_settled(
        &mut self,
        to: SessionRef,
        ticket: u32,
        (index, refused): (usize, Option<ReasonCode>),
        (subscription_id, replay): (u32, Option<(&str, SubOptions)>),
        fx: &mut Effects,
    ) {
        let mut ready = Vec::new();
        let mut asked = 0;
        if let Some((filter, options)) = replay {
            asked = self.prepare_replay(RemoteTarget { to, subscription_id, options }, filter, ticket, &mut ready, fx);
        }
        let extra = self.hub.sessions.get_mut(to.session).expect("live session").extra_mut();
        let suback = extra.held_subacks.iter_mut().find(|suback| suback.ticket == ticket).expect("held SUBACK");
        if let Some(reason) = refused {
            suback.codes[index] = reason.0;
        }
        suback.waiting += asked;
        suback.replays.extend(ready);
        self.suback_answered(to, ticket, None, fx);
    }

    /// Takes a subscription out of the shard's indexes.
    pub(super) fn drop_subscription(&mut self, session: u32, subscription: Subscription, fx: &mut Effects) {
        self.hub.counters.subscriptions -= 1;
        self.hub.counters.subscriptions_shared -= u64::from(subscription.shared);
        if subscription.shared {
            assert!(self.leave_group(session, subscription.filter, fx), "session belongs to its groups");
            return;
        }
        self.release_exclusive(session, subscription.filter, 0, fx);
        let ended = self.index.unsubscribe(subscription.filter, session).expect("subscription of the session");
        if let (Some(filter), Some(interest)) = (ended.filter_gone, &mut self.interest) {
            interest.withdraw(&filter);
        }
    }
}

/// True if some filter was refused.
fn has_error(codes: &[u8]) -> bool {
    codes.iter().any(|code| ReasonCode(*code).is_error())
}

//! Message queues (`$q/<name>`) on the shards of their consumers: subscribing, being given messages, and leaving.
//!
//! To a session, a queue is one more of its shared subscriptions, whose full name begins with `$q/`. It consumes while it
//! is connected. Each of these times has a number, the epoch: what was given in an earlier one is not delivered.
//!
//! Absent: messages and who gets them, which the home of a queue keeps ([`queues`](super::queues)).

use super::Shard;
use super::hub::{Once, Target};
use super::queues::{QUEUE_PREFIX, full_name};
use super::record::{Record, RemoteTarget, SessionRef};
use super::subscribe::Granted;
use crate::machine::Effects;
use crate::session::{Consumption, Session, Subscription, Via};
use crate::settings::QueueSettings;
use crate::topics::{FilterId, SubOptions, Subscriber};
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{QoS, ReasonCode, SubscribeOptions};

/// Messages that a session has been given and is not done with.
fn in_hand(held: &Session) -> usize {
    held.delivery.as_ref().map_or(0, |delivery| delivery.window.len() + delivery.queue.len())
}

impl Shard {
    /// A session here subscribes to a queue.
    pub(super) fn subscribe_to_queue<'a>(
        &mut self,
        session: u32,
        queue: &str,
        options: SubscribeOptions,
        (subscription_id, ticket): (u32, u32),
        fx: &mut Effects,
    ) -> Result<Granted<'a>, ReasonCode> {
        if !self.hub.settings.queues.get(queue).is_some_and(QueueSettings::is_declared) {
            return Err(ReasonCode::TOPIC_FILTER_INVALID);
        }
        // What the client published itself would be left with nobody to take it.
        if options.no_local {
            return Err(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        }
        let qos = options.qos.min(QoS::AtLeastOnce).bits();
        let name = full_name(queue);
        let held = self.hub.sessions.get(session).expect("live session");
        let known = self.groups.joined().find(&name);
        let known = known.is_some_and(|filter| held.subscriptions.contains(Subscription { filter, shared: true }));
        self.check_quota(session, known)?;
        let options = SubOptions::new(qos, false, options.retain_as_published);
        let joined = self.groups.joined_mut().subscribe(&name, Subscriber { id: session, subscription_id, options });
        if joined.replaced.is_none() {
            self.add_subscription(session, Subscription { filter: joined.id, shared: true });
        }
        let fresh = self.ticket();
        let consumes = &mut self.hub.sessions.get_mut(session).expect("live session").extra_mut().consumes;
        let epoch = match consumes.iter().find(|known| known.joined == joined.id) {
            // What it has stays with it.
            Some(known) => known.epoch,
            None => {
                consumes.push(Consumption { joined: joined.id, epoch: fresh, queue: None });
                fresh
            }
        };
        let waits = self.join_queue(session, joined.id, epoch, ticket, fx);
        Ok(Granted { code: ReasonCode(qos), replay: None, waits, claim: None })
    }

    /// Tells the home of a queue of a consumer here. True if that is another shard, which answers if there is a ticket.
    fn join_queue(&mut self, session: u32, joined: FilterId, epoch: u32, ticket: u32, fx: &mut Effects) -> bool {
        let name = String::from(self.groups.joined().filter(joined));
        let queue = name.strip_prefix(QUEUE_PREFIX).expect("full name of a queue");
        let subscriber = *self.groups.joined().subscriber(joined, session).expect("subscription of a session");
        let client_id = String::from(self.hub.sessions.get(session).expect("live session").names.client_id());
        let target = RemoteTarget {
            to: self.session_ref(session),
            subscription_id: subscriber.subscription_id,
            options: subscriber.options,
        };
        let home = self.placement.home(name.as_bytes());
        if home == self.id {
            self.consumer_joins(home, target, epoch, queue, &client_id);
            return false;
        }
        self.tell(home, &Record::QueueJoin { target, ticket, epoch, queue, client_id: &client_id }, fx);
        true
    }

    fn leave_queue(&mut self, session: u32, name: &str, fx: &mut Effects) {
        let from = self.session_ref(session);
        let queue = name.strip_prefix(QUEUE_PREFIX).expect("full name of a queue");
        let home = self.placement.home(name.as_bytes());
        if home == self.id {
            self.consumer_leaves(home, from, queue);
        } else {
            self.tell(home, &Record::QueueLeave { from, queue }, fx);
        }
    }

    fn session_ref(&self, session: u32) -> SessionRef {
        SessionRef { session, generation: self.hub.sessions.generation(session).expect("session of this shard") }
    }

    /// A session here has been given a message. True if that is done with already: sent at QoS 0, or not to be sent.
    pub(super) fn consume(
        &mut self,
        target: RemoteTarget,
        epoch: u32,
        source: Via,
        once: &mut Once<'_>,
        fx: &mut Effects,
    ) -> bool {
        let Via::Queue { queue, .. } = source else { return false };
        let SessionRef { session, generation } = target.to;
        let held = self.hub.sessions.get_generation_mut(session, generation);
        let consumption = held.and_then(|held| {
            let before = in_hand(held);
            let consumes = &mut held.extra.as_mut()?.consumes;
            Some((before, consumes.iter_mut().find(|consumption| consumption.epoch == epoch)?))
        });
        // If it is gone, or was away meanwhile, the home knows, or will know, that it has left.
        let Some((before, consumption)) = consumption else { return false };
        consumption.queue = Some(queue);
        let target =
            Target { session, subscription_id: target.subscription_id, options: target.options, via: Some(source) };
        self.hub.deliver(target, once, fx);
        self.hub.sessions.get(session).is_none_or(|held| in_hand(held) == before)
    }

    /// The connection of a session ends: what it has of queues is for others.
    pub(super) fn pause_consuming(&mut self, session: u32, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get(session) else { return };
        let consumes = held.extra.as_ref().is_some_and(|extra| !extra.consumes.is_empty());
        if !consumes && !held.delivery.as_ref().is_some_and(|delivery| delivery.has_from_queue()) {
            return;
        }
        // What is done with must be known before.
        self.settle_notices(fx);
        let held = self.hub.sessions.get_mut(session).expect("session that ends");
        let consumes = held.extra.iter_mut().flat_map(|extra| &mut extra.consumes);
        let paused = consumes.filter(|consumption| consumption.epoch != 0).map(|consumption| {
            consumption.epoch = 0;
            consumption.joined
        });
        let paused: Vec<FilterId> = paused.collect();
        if let Some(delivery) = &mut held.delivery {
            delivery.withdraw(|via| matches!(via, Via::Queue { .. }));
        }
        for joined in paused {
            let name = String::from(self.groups.joined().filter(joined));
            self.leave_queue(session, &name, fx);
        }
    }

    /// A session has a connection again.
    pub(super) fn resume_consuming(&mut self, session: u32, fx: &mut Effects) {
        let held = self.hub.sessions.get(session).expect("live session");
        let count = held.extra.as_ref().map_or(0, |extra| extra.consumes.len());
        for at in 0..count {
            let epoch = self.ticket();
            let extra = self.hub.sessions.get_mut(session).expect("live session").extra_mut();
            let consumption = &mut extra.consumes[at];
            consumption.epoch = epoch;
            consumption.queue = None;
            let joined = consumption.joined;
            self.join_queue(session, joined, epoch, 0, fx);
        }
    }

    /// A session here has ended its subscription to the queue with this full name. What it has been sent keeps its
    /// identifier until the client acknowledges it, which means nothing to the queue any more.
    pub(super) fn stop_consuming(&mut self, session: u32, joined: FilterId, name: &str, fx: &mut Effects) {
        self.settle_notices(fx);
        let Some(held) = self.hub.sessions.get_mut(session) else { return };
        let Some(extra) = &mut held.extra else { return };
        let Some(at) = extra.consumes.iter().position(|consumption| consumption.joined == joined) else { return };
        let Consumption { epoch, queue: known, .. } = extra.consumes.swap_remove(at);
        if epoch == 0 {
            return;
        }
        let from = self.placement.home(name.as_bytes());
        if let (Some(delivery), Some(known)) = (&mut held.delivery, known) {
            let of_queue = |via: Via| matches!(via, Via::Queue { home, queue, .. } if home == from && queue == known);
            delivery.queue.remove(|outgoing| outgoing.via.is_some_and(of_queue));
        }
        held.shrink();
        self.leave_queue(session, name, fx);
        self.hub.pump(session, fx);
    }
}

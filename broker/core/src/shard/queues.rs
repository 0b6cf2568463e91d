//! Message queues (`$q/<name>`) at home: declared by the operator, filled by a topic filter, shared by their consumers.
//!
//! A queue is at home on the shard that its name hashes to. Only the home announces interest in its filter, holds its
//! messages, and picks consumers; one that lives elsewhere gets what was picked for it by the mesh, and its shard says
//! when that is done with. The home keeps each message until then, so a consumer that goes has nothing to give back: its
//! shard forgets what it had, and tells the home that it has left.
//!
//! Messages are given at the end of a step, a slice at a time; the rest waits for the next turn.
//!
//! Absent: what a consumer's own shard does, which is in [`consuming`](super::consuming).

use super::Shard;
use super::hub::Once;
use super::record::{Record, RemoteTarget, SessionRef};
use super::write::lend;
use crate::control::QueueFacts;
use crate::counters::Counters;
use crate::machine::{Effects, ShardId};
use crate::message::Publication;
use crate::queue::{Consumer, Given, MessageQueue, QueueCounts};
use crate::session::Via;
use crate::settings::QueueSettings;
use crate::share::MemberKey;
use crate::topics::{Index, Matches, SubOptions, Subscriber};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::QoS;

/// Prefix of a subscription to a queue.
pub(super) const QUEUE_PREFIX: &str = "$q/";

/// That prefix as the name of a shared group, which no group may have.
pub(super) const QUEUE_GROUP: &str = "$q";

/// Messages given to consumers at the end of a step before the rest waits for the next turn.
const GIVEN_PER_STEP: usize = 1024;

/// Messages of a queue looked at in a second in search of expired ones.
const SWEEP_STEPS: usize = 4096;

/// The queues at home on a shard.
pub(super) struct Queues {
    list: Vec<MessageQueue>,
    /// Declared ones by their filters: the subscriber is the queue's number.
    by_filter: Index,
    /// Queues that may have a message for somebody.
    unserved: VecDeque<u32>,
    next_id: u32,
    /// What queues have counted that are gone.
    gone: QueueCounts,
}

impl Queues {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            list: Vec::new(),
            by_filter: Index::new(seed ^ u64::from_le_bytes(*b"$q/queue")),
            unserved: VecDeque::new(),
            next_id: 0,
            gone: QueueCounts::default(),
        }
    }

    /// True if no queue at home here takes messages.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.by_filter.is_empty()
    }

    pub(super) fn is_unserved(&self) -> bool {
        !self.unserved.is_empty()
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut MessageQueue> {
        self.list.iter_mut().find(|queue| queue.id == id)
    }

    /// The queue of this name; one that is not declared is made if there is none.
    fn named(&mut self, name: &str) -> &mut MessageQueue {
        let at = self.list.iter().position(|queue| *queue.name == *name).unwrap_or_else(|| {
            self.list.push(MessageQueue::new(self.next_id, name, QueueSettings::undeclared()));
            self.next_id += 1;
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    /// Forgets queues that are not declared and that nobody consumes.
    fn forget_unused(&mut self) {
        let gone = &mut self.gone;
        self.list.retain(|queue| {
            let used = queue.settings().is_declared() || !queue.has_no_consumers();
            if !used {
                *gone += queue.counts();
            }
            used
        });
    }

    fn note_unserved(&mut self, id: u32) {
        if !self.unserved.contains(&id) {
            self.unserved.push_back(id);
        }
    }

    /// Adds what queues count.
    pub(super) fn count(&self, counters: &mut Counters) {
        let mut sum = self.gone;
        for queue in &self.list {
            sum += queue.counts();
            counters.queue_messages += queue.len() as u64;
        }
        counters.messages_queue_received = sum.received;
        counters.messages_queue_settled = sum.settled;
        counters.messages_queue_returned = sum.returned;
        counters.messages_queue_replaced = sum.replaced;
        counters.messages_queue_dropped = sum.dropped;
        counters.messages_queue_expired = sum.expired;
    }
}

/// What a session calls its subscription to a queue.
pub(super) fn full_name(queue: &str) -> String {
    format!("{QUEUE_PREFIX}{queue}")
}

impl Shard {
    /// Makes the queues at home here what the settings say.
    pub(super) fn declare_queues(&mut self) {
        let settings = Rc::clone(&self.hub.settings);
        let undeclared = QueueSettings::undeclared();
        let known = self.queues.list.iter().map(|queue| queue.name.clone());
        let known: Vec<_> = known.filter(|name| !settings.queues.contains_key(name)).collect();
        let wanted = settings.queues.iter().map(|(name, wanted)| (&**name, wanted));
        for (name, wanted) in wanted.chain(known.iter().map(|name| (&**name, &undeclared))) {
            if self.placement.home(full_name(name).as_bytes()) == self.id {
                self.declare(name, wanted);
            }
        }
        self.queues.forget_unused();
    }

    fn declare(&mut self, name: &str, wanted: &QueueSettings) {
        let queue = self.queues.named(name);
        if queue.settings() == wanted {
            return;
        }
        let id = queue.id;
        let before = core::mem::take(&mut queue.filter);
        queue.configure(wanted.clone());
        // The new filter is there before the old one goes, so that a message both match is not missed.
        let after = wanted.is_declared().then(|| {
            let as_subscriber = Subscriber { id, subscription_id: 0, options: SubOptions::default() };
            self.queues.by_filter.subscribe(&wanted.topic_filter, as_subscriber)
        });
        if let Some(subscribed) = after {
            self.queues.named(name).filter = Some(subscribed.id);
            if subscribed.new_filter
                && let Some(interest) = &mut self.interest
            {
                interest.announce(&wanted.topic_filter);
            }
        }
        if let Some(filter) = before.filter(|filter| after.is_none_or(|after| after.id != *filter)) {
            let ended = self.queues.by_filter.unsubscribe(filter, id).expect("filter of a declared queue");
            if let (Some(filter), Some(interest)) = (ended.filter_gone, &mut self.interest) {
                interest.withdraw(&filter);
            }
        }
        self.queues.note_unserved(id);
    }

    /// Puts a message into the queues at home here whose filters match. False if none does.
    #[cold]
    pub(super) fn enqueue(&mut self, passing: &Publication<'_>, matches: &mut Matches) -> bool {
        self.queues.by_filter.matching(passing.topic, matches);
        for filter in matches.as_slice() {
            let mut after = None;
            while let Some(id) = self.queues.by_filter.chunk_from(*filter, after).first().map(|queue| queue.id) {
                after = Some(id);
                self.queues.get_mut(id).expect("queue by its filter").push(passing, self.hub.now_ms);
                self.queues.note_unserved(id);
            }
        }
        !matches.is_empty()
    }

    /// A session consumes a queue at home here.
    pub(super) fn consumer_joins(
        &mut self,
        shard: ShardId,
        target: RemoteTarget,
        epoch: u32,
        queue: &str,
        client_id: &str,
    ) {
        let queue = self.queues.named(queue);
        queue.join(Consumer {
            key: MemberKey { shard, session: target.to.session, generation: target.to.generation },
            epoch,
            subscription_id: target.subscription_id,
            options: target.options,
            client_id: client_id.into(),
        });
        let id = queue.id;
        self.queues.note_unserved(id);
    }

    /// A session does not consume a queue any more: what it had of it is for others.
    pub(super) fn consumer_leaves(&mut self, shard: ShardId, from: SessionRef, queue: &str) {
        let Some(held) = self.queues.list.iter_mut().find(|held| *held.name == *queue) else { return };
        let id = held.id;
        held.leave(MemberKey { shard, session: from.session, generation: from.generation });
        self.queues.note_unserved(id);
        self.queues.forget_unused();
    }

    /// What was given to a consumer is done with, or comes back.
    pub(super) fn queue_took(&mut self, id: u32, seq: u32, back: bool) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let known = if back { queue.give_back(seq) } else { queue.settle(seq) };
        if known {
            self.queues.note_unserved(id);
        }
    }

    /// Gives messages to consumers that have room.
    #[cold]
    pub(super) fn serve_queues(&mut self, fx: &mut Effects) {
        let mut left = GIVEN_PER_STEP;
        while let Some(id) = self.queues.unserved.pop_front() {
            while let Some(given) = self.next_given(id) {
                self.hand_out(id, &given, fx);
                left -= 1;
                if left == 0 {
                    self.queues.note_unserved(id);
                    return;
                }
            }
        }
    }

    fn next_given(&mut self, id: u32) -> Option<Given> {
        let random = self.random.next_u64();
        self.queues.get_mut(id)?.next(self.hub.now_ms, random)
    }

    fn hand_out(&mut self, id: u32, given: &Given, fx: &mut Effects) {
        let Given { seq, epoch, subscription_id, options, to, ref message } = *given;
        let mut passing = message.view();
        // Delivery by a queue ends with one acknowledgement.
        passing.qos = passing.qos.min(QoS::AtLeastOnce);
        let target = RemoteTarget {
            to: SessionRef { session: to.session, generation: to.generation },
            subscription_id,
            options,
        };
        if to.shard == self.id {
            lend(message, self.hub.traces.is_some(), fx);
            let mut once = Once::of_kept(&passing, message);
            if self.consume(target, epoch, Via::Queue { home: self.id, queue: id, seq }, &mut once, fx) {
                self.queue_took(id, seq, false);
            }
        } else {
            self.tell(to.shard, &Record::QueueGive { target, epoch, queue: id, seq, passing }, fx);
        }
    }

    pub(super) fn sweep_queues(&mut self) {
        for queue in &mut self.queues.list {
            queue.sweep(self.hub.now_ms, SWEEP_STEPS);
        }
    }

    pub(super) fn list_queues(&self) -> Vec<QueueFacts> {
        self.queues.list.iter().map(|queue| queue.facts(self.hub.now_ms, false)).collect()
    }

    pub(super) fn show_queue(&self, name: &str) -> Vec<QueueFacts> {
        let named = self.queues.list.iter().filter(|queue| *queue.name == *name);
        named.map(|queue| queue.facts(self.hub.now_ms, true)).collect()
    }
}

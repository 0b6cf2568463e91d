//! Matching: to which sessions here, and to which other shards, a message goes.
//!
//! A message with few subscribers is delivered at once. One with many is delivered in slices over several turns, so
//! that a ping never waits for the end of a fan-out; messages for a filter whose fan-out is not finished queue up
//! behind it, which keeps their order.

use super::Shard;
use super::hub::{Once, Target};
use super::record::Record;
use super::write::lend;
use crate::machine::{Effects, LENT_BYTES_MIN, ShardId};
use crate::message::{Message, Publication, Publisher};
use crate::topics::{FanOut, FilterId, Subscriber};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Most that the messages of a turn, and the same again of unfinished fan-outs, may cost before the rest waits for the
/// next turn. The unit is a delivery to a connection that is sent something in this turn anyway: a copy of some bytes.
pub(super) const TURN_COST_MAX: usize = 32_768;

/// What the first delivery of a turn to a connection costs: a send, and memory that nobody has touched for a while. Were
/// it not told apart, several messages for the same subscribers would be put off, and leave in a segment each instead of
/// together.
const FIRST_DELIVERY_COST: usize = 8;

/// Deliveries of one message above which it is put off at once, for they may all be first ones.
const FAN_OUT_SLICE: usize = TURN_COST_MAX / FIRST_DELIVERY_COST;

/// Unfinished fan-outs above which publishers are held up.
const FAN_OUTS_SOFT_MAX: usize = 256;

/// A message on its way to many sessions.
struct Unfinished {
    message: Rc<Message>,
    /// Filters still to serve, the last one first, with how far it is served.
    walks: Vec<(FilterId, FanOut)>,
}

/// Fan-outs that last longer than a turn, in order of their messages.
#[derive(Default)]
pub(super) struct FanOuts {
    unfinished: VecDeque<Unfinished>,
}

impl FanOuts {
    pub(super) fn is_empty(&self) -> bool {
        self.unfinished.is_empty()
    }

    pub(super) fn is_congested(&self) -> bool {
        self.unfinished.len() > FAN_OUTS_SOFT_MAX
    }

    /// True if a fan-out of one of these filters is not finished.
    fn serves(&self, filters: &[FilterId]) -> bool {
        self.unfinished.iter().any(|fan_out| fan_out.walks.iter().any(|(filter, _)| filters.contains(filter)))
    }
}

impl Shard {
    /// Sends a message to every subscriber there is [MQTT-4.5.0-1] [MQTT3-4.5.0-1]. True if there may be one.
    pub(super) fn route(&mut self, passing: &Publication<'_>, fx: &mut Effects) -> bool {
        let mut matched = self.route_here(passing, fx);
        if let Some(interest) = &mut self.interest {
            let mut shards = interest.lookup(passing.topic) & !(1 << self.id.0);
            while shards != 0 {
                let to = ShardId(u8::try_from(shards.trailing_zeros()).expect("64 shards"));
                shards &= shards - 1;
                self.tell(to, &Record::Publish(*passing), fx);
                self.hub.counters.messages_forward += 1;
                matched = true;
            }
        }
        if !matched && passing.publisher != Publisher::BROKER {
            self.hub.counters.messages_dropped_no_subscribers += 1;
            if let Some(metrics) = &mut self.hub.topic_metrics {
                metrics.count_dropped(passing.topic);
            }
        }
        matched
    }

    /// Sends a message to the subscribers on this shard whose filters match [MQTT-3.3.2-3] [MQTT3-3.3.2-3], and to one
    /// member of each shared group at home here.
    pub(super) fn route_here(&mut self, passing: &Publication<'_>, fx: &mut Effects) -> bool {
        if passing.expired(self.hub.now_ms) {
            self.hub.counters.delivery_dropped_expired += 1;
            return true;
        }
        let mut matches = core::mem::take(&mut self.matches);
        self.index.matching(passing.topic, &mut matches);
        let mut matched = !matches.is_empty();
        if matched {
            self.fan_out(matches.as_slice(), passing, fx);
        }
        if !self.groups.is_empty() {
            self.groups.matching(passing.topic, &mut matches);
            for filter in matches.as_slice() {
                matched |= self.share_out(*filter, passing, fx);
            }
        }
        if !self.queues.is_empty() {
            matched |= self.enqueue(passing, &mut matches);
        }
        self.matches = matches;
        matched
    }

    fn fan_out(&mut self, filters: &[FilterId], passing: &Publication<'_>, fx: &mut Effects) {
        let receivers: usize = filters.iter().map(|filter| self.index.count(*filter)).sum();
        let put_off = receivers > FAN_OUT_SLICE
            || (receivers > 1 && receivers > self.turn_cost_left)
            || (!self.fan_outs.is_empty() && self.fan_outs.serves(filters));
        if put_off {
            if self.fan_outs.is_congested() {
                self.pressure.note_own(self.id);
            }
            let walks = filters.iter().map(|filter| (*filter, self.index.fan_out(*filter))).collect();
            self.fan_outs
                .unfinished
                .push_back(Unfinished { message: Message::keep_at(passing, self.hub.now_ms), walks });
            return;
        }
        let dirty = fx.outbox.dirty();
        let kept = self.kept_to_lend(receivers, passing, fx);
        let view = kept.as_ref().map(|message| message.view());
        let mut once = Once { passing: view.as_ref().unwrap_or(passing), kept: kept.clone(), frames: None };
        if receivers > 1 {
            self.frames.clear();
            once.frames = Some(&mut self.frames);
        }
        for filter in filters {
            let mut after = None;
            loop {
                let chunk = self.index.chunk_from(*filter, after);
                let Some(last) = chunk.last() else { break };
                after = Some(last.id);
                for subscriber in chunk {
                    self.hub.deliver(target(subscriber), &mut once, fx);
                }
            }
        }
        let cost = receivers + (fx.outbox.dirty() - dirty) * (FIRST_DELIVERY_COST - 1);
        self.turn_cost_left = self.turn_cost_left.saturating_sub(cost);
    }

    /// A large message with several receivers in one copy that all of them are sent from, unless they are anyway.
    #[inline]
    fn kept_to_lend(&self, receivers: usize, passing: &Publication<'_>, fx: &mut Effects) -> Option<Rc<Message>> {
        if receivers == 1 || passing.payload.len() < LENT_BYTES_MIN || fx.outbox.lends(passing.payload) {
            return None;
        }
        let message = Message::keep_at(passing, self.hub.now_ms);
        lend(&message, self.hub.traces.is_some(), fx);
        Some(message)
    }

    /// Goes on with unfinished fan-outs, one slice.
    pub(super) fn continue_fan_outs(&mut self, fx: &mut Effects) {
        let mut left = TURN_COST_MAX;
        while let Some(mut fan_out) = self.fan_outs.unfinished.pop_front() {
            let passing = fan_out.message.view();
            if passing.expired(self.hub.now_ms) {
                // [MQTT-3.3.2-5]
                self.hub.counters.delivery_dropped_expired += 1;
                continue;
            }
            lend(&fan_out.message, self.hub.traces.is_some(), fx);
            let mut once = Once::of_kept(&passing, &fan_out.message);
            self.frames.clear();
            once.frames = Some(&mut self.frames);
            while let Some((_, walk)) = fan_out.walks.last_mut()
                && left > 0
            {
                let dirty = fx.outbox.dirty();
                let chunk = self.index.next_chunk(walk, left.div_ceil(FIRST_DELIVERY_COST));
                if chunk.is_empty() {
                    fan_out.walks.pop();
                    continue;
                }
                for subscriber in chunk {
                    self.hub.deliver(target(subscriber), &mut once, fx);
                }
                left = left.saturating_sub(chunk.len() + (fx.outbox.dirty() - dirty) * (FIRST_DELIVERY_COST - 1));
            }
            if !fan_out.walks.is_empty() {
                self.fan_outs.unfinished.push_front(fan_out);
                return;
            }
        }
    }
}

fn target(subscriber: &Subscriber) -> Target {
    Target {
        session: subscriber.id,
        subscription_id: subscriber.subscription_id,
        options: subscriber.options,
        via: None,
    }
}

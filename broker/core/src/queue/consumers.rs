//! Consumers of one queue: what each has, and whose turn it is.

use super::Consumer;
use crate::control::QueueConsumerFacts;
use crate::settings::QueueDispatch;
use crate::share::MemberKey;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

#[derive(Debug)]
struct Held {
    consumer: Consumer,
    /// Messages that it has.
    given: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_key: HashMap<MemberKey, Held, FixedState>,
    /// Those that may have one more message, in the order of turns. Each once.
    with_room: VecDeque<MemberKey>,
}

impl Consumers {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        !self.with_room.is_empty()
    }

    pub(super) fn join(&mut self, consumer: Consumer, max_inflight: u16) {
        let key = consumer.key;
        match self.by_key.get_mut(&key) {
            Some(held) => held.consumer = consumer,
            None => {
                self.by_key.insert(key, Held { consumer, given: Vec::new() });
                if max_inflight > 0 {
                    self.with_room.push_back(key);
                }
            }
        }
    }

    /// Removes a consumer; gives what it had.
    pub(super) fn leave(&mut self, key: MemberKey) -> Option<Vec<u32>> {
        let held = self.by_key.remove(&key)?;
        self.with_room.retain(|other| *other != key);
        Some(held.given)
    }

    /// Gives a message to one that has room; `None` if nobody has.
    pub(super) fn give(
        &mut self,
        dispatch: QueueDispatch,
        seq: u32,
        max_inflight: u16,
        random: u64,
    ) -> Option<&Consumer> {
        if self.with_room.is_empty() {
            return None;
        }
        let at = match dispatch {
            QueueDispatch::RoundRobin => 0,
            QueueDispatch::Random => usize::try_from((u128::from(random) * self.with_room.len() as u128) >> 64)
                .expect("less than the length"),
            QueueDispatch::LeastInflight => {
                let given = |key: &MemberKey| self.by_key[key].given.len();
                let least = self.with_room.iter().enumerate().min_by_key(|(_, key)| given(key));
                least.map_or(0, |(at, _)| at)
            }
        };
        let key = self.with_room.remove(at)?;
        let held = self.by_key.get_mut(&key).expect("consumer with room");
        held.given.push(seq);
        if held.given.len() < usize::from(max_inflight) {
            self.with_room.push_back(key);
        }
        Some(&self.by_key[&key].consumer)
    }

    /// A consumer does not have a message any more.
    pub(super) fn took_back(&mut self, from: MemberKey, seq: u32, max_inflight: u16) {
        let held = self.by_key.get_mut(&from).expect("consumer that has a message");
        let at = held.given.iter().position(|given| *given == seq).expect("message that it has");
        let had_room = held.given.len() < usize::from(max_inflight);
        held.given.swap_remove(at);
        if !had_room && held.given.len() < usize::from(max_inflight) {
            self.with_room.push_back(from);
        }
    }

    /// Another number of messages that each may have.
    pub(super) fn set_max_inflight(&mut self, max_inflight: u16) {
        let by_key = &self.by_key;
        let has_room = |key: &MemberKey| by_key[key].given.len() < usize::from(max_inflight);
        self.with_room.retain(has_room);
        let known: HashSet<MemberKey, FixedState> = self.with_room.iter().copied().collect();
        let mut others: Vec<MemberKey> =
            by_key.keys().filter(|key| has_room(key) && !known.contains(*key)).copied().collect();
        others.sort_unstable_by_key(|key| (key.shard, key.session));
        self.with_room.extend(others);
    }

    /// Nobody has any message any more.
    pub(super) fn forget_given(&mut self, max_inflight: u16) {
        self.by_key.values_mut().for_each(|held| held.given.clear());
        self.set_max_inflight(max_inflight);
    }

    pub(super) fn facts(&self, max: usize) -> Vec<QueueConsumerFacts> {
        let facts = |held: &Held| QueueConsumerFacts {
            client_id: held.consumer.client_id.clone(),
            shard: held.consumer.key.shard,
            in_flight: held.given.len(),
        };
        let mut facts: Vec<QueueConsumerFacts> = self.by_key.values().take(max).map(facts).collect();
        facts.sort_unstable_by(|one, other| one.client_id.cmp(&other.client_id));
        facts
    }
}

//! Messages that wait for a client, by priority (EMQX: `mqtt.mqueue_priorities`). Without priorities there is one level.

use super::Outgoing;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use ringmq_wire::QoS;

/// Messages that wait: those of a higher priority leave first, those of the same in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Highest priority first. None is empty while there is another.
    levels: Vec<Level>,
    len: usize,
    /// Of the messages.
    bytes: usize,
    at_most_once: usize,
}

#[derive(Debug)]
struct Level {
    priority: u16,
    messages: VecDeque<Outgoing>,
    /// Messages that are spared.
    spared: usize,
}

impl Level {
    fn new(priority: u16) -> Self {
        Self { priority, messages: VecDeque::new(), spared: 0 }
    }

    /// Takes out the oldest message that is not spared; `None` if all are.
    fn take_unspared(&mut self) -> Option<Outgoing> {
        if self.spared == 0 {
            return self.messages.pop_front();
        }
        if self.spared == self.messages.len() {
            return None;
        }
        let at = self.messages.iter().position(|held| !held.spared)?;
        self.messages.remove(at)
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let oldest = self.messages.pop_front()?;
        self.spared -= usize::from(oldest.spared);
        Some(oldest)
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the messages, each counted for this queue as if it were held by no other.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if there are `max` messages of a priority already; `max` 0 is no limit.
    pub(crate) fn is_full(&self, priority: u16, max: usize) -> bool {
        let at = self.levels.binary_search_by(|level| priority.cmp(&level.priority));
        max > 0 && at.is_ok_and(|at| self.levels[at].messages.len() >= max)
    }

    /// Messages of the priority that has most of them.
    pub(crate) fn longest(&self) -> usize {
        self.levels.iter().map(|level| level.messages.len()).max().unwrap_or(0)
    }

    /// QoS 0 messages among them.
    #[inline]
    pub(crate) fn at_most_once(&self) -> usize {
        self.at_most_once
    }

    /// Appends a message to those of its priority. If there are `max` of them already, one is dropped and returned: the
    /// oldest that is not spared, or else the oldest for a message that is spared itself, and that message for one that is
    /// not. `max` 0 is no limit.
    pub(crate) fn push(&mut self, priority: u16, outgoing: Outgoing, max: usize) -> Option<Outgoing> {
        let at = match self.levels.binary_search_by(|level| priority.cmp(&level.priority)) {
            Ok(at) => at,
            Err(_) if self.len == 0 => {
                self.levels.clear();
                self.levels.push(Level::new(priority));
                0
            }
            Err(at) => {
                self.levels.insert(at, Level::new(priority));
                at
            }
        };
        let level = &mut self.levels[at];
        let mut dropped = None;
        if max > 0 && level.messages.len() >= max {
            dropped = level.take_unspared();
            if dropped.is_none() {
                if !outgoing.spared {
                    return Some(outgoing);
                }
                dropped = level.pop();
            }
        }
        self.at_most_once += usize::from(outgoing.qos == QoS::AtMostOnce);
        self.bytes += outgoing.message.size();
        level.spared += usize::from(outgoing.spared);
        level.messages.push_back(outgoing);
        self.len += 1;
        if let Some(dropped) = &dropped {
            self.forget(dropped);
        }
        dropped
    }

    /// The message that leaves next.
    #[inline]
    pub(crate) fn front(&self) -> Option<&Outgoing> {
        self.levels.first()?.messages.front()
    }

    /// Takes the message that leaves next.
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let level = self.levels.first_mut()?;
        let outgoing = level.pop()?;
        // The last level stays, so that a queue in use does not allocate one for every message.
        if level.messages.is_empty() && self.levels.len() > 1 {
            self.levels.remove(0);
        }
        self.forget(&outgoing);
        Some(outgoing)
    }

    /// Removes such messages.
    pub(crate) fn remove(&mut self, such: impl Fn(&Outgoing) -> bool) {
        let mut levels = core::mem::take(&mut self.levels);
        for level in &mut levels {
            level.messages.retain(|held| {
                let gone = such(held);
                if gone {
                    level.spared -= usize::from(held.spared);
                    self.forget(held);
                }
                !gone
            });
        }
        // None is empty while there is another.
        levels.retain(|level| self.len == 0 || !level.messages.is_empty());
        levels.truncate(if self.len == 0 { 1 } else { levels.len() });
        self.levels = levels;
    }

    /// All messages, in the order in which they will leave.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Outgoing> {
        self.levels.iter().flat_map(|level| &level.messages)
    }

    /// All messages, in the order in which they would leave.
    pub(crate) fn into_messages(self) -> impl Iterator<Item = Outgoing> {
        self.levels.into_iter().flat_map(|level| level.messages)
    }

    fn forget(&mut self, outgoing: &Outgoing) {
        self.len -= 1;
        self.bytes -= outgoing.message.size();
        self.at_most_once -= usize::from(outgoing.qos == QoS::AtMostOnce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, NEVER_MS, Publication, Publisher};
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn outgoing(number: u32, qos: QoS) -> Outgoing {
        let passing = Publication {
            publisher: Publisher { key: 0, client_hash: 0 },
            qos,
            retain: false,
            expires_ms: NEVER_MS,
            topic: "t",
            properties: &[],
            payload: &number.to_le_bytes()[..number as usize % 5],
        };
        let spared = number.is_multiple_of(3);
        Outgoing { message: Message::keep(&passing), qos, retain: false, subscription_id: number, via: None, spared }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map_of_lists(
            steps in prop::collection::vec((prop::option::of((0_u16..4, any::<bool>())), any::<u32>()), 0..300),
            max in 0_usize..5,
        ) {
            let mut queue = Queue::default();
            let mut model: BTreeMap<core::cmp::Reverse<u16>, Vec<(u32, bool)>> = BTreeMap::new();
            for (step, number) in steps {
                match step {
                    Some((priority, at_least_once)) => {
                        let qos = if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                        let level = model.entry(core::cmp::Reverse(priority)).or_default();
                        prop_assert_eq!(queue.is_full(priority, max), max > 0 && level.len() >= max);
                        level.push((number, at_least_once));
                        // The oldest that is not spared, the new one among them, or else the oldest.
                        let oldest = (max > 0 && level.len() > max).then(|| {
                            let at = level.iter().position(|(number, _)| !number.is_multiple_of(3)).unwrap_or(0);
                            level.remove(at).0
                        });
                        let dropped = queue.push(priority, outgoing(number, qos), max);
                        prop_assert_eq!(dropped.map(|dropped| dropped.subscription_id), oldest);
                    }
                    None => {
                        let first = model.values_mut().find(|level| !level.is_empty()).map(|level| level.remove(0).0);
                        prop_assert_eq!(queue.front().map(|front| front.subscription_id), first);
                        prop_assert_eq!(queue.pop().map(|popped| popped.subscription_id), first);
                    }
                }
                let all: Vec<_> = model.values().flatten().collect();
                prop_assert_eq!(queue.len(), all.len());
                prop_assert_eq!(queue.is_empty(), all.is_empty());
                // The topic is one byte long.
                prop_assert_eq!(queue.bytes(), all.iter().map(|(number, _)| 1 + *number as usize % 5).sum::<usize>());
                prop_assert_eq!(queue.longest(), model.values().map(Vec::len).max().unwrap_or(0));
                prop_assert_eq!(queue.at_most_once(), all.iter().filter(|(_, at_least_once)| !at_least_once).count());
            }
            let left: Vec<_> = queue.into_messages().map(|left| left.subscription_id).collect();
            prop_assert_eq!(left, model.values().flatten().map(|(number, _)| *number).collect::<Vec<_>>());
        }
    }
}

//! Message queues: messages that wait, consumers that share them, and which message is with whom.
//!
//! A [`MessageQueue`] holds every message until its consumer has acknowledged it, so a consumer that goes leaves nothing
//! to be fetched back: its messages take their old places in the line. In a queue of last values a message takes the
//! place of a waiting one with the same key, so a key that changes all the time is not put off for ever.
//!
//! Absent: how messages come and how they reach a consumer, which is the shard's affair (`shard/queues.rs`, `shard/consuming.rs`), and the
//! names by which clients know a queue.

mod consumers;
mod line;

use crate::control::{QueueConsumerFacts, QueueFacts};
use crate::message::{Message, NEVER_MS, Publication};
use crate::settings::{QueueFullPolicy, QueueKey, QueueSettings};
use crate::share::MemberKey;
use crate::topics::{FilterId, SubOptions};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use consumers::Consumers;
use core::ops::AddAssign;
use core::time::Duration;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use line::{Line, Waiting};
use ringmq_wire::PublishProperties;

/// What a held message counts for beside its topic, properties and payload, bytes: the structures around it.
pub const ENTRY_BYTES: usize = 128;

/// Consumers that are told of.
const CONSUMERS_SHOWN_MAX: usize = 256;

/// One consumer: a session's subscription to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The session.
    pub key: MemberKey,
    /// Which of its times as a consumer this is, unique on its shard.
    pub epoch: u32,
    /// The Subscription Identifier; 0 if there is none.
    pub subscription_id: u32,
    /// How to deliver.
    pub options: SubOptions,
    /// Its client identifier.
    pub client_id: Box<str>,
}

/// A message that is to be delivered now.
#[derive(Debug)]
pub struct Given {
    /// What it is settled by.
    pub seq: u32,
    /// The message.
    pub message: Rc<Message>,
    /// To whom.
    pub to: MemberKey,
    /// As [`Consumer::epoch`].
    pub epoch: u32,
    /// As [`Consumer::subscription_id`].
    pub subscription_id: u32,
    /// As [`Consumer::options`].
    pub options: SubOptions,
}

/// What a queue has counted. All but grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that matched the queue's filter.
    pub received: u64,
    /// Messages settled: acknowledged, or at QoS 0 sent.
    pub settled: u64,
    /// Messages that a consumer left and that wait again.
    pub returned: u64,
    /// Messages that gave way to a newer one with the same key.
    pub replaced: u64,
    /// Messages dropped because the queue was full.
    pub dropped: u64,
    /// Messages that expired while they waited.
    pub expired: u64,
}

impl AddAssign for QueueCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.settled += other.settled;
        self.returned += other.returned;
        self.replaced += other.replaced;
        self.dropped += other.dropped;
        self.expired += other.expired;
    }
}

/// A message that is with a consumer.
#[derive(Debug)]
struct WithConsumer {
    place: u64,
    waiting: Waiting,
    to: MemberKey,
}

/// A queue at home on this shard.
#[derive(Debug)]
pub struct MessageQueue {
    /// Unique on this shard, and never used again.
    pub id: u32,
    /// What follows `$q/`.
    pub name: Box<str>,
    /// Where its filter is in the shard's index, if it is declared.
    pub filter: Option<FilterId>,
    settings: QueueSettings,
    line: Line,
    given: HashMap<u32, WithConsumer, FixedState>,
    /// Bytes of what is with consumers.
    given_bytes: usize,
    consumers: Consumers,
    next_seq: u32,
    counts: QueueCounts,
    /// Where the search for expired messages goes on.
    swept_to: u64,
}

/// What a held message counts for.
fn cost(message: &Message) -> usize {
    message.size() + ENTRY_BYTES
}

impl MessageQueue {
    /// A queue without messages and consumers.
    #[must_use]
    pub fn new(id: u32, name: &str, settings: QueueSettings) -> Self {
        Self {
            id,
            name: name.into(),
            filter: None,
            settings,
            line: Line::default(),
            given: HashMap::default(),
            given_bytes: 0,
            consumers: Consumers::default(),
            next_seq: 0,
            counts: QueueCounts::default(),
            swept_to: 0,
        }
    }

    /// What was declared.
    #[must_use]
    pub fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    /// Works with these settings from now on. A queue that is not declared any more forgets its messages; consumers stay.
    pub fn configure(&mut self, settings: QueueSettings) {
        let (was, is) = (self.settings.last_value, settings.last_value);
        if !settings.is_declared() {
            self.forget_all();
        } else if (was && !is) || (is && self.settings.key != settings.key) {
            // Keys of what waits already were made by another rule: they stay as they are.
            self.line.forget_keys();
            self.given.values_mut().for_each(|given| given.waiting.key = None);
        }
        self.settings = settings;
        self.make_room(0);
        self.consumers.set_max_inflight(self.settings.max_inflight);
    }

    fn forget_all(&mut self) {
        self.counts.dropped += self.len() as u64;
        self.line = Line::default();
        self.given.clear();
        self.given_bytes = 0;
        self.consumers.forget_given(self.settings.max_inflight);
    }

    /// Messages held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.len() + self.given.len()
    }

    /// True if no message is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> usize {
        self.line.bytes() + self.given_bytes
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        self.counts
    }

    /// True if nobody consumes it.
    #[must_use]
    pub fn has_no_consumers(&self) -> bool {
        self.consumers.is_empty()
    }

    /// Takes a message in. It may be dropped at once, or others for it.
    pub fn push(&mut self, passing: &Publication<'_>, now_ms: u64) {
        self.counts.received += 1;
        // A message is not given an expiry that its publisher did not give it [MQTT-3.3.2-6].
        let span_ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(NEVER_MS);
        let held_ms = self.settings.message_expiry.map_or(NEVER_MS, span_ms);
        let until_ms = passing.expires_ms.min(now_ms.saturating_add(held_ms));
        let bytes = passing.topic.len() + passing.properties.len() + passing.payload.len() + ENTRY_BYTES;
        let key = self.key(passing);
        let place = key.as_ref().and_then(|key| self.line.place_of(key));
        let older = place.and_then(|place| Some((place, self.line.take(place)?)));
        if self.make_room(bytes) {
            self.counts.replaced += u64::from(older.is_some());
            self.line.put(place, Message::keep_at(passing, now_ms), key, until_ms);
            return;
        }
        self.counts.dropped += 1;
        if let Some((place, older)) = older {
            self.line.put_back(place, older);
        }
    }

    /// Drops what has to go for one more message of so many bytes, or for none. False if that message itself has to go.
    fn make_room(&mut self, bytes: usize) -> bool {
        let (more, max_length) = (usize::from(bytes > 0), self.settings.max_length as usize);
        let max_bytes = usize::try_from(self.settings.max_bytes).unwrap_or(usize::MAX);
        let full = |queue: &Self| queue.len() + more > max_length || queue.bytes() + bytes > max_bytes;
        // Whatever went for it, it would not fit.
        let hopeless = self.given.len() + more > max_length || self.given_bytes + bytes > max_bytes;
        if more > 0 && full(self) && (hopeless || self.settings.full_policy == QueueFullPolicy::DropNewest) {
            return false;
        }
        while full(self) && self.line.take_first().is_some() {
            self.counts.dropped += 1;
        }
        true
    }

    /// What a message is told apart by, in a queue of last values.
    fn key(&self, passing: &Publication<'_>) -> Option<Rc<[u8]>> {
        if !self.settings.last_value {
            return None;
        }
        match &self.settings.key {
            QueueKey::Topic => Some(passing.topic.as_bytes().into()),
            QueueKey::UserProperty(name) => {
                let properties = PublishProperties::decode(passing.properties).ok()?;
                let (_, value) = properties.user_properties.iter().find(|(found, _)| **found == **name)?;
                Some(value.as_bytes().into())
            }
        }
    }

    /// Adds a consumer, or puts it in the place of the same session's: what that one has stays with it.
    pub fn join(&mut self, consumer: Consumer) {
        self.consumers.join(consumer, self.settings.max_inflight);
    }

    /// Removes a consumer. What it has waits again. False if it was none.
    pub fn leave(&mut self, key: MemberKey) -> bool {
        let Some(left) = self.consumers.leave(key) else { return false };
        for seq in left {
            let given = self.given.remove(&seq).expect("message that a consumer has");
            self.wait_again(given);
        }
        true
    }

    /// The next message and who gets it; `None` if there is no message, or nobody who may have one more.
    pub fn next(&mut self, now_ms: u64, random: u64) -> Option<Given> {
        if !self.consumers.has_room() {
            return None;
        }
        let (place, waiting) = loop {
            let (place, waiting) = self.line.take_first()?;
            if waiting.until_ms > now_ms {
                break (place, waiting);
            }
            // [MQTT-3.3.2-5]
            self.counts.expired += 1;
        };
        self.next_seq = self.next_seq.wrapping_add(1);
        let seq = self.next_seq;
        let max_inflight = self.settings.max_inflight;
        let to = self.consumers.give(self.settings.dispatch, seq, max_inflight, random).expect("one with room");
        let given = Given {
            seq,
            message: Rc::clone(&waiting.message),
            to: to.key,
            epoch: to.epoch,
            subscription_id: to.subscription_id,
            options: to.options,
        };
        self.given_bytes += cost(&waiting.message);
        self.given.insert(seq, WithConsumer { place, waiting, to: given.to });
        Some(given)
    }

    /// A message is done with: acknowledged, sent at QoS 0, or not to be delivered. False if it is not known any more.
    pub fn settle(&mut self, seq: u32) -> bool {
        let Some(given) = self.given.remove(&seq) else { return false };
        self.given_bytes -= cost(&given.waiting.message);
        self.consumers.took_back(given.to, seq, self.settings.max_inflight);
        self.counts.settled += 1;
        true
    }

    /// A message could not be delivered: it waits again. False if it is not known any more.
    pub fn give_back(&mut self, seq: u32) -> bool {
        let Some(given) = self.given.remove(&seq) else { return false };
        self.consumers.took_back(given.to, seq, self.settings.max_inflight);
        self.wait_again(given);
        true
    }

    fn wait_again(&mut self, given: WithConsumer) {
        let WithConsumer { place, waiting, .. } = given;
        self.given_bytes -= cost(&waiting.message);
        self.counts.returned += 1;
        let Some(newer) = waiting.key.as_ref().and_then(|key| self.line.place_of(key)) else {
            self.line.put_back(place, waiting);
            return;
        };
        // One of the same key waits: the newer of the two stays, in the place of the older.
        self.counts.replaced += 1;
        let other = self.line.take(newer).expect("message at the place of its key");
        let newest = if other.arrival > waiting.arrival { other } else { waiting };
        self.line.put_back(place.min(newer), newest);
    }

    /// Drops expired messages, looking at no more than `steps` that wait.
    pub fn sweep(&mut self, now_ms: u64, steps: usize) {
        let (expired, swept_to) = self.line.sweep(self.swept_to, now_ms, steps);
        self.swept_to = swept_to;
        self.counts.expired += expired;
    }

    /// What can be told of it; its consumers only if they are asked for.
    #[must_use]
    pub fn facts(&self, now_ms: u64, with_consumers: bool) -> QueueFacts {
        let shown: Vec<QueueConsumerFacts> = match with_consumers {
            true => self.consumers.facts(CONSUMERS_SHOWN_MAX),
            false => Vec::new(),
        };
        QueueFacts {
            name: self.name.clone(),
            declared: self.settings.is_declared(),
            topic_filter: self.settings.topic_filter.clone(),
            last_value: self.settings.last_value,
            length: self.len(),
            bytes: self.bytes(),
            waiting: self.line.len(),
            oldest_ms: self.line.first().and_then(|first| first.message.age_ms(now_ms)),
            consumers: self.consumers.len(),
            counts: self.counts,
            shown,
        }
    }
}

#[cfg(test)]
mod tests;

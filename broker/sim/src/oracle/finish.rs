//! What must have happened by the end of a run, when everything has drained.

use super::{Message, Oracle, QUEUE_GROUP, SessionModel, SubModel};
use crate::shape::QUEUE_FILTER;
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// Checks that nothing is missing. `alive` says whether a link is still open to its client.
    pub(crate) fn check_complete(&mut self, will_slack_ns: u64) {
        self.check_wills(will_slack_ns);
        if !self.lossless {
            return;
        }
        let mut missing = Vec::new();
        for held in self.sessions.iter().filter(|held| held.dead.is_none() && held.sure && held.link.is_some()) {
            for (number, message) in self.messages.iter().enumerate() {
                if let Some(what) = missed(held, number, message) {
                    missing.push(what);
                }
            }
        }
        if let Some(first) = missing.first() {
            self.fail(format!("{first} ({} deliveries are missing)", missing.len()));
        }
        self.check_shared_complete();
        self.check_queue_complete();
    }

    /// A message queue has given every message to somebody once there is somebody, whenever it came.
    fn check_queue_complete(&mut self) {
        let consumes =
            |sub: &SubModel| sub.group.as_deref() == Some(QUEUE_GROUP) && sub.to.is_none() && sub.granted.is_some();
        let alive = |held: &&SessionModel| held.dead.is_none() && held.sure && held.link.is_some();
        if !self.sessions.iter().filter(alive).any(|held| held.subs.iter().any(consumes)) {
            return;
        }
        let sure = |message: &Message| {
            message.qos > 0
                && !message.is_will
                && message.expiry_s.is_none()
                && message.payload_len > 0
                && !message.routed.is_empty()
                && super::matching::matches(QUEUE_FILTER, &message.topic)
        };
        let missing = self.messages.iter().position(|message| sure(message) && message.shared_got == 0);
        if let Some(number) = missing {
            self.fail(format!("message {number} is in the message queue, and nobody has got it"));
        }
    }

    /// A group whose members all stayed has given every message to one of them.
    fn check_shared_complete(&mut self) {
        if self.member_lost {
            return;
        }
        let mut missing = None;
        for (number, message) in self.messages.iter().enumerate() {
            let Some(&routed) = message.routed.first() else { continue };
            if message.qos == 0 || message.is_will || message.expiry_s.is_some() || message.payload_len == 0 {
                continue;
            }
            let served: BTreeSet<_> = self
                .sessions
                .iter()
                .filter(|held| held.dead.is_none() && held.sure && held.link.is_some())
                .flat_map(|held| held.subs.iter())
                .filter(|sub| sub.group.is_some() && sub.qos > 0 && sub.matches(&message.topic))
                .filter(|sub| sub.granted.is_some_and(|granted| granted < routed) && (sub.to.is_none() || sub.replaced))
                .map(|sub| (&sub.group, &sub.filter))
                .collect();
            // A member that left in between may have lost it.
            let left = self
                .sessions
                .iter()
                .any(|held| held.subs.iter().any(|sub| sub.group.is_some() && sub.to.is_some() && !sub.replaced));
            let weak = self.sessions.iter().any(|held| held.subs.iter().any(|sub| sub.group.is_some() && sub.qos == 0));
            if !left && !weak && message.shared_got < served.len() {
                missing.get_or_insert((number, message.shared_got, served.len()));
            }
        }
        if let Some((number, got, groups)) = missing {
            let topic = self.messages[number].topic.clone();
            self.fail(format!("message {number} to {topic} came to {got} members of {groups} shared groups"));
        }
    }

    /// Checks what a new subscriber received as retained messages against what may be retained.
    pub(crate) fn check_retained(&mut self, filter: &str, got: &BTreeMap<String, Vec<usize>>) {
        let mut by_topic: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        for (number, message) in self.messages.iter().enumerate() {
            if message.retain && !message.is_will && super::matching::matches(filter, &message.topic) {
                for clock in &message.routed {
                    by_topic.entry(&message.topic).or_default().push(Entry { number, clock: *clock });
                }
            }
        }
        let mut wrong = None;
        for (topic, entries) in &by_topic {
            let may: Vec<usize> =
                entries.iter().filter(|entry| self.may_last(entry, entries)).map(|e| e.number).collect();
            let none = Vec::new();
            let received = got.get(*topic).unwrap_or(&none);
            let absent_ok = may
                .iter()
                .any(|number| self.messages[*number].payload_len == 0 || self.messages[*number].expiry_s.is_some());
            let right = match received.as_slice() {
                [] => absent_ok,
                [one] => may.contains(one),
                _ => false,
            };
            if !right {
                wrong =
                    Some(format!("filter {filter}: retained at {topic} is {received:?}, but may be one of {may:?}"));
            }
        }
        for topic in got.keys() {
            if !by_topic.contains_key(topic.as_str()) {
                wrong = Some(format!("filter {filter}: something is retained at {topic}, and nothing should"));
            }
        }
        if let Some(wrong) = wrong {
            self.fail(wrong);
        }
    }

    /// True if no other message must have replaced it.
    fn may_last(&self, entry: &Entry, all: &[Entry]) -> bool {
        let message = &self.messages[entry.number];
        !all.iter().any(|other| {
            let later = other.clock > entry.clock;
            let same_publisher = self.messages[other.number].origin == message.origin;
            let after_ack = !message.repeated && message.acked.is_some_and(|acked| acked < other.clock);
            later && (same_publisher || after_ack)
        })
    }
}

/// A retained message as it was taken in.
struct Entry {
    number: usize,
    clock: u64,
}

/// What a session should have received of a message and has not.
fn missed(held: &SessionModel, number: usize, message: &Message) -> Option<String> {
    let &routed = message.routed.first()?;
    if message.is_will || message.payload_len == 0 || message.expiry_s.is_some() {
        return None;
    }
    // Topic, properties and header take less than this.
    let most = message.payload_len + message.topic.len() + 64;
    if held.max_packet.is_some_and(|max| most > max as usize) {
        return None;
    }
    let (mut sure, mut weak) = (0, 0);
    for filter in held.subs.iter().filter(|sub| sub.to.is_none() && sub.group.is_none() && sub.matches(&message.topic))
    {
        // All versions of the subscription from when the message was taken in until now.
        let chain: Vec<_> = held
            .subs
            .iter()
            .filter(|sub| sub.filter == filter.filter && sub.group.is_none())
            .filter(|sub| sub.to.is_none_or(|to| to > routed))
            .collect();
        let whole =
            chain.iter().any(|sub| sub.from < routed) && chain.iter().all(|sub| sub.to.is_none() || sub.replaced);
        let local = chain.iter().any(|sub| sub.no_local) && message.origin == held.origin;
        if !whole || local {
            continue;
        }
        let qos = chain.iter().map(|sub| sub.qos).min().unwrap_or(0).min(message.qos);
        if qos > 0 {
            sure += 1;
        } else if held.link_since < routed {
            weak += 1;
        }
    }
    let got = held.got.get(&number).copied().unwrap_or_default();
    let total = got.acknowledged + got.at_most_once;
    (got.acknowledged < sure || total < sure + weak).then(|| {
        format!(
            "client {}, link {:?}, has not received message {number} (QoS {}, to {}, from {}) as often as it must: {total} of {}",
            held.client,
            held.link,
            message.qos,
            message.topic,
            message.publisher,
            sure + weak
        )
    })
}

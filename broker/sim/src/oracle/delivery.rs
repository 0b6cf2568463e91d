//! What a client may receive: every delivery answers a publication and a subscription, in order, and not too often.

use super::{Message, Oracle, SessionModel, SubModel, payload};
use crate::host::LinkId;
use crate::shape::QUEUE_FILTER;
use std::collections::BTreeSet;

/// A PUBLISH that a client has received.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) link: LinkId,
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: u16,
    pub(crate) ids: Vec<u32>,
    pub(crate) expiry_s: Option<u32>,
    /// False for a QoS 2 message whose identifier the client already holds.
    pub(crate) first: bool,
}

/// How a subscription explains a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Explained {
    live: bool,
    replay: bool,
}

impl Oracle {
    /// Checks one delivery. Returns the message's number.
    pub(crate) fn delivered(&mut self, at: &Delivered<'_>) -> Option<usize> {
        let clock = self.tick();
        self.deliveries += 1;
        let Some(session) = self.links.get(&at.link).and_then(|model| model.session) else {
            self.fail(format!("link {} received a message without a session", at.link));
            return None;
        };
        if at.payload.is_empty() {
            self.delivered_empty(session, at);
            return None;
        }
        let Some(number) = self.identify(at) else {
            self.fail(format!("link {}: nobody published what came to {}", at.link, at.topic));
            return None;
        };
        let message = self.messages[number].clone();
        if message.routed.is_empty() {
            self.fail(format!("message {number} was delivered and no shard had it"));
            return None;
        }
        self.check_expiry(number, &message, at);
        let held = &self.sessions[session];
        let explained: Vec<(&SubModel, Explained)> =
            held.subs.iter().filter_map(|sub| Some((sub, explain(sub, held, &message, at)?))).collect();
        if explained.is_empty() {
            let client = held.client;
            let subs: Vec<&SubModel> = held.subs.iter().filter(|sub| sub.matches(at.topic)).collect();
            let what = format!(
                "client {client}, link {}: no subscription explains message {number} (QoS {}, retain {}, publisher {}, \
                 routed {:?}) to {} at QoS {}, retain {}, ids {:?}, dup {}; matching: {subs:?}",
                at.link,
                message.qos,
                message.retain,
                message.publisher,
                message.routed,
                at.topic,
                at.qos,
                at.retain,
                at.ids,
                at.dup
            );
            self.fail(what);
            return Some(number);
        }
        let shared = explained.iter().all(|(sub, _)| sub.group.is_some());
        let only_live = !explained.iter().any(|(_, how)| how.replay);
        self.count(session, number, &message, at, shared, only_live, clock);
        Some(number)
    }

    fn identify(&self, at: &Delivered<'_>) -> Option<usize> {
        let number = usize::try_from(u64::from_be_bytes(at.payload.get(..8)?.try_into().ok()?)).ok()?;
        let message = self.messages.get(number)?;
        let mut expected = Vec::new();
        payload(number, message.payload_len, &mut expected);
        (message.topic == at.topic && expected == at.payload).then_some(number)
    }

    /// An empty message, which clears a retained one, cannot be told from others to the same topic.
    fn delivered_empty(&mut self, session: usize, at: &Delivered<'_>) {
        let known = self
            .messages
            .iter()
            .any(|message| message.payload_len == 0 && message.topic == at.topic && !message.routed.is_empty());
        let subscribed = self.sessions[session].subs.iter().any(|sub| sub.matches(at.topic));
        if !known || !subscribed {
            self.fail(format!("link {}: an empty message to {} that nothing explains", at.link, at.topic));
        }
    }

    /// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    fn check_expiry(&mut self, number: usize, message: &Message, at: &Delivered<'_>) {
        let Some(expiry_s) = message.expiry_s else {
            if at.expiry_s.is_some() {
                self.fail(format!("message {number} has got an expiry"));
            }
            return;
        };
        // Wills get their time when they are published; MQTT 3 clients do not see it.
        let Some(left_s) = at.expiry_s else { return };
        let waited_s = self.now_ns.saturating_sub(message.sent_ns) / 1_000_000_000 + 1;
        let least_s = if message.is_will { 0 } else { u64::from(expiry_s).saturating_sub(waited_s) };
        let expired = left_s == 0 && !at.dup;
        if expired || left_s > expiry_s || u64::from(left_s) < least_s {
            self.fail(format!("message {number} with expiry {expiry_s} s came with {left_s} s left"));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one delivery is this many facts")]
    fn count(
        &mut self,
        session: usize,
        number: usize,
        message: &Message,
        at: &Delivered<'_>,
        shared: bool,
        only_live: bool,
        clock: u64,
    ) {
        let held = &mut self.sessions[session];
        let resent = at.dup && held.by_packet_id.get(&at.packet_id) == Some(&number);
        if at.dup && held.connections == 1 && held.sure {
            let what = format!("message {number} came with DUP on the first connection of its session");
            self.fail(what);
            return;
        }
        if at.qos > 0 {
            held.by_packet_id.insert(at.packet_id, number);
        }
        if resent || !at.first {
            return;
        }
        let got = held.got.entry(number).or_default();
        let fresh = got.at_most_once + got.acknowledged == 0;
        if at.qos == 0 {
            got.at_most_once += 1;
        } else {
            got.acknowledged += 1;
        }
        let total = got.at_most_once + got.acknowledged;
        let most = most_deliveries(held, message, clock);
        let client = held.client;
        // [MQTT-4.6.0-5] [MQTT-4.6.0-6]
        if only_live && fresh && !shared && !message.is_will && held.sure {
            let key = (message.origin, message.topic.clone(), message.qos, at.qos);
            let newest = held.newest.entry(key).or_insert(number);
            if *newest > number && message.routed.len() == 1 {
                let newest = *newest;
                self.fail(format!("client {client} received message {number} to {} after {newest}", at.topic));
                return;
            }
            *newest = number.max(*newest);
        }
        // What it had not acknowledged when its connection ended may come again, as new.
        let again = self.consumer_lost && message.qos > 0 && super::matching::matches(QUEUE_FILTER, &message.topic);
        if total > most && !again {
            self.fail(format!(
                "client {client} received message {number} (QoS {} to {}) {total} times, but at most {most} are right",
                at.qos, at.topic
            ));
        }
        if shared {
            self.count_shared(number);
        }
    }

    /// [MQTT-4.8.2-4]: one member of each group.
    fn count_shared(&mut self, number: usize) {
        let message = &mut self.messages[number];
        message.shared_got += 1;
        let (got, routed, topic, qos) = (message.shared_got, message.routed.len(), message.topic.clone(), message.qos);
        let groups = self.groups.iter().filter(|(_, filter)| super::matching::matches(filter, &topic)).count();
        // What a member that is gone had not acknowledged is given to another.
        let queued = super::matching::matches(QUEUE_FILTER, &topic);
        let again = (self.member_lost || (self.consumer_lost && queued)) && qos > 0;
        if got > groups * routed && !again {
            self.fail(format!("message {number} to {topic} came to {got} members of {groups} shared groups"));
        }
    }
}

/// How a subscription may explain a delivery, if it can.
fn explain(sub: &SubModel, held: &SessionModel, message: &Message, at: &Delivered<'_>) -> Option<Explained> {
    let id = if at.ids.is_empty() { 0 } else { at.ids[0] };
    if !sub.matches(at.topic) || at.qos != message.qos.min(sub.qos) || sub.id != id || at.ids.len() > 1 {
        return None;
    }
    // What was matched before the subscription ended may still come.
    let in_time =
        sub.to.is_none_or(|to| sub.group.is_some() || message.is_will || message.routed.iter().any(|at| *at <= to));
    let own = sub.no_local && message.origin == held.origin && !message.is_will;
    let live = in_time && !own && at.retain == (message.retain && sub.retain_as_published);
    let replay = at.retain && message.retain && sub.replay;
    (live || replay).then_some(Explained { live, replay })
}

/// Most deliveries of a message to a session: one for each filter that it may have matched, each time it was routed, and
/// one for each time retained messages were asked for.
fn most_deliveries(held: &SessionModel, message: &Message, clock: u64) -> usize {
    let matching = || held.subs.iter().filter(|sub| sub.from < clock && sub.matches(&message.topic));
    let first = message.routed.first().copied().unwrap_or(0);
    let in_time = |sub: &&SubModel| message.is_will || sub.group.is_some() || sub.to.is_none_or(|to| first <= to);
    let filters: BTreeSet<_> = matching().filter(in_time).map(|sub| (&sub.group, &sub.filter)).collect();
    let replays = if message.retain { matching().filter(|sub| sub.replay).count() } else { 0 };
    filters.len() * message.routed.len().max(1) + replays * message.routed.len().max(1)
}

//! Telling of clients' comings and goings (EMQX's `$SYS/brokers/<node>/clients/...`), and publishing what the broker
//! itself has to say. How events are worded is the observer's affair: [`crate::observe`].
//!
//! The broker's own messages are not counted as dropped when nobody subscribes to them, as in EMQX.

use super::Shard;
use super::share::Groups;
use crate::interest::Interest;
use crate::machine::{ConnId, Effects, ShardId};
use crate::message::{NEVER_MS, Publication, Publisher};
use crate::observe::{ClientView, Dropped, Event, Observer, OwnMessage, Refusal, Refused, What};
use crate::topics::Index;
use crate::topics::filter::{self, TOPIC_BYTES_MAX};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use ringmq_wire::{QoS, ReasonCode};

/// The connection that something happened on, which may have left the shard's table already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) peer: SocketAddr,
    pub(super) listener: u16,
    /// When it became live, seconds of the shards' clock.
    pub(super) since_s: u32,
}

/// Reused from event to event.
#[derive(Default)]
pub(super) struct Words {
    topic: String,
    payload: Vec<u8>,
}

/// Counters of dropped messages when they were last told.
#[derive(Default)]
pub(super) struct Drops {
    queue_full: u64,
    qos0_msg: u64,
    not_retained: u64,
}

impl Shard {
    /// Hands in whoever wants to know of clients' comings and goings.
    #[must_use]
    pub fn with_observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// True if somebody wants to hear of subscriptions.
    pub(super) fn tells_of_subscriptions(&self) -> bool {
        self.observer.as_ref().is_some_and(|observer| observer.minds_subscriptions())
    }

    /// Tells of a connection that was accepted.
    pub(super) fn tell_of_connected(&mut self, session: u32, conn: ConnId, clean_start: bool, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get(session) else { return };
        let (keep_alive_s, expiry_s) = (held.keep_alive, held.expiry_s);
        self.tell_of(session, conn, &What::Connected { keep_alive_s, clean_start, expiry_s }, fx);
    }

    /// Tells of something that has happened to a live client.
    pub(super) fn tell_of(&mut self, session: u32, conn: ConnId, what: &What<'_>, fx: &mut Effects) {
        if self.observer.is_none() {
            return;
        }
        if let Some(open) = self.conns.get(conn) {
            let place = Place { peer: open.peer.into(), listener: open.listener, since_s: open.since_s };
            self.tell_of_at(session, place, what, fx);
        }
    }

    /// Tells of something that has happened to a client on a connection.
    pub(super) fn tell_of_at(&mut self, session: u32, place: Place, what: &What<'_>, fx: &mut Effects) {
        let Some(observer) = &mut self.observer else { return };
        let Some(held) = self.hub.sessions.get(session) else { return };
        let event = Event {
            client: ClientView {
                client_id: held.names.client_id(),
                username: held.names.username(),
                peer: place.peer,
                listener: place.listener,
                version: held.version,
                connected_at_ms: self.unix_offset_ms.saturating_add(u64::from(place.since_s) * 1000),
            },
            at_ms: self.unix_offset_ms.saturating_add(self.hub.now_ms),
            what: *what,
        };
        observer.observe(&event);
        // Those who could be told are leaving too.
        if self.stopping {
            return;
        }
        let mut words = core::mem::take(&mut self.words);
        words.topic.clear();
        let wanted = observer.topic(&event, &mut words.topic)
            && is_sound(&words.topic)
            && is_wanted(self.id, &mut self.index, &mut self.groups, self.interest.as_deref_mut(), &words.topic);
        if wanted {
            words.payload.clear();
            observer.payload(&event, &mut words.payload);
            self.take_in(&own(&words.topic, &words.payload, false), None, fx);
        }
        self.words = words;
    }

    /// Tells of a connection that is refused before its client is known.
    pub(super) fn tell_of_refused(&mut self, conn: ConnId, reason: ReasonCode) {
        self.tell_of_refusal(conn, Refusal::Code(reason));
    }

    /// The same, whatever the reason is.
    pub(super) fn tell_of_refusal(&mut self, conn: ConnId, why: Refusal) {
        if let (Some(observer), Some(open)) = (&mut self.observer, self.conns.get(conn)) {
            observer.refused(&Refused { peer: open.peer.into(), listener: open.listener, why });
        }
    }

    /// Tells of what was dropped since the last time, if anything was.
    pub(super) fn tell_of_drops(&mut self) {
        let Some(observer) = &mut self.observer else { return };
        let (told, counters) = (&mut self.told_drops, &self.hub.counters);
        let since = |told: &mut u64, now: u64| now - core::mem::replace(told, now);
        let queue_full = since(&mut told.queue_full, counters.delivery_dropped_queue_full);
        let qos0_msg = since(&mut told.qos0_msg, counters.delivery_dropped_qos0_msg);
        let not_retained = since(&mut told.not_retained, counters.retained_dropped);
        let session = self.hub.dropped_for.take().and_then(|session| self.hub.sessions.get(session));
        if queue_full + qos0_msg + not_retained > 0 {
            let client_id = session.map(|held| held.names.client_id());
            observer.dropped(&Dropped { client_id, queue_full, qos0_msg, not_retained });
        }
    }

    /// Publishes what the broker itself has to say; what is not retained only where somebody may subscribe to it.
    pub(super) fn publish_own(&mut self, messages: &[OwnMessage], fx: &mut Effects) {
        for message in messages.iter().take(crate::observe::OWN_MESSAGES_MAX) {
            let passing = own(&message.topic, &message.payload, message.retain);
            self.pressure.begin_message();
            if message.retain {
                self.retain(&passing, None, fx);
            }
            let interest = self.interest.as_deref_mut();
            if is_wanted(self.id, &mut self.index, &mut self.groups, interest, &message.topic) {
                self.route(&passing, fx);
            }
        }
    }
}

fn own<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Publication<'a> {
    let publisher = Publisher::BROKER;
    Publication { publisher, qos: QoS::AtMostOnce, retain, expires_ms: NEVER_MS, topic, properties: &[], payload }
}

/// True for what may be the topic of a message. Client identifiers can have wildcards in them, topic names cannot.
fn is_sound(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= TOPIC_BYTES_MAX && !filter::has_wildcard(topic)
}

/// True if somebody may subscribe to a topic, here or on another shard.
fn is_wanted(
    ShardId(id): ShardId,
    index: &mut Index,
    groups: &mut Groups,
    interest: Option<&mut (dyn Interest + 'static)>,
    topic: &str,
) -> bool {
    let own = 1 << id;
    let shards = interest.map_or(own, |interest| interest.lookup(topic));
    shards & !own != 0 || (shards & own != 0 && (index.matches_any(topic) || groups.matches_any(topic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_topic_is_told_to_nobody() {
        assert!(is_sound("$SYS/brokers/n/clients/a/b/connected"));
        let long = "x".repeat(TOPIC_BYTES_MAX + 1);
        for unsound in ["", "clients/a+/connected", "clients/#/connected", long.as_str()] {
            assert!(!is_sound(unsound), "{unsound:.40}");
        }
    }
}

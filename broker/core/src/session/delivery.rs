//! Messages between a session and its client that need memory: the outbound window and queue, and inbound QoS 2.
//!
//! Packet identifiers are given out in sequence and the window keeps that order, so an acknowledgement is found by
//! looking at the front, or by bisection on the distance from it. Only once the sequence has gone all the way round to
//! a message that was never acknowledged is the order lost, and the window searched, until it is empty.

use super::holding::Holding;
use super::queue::Queue;
use crate::machine::ShardId;
use crate::message::Message;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use ringmq_wire::QoS;

/// What a message came by, at home on some shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// A shared group.
    Group { home: ShardId, group: u32, generation: u32 },
    /// A message queue, which wants to know by this number when the message is done with.
    Queue { home: ShardId, queue: u32, seq: u32 },
}

/// A message for one subscriber.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) message: Rc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// 0 if there is none.
    pub(crate) subscription_id: u32,
    pub(crate) via: Option<Via>,
    /// Its publisher is held back rather than it be dropped for a message that is not such.
    pub(crate) spared: bool,
}

// There may be millions.
const _: () = assert!(size_of::<Outgoing>() == 32);

/// How far a message in the window has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// PUBLISH was sent; PUBACK or PUBREC is due.
    Published(Outgoing),
    /// PUBREL was sent; PUBCOMP is due. The message itself is no longer needed [MQTT-4.3.3-6].
    Released,
}

/// A message in the window.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) packet_id: u16,
    pub(crate) sent_ms: u64,
    pub(crate) stage: Stage,
    /// Is to be sent again.
    to_resend: bool,
}

impl Flight {
    /// The message, unless it was received already.
    pub(crate) fn outgoing(&self) -> Option<&Outgoing> {
        match &self.stage {
            Stage::Published(outgoing) => Some(outgoing),
            Stage::Released => None,
        }
    }
}

/// A QoS 2 message from the client that it has not released yet [MQTT-4.3.3-10].
#[derive(Debug, Clone, Copy)]
struct Unreleased {
    packet_id: u16,
    since_ms: u64,
}

/// 64-bit words with a bit for every packet identifier.
const IDENTIFIER_WORDS: usize = 1024;

/// A connection that does not take its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stall {
    /// When it last took some, milliseconds.
    pub(crate) since_ms: u64,
    /// Bytes that were unsent then.
    pub(crate) unsent: usize,
}

/// What a session has under way.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// In order of packet identifiers, modulo wrap-around.
    pub(crate) window: VecDeque<Flight>,
    pub(crate) queue: Queue,
    /// Set while the connection has more to take than it should.
    pub(crate) stall: Option<Stall>,
    /// Set while the queue is full, or nearly so, and holds publishers back.
    pub(crate) holding: Option<Box<Holding>>,
    /// Messages in the window that are to be sent again.
    to_resend: usize,
    /// Place in the window before which none of them is.
    resend_from: usize,
    last_packet_id: u16,
    /// Identifiers in use, one bit each, once their sequence has jumped over some; the window is then out of order.
    in_use: Option<Box<[u64; IDENTIFIER_WORDS]>>,
    unreleased: Vec<Unreleased>,
}

impl Delivery {
    pub(crate) fn is_empty(&self) -> bool {
        self.window.is_empty() && self.queue.is_empty() && self.unreleased.is_empty() && self.stall.is_none()
    }

    /// True if the queue holds publishers back.
    pub(crate) fn holds_back(&self) -> bool {
        self.holding.as_ref().is_some_and(|holding| !holding.gave_up)
    }

    /// True if a QoS 0 message has to wait behind others of its kind, or for the connection to take bytes.
    #[inline]
    pub(crate) fn holds_up_at_most_once(&self) -> bool {
        self.stall.is_some() || self.queue.at_most_once() > 0
    }

    /// Puts a message into the window under a fresh packet identifier [MQTT-2.2.1-4] [MQTT3-2.3.1-4] [MQTT-4.3.2-1]
    /// [MQTT-4.3.3-1]. `None` if none is free: then the message has to wait.
    #[inline]
    pub(crate) fn launch(&mut self, now_ms: u64, outgoing: Outgoing) -> Option<u16> {
        if self.window.is_empty() {
            self.in_use = None;
        }
        let packet_id = self.next_packet_id()?;
        if self.in_use.is_none() && packet_id != successor(self.last_packet_id) {
            let mut in_use = Box::new([0; IDENTIFIER_WORDS]);
            self.window.iter().for_each(|flight| in_use[word(flight.packet_id)] |= bit(flight.packet_id));
            self.in_use = Some(in_use);
        }
        if let Some(in_use) = &mut self.in_use {
            in_use[word(packet_id)] |= bit(packet_id);
        }
        self.last_packet_id = packet_id;
        let stage = Stage::Published(outgoing);
        self.window.push_back(Flight { packet_id, sent_ms: now_ms, stage, to_resend: false });
        Some(packet_id)
    }

    /// The next identifier to give out; `None` if all are in use. While the window is in order its identifiers lie
    /// between the front's and the last one given out, so only the front's can be in the way.
    #[inline]
    pub(crate) fn next_packet_id(&self) -> Option<u16> {
        let next = successor(self.last_packet_id);
        let Some(front) = self.window.front() else { return Some(next) };
        match &self.in_use {
            None if front.packet_id != next => Some(next),
            None => first_free(next, |candidate| self.position(candidate).is_some()),
            Some(in_use) => first_free(next, |candidate| in_use[word(candidate)] & bit(candidate) != 0),
        }
    }

    /// Marks messages to be sent again: all for a new connection, else those that were sent at or before `sent_ms`.
    pub(crate) fn mark_to_resend(&mut self, sent_ms: u64) {
        for flight in &mut self.window {
            flight.to_resend |= matches!(flight.stage, Stage::Published(_)) && flight.sent_ms <= sent_ms;
        }
        self.to_resend = self.window.iter().filter(|flight| flight.to_resend).count();
        self.resend_from = 0;
    }

    /// True if some message has to be sent again first.
    #[inline]
    pub(crate) fn must_resend(&self) -> bool {
        self.to_resend > 0
    }

    /// The first message that is to be sent again.
    pub(crate) fn first_to_resend(&mut self) -> Option<usize> {
        if self.to_resend == 0 {
            return None;
        }
        let ahead = self.window.range(self.resend_from..).position(|flight| flight.to_resend);
        self.resend_from += ahead.expect("as many as were marked");
        Some(self.resend_from)
    }

    /// The message at this place of the window is sent again now.
    pub(crate) fn sent_again(&mut self, at: usize, now_ms: u64) {
        let flight = &mut self.window[at];
        flight.sent_ms = now_ms;
        self.to_resend -= usize::from(core::mem::take(&mut flight.to_resend));
    }

    /// Takes a message out of the window.
    pub(crate) fn land(&mut self, at: usize) -> Flight {
        let flight = self.window.remove(at).expect("position in the window");
        self.to_resend -= usize::from(flight.to_resend);
        if at < self.resend_from {
            self.resend_from -= 1;
        }
        if let Some(in_use) = &mut self.in_use {
            in_use[word(flight.packet_id)] &= !bit(flight.packet_id);
        }
        flight
    }

    /// True if a message of a message queue is in the window.
    pub(crate) fn has_from_queue(&self) -> bool {
        let from_queue = |outgoing: &Outgoing| matches!(outgoing.via, Some(Via::Queue { .. }));
        self.window.iter().filter_map(Flight::outgoing).any(from_queue)
    }

    /// Takes out what came by such a way and is not wholly delivered. To be used between connections: the client goes on
    /// using the identifiers of what it was sent.
    pub(crate) fn withdraw(&mut self, such: impl Fn(Via) -> bool) {
        for at in (0..self.window.len()).rev() {
            if let Stage::Published(Outgoing { via: Some(via), .. }) = self.window[at].stage
                && such(via)
            {
                self.land(at);
            }
        }
        self.queue.remove(|outgoing| outgoing.via.is_some_and(&such));
    }

    /// The client has received the message at this place of the window: PUBREL is next.
    pub(crate) fn release_to_client(&mut self, at: usize, now_ms: u64) {
        self.sent_again(at, now_ms);
        self.window[at].stage = Stage::Released;
    }

    /// Messages that this connection has been sent and not wholly acknowledged.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        self.window.len() - self.to_resend
    }

    /// Where in the window a packet identifier is.
    #[inline]
    pub(crate) fn position(&self, packet_id: u16) -> Option<usize> {
        let front = self.window.front()?.packet_id;
        if front == packet_id {
            return Some(0);
        }
        if self.in_use.is_some() {
            return self.window.iter().position(|flight| flight.packet_id == packet_id);
        }
        let distance = packet_id.wrapping_sub(front);
        self.window.binary_search_by_key(&distance, |flight| flight.packet_id.wrapping_sub(front)).ok()
    }

    /// Notes an inbound QoS 2 message. False if its identifier is in use.
    pub(crate) fn hold_until_released(&mut self, packet_id: u16, now_ms: u64) -> bool {
        if self.is_unreleased(packet_id) {
            return false;
        }
        self.unreleased.push(Unreleased { packet_id, since_ms: now_ms });
        true
    }

    pub(crate) fn is_unreleased(&self, packet_id: u16) -> bool {
        self.unreleased.iter().any(|held| held.packet_id == packet_id)
    }

    /// Forgets an inbound QoS 2 message. False if it was not held.
    pub(crate) fn release(&mut self, packet_id: u16) -> bool {
        let Some(at) = self.unreleased.iter().position(|held| held.packet_id == packet_id) else { return false };
        self.unreleased.remove(at);
        true
    }

    /// Inbound QoS 2 messages that wait for PUBREL.
    pub(crate) fn unreleased(&self) -> usize {
        self.unreleased.len()
    }

    /// Since when the oldest of them waits, milliseconds.
    pub(crate) fn unreleased_since_ms(&self) -> Option<u64> {
        self.unreleased.first().map(|held| held.since_ms)
    }

    /// Forgets those that came at or before `since_ms` and says how many they were.
    pub(crate) fn drop_unreleased(&mut self, since_ms: u64) -> usize {
        let before = self.unreleased.len();
        self.unreleased.retain(|held| held.since_ms > since_ms);
        before - self.unreleased.len()
    }
}

/// The first identifier from `first` on that is not in use.
#[cold]
fn first_free(first: u16, in_use: impl Fn(u16) -> bool) -> Option<u16> {
    let mut candidate = first;
    for _ in 1..=u16::MAX {
        if !in_use(candidate) {
            return Some(candidate);
        }
        candidate = successor(candidate);
    }
    None
}

const fn word(packet_id: u16) -> usize {
    packet_id as usize / 64
}

const fn bit(packet_id: u16) -> u64 {
    1 << (packet_id % 64)
}

/// The identifier after this one; 0 is none.
const fn successor(packet_id: u16) -> u16 {
    match packet_id.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{NEVER_MS, Publication, Publisher};
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn outgoing() -> Outgoing {
        let passing = Publication {
            publisher: Publisher { key: 0, client_hash: 0 },
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_ms: NEVER_MS,
            topic: "t",
            properties: &[],
            payload: &[],
        };
        let message = Message::keep(&passing);
        Outgoing { message, qos: QoS::AtLeastOnce, retain: false, subscription_id: 0, via: None, spared: false }
    }

    proptest! {
        /// [MQTT-2.2.1-4]: identifiers in use are unique and not 0, whatever the order of acknowledgements, and each is
        /// found again.
        #[test]
        fn identifiers_stay_unique(acks in prop::collection::vec(any::<u16>(), 1..300), start in any::<u16>()) {
            let message = outgoing();
            let mut delivery = Delivery { last_packet_id: start, ..Delivery::default() };
            let mut model = BTreeSet::new();
            for ack in acks {
                for _ in 0..(ack % 5) {
                    if let Some(id) = delivery.launch(0, message.clone()) {
                        prop_assert!(id != 0 && model.insert(id));
                    }
                }
                if let Some(&id) = model.iter().nth(usize::from(ack) % model.len().max(1)) {
                    let at = delivery.position(id).expect("in the window");
                    prop_assert_eq!(delivery.land(at).packet_id, id);
                    model.remove(&id);
                    prop_assert_eq!(delivery.position(id), None);
                }
            }
        }
    }

    #[test]
    fn identifiers_in_use_are_jumped_over() {
        let message = outgoing();
        let mut delivery = Delivery::default();
        let held: Vec<_> = (0..3).map(|_| delivery.launch(0, message.clone()).expect("free")).collect();
        for _ in 0..200_000 {
            let id = delivery.launch(0, message.clone()).expect("free");
            assert!(!held.contains(&id));
            let at = delivery.position(id).expect("in the window");
            delivery.land(at);
        }
        assert!(held.iter().all(|id| delivery.position(*id).is_some()));
    }
}

//! Lists of what a shard holds, a page at a time. Nothing here changes anything.
//!
//! Positions are slots of slabs, which their occupants keep for life.

use super::Shard;
use super::exclusive::EXCLUSIVE_PREFIX;
use super::queues::QUEUE_PREFIX;
use crate::control::{
    ClientFacts, FilterFacts, Lag, PAGE_BYTES_SOFT_MAX, PAGE_ROWS_MAX, PAGE_STEPS_MAX, Page, Position,
    SubscriptionFacts,
};
use crate::machine::Effects;
use crate::session::{Outgoing, Session, Stage, Subscription, Via};
use crate::topics::filter;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What the position in the list of filters counts within a slot: the index of plain subscriptions first.
const PLAIN: u32 = 0;
const SHARED: u32 = 1;

/// Messages that count as one place looked at.
const MESSAGES_PER_STEP: usize = 16;

/// A page that is being filled.
struct Draft<T> {
    rows: Vec<T>,
    steps: u32,
    bytes: usize,
}

impl<T> Draft<T> {
    fn new() -> Self {
        Self { rows: Vec::new(), steps: 0, bytes: 0 }
    }

    /// Counts a place that is about to be looked at; false if it belongs on the next page.
    fn step(&mut self) -> bool {
        let room = self.steps < PAGE_STEPS_MAX
            && self.rows.len() < PAGE_ROWS_MAX
            && (self.rows.is_empty() || self.bytes < PAGE_BYTES_SOFT_MAX);
        self.steps += 1;
        room
    }

    fn push(&mut self, row: T, bytes: usize) {
        self.rows.push(row);
        self.bytes += bytes;
    }

    fn end(self, next: Option<Position>) -> Page<T> {
        Page { rows: self.rows, next }
    }
}

/// The order of a session's subscriptions as a number: the position within its slot.
fn order(subscription: Subscription) -> u32 {
    subscription.filter.number() << 1 | u32::from(subscription.shared)
}

impl Shard {
    pub(super) fn list_clients(&self, from: Position, fx: &Effects) -> Page<ClientFacts> {
        let mut draft = Draft::new();
        for (slot, held) in self.hub.sessions.slots_from(from.slot) {
            if !draft.step() {
                return draft.end(Some(Position { slot, within: 0 }));
            }
            if let Some(held) = held {
                let facts = self.facts(held, fx);
                let bytes = facts.client_id.len() + facts.username.as_ref().map_or(0, |username| username.len());
                draft.push(facts, bytes);
            }
        }
        draft.end(None)
    }

    pub(super) fn show_client(&self, client_id: &str, fx: &Effects) -> Option<ClientFacts> {
        let session = self.find_client(client_id)?;
        self.hub.sessions.get(session).map(|held| self.facts(held, fx))
    }

    fn facts(&self, held: &Session, fx: &Effects) -> ClientFacts {
        let open = held.conn.and_then(|conn| self.conns.get(conn));
        let since_ms = open.map_or(held.last_seen_ms, |open| u64::from(open.since_s) * 1000);
        let delivery = held.delivery.as_ref();
        let unsent_bytes = held.conn.map_or(0, |conn| fx.outbox.unsent(conn));
        ClientFacts {
            client_id: held.names.client_id().into(),
            username: held.names.username().map(Into::into),
            peer: open.map(|open| open.peer.into()),
            listener: held.listener,
            mountpoint: held.extra.as_ref().and_then(|extra| extra.mountpoint.clone()),
            protocol_level: held.version.level(),
            since_ms: self.unix_offset_ms.saturating_add(since_ms),
            keep_alive_s: held.keep_alive,
            expiry_s: held.expiry_s,
            subscriptions: held.subscriptions.as_slice().len(),
            queued: delivery.map_or(0, |delivery| delivery.queue.len()),
            in_flight: delivery.map_or(0, |delivery| delivery.window.len()),
            in_flight_max: held.window,
            unreleased: delivery.map_or(0, |delivery| delivery.unreleased()),
            unsent_bytes,
            congested: self.hub.profiles.is_congested(held.listener, unsent_bytes),
            held_back: self.back_pressure.is_held_back(held.key),
            holds_back: delivery.and_then(|held| held.holding.as_ref()).map_or(0, |holding| holding.len()),
            drops: held.extra.as_ref().map(|extra| extra.drops).unwrap_or_default(),
        }
    }

    pub(super) fn list_subscriptions(&self, of: Option<&str>, from: Position) -> Page<SubscriptionFacts> {
        let mut draft = Draft::new();
        let (first, last) = match of.map(|client_id| self.find_client(client_id)) {
            None => (from.slot, u32::MAX),
            Some(Some(session)) => (session, session),
            Some(None) => return draft.end(None),
        };
        for (slot, held) in self.hub.sessions.slots_from(first).take_while(|(slot, _)| *slot <= last) {
            let within = if slot == from.slot { from.within } else { 0 };
            if !draft.step() {
                return draft.end(Some(Position { slot, within }));
            }
            let Some(held) = held else { continue };
            let all = held.subscriptions.as_slice();
            let waiting = held.delivery.as_ref().map_or(0, |delivery| delivery.queue.len() + delivery.window.len());
            for (at, subscription) in all[all.partition_point(|held| order(*held) < within)..].iter().enumerate() {
                if at > 0 && !draft.step() {
                    return draft.end(Some(Position { slot, within: order(*subscription) }));
                }
                if subscription.shared {
                    // Each of them is looked at.
                    draft.steps += u32::try_from(waiting / MESSAGES_PER_STEP).unwrap_or(u32::MAX / 2);
                }
                let row = self.subscription_facts(slot, held, *subscription);
                let bytes = row.client_id.len() + row.filter.len();
                draft.push(row, bytes);
            }
        }
        draft.end(None)
    }

    fn subscription_facts(&self, session: u32, held: &Session, subscription: Subscription) -> SubscriptionFacts {
        let index = if subscription.shared { self.groups.joined() } else { &self.index };
        let text = index.filter(subscription.filter);
        let filter = match subscription.shared {
            true => shared(text),
            false if held.extra.as_ref().is_some_and(|extra| extra.owns(text)) => format!("{EXCLUSIVE_PREFIX}{text}"),
            false => text.to_string(),
        };
        let subscriber = index.subscriber(subscription.filter, session).expect("subscription of a session");
        SubscriptionFacts {
            client_id: held.names.client_id().into(),
            filter,
            qos: subscriber.options.qos(),
            no_local: subscriber.options.no_local(),
            retain_as_published: subscriber.options.retain_as_published(),
            subscription_id: subscriber.subscription_id,
            lag: (subscription.shared && !text.starts_with(QUEUE_PREFIX)).then(|| lag(held, text)),
        }
    }

    pub(super) fn list_filters(&self, from: Position) -> Page<FilterFacts> {
        let mut draft = Draft::new();
        let plain = if from.within == PLAIN { from.slot } else { u32::MAX };
        for (slot, filter) in self.index.slots_from(plain) {
            if !draft.step() {
                return draft.end(Some(Position { slot, within: PLAIN }));
            }
            if let Some((text, subscribers)) = filter {
                draft.push(FilterFacts { filter: text.to_string(), subscribers }, text.len());
            }
        }
        let groups = if from.within == SHARED { from.slot } else { 0 };
        for (slot, group) in self.groups.slots_from(groups) {
            if !draft.step() {
                return draft.end(Some(Position { slot, within: SHARED }));
            }
            if let Some((name, subscribers)) = group {
                draft.push(FilterFacts { filter: shared(name), subscribers }, name.len());
            }
        }
        draft.end(None)
    }
}

/// What waits for a session by the shared subscription with this full name.
fn lag(held: &Session, name: &str) -> Lag {
    let (Some(delivery), Some((_, shared))) = (&held.delivery, name.split_once('/')) else { return Lag::default() };
    let by_group = |outgoing: &Outgoing| {
        matches!(outgoing.via, Some(Via::Group { .. })) && filter::matches(shared, outgoing.message.view().topic)
    };
    let in_flight = delivery.window.iter().filter(|flight| match &flight.stage {
        Stage::Published(outgoing) => by_group(outgoing),
        Stage::Released => false,
    });
    Lag {
        queued: delivery.queue.messages().filter(|outgoing| by_group(outgoing)).count(),
        in_flight: in_flight.count(),
    }
}

/// What clients call the group or queue with this full name.
fn shared(name: &str) -> String {
    if name.starts_with(QUEUE_PREFIX) { name.to_string() } else { format!("$share/{name}") }
}

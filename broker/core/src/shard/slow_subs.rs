//! Slow subscriptions (EMQX's `slow_subs`): which clients took longest to be given a message, and of which topics.
//!
//! A message's time begins when its subscriber's shard takes it in; the way from another shard, well below a
//! millisecond, is not in it. It ends when the client has acknowledged the message (at QoS 2 with PUBREC), at QoS 0 when it
//! is sent. What is sent at once at QoS 0 takes no time and is not looked at. Retained messages are not measured.
//!
//! Nothing is measured unless it is wanted.

use super::Shard;
use super::hub::Hub;
use crate::control::SlowSubFacts;
use crate::session::{Outgoing, Session, Stage};
use crate::settings::{SlowSubs as Settings, SlowSubsTime};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A client and a topic that were slow.
struct Slow {
    client_id: Box<str>,
    topic: Box<str>,
    span_ms: u64,
    /// When that was, milliseconds.
    at_ms: u64,
}

/// The slowest of this shard.
#[derive(Default)]
pub(super) struct SlowSubs(Vec<Slow>);

impl SlowSubs {
    fn note(&mut self, settings: &Settings, now_ms: u64, client_id: &str, topic: &str, span_ms: u64) {
        if u128::from(span_ms) < settings.threshold.as_millis() {
            return;
        }
        self.expire(settings, now_ms);
        if let Some(slow) = self.0.iter_mut().find(|slow| *slow.client_id == *client_id && *slow.topic == *topic) {
            // As in EMQX the slowest stands there until it is that old, whatever came after it.
            if slow.span_ms < span_ms {
                (slow.span_ms, slow.at_ms) = (span_ms, now_ms);
            }
            return;
        }
        let slow = Slow { client_id: client_id.into(), topic: topic.into(), span_ms, at_ms: now_ms };
        if self.0.len() < usize::from(settings.top_k) {
            self.0.push(slow);
        } else if let Some(least) = self.0.iter_mut().min_by_key(|slow| slow.span_ms)
            && least.span_ms < span_ms
        {
            *least = slow;
        }
    }

    fn expire(&mut self, settings: &Settings, now_ms: u64) {
        let expire_ms = u64::try_from(settings.expire_interval.as_millis()).unwrap_or(u64::MAX);
        self.0.retain(|slow| now_ms < slow.at_ms.saturating_add(expire_ms));
    }

    /// A QoS 0 message that had waited was sent.
    #[cold]
    pub(super) fn note_sent(&mut self, settings: &Settings, now_ms: u64, session: &Session, outgoing: &Outgoing) {
        if settings.time != SlowSubsTime::Response
            && let Some(span_ms) = waited_ms(outgoing, now_ms)
        {
            self.note(settings, now_ms, session.names.client_id(), outgoing.message.view().topic, span_ms);
        }
    }
}

/// How long ago a message was taken in, if that is known.
fn waited_ms(outgoing: &Outgoing, now_ms: u64) -> Option<u64> {
    if outgoing.retain { None } else { outgoing.message.age_ms(now_ms) }
}

impl Hub {
    /// A client answers a message of QoS 1 or 2.
    #[cold]
    pub(super) fn note_answered(&mut self, from: u32, packet_id: u16) {
        let Some(session) = self.sessions.get(from) else { return };
        let Some(delivery) = &session.delivery else { return };
        let Some(flight) = delivery.position(packet_id).map(|at| &delivery.window[at]) else { return };
        let Stage::Published(outgoing) = &flight.stage else { return };
        let settings = &self.settings.slow_subs;
        let answered_ms = self.now_ms.saturating_sub(flight.sent_ms);
        let span_ms = match (settings.time, waited_ms(outgoing, self.now_ms)) {
            (SlowSubsTime::Whole, Some(waited_ms)) => waited_ms,
            (SlowSubsTime::Internal, Some(waited_ms)) => waited_ms.saturating_sub(answered_ms),
            (SlowSubsTime::Response, _) => answered_ms,
            (_, None) => return,
        };
        let topic = outgoing.message.view().topic;
        self.slow_subs.note(settings, self.now_ms, session.names.client_id(), topic, span_ms);
    }
}

impl Shard {
    /// The slowest, in no order.
    pub(super) fn list_slow_subs(&mut self) -> Vec<SlowSubFacts> {
        self.hub.slow_subs.expire(&self.hub.settings.slow_subs, self.hub.now_ms);
        let facts = |slow: &Slow| SlowSubFacts {
            client_id: slow.client_id.clone(),
            topic: slow.topic.clone(),
            span_ms: slow.span_ms,
            at_ms: self.unix_offset_ms.saturating_add(slow.at_ms),
        };
        self.hub.slow_subs.0.iter().map(facts).collect()
    }

    /// Forgets them.
    pub(super) fn clear_slow_subs(&mut self) {
        self.hub.slow_subs = SlowSubs::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn noted(slow: &SlowSubs) -> Vec<(&str, u64)> {
        let mut noted: Vec<(&str, u64)> = slow.0.iter().map(|slow| (&*slow.client_id, slow.span_ms)).collect();
        noted.sort_unstable();
        noted
    }

    #[test]
    fn the_slowest_are_kept_for_a_while_and_each_once() {
        let settings = Settings { top_k: 2, expire_interval: Duration::from_secs(1), ..Settings::default() };
        let mut slow = SlowSubs::default();
        slow.note(&settings, 0, "quick", "t", 499);
        assert!(noted(&slow).is_empty());
        slow.note(&settings, 0, "a", "t", 500);
        slow.note(&settings, 100, "b", "t", 700);
        slow.note(&settings, 200, "c", "t", 600);
        assert_eq!(noted(&slow), [("b", 700), ("c", 600)]);
        slow.note(&settings, 200, "a", "t", 500);
        slow.note(&settings, 300, "c", "t", 550);
        assert_eq!(noted(&slow), [("b", 700), ("c", 600)], "as it was at its slowest");
        slow.note(&settings, 400, "c", "t", 650);
        assert_eq!(noted(&slow), [("b", 700), ("c", 650)]);
        slow.note(&settings, 900, "c", "t", 650);
        slow.expire(&settings, 1_099);
        assert_eq!(noted(&slow).len(), 2);
        slow.note(&settings, 1_100, "d", "t", 500);
        assert_eq!(noted(&slow), [("c", 650), ("d", 500)]);
        slow.expire(&settings, 1_400);
        assert_eq!(noted(&slow), [("d", 500)], "its time runs from when it was slowest");
    }
}

//! Delayed publishing (EMQX: `$delayed/<seconds>/<topic>`): messages that are published later.
//!
//! They wait in memory, on the shard of the client that published them, and are gone with the process. The publisher's
//! acknowledgement says that the message has been taken in. Its expiry runs from then.

use super::Shard;
use super::pressure::CHECK_INTERVAL_MS;
use super::publish::TakenIn;
use crate::machine::Effects;
use crate::message::{Message, Publication};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;

/// Prefix of a topic whose messages are to be published later.
pub(super) const DELAYED_PREFIX: &str = "$delayed/";

/// Longest delay, seconds: about 49.7 days. A larger number is a time, in seconds since 1970.
pub(super) const DELAY_MAX_S: u64 = 4_294_967;

/// Delayed messages published in one turn.
const DUE_PER_TURN: usize = 1024;

/// Messages that wait for their time.
#[derive(Default)]
pub(super) struct Delayed {
    /// By when they are due, milliseconds, and in the order in which they came.
    waiting: BTreeMap<(u64, u64), Rc<Message>>,
    came: u64,
    /// Nothing is published before this, milliseconds.
    not_before_ms: u64,
}

impl Delayed {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When the next message is to be published, milliseconds.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((due_ms, _), _)| self.not_before_ms.max(*due_ms))
    }

    fn add(&mut self, due_ms: u64, passing: &Publication<'_>) {
        self.came += 1;
        self.waiting.insert((due_ms, self.came), Message::keep(passing));
    }

    fn pop_due(&mut self, now_ms: u64) -> Option<Rc<Message>> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ms).then(|| first.remove())
    }
}

/// Takes the topic of a delayed message apart: its number and what it is to be published under. `None` if the number is
/// none or nothing follows it.
fn parse(rest: &str) -> Option<(u64, &str)> {
    let (number, topic) = rest.split_once('/')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !topic.is_empty()).then_some(())?;
    Some((number.parse().ok()?, topic))
}

/// The topic that a message is published under once its delay is over; `None` if the topic asks for none.
pub(crate) fn undelayed(topic: &str) -> Option<&str> {
    parse(topic.strip_prefix(DELAYED_PREFIX)?).map(|(_, topic)| topic)
}

impl Shard {
    /// Keeps a message until its time. `rest` is its topic behind [`DELAYED_PREFIX`], `topic` what it is to be published
    /// under. A message that cannot be kept is dropped: its number is none, is too far ahead, or there are too many.
    pub(super) fn delay(
        &mut self,
        passing: &Publication<'_>,
        rest: &str,
        topic: Option<&str>,
        fx: &mut Effects,
    ) -> TakenIn {
        const DROPPED: TakenIn = TakenIn { matched: false, ticket: None };
        let due = parse(rest).and_then(|(number, bare)| Some((self.due_ms(number)?, topic.unwrap_or(bare))));
        let max = self.hub.settings.delayed_max_messages;
        let full = max > 0 && self.delayed.len() as u64 >= max;
        let Some((due_ms, topic)) = due.filter(|_| !full) else {
            self.hub.counters.messages_delayed_dropped += 1;
            return DROPPED;
        };
        let passing = Publication { topic, ..*passing };
        if due_ms <= self.hub.now_ms {
            return self.take_in(&passing, None, fx);
        }
        self.delayed.add(due_ms, &passing);
        self.hub.counters.messages_delayed += 1;
        TakenIn { matched: true, ticket: None }
    }

    /// When a message with this number is due, on the shards' clock.
    fn due_ms(&self, number: u64) -> Option<u64> {
        let now_ms = self.hub.now_ms;
        if number <= DELAY_MAX_S {
            return Some(now_ms + number * 1000);
        }
        let due_ms = number.checked_mul(1000)?.saturating_sub(self.unix_offset_ms);
        (due_ms <= now_ms + DELAY_MAX_S * 1000).then_some(due_ms)
    }

    /// Publishes what is due, as much as a turn may, unless a shard is congested: there is no publisher to hold up.
    pub(super) fn publish_delayed(&mut self, fx: &mut Effects) {
        for _ in 0..DUE_PER_TURN {
            if self.delayed.next_due_ms().is_none_or(|due_ms| due_ms > self.hub.now_ms) {
                return;
            }
            if self.congested(fx) != 0 {
                self.delayed.not_before_ms = self.hub.now_ms + CHECK_INTERVAL_MS;
                return;
            }
            let Some(message) = self.delayed.pop_due(self.hub.now_ms) else { return };
            self.take_in(&message.view(), None, fx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_taken_apart() {
        assert_eq!(parse("5/a/b"), Some((5, "a/b")));
        assert_eq!(parse("5//b"), Some((5, "/b")));
        for wrong in ["", "5", "5/", "/a", "x/a", "-1/a", "+1/a", "1.5/a", "99999999999999999999999/a"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(undelayed("$delayed/1/$delayed/2/t"), Some("$delayed/2/t"));
        assert_eq!(undelayed("delayed/1/t"), None);
    }
}

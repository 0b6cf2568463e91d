//! Retained messages (section 3.3.1.3), each at home on the shard that its topic hashes to.
//!
//! A subscription with wildcards asks every shard, and its SUBACK waits until each has noted what it retains at that
//! time: what is published after the SUBACK comes as a live message and not as a retained one too. Then each sends in
//! slices: the next slice comes only when the session has room, so that a `#` over a million retained messages stalls
//! nobody and overflows no queue.

use super::Shard;
use super::hub::{Once, Target, has_room};
use super::record::{Record, RemoteTarget, SessionRef};
use super::write::lend;
use crate::control::RetainedFacts;
use crate::limit::Bucket;
use crate::machine::{Effects, ShardId};
use crate::message::{Message, NEVER_MS, Publication, Publisher};
use crate::retained::{Cursor, Topical};
use crate::settings::Settings;
use crate::slab::Slab;
use crate::topics::filter;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Steps of a walk over retained messages in one slice, and so the most messages in one.
const SLICE_STEPS: usize = 256;

/// Bytes of payload after which a slice ends.
const SLICE_BYTES: usize = 256 * 1024;

/// Retained messages looked at every second in search of expired ones.
const SWEEP_STEPS: usize = 4096;

/// Slices a second of a replay whose rate is limited.
const SLICES_PER_SECOND: u32 = 10;

/// Slices of replays in one turn.
const SLICES_PER_TURN: usize = 8;

/// A retained message.
pub(super) struct Retained {
    message: Rc<Message>,
    /// Counts what was stored on this shard: tells what is older than a replay.
    sequence: u64,
}

impl Topical for Retained {
    #[inline]
    fn topic_bytes(&self) -> &[u8] {
        self.message.topic_bytes()
    }
}

impl Retained {
    pub(super) fn expires_ms(&self) -> u64 {
        self.message.expires_ms()
    }

    pub(super) fn facts(&self, topic: &str) -> RetainedFacts {
        let passing = self.message.view();
        RetainedFacts { topic: topic.into(), qos: passing.qos.bits(), payload_bytes: passing.payload.len() }
    }
}

/// A replay under way.
struct Replay {
    to: ShardId,
    target: RemoteTarget,
    filter: Box<str>,
    cursor: Option<Cursor>,
    /// Messages stored later are not part of it.
    sequence: u64,
    /// Found, but more than fitted the slice.
    found: VecDeque<Rc<Message>>,
}

/// Replays that this shard gives, to its own sessions and to those of other shards.
#[derive(Default)]
pub(super) struct Replays {
    replays: Slab<Replay>,
    /// Those that are to send their next slice.
    active: VecDeque<u32>,
    /// Messages retained so far.
    sequence: u64,
    /// What may still be stored and cleared, where that is limited.
    stored: Bucket,
}

impl Replays {
    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }
}

impl Shard {
    /// Stores or clears a retained message at its home [MQTT-3.3.1-5]. Returns a ticket if that is elsewhere and
    /// `acknowledge_to` wants to know when it is done.
    pub(super) fn retain(
        &mut self,
        passing: &Publication<'_>,
        acknowledge_to: Option<u32>,
        fx: &mut Effects,
    ) -> Option<u32> {
        let home = self.placement.home(passing.topic.as_bytes());
        if home == self.id {
            self.store_retained(passing);
            return None;
        }
        let (session, ticket) = match acknowledge_to {
            Some(session) => (session, self.ticket()),
            None => (0, 0),
        };
        let generation = self.hub.sessions.generation(session).unwrap_or(0);
        let from = SessionRef { session, generation };
        self.tell(home, &Record::Retain { from, ticket, passing: *passing }, fx);
        (ticket != 0).then_some(ticket)
    }

    /// Stores a message in place of the one before [MQTT-3.3.1-5] [MQTT3-3.3.1-5] [MQTT3-3.3.1-7], or clears its topic
    /// if it is empty [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]. Only messages with the RETAIN
    /// flag come here [MQTT-3.3.1-8] [MQTT3-3.3.1-12].
    pub(super) fn store_retained(&mut self, passing: &Publication<'_>) {
        if !self.hub.settings.retainer_enable {
            return;
        }
        if !self.may_retain(passing) {
            self.hub.counters.retained_dropped += 1;
            return;
        }
        if passing.payload.is_empty() {
            self.retained.remove(passing.topic);
            return;
        }
        let settings = &self.hub.settings;
        let full = settings.retainer_max_messages > 0
            && self.retained.len() as u64 >= settings.retainer_max_messages
            && self.retained.get(passing.topic).is_none();
        if full || passing.payload.len() > settings.retainer_max_payload_size as usize {
            self.hub.counters.retained_dropped += 1;
            return;
        }
        self.replays.sequence += 1;
        let sequence = self.replays.sequence;
        let mut passing = *passing;
        if passing.expires_ms == NEVER_MS
            && let Some(interval) = settings.retainer_msg_expiry_interval
        {
            passing.expires_ms =
                self.hub.now_ms.saturating_add(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX));
        }
        self.retained.insert(Retained { message: Message::keep(&passing), sequence });
        self.hub.counters.messages_retained += 1;
    }

    /// Counts a message against what may be stored and cleared in a time. The broker's own are not counted.
    fn may_retain(&mut self, passing: &Publication<'_>) -> bool {
        let Some(rate) = self.hub.settings.retainer_max_publish_rate else { return true };
        if passing.publisher == Publisher::BROKER {
            return true;
        }
        let open = self.replays.stored.is_open(rate, self.turn);
        if open {
            self.replays.stored.take(rate, self.turn, 1);
        }
        open
    }

    /// Makes ready to send the retained messages that match a filter [MQTT-3.3.1-9] [MQTT3-3.3.1-6]: adds those of this
    /// shard to `ready` and returns how many other shards were asked for theirs.
    pub(super) fn prepare_replay(
        &mut self,
        target: RemoteTarget,
        filter: &str,
        ticket: u32,
        ready: &mut Vec<(ShardId, u32)>,
        fx: &mut Effects,
    ) -> u32 {
        let shards = if filter::has_wildcard(filter) {
            0..u8::try_from(fx.mesh.shards().max(1)).expect("at most 64 shards")
        } else {
            let ShardId(home) = self.placement.home(filter.as_bytes());
            home..home + 1
        };
        let mut asked = 0;
        for shard in shards.map(ShardId) {
            if shard == self.id {
                ready.extend(self.open_replay(shard, target, filter).map(|replay| (shard, replay)));
            } else {
                self.tell(shard, &Record::Replay { target, ticket, filter }, fx);
                asked += 1;
            }
        }
        asked
    }

    /// Notes what is to be sent to a session of shard `to`; `None` if that is nothing.
    pub(super) fn open_replay(&mut self, to: ShardId, target: RemoteTarget, filter: &str) -> Option<u32> {
        let nothing = !self.hub.settings.retainer_enable
            || self.retained.is_empty()
            || (!filter::has_wildcard(filter) && self.retained.get(filter).is_none());
        if nothing {
            return None;
        }
        let sequence = self.replays.sequence;
        Some(self.replays.replays.insert(Replay {
            to,
            target,
            filter: filter.into(),
            cursor: None,
            sequence,
            found: VecDeque::new(),
        }))
    }

    fn replay_one(&mut self, to: ShardId, target: RemoteTarget, message: &Rc<Message>, fx: &mut Effects) {
        let passing = message.view();
        if passing.expired(self.hub.now_ms) {
            self.retained.remove(passing.topic);
            return;
        }
        if to == self.id {
            lend(message, self.hub.traces.is_some(), fx);
            let mut once = Once::of_kept(&passing, message);
            self.hub.deliver_retained(here(target), &mut once, fx);
        } else {
            self.tell(to, &Record::Replayed { target, passing }, fx);
        }
    }

    /// Sends one slice of a replay.
    fn replay_slice(&mut self, replay: u32, fx: &mut Effects) {
        let Some(held) = self.replays.replays.get_mut(replay) else { return };
        let (to, target) = (held.to, held.target);
        if to == self.id && !self.is_alive(target.to) {
            self.replays.replays.remove(replay);
            return;
        }
        let limit = self.hub.profiles.slice_len();
        let held = self.replays.replays.get_mut(replay).expect("replay");
        let mut found = core::mem::take(&mut held.found);
        if found.is_empty() {
            let sequence = held.sequence;
            let mut collect = |_: &str, retained: &Retained| {
                if retained.sequence <= sequence {
                    found.push_back(retained.message.clone());
                }
            };
            if filter::has_wildcard(&held.filter) {
                held.cursor = self.retained.scan(&held.filter, held.cursor.take(), limit, &mut collect);
            } else if let Some(retained) = self.retained.get(&held.filter) {
                collect(&held.filter, retained);
            }
        }
        let nothing = found.is_empty();
        let mut bytes = 0;
        while bytes < SLICE_BYTES
            && let Some(message) = found.pop_front()
        {
            bytes += message.view().payload.len();
            self.replay_one(to, target, &message, fx);
        }
        let held = self.replays.replays.get_mut(replay).expect("replay");
        held.found = found;
        let more = !held.found.is_empty() || held.cursor.is_some();
        if !more {
            self.replays.replays.remove(replay);
        } else if nothing {
            self.replays.active.push_back(replay);
            return;
        }
        if to == self.id {
            self.slice_ended(self.id, target.to, replay, more, fx);
        } else {
            self.tell(to, &Record::ReplaySlice { to: target.to, replay, more }, fx);
        }
    }

    fn is_alive(&self, session: SessionRef) -> bool {
        self.hub.sessions.get_generation(session.session, session.generation).is_some()
    }

    /// A message of another shard's replay.
    pub(super) fn replayed(&mut self, target: RemoteTarget, passing: &Publication<'_>, fx: &mut Effects) {
        if self.is_alive(target.to) {
            self.hub.deliver_retained(here(target), &mut Once::new(passing), fx);
        }
    }

    /// A slice for a session here is over; if there is `more`, `from` waits to be asked for it.
    pub(super) fn slice_ended(&mut self, from: ShardId, to: SessionRef, replay: u32, more: bool, fx: &mut Effects) {
        let Some(session) = self.hub.sessions.get_generation_mut(to.session, to.generation) else {
            if more {
                self.cancel_replay(from, replay, fx);
            }
            return;
        };
        let extra = session.extra_mut();
        extra.replaying = false;
        if more {
            extra.replays.push_front((from, replay));
        }
        let sent = u64::from(core::mem::take(&mut extra.replayed));
        if let Some(pause_ms) = (sent * 1000).checked_div(u64::from(self.hub.settings.retainer_delivery_rate)) {
            extra.replay_due_ms = extra.replay_due_ms.max(self.hub.now_ms) + pause_ms;
        }
        self.continue_replays(to.session, fx);
    }

    fn ask_for_slice(&mut self, of: ShardId, replay: u32, fx: &mut Effects) {
        if of == self.id {
            self.replays.active.push_back(replay);
        } else {
            self.tell(of, &Record::ReplayNext { replay }, fx);
        }
    }

    /// The session that a replay of this shard is for wants the next slice.
    pub(super) fn next_slice_wanted(&mut self, replay: u32) {
        self.replays.active.push_back(replay);
    }

    /// Begins or goes on with the replays of a session, one slice at a time, if it has room.
    pub(super) fn continue_replays(&mut self, session: u32, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get_mut(session) else { return };
        let settings = self.hub.profiles.of(held.listener);
        let (room, low) = (has_room(held, settings, fx), settings.low_watermark());
        let Some(extra) = &mut held.extra else { return };
        if extra.replaying || extra.replays.is_empty() {
            return;
        }
        if self.hub.now_ms < extra.replay_due_ms {
            self.hub.to_arm.push(session);
            return;
        }
        if room {
            let (shard, replay) = extra.replays.pop_front().expect("a first one");
            extra.replaying = true;
            self.ask_for_slice(shard, replay, fx);
            return;
        }
        held.flags.waits_for_room = true;
        if let Some(conn) = held.conn {
            fx.outbox.watch_drain(conn, low);
        }
    }

    /// The session of a replay is gone.
    pub(super) fn cancel_replay(&mut self, of: ShardId, replay: u32, fx: &mut Effects) {
        if of == self.id {
            self.replay_cancelled(replay);
        } else {
            self.tell(of, &Record::ReplayCancel { replay }, fx);
        }
    }

    /// As [`Shard::cancel_replay`], told by the session's shard.
    pub(super) fn replay_cancelled(&mut self, replay: u32) {
        self.replays.replays.remove(replay);
    }

    /// Removes some of the retained messages that have expired.
    pub(super) fn sweep_retained(&mut self) {
        let now_ms = self.hub.now_ms;
        let mut expired = Vec::new();
        self.sweep = self.retained.scan_all(self.sweep.as_ref(), SWEEP_STEPS, &mut |topic, retained| {
            if retained.expires_ms() <= now_ms {
                expired.push(Box::<str>::from(topic));
            }
        });
        for topic in expired {
            self.retained.remove(&topic);
        }
    }

    /// Goes on with replays, a few slices.
    pub(super) fn continue_slices(&mut self, fx: &mut Effects) {
        if !self.load.may_go_on(self.hub.now_ms) {
            return;
        }
        let delay_ms = match self.load.is_overloaded() {
            true => self.hub.profiles.backoff_delay_ms(),
            false => 0,
        };
        let slices = if delay_ms == 0 { SLICES_PER_TURN } else { 1 };
        for _ in 0..slices {
            let Some(replay) = self.replays.active.pop_front() else { return };
            self.replay_slice(replay, fx);
        }
        if delay_ms > 0 && !self.replays.active.is_empty() {
            self.hub.counters.overload_delay += 1;
            self.load.put_off(self.hub.now_ms + delay_ms);
        }
    }
}

fn here(target: RemoteTarget) -> Target {
    Target { session: target.to.session, subscription_id: target.subscription_id, options: target.options, via: None }
}

/// Most messages in a slice, which must fit the queue it may have to wait in, and not use up a rate at one go.
pub(super) fn slice_len(settings: &Settings) -> usize {
    let fits = match settings.max_mqueue_len as usize {
        0 => SLICE_STEPS,
        queue => SLICE_STEPS.min(queue),
    };
    match settings.retainer_delivery_rate {
        0 => fits,
        rate => fits.min((rate / SLICES_PER_SECOND).max(1) as usize),
    }
}

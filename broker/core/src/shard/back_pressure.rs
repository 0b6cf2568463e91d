//! Back-pressure by queue (`ringmq.queue_full_policy = back_pressure`): the publishers of messages for a session whose
//! queue is full are not read until it has room again.
//!
//! The session's shard counts how many of its full queues hold a publisher back, and tells the publisher's shard of the
//! first and of the last. What has been received by then is still delivered, beyond the queue's length. A queue that its
//! client takes nothing from lets its publishers go after a while, so nobody is held back for ever.
//!
//! Two clients may feed each other, so one whose own queue is full is read all the same: only its acknowledgements can
//! make room there.
//!
//! Absent: congestion of shards and of connections, which is `pressure`.

use super::Shard;
use super::conns::Pauses;
use super::hub::Hub;
use super::record::Record;
use crate::machine::{Effects, ShardId};
use crate::session::{Delivery, Holding, Outgoing, Via};
use crate::settings::Settings;
use alloc::boxed::Box;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Of a queue's length, the part that is free again before it counts as having room: an eighth, at least one message.
const ROOM_PART: usize = 8;

/// What has come of a step for others than the session in hand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice {
    /// One more queue holds back this publisher.
    HoldBack(u64),
    /// One less does.
    LetGo(u64),
    /// This session's queue has begun, or no longer wants, to hold publishers back.
    Changed(u32),
    /// A message of a message queue is done with, or, with `back`, has to go to another consumer.
    Took { home: ShardId, queue: u32, seq: u32, back: bool },
}

impl Notice {
    /// What a message queue has to be told if a message was one of its own.
    pub(super) fn of_queue(outgoing: &Outgoing, back: bool) -> Option<Self> {
        match outgoing.via {
            Some(Via::Queue { home, queue, seq }) => Some(Self::Took { home, queue, seq, back }),
            _ => None,
        }
    }
}

/// Who holds whom back, by the key of the publisher.
#[derive(Default)]
pub(super) struct BackPressure {
    /// Of publishers anywhere: how many queues here hold them back.
    holds: HashMap<u64, u32, FixedState>,
    /// Of publishers here: the shards with queues that hold them back, one bit each.
    held_back: HashMap<u64, u64, FixedState>,
}

impl BackPressure {
    /// Clients here that are held back.
    pub(super) fn held_back_len(&self) -> usize {
        self.held_back.len()
    }

    /// True if a client here is held back.
    pub(super) fn is_held_back(&self, publisher: u64) -> bool {
        self.held_back.contains_key(&publisher)
    }

    /// A session here has ended.
    pub(super) fn forget(&mut self, publisher: u64) {
        self.held_back.remove(&publisher);
    }
}

/// Queues a message for a connected session, with its priority, and holds its publisher back if the queue is full now.
/// False if it does not even fit what a queue may hold beyond its length.
pub(super) fn queue_holding_back(
    session: u32,
    delivery: &mut Delivery,
    settings: &Settings,
    (priority, outgoing): (u16, Outgoing),
    now_ms: u64,
    notices: &mut Vec<Notice>,
) -> bool {
    let max = settings.max_mqueue_len as usize;
    let bound = max.saturating_add(settings.back_pressure.max_overrun as usize);
    let publisher = outgoing.message.publisher_key();
    let fits = max == 0 || !delivery.queue.is_full(priority, bound);
    if fits {
        delivery.queue.push(priority, outgoing, 0);
    }
    if delivery.queue.is_full(priority, max) {
        let holding = delivery.holding.get_or_insert_with(|| {
            notices.push(Notice::Changed(session));
            Box::new(Holding::new(now_ms))
        });
        if holding.add(publisher) {
            notices.push(Notice::HoldBack(publisher));
        }
    }
    fits
}

impl Hub {
    /// A session has taken something from a queue that holds publishers back, or did.
    #[cold]
    pub(super) fn note_taken(&mut self, session: u32) {
        let Some(held) = self.sessions.get_mut(session) else { return };
        let max = self.profiles.of(held.listener).max_mqueue_len as usize;
        let Some(delivery) = &mut held.delivery else { return };
        let Some(holding) = &mut delivery.holding else { return };
        holding.took_ms = self.now_ms;
        if core::mem::take(&mut holding.gave_up) {
            self.notices.push(Notice::Changed(session));
        }
        if max == 0 || delivery.queue.longest() <= max - max.div_ceil(ROOM_PART) {
            self.notices.extend(holding.let_go().map(Notice::LetGo));
            self.notices.push(Notice::Changed(session));
            delivery.holding = None;
        }
    }
}

impl Shard {
    /// Brings what full queues have come to mean to the publishers' shards, and what has become of messages to the message
    /// queues that they came by.
    #[cold]
    pub(super) fn settle_notices(&mut self, fx: &mut Effects) {
        let mut notices = core::mem::take(&mut self.hub.notices);
        for notice in notices.drain(..) {
            match notice {
                Notice::HoldBack(publisher) => {
                    let holds = self.back_pressure.holds.entry(publisher).or_insert(0);
                    *holds += 1;
                    if *holds == 1 {
                        self.tell_publisher(publisher, true, fx);
                    }
                }
                Notice::LetGo(publisher) => {
                    let holds = self.back_pressure.holds.get_mut(&publisher).expect("publisher that is held back");
                    *holds -= 1;
                    if *holds == 0 {
                        self.back_pressure.holds.remove(&publisher);
                        self.tell_publisher(publisher, false, fx);
                    }
                }
                Notice::Changed(session) => {
                    self.hub.to_arm.push(session);
                    self.read_or_not(session, fx);
                }
                Notice::Took { home, queue, seq, back } if home == self.id => self.queue_took(queue, seq, back),
                Notice::Took { home, queue, seq, back } => self.tell(home, &Record::QueueTook { queue, seq, back }, fx),
            }
        }
        self.hub.notices = notices;
    }

    fn tell_publisher(&mut self, publisher: u64, hold: bool, fx: &mut Effects) {
        // The upper byte of a session's key is its shard. The broker's own messages come from none.
        let home = ShardId((publisher >> 56) as u8);
        if home == self.id {
            self.held_back(self.id, publisher, hold, fx);
        } else if usize::from(home.0) < fx.mesh.shards() {
            self.tell(home, &Record::HoldBack { publisher, hold }, fx);
        }
    }

    /// A shard says whether its queues hold back a publisher here.
    pub(super) fn held_back(&mut self, by: ShardId, publisher: u64, hold: bool, fx: &mut Effects) {
        let session = publisher as u32;
        // It may have ended meanwhile, or never have had a connection.
        if self.hub.sessions.get(session).is_none_or(|held| held.key != publisher) {
            return;
        }
        let bit = 1_u64 << by.0;
        if hold {
            let shards = self.back_pressure.held_back.entry(publisher).or_insert(0);
            self.hub.counters.client_held_back += u64::from(*shards == 0);
            *shards |= bit;
        } else if let Some(shards) = self.back_pressure.held_back.get_mut(&publisher) {
            *shards &= !bit;
            if *shards == 0 {
                self.back_pressure.held_back.remove(&publisher);
            }
        }
        self.read_or_not(session, fx);
    }

    /// Reads a client, or does not, as full queues want it: those that it feeds, and its own.
    pub(super) fn read_or_not(&mut self, session: u32, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get(session) else { return };
        let Some(conn) = held.conn else { return };
        let own_is_full = held.delivery.as_ref().is_some_and(|delivery| delivery.holds_back());
        if self.back_pressure.is_held_back(held.key) && !own_is_full {
            self.pause(conn, Pauses::HELD_BACK, fx);
        } else {
            self.unpause(conn, Pauses::HELD_BACK, fx);
        }
    }
}

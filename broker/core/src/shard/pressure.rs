//! Back-pressure: publishers are not read while what they feed is fuller than it should be.
//!
//! What a publisher feeds is a set of shards: those whose mesh lanes its messages were staged on, and those that have
//! said that their fan-outs are congested. Only publishers that feed such a shard are held up, and each goes on when its
//! own targets are free again. Draining what has come in never waits for any of this.

use super::Shard;
use super::conns::Pauses;
use super::hub::stall;
use super::record::Record;
use crate::machine::{Command, ConnId, Effects, ShardId};
use crate::settings::HIGH_WATERMARK_MIN;
use alloc::vec::Vec;

/// Bytes staged for another shard above which the publishers that feed it are held up.
const STAGED_BYTES_SOFT_MAX: usize = 1024 * 1024;

/// How often to look whether publishers that are held up may go on, milliseconds.
pub(super) const CHECK_INTERVAL_MS: u64 = 1;

/// What is congested, and who waits for it. Masks have one bit a shard.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Congested shards that the message in hand was sent to.
    fed: u64,
    /// Other shards that have said that their fan-outs are congested.
    elsewhere: u64,
    /// What this shard has told the others about itself.
    announced: bool,
    /// Publishers that are held up, and the congested shards they fed.
    held_up: Vec<(ConnId, u64)>,
    check_ms: Option<u64>,
}

const fn mask(shard: ShardId) -> u64 {
    1 << shard.0
}

impl Pressure {
    /// To be called when something was staged for a shard.
    #[inline]
    pub(super) fn note_staged(&mut self, to: ShardId, fx: &Effects) {
        if self.elsewhere & mask(to) != 0 || fx.mesh.backlog(to) > STAGED_BYTES_SOFT_MAX {
            self.fed |= mask(to);
        }
    }

    /// To be called when a fan-out on this shard is put off while too many are.
    pub(super) fn note_own(&mut self, own: ShardId) {
        self.fed |= mask(own);
    }

    /// Another shard says whether its fan-outs are congested.
    pub(super) fn set_elsewhere(&mut self, shard: ShardId, congested: bool) {
        if congested {
            self.elsewhere |= mask(shard);
        } else {
            self.elsewhere &= !mask(shard);
        }
    }

    /// When to look again, milliseconds.
    pub(super) fn check_ms(&self) -> Option<u64> {
        self.check_ms
    }

    /// Forgets what the message before has fed.
    #[inline]
    pub(super) fn begin_message(&mut self) {
        self.fed = 0;
    }

    /// True if the message in hand went where it is congested.
    #[inline]
    pub(super) fn is_felt(&self) -> bool {
        self.fed != 0
    }
}

impl Shard {
    /// Stops reading from a connection for one more reason.
    pub(super) fn pause(&mut self, conn: ConnId, reason: Pauses, fx: &mut Effects) {
        if let Some(open) = self.conns.get_mut(conn)
            && open.pauses.add(reason)
        {
            fx.commands.push(Command::PauseReading { conn });
        }
    }

    /// Takes a reason back; reads again if it was the last.
    pub(super) fn unpause(&mut self, conn: ConnId, reason: Pauses, fx: &mut Effects) {
        if let Some(open) = self.conns.get_mut(conn)
            && open.pauses.remove(reason)
        {
            fx.commands.push(Command::ResumeReading { conn });
            // It could not be heard while it was not read.
            if let Some(held) = self.conns.session(conn).and_then(|session| self.hub.sessions.get_mut(session)) {
                held.last_seen_ms = self.hub.now_ms;
            }
        }
    }

    /// Stops reading from the publisher of the message in hand until what it feeds is free.
    #[cold]
    pub(super) fn hold_up(&mut self, conn: ConnId, fx: &mut Effects) {
        let fed = self.pressure.fed;
        match self.pressure.held_up.iter_mut().find(|(held, _)| *held == conn) {
            Some((_, targets)) => *targets |= fed,
            None => {
                self.hub.counters.client_held_up += 1;
                self.pressure.held_up.push((conn, fed));
            }
        }
        self.pressure.check_ms.get_or_insert(self.hub.now_ms + CHECK_INTERVAL_MS);
        self.pause(conn, Pauses::HELD_UP, fx);
    }

    /// Lets those publishers go on whose targets are free.
    pub(super) fn let_go(&mut self, fx: &mut Effects) {
        if self.pressure.held_up.is_empty() {
            self.pressure.check_ms = None;
            return;
        }
        let congested = self.congested(fx);
        let held_up = core::mem::take(&mut self.pressure.held_up);
        for (conn, targets) in held_up {
            if targets & congested != 0 {
                self.pressure.held_up.push((conn, targets));
            } else {
                self.unpause(conn, Pauses::HELD_UP, fx);
            }
        }
        self.pressure.check_ms = (!self.pressure.held_up.is_empty()).then_some(self.hub.now_ms + CHECK_INTERVAL_MS);
    }

    /// Shards that are not free again, one bit each.
    pub(super) fn congested(&self, fx: &Effects) -> u64 {
        let mut congested = self.pressure.elsewhere;
        for shard in (0..fx.mesh.shards()).map(|shard| ShardId(u8::try_from(shard).expect("at most 64 shards"))) {
            if fx.mesh.backlog(shard) > STAGED_BYTES_SOFT_MAX / 2 {
                congested |= mask(shard);
            }
        }
        if self.fan_outs.is_congested() {
            congested |= mask(self.id);
        }
        congested
    }

    /// A connection has ended: nobody waits for it any more.
    pub(super) fn forget_held_up(&mut self, conn: ConnId) {
        self.pressure.held_up.retain(|(held, _)| *held != conn);
    }

    /// Tells the other shards when the fan-outs of this one become congested, and when they no longer are.
    pub(super) fn announce_congestion(&mut self, fx: &mut Effects) {
        let congested = self.fan_outs.is_congested();
        if congested == self.pressure.announced {
            return;
        }
        self.pressure.announced = congested;
        for shard in (0..fx.mesh.shards()).map(|shard| ShardId(u8::try_from(shard).expect("at most 64 shards"))) {
            if shard != self.id {
                self.tell(shard, &Record::Congested { congested }, fx);
            }
        }
    }

    /// Stops reading from a client that does not take the answers to what it sends: its outbox must not grow with its
    /// requests.
    pub(super) fn choke(&mut self, conn: ConnId, fx: &mut Effects) {
        let unsent = fx.outbox.unsent(conn);
        if unsent < HIGH_WATERMARK_MIN {
            return;
        }
        let Some(session) = self.conns.session(conn) else { return };
        let held = self.hub.sessions.get_mut(session).expect("live session");
        if !self.hub.profiles.is_congested(held.listener, unsent) {
            return;
        }
        let low = self.hub.profiles.of(held.listener).low_watermark();
        self.hub.counters.client_congested += u64::from(stall(held, conn, low, self.hub.now_ms, fx));
        self.hub.to_arm.push(session);
        self.pause(conn, Pauses::CHOKED, fx);
    }

    /// A connection takes bytes again.
    pub(super) fn drained(&mut self, conn: ConnId, fx: &mut Effects) {
        let Some(session) = self.conns.session(conn) else { return };
        self.hub.drained(session, fx);
        let listener = self.conns.get(conn).map_or(0, |open| open.listener);
        if !self.hub.profiles.is_congested(listener, fx.outbox.unsent(conn)) {
            self.unpause(conn, Pauses::CHOKED, fx);
        }
    }
}

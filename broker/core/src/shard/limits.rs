//! How much a client may publish, and what becomes of more.
//!
//! What is counted is what is published: a repetition of a QoS 2 message is not. Messages that are dropped do not count
//! against later ones.

use super::Shard;
use super::conns::Pauses;
use super::leave::End;
use crate::limit::LimitAction;
use crate::machine::{ConnId, Effects, Time};
use ringmq_wire::ReasonCode;

/// Shortest time that a client is not read, nanoseconds: to stop and go on costs something, too.
const PAUSE_MIN_NS: u64 = 10_000_000;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is published.
    Publish,
    /// It is not, and its publisher is told as far as it can be.
    Drop,
    /// The connection has been closed.
    Ended,
}

impl Shard {
    /// Counts a message of `bytes` bytes against its publisher's limits.
    #[cold]
    pub(super) fn limit(&mut self, session: u32, conn: ConnId, bytes: usize, fx: &mut Effects) -> Verdict {
        let now = self.turn;
        let held = self.hub.sessions.get_mut(session).expect("live session");
        let limits = self.hub.profiles.of(held.listener).limits;
        let meter = held.extra_mut().meter.get_or_insert_default();
        if limits.action != LimitAction::Pause && meter.opens_at(&limits) > now {
            if limits.action == LimitAction::Drop {
                self.hub.counters.messages_dropped_limited += 1;
                return Verdict::Drop;
            }
            self.hub.counters.client_limited_rejected += 1;
            self.end(session, End::Refused(ReasonCode::MESSAGE_RATE_TOO_HIGH), fx);
            return Verdict::Ended;
        }
        meter.take(&limits, now, bytes as u64);
        let opens_at = meter.opens_at(&limits);
        if limits.action == LimitAction::Pause && opens_at > now {
            self.pause_until(conn, opens_at.max(Time(now.0.saturating_add(PAUSE_MIN_NS))), fx);
        }
        Verdict::Publish
    }

    /// Does not read a connection until then. What has been received already still counts, and may put it off.
    fn pause_until(&mut self, conn: ConnId, until: Time, fx: &mut Effects) {
        // Up to the next millisecond: a timer must not fire while the bucket is still empty.
        let until_ms = until.millis().saturating_add(1);
        let Some(open) = self.conns.get_mut(conn) else { return };
        if let Some(timer) = open.timer.take() {
            self.wheel.cancel(timer);
        } else {
            self.hub.counters.client_limited_paused += 1;
        }
        open.timer = Some(self.wheel.schedule(Self::timer_key_of_conn(conn), until_ms));
        self.pause(conn, Pauses::LIMITED, fx);
    }

    /// A connection that published too much may go on.
    pub(super) fn limit_over(&mut self, conn: ConnId, fx: &mut Effects) {
        self.unpause(conn, Pauses::LIMITED, fx);
    }
}

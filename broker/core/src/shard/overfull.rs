//! Clients that hold too much of the broker: those whose backlog is above what the operator allows (`force_shutdown`), and
//! those whose queue is full where that is a reason (`ringmq.queue_full_policy`).
//!
//! A backlog grows while messages are handed out, in the middle of a walk over subscribers, so a client is only noted
//! then, and disconnected at the end of the step.

use super::Shard;
use super::leave::End;
use crate::machine::Effects;
use crate::session::Session;
use crate::settings::{ForceShutdown, Settings};

/// Why a client was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its backlog is too large.
    Backlog,
    /// Its queue was full when one more message came.
    QueueFull,
}

impl ForceShutdown {
    /// True if a client holds more than it may: messages in its queue, and bytes of these and of what its connection has
    /// yet to take.
    fn is_exceeded(&self, queued: usize, bytes: usize) -> bool {
        let above = |value: usize, max: u64| max > 0 && value as u64 > max;
        self.enable && (above(queued, u64::from(self.max_mailbox_size)) || above(bytes, self.max_heap_size))
    }
}

/// True if a connected session's backlog is above what is allowed.
pub(super) fn has_too_much(session: &Session, settings: &Settings, fx: &Effects) -> bool {
    let Some(conn) = session.conn else { return false };
    let (queued, bytes) =
        session.delivery.as_ref().map_or((0, 0), |delivery| (delivery.queue.len(), delivery.queue.bytes()));
    settings.force_shutdown.is_exceeded(queued, bytes + fx.outbox.unsent(conn))
}

impl Shard {
    /// Disconnects a client that was noted, unless it has gone or got better meanwhile.
    #[cold]
    pub(super) fn disconnect_overfull(&mut self, session: u32, cause: Cause, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get(session).filter(|held| held.conn.is_some()) else { return };
        match cause {
            Cause::Backlog if !has_too_much(held, self.hub.profiles.of(held.listener), fx) => return,
            Cause::Backlog => self.hub.counters.client_force_shutdown += 1,
            Cause::QueueFull => self.hub.counters.client_queue_full += 1,
        }
        self.end(session, End::Overfull, fx);
    }
}

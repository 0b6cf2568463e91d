//! Connections that do not take what they are sent (EMQX's `conn_congestion`): which they are, for whoever asks.
//!
//! A connection is congested while so much of it is unsent that messages go to its queue. It counts as such for a while
//! longer, so that one that is so again and again is so all the time.

use super::Shard;
use crate::control::CongestionFacts;
use crate::machine::Effects;
use alloc::vec::Vec;
use core::net::SocketAddr;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Congested connections that are known at a time.
const CONGESTED_MAX: usize = 1024;

/// A session whose connection is congested, or was of late.
struct Congested {
    generation: u32,
    /// When it was last seen to be, milliseconds.
    seen_ms: u64,
}

/// By the session's slot.
pub(super) struct Congestion(HashMap<u32, Congested, FixedState>);

impl Congestion {
    pub(super) fn new(seed: u64) -> Self {
        Self(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Shard {
    /// Looks at a session whose connection may be congested.
    pub(super) fn note_congestion(&mut self, session: u32) {
        let Some(held) = self.hub.sessions.get(session) else { return };
        if held.delivery.as_ref().is_none_or(|delivery| delivery.stall.is_none()) {
            return;
        }
        let Some(generation) = self.hub.sessions.generation(session) else { return };
        if self.congestion.len() < CONGESTED_MAX || self.congestion.0.contains_key(&session) {
            self.congestion.0.insert(session, Congested { generation, seen_ms: self.hub.now_ms });
        }
    }

    /// Forgets who has not been congested for long enough, or is gone.
    pub(super) fn sweep_congestion(&mut self) {
        let (hub, now_ms) = (&self.hub, self.hub.now_ms);
        let settings = hub.settings.conn_congestion;
        let sustain_ms = u64::try_from(settings.min_sustain.as_millis()).unwrap_or(u64::MAX);
        self.congestion.0.retain(|session, congested| {
            let held = hub.sessions.get_generation(*session, congested.generation).filter(|held| held.conn.is_some());
            let Some(held) = held.filter(|_| settings.enable_alarm) else { return false };
            if held.delivery.as_ref().is_some_and(|delivery| delivery.stall.is_some()) {
                congested.seen_ms = now_ms;
            }
            now_ms < congested.seen_ms.saturating_add(sustain_ms)
        });
    }

    /// The congested connections.
    pub(super) fn list_congested(&mut self, fx: &Effects) -> Vec<CongestionFacts> {
        self.sweep_congestion();
        let facts = self.congestion.0.keys().filter_map(|session| {
            let held = self.hub.sessions.get(*session)?;
            let conn = held.conn?;
            Some(CongestionFacts {
                client_id: held.names.client_id().into(),
                username: held.names.username().map(Into::into),
                peer: SocketAddr::from(self.conns.get(conn)?.peer),
                unsent_bytes: fx.outbox.unsent(conn),
                queued: held.delivery.as_ref().map_or(0, |delivery| delivery.queue.len()),
            })
        });
        facts.collect()
    }
}

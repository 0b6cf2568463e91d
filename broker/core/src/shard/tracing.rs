//! Telling of packets that the operator's rules mean: [`crate::trace`].
//!
//! What is sent is found where it was appended: a mark says from where on a connection's bytes are to be looked at once
//! the step is over.

use super::Shard;
use crate::control::{PAGE_STEPS_MAX, Position};
use crate::machine::{ConnId, Effects};
use crate::session::Session;
use crate::shard::conns::Phase;
use crate::trace::{Direction, TRACE_RULES_MAX, TraceRule, Traced};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use ringmq_wire::{Connect, Cut, Frame, PacketType, Version, cut};

/// Rules in force, and what a step has sent that they may mean.
#[derive(Default)]
pub(super) struct Traces {
    rules: Vec<TraceRule>,
    marks: Vec<Mark>,
}

/// Bytes of a connection to look at.
struct Mark {
    session: u32,
    conn: ConnId,
    /// Where they begin among those that the kernel was not given yet.
    from: usize,
    /// All that follow, and not one packet alone.
    all: bool,
}

impl Traces {
    /// True if a rule means a client, whatever that does.
    pub(super) fn mean(&self, client_id: &str, peer: SocketAddr) -> bool {
        self.rules.iter().any(|rule| rule.what.means_client(client_id, peer.ip()))
    }

    /// Notes that a message is about to be appended, if a rule may mean it.
    #[cold]
    pub(super) fn mark(&mut self, slot: u32, session: &Session, conn: ConnId, topic: &str, fx: &Effects) {
        if session.flags.traced || self.rules.iter().any(|rule| rule.what.means_topic(topic)) {
            self.mark_next(slot, conn, fx);
        }
    }

    /// Notes that a packet is about to be appended.
    pub(super) fn mark_next(&mut self, session: u32, conn: ConnId, fx: &Effects) {
        self.marks.push(Mark { session, conn, from: fx.outbox.pending(conn).len(), all: false });
    }
}

impl Shard {
    /// Puts rules in the place of those in force.
    pub(super) fn set_traces(&mut self, mut rules: Vec<TraceRule>) {
        rules.truncate(TRACE_RULES_MAX);
        let wanted = !rules.is_empty() && self.observer.is_some();
        self.hub.traces = wanted.then(|| Box::new(Traces { rules, marks: Vec::new() }));
    }

    /// Notes which sessions the rules mean, from a position on, a part of them. Where to go on; `None` at the end.
    pub(super) fn mark_traced(&mut self, from: Position) -> Option<Position> {
        let traces = self.hub.traces.take()?;
        let mut next = None;
        for steps in 0..PAGE_STEPS_MAX {
            let slot = from.slot.saturating_add(steps);
            if slot >= self.hub.sessions.slots() {
                break;
            }
            if let Some(held) = self.hub.sessions.get_mut(slot) {
                let peer = held.conn.and_then(|conn| self.conns.get(conn)).map(|open| open.peer.into());
                held.flags.traced = peer.is_some_and(|peer| traces.mean(held.names.client_id(), peer));
            }
            if steps + 1 == PAGE_STEPS_MAX {
                next = Some(Position { slot: slot + 1, within: 0 });
            }
        }
        self.hub.traces = Some(traces);
        next
    }

    /// Tells of a packet that came, if a rule means it.
    #[cold]
    pub(super) fn trace_received(&mut self, conn: ConnId, frame: Frame<'_>) {
        let (Some(traces), Some(observer)) = (&self.hub.traces, &mut self.observer) else { return };
        let Some(open) = self.conns.get(conn) else { return };
        let (client_id, version) = match open.phase {
            Phase::Live(session) => match self.hub.sessions.get(session) {
                Some(held) => (held.names.client_id(), held.version),
                None => return,
            },
            Phase::Fresh if frame.packet_type() == Some(PacketType::Connect) => match Connect::decode(frame.body) {
                // It is seen where its client is at home.
                Ok(Connect { client_id, .. })
                    if !client_id.is_empty() && self.placement.home(client_id.as_bytes()) != self.id =>
                {
                    return;
                }
                Ok(connect) => (connect.client_id, connect.version),
                Err(_) => ("", Version::V5),
            },
            _ => ("", Version::V5),
        };
        let at_ms = self.unix_offset_ms.saturating_add(self.hub.now_ms);
        let direction = Direction::Received;
        let (peer, listener) = (open.peer.into(), open.listener);
        let traced = Traced { client_id, peer, listener, version, direction, at_ms, frame };
        for rule in traces.rules.iter().filter(|rule| rule.what.means(&traced)) {
            observer.traced(rule.id, &traced);
        }
    }

    /// Notes that a step answers a client, whose bytes began here.
    #[cold]
    pub(super) fn trace_answers(&mut self, conn: ConnId, from: usize) {
        let Some(session) = self.conns.session(conn) else { return };
        let Some(traces) = &mut self.hub.traces else { return };
        if self.hub.sessions.get(session).is_some_and(|held| held.flags.traced) {
            // Messages to the same client lie among them.
            traces.marks.retain(|mark| mark.conn != conn);
            traces.marks.push(Mark { session, conn, from, all: true });
        }
    }

    /// Notes that a client is about to be answered in another step than that of its packet.
    #[cold]
    pub(super) fn trace_next(&mut self, session: u32, conn: ConnId, fx: &Effects) {
        let traced = self.hub.sessions.get(session).is_some_and(|held| held.flags.traced);
        if let Some(traces) = self.hub.traces.as_mut().filter(|_| traced) {
            traces.mark_next(session, conn, fx);
        }
    }

    /// Tells of what the step has sent.
    #[cold]
    pub(super) fn trace_sent(&mut self, fx: &Effects) {
        let (Some(traces), Some(observer)) = (&mut self.hub.traces, &mut self.observer) else { return };
        let mut marks = core::mem::take(&mut traces.marks);
        for mark in marks.drain(..) {
            let (Some(held), Some(open)) = (self.hub.sessions.get(mark.session), self.conns.get(mark.conn)) else {
                continue;
            };
            let mut rest = fx.outbox.pending(mark.conn).get(mark.from..).unwrap_or_default();
            while let Ok(Cut::Frame(frame, used)) = cut(rest, u32::MAX) {
                let traced = Traced {
                    client_id: held.names.client_id(),
                    peer: open.peer.into(),
                    listener: open.listener,
                    version: held.version,
                    direction: Direction::Sent,
                    at_ms: self.unix_offset_ms.saturating_add(self.hub.now_ms),
                    frame,
                };
                for rule in traces.rules.iter().filter(|rule| rule.what.means(&traced)) {
                    observer.traced(rule.id, &traced);
                }
                rest = if mark.all { &rest[used..] } else { &[] };
            }
        }
        traces.marks = marks;
    }
}

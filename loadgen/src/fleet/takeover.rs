//! Take-overs: a client's second connection, and the first one until the broker closes it.
//!
//! The first connection is the client's until the second one has its CONNACK; then the second one is, and the broker has
//! to close the first. What still comes on the first then is not looked at, DISCONNECT excepted: a session's messages
//! come again on the second, and without a session nothing more is owed. The client goes on (subscribes, or receives
//! what was queued) when the first connection is closed.

use super::Fleet;
use super::client::{NO_CONNECTION, State};
use super::ordeal::Other;
use crate::disturbance::Kind;
use ringmq_core::machine::{CloseHow, Command, ConnId, Effects};
use ringmq_wire::{Cut, Disconnect, MAX_PACKET_LEN, Packet, ReasonCode, cut, decode};

/// Marks a [`Command::Connect`]'s token as that of a second connection.
pub(super) const SECOND: u64 = 1 << 32;

impl Fleet {
    /// Opens the second connection.
    pub(super) fn dial_second(&mut self, index: usize, fx: &mut Effects) {
        let local = self.cx.plan.source(self.global(index));
        fx.commands.push(Command::Connect { token: index as u64 | SECOND, remote: self.cx.plan.remote, local });
    }

    /// TCP of a second connection is connected; false if the client is gone by now.
    pub(super) fn second_opened(&mut self, index: usize, conn: ConnId) -> bool {
        let Some(ordeal) = self.ordeals.of(index) else { return false };
        self.ordeals.all[ordeal].other = Some(Other { conn: conn.0, is_second: true, partial: Vec::new() });
        true
    }

    /// Whether the client's first connection is expected to end.
    pub(super) fn is_taken_over(&self, index: usize) -> bool {
        let ordeal = self.ordeals.of(index).map(|ordeal| &self.ordeals.all[ordeal]);
        ordeal.is_some_and(|ordeal| ordeal.other.as_ref().is_some_and(|other| other.is_second))
    }

    /// DISCONNECT on a client's own connection.
    pub(super) fn dismissed(&mut self, index: usize, goodbye: &Disconnect<'_>) -> Result<(), String> {
        if self.is_taken_over(index) && goodbye.reason == ReasonCode::SESSION_TAKEN_OVER {
            self.told(index);
            return Ok(());
        }
        Err(format!("DISCONNECT: {}", goodbye.reason))
    }

    fn told(&mut self, index: usize) {
        if let Some(ordeal) = self.ordeals.of(index) {
            self.meter.disturbances[self.ordeals.all[ordeal].part].told += 1;
        }
    }

    /// The first connection has ended before we have seen the second one's CONNACK.
    pub(super) fn first_closed_early(&mut self, index: usize) {
        self.clients[index].forget(State::Away);
        self.open -= 1;
    }

    /// Bytes on a connection that is not the client's own.
    pub(super) fn received_beside(&mut self, index: usize, conn: ConnId, bytes: &[u8], now: u64, fx: &mut Effects) {
        let Some(ordeal) = self.ordeals.of(index) else { return };
        let Some(other) = &mut self.ordeals.all[ordeal].other else { return };
        let is_second = other.is_second;
        let mut partial = std::mem::take(&mut other.partial);
        partial.extend_from_slice(bytes);
        let result =
            if is_second { self.introduced(ordeal, conn, &partial, now, fx) } else { self.faded(ordeal, partial) };
        if let Err(why) = result {
            self.fail(index, why, fx);
        }
    }

    /// On the second connection CONNACK comes first [MQTT-3.2.0-1].
    fn introduced(
        &mut self,
        ordeal: usize,
        conn: ConnId,
        bytes: &[u8],
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let broken = |problem| format!("broker sent what cannot be read: {problem}");
        let Cut::Frame(frame, used) = cut(bytes, MAX_PACKET_LEN).map_err(broken)? else {
            if let Some(other) = &mut self.ordeals.all[ordeal].other {
                other.partial = bytes.to_vec();
            }
            return Ok(());
        };
        let Packet::ConnAck(answer) = decode(frame, self.cx.plan.identity.version).map_err(broken)? else {
            return Err("broker sent something before CONNACK".into());
        };
        self.check_session(&answer)?;
        let entry = &mut self.ordeals.all[ordeal];
        let (index, intended_ns) = (entry.client, entry.intended_ns);
        let client = &mut self.clients[index];
        let partial = std::mem::take(&mut client.partial);
        let first = std::mem::replace(&mut client.conn, conn.0);
        entry.other = (first != NO_CONNECTION).then_some(Other { conn: first, is_second: false, partial });
        let first_is_closed = entry.other.is_none();
        self.open += usize::from(first_is_closed);
        client.state = State::Ready;
        client.pinged = false;
        self.end_of_session(index);
        if self.cx.stage.measures(intended_ns) {
            self.meter.takeover.record(self.arrived_ns.saturating_sub(intended_ns));
        }
        if first_is_closed {
            self.resume(ordeal, now, fx);
        } else {
            self.faded_from(ordeal)?;
        }
        if used < bytes.len() {
            self.received_at(conn, &bytes[used..], now, fx);
        }
        Ok(())
    }

    /// Looks at what the first connection had received in part when the second one got its CONNACK.
    fn faded_from(&mut self, ordeal: usize) -> Result<(), String> {
        let partial = self.ordeals.all[ordeal].other.as_mut().map(|other| std::mem::take(&mut other.partial));
        self.faded(ordeal, partial.unwrap_or_default())
    }

    /// On the first connection only DISCONNECT still matters.
    fn faded(&mut self, ordeal: usize, mut bytes: Vec<u8>) -> Result<(), String> {
        let broken = |problem| format!("broker sent what cannot be read: {problem}");
        let (index, version) = (self.ordeals.all[ordeal].client, self.cx.plan.identity.version);
        while let Cut::Frame(frame, used) = cut(&bytes, MAX_PACKET_LEN).map_err(broken)? {
            if let Packet::Disconnect(goodbye) = decode(frame, version).map_err(broken)? {
                if goodbye.reason != ReasonCode::SESSION_TAKEN_OVER {
                    return Err(format!("DISCONNECT of a connection taken over: {}", goodbye.reason));
                }
                self.told(index);
            }
            bytes.drain(..used);
        }
        if let Some(other) = &mut self.ordeals.all[ordeal].other {
            other.partial = bytes;
        }
        Ok(())
    }

    /// A connection that is not the client's own has ended.
    pub(super) fn closed_beside(&mut self, index: usize, fx: &mut Effects) {
        let Some(ordeal) = self.ordeals.of(index) else { return };
        let Some(other) = self.ordeals.all[ordeal].other.take() else { return };
        let now = self.cx.clock.now();
        if !other.is_second {
            return self.resume(ordeal, now, fx);
        }
        let client = &self.clients[index];
        if client.conn != NO_CONNECTION {
            fx.commands.push(Command::Close { conn: client.conn(), how: CloseHow::Abort });
        }
        self.lose(index, format!("{}: second connection closed before CONNACK", Kind::Takeover.name()), fx);
    }
}

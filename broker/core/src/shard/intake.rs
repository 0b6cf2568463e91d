//! Bytes in: packets cut from the stream and sent to their handlers.

use super::conns::Phase;
use super::leave::End;
use super::{Flow, Shard};
use crate::machine::{CloseHow, Command, ConnId, Effects, LENT_BYTES_MIN, Origin};
use crate::timer::TimerId;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use ringmq_wire::{
    Ack, Cut, DecodeError, Frame, Packet, PacketType, ReasonCode, Strictness, Version, cut, decode, decode_with,
    encode_pingresp,
};

/// By how much the buffer of an incomplete packet grows at a time: each time all of it may have to be copied.
const PARTIAL_GROWTH: usize = 4;

/// Bytes to claim for a packet that needs `need`, of which `come` are there. Large packets come in many pieces; but no more
/// is claimed for one than a multiple of what has come, whatever length it says it has.
fn claim(need: usize, come: usize) -> usize {
    need.min(come * PARTIAL_GROWTH)
}

impl Shard {
    pub(super) fn opened(&mut self, conn: ConnId, peer: SocketAddr, origin: Origin, fx: &mut Effects) {
        let (accepted, listener) = match origin {
            Origin::Accepted { listener } => (true, listener),
            Origin::HandedOver { listener } => (false, listener),
            Origin::Connected { .. } => unreachable!("a shard opens no connections"),
        };
        // A connection that was handed over has its header behind it.
        let proxied = accepted && self.hub.profiles.of(listener).proxy_protocol;
        if self.stopping || (accepted && !proxied && !self.admits(peer, listener)) {
            fx.commands.push(Command::Close { conn, how: CloseHow::Abort });
            return;
        }
        let settings = self.hub.profiles.of(listener);
        let patience = if proxied { settings.proxy_protocol_timeout } else { settings.idle_timeout };
        let timer = self.await_first(conn, patience);
        let open = self.conns.open(conn, peer, listener);
        open.timer = Some(timer);
        if proxied {
            open.phase = Phase::Proxied;
        }
    }

    /// Limits the time until the first that a connection has to send.
    pub(super) fn await_first(&mut self, conn: ConnId, patience: Duration) -> TimerId {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.wheel.schedule(Self::timer_key_of_conn(conn), self.hub.now_ms.saturating_add(patience_ms))
    }

    /// Counts a connection against what its address may open at its listener in a second.
    pub(super) fn admits(&mut self, peer: SocketAddr, listener: u16) -> bool {
        let max = self.hub.profiles.of(listener).max_conn_rate_per_ip;
        if max == 0 {
            return true;
        }
        if self.accepted_from.len() >= super::tick::ADDRESSES_MAX {
            self.accepted_from.clear();
        }
        let count = self.accepted_from.entry((listener, peer.ip())).or_insert(0);
        *count += 1;
        let admitted = *count <= max;
        if !admitted {
            self.hub.counters.client_rate_limited += 1;
        }
        admitted
    }

    /// Takes what a connection sent.
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        let traced_from = self.hub.traces.is_some().then(|| fx.outbox.pending(conn).len());
        self.cut_packets(conn, bytes, fx);
        if let Some(from) = traced_from {
            self.trace_answers(conn, from);
        }
        self.choke(conn, fx);
    }

    /// Cuts packets from what a connection sent. What is left of an incomplete packet is copied aside.
    pub(super) fn cut_packets(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        let Some(open) = self.conns.get_mut(conn) else { return };
        if let Phase::Proxied = open.phase {
            return self.read_proxy_header(conn, bytes, fx);
        }
        let partial = open.partial.take();
        let max = self.hub.profiles.of(open.listener).max_packet_size;
        let mut rest = bytes;
        if let Some(mut partial) = partial {
            loop {
                match cut(&partial, max) {
                    Ok(Cut::Partial { need }) => {
                        let (more, after) = rest.split_at((need - partial.len()).min(rest.len()));
                        if more.is_empty() {
                            self.conns.get_mut(conn).expect("open").partial = Some(partial);
                            return;
                        }
                        if partial.capacity() - partial.len() < more.len() {
                            let claim = claim(need, partial.len() + more.len());
                            partial.reserve_exact(claim - partial.len());
                        }
                        partial.extend_from_slice(more);
                        rest = after;
                    }
                    Ok(Cut::Frame(frame, _)) if partial.len() < LENT_BYTES_MIN => {
                        let flow = self.packet(conn, frame, &partial, rest, fx);
                        self.conns.recycle(partial);
                        if flow == Flow::Ended {
                            return;
                        }
                        break;
                    }
                    Ok(Cut::Frame(..)) => {
                        let flow = self.large_packet(conn, *partial, rest, fx);
                        if flow == Flow::Ended {
                            return;
                        }
                        break;
                    }
                    Err(error) => return self.unreadable(conn, error, fx),
                }
            }
        }
        while !rest.is_empty() {
            match cut(rest, max) {
                Ok(Cut::Frame(frame, used)) => {
                    let (whole, after) = rest.split_at(used);
                    if self.packet(conn, frame, whole, after, fx) == Flow::Ended {
                        return;
                    }
                    rest = after;
                }
                Ok(Cut::Partial { need }) => {
                    let mut partial = self.conns.partial();
                    partial.reserve_exact(claim(need, rest.len()));
                    partial.extend_from_slice(rest);
                    self.conns.get_mut(conn).expect("open").partial = Some(partial);
                    return;
                }
                Err(error) => return self.unreadable(conn, error, fx),
            }
        }
    }

    /// Handles a packet whose bytes are lent to those it is sent to.
    fn large_packet(&mut self, conn: ConnId, whole: Vec<u8>, after: &[u8], fx: &mut Effects) -> Flow {
        let whole = Rc::new(whole);
        if self.hub.traces.is_none() {
            // A trace shows what is sent as it lies in the connection's own buffer.
            fx.outbox.lend(whole.clone());
        }
        match cut(&whole, u32::MAX) {
            Ok(Cut::Frame(frame, _)) => self.packet(conn, frame, &whole, after, fx),
            _ => unreachable!("a packet that is complete"),
        }
    }

    /// Handles one packet. `whole` is the packet with its header, `after` what was received behind it.
    fn packet(&mut self, conn: ConnId, frame: Frame<'_>, whole: &[u8], after: &[u8], fx: &mut Effects) -> Flow {
        self.hub.packets.receive(frame.first);
        if self.hub.traces.is_some() {
            self.trace_received(conn, frame);
        }
        match self.conns.get_mut(conn).expect("open").phase {
            Phase::Live(session) => self.live_packet(session, conn, frame, fx),
            Phase::Fresh => self.first_packet(conn, frame, whole, after, fx),
            Phase::Authenticating(_) => self.auth_packet(conn, frame, fx),
            Phase::Vacant | Phase::Proxied => unreachable!("packet on a closed connection, or before its header"),
        }
    }

    #[inline]
    fn live_packet(&mut self, session: u32, conn: ConnId, frame: Frame<'_>, fx: &mut Effects) -> Flow {
        let held = self.hub.sessions.get_mut(session).expect("live session");
        held.last_seen_ms = self.hub.now_ms;
        let (version, listener, mounted) = (held.version, held.listener, held.flags.mounted);
        if frame.packet_type() == Some(PacketType::Publish) {
            return self.publish(session, conn, version, listener, mounted, frame, fx);
        }
        if frame.first == PacketType::PubAck.first()
            && let Ok(ack) = Ack::decode(PacketType::PubAck, frame.body, version)
        {
            // As frequent as PUBLISH, and so kept out of the large enum of all packets.
            self.hub.acknowledged(session, ack.packet_id, fx);
            return Flow::Continue;
        }
        match self.read(listener, frame, version) {
            Ok(packet) => self.control_packet(session, conn, version, &packet, fx),
            Err(error) => {
                self.count_refused(error);
                self.hub.packets.fail(frame.first);
                self.end(session, End::Refused(error.reason), fx);
                Flow::Ended
            }
        }
    }

    /// Decodes a packet of a client of this listener.
    pub(super) fn read<'a>(
        &self,
        listener: u16,
        frame: Frame<'a>,
        version: Version,
    ) -> Result<Packet<'a>, DecodeError> {
        let mut packet = decode(frame, version);
        if packet.is_err()
            && let Some(lenience) = self.lenience(listener)
        {
            packet = decode_with(frame, version, lenience);
        }
        packet
    }

    /// How a packet is to be looked at that was refused when it was looked at strictly, if it is to be at all.
    #[cold]
    pub(super) fn lenience(&self, listener: u16) -> Option<Strictness> {
        (!self.hub.profiles.of(listener).strict_mode).then_some(Strictness::Lenient)
    }

    fn control_packet(
        &mut self,
        session: u32,
        conn: ConnId,
        version: Version,
        packet: &Packet<'_>,
        fx: &mut Effects,
    ) -> Flow {
        match packet {
            // Receiving an acknowledgement never depends on the window [MQTT-3.3.4-8] [MQTT-3.3.4-10] [MQTT-4.9.0-3].
            Packet::PubAck(ack) => self.hub.acknowledged(session, ack.packet_id, fx),
            Packet::PubRec(ack) => self.hub.received(session, ack.packet_id, ack.reason, fx),
            Packet::PubComp(ack) => self.hub.completed(session, ack.packet_id, fx),
            Packet::PubRel(ack) => self.released(session, conn, version, ack.packet_id, fx),
            // [MQTT-3.12.4-1] [MQTT3-3.12.4-1]
            Packet::PingReq => {
                encode_pingresp(fx.outbox.buffer(conn));
                self.hub.counters.pingresp_sent += 1;
            }
            Packet::Subscribe(subscribe) => return self.subscribe(session, conn, *subscribe, fx),
            Packet::Unsubscribe(unsubscribe) => return self.unsubscribe(session, conn, *unsubscribe, fx),
            Packet::Disconnect(disconnect) => return self.goodbye(session, *disconnect, fx),
            Packet::Auth(auth) => return self.reauthenticate(session, conn, *auth, fx),
            // A second CONNECT [MQTT-3.1.0-2] [MQTT3-3.1.0-2], or what only a server sends.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Publish(_) => return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx),
        }
        Flow::Continue
    }

    /// Ends a live connection because of what its client sent [MQTT-4.13.1-1].
    pub(super) fn refuse(&mut self, session: u32, reason: ReasonCode, fx: &mut Effects) -> Flow {
        self.hub.counters.packets_protocol_error += 1;
        self.end(session, End::Refused(reason), fx);
        Flow::Ended
    }

    /// The stream cannot be cut into packets any more [MQTT-4.13.1-1] [MQTT3-4.8.0-1].
    fn unreadable(&mut self, conn: ConnId, error: DecodeError, fx: &mut Effects) {
        self.count_refused(error);
        match self.conns.session(conn) {
            Some(session) => self.end(session, End::Refused(error.reason), fx),
            None => {
                self.tell_of_refused(conn, error.reason);
                self.shut(conn, fx);
            }
        }
    }

    pub(super) fn count_refused(&mut self, error: DecodeError) {
        if error.reason == ReasonCode::PROTOCOL_ERROR {
            self.hub.counters.packets_protocol_error += 1;
        } else {
            self.hub.counters.packets_malformed += 1;
        }
    }

    /// Closes a connection that has no session: without a DISCONNECT, which only follows a CONNACK of success
    /// [MQTT-3.14.0-1], and without looking at what else it sent [MQTT3-3.1.4-5].
    pub(super) fn shut(&mut self, conn: ConnId, fx: &mut Effects) {
        if let Some(closed) = self.conns.close(conn) {
            if let Some(timer) = closed.timer {
                self.wheel.cancel(timer);
            }
            fx.commands.push(Command::Close { conn, how: CloseHow::Flush });
        }
    }
}

//! The receiving side: bytes to frames to packets, deliveries, and a subscriber's acknowledgements.

use super::Fleet;
use crate::checks::Verdict;
use crate::clock::NANOS_PER_MILLI;
use ringmq_core::machine::{ConnId, Effects};
use ringmq_wire::{Cut, DecodeError, Frame, Packet, PacketType, Publish, QoS, ReasonCode, cut, decode, encode_ack};

impl Fleet {
    /// Handles all whole frames and keeps what is left.
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        // One reading of the clock for all these bytes: they have been received by now, and none of them much earlier.
        let now = self.cx.clock.now();
        self.arrived_ns = self.arrival(now);
        self.received_at(conn, bytes, now, fx);
    }

    /// When the kernel received what is read now; now, if it does not say, or is not asked.
    fn arrival(&mut self, now: u64) -> u64 {
        let Some(arrivals) = &mut self.arrivals else { return now };
        arrivals.take(now).unwrap_or_else(|| {
            self.meter.unstamped += u64::from(self.cx.stage.measures(now));
            now
        })
    }

    /// Handles all whole frames of what was read at this time.
    pub(super) fn received_at(&mut self, conn: ConnId, bytes: &[u8], now: u64, fx: &mut Effects) {
        let index = self.by_conn[conn.0 as usize] as usize;
        if conn.0 != self.clients[index].conn {
            return self.received_beside(index, conn, bytes, now, fx);
        }
        let mut partial = std::mem::take(&mut self.clients[index].partial);
        let result = self.frames(index, &mut partial, bytes, now, fx);
        match result {
            Ok(()) => self.clients[index].partial = partial,
            Err(why) => self.fail(index, why, fx),
        }
    }

    fn frames(
        &mut self,
        index: usize,
        partial: &mut Vec<u8>,
        mut bytes: &[u8],
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let largest = self.largest_frame;
        let broken = |problem: DecodeError| format!("broker sent what cannot be read: {problem}");
        // First complete the frame that was left over, taking no more of the new bytes than it needs.
        while !partial.is_empty() {
            match cut(partial, largest).map_err(broken)? {
                Cut::Partial { need } => {
                    let (more, rest) = bytes.split_at(bytes.len().min(need - partial.len()));
                    if more.is_empty() {
                        return Ok(());
                    }
                    partial.extend_from_slice(more);
                    bytes = rest;
                }
                Cut::Frame(frame, _) => {
                    self.frame(index, frame, now, fx)?;
                    partial.clear();
                }
            }
        }
        loop {
            match cut(bytes, largest).map_err(broken)? {
                Cut::Frame(frame, used) => {
                    self.frame(index, frame, now, fx)?;
                    bytes = &bytes[used..];
                }
                Cut::Partial { .. } => {
                    partial.extend_from_slice(bytes);
                    return Ok(());
                }
            }
        }
    }

    fn frame(&mut self, index: usize, frame: Frame<'_>, now: u64, fx: &mut Effects) -> Result<(), String> {
        let version = self.cx.plan.identity.version;
        let broken = |problem: DecodeError| format!("broker sent what cannot be read: {problem}");
        let state = self.clients[index].state;
        // Nearly every frame is one; any other packet may be large, and so is a packet of any kind.
        if frame.packet_type() == Some(PacketType::Publish) && state.is_open() {
            let publish = Publish::decode(frame.flags(), frame.body, version).map_err(broken)?;
            return self.delivered(index, &publish, now, fx);
        }
        let packet = decode(frame, version).map_err(broken)?;
        if let Packet::ConnAck(answer) = packet {
            if !matches!(state, super::State::Greeting | super::State::Returning) {
                return Err("broker sent a second CONNACK".into());
            }
            return self.greeted(index, &answer, now, fx);
        }
        if !state.is_open() {
            return Err("broker sent something before CONNACK".into());
        }
        match packet {
            Packet::PubAck(ack) => self.acknowledged(index, PacketType::PubAck, &ack, now, fx),
            Packet::PubRec(ack) => self.acknowledged(index, PacketType::PubRec, &ack, now, fx),
            Packet::PubComp(ack) => self.acknowledged(index, PacketType::PubComp, &ack, now, fx),
            Packet::PubRel(ack) => self.released(index, ack.packet_id, now, fx),
            Packet::SubAck(answer) => self.granted(index, &answer, now),
            Packet::UnsubAck(answer) => self.ungranted(index, &answer, now, fx),
            Packet::PingResp => {
                self.clients[index].pinged = false;
                Ok(())
            }
            Packet::Disconnect(goodbye) => self.dismissed(index, &goodbye),
            _ => Err("broker sent a packet that only clients send".into()),
        }
    }

    /// A message for a subscriber.
    fn delivered(&mut self, index: usize, publish: &Publish<'_>, now: u64, fx: &mut Effects) -> Result<(), String> {
        let Some(local) = index.checked_sub(self.publishers.len()) else {
            return Err("broker sent a message to a client without a subscription".into());
        };
        let subscriber = &mut self.subscribers[local];
        let client = &mut self.clients[index];
        let version = self.cx.plan.identity.version;
        let mut repeated = false;
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                // [MQTT-4.3.2-4] [MQTT3-4.3.2-2]
                let out = fx.outbox.buffer(client.conn());
                encode_ack(out, PacketType::PubAck, version, publish.packet_id, ReasonCode::SUCCESS);
                client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
            }
            QoS::ExactlyOnce => {
                // A repetition is answered again and not delivered again [MQTT-4.3.3-10] [MQTT3-4.3.3-2]. Without DUP
                // the identifier cannot be in use; if it is, the sequence number will tell.
                repeated = publish.dup && subscriber.unreleased.contains(&publish.packet_id);
                if !repeated {
                    subscriber.unreleased.push_back(publish.packet_id);
                    self.account.unacknowledged += 1;
                }
                let out = fx.outbox.buffer(client.conn());
                encode_ack(out, PacketType::PubRec, version, publish.packet_id, ReasonCode::SUCCESS);
                client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
            }
        }
        if repeated {
            return Ok(());
        }
        // `sub` sends nothing itself and counts what others send.
        if self.cx.plan.traffic.is_none() {
            self.delivered_foreign(local, publish, now);
            return Ok(());
        }
        let header = match self.maker.read(publish.payload, || self.cx.directory.publisher_of(publish.topic)) {
            Ok(header) => header,
            Err(why) => {
                self.checks.reject(why);
                return Ok(());
            }
        };
        let Some(position) = subscriber.sources.position(header.publisher) else {
            return Err(format!("message of publisher {} delivered to the wrong subscriber", header.publisher));
        };
        if header.publisher >= self.live {
            self.delivered_retained(index, position, publish.retain, now);
            return Ok(());
        }
        let stream = subscriber.streams + position as usize;
        // Without numbers each message counts as the next.
        let sequence = header.sequence.unwrap_or_else(|| self.checks.next(stream));
        let credit = match self.checks.record(stream, header.publisher, sequence) {
            Verdict::New { skipped } => {
                self.missing += skipped;
                1 + skipped
            }
            // In a plain subscription its credit was given when it was found missing.
            Verdict::Late if self.shared => 1,
            Verdict::Late => {
                self.missing = self.missing.saturating_sub(1);
                0
            }
            Verdict::Duplicate | Verdict::Absurd => return Ok(()),
        };
        self.account.accounted += credit;
        let arrived_ns = self.arrived_ns;
        let latency = header.intended_ns.map(|intended_ns| arrived_ns.saturating_sub(intended_ns));
        if let Some(latency) = latency {
            self.gauge.delivered(latency);
        }
        let (from, until) = self.cx.stage.measured();
        let measured = from..until;
        if measured.contains(&now) {
            self.meter.delivered += 1;
            self.meter.series.delivered(now - from, latency);
        }
        let counts = header.intended_ns.is_some_and(|intended_ns| measured.contains(&intended_ns));
        let measured = latency.filter(|_| counts);
        self.experience_message(index, measured);
        if let Some(latency) = measured {
            self.meter.end_to_end.record(latency);
            if self.arrivals.is_some() {
                self.meter.read.record(now - arrived_ns);
            }
            if self.ordeals.is_bystander(index) {
                self.meter.undisturbed.record(latency);
            }
        }
        if self.ordeals.replaying > 0 {
            self.caught_up(index, position as usize, stream, now);
        }
        self.credit(header.publisher, credit, now, fx);
        Ok(())
    }

    /// PUBREL for a subscriber: answered even if the identifier is unknown [MQTT-4.3.3-11] [MQTT3-4.3.3-2].
    fn released(&mut self, index: usize, packet_id: u16, now: u64, fx: &mut Effects) -> Result<(), String> {
        let Some(local) = index.checked_sub(self.publishers.len()) else {
            return Err("PUBREL for a client without a subscription".into());
        };
        let unreleased = &mut self.subscribers[local].unreleased;
        // Brokers release in the order of delivery, so the first one is nearly always it.
        if let Some(at) = unreleased.iter().position(|id| *id == packet_id) {
            unreleased.remove(at);
            self.account.unacknowledged -= 1;
        }
        let client = &mut self.clients[index];
        client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
        let (version, out) = (self.cx.plan.identity.version, fx.outbox.buffer(client.conn()));
        encode_ack(out, PacketType::PubComp, version, packet_id, ReasonCode::SUCCESS);
        Ok(())
    }
}

//! The publishing side: when a publisher may send, what it sends, and its acknowledgements.
//!
//! In a closed loop a publisher sends when something leaves its window; in an open loop when the schedule says so. In
//! both it holds back while the server's Receive Maximum is used up or while its connection is congested; an open loop
//! then catches up later, and the latency of the late messages counts from when they were due.

use super::Fleet;
use super::client::{Publisher, Step};
use super::directory::Home;
use crate::clock::NANOS_PER_MILLI;
use crate::disturbance::nanos;
use crate::plan::Pace;
use crate::schedule::Schedule;
use crate::stage::{Event, Phase};
use ringmq_core::machine::{ConnId, Effects, HIGH_WATER_BYTES, LOW_WATER_BYTES, Lane};
use ringmq_wire::{Ack, PacketType, PublishOut, QoS, ReasonCode, encode_ack};

/// Bytes of one credit in a mesh batch: the publisher's number on its thread, and a count.
const CREDIT_BYTES: usize = 8;

/// Most scheduled messages handled in one turn, so that input is not starved when the generator is behind.
const DUE_PER_TURN: usize = 1024;

/// A message as publishers send it: without properties, and never a repetition.
pub(super) fn message<'a>(
    qos: QoS,
    retain: bool,
    topic: &'a [u8],
    packet_id: u16,
    payload: &'a [u8],
) -> PublishOut<'a> {
    PublishOut {
        qos,
        retain,
        dup: false,
        topic,
        packet_id,
        expiry: None,
        alias: None,
        subscription_ids: &[],
        properties: &[],
        payload,
    }
}

impl Fleet {
    /// Begins to send.
    pub(super) fn start_traffic(&mut self, start_ns: u64, now: u64, fx: &mut Effects) {
        let Some(traffic) = &self.cx.plan.traffic else { return };
        match self.pace {
            Pace::Rate { per_second } => {
                let publishers = self.cx.plan.live_publishers();
                let mine: Vec<u32> = self.publishers.iter().map(|publisher| publisher.global).collect();
                let mine: Vec<u32> = mine.into_iter().filter(|publisher| *publisher < publishers).collect();
                if publishers == 0 {
                    return;
                }
                let schedule = Schedule::new(start_ns, per_second, publishers, mine);
                self.schedule = Some(
                    schedule.in_bursts(traffic.burst).with_rounds(traffic.limit).ramping(nanos(self.cx.plan.ramp_up)),
                );
            }
            Pace::Window { .. } => self.begin_publishers(now, fx),
        }
    }

    /// Closed loop: lets publishers begin, all at once or one after the other over the time of the ramp.
    pub(super) fn begin_publishers(&mut self, now: u64, fx: &mut Effects) {
        if !matches!(self.pace, Pace::Window { .. }) {
            return;
        }
        let (all, start_ns) = (u64::from(self.cx.plan.live_publishers()), self.cx.stage.phase_start());
        let ramp_ns = u128::from(nanos(self.cx.plan.ramp_up));
        while let Some(global) = self.publishers.get(self.begun).map(|publisher| u64::from(publisher.global)) {
            if global < all {
                let wait_ns = (ramp_ns * u128::from(global) / u128::from(all)) as u64;
                if ramp_ns > 0 && now < start_ns + wait_ns {
                    return;
                }
                self.pump(self.begun, now, fx);
            }
            self.begun += 1;
        }
    }

    /// Sends no more.
    pub(super) fn stop_traffic(&mut self) {
        self.schedule = None;
        for publisher in &mut self.publishers {
            self.meter.unsent += std::mem::take(&mut publisher.behind);
        }
    }

    /// Open loop: sends what has become due.
    pub(super) fn send_due(&mut self, fx: &mut Effects) {
        for _ in 0..DUE_PER_TURN {
            // The end of traffic may not have come to this thread yet. What becomes due after it was never to be sent, so
            // the broker has not held it back.
            if !self.cx.stage.may_send() {
                return;
            }
            let Some(schedule) = &mut self.schedule else { return };
            let now = self.cx.clock.now();
            let Some(due) = schedule.take(now) else { return };
            self.gauge.due(now - due.at_ns);
            if self.cx.stage.measures(due.at_ns) {
                self.meter.due += 1;
                self.meter.lag.record(now - due.at_ns);
            }
            self.publishers[due.local].behind += 1;
            self.pump(due.local, now, fx);
        }
    }

    /// With a limit: says once when all publishers have sent as many messages. Each is looked at again only until then.
    pub(super) fn tell_when_done(&mut self) {
        if self.reached || self.cx.plan.traffic.as_ref().is_none_or(|traffic| traffic.limit.is_none()) {
            return;
        }
        let is_done = |publisher: &Publisher| publisher.sequence == self.sequence_end;
        while self.publishers.get(self.done).is_some_and(is_done) {
            self.done += 1;
        }
        if self.done == self.publishers.len() {
            self.reached = true;
            self.tell(Event::Done);
        }
    }

    /// Sends whatever the publisher may send now.
    pub(super) fn pump(&mut self, local: usize, now: u64, fx: &mut Effects) {
        if !self.cx.stage.may_send() || !self.clients[local].state.is_open() {
            return;
        }
        loop {
            let publisher = &mut self.publishers[local];
            if publisher.sequence == self.sequence_end {
                return;
            }
            let intended_ns = match self.pace {
                Pace::Window { messages, until_acknowledged, until_delivered } => {
                    let copies = u64::from(publisher.copies);
                    let unacknowledged = until_acknowledged && publisher.in_flight.count() >= messages as usize;
                    let undelivered = until_delivered && publisher.copies_out > copies * (u64::from(messages) - 1);
                    if unacknowledged || undelivered {
                        return;
                    }
                    now
                }
                Pace::Rate { .. } => match &self.schedule {
                    // The schedule gave this publisher one turn for each message, so its next message's turn is its
                    // number.
                    Some(schedule) if publisher.behind > 0 => schedule.due_at(publisher.global, publisher.sequence),
                    _ => return,
                },
            };
            if !self.send(local, intended_ns, now, fx) {
                self.meter.held_back += 1;
                return;
            }
            let publisher = &mut self.publishers[local];
            publisher.behind = publisher.behind.saturating_sub(1);
        }
    }

    /// Sends one message; false if the broker holds the publisher back.
    fn send(&mut self, local: usize, intended_ns: u64, now: u64, fx: &mut Effects) -> bool {
        let Some(traffic) = &self.cx.plan.traffic else { return false };
        let (publisher, client) = (&mut self.publishers[local], &mut self.clients[local]);
        let conn = client.conn();
        if fx.outbox.unsent(conn) > HIGH_WATER_BYTES {
            fx.outbox.watch_drain(conn, LOW_WATER_BYTES);
            return false;
        }
        let packet_id = match traffic.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce | QoS::ExactlyOnce => match publisher.in_flight.take(intended_ns) {
                Some(packet_id) => packet_id,
                None => return false,
            },
        };
        let payload = self.maker.make(publisher.global, publisher.sequence, intended_ns);
        message(traffic.qos, traffic.retain, &publisher.topic, packet_id, payload)
            .encode(self.cx.plan.identity.version, fx.outbox.buffer(conn));

        self.sent += 1;
        self.gauge.sent();
        publisher.sequence += 1;
        publisher.copies_out += u64::from(publisher.copies);
        self.account.expected += u64::from(publisher.copies);
        self.account.unacknowledged += u64::from(packet_id != 0);
        if self.cx.stage.measures(now) {
            self.meter.sent += 1;
            self.meter.series.sent(now - self.cx.stage.measured().0);
        }
        client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
        self.active = true;
        true
    }

    /// The connection has room again.
    pub(super) fn drained(&mut self, conn: ConnId, fx: &mut Effects) {
        let index = self.by_conn[conn.0 as usize] as usize;
        if index < self.publishers.len() {
            let now = self.cx.clock.now();
            self.pump(index, now, fx);
        }
    }

    /// PUBACK, PUBREC or PUBCOMP for a publisher's message.
    pub(super) fn acknowledged(
        &mut self,
        index: usize,
        kind: PacketType,
        ack: &Ack<'_>,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let Some(publisher) = self.publishers.get_mut(index) else {
            return Err(format!("{kind:?} for a client that publishes nothing"));
        };
        let qos = self.cx.plan.traffic.as_ref().map_or(QoS::AtMostOnce, |traffic| traffic.qos);
        let finished = match (kind, qos, publisher.in_flight.step(ack.packet_id)) {
            (PacketType::PubAck, QoS::AtLeastOnce, Step::Published) => true,
            (PacketType::PubComp, QoS::ExactlyOnce, Step::Released) => true,
            // A PUBREC with a failure ends the exchange [MQTT-4.3.3-4].
            (PacketType::PubRec, QoS::ExactlyOnce, Step::Published) => ack.reason.is_error(),
            _ => return Err(format!("{kind:?} for a packet identifier that is not in that state")),
        };
        // Nobody has subscribed yet, or all are away by the scenario's doing; what should have come is found missing
        // all the same.
        let unheard = ack.reason == ReasonCode::NO_MATCHING_SUBSCRIBERS
            && (!self.ordeals.parts.is_empty() || self.phase == Phase::Retain);
        if ack.reason != ReasonCode::SUCCESS && !unheard {
            self.meter.error(format!("{kind:?}: {}", ack.reason));
        }
        if finished {
            let since_ns = publisher.in_flight.finish(ack.packet_id);
            let took_ns = self.arrived_ns.saturating_sub(since_ns);
            self.gauge.acknowledged(took_ns);
            if self.cx.stage.measures(since_ns) {
                self.meter.acknowledge.record(took_ns);
            }
            self.meter.acknowledged += 1;
            self.account.unacknowledged -= 1;
            self.pump(index, now, fx);
        } else {
            publisher.in_flight.release(ack.packet_id);
            let client = &mut self.clients[index];
            client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
            // [MQTT-4.3.3-4] [MQTT3-4.3.3-1]
            let (version, out) = (self.cx.plan.identity.version, fx.outbox.buffer(client.conn()));
            encode_ack(out, PacketType::PubRel, version, ack.packet_id, ReasonCode::SUCCESS);
        }
        Ok(())
    }

    /// Messages that a publisher has sent so far. One that is not of this thread counts as having sent none: those that a
    /// disturbed client hears have only their retained messages, which are accounted for by `retain`; with others the
    /// plan is refused.
    pub(super) fn sent_by(&self, publisher: u32) -> u64 {
        let home = self.cx.directory.home(publisher).filter(|home| home.thread == self.thread);
        debug_assert!(home.is_some() || publisher >= self.cx.plan.live_publishers(), "the plan has been checked");
        home.map_or(0, |home| self.publishers[home.local as usize].sequence)
    }

    /// Closed loop: `count` messages of a publisher, on whatever thread, have been delivered or found missing.
    pub(super) fn credit(&mut self, publisher: u32, count: u64, now: u64, fx: &mut Effects) {
        if !matches!(self.pace, Pace::Window { until_delivered: true, .. }) {
            return;
        }
        // A plan whose credits would cross processes is refused.
        let Some(Home { thread, local }) = self.cx.directory.home(publisher) else { return };
        if thread == self.thread {
            return self.take_credit(local as usize, count, now, fx);
        }
        let lane = fx.mesh.lane(thread, Lane::Data);
        lane.extend_from_slice(&local.to_le_bytes());
        lane.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// Credits that other threads' subscribers give.
    pub(super) fn credits_from_afar(&mut self, bytes: &[u8], fx: &mut Effects) {
        let now = self.cx.clock.now();
        for credit in bytes.chunks_exact(CREDIT_BYTES) {
            let number = |at: usize| u32::from_le_bytes([credit[at], credit[at + 1], credit[at + 2], credit[at + 3]]);
            self.take_credit(number(0) as usize, u64::from(number(4)), now, fx);
        }
    }

    fn take_credit(&mut self, local: usize, count: u64, now: u64, fx: &mut Effects) {
        let publisher = &mut self.publishers[local];
        publisher.copies_out = publisher.copies_out.saturating_sub(count);
        publisher.stalled_sweeps = 0;
        self.pump(local, now, fx);
    }
}

//! Disturbances: lost connections, take-overs, changing subscriptions, pauses.
//!
//! A client that is hit goes through its steps as answers come, and counts as an acknowledgement that is waited for
//! until it is back to normal, so that draining waits for it. Absent: when a client is hit, see `ordeal`; the second
//! connection of a take-over, see `takeover`.

use super::Fleet;
use super::client::State;
use super::ordeal::Hit;
use crate::clock::NANOS_PER_MILLI;
use crate::disturbance::{How, Kind, nanos};
use crate::stage::Phase;
use ringmq_core::machine::{CloseHow, Command, Effects};
use ringmq_wire::{ConnAck, Disconnect, QoS, ReasonCode, UnsubAck, UnsubscribeOut, UserProperties, Version};

/// Most clients hit or brought back in one turn, so that a turn stays short.
const STEPS_PER_TURN: usize = 512;

/// The packet identifier of every UNSUBSCRIBE; subscribers publish nothing, and wait for the answer [MQTT-2.2.1-3].
const UNSUBSCRIBE_ID: u16 = 1;

impl Fleet {
    /// Does what is due.
    pub(super) fn disturb(&mut self, now: u64, fx: &mut Effects) {
        for part in 0..self.ordeals.parts.len() {
            for _ in 0..STEPS_PER_TURN {
                let drains = self.phase == Phase::Drain;
                let returning = &mut self.ordeals.parts[part].returning;
                // Nobody stays away once nothing is sent any more.
                if let Some((due, ordeal)) = returning.pop_front_if(|(due, _)| *due <= now || drains) {
                    self.come_back(ordeal, due.min(now), fx);
                    continue;
                }
                let disturbance = &self.cx.plan.disturbances[part];
                let hit = self.ordeals.take(part, disturbance, self.traffic_ns, now).filter(|_| !drains);
                let Some(hit) = hit else { break };
                self.hit(hit, fx);
            }
        }
    }

    fn hit(&mut self, hit: Hit, fx: &mut Effects) {
        let waits = self.awaits_retained(self.ordeals.all[hit.ordeal].client);
        let ordeal = &mut self.ordeals.all[hit.ordeal];
        let (index, part) = (ordeal.client, ordeal.part);
        let counts = &mut self.meter.disturbances[part];
        if waits || ordeal.under_way || self.clients[index].state != State::Ready {
            counts.skipped += 1;
            return;
        }
        counts.hit(hit.round);
        ordeal.under_way = true;
        ordeal.round = hit.round;
        ordeal.intended_ns = hit.at_ns;
        self.ordeals.under_way += 1;
        self.ordeals.steps += 1;
        self.account.unacknowledged += 1;
        self.active = true;
        let disturb = &self.cx.plan.disturbances[part].disturb;
        let back_ns = hit.at_ns.saturating_add(nanos(disturb.lasts));
        match disturb.kind {
            Kind::Reconnect => {
                self.cut(index, disturb.how.unwrap_or_default(), fx);
                self.ordeals.parts[part].returning.push_back((back_ns, hit.ordeal));
            }
            Kind::Takeover => self.dial_second(index, fx),
            Kind::Resubscribe => self.unsubscribe(index, fx),
            Kind::Pause => {
                let client = &mut self.clients[index];
                client.state = State::Paused;
                fx.commands.push(Command::PauseReading { conn: client.conn() });
                self.ordeals.parts[part].returning.push_back((back_ns, hit.ordeal));
            }
        }
    }

    /// Ends a client's connection, for it to come back later.
    fn cut(&mut self, index: usize, how: How, fx: &mut Effects) {
        let client = &mut self.clients[index];
        let conn = client.conn();
        let how = match how {
            How::Abort => CloseHow::Abort,
            How::Disconnect => {
                let goodbye = Disconnect::with_reason(ReasonCode::NORMAL_DISCONNECTION);
                goodbye.encode(self.cx.plan.identity.version, fx.outbox.buffer(conn));
                CloseHow::Flush
            }
        };
        fx.commands.push(Command::Close { conn, how });
        client.forget(State::Away);
        client.pinged = false;
        self.open -= 1;
        self.end_of_session(index);
    }

    /// Without a session nothing is left of the exchanges that a connection's end has interrupted [MQTT-4.1.0-1].
    pub(super) fn end_of_session(&mut self, index: usize) {
        if !self.cx.plan.identity.keeps_session() {
            let unreleased = &mut self.subscribers[index - self.publishers.len()].unreleased;
            self.account.unacknowledged -= unreleased.len() as u64;
            unreleased.clear();
        }
    }

    /// The end of an absence or a pause.
    fn come_back(&mut self, ordeal: usize, intended_ns: u64, fx: &mut Effects) {
        let entry = &mut self.ordeals.all[ordeal];
        let index = entry.client;
        if !entry.under_way {
            return;
        }
        entry.intended_ns = intended_ns;
        self.active = true;
        let client = &mut self.clients[index];
        if client.state == State::Paused {
            client.state = State::Ready;
            // An answer to a ping may be among what was not read.
            client.pinged = false;
            fx.commands.push(Command::ResumeReading { conn: client.conn() });
            let now = self.cx.clock.now();
            self.recovered(ordeal, now);
        } else {
            let local = self.cx.plan.source(self.global(index));
            fx.commands.push(Command::Connect { token: index as u64, remote: self.cx.plan.remote, local });
        }
    }

    /// CONNACK of a client that was away.
    pub(super) fn welcomed(
        &mut self,
        index: usize,
        answer: &ConnAck<'_>,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let Some(ordeal) = self.ordeals.of(index) else { return Err("CONNACK for no CONNECT".into()) };
        self.check_session(answer)?;
        self.clients[index].state = State::Ready;
        self.open += 1;
        let intended_ns = self.ordeals.all[ordeal].intended_ns;
        if self.cx.stage.measures(intended_ns) {
            self.meter.reconnect.record(self.arrived_ns.saturating_sub(intended_ns));
        }
        self.resume(ordeal, now, fx);
        Ok(())
    }

    /// Whether the broker has what it has to have of the client's session [MQTT-3.2.2-2] [MQTT-3.2.2-3].
    pub(super) fn check_session(&self, answer: &ConnAck<'_>) -> Result<(), String> {
        if answer.reason.is_error() {
            return Err(format!("CONNACK: {}", answer.reason));
        }
        let identity = &self.cx.plan.identity;
        match (answer.session_present, identity.keeps_session()) {
            // MQTT 3.1 does not say.
            (false, true) if identity.version != Version::V31 => Err("CONNACK: the session is gone".into()),
            (true, false) => Err("CONNACK: a session is present that had to be discarded".into()),
            _ => Ok(()),
        }
    }

    /// The client is connected again: goes on with its session, or subscribes anew.
    pub(super) fn resume(&mut self, ordeal: usize, now: u64, fx: &mut Effects) {
        self.ordeals.steps += 1;
        let index = self.ordeals.all[ordeal].client;
        if !self.cx.plan.identity.keeps_session() {
            return self.subscribe_again(ordeal, now, fx);
        }
        if self.cx.plan.delivery_qos() == QoS::AtMostOnce {
            // Sessions need not keep these messages.
            self.excuse(index);
            return self.recovered(ordeal, now);
        }
        let subscriber = &self.subscribers[index - self.publishers.len()];
        let mut targets = std::mem::take(&mut self.ordeals.all[ordeal].targets);
        targets.clear();
        let (mut behind, mut waiting) = (0, 0);
        for (position, publisher) in subscriber.sources.iter().enumerate() {
            let (sent, has) = (self.sent_by(publisher), self.checks.next(subscriber.streams + position));
            waiting += sent.saturating_sub(has);
            behind += usize::from(sent > has);
            targets.push(if sent > has { sent } else { 0 });
        }
        let entry = &mut self.ordeals.all[ordeal];
        (entry.targets, entry.behind, entry.resumed_ns) = (targets, behind, now);
        self.meter.disturbances[entry.part].replayed += waiting;
        if behind == 0 {
            self.recovered(ordeal, now);
        } else {
            self.ordeals.replaying += 1;
        }
    }

    /// A client that may be catching up has a message of the source at this position.
    pub(super) fn caught_up(&mut self, index: usize, position: usize, stream: usize, now: u64) {
        let Some(ordeal) = self.ordeals.of(index) else { return };
        let entry = &mut self.ordeals.all[ordeal];
        if entry.behind == 0 || entry.targets[position] == 0 || self.checks.next(stream) < entry.targets[position] {
            return;
        }
        entry.targets[position] = 0;
        entry.behind -= 1;
        if entry.behind == 0 {
            self.ordeals.replaying -= 1;
            if self.cx.stage.measures(entry.intended_ns) {
                self.meter.replay.record(self.arrived_ns.saturating_sub(entry.resumed_ns));
            }
            self.recovered(ordeal, now);
        }
    }

    fn unsubscribe(&mut self, index: usize, fx: &mut Effects) {
        let filters = self.cx.plan.filters(self.subscribers[index - self.publishers.len()].global);
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let now = self.cx.clock.now();
        let client = &mut self.clients[index];
        client.state = State::Unsubscribing;
        client.asked_ns = now;
        client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
        UnsubscribeOut { packet_id: UNSUBSCRIBE_ID, filters: &filters, user_properties: UserProperties::NONE }
            .encode(self.cx.plan.identity.version, fx.outbox.buffer(client.conn()));
    }

    /// The server's answer to an UNSUBSCRIBE: subscribes again.
    pub(super) fn ungranted(
        &mut self,
        index: usize,
        answer: &UnsubAck<'_>,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let ordeal = self.ordeals.of(index).filter(|_| self.clients[index].state == State::Unsubscribing);
        let Some(ordeal) = ordeal.filter(|_| answer.packet_id == UNSUBSCRIBE_ID) else {
            return Err("UNSUBACK for no UNSUBSCRIBE".into());
        };
        if let Some(reason) = answer.reasons().find(|reason| *reason != ReasonCode::SUCCESS) {
            return Err(format!("UNSUBACK: {reason}"));
        }
        self.clients[index].state = State::Ready;
        if self.cx.stage.measures(self.ordeals.all[ordeal].intended_ns) {
            self.meter.unsubscribe.record(self.arrived_ns.saturating_sub(self.clients[index].asked_ns));
        }
        self.subscribe_again(ordeal, now, fx);
        Ok(())
    }

    fn subscribe_again(&mut self, ordeal: usize, now: u64, fx: &mut Effects) {
        self.ordeals.steps += 1;
        let index = self.ordeals.all[ordeal].client;
        if self.request_subscription(index, State::Resubscribing, now, fx) {
            return;
        }
        self.recovered(ordeal, now);
    }

    /// SUBACK of a client that had to subscribe again.
    pub(super) fn granted_again(&mut self, index: usize, now: u64) {
        let Some(ordeal) = self.ordeals.of(index) else { return };
        if self.cx.stage.measures(self.ordeals.all[ordeal].intended_ns) {
            self.meter.resubscribe.record(self.arrived_ns.saturating_sub(self.clients[index].asked_ns));
        }
        self.excuse(index);
        if !self.awaits_retained(index) {
            self.recovered(ordeal, now);
        }
    }

    /// What has been sent until now, and not received, the broker did not have to deliver to this client.
    fn excuse(&mut self, index: usize) {
        let subscriber = &self.subscribers[index - self.publishers.len()];
        let (streams, sources) = (subscriber.streams, subscriber.sources.clone());
        for (position, publisher) in sources.iter().enumerate() {
            self.checks.excuse(streams + position, self.sent_by(publisher));
        }
    }

    /// A client is back to normal.
    pub(super) fn recovered(&mut self, ordeal: usize, now: u64) {
        let entry = &mut self.ordeals.all[ordeal];
        entry.under_way = false;
        self.ordeals.under_way -= 1;
        self.ordeals.steps += 1;
        self.account.unacknowledged -= 1;
        let disturbance = &self.cx.plan.disturbances[entry.part];
        let begun = disturbance.round_ns(entry.round).unwrap_or(0).saturating_add(nanos(disturbance.disturb.lasts));
        let since = now.saturating_sub(self.traffic_ns).saturating_sub(begun);
        self.meter.disturbances[entry.part].recovered(entry.round, since);
    }

    /// A client is lost for good: it is not waited for any more, and its second connection is closed.
    pub(super) fn give_up(&mut self, index: usize, fx: &mut Effects) {
        let Some(ordeal) = self.ordeals.of(index) else { return };
        let entry = &mut self.ordeals.all[ordeal];
        entry.under_way = false;
        if entry.behind > 0 {
            entry.behind = 0;
            self.ordeals.replaying -= 1;
        }
        if let Some(other) = entry.other.take() {
            fx.commands.push(Command::Close { conn: other.conn(), how: CloseHow::Abort });
        }
        self.ordeals.under_way -= 1;
        self.account.unacknowledged -= 1;
    }

    /// The run is over: whoever is not back to normal by now is an error.
    pub(super) fn end_ordeals(&mut self, fx: &mut Effects) {
        for ordeal in 0..self.ordeals.all.len() {
            let entry = &self.ordeals.all[ordeal];
            if !entry.under_way {
                continue;
            }
            let (index, first_left) = (entry.client, entry.other.as_ref().is_some_and(|other| !other.is_second));
            let name = self.cx.plan.disturbances[entry.part].disturb.kind.name();
            let missing = match self.clients[index].state {
                _ if first_left => "its first connection was not closed",
                State::Unsubscribing => "UNSUBACK did not come",
                State::Resubscribing => "SUBACK did not come",
                State::Ready if self.awaits_retained(index) => "not all retained messages came",
                State::Ready if entry.behind > 0 => "not all messages of its session came",
                _ => "CONNACK did not come",
            };
            self.meter.error(format!("{name}: a client is not back to normal: {missing}"));
            self.give_up(index, fx);
        }
    }
}

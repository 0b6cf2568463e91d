//! Retained messages: storing them before anybody subscribes, and that each subscription brings all of them.
//!
//! The publishers of retained messages have the highest numbers. Each sends one, and they are acknowledged before the
//! first SUBSCRIBE, so that it is known what every SUBSCRIBE has to bring [MQTT-3.3.1-9] [MQTT3-3.3.1-6]. Absent:
//! retained messages that change while the run goes on; those of ordinary publishers are ordinary messages.

use super::Fleet;
use super::client::State;
use super::publish::message;
use crate::clock::NANOS_PER_MILLI;
use ringmq_core::machine::Effects;

/// What a subscriber waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    /// Position of the first publisher of a retained message among the subscriber's sources.
    first: u32,
    /// By position after that: has come since the last SUBSCRIBE.
    seen: Box<[bool]>,
    /// Those that have not.
    missing: usize,
    /// When SUBSCRIBE was sent, nanoseconds.
    since_ns: u64,
}

impl Awaited {
    /// Nothing yet, of a subscriber with these sources, of which those from number `live` have retained messages.
    pub(super) fn new(sources: &crate::scenario::Sources, live: u32) -> Self {
        let retained = sources.iter().filter(|publisher| *publisher >= live).count();
        let seen = vec![false; retained].into_boxed_slice();
        Self { first: sources.count() - retained as u32, seen, missing: 0, since_ns: 0 }
    }

    /// Messages that have not come.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }
}

impl Fleet {
    /// Sends as many of the retained messages as the window allows.
    pub(super) fn retain(&mut self, now: u64, fx: &mut Effects) {
        let Some(traffic) = &self.cx.plan.traffic else { return self.reach(true) };
        let live = self.cx.plan.live_publishers();
        let version = self.cx.plan.identity.version;
        while self.retained < self.publishers.len()
            && self.account.unacknowledged < u64::from(self.cx.plan.connecting.window)
        {
            let local = self.retained;
            self.retained += 1;
            let (publisher, client) = (&mut self.publishers[local], &mut self.clients[local]);
            if publisher.global < live || client.state != State::Ready {
                continue;
            }
            let Some(packet_id) = publisher.in_flight.take(now) else { continue };
            let payload = self.maker.make(publisher.global, 0, now);
            message(traffic.qos, true, &publisher.topic, packet_id, payload)
                .encode(version, fx.outbox.buffer(client.conn()));
            client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
            self.account.unacknowledged += 1;
            self.active = true;
        }
        self.reach(self.retained == self.publishers.len() && self.account.unacknowledged == 0);
    }

    /// Whether a client waits for retained messages.
    pub(super) fn awaits_retained(&self, index: usize) -> bool {
        let local = index.checked_sub(self.publishers.len());
        local.and_then(|local| self.awaited.get(local)).is_some_and(|awaited| awaited.missing > 0)
    }

    /// SUBSCRIBE is sent: all retained messages have to come.
    pub(super) fn await_retained(&mut self, index: usize, now: u64) {
        let Some(awaited) = self.awaited.get_mut(index - self.publishers.len()) else { return };
        awaited.seen.fill(false);
        awaited.missing = awaited.seen.len();
        awaited.since_ns = now;
        self.account.expected += awaited.missing as u64;
    }

    /// A retained message of the source at this position has come.
    pub(super) fn delivered_retained(&mut self, index: usize, position: u32, flag: bool, now: u64) {
        if !flag {
            // [MQTT-3.3.1-8] [MQTT3-3.3.1-8]
            self.meter.error("retained message without RETAIN".into());
        }
        let awaited = &mut self.awaited[index - self.publishers.len()];
        let seen = &mut awaited.seen[(position - awaited.first) as usize];
        let fresh = !std::mem::replace(seen, true) && awaited.missing > 0;
        self.checks.record_retained(fresh);
        if !fresh {
            return;
        }
        awaited.missing -= 1;
        self.account.accounted += 1;
        let since_ns = awaited.since_ns;
        let all = awaited.missing == 0;
        if self.cx.stage.measures(now) {
            self.meter.delivered += 1;
        }
        if all {
            self.meter.retained.record(self.arrived_ns.saturating_sub(since_ns));
            if let Some(ordeal) = self.ordeals.of(index).filter(|_| self.clients[index].state == State::Ready) {
                self.recovered(ordeal, now);
            }
        }
    }
}

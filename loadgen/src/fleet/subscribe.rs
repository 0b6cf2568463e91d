//! Subscribing: one SUBSCRIBE a subscriber, with all its filters.

use super::Fleet;
use super::client::State;
use crate::clock::NANOS_PER_MILLI;
use ringmq_core::machine::Effects;
use ringmq_wire::{QoS, ReasonCode, RetainHandling, SubAck, SubscribeOptions, SubscribeOut, UserProperties};

/// The packet identifier of a client's SUBSCRIBE; subscribers publish nothing, so it is free [MQTT-2.2.1-3].
const SUBSCRIBE_ID: u16 = 1;

impl Fleet {
    /// Sends as many SUBSCRIBEs as the window allows.
    pub(super) fn subscribe(&mut self, now: u64, fx: &mut Effects) {
        while self.subscribed.next < self.subscribers.len()
            && self.subscribed.under_way < self.cx.plan.connecting.window as usize
        {
            let subscriber = self.subscribed.next;
            self.subscribed.next += 1;
            self.subscribed.under_way += 1;
            let index = self.publishers.len() + subscriber;
            if self.clients[index].state != State::Ready
                || !self.request_subscription(index, State::Subscribing, now, fx)
            {
                self.settle_subscription();
            }
        }
        self.reach(self.subscribed.settled == self.subscribers.len());
    }

    /// Sends a client's SUBSCRIBE, which puts it into the state `asked`; false if it has no filters.
    pub(super) fn request_subscription(&mut self, index: usize, asked: State, now: u64, fx: &mut Effects) -> bool {
        let filters = self.cx.plan.filters(self.subscribers[index - self.publishers.len()].global);
        if filters.is_empty() {
            return false;
        }
        let options = SubscribeOptions {
            retain_handling: RetainHandling::Send,
            ..SubscribeOptions::with_qos(self.cx.plan.subscription_qos)
        };
        let filters: Vec<(&str, SubscribeOptions)> = filters.iter().map(|text| (text.as_str(), options)).collect();
        let user_properties = UserProperties::NONE;
        let client = &mut self.clients[index];
        SubscribeOut { packet_id: SUBSCRIBE_ID, subscription_id: None, filters: &filters, user_properties }
            .encode(self.cx.plan.identity.version, fx.outbox.buffer(client.conn()));
        client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
        client.asked_ns = now;
        client.state = asked;
        self.await_retained(index, now);
        true
    }

    /// The server's answer.
    pub(super) fn granted(&mut self, index: usize, answer: &SubAck<'_>, now: u64) -> Result<(), String> {
        let state = self.clients[index].state;
        if !matches!(state, State::Subscribing | State::Resubscribing) || answer.packet_id != SUBSCRIBE_ID {
            return Err("SUBACK for no SUBSCRIBE".into());
        }
        let wanted = self.cx.plan.subscription_qos;
        for reason in answer.reasons() {
            match QoS::from_bits(reason.0) {
                Some(granted) if granted >= wanted => {}
                Some(granted) => return Err(format!("SUBACK: granted QoS {} at most", granted.bits())),
                // In MQTT 3 every failure is this one code.
                None if reason == ReasonCode::UNSPECIFIED_ERROR => return Err("SUBACK: Failure (0x80)".into()),
                None => return Err(format!("SUBACK: {reason}")),
            }
        }
        self.granted += 1;
        self.clients[index].state = State::Ready;
        if state == State::Resubscribing {
            self.granted_again(index, now);
            return Ok(());
        }
        let took_ns = self.arrived_ns.saturating_sub(self.clients[index].asked_ns);
        self.meter.subscribe.record(took_ns);
        self.experience(index, |experience| experience.subscribe_ns = Some(took_ns));
        self.settle_subscription();
        Ok(())
    }

    pub(super) fn settle_subscription(&mut self) {
        self.subscribed.under_way -= 1;
        self.subscribed.settled += 1;
    }
}

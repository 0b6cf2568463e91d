//! Subscribing: one SUBSCRIBE a subscriber, with all its filters.

use super::Fleet;
use super::client::State;
use crate::clock::NANOS_PER_MILLI;
use ringmq_core::machine::Effects;
use ringmq_wire::{QoS, ReasonCode, RetainHandling, SubAck, SubscribeOptions, SubscribeOut, UserProperties};

/// The packet identifier of a client's only SUBSCRIBE; subscribers publish nothing, so it is free [MQTT-2.2.1-3].
const SUBSCRIBE_ID: u16 = 1;

impl Fleet {
    /// Sends as many SUBSCRIBEs as the window allows.
    pub(super) fn subscribe(&mut self, now: u64, fx: &mut Effects) {
        let version = self.cx.plan.identity.version;
        while self.subscribed.next < self.subscribers.len()
            && self.subscribed.under_way < self.cx.plan.connecting.window as usize
        {
            let subscriber = self.subscribed.next;
            self.subscribed.next += 1;
            self.subscribed.under_way += 1;
            let filters = self.cx.plan.filters(self.subscribers[subscriber].global);
            let client = &mut self.clients[self.publishers.len() + subscriber];
            if filters.is_empty() || client.state != State::Ready {
                self.settle_subscription();
                continue;
            }
            let options = SubscribeOptions {
                retain_handling: RetainHandling::Send,
                ..SubscribeOptions::with_qos(self.cx.plan.subscription_qos)
            };
            let filters: Vec<(&str, SubscribeOptions)> = filters.iter().map(|text| (text.as_str(), options)).collect();
            let user_properties = UserProperties::NONE;
            let request =
                SubscribeOut { packet_id: SUBSCRIBE_ID, subscription_id: None, filters: &filters, user_properties };
            request.encode(version, fx.outbox.buffer(client.conn()));
            client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
            client.asked_ns = now;
            client.state = State::Subscribing;
        }
        self.reach(self.subscribed.settled == self.subscribers.len());
    }

    /// The server's answer.
    pub(super) fn granted(&mut self, index: usize, answer: &SubAck<'_>, now: u64) -> Result<(), String> {
        if self.clients[index].state != State::Subscribing || answer.packet_id != SUBSCRIBE_ID {
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
        self.clients[index].state = State::Ready;
        self.meter.subscribe.record(now.saturating_sub(self.clients[index].asked_ns));
        self.settle_subscription();
        Ok(())
    }

    pub(super) fn settle_subscription(&mut self) {
        self.subscribed.under_way -= 1;
        self.subscribed.settled += 1;
    }
}

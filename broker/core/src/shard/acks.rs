//! Acknowledgements from subscribers: how a message leaves the window (section 4.3).

use super::back_pressure::Notice;
use super::hub::Hub;
use crate::machine::Effects;
use crate::session::{Delivery, Stage};
use ringmq_wire::{PacketType, QoS, ReasonCode, encode_ack};

impl Hub {
    /// PUBACK from a subscriber: the message is delivered, or refused for good [MQTT-4.4.0-2] [MQTT-4.8.2-6].
    #[inline]
    pub(super) fn acknowledged(&mut self, from: u32, packet_id: u16, fx: &mut Effects) {
        if self.settings.slow_subs.enable {
            self.note_answered(from, packet_id);
        }
        let session = self.sessions.get_mut(from).expect("live session");
        let done = session.delivery.as_mut().and_then(|delivery| {
            let at = delivery.position(packet_id)?;
            let waits = matches!(&delivery.window[at].stage, Stage::Published(held) if held.qos == QoS::AtLeastOnce);
            waits.then(|| delivery.land(at))
        });
        let Some(done) = done else {
            match self.waits_for_something_else(from, packet_id) {
                true => self.counters.puback_inuse += 1,
                false => self.counters.puback_missed += 1,
            }
            return;
        };
        if let Some(outgoing) = done.outgoing() {
            self.notices.extend(Notice::of_queue(outgoing, false));
        }
        self.counters.messages_acked += 1;
        self.window_opened(from, fx);
    }

    /// PUBREC from a subscriber [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT3-4.3.3-1], also if the message has expired
    /// meanwhile [MQTT-4.3.3-13]. A refusal ends the exchange [MQTT-4.4.0-2].
    pub(super) fn received(&mut self, from: u32, packet_id: u16, reason: ReasonCode, fx: &mut Effects) {
        if self.settings.slow_subs.enable {
            self.note_answered(from, packet_id);
        }
        let session = self.sessions.get_mut(from).expect("live session");
        let conn = session.conn.expect("live session");
        let version = session.version;
        let known = session.delivery.as_mut().and_then(|delivery| {
            let at = delivery.position(packet_id)?;
            match &delivery.window[at].stage {
                Stage::Published(held) if held.qos != QoS::ExactlyOnce => None,
                Stage::Published(_) if reason.is_error() => {
                    self.counters.messages_acked += 1;
                    delivery.land(at);
                    Some(true)
                }
                Stage::Published(_) => {
                    self.counters.messages_acked += 1;
                    delivery.release_to_client(at, self.now_ms);
                    Some(false)
                }
                // A repetition.
                Stage::Released => {
                    self.counters.pubrec_inuse += 1;
                    delivery.release_to_client(at, self.now_ms);
                    Some(false)
                }
            }
        });
        match known {
            Some(true) => {
                self.packets.leave_unanswered();
                self.window_opened(from, fx);
            }
            Some(false) => {
                encode_ack(fx.outbox.buffer(conn), PacketType::PubRel, version, packet_id, ReasonCode::SUCCESS);
            }
            None => {
                match self.waits_for_something_else(from, packet_id) {
                    true => self.counters.pubrec_inuse += 1,
                    false => self.counters.pubrec_missed += 1,
                }
                if reason.is_error() {
                    self.packets.leave_unanswered();
                } else {
                    let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                    encode_ack(fx.outbox.buffer(conn), PacketType::PubRel, version, packet_id, reason);
                }
            }
        }
    }

    /// PUBCOMP from a subscriber.
    pub(super) fn completed(&mut self, from: u32, packet_id: u16, fx: &mut Effects) {
        let session = self.sessions.get_mut(from).expect("live session");
        let done = session.delivery.as_mut().and_then(|delivery| {
            let at = delivery.position(packet_id)?;
            matches!(delivery.window[at].stage, Stage::Released).then(|| delivery.land(at))
        });
        if done.is_none() {
            match self.waits_for_something_else(from, packet_id) {
                true => self.counters.pubcomp_inuse += 1,
                false => self.counters.pubcomp_missed += 1,
            }
            return;
        }
        self.window_opened(from, fx);
    }

    /// True if a message has this identifier, for which another acknowledgement is due.
    #[cold]
    fn waits_for_something_else(&self, from: u32, packet_id: u16) -> bool {
        let delivery = self.sessions.get(from).and_then(|held| held.delivery.as_ref());
        delivery.is_some_and(|delivery| delivery.position(packet_id).is_some())
    }

    #[inline]
    fn window_opened(&mut self, session: u32, fx: &mut Effects) {
        let held = self.sessions.get(session).expect("live session");
        let waits = |delivery: &Delivery| !delivery.queue.is_empty() || delivery.in_flight() < delivery.window.len();
        if held.delivery.as_deref().is_some_and(waits) || held.flags.waits_for_room {
            self.pump(session, fx);
        }
    }
}

//! Packets by type (EMQX: `packets.<type>.received`, `.sent`, `.error`), at the cost of one count for each that is received.
//!
//! What is received is counted by the type in its first byte, of sound form or not. Of what is sent, rare packets are
//! counted where they are sent. PUBLISH and the acknowledgements of either side follow from what is counted anyway,
//! corrected by what is rare: a publisher's QoS 1 message is answered by one PUBACK, unless that waits for another shard.
//!
//! Absent: what is wrong with packets by kind of mistake, which the handlers count.

use crate::counters::Counters;
use ringmq_wire::PacketType;

/// Values of the upper half of a packet's first byte.
const TYPES: usize = 16;

/// Counts by type.
type ByType = [u64; TYPES];

/// What is counted of packets beside [`Counters`].
#[derive(Debug, Default)]
pub(super) struct Packets {
    received: ByType,
    /// Those of them that ended their connection for what they were, or whose answer told of an error.
    failed: ByType,
    /// Acknowledgements to publishers that wait for another shard, or still did when their connection ended.
    held: ByType,
    /// PUBREC packets that were not to be answered by PUBREL: refusals of a message.
    unanswered_pubrec: u64,
    /// PUBREL packets that answered none: those of a new connection, and those that are sent again.
    repeated_pubrel: u64,
}

const fn index(first: u8) -> usize {
    (first >> 4) as usize
}

impl Packets {
    /// A packet with this first byte was received.
    #[inline]
    pub(super) fn receive(&mut self, first: u8) {
        self.received[index(first)] += 1;
    }

    /// It goes to another shard with its connection, which receives it once more.
    pub(super) fn pass_on(&mut self, first: u8) {
        self.received[index(first)] -= 1;
    }

    /// It ended its connection for what it was, or its answer tells of an error.
    #[cold]
    pub(super) fn fail(&mut self, first: u8) {
        self.failed[index(first)] += 1;
    }

    /// An acknowledgement waits for another shard.
    #[cold]
    pub(super) fn hold(&mut self, of: PacketType) {
        self.held[index(of.first())] += 1;
    }

    /// An acknowledgement that waited is sent.
    #[cold]
    pub(super) fn send_held(&mut self, of: PacketType) {
        self.held[index(of.first())] -= 1;
    }

    /// A PUBREC is not answered.
    #[cold]
    pub(super) fn leave_unanswered(&mut self) {
        self.unanswered_pubrec += 1;
    }

    /// A PUBREL is sent that answers no PUBREC.
    #[cold]
    pub(super) fn repeat_pubrel(&mut self) {
        self.repeated_pubrel += 1;
    }

    /// Puts in what follows from these counts and from those that are there.
    pub(super) fn count(&self, counters: &mut Counters) {
        let of = |counts: &ByType, packet_type: PacketType| counts[index(packet_type.first())];
        let received = |packet_type| of(&self.received, packet_type);
        counters.packets_received = self.received.iter().sum();
        counters.connect_received = received(PacketType::Connect);
        counters.publish_received = received(PacketType::Publish);
        counters.puback_received = received(PacketType::PubAck);
        counters.pubrec_received = received(PacketType::PubRec);
        counters.pubrel_received = received(PacketType::PubRel);
        counters.pubcomp_received = received(PacketType::PubComp);
        counters.subscribe_received = received(PacketType::Subscribe);
        counters.unsubscribe_received = received(PacketType::Unsubscribe);
        counters.pingreq_received = received(PacketType::PingReq);
        counters.disconnect_received = received(PacketType::Disconnect);
        counters.auth_received = received(PacketType::Auth);

        let failed = |packet_type| of(&self.failed, packet_type);
        counters.publish_error = failed(PacketType::Publish);
        counters.subscribe_error = failed(PacketType::Subscribe);
        counters.unsubscribe_error = failed(PacketType::Unsubscribe);
        counters.publish_dropped =
            counters.publish_quota + counters.messages_dropped_limited + counters.client_limited_rejected;

        let held = |packet_type| of(&self.held, packet_type);
        counters.connack_sent = counters.client_connected + counters.connack_error;
        counters.client_connack = counters.connack_sent;
        counters.publish_sent = counters.messages_sent;
        counters.puback_sent = counters.messages_qos1_received - held(PacketType::PubAck);
        counters.pubrec_sent = counters.messages_qos2_received + counters.publish_inuse - held(PacketType::PubRec);
        let pubrec_answered = counters.pubrec_received - failed(PacketType::PubRec) - self.unanswered_pubrec;
        counters.pubrel_sent = pubrec_answered + self.repeated_pubrel;
        counters.pubcomp_sent = counters.pubrel_received - failed(PacketType::PubRel) - held(PacketType::PubComp);
        counters.packets_sent = [
            counters.connack_sent,
            counters.publish_sent,
            counters.puback_sent,
            counters.pubrec_sent,
            counters.pubrel_sent,
            counters.pubcomp_sent,
            counters.suback_sent,
            counters.unsuback_sent,
            counters.pingresp_sent,
            counters.disconnect_sent,
            counters.auth_sent,
        ]
        .iter()
        .sum();
    }
}

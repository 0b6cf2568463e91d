//! PUBLISH (section 3.3) to send: what a fan-out encodes once and copies, so it is laid out for that.

use alloc::vec::Vec;

use crate::property::id;
use crate::{PacketType, QoS, Version, varint};

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct PublishOut<'a> {
    /// The quality of service.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// Whether it is sent again [MQTT-3.3.1-1]; ignored at QoS 0 [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT3-3.3.1-2].
    pub dup: bool,
    /// The topic name; may be empty if there is an alias that stands for it.
    pub topic: &'a [u8],
    /// Ignored at QoS 0 [MQTT-2.2.1-2].
    pub packet_id: u16,
    /// Seconds; not sent in MQTT 3.
    pub expiry: Option<u32>,
    /// Never 0; not sent in MQTT 3.
    pub alias: Option<u16>,
    /// Those of the matching subscriptions [MQTT-3.3.4-4]; not sent in MQTT 3.
    pub subscription_ids: &'a [u32],
    /// A block as [`crate::PublishProperties::forwardable`] gives it; not sent in MQTT 3.
    pub properties: &'a [u8],
    /// The application message.
    pub payload: &'a [u8],
}

impl PublishOut<'_> {
    /// The octets of the property block without its length.
    #[inline]
    fn property_len(&self) -> usize {
        let mut count = self.properties.len();
        if self.expiry.is_some() {
            count += 5;
        }
        if self.alias.is_some() {
            count += 3;
        }
        for subscription_id in self.subscription_ids {
            count += 1 + varint::len(*subscription_id as usize);
        }
        count
    }

    /// The remaining length and the length of the property block.
    #[inline]
    fn lengths(&self, version: Version) -> (usize, usize) {
        let mut remaining = 2 + self.topic.len() + self.payload.len();
        if self.qos != QoS::AtMostOnce {
            remaining += 2;
        }
        if !version.is_v5() {
            return (remaining, 0);
        }
        let properties = self.property_len();
        (remaining + varint::len(properties) + properties, properties)
    }

    /// The octets of the whole packet. Compare with the receiver's maximum packet size, and with
    /// [`crate::MAX_PACKET_LEN`], before encoding.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        let (remaining, _) = self.lengths(version);
        1 + varint::len(remaining) + remaining
    }

    /// Where the packet identifier is, in octets from the start of the packet, so that a copy of an encoded packet can
    /// be given another; `None` at QoS 0, which has none.
    #[inline]
    pub fn packet_id_offset(&self, version: Version) -> Option<usize> {
        if self.qos == QoS::AtMostOnce {
            return None;
        }
        let (remaining, _) = self.lengths(version);
        Some(1 + varint::len(remaining) + 2 + self.topic.len())
    }

    /// Appends the packet.
    ///
    /// # Panics
    /// If the topic is longer than 65535 octets or the packet than [`crate::MAX_PACKET_LEN`].
    #[inline]
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        self.encode_up_to_payload(version, self.payload.len(), out);
        out.extend_from_slice(self.payload);
    }

    /// Appends all of the packet but its payload, for a caller that sends the payload from where it is.
    ///
    /// # Panics
    /// As [`PublishOut::encode`].
    #[inline]
    pub fn encode_head(&self, version: Version, out: &mut Vec<u8>) {
        self.encode_up_to_payload(version, 0, out);
    }

    /// Appends all but the payload, and reserves room for `more` octets after it.
    #[inline]
    fn encode_up_to_payload(&self, version: Version, more: usize, out: &mut Vec<u8>) {
        let (remaining, properties) = self.lengths(version);
        out.reserve(crate::MAX_HEADER_LEN + remaining - self.payload.len() + more);
        let first = PacketType::Publish.first()
            | u8::from(self.dup && self.qos != QoS::AtMostOnce) << 3
            | self.qos.bits() << 1
            | u8::from(self.retain);
        let topic_len = u16::try_from(self.topic.len()).expect("a topic name holds at most 65535 octets").to_be_bytes();
        // Short fixed pieces go through one array, so that the buffer's capacity is checked once for all of them.
        let mut octets = [0; 4];
        let used = varint::put(&mut octets, remaining);
        let [a, b, c, d] = octets;
        let [high, low] = topic_len;
        match used {
            1 => out.extend_from_slice(&[first, a, high, low]),
            2 => out.extend_from_slice(&[first, a, b, high, low]),
            3 => out.extend_from_slice(&[first, a, b, c, high, low]),
            _ => out.extend_from_slice(&[first, a, b, c, d, high, low]),
        }
        out.extend_from_slice(self.topic);
        if self.qos != QoS::AtMostOnce {
            out.extend_from_slice(&self.packet_id.to_be_bytes());
        }
        if !version.is_v5() {
            return;
        }
        if properties == 0 {
            // [MQTT-2.2.2-1]
            return out.push(0);
        }
        varint::push(out, properties);
        if let Some(expiry) = self.expiry {
            let [a, b, c, d] = expiry.to_be_bytes();
            out.extend_from_slice(&[id::MESSAGE_EXPIRY, a, b, c, d]);
        }
        if let Some(alias) = self.alias {
            let [high, low] = alias.to_be_bytes();
            out.extend_from_slice(&[id::TOPIC_ALIAS, high, low]);
        }
        for subscription_id in self.subscription_ids {
            out.push(id::SUBSCRIPTION_ID);
            varint::push(out, *subscription_id as usize);
        }
        out.extend_from_slice(self.properties);
    }
}

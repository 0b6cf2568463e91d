//! Packets that shed what is only for people, user properties first and then the reason string, rather than exceed the
//! receiver's maximum packet size. PUBLISH sheds nothing: its sender compares `PublishOut::encoded_len` and drops it.

use alloc::vec::Vec;

use crate::{Ack, AckProperties, Auth, ConnAck, Disconnect, PacketType, SubAck, UnsubAck, UserProperties, Version};

/// Encodes `packet`, and again after each of `sheds`, until it fits `limit` octets. Whether it did; if not, `out` is as
/// it was.
fn encode_within<P>(
    mut packet: P,
    limit: u32,
    out: &mut Vec<u8>,
    sheds: [fn(&mut P); 2],
    encode: impl Fn(&P, &mut Vec<u8>),
) -> bool {
    let start = out.len();
    let mut sheds = sheds.iter();
    loop {
        encode(&packet, out);
        if out.len() - start <= limit as usize {
            return true;
        }
        out.truncate(start);
        match sheds.next() {
            Some(shed) => shed(&mut packet),
            None => return false,
        }
    }
}

impl AckProperties<'_> {
    fn shed_user_properties(&mut self) {
        self.user_properties = UserProperties::NONE;
    }

    fn shed_reason_string(&mut self) {
        self.reason_string = None;
    }
}

impl Ack<'_> {
    /// Appends the packet without what does not fit `limit` octets: PUBACK [MQTT-3.4.2-2] [MQTT-3.4.2-3], PUBREC
    /// [MQTT-3.5.2-2] [MQTT-3.5.2-3], PUBREL [MQTT-3.6.2-2] [MQTT-3.6.2-3], PUBCOMP [MQTT-3.7.2-2] [MQTT-3.7.2-3].
    /// Whether it fits at all; if not, nothing is appended.
    #[must_use]
    pub fn encode_within(&self, limit: u32, packet_type: PacketType, version: Version, out: &mut Vec<u8>) -> bool {
        encode_within(
            *self,
            limit,
            out,
            [|ack| ack.properties.shed_user_properties(), |ack| ack.properties.shed_reason_string()],
            |ack, out| ack.encode(packet_type, version, out),
        )
    }
}

impl SubAck<'_> {
    /// Appends the packet without what does not fit `limit` octets [MQTT-3.9.2-1] [MQTT-3.9.2-2]. Whether it fits at
    /// all; if not, nothing is appended.
    #[must_use]
    pub fn encode_within(&self, limit: u32, version: Version, out: &mut Vec<u8>) -> bool {
        encode_within(
            *self,
            limit,
            out,
            [|ack| ack.properties.shed_user_properties(), |ack| ack.properties.shed_reason_string()],
            |ack, out| ack.encode(version, out),
        )
    }
}

impl UnsubAck<'_> {
    /// Appends the packet without what does not fit `limit` octets [MQTT-3.11.2-1] [MQTT-3.11.2-2]. Whether it fits at
    /// all; if not, nothing is appended.
    #[must_use]
    pub fn encode_within(&self, limit: u32, version: Version, out: &mut Vec<u8>) -> bool {
        encode_within(
            *self,
            limit,
            out,
            [|ack| ack.properties.shed_user_properties(), |ack| ack.properties.shed_reason_string()],
            |ack, out| ack.encode(version, out),
        )
    }
}

impl ConnAck<'_> {
    /// Appends the packet without what does not fit `limit` octets [MQTT-3.2.2-19] [MQTT-3.2.2-20]. Whether it fits at
    /// all; if not, nothing is appended.
    #[must_use]
    pub fn encode_within(&self, limit: u32, version: Version, out: &mut Vec<u8>) -> bool {
        encode_within(
            *self,
            limit,
            out,
            [
                |connack| connack.properties.user_properties = UserProperties::NONE,
                |connack| connack.properties.reason_string = None,
            ],
            |connack, out| connack.encode(version, out),
        )
    }
}

impl Disconnect<'_> {
    /// Appends the packet without what does not fit `limit` octets [MQTT-3.14.2-3] [MQTT-3.14.2-4]. Whether it fits at
    /// all; if not, nothing is appended.
    #[must_use]
    pub fn encode_within(&self, limit: u32, version: Version, out: &mut Vec<u8>) -> bool {
        encode_within(
            *self,
            limit,
            out,
            [|packet| packet.user_properties = UserProperties::NONE, |packet| packet.reason_string = None],
            |packet, out| packet.encode(version, out),
        )
    }
}

impl Auth<'_> {
    /// Appends the packet without what does not fit `limit` octets [MQTT-3.15.2-2] [MQTT-3.15.2-3]. Whether it fits at
    /// all; if not, nothing is appended.
    #[must_use]
    pub fn encode_within(&self, limit: u32, out: &mut Vec<u8>) -> bool {
        encode_within(
            *self,
            limit,
            out,
            [|packet| packet.user_properties = UserProperties::NONE, |packet| packet.reason_string = None],
            |packet, out| packet.encode(out),
        )
    }
}

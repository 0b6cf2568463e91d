//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): one layout, two sets of reason codes.

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{DecodeError, PacketType, ReasonCode, Strictness, UserProperties, Version, build};

/// The properties that acknowledgements have in common: PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckProperties<'a> {
    /// For people to read.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> AckProperties<'a> {
    /// No properties.
    pub const NONE: AckProperties<'static> =
        AckProperties { reason_string: None, user_properties: UserProperties::NONE };

    pub(crate) fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        const ALLOWED: IdSet = IdSet::of(&[id::REASON_STRING, id::USER_PROPERTY]);
        let mut properties = Self::default();
        let mut users = 0;
        let mut walk = Walk::new(block, ALLOWED);
        while let Some(property) = walk.next()? {
            match property.id {
                id::REASON_STRING => properties.reason_string = property.value.text(),
                _ => users += 1,
            }
        }
        properties.user_properties = UserProperties::within(block, users);
        Ok(properties)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.reason_string.is_none() && self.user_properties.is_empty()
    }

    /// Appends the block with its length [MQTT-2.2.2-1].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        build::counted(out, |out| {
            build::property_str(out, id::REASON_STRING, self.reason_string);
            self.user_properties.encode(out);
        });
    }
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH, never 0 unless decoded leniently.
    pub packet_id: u16,
    /// Always `SUCCESS` in MQTT 3.
    pub reason: ReasonCode,
    /// Always empty in MQTT 3.
    pub properties: AckProperties<'a>,
}

impl<'a> Ack<'a> {
    /// Decodes the body of a packet of the given type, one of the four.
    ///
    /// # Errors
    /// Packet identifier 0, a reason code that the packet may not carry [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1]
    /// [MQTT-3.7.2-1], or properties that it may not have.
    #[inline]
    pub fn decode(packet_type: PacketType, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_with(packet_type, body, version, Strictness::Strict)
    }

    #[inline]
    pub(crate) fn decode_with(
        packet_type: PacketType,
        body: &'a [u8],
        version: Version,
        strictness: Strictness,
    ) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let packet_id = from.packet_id_with(strictness)?;
        let mut ack = Self { packet_id, reason: ReasonCode::SUCCESS, properties: AckProperties::NONE };
        if from.is_empty() {
            return Ok(ack);
        }
        if !version.is_v5() {
            from.end()?;
        }
        ack.reason = ReasonCode(from.u8()?);
        if !allowed(packet_type, ack.reason) {
            return Err(DecodeError::protocol("reason code not allowed in this acknowledgement"));
        }
        if !from.is_empty() {
            ack.properties = AckProperties::decode(from.properties()?)?;
            from.end()?;
        }
        Ok(ack)
    }

    /// Appends a packet of the given type, one of the four. MQTT 3 has neither reason code nor properties.
    pub fn encode(&self, packet_type: PacketType, version: Version, out: &mut Vec<u8>) {
        if !version.is_v5() || self.properties.is_empty() {
            return encode_ack(out, packet_type, version, self.packet_id, self.reason);
        }
        debug_assert!(allowed(packet_type, self.reason), "{} in {packet_type:?}", self.reason);
        build::frame(out, packet_type.first(), |out| {
            build::u16(out, self.packet_id);
            out.push(self.reason.0);
            self.properties.encode(out);
        });
    }
}

/// Whether one of the four may carry the code.
#[inline]
const fn allowed(packet_type: PacketType, reason: ReasonCode) -> bool {
    match packet_type {
        PacketType::PubAck | PacketType::PubRec => reason.is_puback(),
        _ => reason.is_pubrel(),
    }
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties, in its shortest form.
#[inline]
pub fn encode_ack(out: &mut Vec<u8>, packet_type: PacketType, version: Version, packet_id: u16, reason: ReasonCode) {
    debug_assert!(!version.is_v5() || allowed(packet_type, reason), "{reason} in {packet_type:?}");
    let [high, low] = packet_id.to_be_bytes();
    if version.is_v5() && reason != ReasonCode::SUCCESS {
        out.extend_from_slice(&[packet_type.first(), 3, high, low, reason.0]);
    } else {
        out.extend_from_slice(&[packet_type.first(), 2, high, low]);
    }
}

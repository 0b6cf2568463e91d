//! SUBACK (section 3.9) and UNSUBACK (section 3.11): one reason code for each topic filter, in their order.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{AckProperties, DecodeError, PacketType, ReasonCode, Strictness, Version, build};

/// The answer to a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE, never 0.
    pub packet_id: u16,
    /// A reason code, or in MQTT 3 a return code, for each filter in the order of the filters [MQTT-3.9.3-1]; as
    /// octets.
    pub codes: &'a [u8],
    /// Always empty in MQTT 3.
    pub properties: AckProperties<'a>,
}

impl<'a> SubAck<'a> {
    /// The codes.
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = ReasonCode> + 'a {
        self.codes.iter().copied().map(ReasonCode)
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// No code at all, or one that is not of SUBACK [MQTT-3.9.3-2] [MQTT3-3.9.3-2].
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_with(body, version, Strictness::Strict)
    }

    pub(crate) fn decode_with(body: &'a [u8], version: Version, strictness: Strictness) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let packet_id = from.packet_id_with(strictness)?;
        let properties = properties(&mut from, version)?;
        let codes = from.rest();
        let legal = |&code: &u8| {
            if version.is_v5() { ReasonCode(code).is_suback() } else { ReasonCode(code).suback_v3() == code }
        };
        check(codes, legal)?;
        Ok(Self { packet_id, codes, properties })
    }

    /// Appends the packet. MQTT 3 has no properties and one code for every failure.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        build::frame(out, PacketType::SubAck.first(), |out| {
            build::u16(out, self.packet_id);
            if version.is_v5() {
                debug_assert!(self.reasons().all(ReasonCode::is_suback), "{:?} in SUBACK", self.codes);
                self.properties.encode(out);
                out.extend_from_slice(self.codes);
            } else {
                out.extend(self.reasons().map(ReasonCode::suback_v3));
            }
        });
    }
}

/// The answer to an UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE, never 0.
    pub packet_id: u16,
    /// A reason code for each filter in the order of the filters [MQTT-3.11.3-1], as octets;
    /// empty in MQTT 3, which has none.
    pub codes: &'a [u8],
    /// Always empty in MQTT 3.
    pub properties: AckProperties<'a>,
}

impl<'a> UnsubAck<'a> {
    /// The codes.
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = ReasonCode> + 'a {
        self.codes.iter().copied().map(ReasonCode)
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// In MQTT 5 no code at all, or one that is not of UNSUBACK [MQTT-3.11.3-2]; in MQTT 3 anything after the
    /// identifier.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_with(body, version, Strictness::Strict)
    }

    pub(crate) fn decode_with(body: &'a [u8], version: Version, strictness: Strictness) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let packet_id = from.packet_id_with(strictness)?;
        let properties = properties(&mut from, version)?;
        if version.is_v5() {
            check(from.rest(), |&code| ReasonCode(code).is_unsuback())?;
        } else {
            from.end()?;
        }
        Ok(Self { packet_id, codes: from.rest(), properties })
    }

    /// Appends the packet; in MQTT 3 only the identifier.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        build::frame(out, PacketType::UnsubAck.first(), |out| {
            build::u16(out, self.packet_id);
            if version.is_v5() {
                debug_assert!(self.reasons().all(ReasonCode::is_unsuback), "{:?} in UNSUBACK", self.codes);
                self.properties.encode(out);
                out.extend_from_slice(self.codes);
            }
        });
    }
}

fn properties<'a>(from: &mut Reader<'a>, version: Version) -> Result<AckProperties<'a>, DecodeError> {
    if version.is_v5() { AckProperties::decode(from.properties()?) } else { Ok(AckProperties::NONE) }
}

fn check(codes: &[u8], legal: impl Fn(&u8) -> bool) -> Result<(), DecodeError> {
    if codes.is_empty() {
        return Err(DecodeError::malformed("acknowledgement without a reason code"));
    }
    if codes.iter().all(legal) {
        return Ok(());
    }
    Err(DecodeError::protocol("reason code not allowed in this acknowledgement"))
}

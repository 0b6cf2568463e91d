//! PUBLISH (section 3.3) as received. Sending one is in `publish_out`.

use crate::reader::Reader;
use crate::{DecodeError, PublishProperties, QoS, ReasonCode, Strictness, Version, text};

/// A message as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Publish<'a> {
    /// Whether this may be a repetition; false at QoS 0.
    pub dup: bool,
    /// The quality of service.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic name; empty only if there is a topic alias.
    pub topic: &'a str,
    /// 0 at QoS 0, and elsewhere only if decoded leniently.
    pub packet_id: u16,
    /// The properties.
    pub properties: PublishProperties<'a>,
    /// The application message.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Decodes a body. `flags` is the first octet of the frame, of which the lower half counts.
    ///
    /// # Errors
    /// QoS 3 [MQTT-3.3.1-4] [MQTT3-3.3.1-4], DUP at QoS 0 [MQTT-3.3.1-2] [MQTT3-3.3.1-2], a topic that is ill-formed
    /// [MQTT-3.3.2-1] [MQTT3-3.3.2-1] or has a wildcard [MQTT-3.3.2-2] [MQTT3-3.3.2-2], an empty topic without an alias
    /// [MQTT-4.7.3-1] [MQTT3-4.7.3-1], packet identifier 0 [MQTT-2.2.1-3] [MQTT3-2.3.1-1], or invalid properties.
    #[inline]
    pub fn decode(flags: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_with(flags, body, version, Strictness::Strict)
    }

    /// The same, as strictly as that.
    ///
    /// # Errors
    /// As [`Publish::decode`], less what [`Strictness`] lets pass.
    #[inline]
    pub fn decode_with(
        flags: u8,
        body: &'a [u8],
        version: Version,
        strictness: Strictness,
    ) -> Result<Self, DecodeError> {
        let Some(qos) = QoS::from_bits(flags >> 1 & 3) else {
            return Err(DecodeError::malformed("PUBLISH with QoS 3"));
        };
        let mut dup = flags & 8 != 0;
        if dup && qos == QoS::AtMostOnce {
            if strictness.is_strict() {
                return Err(DecodeError::malformed("DUP with QoS 0"));
            }
            dup = false;
        }
        let mut from = Reader::new(body);
        let (topic, wildcard) = text::topic(from.binary()?)?;
        if wildcard {
            return Err(DecodeError::with(ReasonCode::TOPIC_NAME_INVALID, "wildcard in a topic name"));
        }
        // [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { from.packet_id_with(strictness)? };
        let properties =
            if version.is_v5() { PublishProperties::decode(from.properties()?)? } else { PublishProperties::NONE };
        if topic.is_empty() && properties.topic_alias.is_none() {
            return Err(DecodeError::protocol("empty topic name without a topic alias"));
        }
        Ok(Self { dup, qos, retain: flags & 1 != 0, topic, packet_id, properties, payload: from.rest() })
    }
}

//! CONNACK (section 3.2).

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{DecodeError, PacketType, QoS, ReasonCode, UserProperties, Version, build};

/// The answer to a CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server had the session; false in MQTT 3.1 and with every reason but success [MQTT-3.2.2-6].
    pub session_present: bool,
    /// A return code of MQTT 3 is given as [`ReasonCode::from_connack_v3`].
    pub reason: ReasonCode,
    /// What the server says of itself; nothing in MQTT 3.
    pub properties: ConnAckProperties<'a>,
}

/// The properties of a CONNACK (section 3.2.2.3). A default is what the absence of the property means; encoding leaves
/// out what equals its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAckProperties<'a> {
    /// Seconds, if not what the client asked for.
    pub session_expiry: Option<u32>,
    /// QoS 1 and 2 messages the server takes unacknowledged, never 0; absent means 65535.
    pub receive_maximum: Option<u16>,
    /// The highest QoS the server takes.
    pub maximum_qos: QoS,
    /// Whether the server retains messages.
    pub retain_available: bool,
    /// Octets of the largest packet the server takes, never 0; absent means no limit of its own.
    pub maximum_packet_size: Option<u32>,
    /// The name given to a client that had none.
    pub assigned_client_id: Option<&'a str>,
    /// The highest topic alias the server takes.
    pub topic_alias_maximum: u16,
    /// For people to read.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// Whether wildcards may be subscribed to.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids_available: bool,
    /// Whether shared subscriptions may be made.
    pub shared_subscription_available: bool,
    /// Seconds, in place of the client's keep alive (section 3.2.2.3.14).
    pub server_keep_alive: Option<u16>,
    /// A basis for response topics.
    pub response_information: Option<&'a str>,
    /// Another server to use.
    pub server_reference: Option<&'a str>,
    /// The method of extended authentication.
    pub authentication_method: Option<&'a str>,
    /// Its data.
    pub authentication_data: Option<&'a [u8]>,
}

impl Default for ConnAckProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry: None,
            receive_maximum: None,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            reason_string: None,
            user_properties: UserProperties::NONE,
            wildcard_subscription_available: true,
            subscription_ids_available: true,
            shared_subscription_available: true,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }
}

impl<'a> ConnAckProperties<'a> {
    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        const ALLOWED: IdSet = IdSet::of(&[
            id::SESSION_EXPIRY,
            id::RECEIVE_MAXIMUM,
            id::MAXIMUM_QOS,
            id::RETAIN_AVAILABLE,
            id::MAXIMUM_PACKET_SIZE,
            id::ASSIGNED_CLIENT_ID,
            id::TOPIC_ALIAS_MAXIMUM,
            id::REASON_STRING,
            id::USER_PROPERTY,
            id::WILDCARD_SUBSCRIPTION_AVAILABLE,
            id::SUBSCRIPTION_IDS_AVAILABLE,
            id::SHARED_SUBSCRIPTION_AVAILABLE,
            id::SERVER_KEEP_ALIVE,
            id::RESPONSE_INFORMATION,
            id::SERVER_REFERENCE,
            id::AUTHENTICATION_METHOD,
            id::AUTHENTICATION_DATA,
        ]);
        let mut properties = Self::default();
        let mut users = 0;
        let mut walk = Walk::new(block, ALLOWED);
        while let Some(property) = walk.next()? {
            let value = property.value;
            match property.id {
                id::SESSION_EXPIRY => properties.session_expiry = Some(value.int()),
                id::RECEIVE_MAXIMUM => {
                    properties.receive_maximum = Some(value.non_zero("receive maximum 0")? as u16);
                }
                id::MAXIMUM_QOS => {
                    properties.maximum_qos = if value.flag()? { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                }
                id::RETAIN_AVAILABLE => properties.retain_available = value.flag()?,
                id::MAXIMUM_PACKET_SIZE => {
                    properties.maximum_packet_size = Some(value.non_zero("maximum packet size 0")?);
                }
                id::ASSIGNED_CLIENT_ID => properties.assigned_client_id = value.text(),
                id::TOPIC_ALIAS_MAXIMUM => properties.topic_alias_maximum = value.int16(),
                id::REASON_STRING => properties.reason_string = value.text(),
                id::WILDCARD_SUBSCRIPTION_AVAILABLE => properties.wildcard_subscription_available = value.flag()?,
                id::SUBSCRIPTION_IDS_AVAILABLE => properties.subscription_ids_available = value.flag()?,
                id::SHARED_SUBSCRIPTION_AVAILABLE => properties.shared_subscription_available = value.flag()?,
                id::SERVER_KEEP_ALIVE => properties.server_keep_alive = Some(value.int16()),
                id::RESPONSE_INFORMATION => properties.response_information = value.text(),
                id::SERVER_REFERENCE => properties.server_reference = value.text(),
                id::AUTHENTICATION_METHOD => properties.authentication_method = value.text(),
                id::AUTHENTICATION_DATA => properties.authentication_data = value.binary(),
                _ => users += 1,
            }
        }
        properties.user_properties = UserProperties::within(block, users);
        Ok(properties)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut not_available = |id, available: bool| {
            if !available {
                build::property_u8(out, id, 0);
            }
        };
        not_available(id::RETAIN_AVAILABLE, self.retain_available);
        not_available(id::WILDCARD_SUBSCRIPTION_AVAILABLE, self.wildcard_subscription_available);
        not_available(id::SUBSCRIPTION_IDS_AVAILABLE, self.subscription_ids_available);
        not_available(id::SHARED_SUBSCRIPTION_AVAILABLE, self.shared_subscription_available);
        build::property_u32(out, id::SESSION_EXPIRY, self.session_expiry);
        build::property_u16(out, id::RECEIVE_MAXIMUM, self.receive_maximum);
        // [MQTT-3.2.2-9]
        if self.maximum_qos != QoS::ExactlyOnce {
            build::property_u8(out, id::MAXIMUM_QOS, self.maximum_qos.bits());
        }
        build::property_u32(out, id::MAXIMUM_PACKET_SIZE, self.maximum_packet_size);
        build::property_str(out, id::ASSIGNED_CLIENT_ID, self.assigned_client_id);
        build::property_u16(
            out,
            id::TOPIC_ALIAS_MAXIMUM,
            Some(self.topic_alias_maximum).filter(|maximum| *maximum > 0),
        );
        build::property_u16(out, id::SERVER_KEEP_ALIVE, self.server_keep_alive);
        build::property_str(out, id::RESPONSE_INFORMATION, self.response_information);
        build::property_str(out, id::SERVER_REFERENCE, self.server_reference);
        build::property_str(out, id::AUTHENTICATION_METHOD, self.authentication_method);
        build::property_binary(out, id::AUTHENTICATION_DATA, self.authentication_data);
        build::property_str(out, id::REASON_STRING, self.reason_string);
        self.user_properties.encode(out);
    }
}

impl<'a> ConnAck<'a> {
    /// An answer without properties.
    pub fn with_reason(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: ConnAckProperties::default() }
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// Reserved flags [MQTT-3.2.2-1], a code that is not of CONNACK [MQTT-3.2.2-8], session present with a refusal
    /// [MQTT-3.2.2-6] [MQTT3-3.2.2-4], or properties that it may not have.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let flags = from.u8()?;
        // MQTT 3.1 has no flags: the octet is reserved and not used.
        if flags > 1 && version != Version::V31 {
            return Err(DecodeError::malformed("reserved flags in CONNACK"));
        }
        let session_present = flags == 1 && version != Version::V31;
        let code = from.u8()?;
        let reason = if version.is_v5() {
            Some(ReasonCode(code)).filter(|reason| reason.is_connack())
        } else {
            ReasonCode::from_connack_v3(code)
        };
        let reason = reason.ok_or_else(|| DecodeError::protocol("reason code not allowed in CONNACK"))?;
        if session_present && reason != ReasonCode::SUCCESS {
            return Err(DecodeError::protocol("session present with a refusal"));
        }
        let properties =
            if version.is_v5() { ConnAckProperties::decode(from.properties()?)? } else { ConnAckProperties::default() };
        from.end()?;
        Ok(Self { session_present, reason, properties })
    }

    /// Appends the packet. In MQTT 3 the reason is sent as [`ReasonCode::connack_v3`].
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let session_present = self.session_present && version != Version::V31 && self.reason == ReasonCode::SUCCESS;
        build::frame(out, PacketType::ConnAck.first(), |out| {
            out.push(u8::from(session_present));
            if version.is_v5() {
                debug_assert!(self.reason.is_connack(), "{} in CONNACK", self.reason);
                out.push(self.reason.0);
                build::counted(out, |out| self.properties.encode(out));
            } else {
                out.push(self.reason.connack_v3());
            }
        });
    }
}

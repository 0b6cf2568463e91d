//! CONNECT (section 3.1).

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{
    DecodeError, PacketType, PublishProperties, QoS, ReasonCode, Strictness, UserProperties, Version, build, text,
};

/// The bit of an MQTT 3 protocol level by which a bridge tells a server that it is one.
const BRIDGE_BIT: u8 = 0x80;

/// The first packet of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Connect<'a> {
    /// The version asked for.
    pub version: Version,
    /// Whether an MQTT 3 client says that it is a bridge (level `0x83` or `0x84`, an extension of long standing).
    pub bridge: bool,
    /// Clean Start; in MQTT 3 Clean Session.
    pub clean_start: bool,
    /// Seconds; 0 turns the mechanism off.
    pub keep_alive: u16,
    /// May be empty; whether that is allowed is the server's decision (section 3.1.3.1).
    pub client_id: &'a str,
    /// The will.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
    /// The properties; their defaults in MQTT 3.
    pub properties: ConnectProperties<'a>,
}

/// The properties of a CONNECT (section 3.1.2.11). A default is what the absence of the property means; encoding leaves
/// out what equals its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds that the session outlives the connection; absent means 0.
    pub session_expiry: Option<u32>,
    /// QoS 1 and 2 messages the client takes unacknowledged, never 0; absent means 65535.
    pub receive_maximum: Option<u16>,
    /// Octets of the largest packet the client takes, never 0; absent means no limit of its own.
    pub maximum_packet_size: Option<u32>,
    /// The highest topic alias the client takes.
    pub topic_alias_maximum: u16,
    /// Whether the client asks for response information (section 3.1.2.11.6).
    pub request_response_information: bool,
    /// Whether the client takes reason strings and user properties everywhere (section 3.1.2.11.7).
    pub request_problem_information: bool,
    /// The method of extended authentication.
    pub authentication_method: Option<&'a str>,
    /// Its data; only with a method.
    pub authentication_data: Option<&'a [u8]>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user_properties: UserProperties::NONE,
        }
    }
}

/// The message to publish if the connection ends otherwise than by a DISCONNECT with success.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Will<'a> {
    /// The quality of service.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic name.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// Seconds to wait; 0 in MQTT 3.
    pub delay: u32,
    /// The message's properties. `raw` includes the delay if it was sent.
    pub properties: PublishProperties<'a>,
}

impl<'a> ConnectProperties<'a> {
    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        const ALLOWED: IdSet = IdSet::of(&[
            id::SESSION_EXPIRY,
            id::RECEIVE_MAXIMUM,
            id::MAXIMUM_PACKET_SIZE,
            id::TOPIC_ALIAS_MAXIMUM,
            id::REQUEST_RESPONSE_INFORMATION,
            id::REQUEST_PROBLEM_INFORMATION,
            id::USER_PROPERTY,
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
                id::MAXIMUM_PACKET_SIZE => {
                    properties.maximum_packet_size = Some(value.non_zero("maximum packet size 0")?);
                }
                id::TOPIC_ALIAS_MAXIMUM => properties.topic_alias_maximum = value.int16(),
                id::REQUEST_RESPONSE_INFORMATION => properties.request_response_information = value.flag()?,
                id::REQUEST_PROBLEM_INFORMATION => properties.request_problem_information = value.flag()?,
                id::AUTHENTICATION_METHOD => properties.authentication_method = value.text(),
                id::AUTHENTICATION_DATA => properties.authentication_data = value.binary(),
                _ => users += 1,
            }
        }
        properties.user_properties = UserProperties::within(block, users);
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(DecodeError::protocol("authentication data without a method"));
        }
        Ok(properties)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        build::property_u32(out, id::SESSION_EXPIRY, self.session_expiry);
        build::property_u16(out, id::RECEIVE_MAXIMUM, self.receive_maximum);
        build::property_u32(out, id::MAXIMUM_PACKET_SIZE, self.maximum_packet_size);
        build::property_u16(
            out,
            id::TOPIC_ALIAS_MAXIMUM,
            Some(self.topic_alias_maximum).filter(|maximum| *maximum > 0),
        );
        if self.request_response_information {
            build::property_u8(out, id::REQUEST_RESPONSE_INFORMATION, 1);
        }
        if !self.request_problem_information {
            build::property_u8(out, id::REQUEST_PROBLEM_INFORMATION, 0);
        }
        build::property_str(out, id::AUTHENTICATION_METHOD, self.authentication_method);
        build::property_binary(out, id::AUTHENTICATION_DATA, self.authentication_data);
        self.user_properties.encode(out);
    }
}

/// Flags of the variable header (section 3.1.2.3).
mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN_START: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS_SHIFT: u8 = 3;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USERNAME: u8 = 0x80;
}

/// What the start of a CONNECT says: the version and whether the client is a bridge.
///
/// Unknown names and levels are refused as unsupported [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT3-3.1.2-1] [MQTT3-3.1.2-2].
fn protocol(from: &mut Reader<'_>) -> Result<(Version, bool), DecodeError> {
    let name = from.binary()?;
    let level = from.u8()?;
    match (name, level) {
        (b"MQTT", 5) => Ok((Version::V5, false)),
        (b"MQTT", 4) => Ok((Version::V311, false)),
        (b"MQIsdp", 3) => Ok((Version::V31, false)),
        (b"MQTT", level) if level == BRIDGE_BIT | 4 => Ok((Version::V311, true)),
        (b"MQIsdp", level) if level == BRIDGE_BIT | 3 => Ok((Version::V31, true)),
        _ => Err(DecodeError::with(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, "unsupported protocol name or level")),
    }
}

impl<'a> Connect<'a> {
    /// The version in whose CONNACK to refuse a CONNECT that [`Connect::decode`] refused: that of the client if it can
    /// be told, MQTT 5 for levels above 5, MQTT 3.1.1 for all else.
    pub fn answer_version(body: &[u8]) -> Version {
        let mut from = Reader::new(body);
        match (from.binary(), from.u8()) {
            (Ok(b"MQIsdp"), Ok(_)) => Version::V31,
            (Ok(b"MQTT"), Ok(5..BRIDGE_BIT)) => Version::V5,
            _ => Version::V311,
        }
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// `UNSUPPORTED_PROTOCOL_VERSION` for an unknown protocol name or level; otherwise what makes the packet malformed
    /// or a protocol error [MQTT-3.1.4-1] [MQTT3-3.1.4-1].
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_with(body, Strictness::Strict)
    }

    pub(crate) fn decode_with(body: &'a [u8], strictness: Strictness) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let (version, bridge) = protocol(&mut from)?;
        let flags = from.u8()?;
        check_flags(flags, version, strictness)?;
        let keep_alive = from.u16()?;
        let properties =
            if version.is_v5() { ConnectProperties::decode(from.properties()?)? } else { ConnectProperties::default() };
        // The order is prescribed [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT3-3.1.3-1] [MQTT3-3.1.3-3], and each field is a
        // string where it must be: [MQTT-3.1.3-4] [MQTT3-3.1.3-4].
        let client_id = from.string()?;
        let will = if flags & flag::WILL != 0 { Some(Will::decode(&mut from, flags, version)?) } else { None };
        // MQTT 3.1 (section 3.1): a flagged user name or password may be missing, the remaining length decides.
        let absent = |from: &Reader<'_>| version == Version::V31 && from.is_empty();
        // Present if flagged [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21], the user name a string
        // [MQTT-3.1.3-12] [MQTT3-3.1.3-11].
        let has_username = flags & flag::USERNAME != 0 && !absent(&from);
        let username = if has_username { Some(from.string()?) } else { None };
        let has_password = flags & flag::PASSWORD != 0 && !absent(&from);
        let password = if has_password { Some(from.binary()?) } else { None };
        // Absent if not flagged [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT3-3.1.2-18] [MQTT3-3.1.2-20].
        from.end()?;
        let clean_start = flags & flag::CLEAN_START != 0;
        Ok(Self { version, bridge, clean_start, keep_alive, client_id, will, username, password, properties })
    }

    /// Appends the packet. A password without a user name is sent in MQTT 5 only, properties likewise.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let v5 = self.version.is_v5();
        // [MQTT3-3.1.2-22]
        let password = self.password.filter(|_| v5 || self.username.is_some());
        let mut flags = 0;
        for (set, flag) in [
            (self.clean_start, flag::CLEAN_START),
            (self.will.is_some(), flag::WILL),
            (self.will.is_some_and(|will| will.retain), flag::WILL_RETAIN),
            (password.is_some(), flag::PASSWORD),
            (self.username.is_some(), flag::USERNAME),
        ] {
            flags |= if set { flag } else { 0 };
        }
        flags |= self.will.map_or(0, |will| will.qos.bits() << flag::WILL_QOS_SHIFT);
        let bridge = if self.bridge && !v5 { BRIDGE_BIT } else { 0 };
        build::frame(out, PacketType::Connect.first(), |out| {
            build::binary(out, self.version.protocol_name().as_bytes());
            out.extend_from_slice(&[self.version.level() | bridge, flags]);
            build::u16(out, self.keep_alive);
            if v5 {
                build::counted(out, |out| self.properties.encode(out));
            }
            build::binary(out, self.client_id.as_bytes());
            if let Some(will) = &self.will {
                will.encode(self.version, out);
            }
            if let Some(username) = self.username {
                build::binary(out, username.as_bytes());
            }
            if let Some(password) = password {
                build::binary(out, password);
            }
        });
    }
}

/// Checks the flags against each other.
fn check_flags(flags: u8, version: Version, strictness: Strictness) -> Result<(), DecodeError> {
    // [MQTT-3.1.2-3] [MQTT3-3.1.2-3]; MQTT 3.1 says of the bit that it is not used.
    if flags & flag::RESERVED != 0 && version != Version::V31 {
        return Err(DecodeError::malformed("reserved flag in CONNECT"));
    }
    // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15]
    let will_bits = flag::WILL_RETAIN | 3 << flag::WILL_QOS_SHIFT;
    if flags & flag::WILL == 0 && flags & will_bits != 0 {
        return Err(DecodeError::malformed("will QoS or will retain without a will"));
    }
    // [MQTT3-3.1.2-22]
    let is_lone = flags & flag::PASSWORD != 0 && flags & flag::USERNAME == 0;
    if strictness.is_strict() && !version.is_v5() && is_lone {
        return Err(DecodeError::malformed("password without a user name"));
    }
    Ok(())
}

impl<'a> Will<'a> {
    fn decode(from: &mut Reader<'a>, flags: u8, version: Version) -> Result<Self, DecodeError> {
        // [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
        let Some(qos) = QoS::from_bits(flags >> flag::WILL_QOS_SHIFT & 3) else {
            return Err(DecodeError::malformed("will QoS 3"));
        };
        let retain = flags & flag::WILL_RETAIN != 0;
        // [MQTT-3.1.2-9] [MQTT3-3.1.2-9]
        let (properties, delay) =
            if version.is_v5() { PublishProperties::decode_will(from.properties()?)? } else { Default::default() };
        // [MQTT-3.1.3-11] [MQTT3-3.1.3-10]
        let (topic, wildcard) = text::topic(from.binary()?)?;
        if topic.is_empty() {
            return Err(DecodeError::protocol("empty will topic"));
        }
        if wildcard {
            return Err(DecodeError::with(ReasonCode::TOPIC_NAME_INVALID, "wildcard in a will topic"));
        }
        let payload = from.binary()?;
        Ok(Self { qos, retain, topic, payload, delay, properties })
    }

    fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version.is_v5() {
            build::counted(out, |out| {
                self.properties.encode_without_delay(out);
                build::property_u32(out, id::WILL_DELAY, Some(self.delay).filter(|delay| *delay > 0));
            });
        }
        build::binary(out, self.topic.as_bytes());
        build::binary(out, self.payload);
    }
}

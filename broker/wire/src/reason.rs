//! Reason codes (section 2.4, table 2-6) and the sets that each packet may carry, with their MQTT 3 counterparts.

use core::fmt;

/// A reason code. Any octet can be held; the decoders only let through those that the packet may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ReasonCode(pub u8);

macro_rules! reason_codes {
    ($($name:ident = $value:literal $text:literal;)*) => {
        impl ReasonCode {
            $(#[doc = concat!("`", stringify!($value), "` ", $text, ".")] pub const $name: Self = Self($value);)*

            /// The name in table 2-6 of the standard, `"Reserved"` for a code that it does not define.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => $text,)*
                    _ => "Reserved",
                }
            }
        }
    };
}

reason_codes! {
    SUCCESS = 0x00 "Success";
    GRANTED_QOS_1 = 0x01 "Granted QoS 1";
    GRANTED_QOS_2 = 0x02 "Granted QoS 2";
    DISCONNECT_WITH_WILL = 0x04 "Disconnect with Will Message";
    NO_MATCHING_SUBSCRIBERS = 0x10 "No matching subscribers";
    NO_SUBSCRIPTION_EXISTED = 0x11 "No subscription existed";
    CONTINUE_AUTHENTICATION = 0x18 "Continue authentication";
    RE_AUTHENTICATE = 0x19 "Re-authenticate";
    UNSPECIFIED_ERROR = 0x80 "Unspecified error";
    MALFORMED_PACKET = 0x81 "Malformed Packet";
    PROTOCOL_ERROR = 0x82 "Protocol Error";
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83 "Implementation specific error";
    UNSUPPORTED_PROTOCOL_VERSION = 0x84 "Unsupported Protocol Version";
    CLIENT_IDENTIFIER_NOT_VALID = 0x85 "Client Identifier not valid";
    BAD_USER_NAME_OR_PASSWORD = 0x86 "Bad User Name or Password";
    NOT_AUTHORIZED = 0x87 "Not authorized";
    SERVER_UNAVAILABLE = 0x88 "Server unavailable";
    SERVER_BUSY = 0x89 "Server busy";
    BANNED = 0x8A "Banned";
    SERVER_SHUTTING_DOWN = 0x8B "Server shutting down";
    BAD_AUTHENTICATION_METHOD = 0x8C "Bad authentication method";
    KEEP_ALIVE_TIMEOUT = 0x8D "Keep Alive timeout";
    SESSION_TAKEN_OVER = 0x8E "Session taken over";
    TOPIC_FILTER_INVALID = 0x8F "Topic Filter invalid";
    TOPIC_NAME_INVALID = 0x90 "Topic Name invalid";
    PACKET_IDENTIFIER_IN_USE = 0x91 "Packet Identifier in use";
    PACKET_IDENTIFIER_NOT_FOUND = 0x92 "Packet Identifier not found";
    RECEIVE_MAXIMUM_EXCEEDED = 0x93 "Receive Maximum exceeded";
    TOPIC_ALIAS_INVALID = 0x94 "Topic Alias invalid";
    PACKET_TOO_LARGE = 0x95 "Packet too large";
    MESSAGE_RATE_TOO_HIGH = 0x96 "Message rate too high";
    QUOTA_EXCEEDED = 0x97 "Quota exceeded";
    ADMINISTRATIVE_ACTION = 0x98 "Administrative action";
    PAYLOAD_FORMAT_INVALID = 0x99 "Payload format invalid";
    RETAIN_NOT_SUPPORTED = 0x9A "Retain not supported";
    QOS_NOT_SUPPORTED = 0x9B "QoS not supported";
    USE_ANOTHER_SERVER = 0x9C "Use another server";
    SERVER_MOVED = 0x9D "Server moved";
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E "Shared Subscriptions not supported";
    CONNECTION_RATE_EXCEEDED = 0x9F "Connection rate exceeded";
    MAXIMUM_CONNECT_TIME = 0xA0 "Maximum connect time";
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1 "Subscription Identifiers not supported";
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2 "Wildcard Subscriptions not supported";
}

impl ReasonCode {
    /// `0x00` in a DISCONNECT.
    pub const NORMAL_DISCONNECTION: Self = Self::SUCCESS;
    /// `0x00` in a SUBACK.
    pub const GRANTED_QOS_0: Self = Self::SUCCESS;

    /// Whether the code reports a failure: `0x80` and above (section 2.4).
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The MQTT 3 CONNACK return code, 0 to 5, that says nearest what this code says (MQTT 3.1.1 table 3.1). Whether to
    /// send one at all is [`ReasonCode::applicable_connack_v3`].
    pub const fn connack_v3(self) -> u8 {
        match self.0 {
            0x00 => 0,
            0x80..=0x84 => 1,
            0x85 => 2,
            0x86 => 4,
            0x87 | 0x8A | 0x8C => 5,
            _ => 3,
        }
    }

    /// The MQTT 3 CONNACK return code if one is applicable. `None`: the connection is closed without a CONNACK
    /// [MQTT3-3.2.2-6], as it is after a CONNECT that does not conform [MQTT3-3.1.4-1].
    pub const fn applicable_connack_v3(self) -> Option<u8> {
        match self.0 {
            0x00 | 0x84..=0x8A | 0x8C => Some(self.connack_v3()),
            // Not now or not here: server unavailable.
            0x8B | 0x97 | 0x9C | 0x9D | 0x9F => Some(3),
            _ => None,
        }
    }

    /// The reason code for an MQTT 3 CONNACK return code; `None` for a reserved one (6 and above).
    pub const fn from_connack_v3(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::SUCCESS),
            1 => Some(Self::UNSUPPORTED_PROTOCOL_VERSION),
            2 => Some(Self::CLIENT_IDENTIFIER_NOT_VALID),
            3 => Some(Self::SERVER_UNAVAILABLE),
            4 => Some(Self::BAD_USER_NAME_OR_PASSWORD),
            5 => Some(Self::NOT_AUTHORIZED),
            _ => None,
        }
    }

    /// The MQTT 3 SUBACK return code: the granted QoS, or `0x80` for every failure [MQTT3-3.9.3-2].
    #[inline]
    pub const fn suback_v3(self) -> u8 {
        if self.0 <= 2 { self.0 } else { 0x80 }
    }

    /// Whether a CONNACK may carry the code (section 3.2.2.2).
    pub const fn is_connack(self) -> bool {
        matches!(self.0, 0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
    }

    /// Whether a PUBACK or PUBREC may carry the code (sections 3.4.2.1 and 3.5.2.1).
    #[inline]
    pub const fn is_puback(self) -> bool {
        matches!(self.0, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
    }

    /// Whether a PUBREL or PUBCOMP may carry the code (sections 3.6.2.1 and 3.7.2.1).
    #[inline]
    pub const fn is_pubrel(self) -> bool {
        matches!(self.0, 0x00 | 0x92)
    }

    /// Whether a SUBACK may carry the code (section 3.9.3).
    pub const fn is_suback(self) -> bool {
        matches!(self.0, 0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2)
    }

    /// Whether an UNSUBACK may carry the code (section 3.11.3).
    pub const fn is_unsuback(self) -> bool {
        matches!(self.0, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91)
    }

    /// Whether a DISCONNECT may carry the code, whoever sends it (section 3.14.2.1 and, for
    /// `BAD_AUTHENTICATION_METHOD`, table 2-6).
    pub const fn is_disconnect(self) -> bool {
        matches!(self.0, 0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B..=0x90 | 0x93..=0xA2)
    }

    /// Whether a client may send the code in a DISCONNECT (section 3.14.2.1).
    pub const fn is_disconnect_from_client(self) -> bool {
        matches!(self.0, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99)
    }

    /// Whether an AUTH may carry the code (section 3.15.2.1).
    pub const fn is_auth(self) -> bool {
        matches!(self.0, 0x00 | 0x18 | 0x19)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.0)
    }
}

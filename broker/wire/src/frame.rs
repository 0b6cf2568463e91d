//! Frames: the fixed header (section 2.1) and the cutting of a byte stream into whole control packets.
//! What is inside a frame is in `packet`.

use crate::{DecodeError, ReasonCode, Version, varint};

// A remaining length is used as a size.
const _: () = assert!(usize::BITS >= 32);

/// The largest fixed header, octets.
pub const MAX_HEADER_LEN: usize = 5;
/// The largest control packet the encoding allows, fixed header included, octets.
pub const MAX_PACKET_LEN: u32 = 5 + crate::MAX_VARINT;

/// A type of control packet (section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The type in the upper half of a frame's first octet; `None` for the forbidden type 0.
    #[inline]
    pub const fn from_first(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The first octet of a frame of this type with the flags the standard prescribes (table 2-2) [MQTT-2.1.3-1];
    /// for PUBLISH those of QoS 0, neither duplicate nor retained.
    #[inline]
    pub const fn first(self) -> u8 {
        let flags = match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }
}

/// A whole control packet, its fixed header read and its body not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The first octet: type and flags. [`cut`] never yields type 0.
    pub first: u8,
    /// What follows the fixed header: variable header and payload.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// The type; `None` for the forbidden type 0, which [`cut`] refuses.
    #[inline]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_first(self.first)
    }

    /// The four flag bits.
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.first & 0x0F
    }

    /// Refuses flags other than those prescribed for the type [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2], among
    /// them PUBREL [MQTT-3.6.1-1] [MQTT3-3.6.1-1], SUBSCRIBE [MQTT-3.8.1-1] [MQTT3-3.8.1-1], UNSUBSCRIBE
    /// [MQTT-3.10.1-1] [MQTT3-3.10.1-1], DISCONNECT [MQTT-3.14.1-1] [MQTT3-3.14.1-1] and AUTH [MQTT-3.15.1-1].
    /// MQTT 3.1 repeats the first three with the duplicate flag set. PUBLISH has flags of its own.
    #[inline]
    pub(crate) fn check_flags(&self, packet_type: PacketType, version: Version) -> Result<(), DecodeError> {
        let expected = packet_type.first();
        if self.first == expected {
            return Ok(());
        }
        let repeats = matches!(packet_type, PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe);
        if version == Version::V31 && repeats && self.first == expected | 0b1000 {
            return Ok(());
        }
        Err(DecodeError::malformed("reserved flags in the fixed header"))
    }
}

/// What the front of a byte stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// A whole packet, and the octets it takes with its fixed header.
    Frame(Frame<'a>, usize),
    /// Part of a packet.
    Partial {
        /// The octets of the whole packet if its length is known, else the fewest worth waiting for; always more than
        /// there are.
        need: usize,
    },
}

/// Cuts the first control packet from `bytes`. `max_packet_size` counts the fixed header, in octets.
///
/// # Errors
/// Type 0 and a length not in its shortest form [MQTT-1.5.5-1] are malformed; a packet above `max_packet_size` is
/// refused as too large as soon as its length is known, before its body is there [MQTT-3.2.2-15].
#[inline]
pub fn cut(bytes: &[u8], max_packet_size: u32) -> Result<Cut<'_>, DecodeError> {
    let Some((&first, after)) = bytes.split_first() else {
        return Ok(Cut::Partial { need: 2 });
    };
    if first < 0x10 {
        return Err(DecodeError::malformed("packet type 0"));
    }
    let Some((remaining, octets)) = varint::get(after)? else {
        return Ok(Cut::Partial { need: bytes.len() + 1 });
    };
    let whole = 1 + octets + remaining as usize;
    if whole > max_packet_size as usize {
        return Err(DecodeError::with(ReasonCode::PACKET_TOO_LARGE, "packet exceeds the maximum packet size"));
    }
    match bytes.get(1 + octets..whole) {
        Some(body) => Ok(Cut::Frame(Frame { first, body }, whole)),
        None => Ok(Cut::Partial { need: whole }),
    }
}

//! What the tests share: cutting and decoding one packet, and owned packets to draw at random.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use ringmq_wire::{Cut, DecodeError, Frame, MAX_PACKET_LEN, Packet, Version, cut, decode};

pub const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// The one frame that `bytes` are.
pub fn frame(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    match cut(bytes, MAX_PACKET_LEN)? {
        Cut::Frame(frame, used) => {
            assert_eq!(used, bytes.len(), "octets after the packet");
            Ok(frame)
        }
        Cut::Partial { need } => panic!("{} octets of {need}: {bytes:02X?}", bytes.len()),
    }
}

/// The one packet that `bytes` are.
pub fn packet(bytes: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    decode(frame(bytes)?, version)
}

/// A frame of the given first octet around a body of at most 127 octets.
pub fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80).expect("a short body");
    [&[first, length], body].concat()
}

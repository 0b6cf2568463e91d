//! Variable Byte Integers (section 1.5.5): one to four octets of seven bits, least significant first.

use alloc::vec::Vec;

use crate::DecodeError;

/// The largest value four octets can hold.
pub const MAX_VARINT: u32 = 268_435_455;

/// The octets that `value` takes.
#[inline]
pub(crate) const fn len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Writes `value` to the front of `to` in the fewest octets [MQTT-1.5.5-1] and returns how many.
///
/// # Panics
/// If `value` is above [`MAX_VARINT`]: a caller compares an encoded length with the peer's limit first.
#[inline]
pub(crate) fn put(to: &mut [u8; 4], value: usize) -> usize {
    assert!(value <= MAX_VARINT as usize, "a length above 268435455 cannot be encoded");
    let mut rest = value;
    let mut at = 0;
    while rest > 0x7F {
        to[at & 3] = (rest & 0x7F) as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    to[at & 3] = rest as u8;
    at + 1
}

/// Appends `value` to `out`.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, value: usize) {
    let mut octets = [0; 4];
    let used = put(&mut octets, value);
    out.extend_from_slice(&octets[..used]);
}

/// Reads a value from the front of `bytes`: the value and its octets, or `None` if `bytes` ends within it.
///
/// # Errors
/// A fifth octet, or more octets than the value needs [MQTT-1.5.5-1].
#[inline]
pub(crate) fn get(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    match bytes {
        [] => Ok(None),
        [first, ..] if *first < 0x80 => Ok(Some((u32::from(*first), 1))),
        _ => get_long(bytes),
    }
}

fn get_long(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (at, octet) in bytes.iter().take(4).enumerate() {
        value |= u32::from(octet & 0x7F) << (7 * at);
        if octet & 0x80 == 0 {
            if at > 0 && *octet == 0 {
                return Err(DecodeError::malformed("variable byte integer is not minimal"));
            }
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(DecodeError::malformed("variable byte integer exceeds four octets")) }
}

//! MQTT framing as far as a forwarder needs it: where a frame ends, its topic, its packet identifier, and the fixed
//! answers.
//!
//! Absent: validation. A frame that cannot be delimited or lacks the bytes looked at here is [`Malformed`]; everything
//! else passes.

/// The longest frame accepted, in bytes. Longer ones end the connection.
pub(super) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most bytes of the "remaining length" field.
const LENGTH_BYTES_MAX: usize = 4;

/// The sender's bytes are not MQTT, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Packet types, as in the upper half of a frame's first byte.
pub(super) mod kind {
    pub(in super::super) const CONNECT: u8 = 1;
    pub(in super::super) const PUBLISH: u8 = 3;
    pub(in super::super) const PUBREC: u8 = 5;
    pub(in super::super) const PUBREL: u8 = 6;
    pub(in super::super) const SUBSCRIBE: u8 = 8;
    pub(in super::super) const UNSUBSCRIBE: u8 = 10;
    pub(in super::super) const PINGREQ: u8 = 12;
}

/// A delimited frame: `bytes[..header]` is type and length, `bytes[header..total]` the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) header: usize,
    pub(super) total: usize,
}

/// Delimits the frame that `bytes` begins with; `None` if it is not complete.
pub(super) fn extent(bytes: &[u8]) -> Result<Option<Extent>, Malformed> {
    let Some((length, count)) = variable_length(bytes.get(1..).unwrap_or(&[]))? else { return Ok(None) };
    let header = 1 + count;
    let total = header + length;
    if total > FRAME_BYTES_MAX {
        return Err(Malformed);
    }
    Ok((bytes.len() >= total).then_some(Extent { header, total }))
}

/// A variable byte integer and how many bytes it took; `None` if `bytes` ends within it.
fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= LENGTH_BYTES_MAX { Err(Malformed) } else { Ok(None) }
}

/// The topic of a PUBLISH, given what follows its fixed header.
#[inline]
pub(super) fn topic(body: &[u8]) -> Result<&[u8], Malformed> {
    length_prefixed(body).map(|(topic, _)| topic)
}

/// A string or binary field and what follows it.
#[inline]
pub(super) fn length_prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(Malformed)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(Malformed)
}

/// The two bytes of a packet identifier at the start of `bytes`.
#[inline]
pub(super) fn packet_id(bytes: &[u8]) -> Result<[u8; 2], Malformed> {
    bytes.first_chunk::<2>().copied().ok_or(Malformed)
}

/// Skips a block of MQTT 5.0 properties.
pub(super) fn skip_properties(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let (length, count) = variable_length(bytes)?.ok_or(Malformed)?;
    bytes.get(count + length..).ok_or(Malformed)
}

/// True if a CONNECT's protocol level is 5 or above.
pub(super) fn connect_is_v5(body: &[u8]) -> Result<bool, Malformed> {
    let (_name, rest) = length_prefixed(body)?;
    rest.first().map(|level| *level >= 5).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_delimited_only_when_complete() {
        let frame = [0x30, 5, 0, 1, b't', b'h', b'i'];
        for cut in 0..frame.len() {
            assert_eq!(extent(&frame[..cut]), Ok(None), "{cut} bytes");
        }
        assert_eq!(extent(&frame), Ok(Some(Extent { header: 2, total: 7 })));
    }

    #[test]
    fn long_lengths_take_up_to_four_bytes() {
        assert_eq!(variable_length(&[0xff, 0x7f]), Ok(Some((16_383, 2))));
        assert_eq!(variable_length(&[0xff, 0xff, 0xff, 0x7f]), Ok(Some((268_435_455, 4))));
        assert_eq!(variable_length(&[0xff, 0xff, 0xff]), Ok(None));
        assert_eq!(variable_length(&[0xff, 0xff, 0xff, 0xff]), Err(Malformed));
        assert_eq!(extent(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Err(Malformed), "over FRAME_BYTES_MAX");
    }

    #[test]
    fn fields_that_run_past_the_frame_are_malformed() {
        assert_eq!(topic(&[0, 3, b'a']), Err(Malformed));
        assert_eq!(topic(&[0]), Err(Malformed));
        assert_eq!(skip_properties(&[2, 0]), Err(Malformed));
    }
}

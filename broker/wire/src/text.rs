//! UTF-8 Encoded Strings (section 1.5.4): well-formed UTF-8 without U+0000.

use crate::DecodeError;

/// The bytes as a string, if they are well-formed UTF-8, which excludes surrogates [MQTT-1.5.4-1] [MQTT3-1.5.3-1], and
/// hold no U+0000 [MQTT-1.5.4-2] [MQTT3-1.5.3-2]. A byte order mark stays [MQTT-1.5.4-3] [MQTT3-1.5.3-3].
#[inline]
pub(crate) fn string(bytes: &[u8]) -> Result<&str, DecodeError> {
    if has_nul(bytes) {
        return Err(DecodeError::malformed("U+0000 in a string"));
    }
    core::str::from_utf8(bytes).map_err(|_| DecodeError::malformed("string is not well-formed UTF-8"))
}

#[inline]
fn has_nul(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_some()
}

/// The bytes as a string, as [`string`], and whether a wildcard character is in it.
#[inline]
pub(crate) fn topic(bytes: &[u8]) -> Result<(&str, bool), DecodeError> {
    let text = string(bytes)?;
    Ok((text, memchr::memchr2(b'+', b'#', bytes).is_some()))
}

/// Whether a wildcard character is in it.
#[inline]
pub(crate) fn has_wildcard(bytes: &[u8]) -> bool {
    memchr::memchr2(b'+', b'#', bytes).is_some()
}

//! UTF-8 Encoded Strings (section 1.5.4): well-formed UTF-8 without U+0000, and the search for wildcard characters.
//!
//! Most strings are a few dozen octets long, too short for a vectorised search to pay for its call. So the forbidden
//! octets are looked for eight at a time in one word.

use crate::DecodeError;

/// Each octet of a word 1.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each octet of a word.
const HIGHS: u64 = ONES << 7;

/// Not zero if an octet of the word is zero.
#[inline]
const fn zero_octet(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Not zero if an octet of the word is `+` or `#`, which differ in one bit.
#[inline]
const fn wildcard_octet(word: u64) -> u64 {
    zero_octet((word & !(ONES * 0x08)) ^ (ONES * b'#' as u64))
}

/// Whether `found` is not zero for any eight octets; the last eight may overlap those before them, and fewer than eight
/// are filled up with an octet that nothing looks for.
#[inline]
fn any_word(bytes: &[u8], found: impl Fn(u64) -> u64) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        let filled = bytes.iter().fold(ONES, |word, octet| word << 8 | u64::from(*octet));
        return found(filled) != 0;
    };
    let (words, _) = bytes.as_chunks::<8>();
    let all = words.iter().fold(0, |all, word| all | found(u64::from_le_bytes(*word)));
    all | found(u64::from_le_bytes(*last)) != 0
}

/// Whether a wildcard character is in it.
#[inline]
pub(crate) fn has_wildcard(bytes: &[u8]) -> bool {
    any_word(bytes, wildcard_octet)
}

/// The bytes as a string, if they are well-formed UTF-8, which excludes surrogates [MQTT-1.5.4-1] [MQTT3-1.5.3-1], and
/// hold no U+0000 [MQTT-1.5.4-2] [MQTT3-1.5.3-2]. A byte order mark stays [MQTT-1.5.4-3] [MQTT3-1.5.3-3].
#[inline]
pub(crate) fn string(bytes: &[u8]) -> Result<&str, DecodeError> {
    if any_word(bytes, zero_octet) {
        return Err(DecodeError::malformed("U+0000 in a string"));
    }
    well_formed(bytes)
}

/// The bytes as a string, as [`string`], and whether a wildcard character is in it.
#[inline]
pub(crate) fn topic(bytes: &[u8]) -> Result<(&str, bool), DecodeError> {
    if any_word(bytes, |word| zero_octet(word) | wildcard_octet(word)) {
        // Rare, so the one search need not have told which it was.
        return string(bytes).map(|text| (text, true));
    }
    Ok((well_formed(bytes)?, false))
}

/// Whether the bytes would be a [`string`], for a caller that does not need one yet: ASCII is settled by words alone.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    if any_word(bytes, |word| zero_octet(word) | word & HIGHS) { string(bytes).map(|_| ()) } else { Ok(()) }
}

#[inline]
fn well_formed(bytes: &[u8]) -> Result<&str, DecodeError> {
    core::str::from_utf8(bytes).map_err(|_| DecodeError::malformed("string is not well-formed UTF-8"))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::{any_word, check, has_wildcard, string, topic, zero_octet};

    #[test]
    fn forbidden_octets_are_found_at_every_place_of_every_length() {
        for length in 0..40 {
            assert!(!any_word(&vec![b'a'; length], zero_octet));
            assert!(!has_wildcard(&vec![b'a'; length]));
            for at in 0..length {
                for octet in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = octet;
                    assert_eq!(any_word(&bytes, zero_octet), octet == 0);
                    assert_eq!(has_wildcard(&bytes), matches!(octet, b'+' | b'#'));
                    assert_eq!(string(&bytes).is_ok(), octet.is_ascii() && octet != 0);
                    assert_eq!(check(&bytes), string(&bytes).map(|_| ()));
                    let expected = (octet.is_ascii() && octet != 0).then_some(matches!(octet, b'+' | b'#'));
                    assert_eq!(topic(&bytes).ok().map(|(_, wildcard)| wildcard), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_checked_is_a_string() {
        for text in ["é", "漢字 and ASCII to fill two words", "\u{FEFF}", "eight of é"] {
            assert_eq!((check(text.as_bytes()), string(text.as_bytes())), (Ok(()), Ok(text)));
        }
        assert!(check(b"\xED\xA0\x80").is_err() && check(b"\xC3").is_err() && check("é\0".as_bytes()).is_err());
    }

    #[test]
    fn neighbours_do_not_hide_each_other() {
        // A borrow from the octet below must not make or hide a find.
        for pair in 0..=u16::MAX {
            let mut bytes = [b'a'; 11];
            bytes[4..6].copy_from_slice(&pair.to_le_bytes());
            assert_eq!(any_word(&bytes, zero_octet), bytes.contains(&0));
            assert_eq!(has_wildcard(&bytes), bytes.contains(&b'+') || bytes.contains(&b'#'));
        }
    }
}

//! Topic names and topic filters (section 4.7): whether one is well formed. Splitting off `$share` and `$queue` and
//! matching belong to the broker.

use crate::{DecodeError, ReasonCode};

/// What a valid topic filter is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterKind {
    /// Its levels, at least 1.
    pub levels: u32,
    /// Whether it holds a wildcard.
    pub wildcard: bool,
    /// Whether its last level is `#`.
    pub multi_level: bool,
}

const fn invalid_filter(what: &'static str) -> DecodeError {
    DecodeError::with(ReasonCode::TOPIC_FILTER_INVALID, what)
}

/// Checks a topic name and returns its number of levels. Its length and encoding are those of any decoded string.
///
/// # Errors
/// An empty name [MQTT-4.7.3-1] [MQTT3-4.7.3-1], a wildcard [MQTT-4.7.0-1] [MQTT3-4.7.1-1] or U+0000 [MQTT-4.7.3-2]
/// [MQTT3-4.7.3-2]: topic name invalid.
pub fn validate_topic(topic: &str) -> Result<u32, DecodeError> {
    let refuse = |what| Err(DecodeError::with(ReasonCode::TOPIC_NAME_INVALID, what));
    if topic.is_empty() {
        return refuse("empty topic name");
    }
    if memchr::memchr3(b'+', b'#', 0, topic.as_bytes()).is_some() {
        return refuse("wildcard or U+0000 in a topic name");
    }
    Ok(1 + memchr::memchr_iter(b'/', topic.as_bytes()).count() as u32)
}

/// Checks a topic filter.
///
/// # Errors
/// An empty filter [MQTT-4.7.3-1] [MQTT3-4.7.3-1], U+0000 [MQTT-4.7.3-2] [MQTT3-4.7.3-2], a `#` that is not a whole
/// last level [MQTT-4.7.1-1] [MQTT3-4.7.1-2], a `+` that is not a whole level [MQTT-4.7.1-2] [MQTT3-4.7.1-3]: topic
/// filter invalid.
pub fn validate_filter(filter: &str) -> Result<FilterKind, DecodeError> {
    if filter.is_empty() {
        return Err(invalid_filter("empty topic filter"));
    }
    if memchr::memchr(0, filter.as_bytes()).is_some() {
        return Err(invalid_filter("U+0000 in a topic filter"));
    }
    let mut kind = FilterKind { levels: 0, wildcard: false, multi_level: false };
    for level in filter.split('/') {
        if kind.multi_level {
            return Err(invalid_filter("# is not the last level"));
        }
        kind.levels += 1;
        match level {
            "#" => {
                kind.wildcard = true;
                kind.multi_level = true;
            }
            "+" => kind.wildcard = true,
            _ if memchr::memchr2(b'+', b'#', level.as_bytes()).is_some() => {
                return Err(invalid_filter("wildcard is not a whole level"));
            }
            _ => {}
        }
    }
    Ok(kind)
}

//! The language of topic filters (MQTT 5.0, sections 4.7 and 4.8.2).
//!
//! Absent: prefixes of the broker's own such as `$exclusive/`, and any normalization: two filters are the same if
//! their bytes are `[MQTT-4.7.3-4]`.

use core::fmt;

/// Longest topic name or filter, bytes `[MQTT-4.7.3-3]`.
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Prefix of a shared subscription `[MQTT-4.8.2-1]`.
const SHARE_PREFIX: &str = "$share/";

/// EMQX's prefix for a shared subscription without a name.
const QUEUE_PREFIX: &str = "$queue/";

/// The group that subscriptions with `$queue/` belong to. As in EMQX, `$share/$queue/x` is the same group.
pub const QUEUE_GROUP: &str = "$queue";

/// A filter as a client sent it, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionFilter<'a> {
    /// Name of the shared group; [`QUEUE_GROUP`] for `$queue/`; `None` for an ordinary subscription.
    pub share: Option<&'a str>,
    /// The filter that topics are matched with, without `$share/<group>/` or `$queue/`.
    pub filter: &'a str,
    /// True if `filter` has a `+` or `#` level.
    pub wildcard: bool,
    /// Levels of `filter`, at least 1; 65535 stands for more than that.
    pub levels: u16,
}

/// Why a string is no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterError {
    /// Nothing, or nothing after the share prefix `[MQTT-4.7.3-1]`.
    Empty,
    /// More than [`TOPIC_BYTES_MAX`] bytes `[MQTT-4.7.3-3]`.
    TooLong,
    /// Contains U+0000 `[MQTT-4.7.3-2]`.
    NullCharacter,
    /// `#` that is not a level of its own, or not the last one `[MQTT-4.7.1-1]`.
    MultiLevelWildcard,
    /// `+` that is not a level of its own `[MQTT-4.7.1-2]`.
    SingleLevelWildcard,
    /// `$share/` without a name, with a wildcard in the name `[MQTT-4.8.2-1]`, without a filter after it
    /// `[MQTT-4.8.2-2]`, or with another share prefix after it.
    Share,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty topic filter",
            Self::TooLong => "topic filter longer than 65535 bytes",
            Self::NullCharacter => "topic filter contains U+0000",
            Self::MultiLevelWildcard => "# must be the last level, alone",
            Self::SingleLevelWildcard => "+ must be a whole level",
            Self::Share => "malformed shared subscription",
        })
    }
}

impl core::error::Error for FilterError {}

/// Checks a filter and takes it apart.
///
/// # Errors
/// See [`FilterError`].
pub fn parse(raw: &str) -> Result<SubscriptionFilter<'_>, FilterError> {
    if raw.len() > TOPIC_BYTES_MAX {
        return Err(FilterError::TooLong); // [MQTT-4.7.3-3]
    }
    if memchr::memchr(0, raw.as_bytes()).is_some() {
        return Err(FilterError::NullCharacter); // [MQTT-4.7.3-2]
    }
    let (share, filter) = split_share(raw)?;
    if filter.is_empty() {
        return Err(FilterError::Empty); // [MQTT-4.7.3-1]
    }
    let wildcard = check_wildcards(filter)?;
    let levels = u16::try_from(topic_levels(filter)).unwrap_or(u16::MAX);
    Ok(SubscriptionFilter { share, filter, wildcard, levels })
}

/// Separates the group from the filter.
fn split_share(raw: &str) -> Result<(Option<&str>, &str), FilterError> {
    let (group, filter) = if let Some(filter) = raw.strip_prefix(QUEUE_PREFIX) {
        (QUEUE_GROUP, filter)
    } else if let Some(rest) = raw.strip_prefix(SHARE_PREFIX) {
        // [MQTT-4.8.2-2]: the name ends at a slash, and a filter follows.
        rest.split_once('/').ok_or(FilterError::Share)?
    } else {
        return Ok((None, raw));
    };
    // [MQTT-4.8.2-1] and [MQTT-4.8.2-2]: the name is not empty and has no wildcard.
    let named = !group.is_empty() && memchr::memchr2(b'+', b'#', group.as_bytes()).is_none();
    let nested = filter.starts_with(SHARE_PREFIX) || filter.starts_with(QUEUE_PREFIX);
    if !named || filter.is_empty() || nested {
        return Err(FilterError::Share);
    }
    Ok((Some(group), filter))
}

/// True if there are wildcards, all in places where they may be.
fn check_wildcards(filter: &str) -> Result<bool, FilterError> {
    let bytes = filter.as_bytes();
    let mut found = false;
    for at in memchr::memchr2_iter(b'+', b'#', bytes) {
        found = true;
        let starts_level = at == 0 || bytes[at - 1] == b'/';
        match bytes[at] {
            // [MQTT-4.7.1-1]
            b'#' if !starts_level || at + 1 != bytes.len() => return Err(FilterError::MultiLevelWildcard),
            // [MQTT-4.7.1-2]
            b'+' if !starts_level || bytes.get(at + 1).is_some_and(|next| *next != b'/') => {
                return Err(FilterError::SingleLevelWildcard);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// True if a well-formed filter, without share prefix, matches a topic name: the definition, level by level.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false; // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
    }
    let mut topic_levels = topic.split('/');
    for filter_level in filter.split('/') {
        match (filter_level, topic_levels.next()) {
            ("#", _) => return true, // the parent level too: section 4.7.1.2
            ("+", Some(_)) => {}
            (_, None) => return false,
            (literal, Some(level)) if literal == level => {} // [MQTT-4.7.3-4]
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

/// True if a filter contains `+` or `#`. For well-formed filters only.
#[must_use]
pub fn has_wildcard(filter: &str) -> bool {
    memchr::memchr2(b'+', b'#', filter.as_bytes()).is_some()
}

/// Levels of a topic name or filter, at least 1; empty levels count.
#[must_use]
pub fn topic_levels(topic: &str) -> usize {
    1 + memchr::memchr_iter(b'/', topic.as_bytes()).count()
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;

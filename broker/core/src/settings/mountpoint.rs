//! What stands before the topics of a listener's clients (`listeners.tcp.<name>.mountpoint`).
//!
//! Absent: where in a topic or filter it goes, which is `shard::mounting`'s affair.

use crate::topics::filter::{TOPIC_BYTES_MAX, has_wildcard};
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// Longest mountpoint as it is written, bytes.
pub const MOUNTPOINT_BYTES_MAX: usize = 1024;

/// What stands before the topics of a listener's clients, with `${clientid}` and `${username}` for the client's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mountpoint(Box<str>);

/// Why a text is no mountpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountpointError {
    /// Longer than [`MOUNTPOINT_BYTES_MAX`], or a client's own longer than a topic.
    TooLong,
    /// Has `+`, `#` or U+0000 in it, which no topic name has.
    NotInTopics,
    /// Begins with a `$`, which says something else about a topic.
    Special,
}

impl fmt::Display for MountpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is longer than {MOUNTPOINT_BYTES_MAX} bytes"),
            Self::NotInTopics => f.write_str("has a character that no topic name has"),
            Self::Special => f.write_str("begins with a $ that begins no placeholder"),
        }
    }
}

impl core::error::Error for MountpointError {}

impl Mountpoint {
    /// Checks a mountpoint as it is written; the empty one is none.
    ///
    /// # Errors
    /// See [`MountpointError`].
    pub fn parse(text: &str) -> Result<Option<Self>, MountpointError> {
        if text.len() > MOUNTPOINT_BYTES_MAX {
            return Err(MountpointError::TooLong);
        }
        check(text)?;
        Ok((!text.is_empty()).then(|| Self(text.into())))
    }

    /// The mountpoint of one client. A placeholder that stands for nothing known stays as it is, as in EMQX.
    ///
    /// # Errors
    /// See [`MountpointError`]: a client's names may have in them what no topic has.
    pub fn for_client(&self, client_id: &str, username: Option<&str>) -> Result<Box<str>, MountpointError> {
        let values = [("${clientid}", Some(client_id)), ("${username}", username)];
        let mut filled = String::with_capacity(self.0.len() + client_id.len());
        let mut rest = &*self.0;
        while let Some(at) = rest.find("${") {
            let (before, placeholder) = rest.split_at(at);
            let known = values.iter().find(|(name, _)| placeholder.starts_with(name));
            let known = known.and_then(|(name, value)| value.map(|value| (name.len(), value)));
            let (used, value) = known.unwrap_or((2, "${"));
            filled.push_str(before);
            filled.push_str(value);
            rest = &placeholder[used..];
        }
        filled.push_str(rest);
        // A topic follows.
        if filled.len() >= TOPIC_BYTES_MAX {
            return Err(MountpointError::TooLong);
        }
        check(&filled)?;
        Ok(filled.into_boxed_str())
    }
}

/// What must not be in a mountpoint, lest a client could reach what is not below it: a wildcard would make several of
/// it, and `$share/` and the like would not be topics.
fn check(text: &str) -> Result<(), MountpointError> {
    if has_wildcard(text) || text.contains('\0') {
        return Err(MountpointError::NotInTopics);
    }
    if text.starts_with('$') && !text.starts_with("${") {
        return Err(MountpointError::Special);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once_and_unknown_ones_stay() {
        let of = |template: &str, username| {
            let mountpoint = Mountpoint::parse(template).unwrap().unwrap();
            mountpoint.for_client("c", username).map(String::from)
        };
        let cases = [
            ("devices/", Some("u"), "devices/"),
            ("${clientid}/${username}/", Some("u"), "c/u/"),
            ("a/${username}", None, "a/${username}"),
            ("${username}/", None, "${username}/"),
            ("x${endpoint_name}${client_attrs.tns}/", Some("u"), "x${endpoint_name}${client_attrs.tns}/"),
            ("${username}/", Some("${clientid}"), "${clientid}/"),
            ("${${clientid}", Some("u"), "${c"),
            ("a${clientid", Some("u"), "a${clientid"),
        ];
        for (template, username, expected) in cases {
            assert_eq!(of(template, username).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_would_lead_out_of_it_is_refused() {
        assert_eq!(Mountpoint::parse(""), Ok(None));
        for wrong in ["a/+/", "#", "a\0"] {
            assert_eq!(Mountpoint::parse(wrong), Err(MountpointError::NotInTopics), "{wrong}");
        }
        for wrong in ["$share/g/", "$SYS/", "$"] {
            assert_eq!(Mountpoint::parse(wrong), Err(MountpointError::Special), "{wrong}");
        }
        assert_eq!(Mountpoint::parse(&"x".repeat(MOUNTPOINT_BYTES_MAX + 1)), Err(MountpointError::TooLong));
        let by_name = Mountpoint::parse("${username}/").unwrap().unwrap();
        for (username, expected) in [
            ("+", MountpointError::NotInTopics),
            ("a/#", MountpointError::NotInTopics),
            ("$share/g", MountpointError::Special),
            (&*"x".repeat(TOPIC_BYTES_MAX), MountpointError::TooLong),
        ] {
            assert_eq!(by_name.for_client("c", Some(username)), Err(expected), "{username:.20}");
        }
    }
}

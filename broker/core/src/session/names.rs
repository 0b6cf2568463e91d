//! Whose session it is, in one block of memory.

use alloc::boxed::Box;
use alloc::string::String;

/// Between client identifier and user name: no string of MQTT contains it [MQTT-1.5.4-2] [MQTT3-1.5.3-2].
const SEPARATOR: u8 = 0;

/// A client identifier and, if the client's latest connection gave one, a user name. A session without a user name pays
/// nothing for the possibility.
#[derive(Debug)]
pub(crate) struct Names(Box<str>);

impl Names {
    /// Names as a CONNECT gives them.
    pub(crate) fn new(client_id: &str, username: Option<&str>) -> Self {
        debug_assert!(!client_id.as_bytes().contains(&SEPARATOR), "no string of MQTT contains U+0000");
        let Some(username) = username else { return Self(client_id.into()) };
        let mut text = String::with_capacity(client_id.len() + 1 + username.len());
        text.push_str(client_id);
        text.push(char::from(SEPARATOR));
        text.push_str(username);
        Self(text.into_boxed_str())
    }

    /// The client identifier.
    pub(crate) fn client_id(&self) -> &str {
        self.end().map_or(&self.0, |end| &self.0[..end])
    }

    /// The user name; it may be empty.
    pub(crate) fn username(&self) -> Option<&str> {
        self.end().map(|end| &self.0[end + 1..])
    }

    /// Puts another user name, or none, in the place of the one before.
    pub(crate) fn set_username(&mut self, username: Option<&str>) {
        if self.username() != username {
            *self = Self::new(self.client_id(), username);
        }
    }

    fn end(&self) -> Option<usize> {
        memchr::memchr(SEPARATOR, self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_given_back_and_the_user_name_can_change() {
        let mut names = Names::new("c", None);
        assert_eq!((names.client_id(), names.username(), names.0.len()), ("c", None, 1));
        for username in [Some("u"), Some(""), Some("longer than before"), None] {
            names.set_username(username);
            assert_eq!((names.client_id(), names.username()), ("c", username));
        }
        let names = Names::new("", Some("ü"));
        assert_eq!((names.client_id(), names.username()), ("", Some("ü")));
    }
}

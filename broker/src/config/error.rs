//! What is wrong with a configuration, in words for people.

use super::hocon::{self, Place};
use std::fmt;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A place in a file.
    File(Place),
    /// An environment variable.
    Variable(String),
    /// A change at run time, kept in this file.
    Changed(String),
    /// A flag of the command line, as typed.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => write!(f, "{place}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Changed(file) => write!(f, "changed at run time, kept in {file}"),
            Self::Flag(flag) => write!(f, "command line: {flag}"),
        }
    }
}

/// One thing that is wrong, or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong, without a full stop.
    pub(crate) message: String,
    /// Where.
    pub(crate) origin: Option<Origin>,
    /// What would be right.
    pub(crate) help: Option<String>,
}

impl Problem {
    /// A problem of no particular place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), origin: None, help: None }
    }

    pub(super) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        Self { message: message.into(), origin: Some(origin.clone()), help: None }
    }

    /// Adds what would be right.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<hocon::Error> for Problem {
    fn from(error: hocon::Error) -> Self {
        Self { message: error.message, origin: error.place.map(Origin::File), help: error.help }
    }
}

impl fmt::Display for Problem {
    /// Several lines, without the leading `error: ` or `warning: ` and without a final line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(origin) = &self.origin {
            write!(f, "\n  --> {origin}")?;
        }
        for line in self.help.iter().flat_map(|help| help.lines()) {
            write!(f, "\n   = {line}")?;
        }
        Ok(())
    }
}

/// All that is wrong; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

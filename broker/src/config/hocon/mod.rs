//! HOCON, the language of the configuration file, with the place of every value.
//!
//! A superset of JSON: `=` or `:`, dotted keys, comments, unquoted and triple-quoted text, objects that merge,
//! `${substitutions}`, `include`. Every value keeps the file, line and column it came from, so that a later check (a
//! number out of range, an unknown key) can point at it; the published parsers drop that, which is why this one exists.
//!
//! It is total: any text gives a tree or an [`Error`], within the limits below. All scalars stay text here; what they
//! mean is decided by the key table.
//!
//! Absent: substitutions relative to an `include`, keys with blanks outside quotes, `include url(..)`, `package(..)`.

mod parser;
mod raw;
mod resolve;
mod scanner;
#[cfg(test)]
mod tests;
mod tree;

#[cfg(test)]
pub(crate) use tree::Entry;
pub(crate) use tree::{Node, Object, Place, Value};

use std::fmt;
use std::path::Path;

/// Deepest nesting of objects, lists, paths and substitutions.
pub(crate) const NESTING_MAX: usize = 64;

/// Largest file that is read, bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Most files read for one configuration, included ones counted each time.
pub(crate) const FILES_MAX: usize = 64;

/// Most values (and 64-byte pieces of text) evaluated while substitutions are resolved.
pub(crate) const RESOLVE_STEPS_MAX: usize = 1_000_000;

/// Longest text that joining values may give, bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    /// The place, unless the file as a whole could not be read.
    pub(crate) place: Option<Place>,
    /// What is wrong, without a full stop.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

impl Error {
    fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), message: message.into(), help: None }
    }

    fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

/// What a configuration says, with what was odd but not wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// The keys and values.
    pub(crate) root: Object,
    /// Things to tell the operator, each with its place (`include` of a file that is not there).
    pub(crate) warnings: Vec<Error>,
}

/// Looks up an environment variable for a substitution that names no key.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a file and what it includes.
///
/// # Errors
/// The file cannot be read, is no HOCON, or is beyond a limit of this module.
pub(crate) fn load(path: &Path, environment: Environment<'_>) -> Result<Document, Error> {
    let mut sources = parser::Sources::default();
    let root = parser::parse_file(path, &mut sources)?;
    Ok(Document { root: resolve::resolve(&root, environment)?, warnings: sources.warnings })
}

/// Reads a text that stands for a whole file; `name` is used in places.
///
/// # Errors
/// The text is no HOCON, or is beyond a limit of this module.
#[cfg(test)]
pub(crate) fn parse(text: &str, name: &str, environment: Environment<'_>) -> Result<Document, Error> {
    let mut sources = parser::Sources::default();
    let root = parser::parse_text(text, name, &mut sources)?;
    Ok(Document { root: resolve::resolve(&root, environment)?, warnings: sources.warnings })
}

/// Reads a text that is one value, as in an environment variable.
///
/// # Errors
/// The text is no single value of HOCON, or is beyond a limit of this module.
pub(crate) fn parse_value(text: &str, name: &str) -> Result<Node, Error> {
    let value = parser::parse_single_value(text, name)?;
    resolve::resolve_value(&value)
}

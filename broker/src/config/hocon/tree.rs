//! What reading gives: a tree of values, each with its place.

use std::fmt;
use std::sync::Arc;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's name as the operator wrote it.
    pub(crate) file: Arc<str>,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where the value begins.
    pub(crate) place: Place,
    /// The value.
    pub(crate) value: Value,
}

/// A value after all merging and substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// `null`: the key has its default again.
    Null,
    /// Any scalar: text, number, boolean.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object.
    Object(Object),
}

/// Keys in the order in which they first appeared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Object {
    /// The entries; no key appears twice.
    pub(crate) entries: Vec<Entry>,
}

/// One key of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key, one path element.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) place: Place,
    /// Its value.
    pub(crate) node: Node,
}

impl Object {
    /// An object with one value, at `path`.
    pub(crate) fn single(path: &[String], node: Node) -> Self {
        let place = node.place.clone();
        let node = path.iter().skip(1).rev().fold(node, |inner, key| {
            let entry = Entry { key: key.clone(), place: place.clone(), node: inner };
            Node { place: place.clone(), value: Value::Object(Self { entries: vec![entry] }) }
        });
        let entry = path.first().map(|key| Entry { key: key.clone(), place, node });
        Self { entries: entry.into_iter().collect() }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// Lays `over` on top: objects merge key by key, anything else is replaced.
    pub(crate) fn merge(&mut self, over: Self) {
        for entry in over.entries {
            match self.entries.iter_mut().find(|known| known.key == entry.key) {
                None => self.entries.push(entry),
                Some(known) => match (&mut known.node.value, entry.node.value) {
                    (Value::Object(below), Value::Object(above)) => below.merge(above),
                    (_, value) => {
                        known.place = entry.place;
                        known.node = Node { place: entry.node.place, value };
                    }
                },
            }
        }
    }
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "a single value",
            Self::List(_) => "a list",
            Self::Object(_) => "a group of keys",
        }
    }
}

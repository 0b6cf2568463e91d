//! The tree before substitution.
//!
//! Plain values merge as they are read. A value with a substitution cannot be merged yet, so a key keeps all its
//! definitions from the last plain one on, and [`resolve`](super::resolve) folds them.

use super::{Error, NESTING_MAX, Place};

/// A value as written.
#[derive(Debug, Clone)]
pub(super) struct RawNode {
    pub(super) place: Place,
    pub(super) value: RawValue,
}

#[derive(Debug, Clone)]
pub(super) enum RawValue {
    Null,
    Text(String),
    List(Vec<RawNode>),
    Object(RawObject),
    /// Values side by side, at least one of them a substitution.
    Joined(Vec<Part>),
}

/// One piece of a value that is joined from several.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Blanks between two other pieces.
    Blank(String),
    Value(RawNode),
    Substitution(Substitution),
    /// What the key held before: the left side of `+=`.
    Previous,
}

/// `${path}` or `${?path}`.
#[derive(Debug, Clone)]
pub(super) struct Substitution {
    pub(super) place: Place,
    pub(super) path: Vec<String>,
    pub(super) optional: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct RawObject {
    pub(super) entries: Vec<RawEntry>,
}

#[derive(Debug, Clone)]
pub(super) struct RawEntry {
    pub(super) key: String,
    pub(super) place: Place,
    /// Oldest first, never empty. More than one only if a later one needs substitution.
    pub(super) definitions: Vec<RawNode>,
}

impl RawObject {
    pub(super) fn entry(&self, key: &str) -> Option<&RawEntry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Defines `path` (at least one element) as `node`.
    pub(super) fn define(&mut self, path: &[String], place: &Place, node: RawNode) {
        let (first, rest) = path.split_first().expect("a key has at least one element");
        let node = rest.iter().rev().fold(node, |inner, key| {
            let entry = RawEntry { key: key.clone(), place: place.clone(), definitions: vec![inner] };
            RawNode { place: place.clone(), value: RawValue::Object(RawObject { entries: vec![entry] }) }
        });
        self.add(RawEntry { key: first.clone(), place: place.clone(), definitions: vec![node] });
    }

    /// Lays `over` on top, as if its lines had been written here.
    pub(super) fn absorb(&mut self, over: Self) {
        for entry in over.entries {
            self.add(entry);
        }
    }

    fn add(&mut self, entry: RawEntry) {
        let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) else {
            self.entries.push(entry);
            return;
        };
        known.place = entry.place;
        for node in entry.definitions {
            let last = known.definitions.last_mut().expect("an entry has a definition");
            match (&mut last.value, node.value) {
                (RawValue::Object(below), RawValue::Object(above)) => below.absorb(above),
                (RawValue::List(elements), RawValue::Object(places)) if places.are_places_of(elements.len()) => {
                    lay_over(elements, places);
                }
                (RawValue::Joined(_), value @ RawValue::Object(_)) | (_, value @ RawValue::Joined(_)) => {
                    known.definitions.push(RawNode { place: node.place, value });
                }
                (_, value) => known.definitions = vec![RawNode { place: node.place, value }],
            }
        }
    }
}

impl RawObject {
    /// True if the keys are places of a list of this length, counted from 1, or those behind it.
    fn are_places_of(&self, length: usize) -> bool {
        let mut length = length;
        !self.entries.is_empty()
            && self.entries.iter().all(|entry| {
                let place = entry.key.parse().unwrap_or(0);
                length += usize::from(place == length + 1);
                (1..=length).contains(&place)
            })
    }
}

/// Lays values over those at their places in a list: `a = [1, 2]` and then `a.2 = 3`, as in EMQX.
fn lay_over(elements: &mut Vec<RawNode>, places: RawObject) {
    for entry in places.entries {
        let place: usize = entry.key.parse().unwrap_or(0);
        for node in entry.definitions {
            let Some(element) = elements.get_mut(place.saturating_sub(1)) else {
                elements.push(node);
                continue;
            };
            match (&mut element.value, node.value) {
                (RawValue::Object(below), RawValue::Object(above)) => below.absorb(above),
                (_, value) => *element = RawNode { place: node.place, value },
            }
        }
    }
}

/// Refuses a depth beyond [`NESTING_MAX`].
pub(super) fn check_depth(depth: usize, place: &Place) -> Result<(), Error> {
    if depth > NESTING_MAX {
        return Err(Error::at(place, format!("nested more than {NESTING_MAX} levels deep")));
    }
    Ok(())
}

//! The retained messages of one shard, by topic.
//!
//! Topics are kept in the order of their levels, so that a filter's matches lie in runs and everything between two runs
//! is skipped with one look-up. A walk's position is a topic and not a place in memory, so the store may change freely
//! between the slices of a walk.
//!
//! Absent: what a retained message is, when it expires, and limits on their number.

mod key;
mod walk;

use crate::topics::filter;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use core::cmp::Ordering;
use core::ops::Bound;
use key::{Entry, Levelled, Sought, level_order};
use walk::Standing;

/// Where a walk over retained messages goes on: at the first topic that is not before this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    from: Box<str>,
}

impl Cursor {
    /// From the first topic that is not before this text.
    #[must_use]
    pub fn at(text: &str) -> Self {
        Self { from: text.into() }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.from
    }
}

/// What has a topic: the store keeps none of its own, because a retained message has it already.
pub trait Topical {
    /// The topic's bytes, which are UTF-8, and always the same.
    fn topic_bytes(&self) -> &[u8];
}

/// A topic alone.
impl Topical for String {
    fn topic_bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Values by their topics.
#[derive(Debug)]
pub struct Store<V> {
    entries: BTreeSet<Entry<V>>,
}

impl<V: Topical> Default for Store<V> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

impl<V: Topical> Store<V> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Topics held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is retained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Stores a value and returns the one it replaces, whose topic is the same.
    pub fn insert(&mut self, value: V) -> Option<V> {
        self.entries.replace(Entry(value)).map(|Entry(replaced)| replaced)
    }

    /// Takes a topic's value out.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.entries.take(&Sought(topic.as_bytes()) as &dyn Levelled).map(|Entry(value)| value)
    }

    /// A topic's value.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.entries.get(&Sought(topic.as_bytes()) as &dyn Levelled).map(|Entry(value)| value)
    }

    /// Visits all topics, those that begin with `$` too, one slice of the walk; as [`Store::scan`] otherwise.
    pub fn scan_all(&self, cursor: Option<&Cursor>, limit: usize, visit: &mut dyn FnMut(&str, &V)) -> Option<Cursor> {
        let from = cursor.map_or("", Cursor::text);
        let lower = Bound::Included(&Sought(from.as_bytes()) as &dyn Levelled);
        let mut entries = self.entries.range::<dyn Levelled, _>((lower, Bound::Unbounded));
        for entry in entries.by_ref().take(limit.max(1)) {
            visit(entry.topic(), &entry.0);
        }
        entries.next().map(|entry| Cursor::at(entry.topic()))
    }

    /// Visits topics that match a well-formed filter, one slice of the walk: at most `limit` topics (at least one) are
    /// looked at, matching or not. Returns where to go on, `None` when the walk is over. The store may change between
    /// slices; a topic that is present throughout is visited exactly once.
    pub fn scan(
        &self,
        filter: &str,
        cursor: Option<Cursor>,
        limit: usize,
        visit: &mut dyn FnMut(&str, &V),
    ) -> Option<Cursor> {
        if !filter::has_wildcard(filter) {
            if let Some(value) = self.get(filter) {
                visit(filter, value);
            }
            return None;
        }
        let mut bound = String::new();
        match cursor {
            Some(cursor) => bound = cursor.from.into(),
            None => walk::begin(filter, &mut bound),
        }
        let mut left = limit.max(1);
        let mut next = String::new();
        // One look-up in the map for every run of topics.
        loop {
            let lower = Bound::Included(&Sought(bound.as_bytes()) as &dyn Levelled);
            let mut skipping = false;
            let mut run_ended = false;
            for entry in self.entries.range::<dyn Levelled, _>((lower, Bound::Unbounded)) {
                if skipping && level_order(entry.bytes(), next.as_bytes()) == Ordering::Less {
                    run_ended = true;
                    break;
                }
                let topic = entry.topic();
                if left == 0 {
                    return Some(Cursor { from: topic.into() });
                }
                left -= 1;
                match walk::standing(filter, topic, &mut next) {
                    Standing::Match => {
                        visit(topic, &entry.0);
                        skipping = false;
                    }
                    Standing::Before => skipping = true,
                    Standing::Past => return None,
                }
            }
            if !run_ended {
                return None;
            }
            core::mem::swap(&mut bound, &mut next);
        }
    }
}

#[cfg(test)]
mod tests;

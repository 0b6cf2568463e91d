//! The retained messages of one shard, by topic.
//!
//! Topics are kept in the order of their levels, so that a filter's matches lie in runs and everything between two runs
//! is skipped with one look-up. A walk's position is a topic and not a place in memory, so the store may change freely
//! between the slices of a walk.
//!
//! Absent: what a retained message is, when it expires, and limits on their number.

mod key;
mod walk;

use crate::topics::{Text, filter};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::cmp::Ordering;
use core::ops::Bound;
use key::{Levelled, Sought, TopicKey, level_order};
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

/// Topic -> `V`.
#[derive(Debug)]
pub struct Store<V> {
    topics: BTreeMap<TopicKey, V>,
}

impl<V> Default for Store<V> {
    fn default() -> Self {
        Self { topics: BTreeMap::new() }
    }
}

impl<V> Store<V> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Topics held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// True if nothing is retained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Sets the value of a topic and returns the one it replaces.
    pub fn insert(&mut self, topic: &str, value: V) -> Option<V> {
        // Most retained messages replace one: that allocates nothing.
        if let Some(held) = self.get_mut(topic) {
            return Some(core::mem::replace(held, value));
        }
        self.topics.insert(TopicKey(Text::new(topic)), value)
    }

    /// Takes a topic's value out.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.topics.remove(&Sought(topic.as_bytes()) as &dyn Levelled)
    }

    /// A topic's value.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.topics.get(&Sought(topic.as_bytes()) as &dyn Levelled)
    }

    /// A topic's value, to change it.
    #[must_use]
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        self.topics.get_mut(&Sought(topic.as_bytes()) as &dyn Levelled)
    }

    /// Visits all topics, those that begin with `$` too, one slice of the walk; as [`Store::scan`] otherwise.
    pub fn scan_all(&self, cursor: Option<&Cursor>, limit: usize, visit: &mut dyn FnMut(&str, &V)) -> Option<Cursor> {
        let from = cursor.map_or("", Cursor::text);
        let lower = Bound::Included(&Sought(from.as_bytes()) as &dyn Levelled);
        let mut topics = self.topics.range::<dyn Levelled, _>((lower, Bound::Unbounded));
        for (topic, value) in topics.by_ref().take(limit.max(1)) {
            visit(topic.0.as_str(), value);
        }
        topics.next().map(|(topic, _)| Cursor::at(topic.0.as_str()))
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
            for (topic, value) in self.topics.range::<dyn Levelled, _>((lower, Bound::Unbounded)) {
                if skipping && level_order(topic.bytes(), next.as_bytes()) == Ordering::Less {
                    run_ended = true;
                    break;
                }
                let topic = topic.0.as_str();
                if left == 0 {
                    return Some(Cursor { from: topic.into() });
                }
                left -= 1;
                match walk::standing(filter, topic, &mut next) {
                    Standing::Match => {
                        visit(topic, value);
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

//! The retained messages of one shard, by topic.
//!
//! Topics are kept in the order of their levels, so that a filter's matches lie in runs and everything between two runs
//! is skipped with one look-up. A walk's position is a topic and not a place in memory, so the store may change freely
//! between the slices of a walk.
//!
//! Absent: what a retained message is, when it expires, and limits on their number.

use crate::topics::filter;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Bound;

/// Where a walk over retained messages goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    after: Box<str>,
}

/// Topic -> `V`.
#[derive(Debug)]
pub struct Store<V> {
    topics: BTreeMap<Box<str>, V>,
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
        if let Some(held) = self.topics.get_mut(topic) {
            return Some(core::mem::replace(held, value));
        }
        self.topics.insert(topic.into(), value)
    }

    /// Takes a topic's value out.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.topics.remove(topic)
    }

    /// A topic's value.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.topics.get(topic)
    }

    /// A topic's value, to change it.
    #[must_use]
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        self.topics.get_mut(topic)
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
        let lower = cursor.as_ref().map_or(Bound::Unbounded, |cursor| Bound::Excluded(&*cursor.after));
        let mut left = limit.max(1);
        for (topic, value) in self.topics.range::<str, _>((lower, Bound::Unbounded)) {
            if filter::matches(filter, topic) {
                visit(topic, value);
            }
            left -= 1;
            if left == 0 {
                return Some(Cursor { after: topic.clone() });
            }
        }
        None
    }
}

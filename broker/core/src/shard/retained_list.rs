//! Retained messages as the operator sees them: counted, listed, removed, a part at a time.

use super::Shard;
use crate::control::{PAGE_BYTES_SOFT_MAX, PAGE_ROWS_MAX, Page, RetainedFacts, RetainedWalk};
use crate::retained::Cursor;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Topics looked at in one go; after each it is seen whether the page is full.
const BATCH: usize = 16;

impl Shard {
    pub(super) fn list_retained(&self, walk: RetainedWalk) -> Page<RetainedFacts, Cursor> {
        let mut rows = Vec::new();
        let next = self.walk_retained(walk, |facts| rows.push(facts));
        Page { rows, next }
    }

    /// Removes a page of what [`Shard::list_retained`] would list; gives their number and where to go on.
    pub(super) fn clean_retained(&mut self, walk: RetainedWalk) -> (usize, Option<Cursor>) {
        let mut topics: Vec<Box<str>> = Vec::new();
        let next = self.walk_retained(walk, |facts| topics.push(facts.topic));
        for topic in &topics {
            self.retained.remove(topic);
        }
        (topics.len(), next)
    }

    /// Visits a page of what is asked for, and says where the next begins.
    fn walk_retained(&self, walk: RetainedWalk, mut visit: impl FnMut(RetainedFacts)) -> Option<Cursor> {
        let RetainedWalk { filter, from: mut at } = walk;
        let mut bytes = 0;
        for _ in 0..PAGE_ROWS_MAX / BATCH {
            let mut found = |topic: &str, held: &super::retain::Retained| {
                bytes += topic.len();
                if held.expires_ms() > self.hub.now_ms {
                    visit(held.facts(topic));
                }
            };
            at = match &filter {
                Some(filter) => self.retained.scan(filter, at, BATCH, &mut found),
                None => self.retained.scan_all(at.as_ref(), BATCH, &mut found),
            };
            if at.is_none() || bytes >= PAGE_BYTES_SOFT_MAX {
                break;
            }
        }
        at
    }
}

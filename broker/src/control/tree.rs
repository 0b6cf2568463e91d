//! The tree of topic filters that somebody subscribes to, as deep as is asked for: how many filters and subscribers lie
//! at or below each node.
//!
//! It is put together from the same pages as the list of topics, so no shard does more at a time than for that.

use super::lists::Shards;
use crate::config::Problem;
use ringmq_core::control::{Control as Request, FilterFacts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most nodes of an answer. What lies below others is left out, and the answer says so.
const NODES_MAX: usize = 10_000;

/// What lies at or below a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Node {
    /// Filters, counted once for each shard that has them.
    filters: usize,
    subscribers: usize,
}

/// Nodes by their text.
struct Tree {
    /// Only what lies at or below this.
    prefix: Option<String>,
    /// Levels of a node's text.
    levels: usize,
    nodes: BTreeMap<String, Node>,
    complete: bool,
}

impl Tree {
    /// Levels of nodes below `prefix`, at least one.
    fn new(prefix: Option<&str>, depth: usize) -> Self {
        let prefix = prefix.map(|prefix| prefix.trim_end_matches('/').to_owned()).filter(|prefix| !prefix.is_empty());
        let above = prefix.as_ref().map_or(0, |prefix| prefix.split('/').count());
        Self { prefix, levels: above + depth.max(1), nodes: BTreeMap::new(), complete: true }
    }

    fn add(&mut self, found: &FilterFacts) {
        let filter = found.filter.as_str();
        let below = |prefix: &String| {
            filter.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !self.prefix.as_ref().is_none_or(below) {
            return;
        }
        let end = filter.match_indices('/').nth(self.levels - 1).map_or(filter.len(), |(at, _)| at);
        let text = &filter[..end];
        if !self.nodes.contains_key(text) && self.nodes.len() >= NODES_MAX {
            self.complete = false;
            return;
        }
        let node = self.nodes.entry(text.to_owned()).or_default();
        node.filters += 1;
        node.subscribers += found.subscribers;
    }

    fn answer(&self) -> Value {
        let row = |(topic, node): (&String, &Node)| {
            let Node { filters, subscribers } = node;
            json!({ "topic": topic, "filters": filters, "subscribers": subscribers })
        };
        json!({ "tree": self.nodes.iter().map(row).collect::<Vec<_>>(), "complete": self.complete })
    }
}

impl Shards<'_> {
    /// The nodes of `depth` levels at or below `prefix`: `tree`, and whether it is `complete`.
    pub(super) fn tree(self, prefix: Option<&str>, depth: usize) -> Result<Value, Problem> {
        let mut tree = Tree::new(prefix, depth);
        let page = |answer| if let Request::Filters(page) = answer { Some(page) } else { None };
        let seen_all = self.walk(Request::ListFilters, page, |found| tree.add(found))?;
        tree.complete &= seen_all;
        Ok(tree.answer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(prefix: Option<&str>, depth: usize, filters: &[(&str, usize)]) -> Vec<(String, usize, usize)> {
        let mut tree = Tree::new(prefix, depth);
        for (filter, subscribers) in filters {
            tree.add(&FilterFacts { filter: (*filter).to_owned(), subscribers: *subscribers });
        }
        tree.nodes.into_iter().map(|(text, node)| (text, node.filters, node.subscribers)).collect()
    }

    #[test]
    fn filters_are_counted_at_the_level_that_is_asked_for() {
        let filters = [("a", 1), ("a/b", 2), ("a/b/#", 3), ("a/c", 4), ("ab/c", 5), ("/x", 6), ("a/", 7)];
        let node = |text: &str, filters, subscribers| (text.to_owned(), filters, subscribers);
        assert_eq!(tree(None, 1, &filters), [node("", 1, 6), node("a", 5, 17), node("ab", 1, 5)]);
        let below_a = [node("a", 1, 1), node("a/", 1, 7), node("a/b", 2, 5), node("a/c", 1, 4)];
        assert_eq!(tree(Some("a"), 1, &filters), below_a);
        assert_eq!(tree(Some("a/"), 1, &filters), below_a);
        assert_eq!(tree(Some("a/b"), 9, &filters), [node("a/b", 1, 2), node("a/b/#", 1, 3)]);
        assert!(tree(Some("nothing"), 1, &filters).is_empty());
    }

    #[test]
    fn an_answer_has_a_bound_and_says_so() {
        let mut tree = Tree::new(None, 1);
        for number in 0..NODES_MAX + 5 {
            tree.add(&FilterFacts { filter: format!("t{number}/x"), subscribers: 1 });
        }
        tree.add(&FilterFacts { filter: "t0/y".to_owned(), subscribers: 1 });
        assert_eq!((tree.nodes.len(), tree.complete), (NODES_MAX, false));
        assert_eq!(tree.nodes["t0"], Node { filters: 2, subscribers: 2 }, "what has its node is counted on");
    }
}

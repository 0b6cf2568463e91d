//! Filters with wildcards, by level.
//!
//! A path that leads to one filter only is not built: the edge where it would begin holds the filter itself, and the
//! rest is compared with the filter's text. A million filters `device/<id>/+/state` are thus a million edges of one
//! node. A node's first few literal edges lie in the node; those of larger nodes in one table for the whole trie, which
//! grows in small steps whatever the shape.
//!
//! Absent: the filters' texts; whoever calls knows them.

use super::hash::{Partitioned, SeededHash};
use super::levels::Levels;
use crate::slab::Slab;
use alloc::vec::Vec;

/// Literal edges stored in a node.
const INLINE_EDGES: usize = 4;

/// No filter, no child.
const NONE: u32 = u32::MAX;

/// Set in a child that is a filter; the other bits are its number.
const LEAF: u32 = 1 << 31;

/// What an edge leads to: a node, a filter, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Child(u32);

enum Below {
    Nothing,
    Node(u32),
    Filter(u32),
}

impl Child {
    const NOTHING: Self = Self(NONE);

    fn node(id: u32) -> Self {
        assert!(id < LEAF, "too many nodes");
        Self(id)
    }

    fn filter(id: u32) -> Self {
        assert!(id < LEAF - 1, "too many filters");
        Self(id | LEAF)
    }

    fn below(self) -> Below {
        match self.0 {
            NONE => Below::Nothing,
            id if id & LEAF == 0 => Below::Node(id),
            id => Below::Filter(id & !LEAF),
        }
    }
}

/// How an edge is labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Plus,
    Literal(u32),
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    level: u32,
    child: Child,
}

/// An edge of a node that has more than [`INLINE_EDGES`].
#[derive(Debug, Clone, Copy)]
struct FarEdge {
    node: u32,
    edge: Edge,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    /// How `parent` leads here.
    label: Label,
    /// The filter that ends here.
    here: u32,
    /// The filter that ends here with `/#`.
    rest: u32,
    plus: Child,
    /// Literal edges: the first of `edges`, unless `far`.
    literals: u32,
    far: bool,
    edges: [Edge; INLINE_EDGES],
}

impl Node {
    fn new(parent: u32, label: Label) -> Self {
        Self {
            parent,
            label,
            here: NONE,
            rest: NONE,
            plus: Child::NOTHING,
            literals: 0,
            far: false,
            edges: [Edge { level: NONE, child: Child::NOTHING }; INLINE_EDGES],
        }
    }

    fn is_bare(&self) -> bool {
        self.here == NONE && self.rest == NONE && self.plus == Child::NOTHING && self.literals == 0
    }

    fn inline_edges(&mut self) -> &mut [Edge] {
        &mut self.edges[..self.literals as usize]
    }
}

/// One level of the topic being matched.
#[derive(Debug, Clone, Copy)]
struct TopicLevel {
    start: u32,
    end: u32,
    interned: Interned,
}

#[derive(Debug, Clone, Copy)]
enum Interned {
    NotLookedUp,
    Unknown,
    Level(u32),
}

/// Room for one match, reused.
#[derive(Debug, Default)]
struct Scratch {
    levels: Vec<TopicLevel>,
    /// Nodes still to be looked at, and how many levels of the topic lead to them.
    open: Vec<(u32, u32)>,
}

/// Filters with wildcards.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Slab<Node>,
    root: u32,
    far_edges: Partitioned<FarEdge>,
    levels: Levels,
    filters: usize,
    scratch: Scratch,
}

impl Trie {
    pub(super) fn new() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::new(NONE, Label::Plus));
        Self {
            nodes,
            root,
            far_edges: Partitioned::default(),
            levels: Levels::default(),
            filters: 0,
            scratch: Scratch::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filters == 0
    }

    /// Adds a filter that is not in the trie. `text` gives the text of any filter in it.
    pub(super) fn insert<'t>(&mut self, hash: &SeededHash, filter: u32, text: impl Fn(u32) -> &'t str) {
        self.filters += 1;
        let mut node = self.root;
        for (depth, level) in text(filter).split('/').enumerate() {
            if level == "#" {
                self.node(node).rest = filter;
                return;
            }
            let child = self.label_in_use(hash, level).map_or(Child::NOTHING, |label| self.child(hash, node, label));
            node = match child.below() {
                Below::Node(child) => child,
                Below::Nothing => {
                    let label = self.acquire_label(hash, level);
                    self.add_edge(hash, node, label, Child::filter(filter));
                    return;
                }
                Below::Filter(other) => {
                    // Two filters share this edge from now on: build the node, with the other one below it.
                    let label = self.label_in_use(hash, level).expect("label of an edge");
                    let inner = self.nodes.insert(Node::new(node, label));
                    *self.child_mut(hash, node, label) = Child::node(inner);
                    self.hang_below(hash, inner, other, text(other).split('/').nth(depth + 1));
                    inner
                }
            };
        }
        self.node(node).here = filter;
    }

    /// Puts a filter below a bare node; `level` is the first of its levels that does not lead to the node.
    fn hang_below(&mut self, hash: &SeededHash, node: u32, filter: u32, level: Option<&str>) {
        match level {
            None => self.node(node).here = filter,
            Some("#") => self.node(node).rest = filter,
            Some(level) => {
                let label = self.acquire_label(hash, level);
                self.add_edge(hash, node, label, Child::filter(filter));
            }
        }
    }

    /// Removes a filter with this text that is in the trie.
    pub(super) fn remove(&mut self, hash: &SeededHash, filter: u32, text: &str) {
        self.filters -= 1;
        let mut node = self.root;
        let mut levels = text.split('/');
        loop {
            let Some(level) = levels.next() else {
                let here = core::mem::replace(&mut self.node(node).here, NONE);
                assert_eq!(here, filter, "another filter at its end");
                break;
            };
            if level == "#" {
                let rest = core::mem::replace(&mut self.node(node).rest, NONE);
                assert_eq!(rest, filter, "another filter at its end");
                break;
            }
            let label = self.label_in_use(hash, level).expect("level of a filter");
            match self.child(hash, node, label).below() {
                Below::Node(child) => node = child,
                Below::Filter(held) => {
                    assert_eq!(held, filter, "another filter on its path");
                    self.remove_edge(hash, node, label);
                    break;
                }
                Below::Nothing => panic!("filter is not in the trie"),
            }
        }
        while node != self.root && self.node(node).is_bare() {
            let Node { parent, label, .. } = self.nodes.remove(node).expect("node in use");
            self.remove_edge(hash, parent, label);
            node = parent;
        }
    }

    /// Calls `found` with every filter that matches a topic, each once. `text` gives a filter's text.
    pub(super) fn matching<'t>(
        &mut self,
        hash: &SeededHash,
        topic: &str,
        text: impl Fn(u32) -> &'t [u8],
        mut found: impl FnMut(u32),
    ) {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.split(topic.as_bytes());
        // [MQTT-4.7.2-1]: only literal edges lead away from the root for these.
        let reserved = topic.starts_with('$');
        scratch.open.push((self.root, 0));
        while let Some((id, depth)) = scratch.open.pop() {
            let node = self.nodes.get(id).expect("node in use");
            let skip_wildcards = reserved && depth == 0;
            // `x/#` matches x itself too: section 4.7.1.2.
            if node.rest != NONE && !skip_wildcards {
                found(node.rest);
            }
            let Some(level) = scratch.levels.get_mut(depth as usize) else {
                if node.here != NONE {
                    found(node.here);
                }
                continue;
            };
            let mut literal = Child::NOTHING;
            if node.literals > 0 {
                let bytes = &topic.as_bytes()[level.start as usize..level.end as usize];
                if let Some(interned) = level.resolve(|| self.levels.find(hash, bytes)) {
                    literal = self.literal_child(hash, id, node, interned);
                }
            }
            let plus = if skip_wildcards { Child::NOTHING } else { node.plus };
            for child in [literal, plus] {
                match child.below() {
                    Below::Nothing => {}
                    Below::Node(child) => scratch.open.push((child, depth + 1)),
                    Below::Filter(filter) if matches_bytes(text(filter), topic.as_bytes()) => found(filter),
                    Below::Filter(_) => {}
                }
            }
        }
        self.scratch = scratch;
    }

    fn node(&mut self, id: u32) -> &mut Node {
        self.nodes.get_mut(id).expect("node in use")
    }

    /// The label for a level, if any edge has it.
    fn label_in_use(&self, hash: &SeededHash, level: &str) -> Option<Label> {
        if level == "+" {
            return Some(Label::Plus);
        }
        self.levels.find(hash, level.as_bytes()).map(Label::Literal)
    }

    /// The label for a new edge.
    fn acquire_label(&mut self, hash: &SeededHash, level: &str) -> Label {
        if level == "+" { Label::Plus } else { Label::Literal(self.levels.acquire(hash, level)) }
    }

    fn child(&self, hash: &SeededHash, id: u32, label: Label) -> Child {
        let node = self.nodes.get(id).expect("node in use");
        match label {
            Label::Plus => node.plus,
            Label::Literal(level) => self.literal_child(hash, id, node, level),
        }
    }

    #[inline]
    fn literal_child(&self, hash: &SeededHash, id: u32, node: &Node, level: u32) -> Child {
        if node.far {
            let is_edge = |far: &FarEdge| far.node == id && far.edge.level == level;
            return self.far_edges.find(hash.pair(id, level), is_edge).map_or(Child::NOTHING, |far| far.edge.child);
        }
        // Unused places have a level that no topic has.
        node.edges.iter().find(|edge| edge.level == level).map_or(Child::NOTHING, |edge| edge.child)
    }

    /// The place of a child that exists.
    fn child_mut(&mut self, hash: &SeededHash, id: u32, label: Label) -> &mut Child {
        let node = self.nodes.get_mut(id).expect("node in use");
        match label {
            Label::Plus => &mut node.plus,
            Label::Literal(level) if node.far => {
                let is_edge = |far: &FarEdge| far.node == id && far.edge.level == level;
                let far = self.far_edges.find_mut(hash.pair(id, level), is_edge).expect("edge in use");
                &mut far.edge.child
            }
            Label::Literal(level) => {
                let edge = node.inline_edges().iter_mut().find(|edge| edge.level == level).expect("edge in use");
                &mut edge.child
            }
        }
    }

    fn add_edge(&mut self, hash: &SeededHash, id: u32, label: Label, child: Child) {
        let node = self.nodes.get_mut(id).expect("node in use");
        let Label::Literal(level) = label else {
            node.plus = child;
            return;
        };
        let added = Edge { level, child };
        let count = node.literals as usize;
        node.literals += 1;
        if !node.far && count < INLINE_EDGES {
            node.edges[count] = added;
            return;
        }
        let hash_of = |far: &FarEdge| hash.pair(far.node, far.edge.level);
        let mut add = |edge: Edge| {
            let far = FarEdge { node: id, edge };
            self.far_edges.insert(hash_of(&far), far, hash_of);
        };
        if !node.far {
            node.far = true;
            node.edges.into_iter().for_each(&mut add);
        }
        add(added);
    }

    /// Removes an edge that exists, and its use of the level.
    fn remove_edge(&mut self, hash: &SeededHash, id: u32, label: Label) {
        let node = self.nodes.get_mut(id).expect("node in use");
        let Label::Literal(level) = label else {
            node.plus = Child::NOTHING;
            return;
        };
        if node.far {
            let is_edge = |far: &FarEdge| far.node == id && far.edge.level == level;
            let hash_of = |far: &FarEdge| hash.pair(far.node, far.edge.level);
            self.far_edges.remove(hash.pair(id, level), is_edge, hash_of).expect("edge in use");
            node.literals -= 1;
            if node.literals == 0 {
                node.far = false;
                node.edges = [Edge { level: NONE, child: Child::NOTHING }; INLINE_EDGES];
            }
        } else {
            let edges = node.inline_edges();
            let at = edges.iter().position(|edge| edge.level == level).expect("edge in use");
            let last = edges.len() - 1;
            edges.swap(at, last);
            edges[last] = Edge { level: NONE, child: Child::NOTHING };
            node.literals -= 1;
        }
        self.levels.release(hash, level);
    }

    /// Nodes and levels in use: 1 and 0 when empty.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.levels.len())
    }
}

impl Scratch {
    fn split(&mut self, topic: &[u8]) {
        self.levels.clear();
        self.open.clear();
        let offset = |at: usize| u32::try_from(at).expect("topic of at most 65535 bytes");
        let mut start = 0;
        for slash in memchr::memchr_iter(b'/', topic) {
            self.levels.push(TopicLevel { start, end: offset(slash), interned: Interned::NotLookedUp });
            start = offset(slash + 1);
        }
        self.levels.push(TopicLevel { start, end: offset(topic.len()), interned: Interned::NotLookedUp });
    }
}

impl TopicLevel {
    /// The level's number, looked up at the first use in a match.
    fn resolve(&mut self, look_up: impl FnOnce() -> Option<u32>) -> Option<u32> {
        if matches!(self.interned, Interned::NotLookedUp) {
            self.interned = look_up().map_or(Interned::Unknown, Interned::Level);
        }
        match self.interned {
            Interned::Level(level) => Some(level),
            Interned::NotLookedUp | Interned::Unknown => None,
        }
    }
}

/// [`filter::matches`](super::filter::matches) in one pass over the bytes, without the rule for `$`, which the root
/// has applied.
fn matches_bytes(filter: &[u8], topic: &[u8]) -> bool {
    let mut at = 0;
    let mut topic_at = 0;
    while at < filter.len() {
        match filter[at] {
            b'#' => return true,
            b'+' => {
                let rest = &topic[topic_at..];
                topic_at += rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                at += 1;
            }
            literal if topic.get(topic_at) == Some(&literal) => {
                at += 1;
                topic_at += 1;
            }
            // The parent level of a filter that ends with `/#`.
            _ => return topic_at == topic.len() && &filter[at..] == b"/#",
        }
    }
    topic_at == topic.len()
}

//! The subscriptions of one shard.

use super::cache::Cache;
use super::filter;
use super::hash::SeededHash;
use super::names::Names;
use super::subscriber::Subscriber;
use super::subscribers::Subscribers;
use super::text::Text;
use super::trie::Trie;
use crate::slab::Slab;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A filter with at least one subscriber. Valid until its last subscriber leaves; the number may then be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FilterId(u32);

impl FilterId {
    /// The filter's place in the index.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What [`Index::subscribe`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// The filter.
    pub id: FilterId,
    /// This is the filter's first subscriber: interest has to be announced.
    pub new_filter: bool,
    /// The subscription of the same subscriber that this one took the place of.
    pub replaced: Option<Subscriber>,
}

/// What [`Index::unsubscribe`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribed {
    /// The subscription that ended.
    pub subscriber: Subscriber,
    /// The filter's text if that was its last subscriber: interest has to be withdrawn.
    pub filter_gone: Option<Box<str>>,
}

/// Filters that match a topic; reused from call to call.
#[derive(Debug, Default)]
pub struct Matches {
    ids: Vec<FilterId>,
}

impl Matches {
    /// The filters, each once, in no particular order.
    #[must_use]
    pub fn as_slice(&self) -> &[FilterId] {
        &self.ids
    }

    /// True if nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// A position in a filter's list of subscribers that stays good while the list, or the filter itself, comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanOut {
    id: FilterId,
    generation: u32,
    after: Option<u32>,
}

#[derive(Debug)]
struct Filter {
    text: Text,
    subscribers: Subscribers,
}

const _: () = assert!(size_of::<Filter>() == 48);

/// Filters and their subscribers.
#[derive(Debug)]
pub struct Index {
    filters: Slab<Filter>,
    /// All filters, those with wildcards too.
    by_text: Names,
    /// Those with wildcards.
    trie: Trie,
    cache: Cache,
    hash: SeededHash,
}

impl Index {
    /// An empty index. The seed makes its hash functions unpredictable to clients.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            filters: Slab::new(),
            by_text: Names::default(),
            trie: Trie::new(),
            cache: Cache::new(),
            hash: SeededHash::new(seed),
        }
    }

    /// Adds a subscriber to a well-formed filter (without share prefix), or replaces its earlier subscription to it.
    ///
    /// # Panics
    /// With 2^31 - 1 filters.
    pub fn subscribe(&mut self, filter: &str, subscriber: Subscriber) -> Subscribed {
        let hash = self.hash.bytes(filter.as_bytes());
        if let Some(id) = self.find_hashed(hash, filter.as_bytes()) {
            let replaced = self.filters.get_mut(id.0).expect("known filter").subscribers.insert(subscriber);
            return Subscribed { id, new_filter: false, replaced };
        }
        let id = self.filters.insert(Filter { text: Text::new(filter), subscribers: Subscribers::One(subscriber) });
        self.by_text.insert(hash, id);
        if filter::has_wildcard(filter) {
            self.cache.invalidate();
            let filters = &self.filters;
            self.trie.insert(&self.hash, id, |id| filters.get(id).expect("filter in the trie").text.as_str());
        }
        Subscribed { id: FilterId(id), new_filter: true, replaced: None }
    }

    /// Ends a subscription. `None` if the subscriber has none to this filter.
    ///
    /// # Panics
    /// Never: the index's parts agree.
    pub fn unsubscribe(&mut self, id: FilterId, subscriber: u32) -> Option<Unsubscribed> {
        let removed = self.filters.get_mut(id.0)?.subscribers.remove(subscriber)?;
        let filter_gone = removed.last.then(|| self.remove_filter(id.0));
        Some(Unsubscribed { subscriber: removed.subscriber, filter_gone })
    }

    fn remove_filter(&mut self, id: u32) -> Box<str> {
        let text = self.filters.remove(id).expect("known filter").text;
        let hash = self.hash.bytes(text.as_bytes());
        assert!(self.by_text.remove(hash, id), "filter has a name");
        let text = text.into_boxed_str();
        if filter::has_wildcard(&text) {
            self.cache.invalidate();
            self.trie.remove(&self.hash, id, &text);
        }
        text
    }

    /// The filter with this text.
    #[must_use]
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        self.find_hashed(self.hash.bytes(filter.as_bytes()), filter.as_bytes())
    }

    #[inline]
    fn find_hashed(&self, hash: u32, filter: &[u8]) -> Option<FilterId> {
        self.by_text
            .find(hash, |id| self.filters.get(id).is_some_and(|held| held.text.as_bytes() == filter))
            .map(FilterId)
    }

    /// The text of a filter.
    ///
    /// # Panics
    /// If the filter is gone.
    #[must_use]
    pub fn filter(&self, id: FilterId) -> &str {
        self.filters.get(id.0).expect("filter with a subscriber").text.as_str()
    }

    /// Distinct filters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// True if there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Puts every filter that matches the topic name into `out`, after clearing it.
    pub fn matching(&mut self, topic: &str, out: &mut Matches) {
        out.ids.clear();
        let hash = self.hash.bytes(topic.as_bytes());
        if let Some(id) = self.find_hashed(hash, topic.as_bytes()) {
            // A name with wildcards is no topic; should one come, the trie finds the filter of the same text.
            if self.trie.is_empty() || !filter::has_wildcard(topic) {
                out.ids.push(id);
            }
        }
        if self.trie.is_empty() {
            return;
        }
        if let Some(ids) = self.cache.get(hash, topic) {
            out.ids.extend_from_slice(ids);
            return;
        }
        let exact = out.ids.len();
        let text = |id| self.filters.get(id).expect("filter in the trie").text.as_bytes();
        self.trie.matching(&self.hash, topic, text, |id| out.ids.push(FilterId(id)));
        self.cache.put(hash, topic, &out.ids[exact..]);
    }

    /// True if a filter matches a topic. Unlike [`Index::matching`] it remembers nothing: for topics that come once.
    #[must_use]
    pub fn matches_any(&mut self, topic: &str) -> bool {
        let hash = self.hash.bytes(topic.as_bytes());
        if self.find_hashed(hash, topic.as_bytes()).is_some() {
            return true;
        }
        let mut any = false;
        if !self.trie.is_empty() {
            let text = |id| self.filters.get(id).expect("filter in the trie").text.as_bytes();
            self.trie.matching(&self.hash, topic, text, |_| any = true);
        }
        any
    }

    /// Subscribers of a filter; 0 if the filter is gone.
    #[must_use]
    pub fn count(&self, id: FilterId) -> usize {
        self.filters.get(id.0).map_or(0, |filter| filter.subscribers.len())
    }

    /// The subscription of one subscriber to a filter.
    #[must_use]
    pub fn subscriber(&self, id: FilterId, subscriber: u32) -> Option<&Subscriber> {
        self.filters.get(id.0)?.subscribers.get(subscriber)
    }

    /// The next subscribers of a filter in order of their ids, beginning with the first whose id is greater than
    /// `after`. Empty only at the end. For use within one turn; a fan-out that lasts longer needs [`Index::fan_out`].
    #[must_use]
    #[inline]
    pub fn chunk_from(&self, id: FilterId, after: Option<u32>) -> &[Subscriber] {
        self.filters.get(id.0).map_or(&[], |filter| filter.subscribers.chunk_from(after))
    }

    /// All places from `from` on, with the text and the number of subscribers of each filter.
    pub fn slots_from(&self, from: u32) -> impl Iterator<Item = (u32, Option<(&str, usize)>)> {
        let slots = self.filters.slots_from(from);
        slots.map(|(slot, filter)| (slot, filter.map(|filter| (filter.text.as_str(), filter.subscribers.len()))))
    }

    /// Begins a walk over a filter's subscribers that may last several turns.
    #[must_use]
    pub fn fan_out(&self, id: FilterId) -> FanOut {
        FanOut { id, generation: self.filters.generation(id.0).unwrap_or_default(), after: None }
    }

    /// The next at most `limit` subscribers of a walk, in order of their ids; empty when it is over. Whoever subscribed
    /// throughout the walk is given exactly once; nothing more is given once the filter is gone, even if its number is
    /// in use again.
    pub fn next_chunk(&self, walk: &mut FanOut, limit: usize) -> &[Subscriber] {
        if self.filters.generation(walk.id.0) != Some(walk.generation) {
            return &[];
        }
        let chunk = self.chunk_from(walk.id, walk.after);
        let chunk = &chunk[..chunk.len().min(limit)];
        walk.after = chunk.last().map_or(walk.after, |last| Some(last.id));
        chunk
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;

//! The subscriptions of one shard.

use super::filter;
use super::subscriber::Subscriber;
use crate::slab::Slab;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A filter with at least one subscriber. Valid until its last subscriber leaves; the number may then be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(u32);

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
    text: Box<str>,
    subscribers: Vec<Subscriber>,
}

/// Filters and their subscribers.
#[derive(Debug)]
pub struct Index {
    filters: Slab<Filter>,
    by_text: BTreeMap<Box<str>, FilterId>,
}

impl Index {
    /// An empty index. The seed makes its hash functions unpredictable to clients.
    #[must_use]
    pub fn new(_seed: u64) -> Self {
        Self { filters: Slab::new(), by_text: BTreeMap::new() }
    }

    /// Adds a subscriber to a well-formed filter (without share prefix), or replaces its earlier subscription to it.
    pub fn subscribe(&mut self, filter: &str, subscriber: Subscriber) -> Subscribed {
        let Some(id) = self.find(filter) else {
            let id =
                FilterId(self.filters.insert(Filter { text: filter.into(), subscribers: Vec::from([subscriber]) }));
            self.by_text.insert(filter.into(), id);
            return Subscribed { id, new_filter: true, replaced: None };
        };
        let list = &mut self.filters.get_mut(id.0).expect("known filter").subscribers;
        let replaced = match list.binary_search_by_key(&subscriber.id, |held| held.id) {
            Ok(at) => Some(core::mem::replace(&mut list[at], subscriber)),
            Err(at) => {
                list.insert(at, subscriber);
                None
            }
        };
        Subscribed { id, new_filter: false, replaced }
    }

    /// Ends a subscription. `None` if the subscriber has none to this filter.
    pub fn unsubscribe(&mut self, id: FilterId, subscriber: u32) -> Option<Unsubscribed> {
        let list = &mut self.filters.get_mut(id.0)?.subscribers;
        let at = list.binary_search_by_key(&subscriber, |held| held.id).ok()?;
        let subscriber = list.remove(at);
        let mut filter_gone = None;
        if list.is_empty() {
            let filter = self.filters.remove(id.0)?;
            self.by_text.remove(&filter.text);
            filter_gone = Some(filter.text);
        }
        Some(Unsubscribed { subscriber, filter_gone })
    }

    /// The filter with this text.
    #[must_use]
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        self.by_text.get(filter).copied()
    }

    /// The text of a filter.
    ///
    /// # Panics
    /// If the filter is gone.
    #[must_use]
    pub fn filter(&self, id: FilterId) -> &str {
        &self.filters.get(id.0).expect("filter with a subscriber").text
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

    /// Puts every filter that matches the topic into `out`, after clearing it.
    pub fn matching(&mut self, topic: &str, out: &mut Matches) {
        out.ids.clear();
        out.ids.extend(self.by_text.iter().filter(|(text, _)| filter::matches(text, topic)).map(|(_, id)| *id));
    }

    /// Subscribers of a filter; 0 if the filter is gone.
    #[must_use]
    pub fn count(&self, id: FilterId) -> usize {
        self.filters.get(id.0).map_or(0, |filter| filter.subscribers.len())
    }

    /// The subscription of one subscriber to a filter.
    #[must_use]
    pub fn subscriber(&self, id: FilterId, subscriber: u32) -> Option<&Subscriber> {
        let list = &self.filters.get(id.0)?.subscribers;
        list.binary_search_by_key(&subscriber, |held| held.id).ok().map(|at| &list[at])
    }

    /// The next subscribers of a filter in order of their ids, beginning with the first whose id is greater than
    /// `after`. Empty only at the end. For use within one turn; a fan-out that lasts longer needs [`Index::fan_out`].
    #[must_use]
    pub fn chunk_from(&self, id: FilterId, after: Option<u32>) -> &[Subscriber] {
        let list = self.filters.get(id.0).map_or(&[][..], |filter| &filter.subscribers);
        &list[list.partition_point(|held| after.is_some_and(|after| held.id <= after))..]
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

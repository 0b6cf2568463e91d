//! The subscribers of one filter, sorted by id.
//!
//! Nearly all filters of a large broker have one subscriber, which is stored in place; some have millions, and then
//! nothing may cost more than a walk over one chunk.

use super::subscriber::Subscriber;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most subscribers in one chunk, and so most that one insertion or removal moves.
pub(super) const CHUNK_SUBSCRIBERS_MAX: usize = 1024;

/// Two neighbours that hold no more than this together become one chunk.
const MERGED_SUBSCRIBERS_MAX: usize = CHUNK_SUBSCRIBERS_MAX / 2;

/// The subscribers of one filter. Not empty, except while the last one is being removed.
#[derive(Debug)]
pub(super) enum Subscribers {
    One(Subscriber),
    #[expect(clippy::box_collection, reason = "keeps the enum at 16 bytes: one per filter")]
    Few(Box<Vec<Subscriber>>),
    Many(Box<Chunks>),
}

const _: () = assert!(size_of::<Subscribers>() == 16);

/// What was removed, and whether it was the last.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) subscriber: Subscriber,
    pub(super) last: bool,
}

impl Subscribers {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(list) => list.len(),
            Self::Many(chunks) => chunks.len,
        }
    }

    /// Adds a subscriber, or replaces the one with the same id and returns it.
    pub(super) fn insert(&mut self, subscriber: Subscriber) -> Option<Subscriber> {
        match self {
            Self::One(held) if held.id == subscriber.id => Some(core::mem::replace(held, subscriber)),
            Self::One(held) => {
                let (low, high) = if held.id < subscriber.id { (*held, subscriber) } else { (subscriber, *held) };
                *self = Self::Few(Box::new(Vec::from([low, high])));
                None
            }
            Self::Few(list) => {
                let replaced = insert_sorted(list, subscriber);
                if list.len() > CHUNK_SUBSCRIBERS_MAX {
                    *self = Self::Many(Box::new(Chunks::from_sorted(core::mem::take(list))));
                }
                replaced
            }
            Self::Many(chunks) => chunks.insert(subscriber),
        }
    }

    /// Removes a subscriber. After the last one was removed the list must not be used.
    pub(super) fn remove(&mut self, id: u32) -> Option<Removed> {
        let subscriber = match self {
            Self::One(held) if held.id == id => return Some(Removed { subscriber: *held, last: true }),
            Self::One(_) => return None,
            Self::Few(list) => {
                let at = list.binary_search_by_key(&id, |held| held.id).ok()?;
                list.remove(at)
            }
            Self::Many(chunks) => chunks.remove(id)?,
        };
        self.compact();
        Some(Removed { subscriber, last: false })
    }

    /// Changes to a smaller form when little is left. The thresholds are apart, so that one subscriber coming and going
    /// does not change the form every time.
    fn compact(&mut self) {
        match self {
            Self::Few(list) if list.len() == 1 => *self = Self::One(list[0]),
            Self::Few(list) if list.len() < list.capacity() / 4 => list.shrink_to(list.len() * 2),
            Self::Many(chunks) if chunks.len <= MERGED_SUBSCRIBERS_MAX => {
                *self = Self::Few(Box::new(chunks.chunks.concat()));
            }
            _ => {}
        }
    }

    pub(super) fn get(&self, id: u32) -> Option<&Subscriber> {
        let list = match self {
            Self::One(held) => core::slice::from_ref(held),
            Self::Few(list) => list,
            Self::Many(chunks) => &chunks.chunks[chunks.chunk_of(id)],
        };
        list.binary_search_by_key(&id, |held| held.id).ok().map(|at| &list[at])
    }

    /// Some subscribers with ids greater than `after`, in order, beginning with the first such; empty if there is none.
    pub(super) fn chunk_from(&self, after: Option<u32>) -> &[Subscriber] {
        let list = match self {
            Self::One(held) => core::slice::from_ref(held),
            Self::Few(list) => list,
            Self::Many(chunks) => return chunks.chunk_from(after),
        };
        rest_of(list, after)
    }
}

/// Sorted chunks of a sorted list; none is empty and none longer than [`CHUNK_SUBSCRIBERS_MAX`].
#[derive(Debug)]
pub(super) struct Chunks {
    chunks: Vec<Vec<Subscriber>>,
    len: usize,
}

impl Chunks {
    fn from_sorted(mut list: Vec<Subscriber>) -> Self {
        let len = list.len();
        let upper = list.split_off(len / 2);
        Self { chunks: Vec::from([list, upper]), len }
    }

    /// Index of the chunk that holds this id if any does.
    fn chunk_of(&self, id: u32) -> usize {
        self.chunks.partition_point(|chunk| chunk[0].id <= id).saturating_sub(1)
    }

    fn insert(&mut self, subscriber: Subscriber) -> Option<Subscriber> {
        let at = self.chunk_of(subscriber.id);
        let chunk = &mut self.chunks[at];
        let replaced = insert_sorted(chunk, subscriber);
        if replaced.is_none() {
            self.len += 1;
        }
        if chunk.len() > CHUNK_SUBSCRIBERS_MAX {
            // Ids mostly grow: leaving the lower part nearly full keeps appended lists dense.
            let appended = at + 1 == self.chunks.len();
            let keep = if appended { CHUNK_SUBSCRIBERS_MAX } else { CHUNK_SUBSCRIBERS_MAX / 2 };
            let upper = self.chunks[at].split_off(keep);
            self.chunks.insert(at + 1, upper);
        }
        replaced
    }

    fn remove(&mut self, id: u32) -> Option<Subscriber> {
        let at = self.chunk_of(id);
        let chunk = &mut self.chunks[at];
        let place = chunk.binary_search_by_key(&id, |held| held.id).ok()?;
        let subscriber = chunk.remove(place);
        self.len -= 1;
        if self.chunks[at].is_empty() {
            self.chunks.remove(at);
        } else {
            self.merge(at);
        }
        Some(subscriber)
    }

    fn merge(&mut self, at: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(CHUNK_SUBSCRIBERS_MAX, Vec::len);
        let into = if len(at) + len(at + 1) <= MERGED_SUBSCRIBERS_MAX {
            at
        } else if at > 0 && len(at - 1) + len(at) <= MERGED_SUBSCRIBERS_MAX {
            at - 1
        } else {
            return;
        };
        let upper = self.chunks.remove(into + 1);
        self.chunks[into].extend_from_slice(&upper);
    }

    fn chunk_from(&self, after: Option<u32>) -> &[Subscriber] {
        let Some(id) = after else { return self.chunks.first().map_or(&[], Vec::as_slice) };
        let at = self.chunk_of(id);
        let rest = self.chunks.get(at).map_or(&[][..], |chunk| rest_of(chunk, after));
        if rest.is_empty() { self.chunks.get(at + 1).map_or(&[], Vec::as_slice) } else { rest }
    }
}

fn rest_of(list: &[Subscriber], after: Option<u32>) -> &[Subscriber] {
    after.map_or(list, |after| &list[list.partition_point(|held| held.id <= after)..])
}

fn insert_sorted(list: &mut Vec<Subscriber>, subscriber: Subscriber) -> Option<Subscriber> {
    match list.binary_search_by_key(&subscriber.id, |held| held.id) {
        Ok(at) => Some(core::mem::replace(&mut list[at], subscriber)),
        Err(at) => {
            list.insert(at, subscriber);
            None
        }
    }
}

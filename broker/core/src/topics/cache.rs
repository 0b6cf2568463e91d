//! The wildcard filters that recent topics matched.
//!
//! A direct-mapped cache of fixed size. Every change of the set of wildcard filters makes all entries stale at once by
//! raising a generation; filters without wildcards do not pass through here, so clients that come and go with filters
//! of their own do not disturb it.

use super::index::FilterId;
use alloc::vec::Vec;

/// Entries; half a megabyte, taken when the first wildcard filter is matched.
const ENTRIES: usize = 4096;

/// Longest topic that is remembered, bytes.
const TOPIC_BYTES_MAX: usize = 70;

/// Most filters remembered for a topic. With more, delivering costs so much that finding them does not matter.
const FILTERS_MAX: usize = 12;

#[derive(Debug, Clone)]
struct Entry {
    /// [`Cache::generation`] when this was stored; 0 for an empty entry.
    generation: u64,
    topic_len: u8,
    count: u8,
    topic: [u8; TOPIC_BYTES_MAX],
    filters: [FilterId; FILTERS_MAX],
}

const _: () = assert!(size_of::<Entry>() == 128);

/// Topic -> wildcard filters.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    generation: u64,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), generation: 1 }
    }

    /// Forgets everything.
    pub(super) fn invalidate(&mut self) {
        self.generation += 1;
    }

    /// What was stored for a topic.
    #[inline]
    pub(super) fn get(&self, hash: u32, topic: &str) -> Option<&[FilterId]> {
        let entry = self.entries.get(hash as usize % ENTRIES)?;
        let held = &entry.topic[..usize::from(entry.topic_len)];
        (entry.generation == self.generation && held == topic.as_bytes())
            .then(|| &entry.filters[..usize::from(entry.count)])
    }

    /// Remembers a topic's filters, if both are short enough.
    pub(super) fn put(&mut self, hash: u32, topic: &str, filters: &[FilterId]) {
        let (Ok(topic_len), Ok(count)) = (u8::try_from(topic.len()), u8::try_from(filters.len())) else { return };
        if topic.len() > TOPIC_BYTES_MAX || filters.len() > FILTERS_MAX {
            return;
        }
        if self.entries.is_empty() {
            let empty = Entry {
                generation: 0,
                topic_len: 0,
                count: 0,
                topic: [0; TOPIC_BYTES_MAX],
                filters: [FilterId::default(); FILTERS_MAX],
            };
            self.entries.resize(ENTRIES, empty);
        }
        let entry = &mut self.entries[hash as usize % ENTRIES];
        entry.generation = self.generation;
        entry.topic_len = topic_len;
        entry.count = count;
        entry.topic[..topic.len()].copy_from_slice(topic.as_bytes());
        entry.filters[..filters.len()].copy_from_slice(filters);
    }
}

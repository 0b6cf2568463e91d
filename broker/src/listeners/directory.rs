//! What shards are told of listeners by their numbers: name and port, for events, the log and traces; and where they
//! count how connections ended.
//!
//! It is written when a listener is opened, before a shard knows of its number, and read on the shards' threads without
//! a lock: a number is given out once, so what stands under it never changes.

use super::endings::Endings;
use std::array;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Numbers on a page, and pages: as many as there are numbers.
const PAGE: usize = 256;

/// A listener that was opened at some time.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its type and name, such as `tcp:default`.
    pub(crate) id: String,
    /// Where it listens, or did.
    pub(crate) port: u16,
    /// How connections that came by it have ended.
    pub(crate) endings: Endings,
}

impl Entry {
    /// A listener that no connection has come by.
    pub(crate) fn new(id: String, port: u16) -> Self {
        Self { id, port, endings: Endings::default() }
    }
}

/// A part of the directory, made when it is needed.
type Page = OnceLock<Box<[OnceLock<Entry>; PAGE]>>;

/// All listeners that were ever opened, by number. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Directory(Arc<[Page; PAGE]>);

impl Directory {
    /// Without listeners.
    pub(crate) fn new() -> Self {
        Self(Arc::new(array::from_fn(|_| OnceLock::new())))
    }

    /// Enters a listener. A number that is taken keeps what it has.
    pub(crate) fn put(&self, number: u16, entry: Entry) {
        let (page, place) = Self::place(number);
        let page = self.0[page].get_or_init(|| Box::new(array::from_fn(|_| OnceLock::new())));
        let _ = page[place].set(entry);
    }

    /// The listener with this number.
    pub(crate) fn get(&self, number: u16) -> Option<&Entry> {
        let (page, place) = Self::place(number);
        self.0[page].get()?[place].get()
    }

    /// The type and name of the listener with this number.
    pub(crate) fn id(&self, number: u16) -> Option<&str> {
        self.get(number).map(|entry| entry.id.as_str())
    }

    /// How connections have ended: the type and name of the listener that they came by, the reason, and how many. A
    /// listener that was opened several times has one count.
    pub(crate) fn endings(&self) -> BTreeMap<(&str, String), u64> {
        let mut all = BTreeMap::new();
        for entry in (0..=u16::MAX).map_while(|number| self.get(number)) {
            for (reason, count) in entry.endings.counts() {
                *all.entry((entry.id.as_str(), reason)).or_default() += count;
            }
        }
        all
    }

    fn place(number: u16) -> (usize, usize) {
        (usize::from(number) / PAGE, usize::from(number) % PAGE)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..=u16::MAX).map_while(|number| self.get(number))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_core::observe::EndReason;

    #[test]
    fn a_listener_that_is_opened_again_goes_on_counting_how_connections_end() {
        let directory = Directory::new();
        for (number, name) in [(0, "tcp:a"), (1, "tcp:b"), (2, "tcp:a")] {
            directory.put(number, Entry::new(name.to_owned(), 1));
        }
        let end = |number, word| directory.get(number).expect("opened").endings.count(EndReason::Named(word));
        [(0, "kicked"), (1, "kicked"), (2, "kicked"), (2, "normal")].into_iter().for_each(|(at, word)| end(at, word));
        let all = directory.endings();
        let told: Vec<(&str, &str, u64)> =
            all.iter().map(|((id, reason), count)| (*id, reason.as_str(), *count)).collect();
        assert_eq!(told, [("tcp:a", "kicked", 2), ("tcp:a", "normal", 1), ("tcp:b", "kicked", 1)]);
    }

    #[test]
    fn numbers_keep_what_they_were_given() {
        let directory = Directory::new();
        let entry = |port| Entry::new(format!("tcp:{port}"), port);
        assert!(directory.get(0).is_none());
        for number in [0, 1, 255, 256, u16::MAX] {
            directory.put(number, entry(number));
            directory.put(number, entry(7));
        }
        let seen = directory.clone();
        assert_eq!(
            [0, 1, 255, 256, u16::MAX].map(|number| seen.get(number).map(|entry| entry.port)),
            [Some(0), Some(1), Some(255), Some(256), Some(u16::MAX)]
        );
        assert_eq!((seen.id(256), seen.id(2), seen.id(257)), (Some("tcp:256"), None, None));
        assert_eq!(format!("{directory:?}").matches("Entry").count(), 2, "up to the first that is free");
    }
}

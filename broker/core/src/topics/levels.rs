//! Topic levels that occur in wildcard filters, each stored once and known by a number.

use super::hash::SeededHash;
use super::names::Names;
use super::text::Text;
use crate::slab::Slab;

#[derive(Debug)]
struct Level {
    text: Text,
    /// Edges of the trie that are labelled with this level.
    references: u32,
}

/// Levels by text.
#[derive(Debug, Default)]
pub(super) struct Levels {
    levels: Slab<Level>,
    by_text: Names,
}

impl Levels {
    /// The number of a level that is in use.
    pub(super) fn find(&self, hash: &SeededHash, level: &[u8]) -> Option<u32> {
        self.find_hashed(hash.bytes(level), level)
    }

    fn find_hashed(&self, hash: u32, level: &[u8]) -> Option<u32> {
        self.by_text.find(hash, |id| self.levels.get(id).is_some_and(|held| held.text.as_bytes() == level))
    }

    /// The number of a level, counting one more use of it.
    pub(super) fn acquire(&mut self, hash: &SeededHash, level: &str) -> u32 {
        let hash = hash.bytes(level.as_bytes());
        if let Some(id) = self.find_hashed(hash, level.as_bytes()) {
            let held = self.levels.get_mut(id).expect("level in use");
            held.references += 1;
            return id;
        }
        let id = self.levels.insert(Level { text: Text::new(level), references: 1 });
        self.by_text.insert(hash, id);
        id
    }

    /// Ends one use of a level.
    pub(super) fn release(&mut self, hash: &SeededHash, id: u32) {
        let level = self.levels.get_mut(id).expect("level in use");
        level.references -= 1;
        if level.references == 0 {
            let hash = hash.bytes(level.text.as_bytes());
            assert!(self.by_text.remove(hash, id), "level has a name");
            self.levels.remove(id);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }
}

//! A set of sequence numbers, for those that arrive at several subscribers in part.
//!
//! Absent: any bound of its own; [`JUMP_MAX`](super::JUMP_MAX) keeps a number that cannot be from making it grow.

use serde::{Deserialize, Serialize};

/// One bit a message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// Sets a bit; false if it was set.
    pub(super) fn insert(&mut self, bit: u64) -> bool {
        let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & mask == 0;
        self.words[word] |= mask;
        fresh
    }

    pub(super) fn capacity(&self) -> u64 {
        self.words.len() as u64 * 64
    }

    /// Unites with `other`; returns how many bits both had.
    pub(super) fn unite(&mut self, other: &Self) -> u64 {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        let mut common = 0;
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            common += u64::from((*mine & theirs).count_ones());
            *mine |= theirs;
        }
        common
    }

    /// Clear bits below `end`.
    pub(super) fn missing(&self, end: u64) -> u64 {
        let set: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        end.saturating_sub(set)
    }
}

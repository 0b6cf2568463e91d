//! Topics in the order of their levels: `a` < `a/b` < `a/c` < `a!`.
//!
//! In the order of bytes `a!` would lie between `a` and `a/b`. Here `/` comes before everything else, so that a level's
//! descendants follow it directly and can be skipped in one step.

use super::Topical;
use core::borrow::Borrow;
use core::cmp::Ordering;

/// A stored value, in the order of its topic.
#[derive(Debug)]
pub(super) struct Entry<V>(pub(super) V);

impl<V: Topical> Entry<V> {
    pub(super) fn topic(&self) -> &str {
        core::str::from_utf8(self.0.topic_bytes()).expect("topics are UTF-8")
    }
}

/// What stored topics and plain bytes have in common: lets the set be searched without making an entry.
pub(super) trait Levelled {
    fn bytes(&self) -> &[u8];
}

impl<V: Topical> Levelled for Entry<V> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.topic_bytes()
    }
}

/// A topic to search for.
pub(super) struct Sought<'a>(pub(super) &'a [u8]);

impl Levelled for Sought<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl<'a, V: Topical + 'a> Borrow<dyn Levelled + 'a> for Entry<V> {
    fn borrow(&self) -> &(dyn Levelled + 'a) {
        self
    }
}

impl PartialEq for dyn Levelled + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for dyn Levelled + '_ {}

impl PartialOrd for dyn Levelled + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Levelled + '_ {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        level_order(self.bytes(), other.bytes())
    }
}

impl<V: Topical> PartialEq for Entry<V> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl<V: Topical> Eq for Entry<V> {}

impl<V: Topical> PartialOrd for Entry<V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<V: Topical> Ord for Entry<V> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        level_order(self.bytes(), other.bytes())
    }
}

/// Bytes compared in one step.
const WORD_BYTES: usize = 8;

/// Compares two topics level by level.
pub(super) fn level_order(one: &[u8], other: &[u8]) -> Ordering {
    let mut at = 0;
    for (one, other) in one.chunks_exact(WORD_BYTES).zip(other.chunks_exact(WORD_BYTES)) {
        if one != other {
            break;
        }
        at += WORD_BYTES;
    }
    for (one, other) in one[at..].iter().zip(&other[at..]) {
        if one != other {
            return rank(*one).cmp(&rank(*other));
        }
    }
    one.len().cmp(&other.len())
}

/// Where a byte stands in the order.
#[inline]
fn rank(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}

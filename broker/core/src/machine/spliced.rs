//! A string of bytes of which some are lent: a large payload is sent from where it lies, to however many connections.
//!
//! Absent: who lends and for how long, see [`Outbox::lend`](super::Outbox::lend).

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Bytes that are sent from where they lie. Whoever sends them keeps a reference until they are sent.
pub type Lent = Rc<dyn AsRef<[u8]>>;

/// Lent bytes and where they belong.
struct Splice {
    /// How many of the own bytes come before.
    at: usize,
    lent: Lent,
    range: Range<usize>,
}

impl fmt::Debug for Splice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splice").field("at", &self.at).field("range", &self.range).finish_non_exhaustive()
    }
}

/// A part of a string that lies in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// More of the string comes behind them, so the kernel may wait for that (`MSG_MORE`).
    pub more: bool,
}

/// Own bytes with lent ones between them.
#[derive(Debug, Default)]
pub struct Spliced {
    own: Vec<u8>,
    /// Rare, and so kept out of the way.
    lent: Option<Box<Splices>>,
}

#[derive(Debug, Default)]
struct Splices {
    /// In their order.
    list: Vec<Splice>,
    bytes: usize,
}

impl Spliced {
    /// Bytes in all.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len() + self.lent.as_ref().map_or(0, |lent| lent.bytes)
    }

    /// True without any.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.lent.is_none()
    }

    /// The own bytes, without what is spliced in.
    #[must_use]
    pub fn own(&self) -> &[u8] {
        &self.own
    }

    /// Own bytes that there is room for.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// Where to append own bytes.
    #[inline]
    pub(super) fn own_mut(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// Appends a range of lent bytes.
    pub(super) fn splice(&mut self, lent: Lent, range: Range<usize>) {
        let splices = self.lent.get_or_insert_default();
        splices.bytes += range.len();
        splices.list.push(Splice { at: self.own.len(), lent, range });
    }

    /// The piece that begins after `skip` bytes; empty at the end.
    #[inline]
    #[must_use]
    pub fn stretch(&self, skip: usize) -> Stretch<'_> {
        match &self.lent {
            None => Stretch { bytes: &self.own[skip..], more: false },
            Some(splices) => self.stretch_among(&splices.list, skip),
        }
    }

    #[cold]
    fn stretch_among<'a>(&'a self, splices: &'a [Splice], mut skip: usize) -> Stretch<'a> {
        let mut from = 0;
        for (index, splice) in splices.iter().enumerate() {
            let before = splice.at - from;
            if skip < before {
                return Stretch { bytes: &self.own[from + skip..splice.at], more: true };
            }
            skip -= before;
            from = splice.at;
            if skip < splice.range.len() {
                let bytes = &(*splice.lent).as_ref()[splice.range.clone()][skip..];
                return Stretch { bytes, more: index + 1 < splices.len() || from < self.own.len() };
            }
            skip -= splice.range.len();
        }
        Stretch { bytes: &self.own[from + skip..], more: false }
    }

    /// True where one piece ends and another begins.
    #[cold]
    pub(super) fn is_seam(&self, at: usize) -> bool {
        self.lent.is_some() && at > 0 && self.stretch(at - 1).bytes.len() == 1
    }

    /// All bytes after the first `skip`, copied together.
    #[must_use]
    pub fn to_vec(&self, mut skip: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len() - skip);
        while skip < self.len() {
            let stretch = self.stretch(skip);
            all.extend_from_slice(stretch.bytes);
            skip += stretch.bytes.len();
        }
        all
    }

    /// Forgets all bytes; the own ones' capacity stays.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.own.clear();
        if self.lent.is_some() {
            self.lent = None;
        }
    }
}

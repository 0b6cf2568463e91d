//! Loss, duplicates and order, message by message.
//!
//! A *stream* is what one subscriber receives from one publisher. Sequence numbers of a stream start at 0. In a plain
//! subscription every stream is contiguous, so one number a stream is enough until something goes wrong; what was
//! skipped is then kept as a list of gaps, which tells a late message (reordered) from a repeated one (duplicate). In a
//! shared subscription the group's members see interleaved parts of a publisher's messages: order is still checked in
//! each stream, and loss and duplicates in a bitmap a publisher, which the threads' checks are merged over at the end.
//!
//! Absent: what counts as failure; that is the report's decision.

mod bitmap;
mod tally;
#[cfg(test)]
mod tests;
mod verification;

pub use tally::{Tally, Unmade};
pub use verification::{Digest, Verification};

use bitmap::Bitmap;
use std::collections::HashMap;
use std::ops::Range;

/// Most gaps remembered a stream. The oldest is given up for lost beyond that; should its messages arrive after all
/// they count as duplicates.
const GAPS_MAX: usize = 4096;

/// A sequence number this far beyond the highest seen is not believed (the bitmap would have to grow to hold it).
const JUMP_MAX: u64 = 1 << 28;

/// What a received message turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before. `skipped` messages between it and its predecessor are missing so far.
    New {
        /// Messages missing before it; always 0 in a shared subscription.
        skipped: u64,
    },
    /// Not seen before, but later messages of the same stream were: the order is broken.
    Late,
    /// Seen before.
    Duplicate,
    /// A sequence number that cannot be.
    Absurd,
}

/// Sequence numbers skipped in a stream: `from..to`.
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: u64,
    to: u64,
    /// Whether they did not have to come.
    excused: bool,
}

/// The checks of one thread's streams.
#[derive(Debug, Clone)]
pub struct Checks {
    /// By stream: one more than the highest sequence number received.
    next: Vec<u64>,
    /// By stream, for those that ever skipped something; ascending.
    gaps: HashMap<usize, Vec<Gap>>,
    /// By stream: messages below this number did not have to come, unless a gap says otherwise.
    excused: HashMap<usize, u64>,
    /// Streams whose losses are counted apart, ascending.
    tolerated: Vec<Range<usize>>,
    /// By publisher, in shared subscriptions.
    seen: Option<Vec<Bitmap>>,
    tally: Tally,
}

impl Checks {
    /// Checks for `streams` streams of plain subscriptions.
    #[must_use]
    pub fn plain(streams: usize) -> Self {
        Self {
            next: vec![0; streams],
            gaps: HashMap::new(),
            excused: HashMap::new(),
            tolerated: Vec::new(),
            seen: None,
            tally: Tally::default(),
        }
    }

    /// Checks for `streams` streams of the members of a shared subscription to `publishers` publishers.
    #[must_use]
    pub fn shared(streams: usize, publishers: usize) -> Self {
        Self { seen: Some(vec![Bitmap::default(); publishers]), ..Self::plain(streams) }
    }

    /// Counts message `sequence` of `publisher` (global number), received in `stream`.
    ///
    /// # Panics
    /// If the stream or the publisher does not exist; callers look them up.
    pub fn record(&mut self, stream: usize, publisher: u32, sequence: u64) -> Verdict {
        let verdict = match &mut self.seen {
            None => self.record_plain(stream, sequence),
            Some(seen) => {
                let seen = &mut seen[publisher as usize];
                let next = &mut self.next[stream];
                if sequence >= seen.capacity() + JUMP_MAX {
                    Verdict::Absurd
                } else if !seen.insert(sequence) {
                    Verdict::Duplicate
                } else if sequence < *next {
                    Verdict::Late
                } else {
                    *next = sequence + 1;
                    Verdict::New { skipped: 0 }
                }
            }
        };
        match verdict {
            Verdict::New { .. } => self.tally.delivered += 1,
            Verdict::Late => {
                self.tally.delivered += 1;
                self.tally.reordered += 1;
            }
            Verdict::Duplicate => self.tally.duplicates += 1,
            Verdict::Absurd => self.tally.damaged += 1,
        }
        verdict
    }

    fn record_plain(&mut self, stream: usize, sequence: u64) -> Verdict {
        let next = &mut self.next[stream];
        if sequence == *next {
            *next += 1;
            return Verdict::New { skipped: 0 };
        }
        if sequence > *next {
            if sequence - *next > JUMP_MAX {
                return Verdict::Absurd;
            }
            let skipped = sequence - *next;
            let (from, to) = (*next, sequence);
            *next = sequence + 1;
            let until = self.excused.get(&stream).map_or(from, |until| (*until).clamp(from, to));
            self.skip(stream, Gap { from, to: until, excused: true });
            self.skip(stream, Gap { from: until, to, excused: false });
            return Verdict::New { skipped };
        }
        if self.gaps.get_mut(&stream).is_some_and(|gaps| fill(gaps, sequence)) {
            Verdict::Late
        } else {
            Verdict::Duplicate
        }
    }

    /// Remembers what is missing.
    fn skip(&mut self, stream: usize, gap: Gap) {
        if gap.from == gap.to {
            return;
        }
        let gaps = self.gaps.entry(stream).or_default();
        let given_up = if gaps.len() == GAPS_MAX { Some(gaps.remove(0)) } else { None };
        gaps.push(gap);
        if let Some(gap) = given_up {
            let count = gap.to - gap.from;
            *self.missing(stream, gap.excused) += count;
        }
    }

    /// What messages that never came in a stream count as.
    fn missing(&mut self, stream: usize, excused: bool) -> &mut u64 {
        let tolerated = self.tolerates(stream);
        self.tally.missing(excused, tolerated)
    }

    /// Whether a stream's losses are counted apart.
    fn tolerates(&self, stream: usize) -> bool {
        let at = self.tolerated.partition_point(|streams| streams.end <= stream);
        self.tolerated.get(at).is_some_and(|streams| streams.contains(&stream))
    }

    /// Messages of a stream below `until` that have not come do not have to. What had been found missing before stays
    /// so.
    pub fn excuse(&mut self, stream: usize, until: u64) {
        if until > self.next[stream] {
            self.excused.insert(stream, until);
        }
    }

    /// Counts a retained message that a SUBSCRIBE has brought, for the first time or again.
    pub fn record_retained(&mut self, fresh: bool) {
        *(if fresh { &mut self.tally.delivered } else { &mut self.tally.duplicates }) += 1;
    }

    /// Counts retained messages that a SUBSCRIBE should have brought and has not.
    pub fn lose(&mut self, count: u64) {
        self.tally.lost += count;
    }

    /// Counts the losses of these streams apart; they come after all that have been named before.
    pub fn tolerate(&mut self, streams: Range<usize>) {
        self.tolerated.push(streams);
    }

    /// Makes a stream of another program's messages, of which this number is the first.
    pub fn open(&mut self, first: u64) -> usize {
        self.next.push(first);
        self.next.len() - 1
    }

    /// Counts a message of another program in a run that sends nothing.
    pub fn record_foreign(&mut self, is_numbered: bool) {
        self.tally.foreign += 1;
        self.tally.unnumbered += u64::from(!is_numbered);
    }

    /// Counts a message whose payload is not what this run sends.
    pub fn reject(&mut self, why: crate::payload::Rejected) {
        match why {
            crate::payload::Rejected::Foreign => self.tally.foreign += 1,
            crate::payload::Rejected::Damaged => self.tally.damaged += 1,
        }
    }

    /// Counts so far; `lost` is complete only after [`Verification::finish`].
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// One more than the highest sequence number received in a stream.
    #[must_use]
    pub fn next(&self, stream: usize) -> u64 {
        self.next[stream]
    }
}

/// Takes `sequence` out of the gaps; false if it is in none.
fn fill(gaps: &mut Vec<Gap>, sequence: u64) -> bool {
    let at = gaps.partition_point(|gap| gap.to <= sequence);
    let Some(gap) = gaps.get(at).copied().filter(|gap| gap.from <= sequence) else { return false };
    let (before, after) = (Gap { to: sequence, ..gap }, Gap { from: sequence + 1, ..gap });
    match (before.from < before.to, after.from < after.to) {
        (false, false) => {
            gaps.remove(at);
        }
        (true, false) => gaps[at] = before,
        (false, true) => gaps[at] = after,
        (true, true) => {
            gaps[at] = before;
            gaps.insert(at + 1, after);
        }
    }
    true
}

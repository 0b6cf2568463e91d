//! Loss, duplicates and order, message by message.
//!
//! A *stream* is what one subscriber receives from one publisher. Sequence numbers of a stream start at 0. In a plain
//! subscription every stream is contiguous, so one number a stream is enough until something goes wrong; what was
//! skipped is then kept as a list of gaps, which tells a late message (reordered) from a repeated one (duplicate). In a
//! shared subscription the group's members see interleaved parts of a publisher's messages: order is still checked in
//! each stream, and loss and duplicates in a bitmap a publisher, which the threads' checks are merged over at the end.
//!
//! Absent: what counts as failure; that is the report's decision.

use serde::{Deserialize, Serialize};
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

/// Counts of [`Verdict`]s, and at the end of a run of what never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Messages received for the first time.
    pub delivered: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages that did not come and did not have to: sent while the subscriber was away by the scenario's doing.
    #[serde(default)]
    pub missed: u64,
    /// Messages that never came to subscribers that read slowly and may lose messages.
    #[serde(default)]
    pub dropped: u64,
    /// Messages received again.
    pub duplicates: u64,
    /// Messages received after a later one of the same publisher.
    pub reordered: u64,
    /// Messages with a damaged payload or an impossible sequence number.
    pub damaged: u64,
    /// Messages of other runs or programs; ignored otherwise.
    pub foreign: u64,
}

impl Tally {
    /// Adds another thread's counts.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.missed += other.missed;
        self.dropped += other.dropped;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.foreign += other.foreign;
    }
}

/// One bit a message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// Sets a bit; false if it was set.
    fn insert(&mut self, bit: u64) -> bool {
        let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & mask == 0;
        self.words[word] |= mask;
        fresh
    }

    fn capacity(&self) -> u64 {
        self.words.len() as u64 * 64
    }

    /// Unites with `other`; returns how many bits both had.
    fn unite(&mut self, other: &Self) -> u64 {
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
    fn missing(&self, end: u64) -> u64 {
        let set: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        end.saturating_sub(set)
    }
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
    /// Streams whose losses are counted apart.
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
        if excused {
            &mut self.tally.missed
        } else if self.tolerated.iter().any(|streams| streams.contains(&stream)) {
            &mut self.tally.dropped
        } else {
            &mut self.tally.lost
        }
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

    /// Counts the losses of these streams apart.
    pub fn tolerate(&mut self, streams: Range<usize>) {
        self.tolerated.push(streams);
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

    /// What another process needs for the verification. `streams` gives the publisher of each stream. Nothing may have
    /// been excused or tolerated.
    #[must_use]
    pub fn digest(&self, streams: impl Iterator<Item = (usize, u32)>) -> Digest {
        if self.seen.is_some() {
            return Digest { tally: self.tally, seen: self.seen.clone(), ..Digest::default() };
        }
        let mut ends: HashMap<(u32, u64), u64> = HashMap::new();
        for (stream, publisher) in streams {
            *ends.entry((publisher, self.next[stream])).or_default() += 1;
        }
        let ends = ends.into_iter().map(|((publisher, next), streams)| (publisher, next, streams)).collect();
        Digest { tally: self.tally, skipped: self.skipped(), ends, seen: None }
    }

    /// Messages skipped in plain streams, and not made up for.
    fn skipped(&self) -> u64 {
        self.gaps.values().flatten().map(|gap| gap.to - gap.from).sum()
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

/// One thread's checks, as short as they can be for another process to verify the whole run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Digest {
    tally: Tally,
    /// Messages skipped in plain streams, and not made up for.
    skipped: u64,
    /// Publisher, one more than the highest sequence number received, and how many plain streams ended so. In a run
    /// without loss all streams of a publisher end alike.
    ends: Vec<(u32, u64, u64)>,
    /// By publisher, in shared subscriptions.
    seen: Option<Vec<Bitmap>>,
}

/// Puts the threads' checks together and finds what never came.
#[derive(Debug, Default)]
pub struct Verification {
    tally: Tally,
    seen: Vec<Bitmap>,
    shared: bool,
}

impl Verification {
    /// Adds one thread's checks. `streams` gives the publisher of each stream; `sent` the number of messages each
    /// publisher sent, over all threads.
    pub fn add(&mut self, mut checks: Checks, streams: impl Iterator<Item = (usize, u32)>, sent: &[u64]) {
        if let Some(seen) = &checks.seen {
            self.tally.add(&checks.tally);
            return self.unite(seen);
        }
        for (stream, publisher) in streams {
            let (next, sent) = (checks.next[stream], sent[publisher as usize]);
            let until = checks.excused.get(&stream).map_or(next, |until| (*until).clamp(next, sent.max(next)));
            *checks.missing(stream, true) += until - next;
            *checks.missing(stream, false) += sent.saturating_sub(until);
        }
        for (stream, gap) in
            std::mem::take(&mut checks.gaps).into_iter().flat_map(|(s, gaps)| gaps.into_iter().map(move |gap| (s, gap)))
        {
            *checks.missing(stream, gap.excused) += gap.to - gap.from;
        }
        self.tally.add(&checks.tally);
    }

    /// Adds the checks of another process's thread.
    ///
    /// # Errors
    /// A text, if they are of publishers that do not exist.
    pub fn add_digest(&mut self, digest: &Digest, sent: &[u64]) -> Result<(), String> {
        self.tally.add(&digest.tally);
        if let Some(seen) = &digest.seen {
            self.unite(seen);
        }
        self.tally.lost += digest.skipped;
        for (publisher, next, streams) in &digest.ends {
            let sent = sent.get(*publisher as usize).ok_or_else(|| format!("there is no publisher {publisher}"))?;
            self.tally.lost += sent.saturating_sub(*next) * streams;
        }
        Ok(())
    }

    /// Adds what members of a shared subscription received.
    fn unite(&mut self, seen: &[Bitmap]) {
        self.shared = true;
        self.seen.resize(self.seen.len().max(seen.len()), Bitmap::default());
        for (all, one) in self.seen.iter_mut().zip(seen) {
            let again = all.unite(one);
            // Two members on different threads got the same message; each thought it was the first.
            self.tally.duplicates += again;
            self.tally.delivered -= again;
        }
    }

    /// The final counts.
    #[must_use]
    pub fn finish(mut self, sent: &[u64]) -> Tally {
        if self.shared {
            self.tally.lost += self.seen.iter().zip(sent).map(|(seen, sent)| seen.missing(*sent)).sum::<u64>();
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn verify(checks: &Checks, sent: u64) -> Tally {
        let (mut all, mut afar) = (Verification::default(), Verification::default());
        all.add(checks.clone(), std::iter::once((0, 0)), &[sent]);
        let digest = serde_json::to_string(&checks.digest(std::iter::once((0, 0)))).unwrap();
        afar.add_digest(&serde_json::from_str(&digest).unwrap(), &[sent]).unwrap();
        let found = all.finish(&[sent]);
        // What is excused stays within one process: disturbances are not spread.
        if checks.excused.is_empty() {
            assert_eq!(afar.finish(&[sent]), found, "another process finds the same");
        }
        found
    }

    #[test]
    fn a_perfect_stream_is_clean() {
        let mut checks = Checks::plain(1);
        for sequence in 0..1000 {
            assert_eq!(checks.record(0, 0, sequence), Verdict::New { skipped: 0 });
        }
        assert_eq!(verify(&checks, 1000), Tally { delivered: 1000, ..Tally::default() });
    }

    #[test]
    fn a_lost_message_is_caught_in_the_middle_and_at_the_end() {
        let mut checks = Checks::plain(1);
        checks.record(0, 0, 0);
        assert_eq!(checks.record(0, 0, 3), Verdict::New { skipped: 2 });
        assert_eq!(verify(&checks, 6), Tally { delivered: 2, lost: 4, ..Tally::default() });
    }

    #[test]
    fn a_duplicate_is_caught_next_to_its_original_and_long_after() {
        let mut checks = Checks::plain(1);
        for sequence in [0, 0, 1, 2, 0] {
            checks.record(0, 0, sequence);
        }
        assert_eq!(verify(&checks, 3), Tally { delivered: 3, duplicates: 2, ..Tally::default() });
    }

    #[test]
    fn a_swap_is_reordering_and_neither_loss_nor_duplicate() {
        let mut checks = Checks::plain(1);
        let verdicts: Vec<_> = [1, 0, 2].map(|sequence| checks.record(0, 0, sequence)).into();
        assert_eq!(verdicts, [Verdict::New { skipped: 1 }, Verdict::Late, Verdict::New { skipped: 0 }]);
        assert_eq!(verify(&checks, 3), Tally { delivered: 3, reordered: 1, ..Tally::default() });
    }

    #[test]
    fn an_impossible_number_is_not_believed() {
        let mut plain = Checks::plain(1);
        let mut shared = Checks::shared(1, 1);
        assert_eq!(plain.record(0, 0, u64::MAX), Verdict::Absurd);
        assert_eq!(shared.record(0, 0, u64::MAX - 1), Verdict::Absurd);
        assert_eq!(plain.tally().damaged + shared.tally().damaged, 2);
    }

    #[test]
    fn gaps_beyond_the_bound_are_given_up_for_lost() {
        let mut checks = Checks::plain(1);
        for k in 0..GAPS_MAX as u64 + 10 {
            checks.record(0, 0, 2 * k + 1);
        }
        let sent = 2 * (GAPS_MAX as u64 + 10);
        assert_eq!(verify(&checks, sent).lost, sent / 2);
    }

    #[test]
    fn members_of_a_group_on_two_threads_share_one_account() {
        let (mut one, mut two) = (Checks::shared(2, 1), Checks::shared(1, 1));
        one.record(0, 0, 0);
        one.record(1, 0, 1);
        two.record(0, 0, 3);
        assert_eq!(two.record(0, 0, 2), Verdict::Late);
        two.record(0, 0, 1);
        let (mut all, mut afar) = (Verification::default(), Verification::default());
        for part in [one, two] {
            afar.add_digest(&part.digest(std::iter::empty()), &[6]).unwrap();
            all.add(part, std::iter::empty(), &[6]);
        }
        let expected = Tally { delivered: 4, lost: 2, duplicates: 1, reordered: 2, ..Tally::default() };
        assert_eq!((all.finish(&[6]), afar.finish(&[6])), (expected, expected));
    }

    #[test]
    fn streams_that_end_alike_are_one_line_of_a_digest() {
        let mut checks = Checks::plain(4);
        for (stream, count) in [(0, 5), (1, 5), (2, 3), (3, 5)] {
            for sequence in 0..count {
                checks.record(stream, 0, sequence);
            }
        }
        let digest = checks.digest((0..4).map(|stream| (stream, u32::from(stream == 3))));
        assert_eq!(digest.ends.len(), 3);
        let mut all = Verification::default();
        all.add_digest(&digest, &[6, 6]).unwrap();
        assert_eq!(all.finish(&[6, 6]).lost, 1 + 1 + 3 + 1);
        assert!(Verification::default().add_digest(&digest, &[6]).is_err(), "publisher 1 is not there");
    }

    #[test]
    fn what_did_not_have_to_come_is_counted_apart_and_exactly() {
        let mut checks = Checks::plain(3);
        for stream in 0..3 {
            checks.record(stream, 0, 0);
            // Message 1 is lost before anything is excused.
            checks.record(stream, 0, 2);
        }
        checks.excuse(0, 5);
        assert_eq!(checks.record(0, 0, 4), Verdict::New { skipped: 1 }, "came although it did not have to");
        checks.record(0, 0, 7);
        checks.excuse(1, 5);
        checks.tolerate(2..3);
        // Stream 0 misses 3 and loses 1, 5 and 6; stream 1 misses 3 and 4, and loses the rest; stream 2 may lose all.
        let mut all = Verification::default();
        all.add(checks, (0..3).map(|stream| (stream, 0)), &[8]);
        let expected = Tally { delivered: 8, lost: 3 + 4, missed: 1 + 2, dropped: 1 + 5, ..Tally::default() };
        assert_eq!(all.finish(&[8]), expected);
    }

    #[test]
    fn an_excused_message_that_comes_late_is_out_of_order() {
        let mut checks = Checks::plain(1);
        checks.excuse(0, 3);
        checks.record(0, 0, 4);
        assert_eq!(checks.record(0, 0, 1), Verdict::Late);
        let expected = Tally { delivered: 2, lost: 1, missed: 2, reordered: 1, ..Tally::default() };
        assert_eq!(verify(&checks, 5), expected);
    }

    /// Sets of everything received, against the gap list and the bitmap.
    #[test]
    fn random_streams_agree_with_a_naive_model() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        for _ in 0..2000 {
            let sent = 1 + random(60);
            let (mut plain, mut shared) = (Checks::plain(1), Checks::shared(1, 1));
            let (mut seen, mut highest) = (HashSet::new(), None);
            let mut expected = Tally::default();
            for _ in 0..random(90) {
                let sequence = random(sent);
                plain.record(0, 0, sequence);
                shared.record(0, 0, sequence);
                if !seen.insert(sequence) {
                    expected.duplicates += 1;
                    continue;
                }
                expected.delivered += 1;
                expected.reordered += u64::from(highest.is_some_and(|highest| sequence < highest));
                highest = highest.max(Some(sequence));
            }
            expected.lost = sent - seen.len() as u64;
            assert_eq!(verify(&plain, sent), expected);
            assert_eq!(verify(&shared, sent), expected);
        }
    }
}

//! What was found in all threads and processes, put together: only then it is known what never came.
//!
//! Absent: checks of single messages.

use super::bitmap::Bitmap;
use super::{Checks, Tally};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

impl Checks {
    /// What another process needs for the verification. `streams` gives the publisher of each stream.
    #[must_use]
    pub fn digest(&self, streams: impl Iterator<Item = (usize, u32)>) -> Digest {
        if self.seen.is_some() {
            return Digest { tally: self.tally, seen: self.seen.clone(), ..Digest::default() };
        }
        let mut ends: HashMap<End, u64> = HashMap::new();
        for (stream, publisher) in streams {
            let next = self.next[stream];
            let excused_until = self.excused.get(&stream).map_or(0, |until| *until).max(next);
            *ends.entry(End { publisher, next, excused_until, tolerated: self.tolerates(stream) }).or_default() += 1;
        }
        let mut tally = self.tally;
        for (stream, gap) in self.gaps.iter().flat_map(|(stream, gaps)| gaps.iter().map(move |gap| (*stream, gap))) {
            *tally.missing(gap.excused, self.tolerates(stream)) += gap.to - gap.from;
        }
        Digest { tally, ends: ends.into_iter().collect(), seen: None }
    }
}

/// How a plain stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct End {
    publisher: u32,
    /// One more than the highest sequence number received.
    next: u64,
    /// Messages from `next` to below this did not have to come.
    excused_until: u64,
    /// The stream's losses are counted apart.
    tolerated: bool,
}

/// One thread's checks, as short as they can be for another process to verify the whole run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Digest {
    /// With what is missing between received messages.
    tally: Tally,
    /// How plain streams ended, and how many did so. In a run without loss all streams of a publisher end alike.
    pub(super) ends: Vec<(End, u64)>,
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
        for (end, streams) in &digest.ends {
            let unknown = || format!("there is no publisher {}", end.publisher);
            let sent = *sent.get(end.publisher as usize).ok_or_else(unknown)?;
            let excused_until = end.excused_until.min(sent).max(end.next);
            *self.tally.missing(true, end.tolerated) += (excused_until - end.next) * streams;
            *self.tally.missing(false, end.tolerated) += sent.saturating_sub(excused_until) * streams;
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

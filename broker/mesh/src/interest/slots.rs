//! One generation of the shared table: open addressing from fingerprints to shard masks, on atomics only.
//!
//! A slot, once taken by a fingerprint, keeps it as long as this generation lives; only its mask changes. So a probe
//! never meets a slot that became empty again, and a reader needs no lock and no retry. What was withdrawn by everybody
//! is left behind when the next generation is built.
//!
//! Absent: who may write what (each shard only its own bit, from its own thread), and when generations follow each
//! other: see [`growth`](super::growth).

use super::key::LEVELS_MAX;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crossbeam_utils::CachePadded;

/// Fewest slots of a table.
pub(super) const SLOTS_MIN: usize = 8;

/// Most slots of a table: 4 GiB of them.
pub(super) const SLOTS_MAX: usize = 1 << 28;

/// Share of taken slots, in percent, above which the next generation is due.
pub(super) const CROWDED_PERCENT: usize = 60;

/// Share of taken slots, in percent, above which no slot is given away: probes would become long.
const FULL_PERCENT: usize = 80;

/// Share of taken slots, in percent, that a new generation starts with.
pub(super) const FRESH_PERCENT: usize = 40;

/// Most slots looked at for one fingerprint. Far beyond what chance makes of a table that is not full.
const PROBES_MAX: usize = 1024;

/// Depths from this on share one bit of [`Slots::depths`].
pub(super) const DEPTH_BITS: usize = 63;

#[repr(align(16))]
struct Slot {
    /// 0 until the slot is taken, then constant.
    fingerprint: AtomicU64,
    /// One bit a shard that has at least one subscriber under this key.
    mask: AtomicU64,
}

/// What every lookup reads beside the slots; written rarely.
struct Summary {
    /// Shards that could not be given a slot and therefore get everything.
    everything: AtomicU64,
    /// Bit `d` is set if a prefix of `d` levels was ever announced, the last bit for [`DEPTH_BITS`] and more.
    depths: AtomicU64,
}

/// What announcing writes.
struct Usage {
    /// Slots taken.
    taken: AtomicUsize,
    /// Slots whose mask is not 0.
    live: AtomicUsize,
}

/// One generation of the shared table.
pub(super) struct Slots {
    slots: Box<[Slot]>,
    summary: CachePadded<Summary>,
    usage: CachePadded<Usage>,
}

impl Slots {
    pub(super) fn new(slots: usize) -> Self {
        let slot = || Slot { fingerprint: AtomicU64::new(0), mask: AtomicU64::new(0) };
        Self {
            slots: (0..slots.clamp(SLOTS_MIN, SLOTS_MAX)).map(|_| slot()).collect(),
            summary: CachePadded::new(Summary { everything: AtomicU64::new(0), depths: AtomicU64::new(0) }),
            usage: CachePadded::new(Usage { taken: AtomicUsize::new(0), live: AtomicUsize::new(0) }),
        }
    }

    /// Slots needed to hold `keys` at a load of `percent`.
    pub(super) fn slots_for(keys: usize, percent: usize) -> usize {
        keys.saturating_mul(100).div_ceil(percent)
    }

    /// Keys that some shard has announced and not withdrawn.
    pub(super) fn live(&self) -> usize {
        self.usage.live.load(Ordering::Relaxed)
    }

    pub(super) fn is_crowded(&self) -> bool {
        let taken = self.usage.taken.load(Ordering::Relaxed);
        taken > self.slots.len() * CROWDED_PERCENT / 100 || self.everything() != 0
    }

    /// Shards to which every topic must go.
    #[inline]
    pub(super) fn everything(&self) -> u64 {
        self.summary.everything.load(Ordering::Acquire)
    }

    /// See [`Summary::depths`].
    #[inline]
    pub(super) fn depths(&self) -> u64 {
        self.summary.depths.load(Ordering::Acquire)
    }

    /// Makes lookups probe prefixes of the given depths.
    pub(super) fn add_depths(&self, depths: u64) {
        // The test keeps the line, which all shards read, in their caches.
        if self.depths() & depths != depths {
            self.summary.depths.fetch_or(depths, Ordering::AcqRel);
        }
    }

    /// The shards that announced this fingerprint.
    #[inline]
    pub(super) fn get(&self, fingerprint: u64) -> u64 {
        self.find(fingerprint).map_or(0, |slot| slot.mask.load(Ordering::Acquire))
    }

    /// Sets a shard's bit under a fingerprint, or under everything if there is no slot for it.
    pub(super) fn set(&self, fingerprint: u64, bit: u64) {
        let Some(slot) = self.find_or_take(fingerprint) else {
            self.summary.everything.fetch_or(bit, Ordering::AcqRel);
            return;
        };
        if slot.mask.fetch_or(bit, Ordering::AcqRel) == 0 {
            self.usage.live.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Clears a shard's bit under a fingerprint; nothing to do if it had found no slot.
    pub(super) fn clear(&self, fingerprint: u64, bit: u64) {
        let Some(slot) = self.find(fingerprint) else { return };
        let before = slot.mask.fetch_and(!bit, Ordering::AcqRel);
        // Never below zero: the bit that made the mask non-zero was counted by its shard before that shard cleared it.
        if before == bit {
            self.usage.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A shard that has cleared all its bits no longer wants everything.
    pub(super) fn forget(&self, bit: u64) {
        self.summary.everything.fetch_and(!bit, Ordering::AcqRel);
    }

    #[inline]
    fn find(&self, fingerprint: u64) -> Option<&Slot> {
        for slot in self.probes(fingerprint) {
            let found = slot.fingerprint.load(Ordering::Acquire);
            if found == fingerprint {
                return Some(slot);
            }
            if found == 0 {
                return None;
            }
        }
        None
    }

    fn find_or_take(&self, fingerprint: u64) -> Option<&Slot> {
        for slot in self.probes(fingerprint) {
            let mut found = slot.fingerprint.load(Ordering::Acquire);
            if found == 0 {
                // A few more than the limit may be taken when several shards take the last ones at once.
                if self.usage.taken.load(Ordering::Relaxed) >= self.slots.len() * FULL_PERCENT / 100 {
                    return None;
                }
                let taken = slot.fingerprint.compare_exchange(0, fingerprint, Ordering::AcqRel, Ordering::Acquire);
                found = match taken {
                    Ok(_) => {
                        self.usage.taken.fetch_add(1, Ordering::Relaxed);
                        fingerprint
                    }
                    Err(other) => other,
                };
            }
            if found == fingerprint {
                return Some(slot);
            }
        }
        None
    }

    /// The slots where a fingerprint may be, in order.
    #[inline]
    fn probes(&self, fingerprint: u64) -> impl Iterator<Item = &Slot> {
        let (before, from) = self.slots.split_at(home(fingerprint, self.slots.len()));
        from.iter().chain(before).take(PROBES_MAX)
    }
}

/// Where a fingerprint's probes begin: monotone in the fingerprint, so that keys visited in the order of one table land
/// in the order of another.
#[inline]
pub(super) fn home(fingerprint: u64, slots: usize) -> usize {
    ((u128::from(fingerprint) * slots as u128) >> 64) as usize
}

/// The bit of [`Slots::depths`] for a prefix of `depth` levels.
#[inline]
pub(super) fn depth_bit(depth: usize) -> usize {
    debug_assert!(depth <= LEVELS_MAX);
    depth.min(DEPTH_BITS)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The size of the next generation rests on this count.
    #[test]
    fn live_keys_are_those_with_a_shard() {
        let slots = Slots::new(64);
        for (set, fingerprint, bit, live) in
            [(true, 5, 1, 1), (true, 5, 2, 1), (true, 9, 1, 2), (false, 5, 1, 2), (false, 5, 1, 2), (false, 5, 2, 1)]
        {
            if set {
                slots.set(fingerprint, bit);
            } else {
                slots.clear(fingerprint, bit);
            }
            assert_eq!(slots.live(), live);
        }
        assert_eq!((slots.get(5), slots.get(9)), (0, 1));
    }
}

//! The wheel.
//!
//! Eleven levels of 64 slots; a slot of level `n` is 64^n milliseconds wide, so that every 64-bit time has a place. A
//! timer sits on the level of the highest base-64 digit in which its time differs from the wheel's, and comes down a
//! level whenever the wheel's time enters its slot: at most ten times, and usually once or twice.

use crate::slab::Pages;
use alloc::vec::Vec;

/// Binary digits of one level.
const LEVEL_BITS: u32 = 6;

/// Slots of one level.
const LEVEL_SLOTS: u32 = 1 << LEVEL_BITS;

/// Levels: enough digits for 64 bits.
const LEVELS: u32 = 64_u32.div_ceil(LEVEL_BITS);

/// End of a list.
const NONE: u32 = u32::MAX;

/// Set in [`Timer::previous`] of the first timer of a slot; the other bits are then the slot's number.
const HEAD: u32 = 1 << 31;

/// [`Timer::previous`] of a timer that is not scheduled.
const FREE: u32 = u32::MAX;

/// Most timers: their numbers must not meet [`HEAD`].
const TIMERS_MAX: u32 = HEAD - 1;

/// A scheduled timer. Goes stale when the timer fires or is cancelled, and is recognised as stale from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Timer {
    /// When it is due, milliseconds.
    at: u64,
    key: u32,
    generation: u32,
    /// The next timer of the same slot, or of the free list; or [`NONE`].
    next: u32,
    /// The timer before this one in its slot, or [`HEAD`] and the slot's number, or [`FREE`].
    previous: u32,
}

/// Timers by time. Each costs 24 bytes.
#[derive(Debug)]
pub struct Wheel {
    /// The wheel's own time: no timer is due before it. Behind the caller's time only while timers are left over.
    reached: u64,
    timers: Pages<Timer>,
    free: u32,
    len: u32,
    /// First timer of every slot, by level and digit.
    heads: [u32; (LEVELS * LEVEL_SLOTS) as usize],
    /// A bit for every slot that is not empty, by level.
    occupied: [u64; LEVELS as usize],
    /// A slot that time has entered and that is not yet emptied into lower levels; [`NONE`] if there is none.
    coming_down: u32,
}

impl Wheel {
    /// An empty wheel at a point in time.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            reached: now_ms,
            timers: Pages::default(),
            free: NONE,
            len: 0,
            heads: [NONE; (LEVELS * LEVEL_SLOTS) as usize],
            occupied: [0; LEVELS as usize],
            coming_down: NONE,
        }
    }

    /// Timers scheduled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// True if no timer is scheduled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has `key` handed to a later [`Wheel::advance`] that reaches `at_ms`; the next one if that time has passed.
    ///
    /// # Panics
    /// With 2^31 - 1 timers.
    pub fn schedule(&mut self, key: u32, at_ms: u64) -> TimerId {
        let index = self.vacant();
        let timer = &mut self.timers[index];
        timer.key = key;
        timer.at = at_ms.max(self.reached);
        let generation = timer.generation;
        self.len += 1;
        self.link(index);
        TimerId { index, generation }
    }

    /// Takes a timer back. False if it has fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        if !self.is_scheduled(id) {
            return false;
        }
        self.unlink(id.index);
        self.release(id.index);
        true
    }

    /// Moves a timer to another time. False, and nothing happens, if it has fired or was cancelled.
    pub fn reschedule(&mut self, id: TimerId, at_ms: u64) -> bool {
        if !self.is_scheduled(id) {
            return false;
        }
        self.unlink(id.index);
        self.timers[id.index].at = at_ms.max(self.reached);
        self.link(id.index);
        true
    }

    /// True while the timer has neither fired nor been cancelled.
    #[must_use]
    pub fn is_scheduled(&self, id: TimerId) -> bool {
        self.timers.get(id.index).is_some_and(|timer| timer.generation == id.generation && timer.previous != FREE)
    }

    /// Appends the keys of timers due at `now_ms` to `fire`, earlier ones first, and forgets these timers. At most
    /// `limit` timers (at least one) are fired or moved within the wheel; true means that more may be due and the call
    /// should be repeated. A time before one seen already is taken for that one.
    pub fn advance(&mut self, now_ms: u64, limit: usize, fire: &mut Vec<u32>) -> bool {
        let mut left = limit.max(1);
        loop {
            let Some((slot, start)) = self.first_slot().filter(|(_, start)| *start <= now_ms) else {
                self.reached = self.reached.max(now_ms);
                return false;
            };
            self.reached = self.reached.max(start);
            if slot >= LEVEL_SLOTS {
                self.coming_down = slot;
            }
            while self.heads[slot as usize] != NONE {
                if left == 0 {
                    return true;
                }
                left -= 1;
                let index = self.heads[slot as usize];
                self.unlink(index);
                if slot < LEVEL_SLOTS {
                    fire.push(self.timers[index].key);
                    self.release(index);
                } else {
                    self.link(index);
                }
            }
        }
    }

    /// When [`Wheel::advance`] should be called next; `None` if there is no timer. Never later than the first timer is
    /// due, and earlier by less than the width of the slot it sits in. A time already reached while the last call left
    /// something over.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.first_slot().map(|(_, start)| start.max(self.reached))
    }

    /// The slot with the earliest timers, and when it begins.
    fn first_slot(&self) -> Option<(u32, u64)> {
        if self.coming_down != NONE {
            return Some((self.coming_down, self.reached));
        }
        // Everything on a level is earlier than everything on the levels above, because it shares more digits with the
        // wheel's time; and within a level nothing lies before that time, so that the lowest bit is the earliest slot.
        let level = (0..LEVELS).find(|level| self.occupied[*level as usize] != 0)?;
        let digit = self.occupied[level as usize].trailing_zeros();
        let shift = level * LEVEL_BITS;
        let above = self.reached.checked_shr(shift + LEVEL_BITS).unwrap_or(0);
        let start = above.checked_shl(shift + LEVEL_BITS).unwrap_or(0) | (u64::from(digit) << shift);
        Some((level * LEVEL_SLOTS + digit, start))
    }

    /// The slot for a time that is not before the wheel's own.
    fn slot_of(&self, at: u64) -> u32 {
        let differing = (at ^ self.reached) | 1;
        let level = (63 - differing.leading_zeros()) / LEVEL_BITS;
        let digit = (at >> (level * LEVEL_BITS)) & u64::from(LEVEL_SLOTS - 1);
        level * LEVEL_SLOTS + u32::try_from(digit).expect("a digit")
    }

    fn link(&mut self, index: u32) {
        let slot = self.slot_of(self.timers[index].at);
        let first = core::mem::replace(&mut self.heads[slot as usize], index);
        if first == NONE {
            self.occupied[(slot / LEVEL_SLOTS) as usize] |= 1 << (slot % LEVEL_SLOTS);
        } else {
            self.timers[first].previous = index;
        }
        let timer = &mut self.timers[index];
        timer.next = first;
        timer.previous = HEAD | slot;
    }

    fn unlink(&mut self, index: u32) {
        let Timer { next, previous, .. } = self.timers[index];
        assert_ne!(previous, FREE, "timer is not in a slot");
        if next != NONE {
            self.timers[next].previous = previous;
        }
        if previous & HEAD == 0 {
            self.timers[previous].next = next;
            return;
        }
        let slot = previous & !HEAD;
        self.heads[slot as usize] = next;
        if next == NONE {
            self.occupied[(slot / LEVEL_SLOTS) as usize] &= !(1 << (slot % LEVEL_SLOTS));
            if slot == self.coming_down {
                self.coming_down = NONE;
            }
        }
    }

    fn vacant(&mut self) -> u32 {
        if self.free == NONE {
            assert!(self.timers.len() < TIMERS_MAX, "too many timers");
            return self.timers.push(Timer { at: 0, key: 0, generation: 0, next: NONE, previous: FREE });
        }
        let index = self.free;
        self.free = self.timers[index].next;
        index
    }

    fn release(&mut self, index: u32) {
        let timer = &mut self.timers[index];
        timer.generation = timer.generation.wrapping_add(1);
        timer.previous = FREE;
        timer.next = self.free;
        self.free = index;
        self.len -= 1;
    }
}

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;

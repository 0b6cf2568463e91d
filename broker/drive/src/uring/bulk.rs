//! Connections through which much comes at a time: their receives take larger buffers, so that a large packet arrives in
//! tens of completions instead of hundreds.
//!
//! Which buffers an armed receive takes is in the connection's flags ([`BULK`]); which it is to take when it is armed
//! next, is here. Absent: any knowledge of packets. What is seen are buffers filled to the brim one after the other.

use super::buffers::Buffers;
use super::conns::{BULK, Conn};
use crate::table::Table;
use io_uring::IoUring;
use std::collections::HashMap;

/// The group of the larger buffers.
pub(super) const BULK_GROUP: u16 = 1;

/// Bytes of a larger buffer: about what a connection sends in one segment over the loopback device.
const BUFFER_BYTES: u32 = 64 * 1024;

/// How many there are. They are made when a connection first wants them.
const BUFFERS: u16 = 32;

/// Buffers filled in a row by one connection from which on it wants larger ones.
const FILLED_MIN: u8 = 8;

/// Receives in a row that would have fitted a usual buffer after which a connection goes back to those.
const SMALL_MAX: u8 = 32;

/// Most connections that take larger buffers at a time: half as many as there are, or they would wait for each other.
const MEMBERS_MAX: usize = BUFFERS as usize / 2;

/// The larger buffers and who takes them.
#[derive(Default)]
pub(super) struct Bulk {
    buffers: Option<Buffers>,
    /// By slot, how many receives in a row were small. A slot stays here when its connection goes: until the place is
    /// wanted, and whoever has the slot next leaves like anybody else.
    members: HashMap<u32, u8>,
    /// Who filled the last buffers, and how many.
    run: (u32, u8),
}

impl Bulk {
    /// Whether the next receive of this slot takes a larger buffer.
    #[inline]
    pub(super) fn has(&self, slot: u32) -> bool {
        !self.members.is_empty() && self.members.contains_key(&slot)
    }

    /// The larger buffers, which somebody has been given.
    pub(super) fn buffers(&mut self) -> &mut Buffers {
        self.buffers.as_mut().expect("a receive has taken one")
    }

    /// Shows the kernel the buffers given back.
    #[inline]
    pub(super) fn publish(&mut self) {
        if let Some(buffers) = &mut self.buffers {
            buffers.publish();
        }
    }

    /// Takes note of a usual buffer that was filled to the brim. True if the connection is to be armed anew, to take
    /// larger ones.
    pub(super) fn note_filled(&mut self, slot: u32, table: &Table<Conn>, ring: &IoUring) -> bool {
        self.run = if self.run.0 == slot { (slot, self.run.1.saturating_add(1)) } else { (slot, 1) };
        self.run.1 == FILLED_MIN && self.admit(slot, table, ring)
    }

    fn admit(&mut self, slot: u32, table: &Table<Conn>, ring: &IoUring) -> bool {
        if self.members.len() >= MEMBERS_MAX {
            self.members.retain(|member, _| table.at(*member).has(BULK));
        }
        if self.members.len() >= MEMBERS_MAX || !self.prepare(ring) {
            return false;
        }
        self.members.insert(slot, 0).is_none()
    }

    /// Makes the buffers if there are none. False if that cannot be done: then everybody takes usual ones.
    fn prepare(&mut self, ring: &IoUring) -> bool {
        if self.buffers.is_none() {
            self.buffers = Buffers::new(BULK_GROUP, BUFFERS, BUFFER_BYTES)
                .and_then(|buffers| buffers.register(ring).map(|()| buffers))
                .ok();
        }
        self.buffers.is_some()
    }

    /// Takes note of what came into a larger buffer. True if the connection is to be armed anew, to take usual ones of
    /// `usual_bytes`.
    pub(super) fn note_received(&mut self, slot: u32, len: usize, usual_bytes: usize) -> bool {
        let Some(small) = self.members.get_mut(&slot) else { return false };
        *small = if len > usual_bytes { 0 } else { *small + 1 };
        *small >= SMALL_MAX && self.members.remove(&slot).is_some()
    }

    /// Ends the registration of the buffers with a ring that is quiet.
    pub(super) fn unregister(&self, ring: &IoUring) {
        if let Some(buffers) = &self.buffers {
            buffers.unregister(ring);
        }
    }

    /// Never frees the memory: for when the kernel does not let go of it.
    pub(super) fn leak(&mut self) {
        if let Some(buffers) = &mut self.buffers {
            buffers.leak();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL_BYTES: usize = 4096;

    #[test]
    fn who_fills_buffers_takes_larger_ones_until_little_comes() {
        let Ok(ring) = IoUring::new(8) else { return };
        let (table, mut bulk) = (Table::new(), Bulk::default());
        for _ in 1..FILLED_MIN {
            assert!(!bulk.note_filled(5, &table, &ring));
        }
        assert!(!bulk.note_filled(6, &table, &ring), "not in a row");
        for _ in 1..FILLED_MIN {
            assert!(!bulk.note_filled(5, &table, &ring));
        }
        assert!(!bulk.has(5));
        assert!(bulk.note_filled(5, &table, &ring));
        assert!(bulk.has(5) && !bulk.has(6));
        assert!(!bulk.note_filled(5, &table, &ring), "once is enough");
        for len in [USUAL_BYTES; SMALL_MAX as usize - 1].into_iter().chain([USUAL_BYTES + 1]) {
            assert!(!bulk.note_received(5, len, USUAL_BYTES));
        }
        for _ in 1..SMALL_MAX {
            assert!(!bulk.note_received(5, 1, USUAL_BYTES));
        }
        assert!(bulk.note_received(5, 1, USUAL_BYTES));
        assert!(!bulk.has(5));
        bulk.unregister(&ring);
    }

    #[test]
    fn places_are_few_and_those_of_connections_that_went_are_had_again() {
        let Ok(ring) = IoUring::new(8) else { return };
        let (mut table, mut bulk) = (Table::<Conn>::new(), Bulk::default());
        let slots: Vec<u32> = (0..=MEMBERS_MAX).map(|_| table.claim()).collect();
        let wants = |bulk: &mut Bulk, table: &Table<Conn>, slot: u32| {
            (0..FILLED_MIN).fold(false, |_, _| bulk.note_filled(slot, table, &ring))
        };
        for slot in &slots[..MEMBERS_MAX] {
            assert!(wants(&mut bulk, &table, *slot));
            table.at_mut(*slot).flags |= BULK;
        }
        assert!(!wants(&mut bulk, &table, slots[MEMBERS_MAX]), "all places are taken");
        table.at_mut(slots[0]).flags = 0;
        bulk.note_filled(slots[0], &table, &ring);
        assert!(wants(&mut bulk, &table, slots[MEMBERS_MAX]));
        bulk.unregister(&ring);
    }
}

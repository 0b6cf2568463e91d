//! Bytes to send, by connection.
//!
//! An idle connection costs four bytes here. The first append of a turn takes a buffer from a pool and puts the
//! connection on the dirty list; the driver walks that list once a turn. While a send is in flight the machine goes on
//! appending to a second buffer, and the two swap on completion, so a connection has at most one send in flight and its
//! bytes keep their order.
//!
//! A payload of [`LENT_BYTES_MIN`] or more is not copied at all if its owner lends it: what is sent is then spliced
//! together from the connection's own bytes and the lent ones.
//!
//! Absent: any limit on what a machine appends. Machines look at [`Outbox::unsent`] and decide what to drop.

use super::ConnId;
use super::spliced::{Lent, Spliced, Stretch};
use alloc::vec::Vec;
use core::fmt;

/// Unsent bytes from which on a connection counts as congested, unless the operator says otherwise (EMQX:
/// `tcp_options.high_watermark`).
pub const HIGH_WATER_BYTES: usize = 1024 * 1024;

/// Unsent bytes at or below which such a connection counts as drained.
pub const LOW_WATER_BYTES: usize = low_water_bytes(HIGH_WATER_BYTES);

/// The low mark that goes with a high one, bytes.
#[must_use]
pub const fn low_water_bytes(high: usize) -> usize {
    high / 4
}

/// Bytes from which on a payload is sent from where it lies, if it is lent. Smaller ones are copied for less than a send
/// of their own costs.
pub const LENT_BYTES_MIN: usize = 32 * 1024;

/// Pooled buffers that grew beyond this are given back to the allocator.
const POOLED_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Most idle buffers kept for reuse.
const POOLED_BUFFERS_MAX: usize = 4096;

/// Most bytes of capacity that all idle buffers together may keep: the buffers of a burst of large messages go back to
/// the allocator, those of a fan-out of small ones stay.
const POOLED_BYTES_MAX: usize = 16 * 1024 * 1024;

const NONE: u32 = u32::MAX;

/// The two buffers of a connection that has something to send.
#[derive(Debug, Default)]
pub struct OutgoingBuffer {
    /// Bytes appended by the machine and not yet given to the kernel.
    pub pending: Spliced,
    /// Bytes given to the kernel; must not be touched while a send is in flight.
    pub in_flight: Spliced,
    /// How much of `in_flight` the kernel has taken.
    pub taken: usize,
    dirty: bool,
    /// How much may be unsent when the machine is to be told.
    watched: Option<usize>,
}

impl OutgoingBuffer {
    fn unsent(&self) -> usize {
        self.pending.len() + self.in_flight.len() - self.taken
    }

    fn capacity(&self) -> usize {
        self.pending.capacity() + self.in_flight.capacity()
    }

    /// What the kernel has not taken, copied together.
    #[must_use]
    pub fn rest(&self) -> Vec<u8> {
        let mut rest = self.in_flight.to_vec(self.taken);
        rest.extend(self.pending.to_vec(0));
        rest
    }

    fn recycle(&mut self) {
        for buffer in [&mut self.pending, &mut self.in_flight] {
            buffer.clear();
            if buffer.capacity() > POOLED_BUFFER_BYTES_MAX {
                *buffer = Spliced::default();
            }
        }
        self.taken = 0;
        self.dirty = false;
        self.watched = None;
    }
}

/// Bytes to send, by connection.
#[derive(Default)]
pub struct Outbox {
    /// Pool index by connection, [`NONE`] for connections with nothing to send.
    slots: Vec<u32>,
    pool: Vec<OutgoingBuffer>,
    free: Vec<u32>,
    /// Capacity of the buffers on the free list.
    free_bytes: usize,
    dirty: Vec<ConnId>,
    lent: Option<Lent>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("pool", &self.pool).field("dirty", &self.dirty).finish_non_exhaustive()
    }
}

impl Outbox {
    /// For machines: the buffer to append a connection's next bytes to.
    #[inline]
    pub fn buffer(&mut self, conn: ConnId) -> &mut Vec<u8> {
        self.pending_of(conn).own_mut()
    }

    /// For machines: lends bytes, in place of those lent before, so that [`Outbox::append_lent`] can refer to them.
    pub fn lend(&mut self, bytes: Lent) {
        self.lent = Some(bytes);
    }

    /// For machines, at the end of a step: ends what [`Outbox::lend`] began. What was appended of it stays alive until it
    /// is sent.
    #[inline]
    pub fn take_back(&mut self) {
        if self.lent.is_some() {
            self.lent = None;
        }
    }

    /// For machines: appends these bytes without copying them, if they lie within what is lent. Says whether it did.
    pub fn append_lent(&mut self, conn: ConnId, bytes: &[u8]) -> bool {
        let Some(start) = self.offset_in_lent(bytes) else { return false };
        let lent = self.lent.clone().expect("an offset in it");
        self.pending_of(conn).splice(lent, start..start + bytes.len());
        true
    }

    /// For machines: whether these bytes are worth [`Outbox::append_lent`], and it would append them.
    #[inline]
    #[must_use]
    pub fn lends(&self, bytes: &[u8]) -> bool {
        bytes.len() >= LENT_BYTES_MIN && self.offset_in_lent(bytes).is_some()
    }

    fn offset_in_lent(&self, bytes: &[u8]) -> Option<usize> {
        let lent = (**self.lent.as_ref()?).as_ref().as_ptr_range();
        let asked = bytes.as_ptr_range();
        (lent.start <= asked.start && asked.end <= lent.end).then(|| asked.start.addr() - lent.start.addr())
    }

    #[inline]
    fn pending_of(&mut self, conn: ConnId) -> &mut Spliced {
        let index = self.occupied(conn);
        let buffer = &mut self.pool[index];
        if !buffer.dirty {
            buffer.dirty = true;
            self.dirty.push(conn);
        }
        &mut buffer.pending
    }

    /// For machines: bytes appended for this connection that the kernel has not taken yet.
    #[must_use]
    pub fn unsent(&self, conn: ConnId) -> usize {
        self.get(conn).map_or(0, OutgoingBuffer::unsent)
    }

    /// For machines: those of them that the kernel was not given yet, without lent ones.
    #[must_use]
    pub fn pending(&self, conn: ConnId) -> &[u8] {
        self.get(conn).map_or(&[], |buffer| buffer.pending.own())
    }

    /// For machines: asks for [`Input::Drained`](super::Input::Drained) once at most `low` bytes are unsent. Only
    /// meaningful while something is. What is asked last holds.
    pub fn watch_drain(&mut self, conn: ConnId, low: usize) {
        if let Some(buffer) = self.get_mut(conn) {
            buffer.watched = Some(low);
        }
    }

    /// For drivers: connections that were appended to since the last call, each once. The caller's vector is swapped in
    /// and reused. A connection may have been closed since; [`Outbox::start_send`] then returns nothing.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnId>) {
        into.clear();
        core::mem::swap(&mut self.dirty, into);
        for conn in into.iter() {
            if let Some(buffer) = self.get_mut(*conn) {
                buffer.dirty = false;
            }
        }
    }

    /// For machines: connections that have been appended to since the driver last looked, which is at most the turn.
    #[must_use]
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// For drivers: true if some connection has been appended to since [`Outbox::take_dirty`].
    #[must_use]
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// For drivers: the bytes to hand to the kernel now, or the first of them if they do not lie in one piece. `None` if
    /// there are none or a send is already in flight. The bytes stay put until [`Outbox::sent`] says that all of them
    /// were taken.
    #[inline]
    pub fn start_send(&mut self, conn: ConnId) -> Option<Stretch<'_>> {
        let buffer = self.get_mut(conn)?;
        if !buffer.in_flight.is_empty() || buffer.pending.is_empty() {
            return None;
        }
        core::mem::swap(&mut buffer.pending, &mut buffer.in_flight);
        buffer.taken = 0;
        Some(buffer.in_flight.stretch(0))
    }

    /// For drivers: what to hand to the kernel next of the send in flight, after a short write or as the next piece;
    /// empty if none is in flight.
    #[must_use]
    pub fn rest_of_send(&self, conn: ConnId) -> Stretch<'_> {
        self.get(conn).map_or(Stretch { bytes: &[], more: false }, |buffer| buffer.in_flight.stretch(buffer.taken))
    }

    /// For drivers: the kernel took `count` bytes of the send in flight.
    #[inline]
    pub fn sent(&mut self, conn: ConnId, count: usize) -> Sent {
        let Some(buffer) = self.get_mut(conn) else {
            return Sent { rest: 0, short: false, pending: 0, drained: false };
        };
        assert!(buffer.taken + count <= buffer.in_flight.len(), "more bytes sent than were in flight");
        buffer.taken += count;
        let rest = buffer.in_flight.len() - buffer.taken;
        let mut short = false;
        if rest == 0 {
            buffer.in_flight.clear();
            buffer.taken = 0;
        } else {
            short = count == 0 || !buffer.in_flight.is_seam(buffer.taken);
        }
        let drained = buffer.watched.is_some_and(|low| buffer.unsent() <= low);
        if drained {
            buffer.watched = None;
        }
        let pending = buffer.pending.len();
        if rest == 0 && pending == 0 {
            self.release(conn);
        }
        Sent { rest, short, pending, drained }
    }

    /// For drivers: drops everything held for a connection that is gone. Must not be called while the kernel still
    /// reads its in-flight bytes; see [`Outbox::detach`].
    pub fn release(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn.0 as usize) else { return };
        let index = core::mem::replace(slot, NONE);
        if index == NONE {
            return;
        }
        let buffer = &mut self.pool[index as usize];
        buffer.recycle();
        if self.free.len() >= POOLED_BUFFERS_MAX || self.free_bytes + buffer.capacity() > POOLED_BYTES_MAX {
            *buffer = OutgoingBuffer::default();
        }
        self.free_bytes += buffer.capacity();
        self.free.push(index);
    }

    /// For drivers: takes a connection's buffers out, for example to keep in-flight bytes alive until a cancelled send
    /// has completed.
    pub fn detach(&mut self, conn: ConnId) -> OutgoingBuffer {
        let Some(index) = self.slots.get(conn.0 as usize).copied().filter(|index| *index != NONE) else {
            return OutgoingBuffer::default();
        };
        let taken = core::mem::take(&mut self.pool[index as usize]);
        self.release(conn);
        taken
    }

    fn get(&self, conn: ConnId) -> Option<&OutgoingBuffer> {
        let index = *self.slots.get(conn.0 as usize)?;
        (index != NONE).then(|| &self.pool[index as usize])
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut OutgoingBuffer> {
        let index = *self.slots.get(conn.0 as usize)?;
        (index != NONE).then(|| &mut self.pool[index as usize])
    }

    fn occupied(&mut self, conn: ConnId) -> usize {
        let slot = conn.0 as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, NONE);
        }
        if self.slots[slot] == NONE {
            self.slots[slot] = if let Some(index) = self.free.pop() {
                self.free_bytes -= self.pool[index as usize].capacity();
                index
            } else {
                self.pool.push(OutgoingBuffer::default());
                u32::try_from(self.pool.len() - 1).expect("fewer than 2^32 buffers")
            };
        }
        self.slots[slot] as usize
    }
}

/// What [`Outbox::sent`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the send that the kernel has still to take: send [`Outbox::rest_of_send`] next.
    pub rest: usize,
    /// The kernel took less than it was given; otherwise `rest` is further pieces.
    pub short: bool,
    /// Bytes appended meanwhile: call [`Outbox::start_send`] when `rest` is 0.
    pub pending: usize,
    /// Tell the machine [`Input::Drained`](super::Input::Drained).
    pub drained: bool,
}

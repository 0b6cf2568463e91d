//! The ring of receive buffers that the kernel takes from when bytes arrive.
//!
//! Buffers are given back within the turn in which they were filled, and shown to the kernel by one store at its end.

use io_uring::types::BufRingEntry;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The group of the usual buffers.
pub(super) const GROUP: u16 = 0;

/// Receive buffers and the ring that offers them.
pub(crate) struct Buffers {
    offers: Mapping,
    memory: Mapping,
    group: u16,
    count: u16,
    bytes: u32,
    /// Where the next buffer given back is written; wraps.
    tail: u16,
    published: u16,
}

impl Buffers {
    /// `count` buffers of `bytes` each; `count` is rounded up to a power of two. All are offered.
    pub(super) fn new(group: u16, count: u16, bytes: u32) -> io::Result<Self> {
        let count = count.clamp(1, 1 << 15).next_power_of_two();
        let bytes = bytes.max(64);
        let offers = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(count) * bytes as usize)?;
        let mut buffers = Self { offers, memory, group, count, bytes, tail: 0, published: 0 };
        for id in 0..count {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Registers the buffers with a ring that must not outlive them in use: see [`super::ring::Ring::quiesce`].
    pub(super) fn register(&self, ring: &io_uring::IoUring) -> io::Result<()> {
        let address = self.offers.start.as_ptr() as u64;
        // SAFETY: the mapping is page-aligned, holds `count` entries, and lives until the ring has been quiesced.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, self.count, self.group, 0) }
    }

    /// Ends the registration.
    pub(super) fn unregister(&self, ring: &io_uring::IoUring) {
        // Nothing can be done about a failure, and nothing needs to: the kernel holds the pages it has pinned.
        let _ = ring.submitter().unregister_buf_ring(self.group);
    }

    /// Bytes of one buffer.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// The first `len` bytes of a buffer that the kernel has filled.
    ///
    /// # Panics
    /// If there is no such buffer, or it is smaller.
    pub(super) fn filled(&self, id: u16, len: usize) -> &[u8] {
        assert!(id < self.count && len <= self.bytes as usize, "a buffer of this ring");
        // SAFETY: the range lies within the mapping. The kernel has completed its write and does not touch the buffer
        // until it is given back, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.address(id), len) }
    }

    /// Puts a buffer back into the ring. The kernel sees it after [`Buffers::publish`].
    pub(super) fn give_back(&mut self, id: u16) {
        debug_assert!(id < self.count);
        let index = usize::from(self.tail & (self.count - 1));
        let address = self.address(id) as u64;
        // SAFETY: the index is within the mapping, which is made of zeroed, hence valid, entries. The kernel reads an
        // entry only once the tail has passed it, and no buffer is offered twice, so there is room.
        let entry = unsafe { &mut *self.offers.start.as_ptr().cast::<BufRingEntry>().add(index) };
        entry.set_addr(address);
        entry.set_len(self.bytes);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel the buffers given back.
    pub(super) fn publish(&mut self) {
        if self.published != self.tail {
            self.published = self.tail;
            // SAFETY: the tail lies in the mapping's first entry, is aligned, and is only ever accessed atomically.
            let tail = unsafe { &*BufRingEntry::tail(self.offers.start.as_ptr().cast()).cast::<AtomicU16>() };
            tail.store(self.tail, Ordering::Release);
        }
    }

    /// Never frees the memory: for when the kernel does not let go of it.
    pub(super) fn leak(&mut self) {
        self.offers.len = 0;
        self.memory.len = 0;
    }

    fn address(&self, id: u16) -> *mut u8 {
        // SAFETY: ids are below `count`, so that the result lies within the mapping.
        unsafe { self.memory.start.as_ptr().add(usize::from(id) * self.bytes as usize) }
    }
}

/// Zeroed pages.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: asks for new pages at an address of the kernel's choice.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(|start| Self { start, len })
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, or no bytes at all once leaked; nobody else holds a reference into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

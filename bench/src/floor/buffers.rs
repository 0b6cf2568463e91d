//! A ring of receive buffers shared with the kernel (`IORING_REGISTER_PBUF_RING`): the kernel takes a buffer when
//! bytes arrive, so an idle connection holds none.

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Number of buffers; a power of two.
const BUFFERS: u16 = 1024;

/// Bytes of each buffer.
const BUFFER_BYTES: usize = 4096;

const ENTRIES_BYTES: usize = BUFFERS as usize * size_of::<BufRingEntry>();

const MAPPED_BYTES: usize = ENTRIES_BYTES + BUFFERS as usize * BUFFER_BYTES;

/// The buffers, and the ring through which they are given back.
pub(super) struct Buffers {
    /// Start of one mapping: the ring's entries, then the buffers. Never unmapped: the kernel ends a closed ring's
    /// operations in its own time, and a process has only one of these.
    base: NonNull<u8>,
    /// What the kernel will see as the ring's tail after [`Buffers::publish`].
    tail: u16,
}

impl Buffers {
    /// Maps the memory, registers it as buffer group `group`, and gives every buffer to the kernel.
    pub(super) fn register(submitter: &Submitter<'_>, group: u16) -> io::Result<Self> {
        // SAFETY: a private anonymous mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MAPPED_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(address.cast()).expect("a mapping is never at address zero");
        let mut buffers = Self { base, tail: 0 };
        // SAFETY: the mapping begins with room for BUFFERS entries, is page-aligned, and is never
        // unmapped.
        unsafe { submitter.register_buf_ring_with_flags(base.as_ptr() as u64, BUFFERS, group, 0)? };
        for id in 0..BUFFERS {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The first `count` bytes of a buffer that the kernel has filled and handed over.
    pub(super) fn filled(&self, id: u16, count: usize) -> &[u8] {
        assert!(id < BUFFERS && count <= BUFFER_BYTES, "the kernel named a buffer that does not exist");
        // SAFETY: the range lies within the mapping (asserted). The kernel does not write to a buffer between its
        // completion and its return, and `give_back` needs `&mut self`, so it cannot happen while this borrow lives.
        unsafe { std::slice::from_raw_parts(self.address(id), count) }
    }

    /// Returns a buffer; the kernel sees it after [`Buffers::publish`].
    pub(super) fn give_back(&mut self, id: u16) {
        let address = self.address(id) as u64;
        let index = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `index` is below BUFFERS, so the entry lies within the mapping. The kernel reads entries only below
        // the published tail, and this one is at or above it, so nothing reads it while it is written. The setters do
        // not touch the padding of entry 0, where the tail is kept.
        let entry = unsafe { &mut *self.base.as_ptr().cast::<BufRingEntry>().add(index) };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see every buffer returned so far.
    pub(super) fn publish(&self) {
        // SAFETY: `base` is the address of the ring's first entry, within which the tail lies, two-byte aligned. The
        // kernel and this thread access it atomically only.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.base.as_ptr().cast()).cast_mut()) };
        // Release: the entries written before are visible to whoever sees the new tail.
        tail.store(self.tail, Ordering::Release);
    }

    fn address(&self, id: u16) -> *mut u8 {
        // SAFETY: the offset is within the mapping for every id below BUFFERS, which the callers guarantee.
        unsafe { self.base.as_ptr().add(ENTRIES_BYTES + usize::from(id) * BUFFER_BYTES) }
    }
}

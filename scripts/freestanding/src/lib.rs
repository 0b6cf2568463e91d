//! Proof that `ringmq-wire` and `ringmq-core` build without the standard library: this program brings its own panic
//! handler and allocator, which the compiler refuses as duplicates if anything it depends on brings the standard ones.
//! It needs no target but the host's. It is never run.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};

// Linked, so that what they depend on is.
use ringmq_core as _;
use ringmq_wire as _;

struct NoMemory;

// SAFETY: an allocator may always refuse, and one that never allocates has nothing to free.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

//! The wake protocol: a producer signals a shard only if it sleeps, and no item is left behind in its sleep.
//!
//! A signal costs a system call and, on two cores, 40 us of round trip; a shard that is awake finds the item anyway. So
//! each shard has one [`Parking`] that says whether it may be asleep:
//!
//! ```text
//! sleeper                                   producer
//!   parking.prepare_sleep()                   ring.push(batch)      (or stage .. publish)
//!   if every ring is empty                    if parking.should_wake()
//!       sleep in the kernel                       signal the sleeper (ring message, eventfd)
//!   parking.awake()
//!   drain the rings
//! ```
//!
//! Both sides write their own word, then fence, then read the other's: of the sleeper's re-check and the producer's
//! look at the state at least one sees what the other wrote. The signal must be sticky (a completion entry, an eventfd
//! count): one that arrives before the sleeper has entered the kernel ends that sleep at once. For the same reason the
//! sleeper must not consume signals between `prepare_sleep` and its sleep. A signal may come late, when the shard has
//! found the item by itself: it then ends a later sleep early, which is harmless.
//!
//! Absent: the signal and the sleep, and how long to spin before; those are the driver's.

use crate::sync::{AtomicU32, Ordering, fence};
use crossbeam_utils::CachePadded;

/// The shard looks at its rings before it sleeps; or somebody has undertaken to signal it.
const RUNNING: u32 = 0;
/// The shard sleeps or is about to, and nobody has undertaken to signal it.
const SLEEPING: u32 = 1;

/// Whether one shard may be asleep. Shared with everybody who pushes to it.
#[derive(Debug)]
pub struct Parking {
    state: CachePadded<AtomicU32>,
}

impl Default for Parking {
    fn default() -> Self {
        Self::new()
    }
}

impl Parking {
    /// The state of a shard that runs.
    #[must_use]
    pub fn new() -> Self {
        Self { state: CachePadded::new(AtomicU32::new(RUNNING)) }
    }

    /// For the sleeper: announces the sleep. It must look at all its rings once more before it enters the kernel, and
    /// call [`Parking::awake`] instead if one of them holds something.
    #[inline]
    pub fn prepare_sleep(&self) {
        self.state.store(SLEEPING, Ordering::Relaxed);
        // Orders the store before the re-check that follows; pairs with the fence in `should_wake`.
        fence(Ordering::SeqCst);
    }

    /// For the sleeper: it runs again, whether it slept or found something in its re-check.
    #[inline]
    pub fn awake(&self) {
        self.state.store(RUNNING, Ordering::Relaxed);
    }

    /// For a producer, after it has published a batch to the sleeper's ring: true if this caller must signal it now.
    /// Of several producers that see one sleep exactly one is told so.
    #[inline]
    #[must_use = "a true answer obliges the caller to signal the sleeper"]
    pub fn should_wake(&self) -> bool {
        // Orders the publication before the load; pairs with the fence in `prepare_sleep`.
        fence(Ordering::SeqCst);
        self.state.load(Ordering::Relaxed) == SLEEPING
            && self.state.compare_exchange(SLEEPING, RUNNING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// True if the shard sleeps, or is about to, and nobody has undertaken to signal it. Only a hint, for metrics.
    #[must_use]
    pub fn is_sleeping(&self) -> bool {
        self.state.load(Ordering::Relaxed) == SLEEPING
    }
}

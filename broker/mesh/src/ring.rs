//! A bounded, lock-free ring from one producer to one consumer.
//!
//! What crosses it is meant to be a batch (an owned buffer with everything one shard had for another in one turn), so
//! the cost of a crossing, two cache lines changing hands, is shared by all messages of the batch.
//!
//! Each side owns one index and keeps a cached copy of the other's, which it refreshes only when the cached value says
//! full (or empty). Indices count items since the ring was made, wrap around, and are reduced to a slot with a mask;
//! `tail - head` is therefore the number of items, without a slot kept free. Staging several items and publishing once
//! costs one release store.
//!
//! Absent: blocking and waking (see [`park`](crate::park)), several producers, growth.

use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering, UnsafeCell};
use core::mem::MaybeUninit;
use crossbeam_utils::CachePadded;

/// Most items a ring can hold.
pub const CAPACITY_MAX: usize = 1 << 24;

/// One side's published state; each side writes only its own.
struct Side {
    /// The producer's tail or the consumer's head.
    index: AtomicUsize,
    /// This side has been dropped.
    gone: AtomicBool,
}

impl Side {
    fn new() -> CachePadded<Self> {
        CachePadded::new(Self { index: AtomicUsize::new(0), gone: AtomicBool::new(false) })
    }
}

struct Shared<T> {
    /// Written by the consumer: how many items it has taken.
    head: CachePadded<Side>,
    /// Written by the producer: how many items it has published.
    tail: CachePadded<Side>,
    /// Slots `head..tail` (masked) are initialised and belong to the consumer, all others to the producer.
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: a slot is touched only by the side that owns it, and ownership moves with a release store of an index that
// the other side reads with acquire (see the arguments at each access), so no two threads ever access a slot at once.
// Items move between threads, hence `T: Send`; no `&T` is ever shared, so `T: Sync` is not needed.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline]
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        // The length is a power of two.
        &self.slots[index & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both sides are gone (they published their indices first, and dropping the last `Arc` synchronises with the
        // drop of the other), so these loads are the final values.
        let tail = self.tail.index.load(Ordering::Relaxed);
        let mut head = self.head.index.load(Ordering::Relaxed);
        while head != tail {
            // SAFETY: `head..tail` are exactly the slots that were written and not yet read; `&mut self` proves that
            // nobody else accesses them, and each index is visited once.
            self.slot(head).with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(1);
        }
    }
}

/// Makes a ring that holds at least `capacity` items: rounded up to a power of two, and at least one.
///
/// # Panics
/// If `capacity` exceeds [`CAPACITY_MAX`].
#[must_use]
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity <= CAPACITY_MAX, "a ring of {capacity} items exceeds the limit of {CAPACITY_MAX}");
    let slots = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared = Arc::new(Shared { head: Side::new(), tail: Side::new(), slots });
    let producer = Producer { shared: Arc::clone(&shared), tail: 0, published: 0, head_seen: 0 };
    let consumer = Consumer { shared, head: 0, published: 0, tail_seen: 0 };
    (producer, consumer)
}

/// The sending end of a ring. Dropping it publishes what was staged; the consumer can still take everything.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Items written, published or not.
    tail: usize,
    /// Items the consumer can see.
    published: usize,
    /// The consumer's head as last read; the true one is never behind it.
    head_seen: usize,
}

impl<T> Producer<T> {
    /// Appends one item and makes it visible. A full ring gives it back.
    ///
    /// # Errors
    /// The item itself, if the ring is full. A ring whose consumer is gone fills up and stays full.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.stage(item)?;
        self.publish();
        Ok(())
    }

    /// Appends as many of `items` as fit and makes them visible with one store; returns how many. Takes nothing from
    /// the iterator that does not fit.
    pub fn push_many(&mut self, items: &mut impl Iterator<Item = T>) -> usize {
        let mut count = 0;
        while self.room() > 0 {
            let Some(item) = items.next() else { break };
            self.write(item);
            count += 1;
        }
        self.publish();
        count
    }

    /// Appends one item without making it visible: [`Producer::publish`] does that for all staged items at once.
    ///
    /// # Errors
    /// The item itself, if the ring is full.
    #[inline]
    pub fn stage(&mut self, item: T) -> Result<(), T> {
        if self.room() == 0 {
            return Err(item);
        }
        self.write(item);
        Ok(())
    }

    /// Makes all staged items visible to the consumer with one release store; returns how many there were.
    #[inline]
    pub fn publish(&mut self) -> usize {
        let count = self.tail.wrapping_sub(self.published);
        if count > 0 {
            self.published = self.tail;
            self.shared.tail.index.store(self.tail, Ordering::Release);
        }
        count
    }

    /// A number of items that fit now, 0 only if none does. It may be less than all, because the consumer's index is
    /// read only if the cached one says that the ring is full.
    #[inline]
    pub fn room(&mut self) -> usize {
        let capacity = self.capacity();
        let mut used = self.tail.wrapping_sub(self.head_seen);
        if used == capacity {
            self.head_seen = self.shared.head.index.load(Ordering::Acquire);
            used = self.tail.wrapping_sub(self.head_seen);
        }
        capacity - used
    }

    /// True if [`Producer::push`] would fail now.
    #[inline]
    pub fn is_full(&mut self) -> bool {
        self.room() == 0
    }

    /// How many items the ring holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }

    /// True once the consumer has been dropped: nothing pushed from now on will ever be taken.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.head.gone.load(Ordering::Acquire)
    }

    /// Writes an item into the next slot. The caller has seen that there is room.
    #[inline]
    fn write(&mut self, item: T) {
        debug_assert!(self.tail.wrapping_sub(self.head_seen) < self.capacity());
        // SAFETY: `tail - head_seen < capacity`, so slot `tail` is not among the initialised slots `head..tail`: either
        // it was never used, or the consumer has read it out before the release store of the head that the acquire
        // load of `head_seen` read. The consumer will not touch it before the tail is published, and `&mut self` of
        // the only producer excludes another writer. Nothing is overwritten without being dropped for the same reason.
        self.shared.slot(self.tail).with_mut(|slot| unsafe {
            (*slot).write(item);
        });
        self.tail = self.tail.wrapping_add(1);
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.publish();
        self.shared.tail.gone.store(true, Ordering::Release);
    }
}

/// The receiving end of a ring. Items left in it are dropped with the second of the two ends.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// Items taken, told to the producer or not.
    head: usize,
    /// Items the producer knows to be taken.
    published: usize,
    /// The producer's tail as last read; the true one is never behind it.
    tail_seen: usize,
}

impl<T> Consumer<T> {
    /// Takes the oldest item.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.available() == 0 {
            return None;
        }
        let item = self.read();
        self.publish();
        Some(item)
    }

    /// Takes up to `max` items, oldest first, and gives their room back with one store; returns how many there were.
    pub fn drain(&mut self, max: usize, mut take: impl FnMut(T)) -> usize {
        let mut taken = 0;
        while taken < max && self.available() > 0 {
            // Should `take` panic, the item is its own, and the local index already stands behind it; the next
            // publication (at the latest in `drop`) tells the producer.
            let item = self.read();
            taken += 1;
            take(item);
        }
        self.publish();
        taken
    }

    /// True if nothing can be taken now. Always current: it reads the producer's index if the cached one says empty.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail_seen && self.head == self.shared.tail.index.load(Ordering::Acquire)
    }

    /// How many items the ring holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }

    /// True once the producer has been dropped. Everything it pushed is then visible, so a ring that is disconnected
    /// and, asked afterwards, [empty](Consumer::is_empty) stays empty.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.tail.gone.load(Ordering::Acquire)
    }

    /// Items that can be read now, by the cached index if that suffices.
    #[inline]
    fn available(&mut self) -> usize {
        if self.head == self.tail_seen {
            self.tail_seen = self.shared.tail.index.load(Ordering::Acquire);
        }
        self.tail_seen.wrapping_sub(self.head)
    }

    /// Reads the oldest item out of its slot. The caller has seen that there is one.
    #[inline]
    fn read(&mut self) -> T {
        debug_assert!(self.head != self.tail_seen);
        // SAFETY: `head` is before `tail_seen`, so the producer initialised the slot before the release store that the
        // acquire load of `tail_seen` read, and it will not write the slot again before the head is published behind
        // it. The index advances right away, so the slot is read out only once; `&mut self` of the only consumer
        // excludes another reader.
        let item = self.shared.slot(self.head).with_mut(|slot| unsafe { (*slot).assume_init_read() });
        self.head = self.head.wrapping_add(1);
        item
    }

    /// Tells the producer about the slots that were read.
    #[inline]
    fn publish(&mut self) {
        if self.published != self.head {
            self.published = self.head;
            self.shared.head.index.store(self.head, Ordering::Release);
        }
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.publish();
        self.shared.head.gone.store(true, Ordering::Release);
    }
}

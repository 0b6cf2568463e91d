//! How other threads reach the shards of a process: stop, ask, wake, and read the counters.

use crate::mailbox::{LETTERS_MAX, Letter, Mailbox, MailboxFull, Message};
use crate::stats::{SharedStats, Stats};
use ringmq_core::machine::{SHARDS_MAX, ShardId};
use ringmq_mesh::park::Parking;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What other threads know of one shard.
#[derive(Debug)]
pub(crate) struct Seat {
    /// An eventfd: what a thread without a ring rings to wake the shard.
    doorbell: OwnedFd,
    stop: AtomicBool,
    pub(crate) mailbox: Mailbox,
    /// True while the shard sleeps or is about to, and wants to be woken.
    pub(crate) parking: Parking,
    /// A duplicate of the shard's ring descriptor, so that its number cannot come to mean something else while another
    /// shard may still send to it.
    pub(crate) ring: OnceLock<OwnedFd>,
    pub(crate) stats: SharedStats,
}

/// Handle to all shards of a process. Cheap to clone; any thread may use it.
#[derive(Debug, Clone)]
pub struct Control {
    seats: Arc<[Seat]>,
    /// How many rings have been made.
    rings: Arc<(Mutex<usize>, Condvar)>,
}

impl Control {
    /// For a process of `shards` shards. Give a clone to every shard's [`Setup`](crate::Setup).
    ///
    /// # Errors
    /// When the operating system has no descriptor left for an eventfd.
    ///
    /// # Panics
    /// If `shards` is 0 or more than [`SHARDS_MAX`].
    pub fn new(shards: usize) -> io::Result<Self> {
        assert!((1..=SHARDS_MAX).contains(&shards), "1 to {SHARDS_MAX} shards");
        let seats = (0..shards).map(|_| {
            Ok(Seat {
                doorbell: eventfd()?,
                stop: AtomicBool::new(false),
                mailbox: Mailbox::default(),
                parking: Parking::new(),
                ring: OnceLock::new(),
                stats: SharedStats::default(),
            })
        });
        Ok(Self { seats: seats.collect::<io::Result<_>>()?, rings: Arc::default() })
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.seats.len()
    }

    /// Asks every shard to stop: each gives its machine [`Input::Stop`](ringmq_core::machine::Input::Stop) once, soon.
    /// Asking again changes nothing. Only atomics and `write(2)`: a signal handler may call it.
    pub fn request_stop(&self) {
        for seat in self.seats.iter() {
            seat.stop.store(true, Ordering::SeqCst);
            seat.ring_doorbell();
        }
    }

    /// Puts one request to every shard, or to none. Each shard's machine takes it as
    /// [`Input::Control`](ringmq_core::machine::Input::Control), soon and without a connection being held up, and what it
    /// made of it comes back through the receiver. A shard that ends first does not answer.
    ///
    /// # Errors
    /// A shard has too many requests waiting; no shard was asked.
    pub fn ask_all(
        &self,
        mut request: impl FnMut(ShardId) -> Message,
    ) -> Result<Receiver<(ShardId, Message)>, MailboxFull> {
        let (sender, answers) = mpsc::channel();
        // Always in this order, so that two askers do not wait for each other.
        let mut boxes: Vec<_> = self.seats.iter().map(|seat| seat.mailbox.lock()).collect();
        if boxes.iter().any(|letters| letters.len() >= LETTERS_MAX) {
            return Err(MailboxFull);
        }
        for ((index, seat), letters) in (0..).zip(self.seats.iter()).zip(&mut boxes) {
            letters.push_back(Letter { message: request(ShardId(index)), sender: sender.clone() });
            seat.mailbox.announce();
        }
        drop(boxes);
        self.seats.iter().for_each(Seat::ring_doorbell);
        Ok(answers)
    }

    /// Puts a request to one shard, as [`Control::ask_all`] does to all.
    ///
    /// # Errors
    /// The shard has too many requests waiting; it was not asked.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn ask(&self, shard: ShardId, message: Message) -> Result<Receiver<(ShardId, Message)>, MailboxFull> {
        let (sender, answers) = mpsc::channel();
        let seat = self.seat(shard);
        let mut letters = seat.mailbox.lock();
        if letters.len() >= LETTERS_MAX {
            return Err(MailboxFull);
        }
        letters.push_back(Letter { message, sender });
        seat.mailbox.announce();
        drop(letters);
        seat.ring_doorbell();
        Ok(answers)
    }

    /// The counters of one shard as of its latest publication: when it last slept, at most 64 turns ago.
    ///
    /// # Panics
    /// If there is no such shard.
    #[must_use]
    pub fn stats(&self, shard: ShardId) -> Stats {
        self.seat(shard).stats.read()
    }

    /// A shard's ring is ready to be sent to. False if that shard had one already.
    pub(crate) fn take_seat(&self, shard: ShardId, ring: OwnedFd) -> bool {
        let taken = self.seat(shard).ring.set(ring).is_ok();
        if taken {
            *self.rings.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.rings.1.notify_all();
        }
        taken
    }

    /// Waits until every shard has its ring; false if that takes too long.
    pub(crate) fn await_rings(&self, patience: Duration) -> bool {
        let made = self.rings.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |made: &mut usize| *made < self.shards();
        let waited = self.rings.1.wait_timeout_while(made, patience, missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn seat(&self, shard: ShardId) -> &Seat {
        &self.seats[usize::from(shard.0)]
    }
}

impl Seat {
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn doorbell(&self) -> RawFd {
        self.doorbell.as_raw_fd()
    }

    /// Wakes the shard from any thread.
    pub(crate) fn ring_doorbell(&self) {
        let one = 1_u64;
        // SAFETY: writes the eight bytes of a local integer to a descriptor that `self` keeps open. The only possible
        // failure is a counter at its maximum, and then the shard is being woken already.
        unsafe { libc::write(self.doorbell(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Resets the doorbell once it has been heard.
    pub(crate) fn silence_doorbell(&self) {
        let mut count = 0_u64;
        // SAFETY: reads at most eight bytes into a local integer of that size; the descriptor does not block.
        unsafe { libc::read(self.doorbell(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

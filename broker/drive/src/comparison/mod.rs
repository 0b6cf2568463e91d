//! The drivers of comparison: the same machine on an idiomatic asynchronous runtime.
//!
//! They answer the question what a thread-per-core runtime costs against the event loops in [`uring`](crate::uring) and
//! [`epoll`](crate::epoll), so they use the runtime as its own users would: a task for every connection that reads into
//! a buffer of its own, a task that writes, a task for every listener, a task for the clock, and a task that hears
//! other threads. The machine and its effects are in one `RefCell`, which is never borrowed over an `await`.
//!
//! What is common to the runtimes is here, what differs is behind [`Runtime`]:
//!
//! - `hub`: the machine, and the turn. Runtimes know no turns: the task that ends one is woken by the first input, runs
//!   when the tasks that were ready before it have run, moves batches to and from other shards, and then wakes the
//!   writers. So output is coalesced here as well, though by the order of a task queue instead of by design.
//! - `sockets`: the connections as the machine's commands see them.
//! - `tasks`: what runs for a connection, a listener, the clock and the doorbell.
//! - `signal`: how one task wakes another.
//! - `on_monoio`, `on_glommio`: the runtimes, and what their idiom costs.
//!
//! Absent here: spinning before sleep, unless the runtime offers it; ring messages between shards (they are woken by
//! their eventfds); counts of system calls, of which runtimes say nothing. A shard counts as asleep between turns.

mod hub;
#[cfg(feature = "glommio")]
mod on_glommio;
#[cfg(feature = "monoio")]
mod on_monoio;
mod signal;
mod sockets;
mod tasks;

#[cfg(feature = "glommio")]
pub(crate) use on_glommio::run as run_on_glommio;
#[cfg(feature = "monoio")]
pub(crate) use on_monoio::run as run_on_monoio;

use ringmq_core::machine::{Effects, Input, Machine, Time};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

/// What a runtime offers, in its own types. Everything runs on one thread.
pub(super) trait Runtime: Sized + 'static {
    /// A listening socket.
    type Listener: 'static;
    /// A connection.
    type Stream: 'static;
    /// The half of a connection that is read from.
    type Reader: 'static;
    /// The half that is written to.
    type Writer: 'static;
    /// Ends a read from another task.
    type Interrupt: Default + 'static;
    /// A descriptor whose counter can be waited for and is reset by that.
    type Doorbell: 'static;

    /// Called once, on the runtime.
    fn new() -> io::Result<Self>;

    /// Runs a task beside the others.
    fn spawn(task: impl Future<Output = ()> + 'static);

    /// Waits; at most a few milliseconds too long, never too short.
    fn sleep(length: Duration) -> impl Future<Output = ()>;

    /// Lets other tasks run, and what the kernel has completed reach them.
    fn breathe(&self) -> impl Future<Output = ()>;

    /// Takes over a listening socket.
    fn listener(fd: OwnedFd) -> io::Result<Self::Listener>;

    /// The next connection and the address at its other end.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;

    /// Takes over a connected socket.
    fn stream(fd: OwnedFd) -> io::Result<Self::Stream>;

    /// Takes over a socket that does not block and is being connected, and waits until it is.
    fn connected(fd: OwnedFd) -> impl Future<Output = io::Result<Self::Stream>>;

    /// The descriptor, which stays the stream's.
    fn fd(stream: &Self::Stream) -> RawFd;

    /// Makes halves for two tasks.
    fn split(stream: Self::Stream) -> (Self::Reader, Self::Writer);

    /// Takes the descriptor out of the runtime.
    fn release(reader: Self::Reader, writer: Self::Writer) -> io::Result<OwnedFd>;

    /// Reads up to the buffer's capacity to its start; 0 is the end of file. An interrupted read that brought nothing
    /// fails with `ECANCELED`.
    fn read(
        reader: &mut Self::Reader,
        buffer: Vec<u8>,
        interrupt: Option<&Self::Interrupt>,
    ) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Interrupts the read that was given this.
    fn interrupt(interrupt: &Self::Interrupt);

    /// Writes as much as fits.
    fn write(writer: &mut Self::Writer, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Takes over an eventfd that blocks.
    fn doorbell(fd: OwnedFd) -> io::Result<Self::Doorbell>;

    /// Waits until the doorbell has been rung, and resets it.
    fn hear(doorbell: &Self::Doorbell) -> impl Future<Output = io::Result<()>>;
}

/// The caller's machine. Runtimes want tasks that borrow nothing, although these all end before the caller goes on.
pub(super) struct Lent(&'static mut dyn Machine);

impl Lent {
    /// # Safety
    /// What is returned must not be used after the borrow has ended; to drop it later is harmless.
    unsafe fn new(machine: &mut dyn Machine) -> Self {
        // SAFETY: only the lifetime changes, and the caller answers for it.
        Self(unsafe { std::mem::transmute::<&mut dyn Machine, &'static mut dyn Machine>(machine) })
    }
}

impl Machine for Lent {
    fn handle(&mut self, now: Time, input: Input<'_>, fx: &mut Effects) {
        self.0.handle(now, input, fx);
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }

    fn busy(&self) -> bool {
        self.0.busy()
    }
}

/// The error number of a failure.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

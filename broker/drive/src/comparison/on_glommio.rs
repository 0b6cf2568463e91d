//! glommio 0.9.0: readiness by io_uring, then a system call for the bytes.
//!
//! What its idiom costs here:
//! - A receive is a poll through the ring, then `recv`; a send is `send`, and a poll if the socket is full. Only the
//!   waiting goes through io_uring, and a message takes two system calls and more.
//! - To accept one connection, glommio makes the listener non-blocking, tries, makes it blocking again, then submits.
//! - Its streams give no descriptor back: a hand-over duplicates it and closes the original.
//! - Its streams have no halves: two tasks share one in a `RefCell`.
//! - It waits for sockets and files only. So the doorbell is read as a file, which works because eventfds can block.
//! - Three rings an executor, and a thread for blocking work.
//! - It cannot connect from a given address; the socket is made here, and only waited for there.
//!
//! It refuses to start with less than 512 KiB of lockable memory (`ulimit -l`), and says so.

use super::signal::Signal;
use super::{Lent, Runtime, hub};
use crate::options::Setup;
use crate::stats::Stats;
use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};
use glommio::io::BufferedFile;
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use ringmq_core::machine::Machine;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Bytes of an eventfd's counter.
const COUNTER_BYTES: usize = size_of::<u64>();

/// Runs one shard. See [`crate::run`].
pub(crate) fn run<M: Machine>(setup: Setup, mut machine: M) -> io::Result<Stats> {
    // The caller has pinned the thread.
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .spin_before_park(setup.options.spin)
        .make()
        .map_err(|error| io::Error::new(io::ErrorKind::Unsupported, format!("glommio does not start: {error}")))?;
    // SAFETY: tasks run in `run` only, which is over when this function returns.
    let machine = unsafe { Lent::new(&mut machine) };
    let (stats, _) = executor.run(hub::drive::<Glommio>(setup, machine))?;
    Ok(stats)
}

/// The runtime.
struct Glommio;

/// One stream for two tasks.
type Shared = Rc<RefCell<TcpStream>>;

impl Runtime for Glommio {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = Shared;
    type Writer = Shared;
    type Interrupt = Signal;
    type Doorbell = BufferedFile;

    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(task).detach();
    }

    async fn sleep(length: Duration) {
        glommio::timer::sleep(length).await;
    }

    async fn breathe(&self) {
        glommio::executor().yield_task_queue_now().await;
    }

    fn listener(fd: OwnedFd) -> io::Result<TcpListener> {
        // SAFETY: the descriptor has just been given up by its owner.
        Ok(unsafe { TcpListener::from_raw_fd(fd.into_raw_fd()) })
    }

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = listener.accept().await?;
        // A peer that has gone again is nothing to stop for.
        let peer = accepted.peer_addr().map_err(|_| io::Error::from_raw_os_error(libc::ECONNABORTED))?;
        Ok((accepted, peer))
    }

    fn stream(fd: OwnedFd) -> io::Result<TcpStream> {
        // SAFETY: the descriptor has just been given up by its owner.
        Ok(unsafe { TcpStream::from_raw_fd(fd.into_raw_fd()) })
    }

    async fn connected(fd: OwnedFd) -> io::Result<TcpStream> {
        let mut stream = Self::stream(fd)?;
        // Sending nothing waits until the connection is established, and fails if it is not to be.
        stream.write(&[]).await?;
        Ok(stream)
    }

    fn fd(stream: &TcpStream) -> RawFd {
        stream.as_raw_fd()
    }

    fn split(stream: TcpStream) -> (Shared, Shared) {
        let stream = Rc::new(RefCell::new(stream));
        (Rc::clone(&stream), stream)
    }

    fn release(reader: Shared, _writer: Shared) -> io::Result<OwnedFd> {
        let fd = reader.borrow().as_raw_fd();
        // SAFETY: the stream keeps the descriptor open until this function ends.
        unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
    }

    async fn read(
        reader: &mut Shared,
        mut buffer: Vec<u8>,
        interrupt: Option<&Signal>,
    ) -> (io::Result<usize>, Vec<u8>) {
        buffer.resize(buffer.capacity(), 0);
        let result = poll_fn(|cx| {
            if interrupt.is_some_and(|interrupt| interrupt.poll(cx).is_ready()) {
                return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
            }
            Pin::new(&mut *reader.borrow_mut()).poll_read(cx, &mut buffer)
        })
        .await;
        if result.as_ref().is_ok_and(|count| *count == buffer.len()) {
            // There may be more, which the next read would get at once: let the others read first.
            glommio::executor().yield_task_queue_now().await;
        }
        (result, buffer)
    }

    fn interrupt(interrupt: &Signal) {
        interrupt.raise();
    }

    async fn write(writer: &mut Shared, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let result = poll_fn(|cx| Pin::new(&mut *writer.borrow_mut()).poll_write(cx, &buffer)).await;
        (result, buffer)
    }

    fn doorbell(fd: OwnedFd) -> io::Result<BufferedFile> {
        // SAFETY: the descriptor has just been given up by its owner.
        Ok(unsafe { BufferedFile::from_raw_fd(fd.into_raw_fd()) })
    }

    async fn hear(doorbell: &BufferedFile) -> io::Result<()> {
        doorbell.read_at(0, COUNTER_BYTES).await?;
        Ok(())
    }
}

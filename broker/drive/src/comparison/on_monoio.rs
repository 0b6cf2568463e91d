//! monoio 0.2.4: io_uring with an operation for every read and write, which owns its buffer.
//!
//! What its idiom costs here:
//! - Every connection pins a receive buffer while it is idle, for the read under way owns it. There are no buffer rings
//!   and no multishot operations: every message takes a submission of its own to be received, and so does every accept.
//! - Output is copied into a buffer the write owns.
//! - Two tasks a connection, and the boxes they live in.
//! - Its timers tick in milliseconds.
//! - A task that yields lets no completions in: with deferred task work only a wait in the kernel does that, and the
//!   runtime waits only when no task is ready. See [`Runtime::breathe`].
//! - A runtime that is dropped frees buffers the kernel may still write to. So every task is ended first.
//! - It cannot connect from a given address; the socket is made here, and only waited for there.
//!
//! The ring is made with what the kernel has of `SINGLE_ISSUER` and `DEFER_TASKRUN`, which monoio by itself does not
//! ask for and which make it up to a third cheaper.

use super::{Lent, Runtime, hub};
use crate::options::Setup;
use crate::probe::probe;
use crate::socket;
use crate::stats::Stats;
use monoio::io::Splitable;
use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, Canceller, OwnedReadHalf, OwnedWriteHalf};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};
use ringmq_core::machine::Machine;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Bytes of an eventfd's counter.
const COUNTER_BYTES: usize = size_of::<u64>();

/// Runs one shard. See [`crate::run`].
pub(crate) fn run<M: Machine>(setup: Setup, mut machine: M) -> io::Result<Stats> {
    let features = probe();
    if let Some(refusal) = &features.refusal {
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("io_uring not usable: {refusal}")));
    }
    let mut ring = io_uring_of_monoio::IoUring::builder();
    if features.single_issuer {
        ring.setup_single_issuer();
    }
    if features.defer_taskrun {
        ring.setup_defer_taskrun();
    }
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(setup.options.submission_entries)
        .uring_builder(ring)
        .enable_timer()
        .build()?;
    // SAFETY: tasks run in `block_on` only, which is over when this function returns.
    let machine = unsafe { Lent::new(&mut machine) };
    let (stats, ended) = runtime.block_on(hub::drive::<Monoio>(setup, machine))?;
    if !ended {
        // The kernel may still read or write what tasks have lent it: better never to free it.
        std::mem::forget(runtime);
    }
    Ok(stats)
}

/// The runtime.
struct Monoio {
    /// A file that is read to pass through the kernel.
    nothing: monoio::fs::File,
}

/// A read can be ended by cancelling what was given to it.
#[derive(Default)]
struct Interrupt(Cell<Canceller>);

impl Interrupt {
    fn handle(&self) -> monoio::io::CancelHandle {
        let canceller = self.0.take();
        let handle = canceller.handle();
        self.0.set(canceller);
        handle
    }
}

impl Runtime for Monoio {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Reader = OwnedReadHalf<TcpStream>;
    type Writer = OwnedWriteHalf<TcpStream>;
    type Interrupt = Interrupt;
    type Doorbell = monoio::fs::File;

    fn new() -> io::Result<Self> {
        Ok(Self { nothing: monoio::fs::File::from_std(std::fs::File::open("/dev/null")?)? })
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(task));
    }

    async fn sleep(length: Duration) {
        monoio::time::sleep(length).await;
    }

    async fn breathe(&self) {
        // Whatever it answers, the runtime has had to wait for it in the kernel.
        let _ = self.nothing.read_at(Vec::new(), 0).await;
    }

    fn listener(fd: OwnedFd) -> io::Result<TcpListener> {
        TcpListener::from_std(std::net::TcpListener::from(fd))
    }

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept().await
    }

    fn stream(fd: OwnedFd) -> io::Result<TcpStream> {
        TcpStream::from_std(std::net::TcpStream::from(fd))
    }

    async fn connected(fd: OwnedFd) -> io::Result<TcpStream> {
        let stream = Self::stream(fd)?;
        stream.writable(false).await?;
        match socket::take_error(stream.as_raw_fd()) {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        // On a socket that does not block, io_uring does not wait either.
        socket::set_nonblocking(stream.as_raw_fd(), false)?;
        Ok(stream)
    }

    fn fd(stream: &TcpStream) -> RawFd {
        stream.as_raw_fd()
    }

    fn split(stream: TcpStream) -> (Self::Reader, Self::Writer) {
        stream.into_split()
    }

    fn release(reader: Self::Reader, writer: Self::Writer) -> io::Result<OwnedFd> {
        let stream = reader.reunite(writer).map_err(|_| io::Error::other("the halves of two streams"))?;
        // SAFETY: the stream has given up the descriptor, and nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) })
    }

    async fn read(
        reader: &mut Self::Reader,
        buffer: Vec<u8>,
        interrupt: Option<&Interrupt>,
    ) -> (io::Result<usize>, Vec<u8>) {
        match interrupt {
            Some(interrupt) => reader.cancelable_read(buffer, interrupt.handle()).await,
            None => reader.read(buffer).await,
        }
    }

    fn interrupt(interrupt: &Interrupt) {
        interrupt.0.set(interrupt.0.take().cancel());
    }

    async fn write(writer: &mut Self::Writer, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        writer.write(buffer).await
    }

    fn doorbell(fd: OwnedFd) -> io::Result<monoio::fs::File> {
        monoio::fs::File::from_std(std::fs::File::from(fd))
    }

    async fn hear(doorbell: &monoio::fs::File) -> io::Result<()> {
        doorbell.read_at(Vec::with_capacity(COUNTER_BYTES), 0).await.0.map(drop)
    }
}

//! The forwarder on one io_uring: multishot accept, multishot receive into provided buffers, at most one send in
//! flight a connection, one kernel entry a turn.

use super::buffers::Buffers;
use super::socket::close;
use super::{ConnIndex, Counters, Forwarder, Stop};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

/// Submissions between two kernel entries; a turn that needs more enters the kernel more than once.
const SUBMISSIONS: u32 = 4096;

/// Completions the kernel can hand over in one entry.
const COMPLETIONS: u32 = 16_384;

/// The only buffer group.
const GROUP: u16 = 0;

const ACCEPT: u64 = 1 << 32;
const STOP: u64 = 2 << 32;
const RECEIVE: u64 = 3 << 32;
const SEND: u64 = 4 << 32;
const KIND_MASK: u64 = !0 << 32;

/// An accepted connection. Its number is reused only when the receive has ended and no send is in flight, so no
/// completion can be taken for that of a later connection.
#[derive(Debug, Clone, Copy)]
struct Socket {
    descriptor: RawFd,
    receiving: bool,
    sending: bool,
    closing: bool,
}

struct Ring {
    ring: IoUring,
    forwarder: Forwarder,
    buffers: Buffers,
    sockets: Vec<Socket>,
    free: Vec<ConnIndex>,
    /// Receives that ended for want of buffers, or for no reason: to be started again at the end of the turn.
    rearm: Vec<ConnIndex>,
}

/// Forwards until a stop signal arrives.
///
/// # Errors
/// The operating system's, where it concerns more than one connection, in particular when io_uring or one of the
/// features used is missing.
pub fn run(listener: &TcpListener, stop: &Stop) -> io::Result<Counters> {
    let ring: IoUring =
        IoUring::builder().setup_single_issuer().setup_defer_taskrun().setup_cqsize(COMPLETIONS).build(SUBMISSIONS)?;
    let buffers = Buffers::register(&ring.submitter(), GROUP)?;
    let mut driver = Ring {
        ring,
        forwarder: Forwarder::default(),
        buffers,
        sockets: Vec::new(),
        free: Vec::new(),
        rearm: Vec::new(),
    };
    let stop_descriptor = types::Fd(stop.descriptor());
    driver.push(&opcode::PollAdd::new(stop_descriptor, libc::POLLIN as u32).build().user_data(STOP))?;
    driver.accept(listener)?;
    let mut completions: Vec<cqueue::Entry> = Vec::with_capacity(COMPLETIONS as usize);
    let mut dirty = Vec::new();
    loop {
        match driver.ring.submit_and_wait(1) {
            Ok(_) => {}
            // EBUSY: completions overflowed; they must be reaped before more can be submitted.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
            Err(error) => return Err(error),
        }
        completions.extend(driver.ring.completion());
        for completion in completions.drain(..) {
            match completion.user_data() & KIND_MASK {
                ACCEPT => driver.accepted(&completion, listener)?,
                RECEIVE => driver.received(&completion),
                SEND => driver.sent(&completion)?,
                _ => return Ok(driver.forwarder.counters()),
            }
        }
        driver.buffers.publish();
        while let Some(conn) = driver.rearm.pop() {
            driver.receive(conn)?;
        }
        driver.forwarder.take_dirty(&mut dirty);
        for conn in &dirty {
            let socket = driver.sockets[*conn as usize];
            if !socket.sending && !socket.closing {
                driver.send(*conn)?;
            }
        }
    }
}

impl Ring {
    /// Queues a submission; enters the kernel if the queue is full.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the only entries with a pointer are sends. Their bytes stay where they are in the forwarder until
            // the completion has been seen: it changes a buffer in flight only in `sent` and `close`. When the ring
            // itself is dropped, the thread that would carry out a pending send (DEFER_TASKRUN) no longer enters it.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        self.push(&entry.build().user_data(ACCEPT))
    }

    fn accepted(&mut self, completion: &cqueue::Entry, listener: &TcpListener) -> io::Result<()> {
        let answer = completion.result();
        if answer >= 0 {
            let socket = Socket { descriptor: answer, receiving: false, sending: false, closing: false };
            let conn = match self.free.pop() {
                Some(conn) => {
                    self.sockets[conn as usize] = socket;
                    conn
                }
                None => {
                    self.sockets.push(socket);
                    (self.sockets.len() - 1) as ConnIndex
                }
            };
            self.forwarder.open(conn);
            self.receive(conn)?;
        } else if !matches!(-answer, libc::ECONNABORTED | libc::EINTR | libc::EAGAIN) {
            return Err(io::Error::from_raw_os_error(-answer));
        }
        if cqueue::more(completion.flags()) { Ok(()) } else { self.accept(listener) }
    }

    fn receive(&mut self, conn: ConnIndex) -> io::Result<()> {
        let socket = &mut self.sockets[conn as usize];
        socket.receiving = true;
        let entry = opcode::RecvMulti::new(types::Fd(socket.descriptor), GROUP).build();
        self.push(&entry.user_data(RECEIVE | u64::from(conn)))
    }

    fn received(&mut self, completion: &cqueue::Entry) {
        let conn = completion.user_data() as ConnIndex;
        let answer = completion.result();
        let more = cqueue::more(completion.flags());
        if let Some(id) = cqueue::buffer_select(completion.flags()) {
            let bytes = self.buffers.filled(id, answer.max(0) as usize);
            let closing = self.sockets[conn as usize].closing;
            if !closing && !bytes.is_empty() && self.forwarder.received(conn, bytes).is_err() {
                self.shut_down(conn);
            }
            self.buffers.give_back(id);
        }
        if more {
            return;
        }
        self.sockets[conn as usize].receiving = false;
        if (answer > 0 || answer == -libc::ENOBUFS) && !self.sockets[conn as usize].closing {
            self.sockets[conn as usize].receiving = true;
            self.rearm.push(conn);
        } else {
            self.shut_down(conn);
            self.release_if_idle(conn);
        }
    }

    fn send(&mut self, conn: ConnIndex) -> io::Result<()> {
        let chunk = self.forwarder.outgoing(conn).chunk();
        if chunk.is_empty() {
            return Ok(());
        }
        let socket = &mut self.sockets[conn as usize];
        socket.sending = true;
        let length = u32::try_from(chunk.len()).expect("a connection's unsent bytes are bounded far below 4 GiB");
        let entry = opcode::Send::new(types::Fd(socket.descriptor), chunk.as_ptr(), length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(SEND | u64::from(conn));
        self.push(&entry)
    }

    fn sent(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let conn = completion.user_data() as ConnIndex;
        let answer = completion.result();
        self.sockets[conn as usize].sending = false;
        if answer < 0 {
            self.shut_down(conn);
        }
        if self.sockets[conn as usize].closing {
            self.release_if_idle(conn);
        } else if self.forwarder.sent(conn, answer as usize) {
            // Appended meanwhile, or a short write. Not deferred to the end of the turn: the connection need not be
            // on the dirty list.
            return self.send(conn);
        }
        Ok(())
    }

    /// Makes the receive and the send in flight end.
    fn shut_down(&mut self, conn: ConnIndex) {
        let socket = &mut self.sockets[conn as usize];
        if !std::mem::replace(&mut socket.closing, true) {
            // SAFETY: the descriptor is closed only in `release_if_idle`, so it still names this connection.
            unsafe { libc::shutdown(socket.descriptor, libc::SHUT_RDWR) };
        }
    }

    fn release_if_idle(&mut self, conn: ConnIndex) {
        let socket = self.sockets[conn as usize];
        if !socket.receiving && !socket.sending {
            close(socket.descriptor);
            self.forwarder.close(conn);
            self.free.push(conn);
        }
    }
}

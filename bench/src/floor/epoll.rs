//! The forwarder on edge-triggered epoll.

use super::socket::{checked, close};
use super::{ConnIndex, Counters, Forwarder, Stop};
use std::io::{self, Error, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Events fetched by one kernel entry.
const EVENTS_MAX: usize = 1024;

/// Bytes read by one kernel entry.
const READ_BYTES: usize = 64 * 1024;

/// Reads from one connection in one turn; the rest waits for the next turn.
const READS_PER_TURN: usize = 16;

const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;

/// Events after which the peer sends nothing more.
const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// A closed connection's descriptor.
const CLOSED: RawFd = -1;

#[derive(Debug, Clone, Copy)]
struct Socket {
    descriptor: RawFd,
    /// The last write did not fit: wait for the next edge.
    blocked: bool,
    /// On the list of connections that may still hold unread bytes.
    unread: bool,
    /// The peer has sent its last byte: read on until the end, no further edge will come.
    ending: bool,
}

struct Epoll {
    poll: OwnedFd,
    sockets: Vec<Socket>,
    free: Vec<ConnIndex>,
    /// Closed in this turn: reusable in the next, when no event of this one can name them.
    freed: Vec<ConnIndex>,
    unread: Vec<ConnIndex>,
    forwarder: Forwarder,
    buffer: Vec<u8>,
}

/// Forwards until a stop signal arrives.
///
/// # Errors
/// The operating system's, where it concerns more than one connection.
pub fn run(listener: &TcpListener, stop: &Stop) -> io::Result<Counters> {
    // SAFETY: epoll_create1 takes no pointers, and the descriptor it returns is owned by nothing else.
    let poll = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
    let mut driver = Epoll {
        poll,
        sockets: Vec::new(),
        free: Vec::new(),
        freed: Vec::new(),
        unread: Vec::new(),
        forwarder: Forwarder::default(),
        buffer: vec![0; READ_BYTES],
    };
    driver.watch(listener.as_raw_fd(), LISTENER, libc::EPOLLIN)?;
    driver.watch(stop.descriptor(), STOP, libc::EPOLLIN)?;
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
    let mut dirty = Vec::new();
    let mut again = Vec::new();
    loop {
        let timeout_millis = if driver.unread.is_empty() { -1 } else { 0 };
        // SAFETY: the pointer and the count describe the live vector `events`.
        let count = match checked(unsafe {
            libc::epoll_wait(driver.poll.as_raw_fd(), events.as_mut_ptr(), EVENTS_MAX as i32, timeout_millis)
        }) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        driver.free.append(&mut driver.freed);
        std::mem::swap(&mut again, &mut driver.unread);
        for conn in again.drain(..) {
            driver.sockets[conn as usize].unread = false;
            driver.read(conn);
        }
        for event in &events[..count] {
            match event.u64 {
                LISTENER => driver.accept(listener)?,
                STOP => return Ok(driver.forwarder.counters()),
                conn => driver.ready(conn as ConnIndex, event.events),
            }
        }
        driver.forwarder.take_dirty(&mut dirty);
        for conn in &dirty {
            driver.write(*conn);
        }
    }
}

impl Epoll {
    fn watch(&self, descriptor: RawFd, data: u64, interest: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: data };
        // SAFETY: both descriptors are open and `event` lives through the call, which copies it.
        checked(unsafe { libc::epoll_ctl(self.poll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) })?;
        Ok(())
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            // SAFETY: null pointers ask for no address.
            let answer = checked(unsafe {
                libc::accept4(
                    listener.as_raw_fd(),
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                )
            });
            let descriptor = match answer {
                Ok(descriptor) => descriptor,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(error) => return Err(error),
            };
            let socket = Socket { descriptor, blocked: false, unread: false, ending: false };
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
            let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
            self.watch(descriptor, u64::from(conn), interest)?;
        }
    }

    fn ready(&mut self, conn: ConnIndex, events: u32) {
        let socket = &mut self.sockets[conn as usize];
        if socket.descriptor == CLOSED {
            return;
        }
        if events & libc::EPOLLOUT as u32 != 0 && std::mem::take(&mut socket.blocked) {
            self.write(conn);
        }
        // The write may have ended the connection; then there is nothing to read, which `read` notices.
        self.sockets[conn as usize].ending |= events & ENDED != 0;
        if events & !(libc::EPOLLOUT as u32) != 0 {
            self.read(conn);
        }
    }

    fn read(&mut self, conn: ConnIndex) {
        for _ in 0..READS_PER_TURN {
            let Socket { descriptor, ending, .. } = self.sockets[conn as usize];
            if descriptor == CLOSED {
                return;
            }
            // SAFETY: the pointer and the length describe the live vector `buffer`.
            let count = unsafe { libc::recv(descriptor, self.buffer.as_mut_ptr().cast(), READ_BYTES, 0) };
            match count {
                1.. => {
                    let count = count as usize;
                    if self.forwarder.received(conn, &self.buffer[..count]).is_err() {
                        return self.close(conn);
                    }
                    // epoll(7): on a stream, a short read means that the buffer was emptied, so the next edge comes.
                    if count < READ_BYTES && !ending {
                        return;
                    }
                }
                0 => return self.close(conn),
                _ => match Error::last_os_error().kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted => {}
                    _ => return self.close(conn),
                },
            }
        }
        let socket = &mut self.sockets[conn as usize];
        if !std::mem::replace(&mut socket.unread, true) {
            self.unread.push(conn);
        }
    }

    fn write(&mut self, conn: ConnIndex) {
        let Socket { descriptor, blocked, .. } = self.sockets[conn as usize];
        if descriptor == CLOSED || blocked {
            return;
        }
        loop {
            let chunk = self.forwarder.outgoing(conn).chunk();
            if chunk.is_empty() {
                return;
            }
            // SAFETY: the pointer and the length describe the live slice `chunk`.
            let count = unsafe { libc::send(descriptor, chunk.as_ptr().cast(), chunk.len(), libc::MSG_NOSIGNAL) };
            if count >= 0 {
                if !self.forwarder.sent(conn, count as usize) {
                    return;
                }
                continue;
            }
            match Error::last_os_error().kind() {
                ErrorKind::WouldBlock => {
                    self.sockets[conn as usize].blocked = true;
                    return;
                }
                ErrorKind::Interrupted => {}
                _ => return self.close(conn),
            }
        }
    }

    fn close(&mut self, conn: ConnIndex) {
        let socket = &mut self.sockets[conn as usize];
        close(std::mem::replace(&mut socket.descriptor, CLOSED));
        self.forwarder.close(conn);
        self.freed.push(conn);
    }
}

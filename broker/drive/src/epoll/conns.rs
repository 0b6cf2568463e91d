//! Connections of the epoll driver, and what a machine's commands do to them.

use super::poller::Poller;
use crate::links::{Descriptor, HandedOver};
use crate::listen::{self, ListenerChange};
use crate::shard::{Context, Transport};
use crate::socket;
use crate::table::Table;
use crate::timers::Timers;
use ringmq_core::machine::{CloseHow, Command, ConnId, ShardId, Time};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// The machine knows the connection.
pub(super) const OPEN: u16 = 1;
/// The kernel may have bytes for it.
pub(super) const READABLE: u16 = 1 << 1;
/// The last send took less than offered: wait to be told that there is room.
pub(super) const BLOCKED: u16 = 1 << 2;
/// The machine does not want bytes at present.
pub(super) const PAUSED: u16 = 1 << 3;
/// On the list of connections to read from.
pub(super) const LISTED: u16 = 1 << 4;
/// The machine is done with it; its last bytes are being sent.
pub(super) const FLUSHING: u16 = 1 << 5;
/// Our end-of-file has been sent; what still arrives is thrown away until the peer's.
pub(super) const LINGERING: u16 = 1 << 6;
/// The peer will send nothing more: a short read does not mean that the socket is empty.
pub(super) const HUNG_UP: u16 = 1 << 7;
/// The peer's end-of-file has been read.
pub(super) const ENDED: u16 = 1 << 8;
/// An outgoing connection that is not established yet.
pub(super) const CONNECTING: u16 = 1 << 9;

/// It has passed its listener's gate.
pub(super) const ENTERED: u16 = 1 << 10;

/// Events of listeners carry their number and this bit; connections carry generation and slot.
pub(super) const LISTENER: u64 = 1 << 63;

/// Generations leave the highest bit of an event's token to listeners.
const GENERATION_MASK: u32 = u32::MAX >> 2;

/// One connection slot.
#[derive(Debug)]
pub(super) struct Conn {
    /// -1 in an unused slot.
    pub(super) fd: RawFd,
    /// Counts the uses of the slot.
    pub(super) generation: u32,
    pub(super) listener: u16,
    pub(super) flags: u16,
}

impl Default for Conn {
    fn default() -> Self {
        Self { fd: -1, generation: 0, listener: 0, flags: 0 }
    }
}

impl Conn {
    pub(super) const fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }
}

/// The sockets of one shard.
pub(super) struct Io {
    pub(super) poller: Poller,
    pub(super) table: Table<Conn>,
    /// By number; those that are no more have left a hole.
    pub(super) listeners: Vec<Option<OwnedFd>>,
    /// Slots to read from in the next turn.
    pub(super) ready: Vec<u32>,
    /// Tokens and remote addresses of connections being established, by slot.
    pub(super) connecting: HashMap<u32, (u64, SocketAddr)>,
    /// Connections that were established at once: told to the machine within the turn.
    pub(super) established: Vec<u32>,
    pub(super) flush_timers: Timers,
    pub(super) linger_timers: Timers,
    pub(super) spare: Option<OwnedFd>,
    /// Accepting is suspended until then.
    pub(super) accept_at: Option<Time>,
    /// Listeners that accept nothing until then, because connections came too fast.
    pub(super) paused: Vec<(u16, Time)>,
}

impl Io {
    /// Takes a socket into the table and watches it.
    pub(super) fn insert(&mut self, fd: OwnedFd, listener: u16, flags: u16) -> Option<u32> {
        let slot = self.table.claim();
        let conn = self.table.at_mut(slot);
        conn.flags = flags;
        conn.listener = listener;
        let token = u64::from(conn.generation) << 32 | u64::from(slot);
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        if self.poller.add(fd.as_raw_fd(), interest, token).is_err() {
            // Out of memory, or over the limit of watches: the socket is closed here.
            self.table.release(slot);
            return None;
        }
        self.table.at_mut(slot).fd = fd.into_raw_fd();
        Some(slot)
    }

    /// Frees a slot; the descriptor is the caller's.
    fn vacate(&mut self, slot: u32, cx: &mut Context) -> Option<OwnedFd> {
        cx.fx.outbox.release(ConnId(slot));
        self.connecting.remove(&slot);
        let conn = self.table.at_mut(slot);
        if conn.has(ENTERED) {
            cx.leave(conn.listener);
        }
        let fd = std::mem::replace(&mut conn.fd, -1);
        conn.generation = (conn.generation + 1) & GENERATION_MASK;
        conn.flags = 0;
        self.table.release(slot);
        // SAFETY: `insert` took the descriptor out of an OwnedFd, and replacing it by -1 makes this the only owner.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Gives up an outgoing connection that was not established.
    pub(super) fn abandon(&mut self, slot: u32, cx: &mut Context) {
        drop(self.vacate(slot, cx));
        cx.stats.syscalls += 1;
    }

    /// Closes a connection now.
    pub(super) fn drop_conn(&mut self, slot: u32, cx: &mut Context) {
        drop(self.vacate(slot, cx));
        cx.stats.closed += 1;
        cx.stats.syscalls += 1;
    }

    /// Puts a connection on the list to be read, if there is something to read and somebody who wants it.
    pub(super) fn list(&mut self, slot: u32) {
        let conn = self.table.at_mut(slot);
        if conn.has(READABLE) && !conn.has(PAUSED | LISTED | CONNECTING) {
            conn.flags |= LISTED;
            self.ready.push(slot);
        }
    }

    /// The machine will not be told anything more: send the rest, then close.
    pub(super) fn flush_and_close(&mut self, slot: u32, cx: &mut Context) {
        let conn = self.table.at_mut(slot);
        conn.flags = conn.flags & !(OPEN | PAUSED) | FLUSHING;
        if cx.fx.outbox.unsent(ConnId(slot)) > 0 {
            self.flush_timers.start(cx.now, slot, conn.generation);
        }
        self.list(slot);
        self.finish_flush(slot, cx);
    }

    /// Goes on with closing once nothing is left to send.
    pub(super) fn finish_flush(&mut self, slot: u32, cx: &mut Context) {
        if cx.fx.outbox.unsent(ConnId(slot)) > 0 {
            return;
        }
        let conn = self.table.at_mut(slot);
        if conn.has(ENDED) {
            self.drop_conn(slot, cx);
        } else if !conn.has(LINGERING) {
            conn.flags |= LINGERING;
            socket::shut_sending(conn.fd);
            cx.stats.syscalls += 1;
            self.linger_timers.start(cx.now, slot, conn.generation);
        }
    }

    /// Ends connections whose time to flush or linger is over.
    pub(super) fn expire(&mut self, cx: &mut Context) {
        while let Some((slot, generation)) = self.flush_timers.expired(cx.now) {
            let conn = self.table.at(slot);
            if conn.generation == generation && conn.has(FLUSHING) && !conn.has(LINGERING) {
                cx.stats.flush_timeouts += 1;
                self.drop_conn(slot, cx);
            }
        }
        while let Some((slot, generation)) = self.linger_timers.expired(cx.now) {
            if self.table.at(slot).generation == generation {
                self.drop_conn(slot, cx);
            }
        }
    }

    fn connect(&mut self, token: u64, remote: SocketAddr, local: Option<SocketAddr>, cx: &mut Context) {
        let fd = match socket::outgoing(remote, local, true) {
            Ok(fd) => fd,
            Err(error) => {
                cx.failed.push((token, error.raw_os_error().unwrap_or(libc::EIO)));
                return;
            }
        };
        cx.stats.syscalls += 4;
        let now = match socket::start_connect(fd.as_raw_fd(), remote) {
            Ok(now) => now,
            Err(error) => {
                cx.failed.push((token, error));
                return;
            }
        };
        let Some(slot) = self.insert(fd, 0, CONNECTING) else {
            cx.failed.push((token, libc::ENOMEM));
            return;
        };
        self.connecting.insert(slot, (token, remote));
        if now {
            self.established.push(slot);
        }
    }

    fn hand_off(&mut self, conn: ConnId, to: ShardId, bytes: Vec<u8>, told: Option<SocketAddr>, cx: &mut Context) {
        let leaving = self.table.at_mut(conn.0);
        let (listener, entered) = (leaving.listener, leaving.has(ENTERED));
        // It stays within the gate, unless it does not get there.
        leaving.flags &= !ENTERED;
        let Some(fd) = self.vacate(conn.0, cx) else { return };
        cx.stats.syscalls += 2;
        let Some(peer) = socket::peer_addr(fd.as_raw_fd()) else {
            cx.stats.closed += 1;
            if entered {
                cx.leave(listener);
            }
            return;
        };
        if self.poller.remove(fd.as_raw_fd()).is_ok() {
            cx.port
                .depart(to, HandedOver { socket: Descriptor::File(fd), peer: told.unwrap_or(peer), listener, bytes });
            cx.stats.handed_off += 1;
        } else if entered {
            cx.leave(listener);
        }
    }
}

impl Transport for Io {
    fn command(&mut self, command: Command, cx: &mut Context) {
        let (Command::Close { conn, .. }
        | Command::PauseReading { conn }
        | Command::ResumeReading { conn }
        | Command::HandOff { conn, .. }) = command
        else {
            if let Command::Connect { token, remote, local } = command {
                self.connect(token, remote, local, cx);
            }
            return;
        };
        if !self.is_open(conn) {
            return;
        }
        match command {
            Command::Close { how: CloseHow::Flush, .. } => self.flush_and_close(conn.0, cx),
            Command::Close { how: CloseHow::Abort, .. } => self.drop_conn(conn.0, cx),
            Command::PauseReading { .. } => self.table.at_mut(conn.0).flags |= PAUSED,
            Command::ResumeReading { .. } => {
                self.table.at_mut(conn.0).flags &= !PAUSED;
                self.list(conn.0);
            }
            Command::HandOff { to, bytes, peer, .. } => self.hand_off(conn, to, bytes, peer, cx),
            Command::Connect { .. } => unreachable!("handled above"),
        }
    }

    fn adopt(&mut self, socket: Descriptor, listener: u16, cx: &mut Context) -> Option<ConnId> {
        let Some(slot) = self.insert(socket.into_file(), listener, OPEN | READABLE | ENTERED) else {
            cx.leave(listener);
            return None;
        };
        self.list(slot);
        Some(ConnId(slot))
    }

    fn is_open(&self, conn: ConnId) -> bool {
        conn.0 < self.table.capacity() && self.table.at(conn.0).has(OPEN)
    }

    fn change_listener(&mut self, change: ListenerChange, cx: &mut Context) -> io::Result<()> {
        match change {
            ListenerChange::Open { listener, socket, gate } => {
                socket::set_nonblocking(socket.as_raw_fd(), true)?;
                // While accepting is suspended none is watched.
                if self.accept_at.is_none() {
                    self.poller.add(socket.as_raw_fd(), libc::EPOLLIN, LISTENER | u64::from(listener))?;
                }
                listen::place(&mut self.listeners, listener, socket)?;
                cx.options.gates.put(listener, gate);
                Ok(())
            }
            ListenerChange::Close { listener } => {
                // The last descriptor of a socket takes it out of the epoll instance.
                drop(self.listeners.get_mut(usize::from(listener)).and_then(Option::take));
                Ok(())
            }
        }
    }

    fn stop_accepting(&mut self, _cx: &mut Context) {
        self.listeners.clear();
        self.accept_at = None;
        self.paused.clear();
    }

    fn connections(&self) -> usize {
        self.table.used()
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        for slot in 0..self.table.capacity() {
            let fd = std::mem::replace(&mut self.table.at_mut(slot).fd, -1);
            if fd >= 0 {
                // SAFETY: the table owns the descriptor, and no longer names it.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
}

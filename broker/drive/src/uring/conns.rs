//! Connections of the io_uring driver, and what a machine's commands do to them.
//!
//! A slot is free again only when its receive has ended and its send has completed: until then the kernel may still use
//! what belongs to it. Closing is therefore two steps, [`Io::die`] which cancels, and [`Io::settle`] which closes.

use super::buffers::GROUP;
use super::ring::Ring;
use super::token::{GENERATION_MASK, Op, token};
use crate::links::HandedOver;
use crate::shard::{Context, Transport};
use crate::socket;
use crate::table::Table;
use crate::timers::Timers;
use io_uring::{opcode, squeue, types};
use ringmq_core::machine::{CloseHow, Command, ConnId, ShardId, Time};
use socket2::SockAddr;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// The machine knows the connection.
pub(super) const OPEN: u16 = 1;
/// A receive is armed.
pub(super) const RECEIVING: u16 = 1 << 1;
/// The armed receive has been cancelled, and has not ended yet.
pub(super) const CANCELLED: u16 = 1 << 2;
/// On the list of connections whose receive is to be armed at the end of the turn.
pub(super) const LISTED: u16 = 1 << 3;
/// A send is in flight.
pub(super) const SENDING: u16 = 1 << 4;
/// It can no longer be handed over: receive by multishot.
pub(super) const SETTLED_HERE: u16 = 1 << 5;
/// The machine does not want bytes at present.
pub(super) const PAUSED: u16 = 1 << 6;
/// The machine is done with it; its last bytes are being sent.
pub(super) const FLUSHING: u16 = 1 << 7;
/// Our end-of-file has been sent; what still arrives is thrown away until the peer's.
pub(super) const LINGERING: u16 = 1 << 8;
/// The peer's end-of-file has been seen.
pub(super) const ENDED: u16 = 1 << 9;
/// To be closed as soon as the kernel is done with it.
pub(super) const DYING: u16 = 1 << 10;
/// An outgoing connection that is not established yet.
pub(super) const CONNECTING: u16 = 1 << 11;
/// To be handed over as soon as its receive has ended.
pub(super) const DEPARTING: u16 = 1 << 12;

/// Most bytes of one send operation, whose result is a signed 32-bit number.
const SEND_BYTES_MAX: usize = 1 << 30;

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

/// A listening socket.
pub(super) struct Listener {
    pub(super) fd: OwnedFd,
    /// Its accept operation is armed.
    pub(super) armed: bool,
}

/// An outgoing connection being established.
pub(super) struct Connecting {
    pub(super) token: u64,
    pub(super) remote: SocketAddr,
    /// What the kernel reads.
    address: SockAddr,
}

/// A connection that waits for its receive to end before it is handed over.
pub(super) struct Departing {
    to: ShardId,
    bytes: Vec<u8>,
}

/// The sockets of one shard.
pub(super) struct Io {
    pub(super) ring: Ring,
    pub(super) table: Table<Conn>,
    pub(super) listeners: Vec<Listener>,
    /// Some listener is not armed.
    pub(super) accept_due: bool,
    /// Accepting is suspended until then.
    pub(super) accept_at: Option<Time>,
    /// Slots whose receive is to be armed at the end of the turn.
    pub(super) arming: Vec<u32>,
    /// Slots with bytes that were appended while a send was in flight which has completed since.
    pub(super) resending: Vec<u32>,
    pub(super) connecting: HashMap<u32, Box<Connecting>>,
    pub(super) departing: HashMap<u32, Departing>,
    pub(super) flush_timers: Timers,
    pub(super) linger_timers: Timers,
    pub(super) spare: Option<OwnedFd>,
    /// Multishot receives exist.
    pub(super) multishot: bool,
    /// Connections can be handed over: there are other shards.
    pub(super) movable: bool,
}

/// Flags of an operation whose success is of no interest.
fn silent(entry: squeue::Entry) -> squeue::Entry {
    entry.flags(squeue::Flags::SKIP_SUCCESS)
}

impl Io {
    /// Takes a socket into the table; its receive is armed at the end of the turn.
    pub(super) fn insert(&mut self, fd: OwnedFd, listener: u16, flags: u16) -> u32 {
        let slot = self.table.claim();
        let conn = self.table.at_mut(slot);
        conn.fd = fd.into_raw_fd();
        conn.listener = listener;
        conn.flags = if self.movable { flags } else { flags | SETTLED_HERE };
        self.list(slot);
        slot
    }

    /// Puts a connection on the list of those to receive from.
    pub(super) fn list(&mut self, slot: u32) {
        let conn = self.table.at_mut(slot);
        if !conn.has(RECEIVING | LISTED | CONNECTING | ENDED) {
            conn.flags |= LISTED;
            self.arming.push(slot);
        }
    }

    /// Arms the receives that were listed. Called when the turn's buffers have been given back.
    pub(super) fn arm_receives(&mut self) {
        for index in 0..self.arming.len() {
            let slot = self.arming[index];
            let multishot = self.multishot;
            let conn = self.table.at_mut(slot);
            conn.flags &= !LISTED;
            if conn.has(RECEIVING | PAUSED | ENDED | DYING) || !conn.has(OPEN | FLUSHING) {
                continue;
            }
            conn.flags = conn.flags & !CANCELLED | RECEIVING;
            let fd = types::Fd(conn.fd);
            let entry = if multishot && conn.has(SETTLED_HERE) {
                opcode::RecvMulti::new(fd, GROUP).build()
            } else {
                let receive = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(GROUP).build();
                receive.flags(squeue::Flags::BUFFER_SELECT)
            };
            let entry = entry.user_data(token(Op::Receive, conn.generation, slot));
            // SAFETY: the kernel writes to buffers of the group, which live until the ring has been quiesced.
            unsafe { self.ring.push(entry) };
        }
        self.arming.clear();
    }

    /// Queues a send of what a connection has to send, unless one is in flight.
    pub(super) fn send(&mut self, id: ConnId, cx: &mut Context) {
        if id.0 >= self.table.capacity() {
            cx.fx.outbox.release(id);
            return;
        }
        let conn = self.table.at_mut(id.0);
        if conn.has(SENDING) {
            return;
        }
        if !conn.has(OPEN | FLUSHING) || conn.has(DYING) {
            cx.fx.outbox.release(id);
            return;
        }
        if let Some(bytes) = cx.fx.outbox.start_send(id) {
            Self::push_send(&mut self.ring, conn, id.0, bytes);
        }
    }

    /// Queues what is left of a send that the kernel has only taken a part of.
    pub(super) fn send_rest(&mut self, id: ConnId, cx: &Context) {
        let conn = self.table.at_mut(id.0);
        Self::push_send(&mut self.ring, conn, id.0, cx.fx.outbox.rest_of_send(id));
    }

    fn push_send(ring: &mut Ring, conn: &mut Conn, slot: u32, bytes: &[u8]) {
        assert!(!conn.has(SENDING), "one send a connection");
        conn.flags |= SENDING | SETTLED_HERE;
        let len = u32::try_from(bytes.len().min(SEND_BYTES_MAX)).expect("below 2^31");
        let send = opcode::Send::new(types::Fd(conn.fd), bytes.as_ptr(), len)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(token(Op::Send, conn.generation, slot));
        // SAFETY: the outbox keeps bytes in flight in place until `sent` or `release`, which are called only after the
        // completion; when the shard ends, the ring is quiesced before the outbox goes.
        unsafe { ring.push(send) };
    }

    /// Cancels a connection's receive, if one is armed.
    pub(super) fn cancel_receive(&mut self, slot: u32) {
        let conn = self.table.at_mut(slot);
        if conn.has(RECEIVING) && !conn.has(CANCELLED) {
            conn.flags |= CANCELLED;
            let target = token(Op::Receive, conn.generation, slot);
            self.cancel(target);
        }
    }

    fn cancel(&mut self, target: u64) {
        let cancel = silent(opcode::AsyncCancel::new(target).build()).user_data(token(Op::Nothing, 0, 0));
        // SAFETY: a cancellation points to no memory.
        unsafe { self.ring.push(cancel) };
    }

    /// Closes a descriptor without a system call of its own.
    pub(super) fn close_fd(&mut self, fd: OwnedFd) {
        let close = silent(opcode::Close::new(types::Fd(fd.into_raw_fd())).build()).user_data(token(Op::Nothing, 0, 0));
        // SAFETY: closing points to no memory, and the descriptor has just been given up by its owner.
        unsafe { self.ring.push(close) };
    }

    /// Ends a connection whose remaining bytes do not matter: cancels what is under way.
    pub(super) fn die(&mut self, slot: u32, cx: &mut Context) {
        let conn = self.table.at_mut(slot);
        if conn.has(DYING) {
            return;
        }
        conn.flags = conn.flags & !(OPEN | FLUSHING | LINGERING | PAUSED) | DYING;
        let generation = conn.generation;
        let (sending, connecting) = (conn.has(SENDING), conn.has(CONNECTING));
        self.cancel_receive(slot);
        if sending {
            self.cancel(token(Op::Send, generation, slot));
        }
        if connecting {
            self.cancel(token(Op::Connect, generation, slot));
        }
        self.settle(slot, cx);
    }

    /// Closes a dying connection, or hands over a departing one, if the kernel is done with it.
    pub(super) fn settle(&mut self, slot: u32, cx: &mut Context) {
        let conn = self.table.at(slot);
        if conn.has(RECEIVING | SENDING | CONNECTING) {
            return;
        }
        if conn.has(DYING) {
            let fd = self.vacate(slot, cx);
            self.close_fd(fd);
            cx.stats.closed += 1;
        } else if conn.has(DEPARTING) {
            let listener = conn.listener;
            let fd = self.vacate(slot, cx);
            let Some(Departing { to, bytes }) = self.departing.remove(&slot) else { return };
            cx.stats.syscalls += 1;
            if let Some(peer) = socket::peer_addr(fd.as_raw_fd()) {
                cx.port.depart(to, HandedOver { fd, peer, listener, bytes });
                cx.stats.handed_off += 1;
            } else {
                self.close_fd(fd);
                cx.stats.closed += 1;
            }
        }
    }

    /// Gives up an outgoing connection that was not established.
    pub(super) fn abandon(&mut self, slot: u32, cx: &mut Context) {
        let fd = self.vacate(slot, cx);
        self.close_fd(fd);
    }

    /// Frees a slot.
    fn vacate(&mut self, slot: u32, cx: &mut Context) -> OwnedFd {
        cx.fx.outbox.release(ConnId(slot));
        let conn = self.table.at_mut(slot);
        assert!(conn.fd >= 0, "a slot in use");
        let fd = std::mem::replace(&mut conn.fd, -1);
        conn.generation = (conn.generation + 1) & GENERATION_MASK;
        conn.flags = 0;
        self.table.release(slot);
        // SAFETY: `insert` took the descriptor out of an OwnedFd, and replacing it by -1 makes this the only owner.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    /// The machine will not be told anything more: send the rest, then close.
    pub(super) fn flush_and_close(&mut self, slot: u32, cx: &mut Context) {
        let conn = self.table.at_mut(slot);
        conn.flags = conn.flags & !(OPEN | PAUSED) | FLUSHING;
        let unsent = cx.fx.outbox.unsent(ConnId(slot)) > 0;
        if unsent {
            self.flush_timers.start(cx.now, slot, conn.generation);
        }
        self.list(slot);
        self.finish_flush(slot, cx);
    }

    /// Goes on with closing once nothing is left to send.
    pub(super) fn finish_flush(&mut self, slot: u32, cx: &mut Context) {
        let conn = self.table.at_mut(slot);
        if conn.has(SENDING | LINGERING | DYING) || cx.fx.outbox.unsent(ConnId(slot)) > 0 {
            return;
        }
        if conn.has(ENDED) {
            self.die(slot, cx);
        } else {
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
                self.die(slot, cx);
            }
        }
        while let Some((slot, generation)) = self.linger_timers.expired(cx.now) {
            if self.table.at(slot).generation == generation {
                self.die(slot, cx);
            }
        }
    }

    fn connect(&mut self, number: u64, remote: SocketAddr, local: Option<SocketAddr>, cx: &mut Context) {
        cx.stats.syscalls += 3;
        let fd = match socket::outgoing(remote, local, false) {
            Ok(fd) => fd,
            Err(error) => {
                cx.failed.push((number, error.raw_os_error().unwrap_or(libc::EIO)));
                return;
            }
        };
        let slot = self.insert(fd, 0, CONNECTING | SETTLED_HERE);
        let conn = self.table.at(slot);
        let connecting = Box::new(Connecting { token: number, remote, address: SockAddr::from(remote) });
        let (address, len) = (connecting.address.as_ptr().cast(), connecting.address.len());
        let entry = opcode::Connect::new(types::Fd(conn.fd), address, len).build();
        let entry = entry.user_data(token(Op::Connect, conn.generation, slot));
        self.connecting.insert(slot, connecting);
        // SAFETY: the address is in a box that is kept until the completion.
        unsafe { self.ring.push(entry) };
    }

    /// Keeps what a departing connection received before its receive ended.
    pub(super) fn keep_for_departure(&mut self, slot: u32, bytes: &[u8]) {
        if let Some(departing) = self.departing.get_mut(&slot) {
            departing.bytes.extend_from_slice(bytes);
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
            Command::Close { how: CloseHow::Abort, .. } => self.die(conn.0, cx),
            Command::PauseReading { .. } => {
                self.table.at_mut(conn.0).flags |= PAUSED;
                self.cancel_receive(conn.0);
            }
            Command::ResumeReading { .. } => {
                self.table.at_mut(conn.0).flags &= !PAUSED;
                self.list(conn.0);
            }
            Command::HandOff { to, bytes, .. } => {
                let flags = &mut self.table.at_mut(conn.0).flags;
                *flags = *flags & !OPEN | DEPARTING;
                self.departing.insert(conn.0, Departing { to, bytes });
                self.cancel_receive(conn.0);
                self.settle(conn.0, cx);
            }
            Command::Connect { .. } => unreachable!("handled above"),
        }
    }

    fn adopt(&mut self, fd: OwnedFd, listener: u16, _cx: &mut Context) -> Option<ConnId> {
        Some(ConnId(self.insert(fd, listener, OPEN | SETTLED_HERE)))
    }

    fn is_open(&self, conn: ConnId) -> bool {
        conn.0 < self.table.capacity() && self.table.at(conn.0).has(OPEN)
    }

    fn stop_accepting(&mut self, _cx: &mut Context) {
        self.accept_at = None;
        self.accept_due = false;
        for (index, listener) in std::mem::take(&mut self.listeners).into_iter().enumerate() {
            if listener.armed {
                self.cancel(token(Op::Accept, 0, u32::try_from(index).expect("at most 65,536 listeners")));
            }
            self.close_fd(listener.fd);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_a_few_bytes() {
        assert!(size_of::<Conn>() <= 16, "{} bytes", size_of::<Conn>());
    }
}

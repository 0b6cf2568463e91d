//! Connections of the io_uring driver, and what a machine's commands do to them.
//!
//! A slot is free again only when its receive has ended and its send has completed: until then the kernel may still use
//! what belongs to it. Closing is therefore two steps, [`Io::die`] which cancels, and [`Io::settle`] which closes.

use super::arrival;
use super::buffers::GROUP;
use super::bulk::{BULK_GROUP, Bulk};
use super::direct::Direct;
use super::ring::Ring;
use super::token::{GENERATION_MASK, Op, token};
use crate::links::{Descriptor, HandedOver};
use crate::listen::{self, ListenerChange};
use crate::shard::{Context, Transport};
use crate::socket;
use crate::table::Table;
use crate::timers::Timers;
use io_uring::{opcode, squeue, types};
use ringmq_core::machine::{CloseHow, Command, ConnId, ShardId, Stretch, Time};
use socket2::SockAddr;
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::io;
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
/// Being put into the table of another shard's ring.
pub(super) const MOVING: u16 = 1 << 13;

/// The armed receive takes larger buffers.
pub(super) const BULK: u16 = 1 << 15;

/// It has passed its listener's gate.
pub(super) const ENTERED: u16 = 1 << 14;

/// Most bytes of one send operation, whose result is a signed 32-bit number.
const SEND_BYTES_MAX: usize = 1 << 30;

/// One connection slot.
#[derive(Debug)]
pub(super) struct Conn {
    /// A file descriptor, or a slot of the ring's table; -1 in an unused slot.
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
    /// It accepts nothing until then, because connections came too fast.
    pub(super) paused_until: Option<Time>,
}

/// An outgoing connection being established.
pub(super) struct Connecting {
    pub(super) token: u64,
    pub(super) remote: SocketAddr,
    /// What the kernel reads.
    address: SockAddr,
    /// A socket on its way into the ring's table, and where the kernel writes its slot there.
    installing: Option<(UnsafeCell<RawFd>, OwnedFd)>,
}

/// A connection that waits for its receive to end before it is handed over.
pub(super) struct Departing {
    pub(super) to: ShardId,
    pub(super) bytes: Vec<u8>,
    /// What the machine says its other end is.
    pub(super) peer: Option<SocketAddr>,
}

/// The sockets of one shard.
pub(super) struct Io {
    pub(super) ring: Ring,
    /// Sockets are direct descriptors.
    pub(super) direct: Option<Direct>,
    pub(super) table: Table<Conn>,
    /// By number; those that are no more have left a hole.
    pub(super) listeners: Vec<Option<Listener>>,
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
    /// Receives tell when the bytes arrived.
    pub(super) timed: bool,
}

/// What names an outgoing socket until it is in the ring's table: no slot, and not that of an unused entry.
const NOT_INSTALLED: RawFd = RawFd::MAX;

/// An operation whose descriptor is that of a connection: a slot of the ring's table if those are `direct`.
fn on_socket(entry: squeue::Entry, direct: bool) -> squeue::Entry {
    if direct { entry.flags(squeue::Flags::FIXED_FILE) } else { entry }
}

/// Flags of an operation whose success is of no interest.
fn silent(entry: squeue::Entry) -> squeue::Entry {
    entry.flags(squeue::Flags::SKIP_SUCCESS)
}

impl Io {
    /// Listens on one more; its accepts are armed at the end of the turn.
    pub(super) fn open_listener(&mut self, number: u16, socket: OwnedFd) -> io::Result<()> {
        socket::set_nonblocking(socket.as_raw_fd(), false)?;
        listen::place(&mut self.listeners, number, Listener { fd: socket, armed: false, paused_until: None })?;
        if let Some(direct) = &mut self.direct {
            direct.prepare_accepts(number);
        }
        self.accept_due = true;
        Ok(())
    }

    /// Stops listening on one listener, if it is there.
    fn close_listener(&mut self, number: u16) {
        let Some(listener) = self.listeners.get_mut(usize::from(number)).and_then(Option::take) else { return };
        if self.direct.is_some() {
            self.stop_direct_accepts(number);
        } else if listener.armed {
            self.cancel(token(Op::Accept, 0, number.into()));
        }
        self.close_fd(listener.fd);
    }

    /// Takes a socket into the table; its receive is armed at the end of the turn.
    pub(super) fn insert(&mut self, fd: RawFd, listener: u16, flags: u16) -> u32 {
        let slot = self.table.claim();
        let conn = self.table.at_mut(slot);
        conn.fd = fd;
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
    pub(super) fn arm_receives(&mut self, bulk: &Bulk) {
        for index in 0..self.arming.len() {
            let slot = self.arming[index];
            let multishot = self.multishot;
            let conn = self.table.at_mut(slot);
            conn.flags &= !(LISTED | BULK);
            if conn.has(RECEIVING | PAUSED | ENDED | DYING) || !conn.has(OPEN | FLUSHING) {
                continue;
            }
            conn.flags = conn.flags & !CANCELLED | RECEIVING;
            let fd = types::Fd(conn.fd);
            let entry = if self.timed {
                arrival::receive(fd)
            } else if multishot && conn.has(SETTLED_HERE) {
                if bulk.has(slot) {
                    conn.flags |= BULK;
                    opcode::RecvMulti::new(fd, BULK_GROUP).build()
                } else {
                    opcode::RecvMulti::new(fd, GROUP).build()
                }
            } else {
                let receive = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(GROUP).build();
                receive.flags(squeue::Flags::BUFFER_SELECT)
            };
            let entry = on_socket(entry, self.direct.is_some()).user_data(token(Op::Receive, conn.generation, slot));
            // SAFETY: the kernel writes to buffers of the group, which live until the ring has been quiesced.
            unsafe { self.ring.push(entry) };
        }
        self.arming.clear();
    }

    /// Whether a connection's receives can take larger buffers: if they are multishot ones without times.
    pub(super) fn may_take_more(&self, slot: u32) -> bool {
        self.multishot && !self.timed && self.table.at(slot).has(SETTLED_HERE)
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
        if let Some(next) = cx.fx.outbox.start_send(id) {
            Self::push_send(&mut self.ring, &mut self.direct, conn, id.0, next);
        }
    }

    /// Queues what is left of a send of which the kernel has only taken a part, or been given one.
    pub(super) fn send_rest(&mut self, id: ConnId, cx: &Context) {
        let conn = self.table.at_mut(id.0);
        Self::push_send(&mut self.ring, &mut self.direct, conn, id.0, cx.fx.outbox.rest_of_send(id));
    }

    fn push_send(ring: &mut Ring, direct: &mut Option<Direct>, conn: &mut Conn, slot: u32, next: Stretch<'_>) {
        assert!(!conn.has(SENDING), "one send a connection");
        if let Some(direct) = direct
            && !conn.has(SETTLED_HERE)
        {
            direct.peers.remove(&slot);
        }
        conn.flags |= SENDING | SETTLED_HERE;
        let len = u32::try_from(next.bytes.len().min(SEND_BYTES_MAX)).expect("below 2^31");
        let more = if next.more { libc::MSG_MORE } else { 0 };
        let send = opcode::Send::new(types::Fd(conn.fd), next.bytes.as_ptr(), len)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL | more)
            .build();
        let send = on_socket(send, direct.is_some()).user_data(token(Op::Send, conn.generation, slot));
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

    /// Accepts nothing more from a listener until then.
    pub(super) fn pause_accepting(&mut self, listener: u16, until: Time) {
        let Some(Some(paused)) = self.listeners.get_mut(usize::from(listener)) else { return };
        let first = paused.paused_until.is_none();
        paused.paused_until = paused.paused_until.max(Some(until));
        self.accept_due = true;
        if first && self.direct.is_some() {
            self.cancel_direct_accepts(listener);
        } else if first && paused.armed {
            self.cancel(token(Op::Accept, 0, u32::from(listener)));
        }
    }

    /// When a paused listener may accept again, if there is one.
    pub(super) fn resume_accepting_at(&self) -> Option<Time> {
        let paused = || self.listeners.iter().flatten().filter_map(|listener| listener.paused_until);
        if self.accept_due { paused().min() } else { None }
    }

    pub(super) fn cancel(&mut self, target: u64) {
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

    /// Closes a connection's socket.
    pub(super) fn close_socket(&mut self, fd: RawFd) {
        let close = if self.direct.is_some() {
            opcode::Close::new(types::Fixed(fd.cast_unsigned())).build()
        } else {
            opcode::Close::new(types::Fd(fd)).build()
        };
        // SAFETY: closing points to no memory, and callers give the socket up.
        unsafe { self.ring.push(silent(close).user_data(token(Op::Nothing, 0, 0))) };
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
        if conn.has(RECEIVING | SENDING | CONNECTING | MOVING) {
            return;
        }
        if conn.has(DYING) {
            let fd = self.vacate(slot, cx);
            self.close_socket(fd);
            cx.stats.closed += 1;
        } else if conn.has(DEPARTING) {
            let Some(departing) = self.departing.get(&slot) else { return };
            if self.direct.is_some() {
                let to = departing.to;
                self.table.at_mut(slot).flags |= MOVING;
                self.send_direct(slot, to, cx);
                return;
            }
            cx.stats.syscalls += 1;
            let peer = socket::peer_addr(conn.fd);
            let moved = |io: &mut Self, cx: &mut Context| {
                let fd = io.vacate(slot, cx);
                // SAFETY: `insert` was given the descriptor to own, and `vacate` has made this its only name.
                Descriptor::File(unsafe { OwnedFd::from_raw_fd(fd) })
            };
            self.depart(slot, peer, moved, cx);
        }
    }

    /// The answer to a direct descriptor's move: its slot in the other ring's table.
    pub(super) fn moved(&mut self, slot: u32, result: i32, cx: &mut Context) {
        self.table.at_mut(slot).flags &= !MOVING;
        let peer = self.direct.as_ref().and_then(|direct| direct.peers.get(&slot).copied());
        let moved = |io: &mut Self, cx: &mut Context| {
            let fd = io.vacate(slot, cx);
            io.close_socket(fd);
            Descriptor::Direct(result)
        };
        self.depart(slot, peer.filter(|_| result >= 0), moved, cx);
    }

    /// Sends a departing connection on its way; without a peer, which it lacks when it is gone already, closes it.
    fn depart(
        &mut self,
        slot: u32,
        peer: Option<SocketAddr>,
        moved: impl FnOnce(&mut Self, &mut Context) -> Descriptor,
        cx: &mut Context,
    ) {
        let listener = self.table.at(slot).listener;
        let departing = self.departing.remove(&slot);
        let (Some(Departing { to, bytes, peer: told }), Some(peer)) = (departing, peer) else {
            let fd = self.vacate(slot, cx);
            self.close_socket(fd);
            cx.stats.closed += 1;
            return;
        };
        // It stays within the gate.
        self.table.at_mut(slot).flags &= !ENTERED;
        let socket = moved(self, cx);
        cx.port.depart(to, HandedOver { socket, peer: told.unwrap_or(peer), listener, bytes });
        cx.stats.handed_off += 1;
    }

    /// Gives up an outgoing connection that was not established.
    pub(super) fn abandon(&mut self, slot: u32, cx: &mut Context) {
        let fd = self.vacate(slot, cx);
        self.close_socket(fd);
    }

    /// Frees a slot; the caller owns what it held.
    fn vacate(&mut self, slot: u32, cx: &mut Context) -> RawFd {
        cx.fx.outbox.release(ConnId(slot));
        if let Some(direct) = &mut self.direct {
            direct.peers.remove(&slot);
        }
        let conn = self.table.at_mut(slot);
        assert!(conn.fd >= 0, "a slot in use");
        if conn.has(ENTERED) {
            cx.leave(conn.listener);
        }
        let fd = std::mem::replace(&mut conn.fd, -1);
        conn.generation = (conn.generation + 1) & GENERATION_MASK;
        conn.flags = 0;
        self.table.release(slot);
        fd
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
            self.linger_timers.start(cx.now, slot, conn.generation);
            let (fd, accepted) = (conn.fd, conn.has(ENTERED));
            if self.direct.is_none() {
                socket::shut_sending(fd);
                cx.stats.syscalls += 1;
            } else if accepted {
                self.shut_sending_direct(fd);
            }
            // A direct connection that the machine opened sends its end-of-file only when it is closed. The operation
            // that would send it goes through a queue of the kernel's workers, and each cancellation searches that
            // queue: thousands of connections closed at once would take thousands of times longer than one. Servers
            // close when they have been told goodbye; one that does not is waited for as long as any other peer.
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
        let timed = self.timed;
        let socket = socket::outgoing(remote, local, false);
        let socket = socket.and_then(|fd| if timed { socket::note_arrivals(&fd).map(|()| fd) } else { Ok(fd) });
        let fd = match socket {
            Ok(fd) => fd,
            Err(error) => {
                cx.failed.push((number, error.raw_os_error().unwrap_or(libc::EIO)));
                return;
            }
        };
        let address = SockAddr::from(remote);
        if self.direct.is_some() {
            let slot = self.insert(NOT_INSTALLED, 0, CONNECTING | SETTLED_HERE);
            let installing = Some((UnsafeCell::new(fd.as_raw_fd()), fd));
            let connecting = Box::new(Connecting { token: number, remote, address, installing });
            let index = connecting.installing.as_ref().map(|(index, _)| index.get()).expect("just set");
            self.connecting.insert(slot, connecting);
            self.install(slot, index);
        } else {
            let slot = self.insert(fd.into_raw_fd(), 0, CONNECTING | SETTLED_HERE);
            self.connecting.insert(slot, Box::new(Connecting { token: number, remote, address, installing: None }));
            self.push_connect(slot);
        }
    }

    fn push_connect(&mut self, slot: u32) {
        let Some(connecting) = self.connecting.get(&slot) else { return };
        let conn = self.table.at(slot);
        let (address, len) = (connecting.address.as_ptr().cast(), connecting.address.len());
        let entry = opcode::Connect::new(types::Fd(conn.fd), address, len).build();
        let entry = on_socket(entry, self.direct.is_some()).user_data(token(Op::Connect, conn.generation, slot));
        // SAFETY: the address is in a box that is kept until the completion.
        unsafe { self.ring.push(entry) };
    }

    /// An outgoing socket is in the ring's table, or could not be put there.
    pub(super) fn installed(&mut self, slot: u32, result: i32, cx: &mut Context) {
        let Some((index, fd)) = self.connecting.get_mut(&slot).and_then(|connecting| connecting.installing.take())
        else {
            return;
        };
        // The table holds the socket now.
        self.close_fd(fd);
        let index = index.into_inner();
        if result == 1 && index >= 0 {
            self.table.at_mut(slot).fd = index;
            self.push_connect(slot);
            return;
        }
        let connecting = self.connecting.remove(&slot).expect("found above");
        cx.failed.push((connecting.token, if result < 0 { -result } else { libc::ENFILE }));
        let conn = self.table.at_mut(slot);
        conn.fd = -1;
        conn.generation = (conn.generation + 1) & GENERATION_MASK;
        conn.flags = 0;
        self.table.release(slot);
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
            Command::HandOff { to, bytes, peer, .. } => {
                let flags = &mut self.table.at_mut(conn.0).flags;
                *flags = *flags & !OPEN | DEPARTING;
                self.departing.insert(conn.0, Departing { to, bytes, peer });
                self.cancel_receive(conn.0);
                self.settle(conn.0, cx);
            }
            Command::Connect { .. } => unreachable!("handled above"),
        }
    }

    fn adopt(&mut self, socket: Descriptor, listener: u16, _cx: &mut Context) -> Option<ConnId> {
        let fd = match socket {
            Descriptor::File(fd) => fd.into_raw_fd(),
            Descriptor::Direct(slot) => slot,
        };
        Some(ConnId(self.insert(fd, listener, OPEN | SETTLED_HERE | ENTERED)))
    }

    fn is_open(&self, conn: ConnId) -> bool {
        conn.0 < self.table.capacity() && self.table.at(conn.0).has(OPEN)
    }

    fn change_listener(&mut self, change: ListenerChange, cx: &mut Context) -> io::Result<()> {
        match change {
            ListenerChange::Open { listener, socket, gate } => {
                self.open_listener(listener, socket)?;
                cx.options.gates.put(listener, gate);
                Ok(())
            }
            ListenerChange::Close { listener } => {
                self.close_listener(listener);
                Ok(())
            }
        }
    }

    fn stop_accepting(&mut self, _cx: &mut Context) {
        self.accept_at = None;
        self.accept_due = false;
        for index in 0..self.listeners.len() {
            self.close_listener(u16::try_from(index).expect("at most 65,536 listeners"));
        }
        self.listeners.clear();
    }

    fn connections(&self) -> usize {
        self.table.used()
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if self.direct.is_some() {
            // The table goes with its ring.
            return;
        }
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

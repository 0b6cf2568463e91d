//! Connections of the drivers of comparison, and what a machine's commands do to them.
//!
//! The descriptors belong to the tasks. What is here tells the tasks what to do; a slot is free once its tasks have
//! ended.

use super::Runtime;
use super::signal::Signal;
use crate::links::Descriptor;
use crate::listen::ListenerChange;
use crate::shard::{Context, Transport};
use crate::socket;
use crate::table::Table;
use crate::timers::Timers;
use ringmq_core::machine::{CloseHow, Command, ConnId, ShardId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

/// The machine knows the connection.
pub(super) const OPEN: u8 = 1;
/// The machine does not want bytes at present.
pub(super) const PAUSED: u8 = 1 << 1;
/// The machine is done with it; its last bytes are being sent.
pub(super) const FLUSHING: u8 = 1 << 2;
/// Our end-of-file has been sent; what still arrives is thrown away until the peer's.
pub(super) const LINGERING: u8 = 1 << 3;
/// The peer's end-of-file has been read.
pub(super) const ENDED: u8 = 1 << 4;
/// Going to another shard.
pub(super) const DEPARTING: u8 = 1 << 5;
/// Over: the tasks only have to notice.
pub(super) const DEAD: u8 = 1 << 6;
/// Output was appended once, so it will not go to another shard.
pub(super) const SETTLED: u8 = 1 << 7;

/// One connection, shared by its tasks and the table.
pub(super) struct Conn<R: Runtime> {
    pub(super) id: ConnId,
    /// Open as long as the table holds this.
    pub(super) fd: RawFd,
    /// Tells uses of a slot apart.
    generation: u32,
    pub(super) listener: u16,
    /// It has passed its listener's gate.
    pub(super) entered: bool,
    flags: Cell<u8>,
    /// For the task that reads: it may go on, or end.
    pub(super) reading: Signal,
    /// For the task that writes: there are bytes, or it may end.
    pub(super) writing: Signal,
    /// While it may go to another shard: ends a read that is under way.
    pub(super) interrupt: RefCell<Option<Rc<R::Interrupt>>>,
    /// Given back by the task that writes at its end.
    pub(super) writer: RefCell<Option<R::Writer>>,
}

impl<R: Runtime> Conn<R> {
    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags.get() & flags != 0
    }

    pub(super) fn set(&self, flags: u8) {
        self.flags.set(self.flags.get() | flags);
    }

    pub(super) fn unset(&self, flags: u8) {
        self.flags.set(self.flags.get() & !flags);
    }

    /// False once nothing more is to be read.
    pub(super) fn may_read(&self) -> bool {
        !self.has(ENDED | DEPARTING | DEAD)
    }

    /// False once nothing more is to be written.
    pub(super) fn may_write(&self) -> bool {
        !self.has(LINGERING | DEPARTING | DEAD)
    }
}

/// An outgoing connection the machine asked for.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) token: u64,
    pub(super) remote: SocketAddr,
    pub(super) local: Option<SocketAddr>,
}

/// A connection that waits for its tasks to end before it is handed over.
pub(super) struct Departing {
    pub(super) to: ShardId,
    /// What it has received.
    pub(super) bytes: Vec<u8>,
    /// What the machine says its other end is.
    pub(super) peer: Option<SocketAddr>,
}

/// The sockets of one shard.
pub(super) struct Sockets<R: Runtime> {
    table: Table<Option<Rc<Conn<R>>>>,
    flush_timers: Timers,
    linger_timers: Timers,
    /// Departing connections by slot.
    departing: HashMap<u32, Departing>,
    /// Connections that arrived and have no tasks yet.
    pub(super) adopted: Vec<(Rc<Conn<R>>, OwnedFd)>,
    /// Connections to be opened.
    pub(super) connects: Vec<Connect>,
    /// Connections being opened, those in `connects` included.
    pub(super) connecting: usize,
    /// Descriptors of the listeners; each is open until [`Transport::stop_accepting`] has made its task end.
    listeners: Vec<RawFd>,
    pub(super) accepting: bool,
    pub(super) spare: Option<OwnedFd>,
    generations: u32,
    /// Connections can go to other shards.
    movable: bool,
}

impl<R: Runtime> Sockets<R> {
    pub(super) fn new(cx: &Context, listeners: Vec<RawFd>) -> Self {
        Self {
            table: Table::new(),
            flush_timers: Timers::new(cx.options.flush_timeout),
            linger_timers: Timers::new(cx.options.linger_timeout),
            departing: HashMap::new(),
            adopted: Vec::new(),
            connects: Vec::new(),
            connecting: 0,
            listeners,
            accepting: true,
            spare: socket::spare_descriptor(),
            generations: 0,
            movable: cx.control.shards() > 1,
        }
    }

    /// Makes room for a connection.
    pub(super) fn insert(&mut self, fd: RawFd, listener: u16, entered: bool) -> Rc<Conn<R>> {
        let slot = self.table.claim();
        self.generations = self.generations.wrapping_add(1);
        let conn = Rc::new(Conn {
            id: ConnId(slot),
            fd,
            generation: self.generations,
            listener,
            entered,
            flags: Cell::new(OPEN),
            reading: Signal::default(),
            writing: Signal::default(),
            interrupt: RefCell::new(self.movable.then(Rc::default)),
            writer: RefCell::new(None),
        });
        *self.table.at_mut(slot) = Some(Rc::clone(&conn));
        conn
    }

    /// Forgets a connection whose tasks end; says where it goes if it departs.
    pub(super) fn remove(&mut self, conn: &Conn<R>, cx: &mut Context) -> Option<Departing> {
        cx.fx.outbox.release(conn.id);
        *self.table.at_mut(conn.id.0) = None;
        self.table.release(conn.id.0);
        self.departing.remove(&conn.id.0)
    }

    /// The connection in a slot.
    pub(super) fn get(&self, id: ConnId) -> Option<&Rc<Conn<R>>> {
        if id.0 < self.table.capacity() { self.table.at(id.0).as_ref() } else { None }
    }

    /// Lets slots that were released be used again.
    pub(super) fn end_turn(&mut self) {
        self.table.end_turn();
    }

    /// When the next flush or linger is over.
    pub(super) fn deadline(&self) -> Option<ringmq_core::machine::Time> {
        crate::shard::earliest(self.flush_timers.next(), self.linger_timers.next())
    }

    /// Keeps what a departing connection received before its read was interrupted.
    pub(super) fn keep_for_departure(&mut self, conn: &Conn<R>, bytes: &[u8]) {
        if let Some(Departing { bytes: kept, .. }) = self.departing.get_mut(&conn.id.0) {
            kept.extend_from_slice(bytes);
        }
    }

    /// Ends a connection now: whatever its tasks wait for in the kernel fails.
    pub(super) fn kill(&self, conn: &Conn<R>, cx: &mut Context) {
        cx.fx.outbox.release(conn.id);
        conn.unset(OPEN | PAUSED);
        conn.set(DEAD);
        socket::shut_both(conn.fd);
        conn.reading.raise();
        conn.writing.raise();
    }

    /// Ends all connections, and those that are being opened as far as they are known.
    pub(super) fn kill_all(&mut self, cx: &mut Context) {
        self.connects.clear();
        for slot in 0..self.table.capacity() {
            if let Some(conn) = self.table.at(slot) {
                self.kill(conn, cx);
            }
        }
    }

    /// The machine will not be told anything more: send the rest, then close.
    pub(super) fn flush_and_close(&mut self, conn: &Conn<R>, cx: &mut Context) {
        conn.unset(OPEN | PAUSED);
        conn.set(FLUSHING);
        if cx.fx.outbox.unsent(conn.id) > 0 {
            self.flush_timers.start(cx.now, conn.id.0, conn.generation);
        }
        conn.reading.raise();
        conn.writing.raise();
    }

    /// All is sent: say so, and wait for the peer to do the same.
    pub(super) fn linger(&mut self, conn: &Conn<R>, cx: &mut Context) {
        conn.set(LINGERING);
        socket::shut_sending(conn.fd);
        self.linger_timers.start(cx.now, conn.id.0, conn.generation);
    }

    /// Ends connections whose time to flush or linger is over.
    pub(super) fn expire(&mut self, cx: &mut Context) {
        while let Some((slot, generation)) = self.flush_timers.expired(cx.now) {
            if let Some(conn) = self.table.at(slot)
                && conn.generation == generation
                && conn.has(FLUSHING)
                && !conn.has(LINGERING | DEAD)
            {
                cx.stats.flush_timeouts += 1;
                self.kill(conn, cx);
            }
        }
        while let Some((slot, generation)) = self.linger_timers.expired(cx.now) {
            if let Some(conn) = self.table.at(slot)
                && conn.generation == generation
            {
                self.kill(conn, cx);
            }
        }
    }
}

impl<R: Runtime> Transport for Sockets<R> {
    fn command(&mut self, command: Command, cx: &mut Context) {
        let (Command::Close { conn, .. }
        | Command::PauseReading { conn }
        | Command::ResumeReading { conn }
        | Command::HandOff { conn, .. }) = command
        else {
            if let Command::Connect { token, remote, local } = command {
                self.connecting += 1;
                self.connects.push(Connect { token, remote, local });
            }
            return;
        };
        let Some(conn) = self.get(conn).filter(|conn| conn.has(OPEN)).map(Rc::clone) else { return };
        match command {
            Command::Close { how: CloseHow::Flush, .. } => self.flush_and_close(&conn, cx),
            Command::Close { how: CloseHow::Abort, .. } => self.kill(&conn, cx),
            Command::PauseReading { .. } => conn.set(PAUSED),
            Command::ResumeReading { .. } => {
                conn.unset(PAUSED);
                conn.reading.raise();
            }
            Command::HandOff { to, bytes, peer, .. } => {
                conn.unset(OPEN | PAUSED);
                conn.set(DEPARTING);
                self.departing.insert(conn.id.0, Departing { to, bytes, peer });
                if let Some(interrupt) = &*conn.interrupt.borrow() {
                    R::interrupt(interrupt);
                }
                conn.reading.raise();
                conn.writing.raise();
            }
            Command::Connect { .. } => unreachable!("handled above"),
        }
    }

    fn adopt(&mut self, socket: Descriptor, listener: u16, _cx: &mut Context) -> Option<ConnId> {
        let fd = socket.into_file();
        let conn = self.insert(std::os::fd::AsRawFd::as_raw_fd(&fd), listener, true);
        let id = conn.id;
        self.adopted.push((conn, fd));
        Some(id)
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|conn| conn.has(OPEN))
    }

    fn change_listener(&mut self, _change: ListenerChange, _cx: &mut Context) -> io::Result<()> {
        let why = "the drivers of comparison keep the listeners that they began with";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn stop_accepting(&mut self, _cx: &mut Context) {
        self.accepting = false;
        // A listening socket that is shut fails whoever waits to accept from it; that task then closes it.
        self.listeners.drain(..).for_each(socket::shut_both);
    }

    fn connections(&self) -> usize {
        self.table.used() + self.connecting
    }
}

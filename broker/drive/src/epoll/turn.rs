//! The event loop of the epoll driver.

use super::conns::{BLOCKED, CONNECTING, Conn, ENDED, FLUSHING, HUNG_UP, Io, LISTED, LISTENER, OPEN, PAUSED, READABLE};
use super::poller::Poller;
use crate::options::Setup;
use crate::paced::PACED_PER_TURN;
use crate::shard::{Context, Shard, Transport, Wait, earliest, until};
use crate::socket;
use crate::stats::Stats;
use crate::table::Table;
use crate::timers::Timers;
use ringmq_core::machine::{CloseCause, ConnId, Input, Machine, Origin};
use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The read buffer in units of [`Options::receive_buffer_bytes`](crate::Options::receive_buffer_bytes).
const READ_BUFFER_UNITS: usize = 16;

/// Reads from one connection in a turn, so that one busy sender does not hold up the others.
const READS_MAX: usize = 4;

/// Rounds of sending in a turn: a machine that is told `Drained` may append again.
const SEND_ROUNDS_MAX: usize = 4;

/// The token of the doorbell.
const DOORBELL: u64 = u64::MAX;

/// Runs one shard. See [`crate::run`].
pub(crate) fn run<M: Machine>(setup: Setup, machine: M) -> io::Result<Stats> {
    let mut driver = Driver::new(setup, machine)?;
    loop {
        driver.turn()?;
        if driver.shard.is_done(&driver.io) {
            break;
        }
    }
    driver.shard.cx.publish();
    Ok(driver.shard.cx.stats)
}

pub(super) struct Driver<M> {
    pub(super) shard: Shard<M>,
    pub(super) io: Io,
    buffer: Vec<u8>,
    dirty: Vec<ConnId>,
    reading: Vec<u32>,
    /// How many more connections whose peer has hung up are read from in this turn, and so ended.
    endings_left: usize,
}

impl<M: Machine> Driver<M> {
    fn new(setup: Setup, machine: M) -> io::Result<Self> {
        let (shard, listeners) = Shard::new(setup, machine);
        let options = &shard.cx.options;
        let mut poller = Poller::new()?;
        for (index, listener) in listeners.iter().enumerate() {
            socket::set_nonblocking(listener.as_raw_fd(), true)?;
            poller.add(listener.as_raw_fd(), libc::EPOLLIN, LISTENER | index as u64)?;
        }
        poller.add(shard.cx.control.seat(shard.cx.shard).doorbell(), libc::EPOLLIN, DOORBELL)?;
        let io = Io {
            poller,
            table: Table::<Conn>::new(),
            listeners: listeners.into_iter().map(Some).collect(),
            ready: Vec::new(),
            connecting: HashMap::new(),
            established: Vec::new(),
            flush_timers: Timers::new(options.flush_timeout),
            linger_timers: Timers::new(options.linger_timeout),
            spare: socket::spare_descriptor(),
            accept_at: None,
            paused: Vec::new(),
        };
        let buffer = vec![0; options.receive_buffer_bytes as usize * READ_BUFFER_UNITS];
        Ok(Self { shard, io, buffer, dirty: Vec::new(), reading: Vec::new(), endings_left: 0 })
    }

    fn turn(&mut self) -> io::Result<()> {
        let events = self.wait()?;
        self.shard.cx.begin_turn();
        self.endings_left = PACED_PER_TURN;
        if events > 0 {
            self.shard.cx.traffic();
        }
        for index in 0..events {
            let (token, flags) = self.io.poller.event(index);
            self.event(token, flags);
        }
        self.resume_accepting();
        self.read_ready();
        self.shard.inputs(&mut self.io);
        self.open_established();
        self.io.expire(&mut self.shard.cx);
        self.flush();
        self.io.table.end_turn();
        let cx = &mut self.shard.cx;
        cx.stats.connections = self.io.table.used() as u64;
        cx.stats.enters = self.io.poller.waits;
        Ok(())
    }

    fn wait(&mut self) -> io::Result<usize> {
        let io_work = !self.io.ready.is_empty() || !self.io.established.is_empty();
        let io_deadline =
            earliest(earliest(self.io.flush_timers.next(), self.io.linger_timers.next()), self.io.accept_at);
        let io_deadline = earliest(io_deadline, self.io.paused.iter().map(|(_, until)| *until).min());
        match self.shard.wait(io_work, io_deadline) {
            Wait::Not => self.io.poller.wait(Some(Duration::ZERO)),
            // The next turn looks at the rings and the clock again.
            Wait::Spin(_) => self.io.poller.wait(Some(Duration::ZERO)),
            Wait::Sleep(deadline) => {
                if !self.shard.cx.prepare_sleep() {
                    return self.io.poller.wait(Some(Duration::ZERO));
                }
                let events = self.io.poller.wait(deadline.map(until));
                self.shard.cx.awake();
                events
            }
        }
    }

    fn event(&mut self, token: u64, flags: i32) {
        if token == DOORBELL {
            self.shard.cx.control.seat(self.shard.cx.shard).silence_doorbell();
            self.shard.cx.stats.syscalls += 1;
            self.shard.cx.stats.wakes_received += 1;
            return;
        }
        if token & LISTENER != 0 {
            self.accept(usize::try_from(token & !LISTENER).expect("a listener's index"));
            return;
        }
        let slot = u32::try_from(token & u64::from(u32::MAX)).expect("masked to 32 bits");
        let conn = self.io.table.at_mut(slot);
        if u64::from(conn.generation) != token >> 32 || conn.fd < 0 {
            return;
        }
        if conn.has(CONNECTING) {
            if flags & (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) != 0 {
                self.establish(slot);
            }
            return;
        }
        if flags & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0 {
            conn.flags |= READABLE;
            if flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0 {
                conn.flags |= HUNG_UP;
            }
            self.io.list(slot);
        }
        if flags & (libc::EPOLLOUT | libc::EPOLLERR) != 0 && self.io.table.at(slot).has(BLOCKED) {
            self.io.table.at_mut(slot).flags &= !BLOCKED;
            self.send(ConnId(slot));
        }
    }

    fn establish(&mut self, slot: u32) {
        let error = socket::take_error(self.io.table.at(slot).fd);
        self.shard.cx.stats.syscalls += 1;
        let Some((token, remote)) = self.io.connecting.remove(&slot) else { return };
        if error != 0 {
            self.io.abandon(slot, &mut self.shard.cx);
            self.shard.cx.failed.push((token, error));
            return;
        }
        self.shard.cx.stats.connected += 1;
        let conn = self.io.table.at_mut(slot);
        conn.flags = OPEN | READABLE;
        self.io.list(slot);
        let opened = Input::Opened { conn: ConnId(slot), peer: remote, origin: Origin::Connected { token } };
        self.shard.step(&mut self.io, opened);
    }

    fn open_established(&mut self) {
        for slot in std::mem::take(&mut self.io.established) {
            if self.io.table.at(slot).has(CONNECTING) {
                self.establish(slot);
            }
        }
    }

    fn read_ready(&mut self) {
        std::mem::swap(&mut self.io.ready, &mut self.reading);
        for index in 0..self.reading.len() {
            let slot = self.reading[index];
            let conn = self.io.table.at_mut(slot);
            if conn.fd >= 0 && conn.has(LISTED) {
                conn.flags &= !LISTED;
                self.read(slot);
            }
        }
        self.reading.clear();
    }

    fn read(&mut self, slot: u32) {
        let conn = self.io.table.at(slot);
        let generation = conn.generation;
        if conn.has(HUNG_UP) {
            if self.endings_left == 0 {
                return self.io.list(slot);
            }
            self.endings_left -= 1;
        }
        for _ in 0..READS_MAX {
            let conn = self.io.table.at(slot);
            if conn.generation != generation || conn.has(PAUSED) {
                return;
            }
            let (fd, open, hung_up) = (conn.fd, conn.has(OPEN), conn.has(HUNG_UP));
            self.shard.cx.stats.syscalls += 1;
            match socket::receive(fd, &mut self.buffer) {
                Ok(0) => {
                    self.ended(slot, CloseCause::Peer);
                    return;
                }
                Ok(count) => {
                    if count < self.buffer.len() && !hung_up {
                        self.io.table.at_mut(slot).flags &= !READABLE;
                    }
                    if open {
                        self.shard.cx.stats.receives += 1;
                        self.shard.cx.stats.received_bytes += count as u64;
                        let received = Input::Received { conn: ConnId(slot), bytes: &self.buffer[..count] };
                        self.shard.step(&mut self.io, received);
                    }
                    let conn = self.io.table.at(slot);
                    if conn.generation != generation || !conn.has(READABLE) {
                        return;
                    }
                }
                Err(libc::EAGAIN) => {
                    self.io.table.at_mut(slot).flags &= !READABLE;
                    return;
                }
                Err(libc::EINTR) => {}
                Err(error) => {
                    self.ended(slot, CloseCause::Error(error));
                    return;
                }
            }
        }
        self.io.list(slot);
    }

    /// The peer's side has ended. What the machine has queued by now is still sent if that is possible.
    fn ended(&mut self, slot: u32, cause: CloseCause) {
        let conn = self.io.table.at_mut(slot);
        conn.flags = conn.flags & !READABLE | ENDED;
        if conn.has(OPEN) {
            conn.flags &= !OPEN;
            self.shard.step(&mut self.io, Input::Closed { conn: ConnId(slot), cause });
            if cause == CloseCause::Peer {
                self.io.flush_and_close(slot, &mut self.shard.cx);
                return;
            }
        } else if cause == CloseCause::Peer && self.io.table.at(slot).has(FLUSHING) {
            self.io.finish_flush(slot, &mut self.shard.cx);
            return;
        }
        self.io.drop_conn(slot, &mut self.shard.cx);
    }

    /// The end of a turn: other shards first, for they may have to be woken.
    fn flush(&mut self) {
        let cx = &mut self.shard.cx;
        cx.port.flush(&mut cx.fx.mesh, &mut cx.stats);
        wake(cx);
        for _ in 0..SEND_ROUNDS_MAX {
            if !self.shard.cx.fx.outbox.has_dirty() {
                break;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            self.shard.cx.fx.outbox.take_dirty(&mut dirty);
            for conn in &dirty {
                self.send(*conn);
            }
            self.dirty = dirty;
        }
    }

    /// Sends what there is for a connection, unless the kernel has no room for it.
    fn send(&mut self, id: ConnId) {
        if id.0 >= self.io.table.capacity() {
            self.shard.cx.fx.outbox.release(id);
            return;
        }
        let conn = self.io.table.at(id.0);
        if !conn.has(OPEN | FLUSHING) {
            self.shard.cx.fx.outbox.release(id);
            return;
        }
        if conn.has(BLOCKED) {
            return;
        }
        let (fd, generation) = (conn.fd, conn.generation);
        loop {
            let outbox = &mut self.shard.cx.fx.outbox;
            if outbox.rest_of_send(id).bytes.is_empty() && outbox.start_send(id).is_none() {
                break;
            }
            self.shard.cx.stats.syscalls += 1;
            let next = self.shard.cx.fx.outbox.rest_of_send(id);
            let (count, blocked) = match socket::send(fd, next) {
                Ok(count) => (count, count < next.bytes.len()),
                Err(libc::EAGAIN) => (0, true),
                Err(libc::EINTR) => continue,
                Err(error) => {
                    self.ended(id.0, CloseCause::Error(error));
                    return;
                }
            };
            let cx = &mut self.shard.cx;
            cx.stats.sends += u64::from(count > 0);
            cx.stats.short_sends += u64::from(blocked);
            cx.stats.sent_bytes += count as u64;
            if blocked {
                self.io.table.at_mut(id.0).flags |= BLOCKED;
            }
            if cx.fx.outbox.sent(id, count).drained && self.io.is_open(id) {
                self.shard.step(&mut self.io, Input::Drained { conn: id });
                if self.io.table.at(id.0).generation != generation {
                    return;
                }
            }
            if blocked {
                break;
            }
        }
        if self.io.table.at(id.0).has(FLUSHING) {
            self.io.finish_flush(id.0, &mut self.shard.cx);
        }
    }
}

/// Rings the doorbells of the shards that were sent something in their sleep.
fn wake(cx: &mut Context) {
    let mut wakes = cx.port.take_wakes();
    while wakes != 0 {
        let target = u8::try_from(wakes.trailing_zeros()).expect("fewer than 64");
        wakes &= wakes - 1;
        cx.control.seat(ringmq_core::machine::ShardId(target)).ring_doorbell();
        cx.stats.wakes_sent += 1;
        cx.stats.syscalls += 1;
    }
}

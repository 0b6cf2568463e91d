//! The machine, shared by all tasks of a shard, and the turn that ends when they have run.

use super::signal::{Signal, either};
use super::sockets::{Conn, DEPARTING, ENDED, FLUSHING, OPEN, PAUSED, SETTLED, Sockets};
use super::tasks;
use super::{Lent, Runtime, number};
use crate::clock;
use crate::options::Setup;
use crate::shard::{Shard, Transport, Wait};
use crate::socket;
use crate::stats::Stats;
use ringmq_core::machine::{CloseCause, ConnId, Input, Origin, ShardId, Time};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

/// How long tasks have to end once the shard is done.
const ENDING_MAX: Duration = Duration::from_secs(1);

/// Most bytes given to one write. A longer output takes several, so that a task's buffer stays small.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Most idle write buffers kept for reuse.
const SPARE_BUFFERS_MAX: usize = 256;

/// What the tasks share. Whoever borrows the state gives it back before it awaits.
pub(super) struct Hub<R: Runtime> {
    runtime: R,
    state: RefCell<State<R>>,
    /// For the task that ends turns.
    turn: Signal,
    /// For the task that watches the clock: an earlier deadline, or the end.
    pub(super) timer: Signal,
    /// What that task waits for.
    pub(super) armed: Cell<Option<Time>>,
    /// Tasks that have not ended.
    tasks: Cell<usize>,
    /// The shard is done: tasks must end.
    pub(super) closing: Cell<bool>,
}

/// What the tasks share.
pub(super) struct State<R: Runtime> {
    pub(super) shard: Shard<Lent>,
    pub(super) sockets: Sockets<R>,
    dirty: Vec<ConnId>,
    /// The clock has been read in this turn.
    fresh: bool,
    /// Other shards must wake this one.
    parked: bool,
    spare_buffers: Vec<Vec<u8>>,
}

/// What follows a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Something happens, or the clock says so.
    Wait,
    /// Another turn, after a look at what the kernel has.
    Again,
    /// The end.
    Done,
}

/// Runs one shard in the runtime whose task this is. Its counters, and whether all tasks have ended: if not, the kernel
/// may still use their buffers, and the runtime must not be dropped.
pub(super) async fn drive<R: Runtime>(setup: Setup, machine: Lent) -> io::Result<(Stats, bool)> {
    let hub = Hub::<R>::start(setup, machine)?;
    loop {
        match hub.end_turn() {
            Next::Wait => hub.turn.wait().await,
            Next::Again => hub.runtime.breathe().await,
            Next::Done => break,
        }
    }
    let stats = hub.close();
    let _ = either(hub.tasks_ended(), R::sleep(ENDING_MAX)).await;
    Ok((stats, hub.tasks.get() == 0))
}

impl<R: Runtime> Hub<R> {
    fn start(mut setup: Setup, machine: Lent) -> io::Result<Rc<Self>> {
        // The event loop is the runtime's, and so is the decision to spin.
        setup.options.spin = Duration::ZERO;
        let (shard, listeners) = Shard::new(setup, machine);
        let doorbell = shard.cx.control.seat(shard.cx.shard).doorbell();
        // The runtime reads it as a file, which is to take until somebody rings.
        socket::set_nonblocking(doorbell, false)?;
        // SAFETY: the doorbell is open as long as `shard` holds the control, which is beyond this statement.
        let doorbell = unsafe { BorrowedFd::borrow_raw(doorbell) }.try_clone_to_owned()?;
        let descriptors = listeners.iter().map(AsRawFd::as_raw_fd).collect();
        let sockets = Sockets::new(&shard.cx, descriptors);
        let state = State { shard, sockets, dirty: Vec::new(), fresh: false, parked: false, spare_buffers: Vec::new() };
        let hub = Rc::new(Self {
            runtime: R::new()?,
            state: RefCell::new(state),
            turn: Signal::default(),
            timer: Signal::default(),
            armed: Cell::new(None),
            tasks: Cell::new(0),
            closing: Cell::new(false),
        });
        hub.spawn(tasks::watch_clock(Rc::clone(&hub)));
        hub.spawn(tasks::hear_doorbell(Rc::clone(&hub), R::doorbell(doorbell)?));
        for (index, listener) in listeners.into_iter().enumerate() {
            socket::set_nonblocking(listener.as_raw_fd(), false)?;
            let fd = listener.as_raw_fd();
            let index = u16::try_from(index).expect("at most 65,536 listeners");
            hub.spawn(tasks::accept(Rc::clone(&hub), R::listener(listener)?, fd, index));
        }
        Ok(hub)
    }

    /// Runs a task that the shard waits for at its end.
    pub(super) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        self.tasks.set(self.tasks.get() + 1);
        let hub = Rc::clone(self);
        R::spawn(async move {
            task.await;
            hub.tasks.set(hub.tasks.get() - 1);
            hub.turn.raise();
        });
    }

    /// Does something with the state, after which a turn is due.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State<R>) -> T) -> T {
        let result = work(&mut self.state.borrow_mut());
        self.turn.raise();
        result
    }

    /// Does something with the state that needs no turn.
    pub(super) fn aside<T>(&self, work: impl FnOnce(&mut State<R>) -> T) -> T {
        work(&mut self.state.borrow_mut())
    }

    /// Ends the turn.
    fn end_turn(self: &Rc<Self>) -> Next {
        let (next, adopted, connects) = {
            let mut state = self.state.borrow_mut();
            let next = state.end_turn(self);
            (next, std::mem::take(&mut state.sockets.adopted), std::mem::take(&mut state.sockets.connects))
        };
        for (conn, fd) in adopted {
            match R::stream(fd) {
                Ok(stream) => self.spawn(tasks::read(Rc::clone(self), conn, stream)),
                Err(error) => self.lose(&conn, &error),
            }
        }
        for connect in connects {
            self.spawn(tasks::connect(Rc::clone(self), connect));
        }
        next
    }

    /// A connection the machine knows has no stream.
    fn lose(&self, conn: &Conn<R>, error: &io::Error) {
        let cause = CloseCause::Error(number(error));
        self.with(|state| {
            if state.sockets.is_open(conn.id) {
                state.step(Input::Closed { conn: conn.id, cause });
            }
            state.sockets.remove(conn, &mut state.shard.cx);
            state.closed(conn);
        });
    }

    /// Takes a connection up; the machine is told, and tasks serve it.
    pub(super) fn open(self: &Rc<Self>, stream: R::Stream, listener: u16, peer: SocketAddr, origin: Origin) {
        let conn = self.with(|state| {
            let entered = matches!(origin, Origin::Accepted { .. });
            let conn = state.sockets.insert(R::fd(&stream), listener, entered);
            state.step(Input::Opened { conn: conn.id, peer, origin });
            conn
        });
        self.spawn(tasks::read(Rc::clone(self), conn, stream));
    }

    /// Descriptors have run out: turns away who waits.
    pub(super) fn refuse(&self, listener: RawFd) {
        self.with(|state| {
            let stats = &mut state.shard.cx.stats;
            stats.accept_failures += 1;
            stats.refused += socket::refuse_waiting(listener, &mut state.sockets.spare);
        });
        // Undoes what refusing left behind; should it fail, the next accept does, and comes here again.
        let _ = socket::set_nonblocking(listener, false);
    }

    /// Makes every task end. The counters as they were before.
    fn close(&self) -> Stats {
        let mut state = self.state.borrow_mut();
        let State { shard, sockets, .. } = &mut *state;
        shard.cx.publish();
        let stats = shard.cx.stats;
        self.closing.set(true);
        sockets.kill_all(&mut shard.cx);
        self.timer.raise();
        shard.cx.control.seat(shard.cx.shard).ring_doorbell();
        stats
    }

    async fn tasks_ended(&self) {
        while self.tasks.get() > 0 {
            self.turn.wait().await;
        }
    }

    /// Tells the task that watches the clock about an earlier deadline; a later one it finds by itself.
    fn arm(&self, deadline: Option<Time>) {
        if let Some(at) = deadline
            && self.armed.get().is_none_or(|armed| at < armed)
        {
            self.armed.set(Some(at));
            self.timer.raise();
        }
    }

    /// The clock has reached what was armed.
    pub(super) fn disarm(&self) {
        if self.armed.get().is_some_and(|at| at <= clock::now()) {
            self.armed.set(None);
            self.turn.raise();
        }
    }
}

impl<R: Runtime> State<R> {
    /// One step of the machine, at this turn's time.
    pub(super) fn step(&mut self, input: Input<'_>) {
        self.freshen();
        self.shard.step(&mut self.sockets, input);
    }

    /// A connection has ended.
    pub(super) fn closed(&mut self, conn: &Conn<R>) {
        let cx = &mut self.shard.cx;
        cx.stats.closed += 1;
        if conn.entered {
            cx.leave(conn.listener);
        }
    }

    /// Starts the turn if nothing has.
    fn freshen(&mut self) {
        if !self.fresh {
            self.fresh = true;
            self.shard.cx.begin_turn();
        }
    }

    fn end_turn(&mut self, hub: &Hub<R>) -> Next {
        self.freshen();
        if std::mem::take(&mut self.parked) {
            self.shard.cx.awake();
        }
        let Self { shard, sockets, dirty, .. } = self;
        shard.inputs(sockets);
        sockets.expire(&mut shard.cx);
        let cx = &mut shard.cx;
        cx.port.flush(&mut cx.fx.mesh, &mut cx.stats);
        let mut wakes = cx.port.take_wakes();
        while wakes != 0 {
            let target = u8::try_from(wakes.trailing_zeros()).expect("fewer than 64");
            wakes &= wakes - 1;
            cx.control.seat(ShardId(target)).ring_doorbell();
            cx.stats.wakes_sent += 1;
        }
        cx.fx.outbox.take_dirty(dirty);
        for id in &*dirty {
            match sockets.get(*id) {
                Some(conn) if conn.may_write() => {
                    conn.set(SETTLED);
                    conn.writing.raise();
                }
                _ => cx.fx.outbox.release(*id),
            }
        }
        sockets.end_turn();
        cx.stats.connections = sockets.connections() as u64;
        self.fresh = false;
        if shard.is_done(sockets) {
            return Next::Done;
        }
        let adopted = !sockets.adopted.is_empty();
        let deadline = match shard.wait(adopted, sockets.deadline()) {
            Wait::Not => return Next::Again,
            Wait::Spin(at) => Some(at),
            Wait::Sleep(deadline) => deadline,
        };
        hub.arm(deadline);
        if !shard.cx.prepare_sleep() {
            return Next::Again;
        }
        self.parked = true;
        Next::Wait
    }

    /// What ends a read of this connection, if it may still go to another shard: that is decided before it is answered.
    pub(super) fn interrupt_for(&self, conn: &Conn<R>) -> Option<Rc<R::Interrupt>> {
        if conn.has(SETTLED) || self.shard.cx.fx.outbox.unsent(conn.id) > 0 {
            conn.interrupt.take();
        }
        conn.interrupt.borrow().clone()
    }

    /// A read has ended; `buffer` starts with what it brought.
    pub(super) fn received(&mut self, conn: &Conn<R>, result: io::Result<usize>, buffer: &[u8]) {
        match result {
            Ok(0) => self.ended(conn, CloseCause::Peer),
            Ok(count) if conn.has(OPEN) => {
                self.shard.cx.stats.receives += 1;
                self.shard.cx.stats.received_bytes += count as u64;
                self.step(Input::Received { conn: conn.id, bytes: &buffer[..count] });
            }
            Ok(count) => self.sockets.keep_for_departure(conn, &buffer[..count]),
            Err(error) => match number(&error) {
                libc::ECANCELED | libc::EINTR => {}
                error => self.ended(conn, CloseCause::Error(error)),
            },
        }
    }

    /// The peer's side has ended. What the machine has queued by now is still sent if that is possible.
    fn ended(&mut self, conn: &Conn<R>, cause: CloseCause) {
        conn.set(ENDED);
        if conn.has(DEPARTING) {
            return;
        }
        if conn.has(OPEN) {
            conn.unset(OPEN | PAUSED);
            self.step(Input::Closed { conn: conn.id, cause });
            if cause == CloseCause::Peer {
                self.sockets.flush_and_close(conn, &mut self.shard.cx);
                return;
            }
        } else if cause == CloseCause::Peer && conn.has(FLUSHING) {
            return;
        }
        self.sockets.kill(conn, &mut self.shard.cx);
    }

    /// The next bytes to write, copied: the outbox lends its own, but the runtime wants to own what it writes.
    pub(super) fn output(&mut self, conn: &Conn<R>) -> Option<Vec<u8>> {
        let outbox = &mut self.shard.cx.fx.outbox;
        if outbox.rest_of_send(conn.id).bytes.is_empty() {
            outbox.start_send(conn.id)?;
        }
        let rest = outbox.rest_of_send(conn.id).bytes;
        let mut buffer = self.spare_buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(&rest[..rest.len().min(WRITE_BYTES_MAX)]);
        Some(buffer)
    }

    /// A write of what [`State::output`] gave has ended.
    pub(super) fn sent(&mut self, conn: &Conn<R>, result: io::Result<usize>, buffer: Vec<u8>) {
        let offered = buffer.len();
        if self.spare_buffers.len() < SPARE_BUFFERS_MAX {
            self.spare_buffers.push(buffer);
        }
        if !conn.may_write() {
            return;
        }
        let cx = &mut self.shard.cx;
        match result {
            Ok(count) => {
                cx.stats.sends += 1;
                cx.stats.sent_bytes += count as u64;
                cx.stats.short_sends += u64::from(count < offered);
                if cx.fx.outbox.sent(conn.id, count).drained && conn.has(OPEN) {
                    self.step(Input::Drained { conn: conn.id });
                }
            }
            Err(error) => match number(&error) {
                libc::EINTR | libc::EAGAIN => {}
                error => self.ended(conn, CloseCause::Error(error)),
            },
        }
    }
}

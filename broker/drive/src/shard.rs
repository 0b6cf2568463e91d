//! What every driver does around its machine: steps, time, the mesh, and stopping.

use crate::clock;
use crate::control::Control;
use crate::gates::Entry;
use crate::links::{Descriptor, Parcel};
use crate::listen::ListenerChange;
use crate::options::{Options, Setup};
use crate::port::Port;
use crate::stats::Stats;
use ringmq_core::machine::{Command, Effects, Input, Machine, ShardId, Time};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Turns between two publications of the counters when the shard never sleeps.
const PUBLISH_TURNS: u64 = 64;

/// What a pause in traffic that is shorter than the spin adds to the score, up to [`SPIN_SCORE_MAX`].
const SPIN_GAIN: u8 = 1;

/// What a longer pause takes away: a spin in vain costs more than a sleep that was too early.
const SPIN_LOSS: u8 = 2;

/// Score from which a shard spins.
const SPIN_SCORE_MIN: u8 = 8;

/// Highest score: how many long pauses it takes to stop spinning follows from it.
const SPIN_SCORE_MAX: u8 = 32;

/// How long a listener that ran out of descriptors is left alone.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything of a shard except its machine and its sockets.
pub(crate) struct Context {
    pub(crate) shard: ShardId,
    /// The time of this turn.
    pub(crate) now: Time,
    pub(crate) fx: Effects,
    pub(crate) stats: Stats,
    pub(crate) port: Port,
    pub(crate) control: Control,
    pub(crate) options: Options,
    /// Outgoing connections that failed: token and error number, to be told to the machine within the turn.
    pub(crate) failed: Vec<(u64, i32)>,
    /// When a stop that was requested is given up waiting for.
    stop_by: Option<Time>,
    /// When there last was traffic.
    traffic_at: Time,
    /// Grows with every pause in traffic short enough to be spun through, and shrinks with every longer one.
    spin_score: u8,
    spin_until: Time,
}

/// A driver's sockets, as far as the common parts have to reach them.
pub(crate) trait Transport {
    /// Carries out one command.
    fn command(&mut self, command: Command, cx: &mut Context);

    /// Takes a connection that arrived from another shard; answers with the slot given to it.
    fn adopt(&mut self, socket: Descriptor, listener: u16, cx: &mut Context) -> Option<ringmq_core::machine::ConnId>;

    /// True while the machine may be told about this connection.
    fn is_open(&self, conn: ringmq_core::machine::ConnId) -> bool;

    /// Changes what is listened on.
    ///
    /// # Errors
    /// The number of a new listener has been used, or what the operating system says.
    fn change_listener(&mut self, change: ListenerChange, cx: &mut Context) -> io::Result<()>;

    /// Stops listening.
    fn stop_accepting(&mut self, cx: &mut Context);

    /// Connections that exist, those about to end included.
    fn connections(&self) -> usize;
}

/// A machine and its context.
pub(crate) struct Shard<M> {
    pub(crate) machine: M,
    pub(crate) cx: Context,
}

/// How long the next kernel entry may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// There is work: only look.
    Not,
    /// There was traffic lately: look again and again until then.
    Spin(Time),
    /// Nothing to do until then, if ever.
    Sleep(Option<Time>),
}

impl<M: Machine> Shard<M> {
    /// Also returns the listeners, which are the driver's.
    pub(crate) fn new(setup: Setup, machine: M) -> (Self, Vec<OwnedFd>) {
        let Setup { shard, listeners, links, options, control } = setup;
        assert_eq!(links.shard(), shard, "the links of this shard");
        assert!(listeners.len() <= 1 << 16, "at most 65,536 listeners");
        let shards = links.shards();
        let cx = Context {
            shard,
            now: clock::now(),
            fx: Effects::new(shards),
            stats: Stats::default(),
            port: Port::new(links, control.clone()),
            control,
            options,
            failed: Vec::new(),
            stop_by: None,
            traffic_at: Time(0),
            spin_score: 0,
            spin_until: Time(0),
        };
        (Self { machine, cx }, listeners)
    }

    /// One step of the machine, and the commands it gave.
    pub(crate) fn step(&mut self, io: &mut impl Transport, input: Input<'_>) {
        self.machine.handle(self.cx.now, input, &mut self.cx.fx);
        if self.cx.fx.commands.is_empty() {
            return;
        }
        let mut commands = std::mem::take(&mut self.cx.fx.commands);
        for command in commands.drain(..) {
            io.command(command, &mut self.cx);
        }
        self.cx.fx.commands = commands;
    }

    /// Inputs that do not come from sockets: other shards, failed connects, a request to stop, and time.
    pub(crate) fn inputs(&mut self, io: &mut impl Transport) {
        self.mesh(io);
        self.failures(io);
        if self.cx.stop_by.is_none() && self.cx.control.seat(self.cx.shard).stop_requested() {
            self.cx.stop_by = Some(after(self.cx.now, self.cx.options.stop_timeout));
            io.stop_accepting(&mut self.cx);
            self.step(io, Input::Stop);
        }
        self.mail(io);
        if self.machine.busy() || self.machine.deadline().is_some_and(|at| at <= self.cx.now) {
            self.step(io, Input::Tick);
        }
        self.failures(io);
    }

    /// Requests from outside the shards. The machine's answer goes back in the request.
    fn mail(&mut self, io: &mut impl Transport) {
        if !self.cx.control.seat(self.cx.shard).mailbox.has_mail() {
            return;
        }
        for mut letter in self.cx.control.seat(self.cx.shard).mailbox.take() {
            letter.message = match letter.message.downcast::<ListenerChange>() {
                Ok(change) => Box::new(self.change_listener(io, *change)),
                Err(mut message) => {
                    self.step(io, Input::Control(&mut *message));
                    message
                }
            };
            letter.answer(self.cx.shard);
        }
    }

    fn change_listener(&mut self, io: &mut impl Transport, change: ListenerChange) -> io::Result<()> {
        if self.cx.stop_by.is_some() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the shard is stopping"));
        }
        io.change_listener(change, &mut self.cx)
    }

    fn mesh(&mut self, io: &mut impl Transport) {
        self.cx.port.begin();
        while let Some((from, parcel)) = self.cx.port.next() {
            self.cx.traffic();
            match parcel {
                Parcel::Batch(bytes) => {
                    self.cx.stats.mesh_received += 1;
                    self.cx.stats.mesh_received_bytes += bytes.len() as u64;
                    self.step(io, Input::Mesh { from, bytes: &bytes });
                    self.cx.port.recycle(from, bytes);
                }
                Parcel::Connection(moved) => {
                    let Some(conn) = io.adopt(moved.socket, moved.listener, &mut self.cx) else { continue };
                    self.cx.stats.handed_over += 1;
                    let origin = ringmq_core::machine::Origin::HandedOver { listener: moved.listener };
                    self.step(io, Input::Opened { conn, peer: moved.peer, origin });
                    if !moved.bytes.is_empty() && io.is_open(conn) {
                        self.step(io, Input::Received { conn, bytes: &moved.bytes });
                    }
                }
            }
        }
    }

    /// Tells the machine of connects that failed. A machine that tries again at once is told of that in the next turn.
    fn failures(&mut self, io: &mut impl Transport) {
        for (token, error) in std::mem::take(&mut self.cx.failed) {
            self.cx.stats.connect_failures += 1;
            self.step(io, Input::ConnectFailed { token, error });
        }
    }

    /// Decides about the next kernel entry. `io_work` and `io_deadline` are what the driver itself still has to do.
    pub(crate) fn wait(&mut self, io_work: bool, io_deadline: Option<Time>) -> Wait {
        let cx = &mut self.cx;
        if io_work || cx.fx.outbox.has_dirty() || !cx.failed.is_empty() || self.machine.busy() || cx.port.has_work() {
            return Wait::Not;
        }
        let deadline = earliest(earliest(self.machine.deadline(), io_deadline), cx.stop_by);
        if cx.now < cx.spin_until {
            Wait::Spin(deadline.map_or(cx.spin_until, |at| at.min(cx.spin_until)))
        } else {
            Wait::Sleep(deadline)
        }
    }

    /// True once the shard has been stopped and has nothing left to do, or no time left to do it in.
    pub(crate) fn is_done(&self, io: &impl Transport) -> bool {
        self.cx.stop_by.is_some_and(|by| io.connections() == 0 || by <= self.cx.now)
    }
}

impl Context {
    /// True if a connection that has just been accepted may stay; [`Context::leave`] is due when it ends. Also says until
    /// when its listener is to accept no other, if that is so.
    pub(crate) fn enter(&mut self, listener: u16, peer: SocketAddr) -> (bool, Option<Time>) {
        match self.options.gates.enter(listener, peer.ip(), self.now) {
            Entry::Admitted { pause_until } => {
                self.stats.accepted += 1;
                self.stats.accept_pauses += u64::from(pause_until.is_some());
                (true, pause_until)
            }
            Entry::Denied => {
                self.stats.denied += 1;
                (false, None)
            }
            Entry::Full => {
                self.stats.turned_away += 1;
                (false, None)
            }
        }
    }

    /// A connection that entered has ended.
    pub(crate) fn leave(&self, listener: u16) {
        self.options.gates.leave(listener);
    }

    /// Starts a turn.
    pub(crate) fn begin_turn(&mut self) {
        self.now = self.now.max(clock::now());
        self.stats.turns += 1;
        if self.stats.turns.is_multiple_of(PUBLISH_TURNS) {
            self.publish();
        }
    }

    /// Notes that something happened: the shard will look again before it sleeps, if lately that has paid.
    pub(crate) fn traffic(&mut self) {
        if self.now == self.traffic_at {
            return;
        }
        if self.now <= after(self.traffic_at, self.options.spin) {
            self.spin_score = (self.spin_score + SPIN_GAIN).min(SPIN_SCORE_MAX);
        } else {
            self.spin_score = self.spin_score.saturating_sub(SPIN_LOSS);
        }
        self.traffic_at = self.now;
        self.spin_until = if self.spin_score >= SPIN_SCORE_MIN { after(self.now, self.options.spin) } else { Time(0) };
    }

    /// Announces that the shard is about to sleep. False if something has arrived meanwhile and it must not.
    pub(crate) fn prepare_sleep(&mut self) -> bool {
        self.publish();
        let seat = self.control.seat(self.shard);
        seat.parking.prepare_sleep();
        if self.port.has_work() || seat.mailbox.has_mail() || (self.stop_by.is_none() && seat.stop_requested()) {
            seat.parking.awake();
            return false;
        }
        self.stats.sleeps += 1;
        true
    }

    /// The shard is awake again.
    pub(crate) fn awake(&self) {
        self.control.seat(self.shard).parking.awake();
    }

    /// Copies the counters to where other threads may read them.
    pub(crate) fn publish(&self) {
        self.control.seat(self.shard).stats.publish(&self.stats);
    }
}

/// `duration` after `time`.
pub(crate) fn after(time: Time, duration: Duration) -> Time {
    Time(time.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
}

/// The earlier of two moments that may never come.
pub(crate) fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// Nanoseconds from now until `at`.
pub(crate) fn until(at: Time) -> Duration {
    Duration::from_nanos(at.0.saturating_sub(clock::now().0))
}

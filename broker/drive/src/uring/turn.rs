//! The event loop of the io_uring driver.

use super::buffers::{Buffers, GROUP};
use super::bulk::Bulk;
use super::completions::{Ending, Entrant};
use super::conns::{Conn, Io};
use super::direct::Direct;
use super::ring::Ring;
use super::token::{Op, token};
use crate::clock;
use crate::options::Setup;
use crate::paced::Paced;
use crate::probe::probe;
use crate::shard::{Shard, Wait, earliest, until};
use crate::socket;
use crate::stats::Stats;
use crate::table::Table;
use crate::timers::Timers;
use io_uring::{cqueue, opcode, squeue, types};
use ringmq_core::machine::{ConnId, Machine, ShardId, Time};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Completions handled in one turn.
const COMPLETIONS_MAX: usize = 1024;

/// How long a shard waits for the others' rings before it begins.
const RINGS_TIMEOUT: Duration = Duration::from_secs(10);

/// Rounds of spinning between two looks at the clock.
const SPINS_PER_LOOK: u32 = 32;

/// Runs one shard. See [`crate::run`].
pub(crate) fn run<M: Machine>(setup: Setup, machine: M) -> io::Result<Stats> {
    let mut driver = Driver::new(setup, machine)?;
    loop {
        driver.turn()?;
        if driver.shard.is_done(&driver.io) {
            break;
        }
    }
    let stats = driver.shard.cx.stats;
    driver.shard.cx.publish();
    Ok(stats)
}

/// One shard on its ring.
pub(super) struct Driver<M: Machine> {
    pub(super) io: Io,
    pub(super) buffers: Buffers,
    pub(super) bulk: Bulk,
    pub(super) entrants: Paced<Entrant>,
    pub(super) endings: Paced<Ending>,
    pub(super) shard: Shard<M>,
    pub(super) doorbell_armed: bool,
    /// Shards can be woken through their rings.
    msg_ring: bool,
    completions: Vec<cqueue::Entry>,
    dirty: Vec<ConnId>,
}

impl<M: Machine> Driver<M> {
    fn new(setup: Setup, machine: M) -> io::Result<Self> {
        let features = probe();
        if let Some(refusal) = &features.refusal {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("io_uring not usable: {refusal}")));
        }
        if machine.wants_arrival_times() && !features.multishot_receive {
            let text = format!("Linux {} does not tell when bytes arrived: 6.0 is needed", features.kernel);
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let (shard, listeners) = Shard::new(setup, machine);
        let options = &shard.cx.options;
        let ring = Ring::new(&features, options.submission_entries)?;
        let buffers = Buffers::new(GROUP, options.receive_buffers, options.receive_buffer_bytes)?;
        buffers.register(ring.uring())?;
        let direct = match options.direct_descriptors {
            0 => None,
            slots => Some(Direct::register(ring.uring(), slots)?),
        };
        // SAFETY: the ring lives, and keeps its descriptor open, beyond this statement.
        let duplicate = unsafe { BorrowedFd::borrow_raw(ring.fd()) }.try_clone_to_owned()?;
        if !shard.cx.control.take_seat(shard.cx.shard, duplicate) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a Control serves one run of each shard"));
        }
        // A direct descriptor can be handed over only to a ring with a table, which is made before its shard takes its seat.
        if direct.is_some() && !shard.cx.control.await_rings(RINGS_TIMEOUT) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "another shard's ring was not made in time"));
        }
        let mut io = Io {
            ring,
            direct,
            table: Table::<Conn>::new(),
            accept_due: false,
            listeners: Vec::new(),
            accept_at: None,
            arming: Vec::new(),
            resending: Vec::new(),
            connecting: HashMap::new(),
            departing: HashMap::new(),
            flush_timers: Timers::new(options.flush_timeout),
            linger_timers: Timers::new(options.linger_timeout),
            spare: socket::spare_descriptor(),
            multishot: features.multishot_receive,
            movable: shard.cx.control.shards() > 1,
            timed: shard.machine.wants_arrival_times(),
        };
        for (listener, socket) in (0..).zip(listeners) {
            io.open_listener(listener, socket)?;
        }
        let completions = Vec::with_capacity(COMPLETIONS_MAX);
        let msg_ring = features.msg_ring;
        let mut driver = Self {
            io,
            buffers,
            bulk: Bulk::default(),
            entrants: Paced::default(),
            endings: Paced::default(),
            shard,
            doorbell_armed: false,
            msg_ring,
            completions,
            dirty: Vec::new(),
        };
        driver.arm_listeners();
        driver.arm_doorbell();
        Ok(driver)
    }

    fn turn(&mut self) -> io::Result<()> {
        self.wait()?;
        self.shard.cx.begin_turn();
        self.entrants.begin_turn();
        self.endings.begin_turn();
        let mut completions = std::mem::take(&mut self.completions);
        self.io.ring.reap(&mut completions, COMPLETIONS_MAX);
        for completion in &completions {
            self.complete(completion);
        }
        self.completions = completions;
        self.catch_up();
        self.shard.inputs(&mut self.io);
        self.io.expire(&mut self.shard.cx);
        self.flush();
        self.io.table.end_turn();
        let stats = &mut self.shard.cx.stats;
        stats.connections = self.io.table.used() as u64;
        stats.syscalls += self.io.ring.enters - stats.enters;
        stats.enters = self.io.ring.enters;
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let io_work = self.io.ring.has_completions() || self.entrants.has_waiting() || self.endings.has_waiting();
        let io_deadline =
            earliest(earliest(self.io.flush_timers.next(), self.io.linger_timers.next()), self.io.accept_at);
        let io_deadline = earliest(io_deadline, self.io.resume_accepting_at());
        match self.shard.wait(io_work, io_deadline) {
            // The kernel says by a flag in shared memory when an entry would bring something.
            Wait::Not if !self.io.ring.wants_entry() => Ok(()),
            Wait::Not => self.io.ring.poll(),
            Wait::Spin(end) => self.spin(end),
            Wait::Sleep(deadline) => {
                if !self.shard.cx.prepare_sleep() {
                    return self.io.ring.poll();
                }
                let slept = self.io.ring.wait(deadline.map(until));
                self.shard.cx.awake();
                slept
            }
        }
    }

    /// Looks again and again, without entering the kernel for nothing.
    fn spin(&mut self, end: Time) -> io::Result<()> {
        loop {
            for _ in 0..SPINS_PER_LOOK {
                if self.io.ring.wants_entry() {
                    return self.io.ring.poll();
                }
                if self.io.ring.has_completions() || self.shard.cx.port.has_work() {
                    return Ok(());
                }
                std::hint::spin_loop();
            }
            if clock::now() >= end {
                return Ok(());
            }
        }
    }

    /// The end of a turn. Other shards first, for they may have to be woken; then sends, then what receives.
    fn flush(&mut self) {
        let cx = &mut self.shard.cx;
        cx.port.flush(&mut cx.fx.mesh, &mut cx.stats);
        self.wake();
        let cx = &mut self.shard.cx;
        cx.fx.outbox.take_dirty(&mut self.dirty);
        for id in &self.dirty {
            self.io.send(*id, cx);
        }
        while let Some(slot) = self.io.resending.pop() {
            self.io.send(ConnId(slot), cx);
        }
        self.io.arm_receives(&self.bulk);
        self.buffers.publish();
        self.bulk.publish();
        if self.io.accept_due && self.io.accept_at.is_none_or(|at| at <= cx.now) {
            self.arm_listeners();
        }
        if !self.doorbell_armed {
            self.arm_doorbell();
        }
    }

    fn arm_listeners(&mut self) {
        self.io.accept_at = None;
        self.io.accept_due = false;
        let now = self.shard.cx.now;
        for listener in self.io.listeners.iter_mut().flatten() {
            listener.paused_until = listener.paused_until.filter(|until| *until > now);
            self.io.accept_due |= listener.paused_until.is_some();
        }
        if self.io.direct.is_some() {
            self.io.arm_direct_accepts();
            return;
        }
        for index in 0..self.io.listeners.len() {
            let Some(listener) = &mut self.io.listeners[index] else { continue };
            if listener.armed || listener.paused_until.is_some() {
                continue;
            }
            listener.armed = true;
            // Undoes what refusing connections left behind; on a blocking socket the kernel waits instead of failing.
            let _ = socket::set_nonblocking(listener.fd.as_raw_fd(), false);
            let fd = types::Fd(listener.fd.as_raw_fd());
            let accept = opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build();
            let slot = u32::try_from(index).expect("at most 65,536 listeners");
            // SAFETY: a multishot accept points to no memory.
            unsafe { self.io.ring.push(accept.user_data(token(Op::Accept, 0, slot))) };
        }
    }

    fn arm_doorbell(&mut self) {
        self.doorbell_armed = true;
        let doorbell = types::Fd(self.shard.cx.control.seat(self.shard.cx.shard).doorbell());
        let poll = opcode::PollAdd::new(doorbell, libc::POLLIN.cast_unsigned().into()).build();
        // SAFETY: a poll points to no memory.
        unsafe { self.io.ring.push(poll.user_data(token(Op::Doorbell, 0, 0))) };
    }

    /// Wakes the shards that were sent something in their sleep: by a ring message, which leaves with the next kernel
    /// entry, or by their doorbell.
    fn wake(&mut self) {
        let cx = &mut self.shard.cx;
        let mut wakes = cx.port.take_wakes();
        while wakes != 0 {
            let target = wakes.trailing_zeros();
            wakes &= wakes - 1;
            cx.stats.wakes_sent += 1;
            let seat = cx.control.seat(ShardId(u8::try_from(target).expect("fewer than 64")));
            match seat.ring.get().filter(|_| self.msg_ring) {
                Some(ring) => {
                    let ring = types::Fd(ring.as_raw_fd());
                    let message = opcode::MsgRingData::new(ring, 0, token(Op::Woken, 0, 0), None).build();
                    let message = message.flags(squeue::Flags::SKIP_SUCCESS);
                    // SAFETY: a ring message of this kind points to no memory.
                    unsafe { self.io.ring.push(message.user_data(token(Op::WakeFailed, 0, target))) };
                }
                None => {
                    seat.ring_doorbell();
                    cx.stats.syscalls += 1;
                }
            }
        }
    }
}

impl<M: Machine> Drop for Driver<M> {
    fn drop(&mut self) {
        if self.io.ring.quiesce() {
            self.buffers.unregister(self.io.ring.uring());
            self.bulk.unregister(self.io.ring.uring());
        } else {
            // The kernel may still read or write these: better never to free them.
            std::mem::forget(std::mem::take(&mut self.shard.cx.fx));
            std::mem::forget(std::mem::take(&mut self.io.connecting));
            std::mem::forget(self.io.direct.take());
            self.buffers.leak();
            self.bulk.leak();
        }
    }
}

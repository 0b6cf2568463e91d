//! What the generator's threads share: the phase they are in, the measured interval, and how far each has got.
//!
//! The main thread alone moves the phase; the fleets notice at their next tick, and tell it by [`Event`]s when they
//! have done their part, so that no phase begins on a guess. Everything here is a few atomics that are read once a
//! turn, and a bell for those that sleep. Absent: messages' credits, which go through the drivers' mesh.

use ringmq_drive::Control;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

/// What the fleets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Phase {
    /// Make drivers and memory ready.
    Prepare,
    /// Open connections and wait for every CONNACK.
    Connect,
    /// Store the retained messages and wait for every acknowledgement.
    Retain,
    /// Subscribe and wait for every SUBACK.
    Subscribe,
    /// Send; or hold the connections.
    Traffic,
    /// Send no more, wait for what is under way.
    Drain,
    /// Say goodbye.
    Disconnect,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Prepare, Self::Connect, Self::Retain, Self::Subscribe, Self::Traffic, Self::Drain, Self::Disconnect];
}

/// What a thread tells the main thread.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// A thread has done its part of a phase.
    Reached {
        /// The phase.
        phase: Phase,
        /// Clients of that thread that have failed so far.
        failed: usize,
    },
    /// Everything sent has been accounted for, on all threads.
    Quiet,
    /// A thread's publishers have sent as many messages as they may.
    Done,
    /// A thread has no connection left although it should.
    Abandoned,
    /// Somebody wants the run to end early.
    Interrupted,
    /// A thread's driver failed.
    Failed(String),
}

/// One thread's counters, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Progress {
    /// Rises with everything that gets done; tells a slow phase from a stuck one.
    moved: AtomicU64,
    /// Deliveries that messages sent by this thread's publishers will cause.
    expected: AtomicU64,
    /// Deliveries made to, or given up by, this thread's subscribers.
    accounted: AtomicU64,
    /// Acknowledgements this thread's clients wait for.
    unacknowledged: AtomicU64,
    draining: AtomicBool,
}

/// What a thread has to say while it drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Deliveries that messages sent by this thread's publishers will cause.
    pub expected: u64,
    /// Deliveries made to, or given up by, this thread's subscribers.
    pub accounted: u64,
    /// Acknowledgements this thread's clients wait for.
    pub unacknowledged: u64,
}

/// The shared state of a run.
#[derive(Debug)]
pub struct Stage {
    phase: AtomicU8,
    phase_start_ns: AtomicU64,
    measure_from_ns: AtomicU64,
    measure_until_ns: AtomicU64,
    progress: Box<[Progress]>,
    /// How to wake threads that sleep.
    bell: OnceLock<Control>,
}

impl Stage {
    /// The start of a run with this many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Prepare as u8),
            phase_start_ns: AtomicU64::new(0),
            measure_from_ns: AtomicU64::new(u64::MAX),
            measure_until_ns: AtomicU64::new(u64::MAX),
            progress: (0..threads).map(|_| Progress::default()).collect(),
            bell: OnceLock::new(),
        }
    }

    /// The phase all threads should be in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Wakes these threads whenever a phase begins.
    pub fn wake_by(&self, control: Control) {
        // One stage is of one run, which sets this once.
        let _ = self.bell.set(control);
    }

    /// Main thread: begins a phase whose schedule, if it has one, starts at this time.
    pub fn begin(&self, phase: Phase, start_ns: u64) {
        self.phase_start_ns.store(start_ns, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
        if let Some(control) = self.bell.get() {
            // Who has not heard the last one finds this phase when it does.
            let _ = control.ask_all(|_| Box::new(()));
        }
    }

    /// When the schedule of the current phase starts.
    #[must_use]
    pub fn phase_start(&self) -> u64 {
        self.phase_start_ns.load(Ordering::Relaxed)
    }

    /// Whether publishers may send.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.phase() == Phase::Traffic
    }

    /// Main thread: the measured interval starts.
    pub fn measure_from(&self, at_ns: u64) {
        self.measure_from_ns.store(at_ns, Ordering::Relaxed);
    }

    /// Main thread: the measured interval ends.
    pub fn measure_until(&self, at_ns: u64) {
        self.measure_until_ns.store(at_ns, Ordering::Relaxed);
    }

    /// Whether a moment lies in the measured interval, as far as that is known.
    #[must_use]
    pub fn measures(&self, at_ns: u64) -> bool {
        self.measure_from_ns.load(Ordering::Relaxed) <= at_ns && at_ns < self.measure_until_ns.load(Ordering::Relaxed)
    }

    /// The measured interval, nanoseconds of the run's clock.
    #[must_use]
    pub fn measured(&self) -> (u64, u64) {
        (self.measure_from_ns.load(Ordering::Relaxed), self.measure_until_ns.load(Ordering::Relaxed))
    }

    /// A thread's progress.
    pub fn moved(&self, thread: usize, moved: u64) {
        self.progress[thread].moved.store(moved, Ordering::Relaxed);
    }

    /// All threads' progress.
    #[must_use]
    pub fn total_moved(&self) -> u64 {
        self.progress.iter().map(|progress| progress.moved.load(Ordering::Relaxed)).sum()
    }

    /// A thread that drains says where it stands. Whichever thread's word completes the picture sends
    /// [`Event::Quiet`]: all accesses are sequentially consistent, so the last one to store sees all the others.
    pub fn account(&self, thread: usize, account: Account, events: &Sender<Event>) {
        let mine = &self.progress[thread];
        mine.expected.store(account.expected, Ordering::SeqCst);
        mine.accounted.store(account.accounted, Ordering::SeqCst);
        mine.unacknowledged.store(account.unacknowledged, Ordering::SeqCst);
        mine.draining.store(true, Ordering::SeqCst);
        if self.accounts().is_some_and(|all| all.unacknowledged == 0 && all.expected == all.accounted) {
            // The main thread may have given up already.
            let _ = events.send(Event::Quiet);
        }
    }

    /// Where all threads stand together, once all of them drain.
    #[must_use]
    pub fn accounts(&self) -> Option<Account> {
        let sum = |field: fn(&Progress) -> &AtomicU64| -> u64 {
            self.progress.iter().map(|progress| field(progress).load(Ordering::SeqCst)).sum()
        };
        let all_drain = self.progress.iter().all(|progress| progress.draining.load(Ordering::SeqCst));
        all_drain.then(|| Account {
            expected: sum(|progress| &progress.expected),
            accounted: sum(|progress| &progress.accounted),
            unacknowledged: sum(|progress| &progress.unacknowledged),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_core::machine::{Effects, Input, Machine, ShardId, Time};
    use ringmq_drive::{DriverKind, Options, Setup, links};
    use std::sync::mpsc;

    #[test]
    fn quiet_is_said_by_the_last_and_not_before() {
        let stage = Stage::new(2);
        let (events, told) = mpsc::channel();
        stage.account(0, Account { expected: 10, accounted: 4, unacknowledged: 0 }, &events);
        assert!(told.try_recv().is_err(), "the other thread may still send");
        stage.account(1, Account { expected: 0, accounted: 5, unacknowledged: 1 }, &events);
        stage.account(1, Account { expected: 0, accounted: 6, unacknowledged: 1 }, &events);
        assert!(told.try_recv().is_err(), "an acknowledgement is missing");
        stage.account(1, Account { expected: 0, accounted: 6, unacknowledged: 0 }, &events);
        assert!(matches!(told.try_recv(), Ok(Event::Quiet)));
    }

    /// Sleeps until somebody says something, and passes it on.
    struct Sleeper(Sender<()>);

    impl Machine for Sleeper {
        fn handle(&mut self, _now: Time, input: Input<'_>, _fx: &mut Effects) {
            if matches!(input, Input::Control(_)) {
                self.0.send(()).unwrap();
            }
        }

        fn deadline(&self) -> Option<Time> {
            None
        }
    }

    #[test]
    fn whoever_sleeps_is_told_of_a_phase() {
        let (stage, control) = (Stage::new(1), Control::new(1).unwrap());
        let (woken, told) = mpsc::channel();
        let (links, options) = (links(1).remove(0), Options::default());
        let setup = Setup { shard: ShardId(0), listeners: Vec::new(), links, options, control: control.clone() };
        let sleeper = std::thread::spawn(move || ringmq_drive::run(DriverKind::Epoll, setup, Sleeper(woken)));
        stage.wake_by(control.clone());
        for phase in [Phase::Connect, Phase::Traffic] {
            stage.begin(phase, 0);
            told.recv_timeout(std::time::Duration::from_secs(20)).expect("it is told in time");
        }
        control.request_stop();
        sleeper.join().unwrap().unwrap();
    }

    #[test]
    fn the_measured_interval_is_half_open() {
        let stage = Stage::new(1);
        assert!(!stage.measures(5));
        stage.measure_from(5);
        assert!(stage.measures(5) && !stage.measures(4));
        stage.measure_until(7);
        assert!(stage.measures(6) && !stage.measures(7));
    }
}

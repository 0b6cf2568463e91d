//! Runs the shards of a test.

use super::machines::{Recorder, Seen};
use ringmq_core::machine::{Machine, ShardId};
use ringmq_drive::{Control, DriverKind, Links, Listening, Options, Setup, Stats, links, listen, run};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Slots of a table of direct descriptors: more connections than any test has.
const DIRECT_DESCRIPTORS: u32 = 4096;

thread_local! {
    /// [`Options::direct_descriptors`] of the processes that this thread starts, unless a test sets its own.
    static DIRECT: Cell<u32> = const { Cell::new(0) };
}

/// Runs a test with every driver this kernel has; with io_uring also on direct descriptors.
pub fn with_each_driver(test: impl Fn(DriverKind)) {
    with_each_driver_on_files(&test);
    if ringmq_drive::probe().refusal.is_none() {
        DIRECT.set(DIRECT_DESCRIPTORS);
        test(DriverKind::Uring);
        DIRECT.set(0);
    }
}

/// Like [`with_each_driver`], with descriptors of the process only.
pub fn with_each_driver_on_files(test: impl Fn(DriverKind)) {
    for kind in DriverKind::ALL.into_iter().filter(|kind| kind.is_built_in()) {
        if kind != DriverKind::Epoll && ringmq_drive::probe().refusal.is_some() {
            continue;
        }
        test(kind);
    }
}

/// Shards running on threads of their own.
pub struct Process {
    pub addr: SocketAddr,
    pub control: Control,
    pub seen: Vec<Receiver<Seen>>,
    threads: Vec<JoinHandle<std::io::Result<Stats>>>,
}

impl Process {
    /// Starts `shards` shards, each with the machine that `make` returns for it.
    pub fn start<M: Machine>(
        kind: DriverKind,
        shards: usize,
        options: &Options,
        make: impl Fn(ShardId, Recorder) -> M + Clone + Send + 'static,
    ) -> Self {
        Self::start_linked(kind, links(shards), options, make)
    }

    /// Like [`Process::start`] with given rings.
    pub fn start_linked<M: Machine>(
        kind: DriverKind,
        links: Vec<Links>,
        options: &Options,
        make: impl Fn(ShardId, Recorder) -> M + Clone + Send + 'static,
    ) -> Self {
        let shards = links.len();
        let Listening { local_addr, sockets } = listen("127.0.0.1:0".parse().unwrap(), shards, 1024).unwrap();
        let control = Control::new(shards).unwrap();
        let mut seen = Vec::new();
        let mut threads = Vec::new();
        for (links, socket) in links.into_iter().zip(sockets) {
            let (sender, receiver) = channel();
            seen.push(receiver);
            let (make, control, mut options) = (make.clone(), control.clone(), options.clone());
            if options.direct_descriptors == 0 {
                options.direct_descriptors = DIRECT.get();
            }
            threads.push(spawn(move || {
                let shard = links.shard();
                let machine = make(shard, Recorder(sender));
                run(kind, Setup { shard, listeners: vec![socket], links, options, control }, machine)
            }));
        }
        Self { addr: local_addr, control, seen, threads }
    }

    /// The next thing shard 0's machine is told that `wanted` accepts.
    pub fn wait_for(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        self.wait_for_on(0, wanted)
    }

    /// The next thing a shard's machine is told that `wanted` accepts.
    pub fn wait_for_on(&self, shard: usize, wanted: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.seen[shard].recv_timeout(PATIENCE).expect("the machine is told in time");
            if wanted(&seen) {
                return seen;
            }
        }
    }

    /// Asks all shards to stop and waits for them; their counters.
    pub fn stop(self) -> Vec<Stats> {
        self.control.request_stop();
        self.threads.into_iter().map(|thread| thread.join().expect("no panic").expect("no error")).collect()
    }
}

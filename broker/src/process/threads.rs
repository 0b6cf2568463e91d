//! The shards' threads.

use crate::banner;
use crate::config::Problem;
use crate::machine::Factory;
use crate::topology;
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, DriverKind, Listening, Options, Setup};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::{io, thread};

/// What the shards run with.
pub(crate) struct Plan {
    pub(crate) kind: DriverKind,
    /// The core of each shard.
    pub(crate) cores: Vec<usize>,
    pub(crate) listening: Vec<Listening>,
    pub(crate) options: Options,
    pub(crate) control: Control,
    pub(crate) machines: Factory,
}

/// Starts one pinned thread a shard and waits until all have ended. If one fails, the others are asked to stop.
///
/// No shard listens before all are made: a message that came first could not know what the others want of it.
///
/// # Errors
/// The first failure.
pub(crate) fn run(plan: Plan) -> Result<(), Problem> {
    let shards = plan.cores.len();
    let machines = Arc::new(plan.machines);
    let (ended, ends) = mpsc::channel();
    let (made, all_made) = mpsc::channel::<()>();
    let mut waiting = Vec::with_capacity(shards);
    let mut failure = None;
    let mut running = 0;
    let sockets = by_shard(plan.listening, shards);
    for ((index, links), listeners) in ringmq_drive::links(shards).into_iter().enumerate().zip(sockets) {
        let shard = ShardId(u8::try_from(index).unwrap_or_else(|_| unreachable!("at most SHARDS_MAX shards")));
        let core = plan.cores[index];
        let setup = Setup { shard, listeners, links, options: plan.options.clone(), control: plan.control.clone() };
        let (kind, machines, ended, made) = (plan.kind, Arc::clone(&machines), ended.clone(), made.clone());
        let (go, gone) = mpsc::channel::<()>();
        waiting.push(go);
        let body = move || {
            if !topology::pin(core) {
                banner::warn(&format!("shard {index} could not be bound to core {core} and runs on any"));
            }
            // Made here so that its memory belongs to the node of this core.
            let machine = machines.make(shard);
            drop(made);
            // An error, for nothing is sent: the other end is dropped when all are made.
            let _ = gone.recv();
            let result = ringmq_drive::run(kind, setup, machine);
            // Nobody listens only if this process is ending anyway.
            let _ = ended.send((index, result));
        };
        match thread::Builder::new().name(format!("shard-{index}")).spawn(body) {
            Ok(_) => running += 1,
            Err(error) => {
                failure = Some(Problem::new(format!("cannot start the thread of shard {index}: {error}")));
                plan.control.request_stop();
                break;
            }
        }
    }
    drop((ended, made));
    // Ends when every thread has dropped its end.
    let _ = all_made.recv();
    drop(waiting);
    for (index, result) in ends.iter().take(running) {
        if let Err(error) = result {
            failure.get_or_insert_with(|| explain(index, plan.kind, &error));
            plan.control.request_stop();
        }
    }
    failure.map_or(Ok(()), Err)
}

/// From one list of sockets a listener to one list a shard.
fn by_shard(listening: Vec<Listening>, shards: usize) -> Vec<Vec<OwnedFd>> {
    let mut sockets: Vec<Vec<OwnedFd>> = (0..shards).map(|_| Vec::new()).collect();
    for listener in listening {
        for (shard, socket) in sockets.iter_mut().zip(listener.sockets) {
            shard.push(socket);
        }
    }
    sockets
}

fn explain(shard: usize, kind: DriverKind, error: &io::Error) -> Problem {
    let problem = Problem::new(format!("shard {shard} has failed: {error}"));
    match (kind, error.kind()) {
        (DriverKind::Uring, io::ErrorKind::OutOfMemory) => {
            problem.with_help("io_uring needs locked memory: raise `ulimit -l`, or use --driver epoll")
        }
        _ => problem,
    }
}

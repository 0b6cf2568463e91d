//! One thread of a simulated run: a fleet and a shard, turn by turn.
//!
//! A turn gives the fleet what has come for it, then the shard, and ends with what both have for other threads. So what
//! clients send in a turn reaches a shard of the same thread in that turn, and its answers the clients in the next.
//!
//! The thread's CPU clock is read around the shard's half of every turn in which it has anything to do. That half holds
//! the shard, its mesh, and copying into and out of links where a driver would call the kernel; all else is the
//! generator's.

use super::broker::{Broker, Seat, Usage};
use super::post::{Post, Way};
use super::side::Side;
use crate::fleet::{Fleet, Lent};
use ringmq_core::machine::{Input, Machine, ShardId, Time};
use ringmq_core::shard::Shard;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// How long clients may take to close what is open when the run has been stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest sleep, should no deadline be known.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Runs one thread until it is asked to stop and its links are closed.
pub fn work(fleet: &mut Fleet, seat: Seat, broker: &Broker) {
    let Seat(post) = seat;
    post.sit_down();
    let (thread, threads) = (post.thread(), post.threads());
    let mut shard = Side::new(broker.shard(thread), Way::ToClients, threads);
    shard.lose = broker.options.lose.filter(|_| thread == 0);
    let mut node = Node {
        post,
        fleet: Side::new(Lent(fleet), Way::ToBroker, threads),
        shard,
        usage: Usage::default(),
        start: Instant::now(),
    };
    node.run(broker);
    broker.count(&node.shard.machine.counters());
}

struct Node<'a> {
    post: Post,
    fleet: Side<Lent<'a>>,
    shard: Side<Shard>,
    usage: Usage,
    start: Instant,
}

impl Node<'_> {
    fn run(&mut self, broker: &Broker) {
        let mut stop_by = None;
        loop {
            let moved = self.turn();
            if moved {
                broker.show(self.post.thread(), &self.usage);
            }
            if stop_by.is_none() && self.post.desks.stop_requested() {
                stop_by = Some(Instant::now() + STOP_TIMEOUT);
                self.fleet.step(&mut self.post, Input::Stop);
                continue;
            }
            if let Some(by) = stop_by
                && (self.fleet.used() == 0 && self.shard.used() == 0 || Instant::now() >= by)
            {
                return;
            }
            if !moved {
                self.rest();
            }
        }
    }

    /// True if anything but a tick of the fleet took place, or is left to be done.
    fn turn(&mut self) -> bool {
        let now = self.now();
        let mut moved = self.fleet_turn(now);
        if self.shard_has_work(now) {
            let begun = cpu_now();
            self.shard_turn();
            self.usage.cpu_ns += cpu_now() - begun;
            moved = true;
        }
        let (broker, fleet) = (&mut self.shard.fx.mesh, &mut self.fleet.fx.mesh);
        moved | !self.post.flush(broker, fleet)
    }

    fn fleet_turn(&mut self, now: Time) -> bool {
        let (fleet, post) = (&mut self.fleet, &mut self.post);
        fleet.begin_turn(now);
        let mut moved = post.take(Way::ToClients, |post, from, batch| fleet.batch(post, from, batch));
        moved |= post.take(Way::Credits, |post, from, batch| {
            fleet.step(post, Input::Mesh { from: ShardId(from), bytes: batch });
        });
        if fleet.machine.busy() || fleet.is_due() {
            fleet.step(post, Input::Tick);
        }
        moved | fleet.send_ready(post)
    }

    fn shard_has_work(&mut self, now: Time) -> bool {
        self.shard.begin_turn(now);
        let ways = [Way::ToBroker, Way::MeshControl, Way::MeshData];
        self.shard.has_work() || ways.into_iter().any(|way| self.post.has(way))
    }

    fn shard_turn(&mut self) {
        let (shard, post, usage) = (&mut self.shard, &mut self.post, &mut self.usage);
        post.take(Way::ToBroker, |post, from, batch| shard.batch(post, from, batch));
        for way in [Way::MeshControl, Way::MeshData] {
            post.take(way, |post, from, batch| {
                usage.mesh_batches += 1;
                usage.mesh_bytes += batch.len() as u64;
                shard.step(post, Input::Mesh { from: ShardId(from), bytes: batch });
            });
        }
        if shard.machine.busy() || shard.is_due() {
            shard.step(post, Input::Tick);
        }
        shard.send_ready(post);
        usage.handed_over = shard.handed_over;
        usage.received_bytes = shard.received_bytes;
        usage.sent_bytes = shard.sent_bytes;
    }

    /// Nothing moved: lets others run if the fleet spins, else sleeps until something is due or comes.
    fn rest(&self) {
        if self.fleet.machine.busy() {
            // There may be more threads than cores.
            return std::thread::yield_now();
        }
        let now = self.now();
        let until =
            |deadline: Option<Time>| deadline.map_or(SLEEP_MAX, |at| Duration::from_nanos(at.0.saturating_sub(now.0)));
        let wait = until(self.fleet.machine.deadline()).min(until(self.shard.machine.deadline())).min(SLEEP_MAX);
        self.post.sleep(wait);
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// CPU time of the calling thread, nanoseconds.
fn cpu_now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

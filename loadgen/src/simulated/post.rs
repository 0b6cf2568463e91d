//! Batches between the threads of a simulated run, over the broker's own rings.
//!
//! Each ordered pair of threads has one ring for each [`Way`], and one on which emptied buffers go back. A full ring
//! leaves its batch staged at the sender; nothing waits for room, and taking never depends on room elsewhere, so rings
//! cannot deadlock. What a thread has for itself is staged as well and taken in the same turn.
//!
//! Absent: what the batches say.

use ringmq_core::machine::{Lane, MeshOut, ShardId};
use ringmq_mesh::park::Parking;
use ringmq_mesh::ring::{Consumer, Producer, ring};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// Batches that fit into one ring.
const RING_BATCHES: usize = 16;

/// Batches taken from one ring in a turn.
const BATCHES_PER_TURN: usize = 8;

/// Staged bytes of links above which no connection adds to them: the rest stays in the outboxes, where machines see it.
const STAGED_BYTES_SOFT_MAX: usize = 32 * 1024;

/// Buffers that grew beyond this are given back to the allocator instead of the sender.
const RECYCLED_BYTES_MAX: usize = 64 * 1024;

/// What a batch is, and so who takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Links' records for shards.
    ToBroker,
    /// Links' records for clients.
    ToClients,
    /// The broker's mesh: small requests and answers.
    MeshControl,
    /// The broker's mesh: publishes.
    MeshData,
    /// Credits from fleet to fleet.
    Credits,
}

const WAYS: usize = 5;

/// What other threads know of one.
#[derive(Debug, Default)]
struct Desk {
    parking: Parking,
    thread: OnceLock<Thread>,
}

/// How to wake the threads, and to stop them.
#[derive(Debug, Clone)]
pub(super) struct Desks(Arc<[Desk]>, Arc<AtomicBool>);

impl Desks {
    /// Asks all threads to stop.
    pub(super) fn request_stop(&self) {
        self.1.store(true, Ordering::SeqCst);
        self.0.iter().filter_map(|desk| desk.thread.get()).for_each(Thread::unpark);
    }

    pub(super) fn stop_requested(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }
}

/// One thread's ends of the rings to and from another.
struct Line {
    send: [Producer<Vec<u8>>; WAYS],
    receive: [Consumer<Vec<u8>>; WAYS],
    returned: Consumer<Vec<u8>>,
    give_back: Producer<Vec<u8>>,
}

/// One thread's ends of all its rings.
pub(super) struct Post {
    thread: usize,
    pub(super) desks: Desks,
    /// By the other thread's number; `None` at this thread's own.
    lines: Vec<Option<Line>>,
    /// By thread, this one included: what goes to shards, and what goes to clients.
    staged: Vec<[Vec<u8>; 2]>,
    /// An emptied buffer of this thread's own.
    spare: Vec<u8>,
}

/// The ends of so many threads.
pub(super) fn posts(threads: usize) -> Vec<Post> {
    let desks = Desks((0..threads).map(|_| Desk::default()).collect(), Arc::default());
    let mut posts: Vec<Post> = (0..threads)
        .map(|thread| Post {
            thread,
            desks: desks.clone(),
            lines: (0..threads).map(|_| None).collect(),
            staged: (0..threads).map(|_| Default::default()).collect(),
            spare: Vec::new(),
        })
        .collect();
    for low in 0..threads {
        for high in low + 1..threads {
            let (up, down) = (Direction::new(), Direction::new());
            posts[low].lines[high] =
                Some(Line { send: up.send, receive: down.receive, returned: up.returned, give_back: down.give_back });
            posts[high].lines[low] =
                Some(Line { send: down.send, receive: up.receive, returned: down.returned, give_back: up.give_back });
        }
    }
    posts
}

/// Both ends of the rings that lead one way, and of the ring that brings their buffers back.
struct Direction {
    send: [Producer<Vec<u8>>; WAYS],
    receive: [Consumer<Vec<u8>>; WAYS],
    returned: Consumer<Vec<u8>>,
    give_back: Producer<Vec<u8>>,
}

impl Direction {
    fn new() -> Self {
        let rings: [_; WAYS] = std::array::from_fn(|_| ring(RING_BATCHES));
        let (mut send, mut receive) = (Vec::new(), Vec::new());
        for (producer, consumer) in rings {
            send.push(producer);
            receive.push(consumer);
        }
        let (give_back, returned) = ring(RING_BATCHES);
        let (Ok(send), Ok(receive)) = (send.try_into(), receive.try_into()) else { unreachable!("one ring a way") };
        Self { send, receive, returned, give_back }
    }
}

impl Post {
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    pub(super) fn threads(&self) -> usize {
        self.lines.len()
    }

    /// The calling thread is the one that others shall wake.
    pub(super) fn sit_down(&self) {
        let _ = self.desks.0[self.thread].thread.set(std::thread::current());
    }

    /// The batch to append a link's next record to; `way` is [`Way::ToBroker`] or [`Way::ToClients`].
    pub(super) fn link(&mut self, way: Way, to: u8) -> &mut Vec<u8> {
        &mut self.staged[usize::from(to)][way as usize]
    }

    /// Whether a link may add bytes now.
    pub(super) fn has_room(&self, way: Way, to: u8) -> bool {
        self.staged[usize::from(to)][way as usize].len() < STAGED_BYTES_SOFT_MAX
    }

    /// Takes this turn's batches that came one way, in the order of each source.
    pub(super) fn take(&mut self, way: Way, mut each: impl FnMut(&mut Self, u8, &[u8])) -> bool {
        let mut any = false;
        for from in 0..self.lines.len() {
            for _ in 0..BATCHES_PER_TURN {
                let Some(line) = &mut self.lines[from] else { break };
                let Some(batch) = line.receive[way as usize].pop() else { break };
                each(self, from as u8, &batch);
                any = true;
                if let Some(line) = &mut self.lines[from] {
                    let _ = line.give_back.push(emptied(batch));
                }
            }
        }
        if matches!(way, Way::ToBroker | Way::ToClients) && !self.staged[self.thread][way as usize].is_empty() {
            // One more turn of the same may follow from this one; it waits for its turn.
            let spare = std::mem::take(&mut self.spare);
            let batch = std::mem::replace(&mut self.staged[self.thread][way as usize], spare);
            each(self, self.thread as u8, &batch);
            self.spare = emptied(batch);
            any = true;
        }
        any
    }

    /// Whether something has come one way.
    pub(super) fn has(&self, way: Way) -> bool {
        let links = matches!(way, Way::ToBroker | Way::ToClients);
        links && !self.staged[self.thread][way as usize].is_empty()
            || self.lines.iter().flatten().any(|line| !line.receive[way as usize].is_empty())
    }

    /// Moves what is staged into the rings as far as they have room. False if something is left.
    pub(super) fn flush(&mut self, broker: &mut MeshOut, fleet: &mut MeshOut) -> bool {
        let mut all = true;
        for to in 0..self.lines.len() {
            let Some(line) = &mut self.lines[to] else { continue };
            let shard = ShardId(to as u8);
            let [to_broker, to_clients] = &mut self.staged[to];
            let mut pushed = false;
            for (way, staged) in [
                (Way::MeshControl, broker.lane(shard, Lane::Control)),
                (Way::ToBroker, to_broker),
                (Way::ToClients, to_clients),
                (Way::Credits, fleet.lane(shard, Lane::Data)),
            ] {
                all &= push(line, way, staged, &mut pushed);
            }
            all &= push(line, Way::MeshData, broker.lane(shard, Lane::Data), &mut pushed);
            let desk = &self.desks.0[to];
            if pushed
                && desk.parking.should_wake()
                && let Some(thread) = desk.thread.get()
            {
                thread.unpark();
            }
        }
        all
    }

    /// Sleeps for at most so long, unless something has come meanwhile.
    pub(super) fn sleep(&self, at_most: std::time::Duration) {
        let desk = &self.desks.0[self.thread];
        desk.parking.prepare_sleep();
        let any = self.lines.iter().flatten().any(|line| line.receive.iter().any(|ring| !ring.is_empty()));
        if !any && !self.desks.stop_requested() {
            std::thread::park_timeout(at_most);
        }
        desk.parking.awake();
    }
}

/// Moves one batch into its ring. False if it does not fit.
fn push(line: &mut Line, way: Way, staged: &mut Vec<u8>, pushed: &mut bool) -> bool {
    if staged.is_empty() {
        return true;
    }
    let ring = &mut line.send[way as usize];
    if ring.is_disconnected() {
        // That thread has ended: nobody will take anything any more.
        staged.clear();
        return true;
    }
    match ring.push(std::mem::take(staged)) {
        Ok(()) => {
            *staged = line.returned.pop().unwrap_or_default();
            *pushed = true;
            true
        }
        Err(refused) => {
            *staged = refused;
            false
        }
    }
}

fn emptied(mut batch: Vec<u8>) -> Vec<u8> {
    batch.clear();
    if batch.capacity() > RECYCLED_BYTES_MAX { Vec::new() } else { batch }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(post: &mut Post, way: Way) -> Vec<(u8, Vec<u8>)> {
        let mut batches = Vec::new();
        post.take(way, |_, from, batch| batches.push((from, batch.to_vec())));
        batches
    }

    #[test]
    fn a_full_ring_leaves_its_batch_staged_and_in_order() {
        let mut posts = posts(2);
        let (mut broker, mut fleet) = (MeshOut::new(2), MeshOut::new(2));
        for batch in 0..RING_BATCHES as u8 {
            posts[0].link(Way::ToBroker, 1).push(batch);
            assert!(posts[0].flush(&mut broker, &mut fleet));
        }
        for more in [200, 201] {
            posts[0].link(Way::ToBroker, 1).push(more);
            assert!(!posts[0].flush(&mut broker, &mut fleet), "the ring is full");
        }
        let mut all = Vec::new();
        while posts[1].has(Way::ToBroker) {
            all.extend(taken(&mut posts[1], Way::ToBroker).into_iter().flat_map(|(_, batch)| batch));
            posts[0].flush(&mut broker, &mut fleet);
        }
        let expected: Vec<u8> = (0..RING_BATCHES as u8).chain([200, 201]).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn ways_do_not_mix_and_ones_own_needs_no_ring() {
        let mut posts = posts(2);
        let (mut broker, mut fleet) = (MeshOut::new(2), MeshOut::new(2));
        posts[0].link(Way::ToClients, 0).push(1);
        broker.lane(ShardId(1), Lane::Data).push(2);
        broker.lane(ShardId(1), Lane::Control).push(3);
        fleet.lane(ShardId(1), Lane::Data).push(4);
        assert!(posts[0].has(Way::ToClients) && !posts[0].has(Way::ToBroker));
        assert!(posts[0].flush(&mut broker, &mut fleet));
        assert_eq!(taken(&mut posts[0], Way::ToClients), [(0, vec![1])]);
        for (way, byte) in [(Way::MeshData, 2), (Way::MeshControl, 3), (Way::Credits, 4)] {
            assert_eq!(taken(&mut posts[1], way), [(0, vec![byte])]);
        }
        assert!(!posts[1].has(Way::ToBroker) && !posts[1].has(Way::ToClients));
    }

    #[test]
    fn a_thread_that_has_ended_holds_up_nobody() {
        let mut posts = posts(2);
        let mut gone = posts.split_off(1);
        gone.clear();
        for _ in 0..2 * RING_BATCHES {
            posts[0].link(Way::ToBroker, 1).push(1);
            assert!(posts[0].flush(&mut MeshOut::new(2), &mut MeshOut::new(2)));
        }
    }
}

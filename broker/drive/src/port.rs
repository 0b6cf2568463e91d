//! The mesh port: moves staged bytes into the rings to other shards, and batches from them to the machine.
//!
//! Invariant: taking from an inbound ring never waits for room in an outbound one. What does not fit stays staged in
//! [`MeshOut`], whose backlog the machine watches; so two shards with full rings still empty each other's.

use crate::control::Control;
use crate::links::{HandedOver, Link, Links, Parcel};
use crate::stats::Stats;
use ringmq_core::machine::{Lane, MeshOut, ShardId};
use std::collections::VecDeque;

/// Most parcels taken from one source's control ring in a turn.
const CONTROL_PARCELS_MAX: usize = 64;

/// Most parcels taken from one source's data ring in a turn.
const DATA_PARCELS_MAX: usize = 32;

/// Bytes taken from one ring in a turn after which no further parcel is taken from it.
const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// Buffers that grew beyond this are given back to the allocator instead of the sender.
const RECYCLED_BYTES_MAX: usize = 64 * 1024;

/// Lanes in the order in which they are served.
const LANES: [Lane; 2] = [Lane::Control, Lane::Data];

/// Where a turn's draining has got to.
#[derive(Debug, Default)]
struct Cursor {
    lane: usize,
    /// Sources finished on this lane.
    sources: usize,
    parcels: usize,
    bytes: usize,
}

/// One shard's side of the mesh.
pub(crate) struct Port {
    links: Links,
    control: Control,
    /// Connections on their way to each shard that the ring has not taken yet.
    departures: Vec<VecDeque<Box<HandedOver>>>,
    /// The source served first; moves on every turn.
    start: usize,
    cursor: Cursor,
    /// Shards to wake, one bit each.
    wakes: u64,
}

impl Port {
    /// The port of the shard that `links` belongs to.
    ///
    /// # Panics
    /// If `control` was made for another number of shards.
    pub(crate) fn new(links: Links, control: Control) -> Self {
        assert_eq!(links.shards(), control.shards(), "links and control of the same process");
        let departures = (0..links.shards()).map(|_| VecDeque::new()).collect();
        Self { links, control, departures, start: 0, cursor: Cursor::default(), wakes: 0 }
    }

    /// True if some shard sent something that has not been taken, or made room for what is staged.
    pub(crate) fn has_work(&self) -> bool {
        self.links.links.iter().flatten().any(|link| {
            link.receive.iter().any(|ring| !ring.is_empty()) || (link.wishing && !link.our_wish.is_pending())
        })
    }

    /// Starts a turn's draining.
    pub(crate) fn begin(&mut self) {
        self.start = (self.start + 1) % self.links.shards();
        self.cursor = Cursor::default();
    }

    /// The next parcel within this turn's budget: all control rings first, then all data rings.
    pub(crate) fn next(&mut self) -> Option<(ShardId, Parcel)> {
        let shards = self.links.shards();
        while self.cursor.lane < LANES.len() {
            let lane = LANES[self.cursor.lane];
            while self.cursor.sources < shards {
                let source = (self.start + self.cursor.sources) % shards;
                if let Some(link) = &mut self.links.links[source] {
                    let parcels_max = if lane == Lane::Control { CONTROL_PARCELS_MAX } else { DATA_PARCELS_MAX };
                    if self.cursor.parcels < parcels_max
                        && self.cursor.bytes < SOURCE_BYTES_MAX
                        && let Some(parcel) = link.receive[lane as usize].pop()
                    {
                        self.cursor.parcels += 1;
                        if let Parcel::Batch(bytes) = &parcel {
                            self.cursor.bytes += bytes.len();
                        }
                        return Some((shard_id(source), parcel));
                    }
                    if self.cursor.parcels > 0 && link.their_wish.granted() {
                        self.wake_if_parked(source);
                    }
                }
                self.cursor = Cursor { lane: self.cursor.lane, sources: self.cursor.sources + 1, ..Cursor::default() };
            }
            self.cursor = Cursor { lane: self.cursor.lane + 1, ..Cursor::default() };
        }
        None
    }

    /// Gives an emptied buffer back to the shard that filled it.
    pub(crate) fn recycle(&mut self, from: ShardId, mut buffer: Vec<u8>) {
        if buffer.capacity() <= RECYCLED_BYTES_MAX
            && let Some(link) = &mut self.links.links[usize::from(from.0)]
        {
            buffer.clear();
            // A full return ring only means that this one goes to the allocator.
            let _ = link.give_back.push(buffer);
        }
    }

    /// Sends a connection to another shard with the next [`Port::flush`].
    ///
    /// # Panics
    /// If `to` is this shard or none of this process.
    pub(crate) fn depart(&mut self, to: ShardId, connection: HandedOver) {
        assert!(to != self.links.shard(), "a connection is handed over to another shard");
        self.departures[usize::from(to.0)].push_back(Box::new(connection));
    }

    /// Moves what is staged into the rings as far as they have room.
    pub(crate) fn flush(&mut self, mesh: &mut MeshOut, stats: &mut Stats) {
        for target in 0..self.links.shards() {
            let Some(link) = &mut self.links.links[target] else { continue };
            let departures = &mut self.departures[target];
            if link.send[Lane::Data as usize].is_disconnected() {
                // That shard has ended: nobody will take anything any more.
                departures.clear();
                LANES.into_iter().for_each(|lane| mesh.lane(shard_id(target), lane).clear());
                continue;
            }
            let mut progress = Progress::default();
            push_staged(link, departures, mesh, shard_id(target), &mut progress, stats);
            if progress.full {
                stats.mesh_full += 1;
                link.our_wish.announce();
                progress.full = false;
                push_staged(link, departures, mesh, shard_id(target), &mut progress, stats);
            }
            link.wishing = progress.full;
            if progress.pushed {
                self.wake_if_parked(target);
            }
        }
    }

    /// The shards that have to be woken, one bit each; they are no longer parked as far as other shards can see.
    pub(crate) fn take_wakes(&mut self) -> u64 {
        std::mem::take(&mut self.wakes)
    }

    fn wake_if_parked(&mut self, target: usize) {
        if self.control.seat(shard_id(target)).parking.should_wake() {
            self.wakes |= 1 << target;
        }
    }
}

/// What became of one target's staged parcels.
#[derive(Debug, Default)]
struct Progress {
    pushed: bool,
    full: bool,
}

fn push_staged(
    link: &mut Link,
    departures: &mut VecDeque<Box<HandedOver>>,
    mesh: &mut MeshOut,
    to: ShardId,
    progress: &mut Progress,
    stats: &mut Stats,
) {
    while let Some(connection) = departures.pop_front() {
        if let Err(refused) = link.send[Lane::Control as usize].push(Parcel::Connection(connection)) {
            if let Parcel::Connection(connection) = refused {
                departures.push_front(connection);
            }
            progress.full = true;
            break;
        }
        progress.pushed = true;
    }
    for lane in LANES {
        let staged = mesh.lane(to, lane);
        if staged.is_empty() {
            continue;
        }
        let bytes = staged.len() as u64;
        let batch = std::mem::take(staged);
        match link.send[lane as usize].push(Parcel::Batch(batch)) {
            Ok(()) => {
                *staged = link.returned.pop().unwrap_or_default();
                progress.pushed = true;
                stats.mesh_sent += 1;
                stats.mesh_sent_bytes += bytes;
            }
            Err(refused) => {
                if let Parcel::Batch(batch) = refused {
                    *staged = batch;
                }
                progress.full = true;
            }
        }
    }
}

fn shard_id(index: usize) -> ShardId {
    ShardId(u8::try_from(index).expect("at most SHARDS_MAX shards"))
}

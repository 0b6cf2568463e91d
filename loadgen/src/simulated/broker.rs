//! The broker of a simulated run: makes the shards as the broker's own process does, and says what they used.
//!
//! Absent: configuration files; the settings are the broker's defaults, but for the size of packets.

use super::Simulated;
use super::post::{Desks, Post, posts};
use crate::procfs::Memory;
use ringmq_core::counters::Counters;
use ringmq_core::interest::Interest;
use ringmq_core::machine::ShardId;
use ringmq_core::settings::Settings;
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_drive::MeshInterest;
use ringmq_mesh::interest::InterestTable;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Distinct filters for which the interest table has room before it first grows, as in the broker.
const INTEREST_KEYS: usize = 4096;

/// What a packet may hold besides the payload.
const PACKET_BYTES_BESIDES_PAYLOAD: usize = 128 * 1024;

/// What the broker's half of all threads has used since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of the shards, their mesh and their ends of the links, nanoseconds.
    pub cpu_ns: u64,
    /// Connections that were accepted by one shard and belong to another.
    pub handed_over: u64,
    /// Batches from shard to shard.
    pub mesh_batches: u64,
    /// Bytes from shard to shard.
    pub mesh_bytes: u64,
    /// Bytes from clients.
    pub received_bytes: u64,
    /// Bytes to clients.
    pub sent_bytes: u64,
}

/// One thread's [`Usage`], on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shown([AtomicU64; 6]);

impl Usage {
    fn values(&self) -> [u64; 6] {
        let Self { cpu_ns, handed_over, mesh_batches, mesh_bytes, received_bytes, sent_bytes } = *self;
        [cpu_ns, handed_over, mesh_batches, mesh_bytes, received_bytes, sent_bytes]
    }

    fn of(values: [u64; 6]) -> Self {
        let [cpu_ns, handed_over, mesh_batches, mesh_bytes, received_bytes, sent_bytes] = values;
        Self { cpu_ns, handed_over, mesh_batches, mesh_bytes, received_bytes, sent_bytes }
    }

    /// What was used since an earlier sample.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let (now, then) = (self.values(), earlier.values());
        Self::of(std::array::from_fn(|field| now[field].saturating_sub(then[field])))
    }
}

/// What is known once a simulated run has ended.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// Memory of the process before the clients were made, when they were, when all were ready, and at the end of the
    /// measurement.
    pub memory: [Memory; 4],
    /// While connections were opened.
    pub connecting: Usage,
    /// During the measured interval.
    pub measured: Usage,
    /// In all.
    pub in_all: Usage,
    /// The shards' counters that are not 0, by EMQX's names, all shards together.
    pub counters: BTreeMap<String, u64>,
}

/// A broker inside the generator's process.
pub struct Broker {
    settings: Settings,
    shards: usize,
    seed: u64,
    /// Absent where there is only one shard.
    interest: Option<Arc<InterestTable>>,
    shown: Box<[Shown]>,
    counters: Mutex<Vec<u64>>,
    desks: Desks,
    pub(super) options: Simulated,
    /// Memory of the process before any client was made.
    before: Memory,
}

impl Broker {
    /// A broker of so many shards that takes payloads of so many bytes, and the ends of each thread. To be called before anything is made for clients.
    #[must_use]
    pub fn new(shards: usize, options: Simulated, payload_bytes: usize) -> (Self, Vec<Seat>) {
        let posts = posts(shards);
        let desks = posts[0].desks.clone();
        let broker = Self {
            settings: settings(payload_bytes),
            shards,
            seed: secret(),
            interest: (shards > 1).then(|| InterestTable::new(shards, secret(), INTEREST_KEYS)),
            shown: (0..shards).map(|_| Shown::default()).collect(),
            counters: Mutex::new(vec![0; Counters::COUNT]),
            desks,
            options,
            before: own_memory(),
        };
        (broker, posts.into_iter().map(Seat).collect())
    }

    /// Asks all threads to stop: their clients close what is open, and they end when nothing is left.
    pub fn request_stop(&self) {
        self.desks.request_stop();
    }

    /// What all shards have used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let sum = |field: usize| self.shown.iter().map(|shown| shown.0[field].load(Ordering::Relaxed)).sum();
        Usage::of(std::array::from_fn(sum))
    }

    /// The end of a run: samples that the main thread took, put together. `memory` and `usage` are in the order of
    /// [`Ended`]'s fields, without what this broker knows by itself.
    #[must_use]
    pub fn ended(&self, memory: [Memory; 3], connecting: Usage, measured: Usage) -> Ended {
        let sums = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = Counters::NAMES.iter().zip(sums.iter()).filter(|(_, count)| **count > 0);
        let [made, ready, last] = memory;
        Ended {
            memory: [self.before, made, ready, last],
            connecting,
            measured,
            in_all: self.usage(),
            counters: counters.map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        }
    }

    /// Makes the shard of a thread, on that thread.
    pub(super) fn shard(&self, thread: usize) -> Shard {
        let handle =
            |table: &Arc<InterestTable>| -> Box<dyn Interest> { Box::new(MeshInterest::new(table.handle(thread))) };
        Shard::new(ShardConfig {
            id: ShardId(thread as u8),
            shards: self.shards,
            settings: self.settings.clone(),
            seed: self.seed,
            interest: self.interest.as_ref().map(handle),
            auth_methods: Vec::new(),
            rewriter: None,
            unix_offset_ms: 0,
            counters: None,
        })
    }

    /// A thread shows what its half has used.
    pub(super) fn show(&self, thread: usize, usage: &Usage) {
        for (shown, value) in self.shown[thread].0.iter().zip(usage.values()) {
            shown.store(value, Ordering::Relaxed);
        }
    }

    /// A shard has ended.
    pub(super) fn count(&self, counters: &Counters) {
        let mut sums = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        sums.iter_mut().zip(counters.values()).for_each(|(sum, count)| *sum += count);
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("shards", &self.shards).field("options", &self.options).finish_non_exhaustive()
    }
}

/// One thread's place in a simulated run.
pub struct Seat(pub(super) Post);

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.0.thread()).finish()
    }
}

/// Memory of this process; zeros if it cannot be had.
#[must_use]
pub fn own_memory() -> Memory {
    Memory::take(std::process::id()).unwrap_or_default()
}

/// The broker's defaults, with room for what will be published.
fn settings(payload_bytes: usize) -> Settings {
    let settings = Settings::default();
    let needed = u32::try_from(payload_bytes + PACKET_BYTES_BESIDES_PAYLOAD).unwrap_or(u32::MAX);
    Settings {
        max_packet_size: settings.max_packet_size.max(needed),
        retainer_max_payload_size: settings.retainer_max_payload_size.max(needed),
        ..settings
    }
}

/// A number that nobody can guess: the standard library keys every hasher from the system's random source.
fn secret() -> u64 {
    RandomState::new().hash_one(0)
}

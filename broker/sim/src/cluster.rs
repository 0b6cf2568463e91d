//! The same shards without faults and delays: a caller pushes bytes in and takes bytes out, and time moves when the
//! caller says so. Made for many clients at little cost; a million fit one process.
//!
//! A [`Cluster`] keeps links, carries hand-offs and batches between shards, and sends at once what shards append.
//! Nothing is simulated: links take everything, rings are as long as they must be.
//!
//! Absent: oracles, and any idea of what the bytes mean.

use crate::host::{Asked, Host, LinkId};
use crate::interest::{Announced, Table};
use ringmq_core::counters::Counters;
use ringmq_core::machine::{CloseCause, ConnId, Input, Lane, Machine, ShardId, Time};
use ringmq_core::settings::Settings;
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_mesh::interest::InterestTable;

/// Filters that the interest table holds before it grows.
const INTEREST_CAPACITY: usize = 1024;

/// Turns without an end in sight after which a cluster that does not come to rest is a bug.
const TURNS_MAX: usize = 10_000_000;

/// A connection to the cluster, wherever it is at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(u32);

/// Where a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Closed by the shard or by the caller.
    Closed,
    At {
        shard: u8,
        conn: ConnId,
    },
}

/// Shards joined by nothing but function calls.
pub struct Cluster {
    hosts: Vec<Host>,
    places: Vec<Place>,
    now: Time,
    asked: Vec<Asked>,
    /// What was still to be sent on links that shards have closed.
    farewells: Vec<(LinkId, Vec<u8>)>,
    /// Hand-offs and what follows them, in order.
    arriving: Vec<(LinkId, usize, Vec<u8>)>,
}

impl Cluster {
    /// A cluster of so many shards.
    ///
    /// # Panics
    /// With no shard, or more than 64.
    #[must_use]
    pub fn new(shards: usize, settings: &Settings, seed: u64) -> Self {
        let table = InterestTable::new(shards, seed, INTEREST_CAPACITY);
        let announced = Announced::default();
        let hosts = (0..shards)
            .map(|shard| {
                let config = ShardConfig {
                    id: ShardId(u8::try_from(shard).expect("64 shards")),
                    shards,
                    settings: settings.clone(),
                    seed,
                    interest: Some(Box::new(Table::new(table.handle(shard), announced.clone()))),
                    auth_methods: Vec::new(),
                    counters: None,
                    rewriter: None,
                    unix_offset_ms: 0,
                };
                Host::new(Shard::new(config), shards)
            })
            .collect();
        Self {
            hosts,
            places: Vec::new(),
            now: Time::from_millis(1),
            asked: Vec::new(),
            farewells: Vec::new(),
            arriving: Vec::new(),
        }
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.hosts.len()
    }

    /// Opens a link; `shard` accepts it.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn open(&mut self, shard: usize) -> Link {
        let link = self.places.len();
        self.places.push(Place::Closed);
        self.accept(link, shard, false);
        self.settle();
        Link(u32::try_from(link).expect("fewer than 2^32 links"))
    }

    /// Gives a link's shard bytes from its client. Does nothing if the link is closed.
    pub fn push(&mut self, link: Link, bytes: &[u8]) {
        if let Place::At { shard, conn } = self.places[link.0 as usize]
            && !bytes.is_empty()
        {
            self.give(usize::from(shard), Input::Received { conn, bytes });
            self.settle();
        }
    }

    /// Closes a link as its client would, without a word.
    pub fn close(&mut self, link: Link) {
        if let Place::At { shard, conn } = self.places[link.0 as usize] {
            self.places[link.0 as usize] = Place::Closed;
            let mut asked = core::mem::take(&mut self.asked);
            self.hosts[usize::from(shard)].closed(self.now, conn, CloseCause::Peer, &mut asked);
            self.asked = asked;
            self.carry_out();
            self.settle();
        }
    }

    /// True while neither side has closed it.
    #[must_use]
    pub fn is_open(&self, link: Link) -> bool {
        self.places[link.0 as usize] != Place::Closed
    }

    /// Lets shards finish what they have begun, and hands what they send to `sink`, by link.
    ///
    /// # Panics
    /// If they do not come to rest, which would be a bug.
    pub fn turn(&mut self, mut sink: impl FnMut(Link, &[u8])) {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for (link, bytes) in core::mem::take(&mut self.farewells) {
                sink(Link(u32::try_from(link).expect("a link")), &bytes);
            }
            for shard in 0..self.hosts.len() {
                moved |= self.exchange(shard);
                let host = &mut self.hosts[shard];
                host.begin_turn();
                let due = host.shard.deadline().is_some_and(|deadline| deadline <= self.now);
                if host.shard.busy() || due {
                    self.give(shard, Input::Tick);
                    moved = true;
                }
                moved |= self.send(shard, &mut sink);
            }
            if !moved && self.farewells.is_empty() {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Moves time on by so many milliseconds, in steps in which no timer is late, and does [`Cluster::turn`] at each.
    pub fn advance(&mut self, millis: u64, mut sink: impl FnMut(Link, &[u8])) {
        let end = Time::from_millis(self.now.millis() + millis);
        loop {
            let next = self.hosts.iter().filter_map(|host| host.shard.deadline()).min().unwrap_or(end);
            self.now = self.now.max(next.min(end));
            self.turn(&mut sink);
            if self.now >= end {
                return;
            }
        }
    }

    /// What each shard has counted.
    #[must_use]
    pub fn counters(&self) -> Vec<Counters> {
        self.hosts.iter().map(|host| host.shard.counters()).collect()
    }

    fn give(&mut self, shard: usize, input: Input<'_>) {
        let mut asked = core::mem::take(&mut self.asked);
        self.hosts[shard].step(self.now, input, &mut asked);
        self.asked = asked;
        self.carry_out();
    }

    fn accept(&mut self, link: LinkId, shard: usize, handed_over: bool) {
        let mut asked = core::mem::take(&mut self.asked);
        let conn = self.hosts[shard].accept(self.now, link, handed_over, &mut asked);
        self.asked = asked;
        self.places[link] = Place::At { shard: u8::try_from(shard).expect("64 shards"), conn };
        self.carry_out();
    }

    fn carry_out(&mut self) {
        for ask in core::mem::take(&mut self.asked) {
            match ask {
                Asked::Close { link, rest } => {
                    self.places[link] = Place::Closed;
                    if !rest.is_empty() {
                        self.farewells.push((link, rest));
                    }
                }
                Asked::HandOff { link, to, bytes } => {
                    self.places[link] = Place::Closed;
                    self.arriving.push((link, usize::from(to.0), bytes));
                }
                // Links take what they are given.
                Asked::Pause { .. } | Asked::Resume { .. } => {}
            }
        }
    }

    /// Finishes hand-offs.
    fn settle(&mut self) {
        while let Some((link, shard, bytes)) = self.arriving.pop() {
            self.accept(link, shard, true);
            if let Place::At { conn, .. } = self.places[link] {
                self.give(shard, Input::Received { conn, bytes: &bytes });
            }
        }
    }

    /// Takes a shard's lanes to the others.
    fn exchange(&mut self, shard: usize) -> bool {
        let from = ShardId(u8::try_from(shard).expect("64 shards"));
        let mut moved = false;
        for to in 0..self.hosts.len() {
            let id = ShardId(u8::try_from(to).expect("64 shards"));
            for lane in [Lane::Control, Lane::Data] {
                let batch = core::mem::take(self.hosts[shard].fx.mesh.lane(id, lane));
                if !batch.is_empty() {
                    self.give(to, Input::Mesh { from, bytes: &batch });
                    moved = true;
                }
            }
        }
        moved
    }

    fn send(&mut self, shard: usize, sink: &mut impl FnMut(Link, &[u8])) -> bool {
        let mut moved = false;
        let mut drained = Vec::new();
        self.hosts[shard].for_each_dirty(|host, conn, link| {
            let outbox = &mut host.fx.outbox;
            loop {
                let _started = outbox.start_send(conn);
                let bytes = outbox.rest_of_send(conn).bytes;
                if bytes.is_empty() {
                    break;
                }
                sink(Link(u32::try_from(link).expect("a link")), bytes);
                let count = bytes.len();
                if outbox.sent(conn, count).drained {
                    drained.push(conn);
                }
                moved = true;
            }
        });
        for conn in drained {
            self.give(shard, Input::Drained { conn });
        }
        moved
    }
}

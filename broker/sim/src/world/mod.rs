//! The simulated world: shards, links and clients on one virtual clock.
//!
//! An event queue holds what will happen and when. An event that concerns a shard asks for a turn of it, a little later;
//! a turn feeds the shard what has arrived, carries out what it asks for, and sends what it has to send. All choices
//! come from the seed.
//!
//! `turn` is the driver's side, `wire` the way of bytes between clients and shards, `stages` the course of a run.

mod lanes;
mod link;
mod stages;
mod turn;
mod wire;

use crate::client::{Client, Role};
use crate::dice::Dice;
use crate::host::{Asked, Host, LinkId};
use crate::interest::{Announced, Broadcast, Forgetful, Table};
use crate::oracle::Oracle;
use crate::shape::{Kind, Sabotage, Shape};
use crate::trace::Trace;
use lanes::Way;
use link::Link;
use ringmq_core::interest::Interest;
use ringmq_core::machine::{ShardId, Time};
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_mesh::interest::InterestTable;
use ringmq_wire::Version;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// Filters that the interest table holds before it grows: few, so that it does.
const INTEREST_CAPACITY: usize = 4;

/// When the world begins, nanoseconds: not 0, which would hide differences.
const BEGIN_NS: u64 = 1_000_000_000;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Turn(usize),
    /// The next piece from the client arrives at the shard.
    Up(LinkId),
    /// The end of what the client wrote arrives.
    UpEnd(LinkId),
    /// The next piece from the shard arrives at the client.
    Down(LinkId),
    /// The shard's closing arrives.
    DownEnd(LinkId),
    Act(usize),
    /// A client reads again.
    Read(usize),
}

/// Everything.
pub(crate) struct World {
    shape: Shape,
    dice: Dice,
    trace: Trace,
    oracle: Oracle,
    now_ns: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    hosts: Vec<Host>,
    /// When each shard has its next turn.
    turn_at: Vec<Option<u64>>,
    /// Links that a shard has to look at in its next turn.
    ready: Vec<Vec<LinkId>>,
    /// Links that a shard has to accept, with whether they were handed over.
    backlog: Vec<Vec<(LinkId, bool)>>,
    /// Ways by sender, receiver and lane.
    ways: Vec<Vec<[Way; 2]>>,
    batches: u64,
    kept_back: Option<(usize, usize, Vec<u8>)>,
    sends: u64,
    links: Vec<Link>,
    clients: Vec<Client>,
    /// Until when a client reads nothing, nanoseconds.
    stalled_until: Vec<u64>,
    announced: Announced,
    draining: bool,
    /// Things that clients have done.
    acted: u64,
    asked: Vec<Asked>,
}

impl World {
    pub(crate) fn new(seed: u64, shape: Shape, print: bool) -> Self {
        let mut dice = Dice::new(seed);
        let announced: Announced = Rc::new(Cell::new(0));
        let secret = dice.word();
        let table = InterestTable::new(shape.shards, secret, INTEREST_CAPACITY);
        let hosts = (0..shape.shards)
            .map(|shard| {
                let mut interest: Box<dyn Interest> = if shape.broadcast {
                    Box::new(Broadcast::new(shape.shards, announced.clone()))
                } else {
                    Box::new(Table::new(table.handle(shard), announced.clone()))
                };
                if let Some(Sabotage::ForgetInterest(every)) = shape.sabotage {
                    interest = Box::new(Forgetful::new(interest, every));
                }
                let config = ShardConfig {
                    id: ShardId(u8::try_from(shard).expect("few shards")),
                    shards: shape.shards,
                    settings: shape.settings.clone(),
                    seed: secret,
                    interest: Some(interest),
                    auth_methods: Vec::new(),
                    counters: None,
                    rewriter: None,
                    unix_offset_ms: 0,
                };
                Host::new(Shard::new(config), shape.shards)
            })
            .collect();
        let way = || Way::new(shape.ring_batches);
        let ways = (0..shape.shards).map(|_| (0..shape.shards).map(|_| [way(), way()]).collect()).collect();
        let clients: Vec<Client> = (0..shape.clients)
            .map(|index| {
                let role = match index {
                    0 => Role::Observer,
                    _ if shape.kind == Kind::Queued && index % 2 == 0 => Role::Consumer,
                    _ if shape.kind == Kind::Shared && index % 2 == 0 => Role::Worker,
                    _ => Role::Ordinary,
                };
                let version = match role {
                    Role::Observer => Version::V5,
                    _ => *dice.pick(&[Version::V31, Version::V311, Version::V5, Version::V5]),
                };
                let persistent = dice.chance(600) && version != Version::V31;
                Client::new(index, role, version, persistent)
            })
            .collect();
        // A shard acts on its timers in its next turn, and its clock counts whole milliseconds.
        let slack_ns = 10 * (shape.turn_delay_us + shape.mesh_delay_us) * US + 20 * MS;
        let mut world = Self {
            oracle: Oracle::new(clients.len(), slack_ns, shape.lossless),
            trace: Trace::new(print),
            now_ns: BEGIN_NS,
            events: BinaryHeap::new(),
            sequence: 0,
            hosts,
            turn_at: vec![None; shape.shards],
            ready: vec![Vec::new(); shape.shards],
            backlog: vec![Vec::new(); shape.shards],
            ways,
            batches: 0,
            kept_back: None,
            sends: 0,
            links: Vec::new(),
            stalled_until: vec![0; clients.len()],
            clients,
            announced,
            draining: false,
            acted: 0,
            asked: Vec::new(),
            dice,
            shape,
        };
        for shard in 0..world.hosts.len() {
            world.want_turn(shard, 0);
        }
        for client in 0..world.clients.len() {
            let wait_ns = world.dice.within(0, world.shape.pace_us) * US;
            world.later(wait_ns, Event::Act(client));
        }
        world
    }

    fn now(&self) -> Time {
        Time(self.now_ns)
    }

    fn later(&mut self, wait_ns: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now_ns + wait_ns, self.sequence, event)));
    }

    /// A shard has something to do within so long.
    fn want_turn(&mut self, shard: usize, delay_max_ns: u64) {
        let at_ns = self.now_ns + if delay_max_ns > 0 { self.dice.within(0, delay_max_ns) } else { 0 };
        self.want_turn_at(shard, at_ns);
    }

    fn want_turn_at(&mut self, shard: usize, at_ns: u64) {
        if self.turn_at[shard].is_none_or(|set_ns| at_ns < set_ns) {
            self.turn_at[shard] = Some(at_ns);
            self.later(at_ns.saturating_sub(self.now_ns), Event::Turn(shard));
        }
    }

    /// Something has happened that a shard is told of in its next turn.
    fn wake(&mut self, shard: usize) {
        self.want_turn(shard, self.shape.turn_delay_us * US);
    }

    /// Lets the next thing happen. False if nothing will, or not before `until_ns`.
    fn step(&mut self, until_ns: u64) -> bool {
        if self.events.peek().is_none_or(|Reverse((at_ns, ..))| *at_ns > until_ns) {
            self.now_ns = self.now_ns.max(until_ns);
            return false;
        }
        let Some(Reverse((at_ns, _, event))) = self.events.pop() else { return false };
        self.now_ns = at_ns;
        self.oracle.now_ns = at_ns;
        match event {
            Event::Turn(shard) => {
                // An earlier turn may have taken the place of this one.
                if self.turn_at[shard] == Some(at_ns) {
                    self.turn_at[shard] = None;
                    self.turn(shard);
                }
            }
            Event::Up(link) => self.arrive_up(link),
            Event::UpEnd(link) => {
                self.links[link].up_end_arrived = true;
                self.note_ready(link);
            }
            Event::Down(link) => self.arrive_down(link),
            Event::DownEnd(link) => self.arrive_down_end(link),
            Event::Act(client) => self.act(client),
            Event::Read(client) => self.read(client),
        }
        true
    }
}

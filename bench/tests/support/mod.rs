//! Drives shards directly, as a driver would, but with nothing beneath: what is appended is counted and thrown away.

use ringmq_core::interest::Interest;
use ringmq_core::machine::{Command, ConnId, Effects, Input, Lane, Machine, Origin, ShardId, Time};
use ringmq_core::settings::Settings;
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_mesh::interest::{Interest as Handle, InterestTable};
use ringmq_wire::{Connect, ConnectProperties, PublishOut, QoS, SubscribeOptions, SubscribeOut, Version};
use std::net::{Ipv4Addr, SocketAddr};

/// The table of the mesh, as the core wants it.
struct TableHandle(Handle);

impl Interest for TableHandle {
    fn announce(&mut self, filter: &str) {
        self.0.announce(filter);
    }

    fn withdraw(&mut self, filter: &str) {
        self.0.withdraw(filter);
    }

    fn lookup(&mut self, topic: &str) -> u64 {
        self.0.lookup(topic)
    }

    fn turn(&mut self) {
        let _ = self.0.turn();
    }
}

struct Node {
    shard: Shard,
    fx: Effects,
    connections: u32,
}

/// Where a client ended up: its home shard, and its connection there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    pub(crate) conn: ConnId,
}

/// Shards joined by a mesh without delay.
pub(crate) struct Rig {
    nodes: Vec<Node>,
    now: Time,
    dirty: Vec<ConnId>,
    batch: Vec<u8>,
    /// Bytes appended for clients so far.
    pub(crate) bytes_out: u64,
    /// Where the last connection was handed over to.
    handed_over: Option<Place>,
}

impl Rig {
    pub(crate) fn new(shards: usize) -> Self {
        let table = (shards > 1).then(|| InterestTable::new(shards, 1, 1024));
        let nodes = (0..shards).map(|number| Node {
            shard: Shard::new(ShardConfig {
                id: ShardId(number as u8),
                shards,
                settings: Settings::default(),
                seed: 1,
                interest: table.as_ref().map(|table| Box::new(TableHandle(table.handle(number))) as Box<dyn Interest>),
                auth_methods: Vec::new(),
                counters: None,
                rewriter: None,
                unix_offset_ms: 0,
            }),
            fx: Effects::new(shards),
            connections: 0,
        });
        Self {
            nodes: nodes.collect(),
            now: Time::from_millis(1000),
            dirty: Vec::new(),
            batch: Vec::new(),
            bytes_out: 0,
            handed_over: None,
        }
    }

    /// Opens a connection and has it accepted, wherever its home is.
    pub(crate) fn connect(&mut self, client_id: &str, keep_alive: u16) -> Place {
        let accepted = Place { shard: 0, conn: self.next_conn(0) };
        self.handed_over = None;
        let origin = Origin::Accepted { listener: 0 };
        self.input(0, Input::Opened { conn: accepted.conn, peer: peer(), origin });
        let mut packet = Vec::new();
        Connect {
            version: Version::V311,
            bridge: false,
            clean_start: true,
            keep_alive,
            client_id,
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        }
        .encode(&mut packet);
        self.expect(accepted, &packet, 4, "CONNACK");
        self.handed_over.unwrap_or(accepted)
    }

    /// Subscribes, and checks that the answer comes.
    pub(crate) fn subscribe(&mut self, client: Place, filter: &str, qos: QoS) {
        let mut packet = Vec::new();
        let filters = [(filter, SubscribeOptions::with_qos(qos))];
        SubscribeOut { packet_id: 1, subscription_id: None, filters: &filters, user_properties: Default::default() }
            .encode(Version::V311, &mut packet);
        self.expect(client, &packet, 5, "SUBACK");
    }

    /// Bytes from a client, and everything that follows from them.
    pub(crate) fn receive(&mut self, client: Place, bytes: &[u8]) {
        self.input(client.shard, Input::Received { conn: client.conn, bytes });
        self.settle();
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, millis: u64) {
        self.now = Time::from_millis(self.now.millis() + millis);
        for shard in 0..self.nodes.len() {
            if self.nodes[shard].shard.deadline().is_some_and(|deadline| deadline <= self.now) {
                self.input(shard, Input::Tick);
            }
        }
        self.settle();
    }

    fn expect(&mut self, client: Place, packet: &[u8], answer_bytes: u64, answer: &str) {
        let before = self.bytes_out;
        self.receive(client, packet);
        assert_eq!(self.bytes_out - before, answer_bytes, "bytes of {answer}");
    }

    fn next_conn(&mut self, shard: usize) -> ConnId {
        self.nodes[shard].connections += 1;
        ConnId(self.nodes[shard].connections - 1)
    }

    /// Hands one input to a shard, and does no more; [`Rig::send`] then takes what it sends.
    pub(crate) fn input(&mut self, shard: usize, input: Input<'_>) {
        let Node { shard: machine, fx, .. } = &mut self.nodes[shard];
        machine.handle(self.now, input, fx);
        self.obey(shard);
    }

    fn obey(&mut self, shard: usize) {
        while !self.nodes[shard].fx.commands.is_empty() {
            match self.nodes[shard].fx.commands.remove(0) {
                Command::HandOff { to, bytes, .. } => {
                    let to = usize::from(to.0);
                    let conn = self.next_conn(to);
                    self.handed_over = Some(Place { shard: to, conn });
                    let origin = Origin::HandedOver { listener: 0 };
                    self.input(to, Input::Opened { conn, peer: peer(), origin });
                    self.input(to, Input::Received { conn, bytes: &bytes });
                }
                // Nothing is left unsent here, so pauses end as soon as they begin.
                Command::PauseReading { .. } | Command::ResumeReading { .. } => {}
                other => panic!("not expected in these runs: {other:?}"),
            }
        }
    }

    /// Delivers batches and sends until nothing is under way.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for from in 0..self.nodes.len() {
                self.send(from);
                for to in 0..self.nodes.len() {
                    moved |= self.carry(from, to, Lane::Control);
                    moved |= self.carry(from, to, Lane::Data);
                }
                if self.nodes[from].shard.busy() {
                    moved = true;
                    self.input(from, Input::Tick);
                }
            }
            if !moved && self.nodes.iter().all(|node| !node.fx.outbox.has_dirty()) {
                return;
            }
        }
    }

    fn carry(&mut self, from: usize, to: usize, lane: Lane) -> bool {
        if from == to {
            return false;
        }
        let staged = self.nodes[from].fx.mesh.lane(ShardId(to as u8), lane);
        if staged.is_empty() {
            return false;
        }
        let mut batch = std::mem::take(&mut self.batch);
        std::mem::swap(staged, &mut batch);
        self.input(to, Input::Mesh { from: ShardId(from as u8), bytes: &batch });
        batch.clear();
        self.batch = batch;
        true
    }

    pub(crate) fn send(&mut self, shard: usize) {
        let outbox = &mut self.nodes[shard].fx.outbox;
        outbox.take_dirty(&mut self.dirty);
        for conn in &self.dirty {
            let mut count = outbox.start_send(*conn).map_or(0, |stretch| stretch.bytes.len());
            loop {
                self.bytes_out += count as u64;
                if outbox.sent(*conn, count).rest == 0 {
                    break;
                }
                count = outbox.rest_of_send(*conn).bytes.len();
            }
        }
    }
}

/// A PUBLISH as a client sends it.
pub(crate) fn publish(topic: &str, qos: QoS, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PublishOut {
        qos,
        retain: false,
        dup: false,
        topic: topic.as_bytes(),
        packet_id,
        expiry: None,
        alias: None,
        subscription_ids: &[],
        properties: &[],
        payload,
    }
    .encode(Version::V311, &mut packet);
    packet
}

fn peer() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 40_000).into()
}

//! Shards joined without delay, and clients that speak to them in packets.

use crate::control::Control;
use crate::enhanced_auth::AuthMethod;
use crate::interest::Interest;
use crate::machine::{CloseCause, Command, ConnId, Effects, Input, Lane, Machine, Origin, Sent, ShardId, Time};
use crate::observe::Observer;
use crate::rewrite::Rewriter;
use crate::settings::Settings;
use crate::shard::record::Record;
use crate::shard::{Shard, ShardConfig};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use ringmq_wire::{
    Connect, ConnectProperties, Cut, Packet, PublishOut, QoS, Strictness, SubscribeOptions, SubscribeOut,
    UserProperties, Version, cut, decode, decode_with,
};

/// Everybody is interested in everything: never wrong, only wasteful.
struct Broadcast(usize);

impl Interest for Broadcast {
    fn announce(&mut self, _filter: &str) {}
    fn withdraw(&mut self, _filter: &str) {}
    fn lookup(&mut self, _topic: &str) -> u64 {
        (1 << self.0) - 1
    }
    fn turn(&mut self) {}
}

/// A client's connection: where it is now, and what came out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client(usize);

struct Link {
    shard: usize,
    conn: ConnId,
    listener: u16,
    version: Version,
    output: Vec<u8>,
    open: bool,
    /// Takes no bytes.
    deaf: bool,
    /// The shard does not want to read it.
    paused: bool,
}

/// A process of shards under a clock that only moves when told.
pub(super) struct World {
    shards: Vec<(Shard, Effects)>,
    links: Vec<Link>,
    by_conn: BTreeMap<(usize, ConnId), Client>,
    next_conn: u32,
    now_ms: u64,
    listener: u16,
}

pub(super) fn options(qos: QoS) -> SubscribeOptions {
    SubscribeOptions::with_qos(qos)
}

impl World {
    #[expect(clippy::needless_pass_by_value, reason = "tests make settings for one world")]
    pub(super) fn new(shards: usize, settings: Settings) -> Self {
        Self::made(shards, &settings, Vec::new, || None)
    }

    pub(super) fn with_auth(
        shards: usize,
        settings: &Settings,
        methods: impl Fn() -> Vec<Box<dyn AuthMethod>>,
    ) -> Self {
        Self::made(shards, settings, methods, || None)
    }

    pub(super) fn with_rewriter(
        shards: usize,
        settings: &Settings,
        rewriter: impl Fn() -> Option<Box<dyn Rewriter>>,
    ) -> Self {
        Self::made(shards, settings, Vec::new, rewriter)
    }

    pub(super) fn observed(shards: usize, settings: &Settings, observer: impl Fn() -> Box<dyn Observer>) -> Self {
        let mut world = Self::made(shards, settings, Vec::new, || None);
        let shards = world.shards.into_iter().map(|(shard, fx)| (shard.with_observer(observer()), fx));
        world.shards = shards.collect();
        world
    }

    fn made(
        shards: usize,
        settings: &Settings,
        methods: impl Fn() -> Vec<Box<dyn AuthMethod>>,
        rewriter: impl Fn() -> Option<Box<dyn Rewriter>>,
    ) -> Self {
        let make = |id: usize| {
            let shard = Shard::new(ShardConfig {
                id: ShardId(id.try_into().unwrap()),
                shards,
                settings: settings.clone(),
                seed: 7,
                interest: Some(Box::new(Broadcast(shards))),
                auth_methods: methods(),
                counters: None,
                rewriter: rewriter(),
                unix_offset_ms: 0,
            });
            (shard, Effects::new(shards))
        };
        Self {
            shards: (0..shards).map(make).collect(),
            links: Vec::new(),
            by_conn: BTreeMap::new(),
            next_conn: 0,
            now_ms: 0,
            listener: 0,
        }
    }

    /// Makes connections that are opened from now on come by the listener with this number.
    pub(super) fn come_by(&mut self, listener: u16) {
        self.listener = listener;
    }

    /// Opens a connection on shard 0.
    pub(super) fn open(&mut self, version: Version) -> Client {
        let client = Client(self.links.len());
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let listener = self.listener;
        let (output, open, deaf, paused) = (Vec::new(), true, false, false);
        self.links.push(Link { shard: 0, conn, listener, version, output, open, deaf, paused });
        self.by_conn.insert((0, conn), client);
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        self.step(0, Input::Opened { conn, peer, origin: Origin::Accepted { listener } });
        client
    }

    /// Sends bytes.
    pub(super) fn send(&mut self, client: Client, bytes: &[u8]) {
        let link = &self.links[client.0];
        assert!(link.open, "connection is closed");
        let (shard, conn) = (link.shard, link.conn);
        self.step(shard, Input::Received { conn, bytes });
    }

    /// Breaks a connection.
    pub(super) fn drop_link(&mut self, client: Client) {
        let link = &mut self.links[client.0];
        link.open = false;
        let (shard, conn) = (link.shard, link.conn);
        self.by_conn.remove(&(shard, conn));
        self.step(shard, Input::Closed { conn, cause: CloseCause::Peer });
    }

    /// Makes a client take no bytes any more, or take them again.
    pub(super) fn set_deaf(&mut self, client: Client, deaf: bool) {
        self.links[client.0].deaf = deaf;
        if !deaf {
            let (shard, conn) = (self.links[client.0].shard, self.links[client.0].conn);
            self.transmit(shard, conn);
        }
    }

    pub(super) fn is_paused(&self, client: Client) -> bool {
        self.links[client.0].paused
    }

    /// Bytes that wait for a client to take them.
    pub(super) fn unsent(&self, client: Client) -> usize {
        let link = &self.links[client.0];
        self.shards[link.shard].1.outbox.unsent(link.conn)
    }

    pub(super) fn is_open(&self, client: Client) -> bool {
        self.links[client.0].open
    }

    /// Lets time pass, ticking every shard.
    pub(super) fn pass(&mut self, millis: u64) {
        self.now_ms += millis;
        for shard in 0..self.shards.len() {
            self.step(shard, Input::Tick);
        }
    }

    /// Ticks until no shard has work left over; returns how many ticks that took.
    pub(super) fn settle(&mut self) -> usize {
        let mut ticks = 0;
        while self.shards.iter().any(|(shard, _)| shard.busy()) {
            assert!(ticks < 100_000, "a shard never becomes idle");
            self.pass(0);
            ticks += 1;
        }
        ticks
    }

    /// The shard that a client's connection is on.
    pub(super) fn shard_of(&self, client: Client) -> usize {
        self.links[client.0].shard
    }

    pub(super) fn shard(&self, shard: usize) -> &Shard {
        &self.shards[shard].0
    }

    /// Whether a shard asks not to sleep.
    pub(super) fn shard_is_busy(&self, shard: usize) -> bool {
        self.shards[shard].0.busy()
    }

    /// Tells a shard that another one is congested, or no longer.
    pub(super) fn tell_congested(&mut self, shard: usize, from: u8, congested: bool) {
        let mut bytes = Vec::new();
        Record::Congested { congested }.append(&mut bytes);
        self.step(shard, Input::Mesh { from: ShardId(from), bytes: &bytes });
    }

    /// Gives all shards other settings, and no rules of rewriting.
    pub(super) fn configure(&mut self, settings: &Settings) {
        self.configure_with(settings, || None);
    }

    /// Gives all shards other settings and rules of rewriting.
    pub(super) fn configure_with(&mut self, settings: &Settings, rewriter: impl Fn() -> Option<Box<dyn Rewriter>>) {
        for shard in 0..self.shards.len() {
            let settings = Box::new(settings.clone());
            let answer = self.ask(shard, Control::Configure { settings, rewriter: rewriter() });
            assert!(matches!(answer, Control::Configured));
        }
    }

    /// What a shard makes of a request from outside.
    pub(super) fn ask(&mut self, shard: usize, mut request: Control) -> Control {
        self.step(shard, Input::Control(&mut request));
        request
    }

    /// What has come out since the last call, printed, a packet a line.
    pub(super) fn packets(&mut self, client: Client) -> Vec<String> {
        let link = &mut self.links[client.0];
        let output = core::mem::take(&mut link.output);
        let mut rest = output.as_slice();
        let mut packets = Vec::new();
        while let Ok(Cut::Frame(frame, used)) = cut(rest, u32::MAX) {
            packets.push(match decode(frame, link.version) {
                Ok(packet) => print(&packet),
                // In answer to packets with identifier 0, and to nothing else.
                Err(_) => {
                    let packet = decode_with(frame, link.version, Strictness::Lenient);
                    format!("lenient {}", print(&packet.expect("server sends sound packets")))
                }
            });
            rest = &rest[used..];
        }
        assert!(rest.is_empty(), "server sent half a packet");
        packets
    }

    /// Connects with a clean start and without waiting for anything else.
    pub(super) fn connect(&mut self, client_id: &str, version: Version) -> Client {
        self.connect_as(version, |connect| connect.client_id = client_id.to_owned().leak())
    }

    /// Connects as the caller says; the CONNACK must be a success.
    pub(super) fn connect_as(&mut self, version: Version, set: impl FnOnce(&mut Connect<'_>)) -> Client {
        let client = self.open(version);
        self.send(client, &connect_packet(version, set));
        let packets = self.packets(client);
        assert!(packets.first().is_some_and(|first| first.starts_with("CONNACK 00")), "{packets:?}");
        client
    }

    pub(super) fn subscribe(&mut self, client: Client, filter: &str, options: SubscribeOptions) {
        let mut bytes = Vec::new();
        let version = self.links[client.0].version;
        let subscribe = SubscribeOut {
            packet_id: 99,
            subscription_id: None,
            filters: &[(filter, options)],
            user_properties: UserProperties::NONE,
        };
        subscribe.encode(version, &mut bytes);
        self.send(client, &bytes);
    }

    pub(super) fn publish(&mut self, client: Client, topic: &str, payload: &str, qos: QoS, packet_id: u16) {
        self.publish_as(client, topic, payload, qos, packet_id, false);
    }

    pub(super) fn publish_as(
        &mut self,
        client: Client,
        topic: &str,
        payload: &str,
        qos: QoS,
        packet_id: u16,
        retain: bool,
    ) {
        let mut bytes = Vec::new();
        let version = self.links[client.0].version;
        let publish = PublishOut {
            qos,
            retain,
            dup: false,
            topic: topic.as_bytes(),
            packet_id,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload: payload.as_bytes(),
        };
        publish.encode(version, &mut bytes);
        self.send(client, &bytes);
    }

    fn step(&mut self, shard: usize, input: Input<'_>) {
        let (machine, fx) = &mut self.shards[shard];
        machine.handle(Time::from_millis(self.now_ms), input, fx);
        self.effects(shard);
    }

    fn set_paused(&mut self, shard: usize, conn: ConnId, paused: bool) {
        let client = self.by_conn[&(shard, conn)];
        assert_ne!(self.links[client.0].paused, paused, "paused or resumed twice");
        self.links[client.0].paused = paused;
    }

    /// Hands a connection's bytes to its client, if that takes any.
    fn transmit(&mut self, shard: usize, conn: ConnId) {
        let client = self.by_conn.get(&(shard, conn)).copied();
        if client.is_some_and(|client| self.links[client.0].deaf) {
            return;
        }
        let outbox = &mut self.shards[shard].1.outbox;
        let mut bytes = Vec::new();
        let mut sent = Sent { rest: 0, short: false, pending: 0, drained: false };
        let mut next = outbox.start_send(conn).map(|stretch| stretch.bytes.to_vec()).unwrap_or_default();
        while !next.is_empty() {
            sent = outbox.sent(conn, next.len());
            bytes.append(&mut next);
            next.extend_from_slice(outbox.rest_of_send(conn).bytes);
        }
        if let Some(client) = client {
            self.links[client.0].output.extend(bytes);
        }
        if sent.drained {
            self.step(shard, Input::Drained { conn });
        }
    }

    fn effects(&mut self, shard: usize) {
        let commands = core::mem::take(&mut self.shards[shard].1.commands);
        let mut dirty = Vec::new();
        self.shards[shard].1.outbox.take_dirty(&mut dirty);
        for conn in dirty {
            self.transmit(shard, conn);
        }
        for command in commands {
            match command {
                Command::Close { conn, .. } => {
                    if let Some(client) = self.by_conn.remove(&(shard, conn)) {
                        self.links[client.0].open = false;
                    }
                }
                Command::HandOff { conn, to, bytes, peer } => {
                    let to = usize::from(to.0);
                    let client = self.by_conn.remove(&(shard, conn)).expect("open connection");
                    let moved = ConnId(self.next_conn);
                    self.next_conn += 1;
                    self.by_conn.insert((to, moved), client);
                    self.links[client.0].shard = to;
                    self.links[client.0].conn = moved;
                    let peer = peer.expect("a shard knows the other end");
                    let origin = Origin::HandedOver { listener: self.links[client.0].listener };
                    self.step(to, Input::Opened { conn: moved, peer, origin });
                    self.step(to, Input::Received { conn: moved, bytes: &bytes });
                }
                Command::PauseReading { conn } => self.set_paused(shard, conn, true),
                Command::ResumeReading { conn } => self.set_paused(shard, conn, false),
                Command::Connect { .. } => panic!("a shard opens no connections"),
            }
        }
        for to in 0..self.shards.len() {
            for lane in [Lane::Control, Lane::Data] {
                let id = ShardId(to.try_into().unwrap());
                let batch = core::mem::take(self.shards[shard].1.mesh.lane(id, lane));
                if !batch.is_empty() {
                    let from = ShardId(shard.try_into().unwrap());
                    self.step(to, Input::Mesh { from, bytes: &batch });
                }
            }
        }
    }
}

/// A CONNECT packet: clean, no keep alive, unless the caller says otherwise.
pub(super) fn connect_packet(version: Version, set: impl FnOnce(&mut Connect<'_>)) -> Vec<u8> {
    let mut connect = Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id: "c",
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    set(&mut connect);
    let mut bytes = Vec::new();
    connect.encode(&mut bytes);
    bytes
}

fn print(packet: &Packet<'_>) -> String {
    match packet {
        Packet::ConnAck(connack) => {
            format!("CONNACK {:02x} present={}", connack.reason.0, connack.session_present)
        }
        Packet::Publish(publish) => {
            let mut text = format!("PUBLISH q{} {}", publish.qos.bits(), publish.topic);
            for (set, flag) in [(publish.dup, " dup"), (publish.retain, " retain")] {
                if set {
                    text += flag;
                }
            }
            if publish.packet_id != 0 {
                text += &format!(" #{}", publish.packet_id);
            }
            text + " " + core::str::from_utf8(publish.payload).unwrap()
        }
        Packet::PubAck(ack) => format!("PUBACK #{} {:02x}", ack.packet_id, ack.reason.0),
        Packet::PubRec(ack) => format!("PUBREC #{} {:02x}", ack.packet_id, ack.reason.0),
        Packet::PubRel(ack) => format!("PUBREL #{} {:02x}", ack.packet_id, ack.reason.0),
        Packet::PubComp(ack) => format!("PUBCOMP #{} {:02x}", ack.packet_id, ack.reason.0),
        Packet::SubAck(suback) => format!("SUBACK #{} {:02x?}", suback.packet_id, suback.codes),
        Packet::UnsubAck(unsuback) => format!("UNSUBACK #{} {:02x?}", unsuback.packet_id, unsuback.codes),
        Packet::PingResp => "PINGRESP".to_string(),
        Packet::Disconnect(disconnect) => format!("DISCONNECT {:02x}", disconnect.reason.0),
        Packet::Auth(auth) => {
            format!("AUTH {:02x} {:?}", auth.reason.0, auth.authentication_data.map(String::from_utf8_lossy))
        }
        other => panic!("a server does not send {other:?}"),
    }
}

//! The broker's shard: one core's share of clients, sessions, subscriptions and retained messages.
//!
//! Map, in the order in which a message passes: `intake` cuts packets from bytes and sends each to its handler,
//! `proxied` takes what a proxy says before them;
//! `connect`, `banned` and `auth` make sessions live, `leave` ends connections and sessions; `publish` takes messages in;
//! `route` matches them here and forwards them to the shards that may care; `hub` hands them to sessions, `write`
//! puts them on the wire and `acks` ends their delivery; `share` is shared subscriptions, `queues` message queues,
//! `consuming` what sessions have of them, `exclusive` subscriptions of one session alone, `auto_subscribe` and
//! `on_behalf` those that their clients did not ask for, `retain` retained messages, `subscribe` what the names say;
//! `mounting`, `rewriting` and `delayed` come before `route`; `mesh` is what other shards say, `control` what the process asks,
//! `inspect` and `retained_list` what it is shown, `observe` what the shard tells of its own, `tracing` packet by packet;
//! `packets` counts packets by type;
//! `pressure` holds up publishers, `back_pressure` those that feed a full queue; `limits` those that publish too much, `overfull` ends those that hold too much,
//! `overload` looks whether the shard keeps up, `profiles` says what holds for clients of which listener; `tick` is time.
//! What operators want to know is noted in passing: `flapping`, `congestion`, `topic_metrics`, `slow_subs`.
//!
//! A client's session lives on the shard that its identifier hashes to, and nowhere else. So does each retained topic
//! and each shared group. That is why nothing here takes a lock and why taking a session over is a local affair.

mod acks;
mod auth;
mod auto_subscribe;
mod back_pressure;
mod banned;
mod congestion;
mod connect;
mod conns;
mod consuming;
mod control;
mod delayed;
mod exclusive;
mod flapping;
mod frames;
mod hub;
mod inspect;
mod intake;
mod leave;
mod limits;
mod mesh;
mod mounting;
mod observe;
mod on_behalf;
mod overfull;
mod overload;
mod packets;
mod pressure;
mod profiles;
mod proxied;
mod publish;
mod queues;
mod record;
mod retain;
mod retained_list;
mod rewriting;
mod route;
mod share;
mod slow_subs;
mod subscribe;
#[cfg(test)]
mod tests;
mod tick;
mod topic_metrics;
mod tracing;
mod write;

pub(crate) use delayed::undelayed;
pub(crate) use exclusive::EXCLUSIVE_PREFIX;

use crate::banned::BanList;
use crate::counters::{CounterSink, Counters};
use crate::enhanced_auth::AuthMethod;
use crate::interest::Interest;
use crate::machine::{Effects, Input, Machine, ShardId, Time};
use crate::observe::Observer;
use crate::placement::Placement;
use crate::random::Random;
use crate::retained::{Cursor, Store};
use crate::rewrite::Rewriter;
use crate::settings::Settings;
use crate::slab::Slab;
use crate::timer::Wheel;
use crate::topics::{Index, Matches};
use alloc::boxed::Box;
use alloc::vec::Vec;
use back_pressure::BackPressure;
use congestion::Congestion;
use conns::Conns;
use core::net::IpAddr;
use delayed::Delayed;
use exclusive::Exclusives;
use flapping::Flapping;
use foldhash::fast::FixedState;
use frames::Frames;
use hashbrown::{HashMap, HashTable};
use hub::Hub;
use overload::Load;
use packets::Packets;
use pressure::Pressure;
use profiles::Profiles;
use queues::Queues;
use retain::{Replays, Retained};
use route::FanOuts;
use share::Groups;
use slow_subs::SlowSubs;

/// What a shard is made of.
pub struct ShardConfig {
    /// Its number.
    pub id: ShardId,
    /// Shards in the process.
    pub shards: usize,
    /// The operator's settings.
    pub settings: Settings,
    /// Secret of the process, the same on all its shards: seeds hash functions and random choices.
    pub seed: u64,
    /// What the other shards subscribe to; not needed by a single shard.
    pub interest: Option<Box<dyn Interest>>,
    /// Methods of enhanced authentication.
    pub auth_methods: Vec<Box<dyn AuthMethod>>,
    /// Where counters go.
    pub counters: Option<Box<dyn CounterSink>>,
    /// Rules of topic rewriting, if there are any.
    pub rewriter: Option<Box<dyn Rewriter>>,
    /// Milliseconds since 1970 when the shards' clock read 0: what an absolute time in `$delayed/` is understood by.
    pub unix_offset_ms: u64,
}

/// One core's share of the broker.
pub struct Shard {
    id: ShardId,
    placement: Placement,
    random: Random,
    /// For client identifiers, which clients see; no other secret may follow from it.
    names: Random,
    conns: Conns,
    hub: Hub,
    /// Sessions by client identifier: hash and slot.
    clients: HashTable<(u32, u32)>,
    index: Index,
    groups: Groups,
    queues: Queues,
    exclusives: Exclusives,
    flapping: Flapping,
    congestion: Congestion,
    retained: Store<Retained>,
    replays: Replays,
    fan_outs: FanOuts,
    wheel: Wheel,
    interest: Option<Box<dyn Interest>>,
    auth_methods: Vec<Box<dyn AuthMethod>>,
    counter_sink: Option<Box<dyn CounterSink>>,
    rewriter: Option<Box<dyn Rewriter>>,
    observer: Option<Box<dyn Observer>>,
    words: observe::Words,
    told_drops: observe::Drops,
    ban_list: Option<Box<dyn BanList>>,
    unix_offset_ms: u64,
    delayed: Delayed,
    /// Connections accepted in the current second, by listener and address.
    accepted_from: HashMap<(u16, IpAddr), u32, FixedState>,
    pressure: Pressure,
    back_pressure: BackPressure,
    load: Load,
    /// The time of the current turn, and how many deliveries it may still make before fan-outs are put off.
    turn: Time,
    turn_cost_left: usize,
    /// Where the search for expired retained messages goes on.
    sweep: Option<Cursor>,
    next_ticket: u32,
    next_second_ms: u64,
    stopping: bool,
    // Reused from message to message.
    matches: Matches,
    frames: Frames,
    scratch: Vec<u8>,
    topic_scratch: alloc::string::String,
    fired: Vec<u32>,
}

/// Whether a connection goes on after a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    /// The connection is closed or handed over: nothing more of it may be looked at.
    Ended,
}

impl Shard {
    /// A shard without clients.
    ///
    /// # Panics
    /// If there is more than one shard and no interest table.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let mut shard = Self::without_queues(config);
        shard.declare_queues();
        shard
    }

    fn without_queues(config: ShardConfig) -> Self {
        let ShardConfig { id, shards, settings, seed, interest, auth_methods, counters, rewriter, unix_offset_ms } =
            config;
        assert!(shards == 1 || interest.is_some(), "several shards need an interest table");
        let mut random = Random::new(seed ^ u64::from(id.0).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let placement = Placement::new(shards, seed);
        let names_seed = placement.hash(&[b'n', id.0]);
        let (settings, profiles) = Profiles::new(settings);
        let load = Load::new(profiles.mind_overload());
        Self {
            id,
            placement,
            conns: Conns::default(),
            hub: Hub {
                sessions: Slab::new(),
                settings,
                profiles,
                counters: Counters::default(),
                packets: Packets::default(),
                now_ms: 0,
                topic_metrics: None,
                slow_subs: SlowSubs::default(),
                with_room: Vec::new(),
                to_arm: Vec::new(),
                dropped_for: None,
                traces: None,
                overfull: Vec::new(),
                notices: Vec::new(),
            },
            clients: HashTable::new(),
            index: Index::new(random.next_u64()),
            groups: Groups::new(random.next_u64()),
            queues: Queues::new(seed),
            exclusives: Exclusives::new(random.next_u64()),
            flapping: Flapping::new(seed),
            congestion: Congestion::new(seed),
            retained: Store::new(),
            replays: Replays::default(),
            fan_outs: FanOuts::default(),
            wheel: Wheel::new(0),
            interest,
            auth_methods,
            counter_sink: counters,
            rewriter,
            observer: None,
            words: observe::Words::default(),
            told_drops: observe::Drops::default(),
            ban_list: None,
            unix_offset_ms,
            delayed: Delayed::default(),
            accepted_from: HashMap::with_hasher(FixedState::with_seed(random.next_u64())),
            random,
            pressure: Pressure::default(),
            back_pressure: BackPressure::default(),
            load,
            names: Random::new(names_seed),
            turn: Time::default(),
            turn_cost_left: route::TURN_COST_MAX,
            sweep: None,
            next_ticket: 1,
            next_second_ms: 0,
            stopping: false,
            matches: Matches::default(),
            frames: Frames::default(),
            scratch: Vec::new(),
            topic_scratch: alloc::string::String::new(),
            fired: Vec::new(),
        }
    }

    /// What the shard has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.hub.counters.clone();
        counters.sessions = self.hub.sessions.len() as u64;
        counters.topics = (self.index.len() + self.groups.len()) as u64;
        counters.retained = self.retained.len() as u64;
        counters.delayed = self.delayed.len() as u64;
        self.queues.count(&mut counters);
        counters.connections_held_back = self.back_pressure.held_back_len() as u64;
        counters.connections_congested = self.congestion.len() as u64;
        let sent = counters.messages_qos0_sent + counters.messages_qos1_sent + counters.messages_qos2_sent;
        counters.messages_sent = sent;
        counters.messages_received =
            counters.messages_qos0_received + counters.messages_qos1_received + counters.messages_qos2_received;
        // All that was delayed and does not wait any more was published.
        let undelayed = counters.messages_delayed - counters.delayed;
        counters.messages_publish =
            counters.messages_received - counters.messages_dropped_limited + counters.messages_will + undelayed;
        counters.messages_delivered = sent;
        counters.messages_dropped = counters.messages_dropped_no_subscribers
            + counters.messages_dropped_await_pubrel_timeout
            + counters.messages_dropped_limited;
        counters.delivery_dropped = counters.delivery_dropped_no_local
            + counters.delivery_dropped_queue_full
            + counters.delivery_dropped_qos0_msg
            + counters.delivery_dropped_expired
            + counters.delivery_dropped_too_large
            + counters.delivery_dropped_session_gone;
        counters.authentication_success_anonymous = counters.client_auth_anonymous;
        // Until here, those who were authenticated.
        counters.authentication_success += counters.client_auth_anonymous;
        self.hub.packets.count(&mut counters);
        counters
    }

    /// Says something to another shard.
    fn tell(&mut self, to: ShardId, record: &record::Record<'_>, fx: &mut Effects) {
        debug_assert!(to != self.id, "a shard does not talk to itself");
        record.append(fx.mesh.lane(to, record.lane()));
        self.pressure.note_staged(to, fx);
    }

    fn ticket(&mut self) -> u32 {
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1).max(1);
        ticket
    }

    /// What a step leaves to do once its own work is done.
    fn settle(&mut self, fx: &mut Effects) {
        while let Some((session, cause)) = self.hub.overfull.pop() {
            self.disconnect_overfull(session, cause, fx);
        }
        while let Some(session) = self.hub.with_room.pop() {
            self.continue_replays(session, fx);
        }
        if !self.hub.notices.is_empty() {
            self.settle_notices(fx);
        }
        if self.queues.is_unserved() {
            self.serve_queues(fx);
        }
        while let Some(session) = self.hub.to_arm.pop() {
            self.arm(session);
            if self.hub.settings.conn_congestion.enable_alarm {
                self.note_congestion(session);
            }
        }
        self.announce_congestion(fx);
        if self.hub.traces.is_some() {
            self.trace_sent(fx);
        }
    }
}

impl Machine for Shard {
    fn handle(&mut self, now: Time, input: Input<'_>, fx: &mut Effects) {
        self.hub.now_ms = now.millis();
        if self.turn != now {
            self.turn = now;
            self.turn_cost_left = route::TURN_COST_MAX;
            self.load.turn(self.hub.settings.overload.lateness, now);
        }
        match input {
            Input::Received { conn, bytes } => self.received(conn, bytes, fx),
            Input::Mesh { from, bytes } => self.heard(from, bytes, fx),
            Input::Opened { conn, peer, origin } => self.opened(conn, peer, origin, fx),
            Input::Closed { conn, .. } => self.lost(conn, fx),
            Input::Drained { conn } => self.drained(conn, fx),
            Input::Tick => self.tick(fx),
            Input::Control(message) => self.control(message, fx),
            Input::Stop => self.stop(fx),
            Input::ConnectFailed { .. } => unreachable!("a shard opens no connections"),
        }
        self.settle(fx);
        fx.outbox.take_back();
    }

    fn deadline(&self) -> Option<Time> {
        let timer_ms = self.wheel.next_deadline_ms().unwrap_or(u64::MAX);
        let pressure_ms = self.pressure.check_ms().unwrap_or(u64::MAX);
        let delayed_ms = self.delayed.next_due_ms().unwrap_or(u64::MAX);
        let put_off_ms = self.load.put_off_to_ms().unwrap_or(u64::MAX);
        let own_ms = timer_ms.min(self.next_second_ms).min(pressure_ms).min(delayed_ms).min(put_off_ms);
        Some(Time::from_millis(own_ms).min(self.load.due()))
    }

    fn busy(&self) -> bool {
        !self.fan_outs.is_empty()
            || self.queues.is_unserved()
            || !self.hub.notices.is_empty()
            || (!self.replays.is_idle() && self.load.put_off_to_ms().is_none())
    }
}

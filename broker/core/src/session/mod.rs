//! A session: what the broker keeps of one client, connected or not.
//!
//! An idle session costs the fixed part alone; everything that only some sessions need, or that a session needs only
//! while it is active, hangs off it in boxes. Sessions know nothing of connections beyond the slot number and nothing
//! of routing.

mod aliases;
mod delivery;
mod holding;
mod names;
mod queue;
mod subscriptions;

pub(crate) use aliases::{AliasesIn, AliasesOut, TopicForm};
pub(crate) use delivery::{Delivery, Flight, Outgoing, Stage, Stall, Via};
pub(crate) use holding::Holding;
pub(crate) use names::Names;
pub(crate) use subscriptions::{Subscription, Subscriptions};

use crate::control::Drops;
use crate::enhanced_auth::AuthExchange;
use crate::limit::Meter;
use crate::machine::{ConnId, ShardId};
use crate::message::{Message, Publisher};
use crate::timer::TimerId;
use crate::topics::FilterId;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use ringmq_wire::{PacketType, ReasonCode, SubscribeOptions, Version};

/// A Session Expiry Interval that means never (section 3.1.2.11.2), seconds.
pub(crate) const EXPIRY_NEVER_S: u32 = u32::MAX;

/// What is kept of one client.
pub(crate) struct Session {
    pub(crate) names: Names,
    /// Unique in the process while the session lives; what [`Publisher::key`] holds.
    pub(crate) key: u64,
    pub(crate) client_hash: u32,
    pub(crate) conn: Option<ConnId>,
    pub(crate) version: Version,
    pub(crate) flags: Flags,
    /// The listener that its latest connection came by.
    pub(crate) listener: u16,
    /// Effective keep alive, seconds; 0 is off.
    pub(crate) keep_alive: u16,
    /// Most unacknowledged QoS 1 and 2 messages towards the client [MQTT-3.3.4-9].
    pub(crate) window: u16,
    /// Largest packet that the client takes, bytes [MQTT-3.1.2-24].
    pub(crate) max_packet_size: u32,
    /// Seconds that the session outlives its connection.
    pub(crate) expiry_s: u32,
    /// When the last packet came, or, without a connection, when the connection ended; milliseconds.
    pub(crate) last_seen_ms: u64,
    pub(crate) timer: Option<TimerId>,
    pub(crate) timer_due_ms: u64,
    pub(crate) subscriptions: Subscriptions,
    /// Messages towards the client, and QoS 2 messages from it. `None` while there are none.
    pub(crate) delivery: Option<Box<Delivery>>,
    pub(crate) extra: Option<Box<Extra>>,
}

/// Yes-or-no properties of a session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags {
    /// An MQTT 3 bridge: wants the RETAIN flag as published.
    pub(crate) bridge: bool,
    /// Frames cannot be copied from another client's: topic aliases are used towards this one, or it has a mountpoint.
    pub(crate) own_frames: bool,
    /// It has a mountpoint.
    pub(crate) mounted: bool,
    /// A replay of retained messages waits until this session has room.
    pub(crate) waits_for_room: bool,
    /// A rule of tracing means this client.
    pub(crate) traced: bool,
}

/// What only some sessions have.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) will: Option<Will>,
    /// When the will is due after the connection has ended, milliseconds.
    pub(crate) will_due_ms: Option<u64>,
    pub(crate) aliases_in: Option<AliasesIn>,
    pub(crate) aliases_out: Option<AliasesOut>,
    /// Acknowledgements that wait for another shard, and those that wait behind them.
    pub(crate) held_acks: VecDeque<HeldAck>,
    /// SUBACKs that wait for another shard.
    pub(crate) held_subacks: Vec<HeldSubAck>,
    /// Replays of retained messages that wait for their turn and for room: the shard that holds the messages, and its
    /// number for the replay.
    pub(crate) replays: VecDeque<(ShardId, u32)>,
    /// Topics that the session has to itself.
    pub(crate) exclusive: Vec<HeldExclusive>,
    /// Message queues that it consumes.
    pub(crate) consumes: Vec<Consumption>,
    /// A slice of a replay is under way.
    pub(crate) replaying: bool,
    /// Messages of that slice so far, if there is a limit of their rate.
    pub(crate) replayed: u32,
    /// When that rate allows the next slice, milliseconds.
    pub(crate) replay_due_ms: u64,
    /// What stands before the client's topics, and is no part of what it sends and is sent.
    pub(crate) mountpoint: Option<Box<str>>,
    /// What was dropped on the way to the client.
    pub(crate) drops: Drops,
    /// Method of enhanced authentication that the connection was accepted with.
    pub(crate) auth_method: Option<Box<str>>,
    /// What the connection has published, where that is limited.
    pub(crate) meter: Option<Box<Meter>>,
    /// Re-authentication under way.
    pub(crate) auth_exchange: Option<Box<dyn AuthExchange>>,
}

impl Extra {
    /// Forgets what belongs to the connection and not to the session. Returns replays that will not begin now.
    #[must_use]
    pub(crate) fn end_connection(&mut self) -> Vec<(ShardId, u32)> {
        // [MQTT-3.3.2-7]
        self.aliases_in = None;
        self.aliases_out = None;
        self.mountpoint = None;
        self.held_acks.clear();
        self.meter = None;
        self.auth_method = None;
        self.auth_exchange = None;
        self.held_subacks.drain(..).flat_map(|suback| suback.replays).collect()
    }

    /// True if a topic is the session's own.
    pub(crate) fn owns(&self, topic: &str) -> bool {
        self.exclusive.iter().any(|held| *held.topic == *topic)
    }

    /// True if the home of a topic has yet to say whether it is the session's own.
    pub(crate) fn claims(&self, topic: &str) -> bool {
        self.held_subacks.iter().flat_map(|suback| &suback.claims).any(|(_, claim)| *claim.topic == *topic)
    }

    /// True if nothing is held that a session without extras would not have.
    pub(crate) fn is_empty(&self) -> bool {
        self.will.is_none()
            && self.aliases_in.is_none()
            && self.aliases_out.is_none()
            && self.mountpoint.is_none()
            && self.held_acks.is_empty()
            && self.held_subacks.is_empty()
            && self.replays.is_empty()
            && !self.replaying
            && self.exclusive.is_empty()
            && self.consumes.is_empty()
            && self.meter.is_none()
            && self.drops == Drops::default()
            && self.auth_method.is_none()
    }
}

/// A will, kept until it is published or discarded [MQTT-3.1.2-7].
pub(crate) struct Will {
    pub(crate) message: Rc<Message>,
    /// Message Expiry Interval, seconds; it runs from when the will is published.
    pub(crate) expiry_s: Option<u32>,
    /// Will Delay Interval, seconds.
    pub(crate) delay_s: u32,
}

/// An acknowledgement to the publisher that cannot be sent yet.
pub(crate) struct HeldAck {
    pub(crate) ticket: u32,
    pub(crate) packet_type: PacketType,
    pub(crate) packet_id: u16,
    pub(crate) reason: ReasonCode,
    pub(crate) ready: bool,
}

/// What answers a change of subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    SubAck,
    UnsubAck,
    /// The client did not ask for it.
    Nothing,
}

/// An exclusive subscription that the home of its topic has yet to grant.
pub(crate) struct Claim {
    pub(crate) topic: Box<str>,
    pub(crate) options: SubscribeOptions,
    pub(crate) subscription_id: u32,
    /// The client has unsubscribed meanwhile.
    pub(crate) withdrawn: bool,
}

/// A topic that a session has to itself.
pub(crate) struct HeldExclusive {
    pub(crate) filter: FilterId,
    /// Of the claim that was granted.
    pub(crate) ticket: u32,
    pub(crate) topic: Box<str>,
}

/// A message queue that a session consumes.
pub(crate) struct Consumption {
    /// The subscription among those of shared groups.
    pub(crate) joined: FilterId,
    /// Which of its times as a consumer this is; 0 while it is not connected, and none.
    pub(crate) epoch: u32,
    /// The queue's number at its home, once a message has come by it.
    pub(crate) queue: Option<u32>,
}

/// A SUBACK or UNSUBACK that waits until other shards know what it promises: the homes of shared groups the new member,
/// those of exclusive topics their owner, those with retained messages which of them are older than the subscription.
pub(crate) struct HeldSubAck {
    pub(crate) answer: Answer,
    pub(crate) ticket: u32,
    pub(crate) packet_id: u16,
    pub(crate) codes: Vec<u8>,
    /// Answers still to come.
    pub(crate) waiting: u32,
    /// Claims not answered yet, each with the place of its code.
    pub(crate) claims: Vec<(usize, Claim)>,
    /// Replays that are ready to begin once it is sent.
    pub(crate) replays: Vec<(ShardId, u32)>,
}

impl Session {
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher { key: self.key, client_hash: self.client_hash }
    }

    pub(crate) fn delivery_mut(&mut self) -> &mut Delivery {
        self.delivery.get_or_insert_default()
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Where to count what was dropped.
    #[cold]
    pub(crate) fn drops_mut(&mut self) -> &mut Drops {
        &mut self.extra_mut().drops
    }

    /// Milliseconds of silence after which the connection counts as lost [MQTT-3.1.2-22] [MQTT3-3.1.2-24].
    pub(crate) fn patience_ms(&self, multiplier_permille: u32) -> Option<u64> {
        (self.keep_alive > 0).then(|| u64::from(self.keep_alive) * u64::from(multiplier_permille))
    }

    /// Frees what a session needs only while it is active.
    pub(crate) fn shrink(&mut self) {
        if self.delivery.as_ref().is_some_and(|delivery| delivery.is_empty()) {
            self.delivery = None;
        }
        if self.extra.as_ref().is_some_and(|extra| extra.is_empty()) {
            self.extra = None;
        }
    }
}

//! What the process around a shard may ask of it while it runs: the type that travels in
//! [`Input::Control`](crate::machine::Input::Control).
//!
//! Lists come in pages, so that no client waits for one: a request looks at a bounded number of places and says where to
//! go on. What is there throughout a walk is listed exactly once; what comes or goes meanwhile may be missing.
//!
//! Absent: how requests reach a shard, which is the driver's affair.

use crate::banned::BanList;
use crate::machine::ShardId;
use crate::observe::OwnMessage;
use crate::queue::QueueCounts;
use crate::retained::Cursor;
use crate::rewrite::Rewriter;
use crate::settings::Settings;
use crate::trace::TraceRule;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use ringmq_wire::{QoS, ReasonCode};

/// Most entries on a page.
pub const PAGE_ROWS_MAX: usize = 256;

/// Places looked at for one page.
pub const PAGE_STEPS_MAX: u32 = 1024;

/// Bytes of text after which a page ends.
pub const PAGE_BYTES_SOFT_MAX: usize = 256 * 1024;

/// Topics whose messages are counted at a time.
pub const COUNTED_TOPICS_MAX: usize = 512;

/// A request, which the shard replaces by its answer.
#[derive(Debug)]
pub enum Control {
    /// Work with these settings and rules from now on, which begin to hold together. They bind the next packet of every
    /// client; what a connection was given when it was made (its in-flight window, its keep alive) and what a topic was
    /// rewritten to stay as they are. Never fails and ends no connection. Whoever asks sees to it that clients keep what
    /// they were promised: [`Settings::keep_promises`].
    Configure {
        /// The operator's settings.
        settings: Box<Settings>,
        /// Rules of topic rewriting; `None` is without.
        rewriter: Option<Box<dyn Rewriter>>,
    },
    /// The answer to [`Control::Configure`].
    Configured,
    /// The sessions at home here, connected or not.
    ListClients(Position),
    /// The answer to [`Control::ListClients`].
    Clients(Page<ClientFacts>),
    /// One session, by its client identifier.
    ShowClient(Box<str>),
    /// The answer to [`Control::ShowClient`]; `None` if it is not at home here.
    Client(Option<Box<ClientFacts>>),
    /// Ends a session and its connection, by client identifier: the client is told *administrative action*, its will is
    /// published.
    KickClient(Box<str>),
    /// The answer to [`Control::KickClient`]: whether the session was at home here.
    Kicked(bool),
    /// Refuse from now on whom this list bans, and end some sessions at once.
    Ban {
        /// The whole list; `None` bans nobody.
        list: Option<Box<dyn BanList>>,
        /// Client identifiers whose sessions end as by [`Control::KickClient`]; those at home elsewhere do not matter.
        end: Vec<Box<str>>,
    },
    /// The answer to [`Control::Ban`].
    BanTaken,
    /// The clients that have connected and disconnected too often since this was last asked.
    TakeFlapping,
    /// The answer to [`Control::TakeFlapping`]: their client identifiers.
    Flapping(Vec<Box<str>>),
    /// Count the messages of these topics from now on, and of no others; at most [`COUNTED_TOPICS_MAX`].
    CountTopics(Vec<Box<str>>),
    /// The answer to [`Control::CountTopics`].
    TopicsTaken,
    /// What was counted by topic.
    ListTopicCounts,
    /// The answer to [`Control::ListTopicCounts`].
    TopicCounts(Vec<(Box<str>, TopicCounts)>),
    /// The clients and topics that were slowest.
    ListSlowSubs,
    /// The answer to [`Control::ListSlowSubs`].
    SlowSubs(Vec<SlowSubFacts>),
    /// Forget them.
    ClearSlowSubs,
    /// The answer to [`Control::ClearSlowSubs`].
    SlowSubsCleared,
    /// The connections that do not take what they are sent, and those that were so of late.
    ListCongested,
    /// The answer to [`Control::ListCongested`].
    Congested(Vec<CongestionFacts>),
    /// The subscriptions of the sessions at home here, or of one of them.
    ListSubscriptions {
        /// The session's client identifier, if only its own are wanted.
        of: Option<Box<str>>,
        /// Where to go on.
        from: Position,
    },
    /// The answer to [`Control::ListSubscriptions`].
    Subscriptions(Page<SubscriptionFacts>),
    /// Subscribe a connected client in its place. Nobody tells it; it gets what is retained.
    Subscribe {
        /// Its client identifier.
        client_id: Box<str>,
        /// The filter with its prefixes; rules of rewriting do not apply.
        filter: Box<str>,
        /// The QoS that it gets at most.
        qos: QoS,
    },
    /// The answer to [`Control::Subscribe`]; `None` if the client is not at home here.
    Subscribed(Option<SubscribeOutcome>),
    /// End a client's subscription in its place. Nobody tells it.
    Unsubscribe {
        /// Its client identifier.
        client_id: Box<str>,
        /// The filter with its prefixes; rules of rewriting do not apply.
        filter: Box<str>,
    },
    /// The answer to [`Control::Unsubscribe`]: whether there was one; `None` if the client is not at home here.
    Unsubscribed(Option<bool>),
    /// Which session has a topic to itself, if the topic is at home here.
    FindExclusive(Box<str>),
    /// The answer to [`Control::FindExclusive`].
    FoundExclusive(Option<ExclusiveOwner>),
    /// End the exclusive subscription of a session that is at home here. Nobody tells its client.
    EndExclusive {
        /// The session.
        owner: ExclusiveOwner,
        /// The topic, without its prefix.
        topic: Box<str>,
    },
    /// The answer to [`Control::EndExclusive`]: the client identifier; `None` if the session does not have it any more.
    EndedExclusive(Option<Box<str>>),
    /// The filters that the sessions here subscribe to, and the shared groups at home here.
    ListFilters(Position),
    /// The answer to [`Control::ListFilters`].
    Filters(Page<FilterFacts>),
    /// How many messages are retained here.
    CountRetained,
    /// The answer to [`Control::CountRetained`].
    RetainedCount(usize),
    /// The retained messages at home here whose topics match, and that have not expired.
    ListRetained(RetainedWalk),
    /// The answer to [`Control::ListRetained`].
    Retained(Page<RetainedFacts, Cursor>),
    /// Removes those, a part at a time.
    CleanRetained(RetainedWalk),
    /// Traces what these rules mean from now on, and nothing else; [`Control::MarkTraced`] has to follow.
    Trace(Vec<TraceRule>),
    /// The answer to [`Control::Trace`].
    TraceSet,
    /// Finds out which clients the rules mean, from a position on, a part of them. Clients that connect later are found
    /// as they come.
    MarkTraced(Position),
    /// The answer to [`Control::MarkTraced`]: where to go on; `None` at the end.
    MarkedTraced(Option<Position>),
    /// The message queues at home here.
    ListQueues,
    /// One of them, by name, with its consumers.
    ShowQueue(Box<str>),
    /// The answer to [`Control::ListQueues`] and [`Control::ShowQueue`].
    Queues(Vec<QueueFacts>),
    /// Publishes messages of the broker's own, at most [`OWN_MESSAGES_MAX`](crate::observe::OWN_MESSAGES_MAX).
    Publish(Vec<OwnMessage>),
    /// The answer to [`Control::Publish`].
    Published,
    /// The answer to [`Control::CleanRetained`].
    CleanedRetained {
        /// Messages removed.
        removed: usize,
        /// Where to go on; `None` at the end.
        next: Option<Cursor>,
    },
}

/// Retained messages that are asked for.
#[derive(Debug, Clone)]
pub struct RetainedWalk {
    /// What their topics match: a well-formed filter without a group. `None` is all, topics that begin with `$` too.
    pub filter: Option<Box<str>>,
    /// Where to go on; `None` is the beginning.
    pub from: Option<Cursor>,
}

/// A place in a shard's tables. The default is the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The slot of a table.
    pub slot: u32,
    /// What of that slot comes next; what it means depends on the list.
    pub within: u32,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page<T, P = Position> {
    /// What was found, at most [`PAGE_ROWS_MAX`].
    pub rows: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<P>,
}

/// What became of a subscription that was made in a client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeOutcome {
    /// The client has it. An exclusive one may still be refused by the shard that the topic is at home on.
    Done,
    /// The client is not connected, and would not be told what it has when it comes back.
    NotConnected,
    /// As a SUBACK would say.
    Refused(ReasonCode),
}

/// A session that has a topic to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExclusiveOwner {
    /// The shard that it lives on.
    pub shard: ShardId,
    /// Its slot there.
    pub(crate) session: u32,
    /// Which occupant of the slot.
    pub(crate) generation: u32,
}

/// What can be told of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFacts {
    /// Its client identifier.
    pub client_id: Box<str>,
    /// The user name that its latest connection gave, if any.
    pub username: Option<Box<str>>,
    /// The other end of its connection; `None` if it is not connected.
    pub peer: Option<SocketAddr>,
    /// The listener that its latest connection came by.
    pub listener: u16,
    /// What stands before its topics, if anything does and it is connected.
    pub mountpoint: Option<Box<str>>,
    /// The protocol's level: 3 for MQTT 3.1, 4 for 3.1.1, 5.
    pub protocol_level: u8,
    /// When it connected, or, without a connection, when that ended: milliseconds since 1970.
    pub since_ms: u64,
    /// Effective keep alive, seconds; 0 is off.
    pub keep_alive_s: u16,
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever.
    pub expiry_s: u32,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// Messages in its queue.
    pub queued: usize,
    /// Messages sent to it and not acknowledged.
    pub in_flight: usize,
    /// Most of those at a time.
    pub in_flight_max: u16,
    /// QoS 2 messages from it that it has not released.
    pub unreleased: usize,
    /// Bytes that its connection has yet to take.
    pub unsent_bytes: usize,
    /// These are more than the high watermark: messages for it are queued.
    pub congested: bool,
    /// It is not read because a queue that it feeds is full, unless its own is, too.
    pub held_back: bool,
    /// Publishers that its own full queue holds back.
    pub holds_back: usize,
    /// What was dropped on the way to it.
    pub drops: Drops,
}

/// Messages dropped on the way to one client, by reason, as long as its session has lived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Its queue was full.
    pub queue_full: u64,
    /// Larger than it takes.
    pub too_large: u64,
    /// Expired while they waited.
    pub expired: u64,
    /// QoS 0 that could not be sent at once, where those are not queued.
    pub qos0_msg: u64,
}

/// Messages of one topic. Arrays are by QoS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Published: by clients, as wills, or because their delay was over.
    pub received: [u64; 3],
    /// Sent to clients, with repetitions.
    pub sent: [u64; 3],
    /// Those that matched no subscription.
    pub dropped: u64,
}

impl TopicCounts {
    /// Adds what another shard has counted.
    pub fn add(&mut self, other: &Self) {
        for qos in 0..3 {
            self.received[qos] += other.received[qos];
            self.sent[qos] += other.sent[qos];
        }
        self.dropped += other.dropped;
    }

    /// What has come to be counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = *self;
        for qos in 0..3 {
            difference.received[qos] = self.received[qos].saturating_sub(before.received[qos]);
            difference.sent[qos] = self.sent[qos].saturating_sub(before.sent[qos]);
        }
        difference.dropped = self.dropped.saturating_sub(before.dropped);
        difference
    }
}

/// What can be told of a slow subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowSubFacts {
    /// Whose it is.
    pub client_id: Box<str>,
    /// The topic of the message that was slow.
    pub topic: Box<str>,
    /// How long it took, milliseconds.
    pub span_ms: u64,
    /// When that was, milliseconds since 1970.
    pub at_ms: u64,
}

/// What can be told of a congested connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CongestionFacts {
    /// Its client identifier.
    pub client_id: Box<str>,
    /// The connection's user name, if it gave one.
    pub username: Option<Box<str>>,
    /// The other end.
    pub peer: SocketAddr,
    /// Bytes that it has yet to take.
    pub unsent_bytes: usize,
    /// Messages that wait behind them.
    pub queued: usize,
}

/// What can be told of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionFacts {
    /// Whose it is.
    pub client_id: Box<str>,
    /// The filter as the client wrote it, prefixes included.
    pub filter: String,
    /// The granted maximum QoS.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// The Subscription Identifier; 0 if there is none.
    pub subscription_id: u32,
    /// What waits for the client by this subscription, if it is a shared one.
    pub lag: Option<Lag>,
}

/// Messages that a group has given to one of its members and that are not done. Who belongs to several groups that share
/// the same topics has a message counted for each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Waiting in the member's queue.
    pub queued: usize,
    /// Sent to it and not acknowledged.
    pub in_flight: usize,
}

/// What can be told of one message queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFacts {
    /// What follows `$q/`.
    pub name: Box<str>,
    /// False if it takes no messages and is known for its consumers alone.
    pub declared: bool,
    /// The filter that fills it.
    pub topic_filter: Box<str>,
    /// Whether it is a queue of last values.
    pub last_value: bool,
    /// Messages held.
    pub length: usize,
    /// What they count for, bytes.
    pub bytes: usize,
    /// Those of them that no consumer has: how far consumers lag behind.
    pub waiting: usize,
    /// How long the first of these has been held, milliseconds.
    pub oldest_ms: Option<u64>,
    /// Consumers.
    pub consumers: usize,
    /// What was counted since the shard began.
    pub counts: QueueCounts,
    /// Some consumers, if they were asked for.
    pub shown: Vec<QueueConsumerFacts>,
}

/// What can be told of one consumer of a message queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConsumerFacts {
    /// Its client identifier.
    pub client_id: Box<str>,
    /// The shard that its session lives on.
    pub shard: ShardId,
    /// Messages that it has and has not acknowledged.
    pub in_flight: usize,
}

/// What can be told of one filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterFacts {
    /// Its text, with the group's prefix if it is shared.
    pub filter: String,
    /// Sessions of this shard that subscribe to it, or members of the group, wherever they are.
    pub subscribers: usize,
}

/// What can be told of one retained message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedFacts {
    /// Its topic.
    pub topic: Box<str>,
    /// The QoS that it was published with.
    pub qos: u8,
    /// Bytes of its payload.
    pub payload_bytes: usize,
}

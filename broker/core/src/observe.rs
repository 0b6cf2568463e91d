//! What a shard tells of its clients' comings and goings, and the messages that the broker publishes of its own.
//!
//! Who wants to know of them, and in which words clients are told, is the affair of the process around the shard: an
//! [`Observer`] is handed in. Events are rare by nature: a connection comes or goes, a subscription is made. Nothing
//! here is called for a message. Without an observer, a shard pays one test for each of these.

use crate::message::Publisher;
use crate::proxy_protocol::HeaderError;
use crate::trace::Traced;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use ringmq_wire::{ReasonCode, SubscribeOptions, Version};

/// Most messages in one request to publish.
pub const OWN_MESSAGES_MAX: usize = 64;

/// Whoever wants to know what happens to clients. It is called on the shard's thread: it must not wait for anything.
pub trait Observer {
    /// Whether it wants to hear of subscriptions too, of which there are more than connections.
    fn minds_subscriptions(&self) -> bool;

    /// Something has happened.
    fn observe(&mut self, event: &Event<'_>);

    /// A connection was refused before its client was known.
    fn refused(&mut self, refused: &Refused);

    /// Messages were dropped. At most once a second.
    fn dropped(&mut self, dropped: &Dropped<'_>);

    /// A packet went by that a rule of tracing means.
    fn traced(&mut self, rule: u32, traced: &Traced<'_>);

    /// Puts the topic under which clients are told of an event into `topic`, which is empty. False, and `topic` of no
    /// meaning, if they are not told. The result need not be a sound topic name; then nobody is told.
    fn topic(&self, event: &Event<'_>, topic: &mut String) -> bool;

    /// Appends what they are told. Asked for only if somebody may subscribe to the topic.
    fn payload(&self, event: &Event<'_>, payload: &mut Vec<u8>);
}

/// Something that has happened to a client.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// To whom.
    pub client: ClientView<'a>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub what: What<'a>,
}

/// A client with a connection, or with one that has just ended.
#[derive(Debug, Clone, Copy)]
pub struct ClientView<'a> {
    /// Its client identifier.
    pub client_id: &'a str,
    /// The connection's user name, if it gave one.
    pub username: Option<&'a str>,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Index of the listener that accepted the connection.
    pub listener: u16,
    /// The protocol's version.
    pub version: Version,
    /// When the connection was accepted, milliseconds since 1970, to the second.
    pub connected_at_ms: u64,
}

/// What can happen to a client.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// Its CONNECT was granted.
    Connected {
        /// Effective keep alive, seconds; 0 is off.
        keep_alive_s: u16,
        /// Whether it asked for a new session.
        clean_start: bool,
        /// Seconds that the session outlives the connection; `u32::MAX` is for ever.
        expiry_s: u32,
    },
    /// Its connection has ended.
    Disconnected {
        /// Why.
        reason: EndReason,
    },
    /// It has subscribed.
    Subscribed {
        /// The filter with its prefixes, as rewritten.
        filter: &'a str,
        /// With which options.
        options: SubscribeOptions,
    },
    /// It has unsubscribed.
    Unsubscribed {
        /// The filter with its prefixes, as rewritten.
        filter: &'a str,
    },
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// In a word of EMQX's, or in its style.
    Named(&'static str),
    /// As one side told the other, or would have if the protocol's version could.
    Code(ReasonCode),
    /// The same, because of what the client sent.
    Breach(ReasonCode),
}

/// A connection that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The other end.
    pub peer: SocketAddr,
    /// Index of the listener that accepted it.
    pub listener: u16,
    /// Why.
    pub why: Refusal,
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As a CONNACK says it.
    Code(ReasonCode),
    /// The header that its proxy has to send is not there.
    Header(HeaderError),
}

/// Messages that a shard has dropped since it last told of some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// The client whose message was dropped last, if that was on the way to one that is still known.
    pub client_id: Option<&'a str>,
    /// Because a queue was full.
    pub queue_full: u64,
    /// Of QoS 0, because they could not be sent at once.
    pub qos0_msg: u64,
    /// Not stored as retained because of a limit.
    pub not_retained: u64,
}

/// A message that the broker publishes of its own, at QoS 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMessage {
    /// Its topic: a sound name.
    pub topic: Box<str>,
    /// Its payload.
    pub payload: Box<[u8]>,
    /// Whether it is retained. One that is not is dropped where nobody may subscribe to it.
    pub retain: bool,
}

impl Publisher {
    /// The broker itself: no session has this key, because shards are numbered below 64.
    pub const BROKER: Self = Self { key: u64::MAX, client_hash: 0 };
}

//! MQTT 3.1, 3.1.1 and 5.0 on the wire: bytes to frames, frames to packets, packets to bytes.
//!
//! Decoding borrows: a packet is a view into the bytes it was cut from, checked once and completely, so that nothing
//! read from it later can fail. Encoding appends to a buffer of the caller. Both roles are here: what a client sends
//! and what a server sends can be decoded and encoded alike.
//!
//! A decoder enforces what the standard says about a packet by its own content. Absent, because they need state:
//! packet order, packet identifiers in use, topic alias tables, quotas, matching and authorisation. There is no I/O,
//! no clock and no allocation except in the caller's buffers.
//!
//! ```
//! use ringmq_wire::{Cut, PublishOut, Publish, QoS, Version, cut};
//!
//! let message = PublishOut {
//!     qos: QoS::AtLeastOnce,
//!     retain: false,
//!     dup: false,
//!     topic: b"sensors/1",
//!     packet_id: 7,
//!     expiry: Some(60),
//!     alias: None,
//!     subscription_ids: &[],
//!     properties: &[],
//!     payload: b"21.5",
//! };
//! let mut bytes = Vec::new();
//! message.encode(Version::V5, &mut bytes);
//!
//! let Ok(Cut::Frame(frame, used)) = cut(&bytes, 1 << 20) else { panic!("a whole packet is there") };
//! assert_eq!(used, bytes.len());
//! let publish = Publish::decode(frame.flags(), frame.body, Version::V5)?;
//! assert_eq!((publish.topic, publish.payload), ("sensors/1", &b"21.5"[..]));
//! assert_eq!(publish.properties.message_expiry, Some(60));
//! # Ok::<(), ringmq_wire::DecodeError>(())
//! ```
//!
//! Normative statements are tagged by their number: `[MQTT-…]` in MQTT 5.0 and `[MQTT3-…]` in MQTT 3.1.1.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod build;
mod error;
mod frame;
mod packet;
mod property;
mod reader;
mod reason;
mod strictness;
mod text;
pub mod topic;
mod varint;
mod version;

pub use error::DecodeError;
pub use frame::{Cut, Frame, MAX_HEADER_LEN, MAX_PACKET_LEN, PacketType, cut};
pub use packet::ack::{Ack, AckProperties, encode_ack};
pub use packet::auth::Auth;
pub use packet::connack::{ConnAck, ConnAckProperties};
pub use packet::connect::{Connect, ConnectProperties, Will};
pub use packet::disconnect::Disconnect;
pub use packet::message_properties::MessageProperties;
pub use packet::publish::Publish;
pub use packet::publish_out::PublishOut;
pub use packet::publish_properties::{PublishProperties, SubscriptionIds};
pub use packet::suback::{SubAck, UnsubAck};
pub use packet::subscribe::{Filters, RetainHandling, Subscribe, SubscribeOptions, SubscribeOut};
pub use packet::unsubscribe::{UnsubFilters, Unsubscribe, UnsubscribeOut};
pub use packet::{Packet, decode, decode_with, encode_pingreq, encode_pingresp};
pub use property::{UserProperties, UserPropertiesIter};
pub use reason::ReasonCode;
pub use strictness::Strictness;
pub use topic::{FilterKind, validate_filter, validate_topic};
pub use varint::MAX_VARINT;
pub use version::{QoS, Version};

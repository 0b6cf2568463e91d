//! A bare forwarder: the lowest cost of moving a scenario's frames through this machine.
//!
//! It speaks just enough MQTT framing for a load generator to run against it unchanged: it answers CONNECT, SUBSCRIBE,
//! UNSUBSCRIBE and PINGREQ, acknowledges publishes of QoS 1 and 2, and copies every PUBLISH verbatim, packet identifier
//! included, to the connections that subscribed to its topic. Where a topic leads is worked out once and remembered.
//!
//! - [`Forwarder`] is the part without system calls: bytes in, bytes to send out.
//! - [`epoll`] and [`uring`] drive it, one thread each, with the same turn: collect what arrived, forward it, one
//!   coalesced send a connection.
//!
//! Absent on purpose: sessions, retained messages, retransmission, keep alive, access control, differences between
//! protocol versions within one run, and every check that does not protect the forwarder itself. It must not be
//! exposed to clients one does not control.

mod buffers;
pub mod epoll;
mod forwarder;
mod frame;
mod routes;
mod socket;
pub mod uring;

pub use forwarder::{Counters, Forwarder, Outgoing};
pub use frame::Malformed;
pub use socket::{Stop, listen, local_address, pin_to_core, raise_descriptor_limit};

/// A connection's number within its driver: small, dense, reused.
pub type ConnIndex = u32;

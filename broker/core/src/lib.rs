//! The MQTT shard as a deterministic state machine.
//!
//! A [`Machine`](machine::Machine) is told what happened (bytes arrived, a connection opened, time passed, another
//! shard sent a batch) and answers by filling [`Effects`](machine::Effects): bytes to send, connections to close,
//! batches for other shards. It never waits and never calls the system. [`shard::Shard`] is the broker's.
//!
//! What is absent, by construction: I/O, clocks, randomness other than a seed handed in, threads, locks, `await`,
//! `unsafe`, and the standard library.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod banned;
pub mod control;
pub mod counters;
pub mod enhanced_auth;
pub mod interest;
pub mod limit;
pub mod machine;
pub mod message;
pub mod observe;
pub mod placement;
pub mod proxy_protocol;
pub mod queue;
pub mod random;
pub mod retained;
pub mod rewrite;
mod session;
pub mod settings;
pub mod shard;
pub mod share;
pub mod slab;
pub mod timer;
pub mod topics;
pub mod trace;

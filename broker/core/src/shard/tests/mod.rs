//! The shard from outside: packets in, packets out, several shards joined by a mesh without delay.
//!
//! The simulator covers many clients and bad luck; here each test is about one promise.

mod auth;
mod back_pressure;
mod banned;
mod bounds;
mod congestion;
mod control;
mod delayed;
mod exclusive;
mod fan_out;
mod flapping;
mod harness;
mod inspect;
mod limits;
mod mounting;
mod observe;
mod on_behalf;
mod overfull;
mod overload;
mod packets;
mod profiles;
mod proxied;
mod queues;
mod retained;
mod rewriting;
mod sessions;
mod shared;
mod slow_subs;
mod strictness;
mod topic_metrics;

//! Topic filters, and which subscriptions of one shard a topic matches (MQTT 5.0, section 4.7).
//!
//! [`filter`] is the language: parsing a filter and the plain definition of a match. [`Index`] answers the same
//! question for all filters of a shard at once.
//!
//! Absent: who a subscriber is. The index knows numbers; sessions and shared groups are kept elsewhere.

mod cache;
pub mod filter;
mod hash;
mod index;
mod levels;
mod names;
mod subscriber;
mod subscribers;
mod text;
mod trie;

pub use index::{FanOut, FilterId, Index, Matches, Subscribed, Unsubscribed};
pub use subscriber::{SubOptions, Subscriber};

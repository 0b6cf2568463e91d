//! Shared subscriptions: the members of one group and which of them gets a message (MQTT 5.0, section 4.8.2).
//!
//! [`Group::pick`] implements EMQX's strategies. Turns and sticky choices are remembered per publisher, for a bounded
//! number of publishers.
//!
//! Absent: how a message reaches a member, and what happens to it if the member's session ends.

mod group;
mod recent;
mod roster;

pub use group::{Group, PUBLISHERS_MAX};

use crate::machine::ShardId;
use crate::topics::SubOptions;

/// One member of a group: a session's shared subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The shard where the session lives.
    pub shard: ShardId,
    /// The session's slot there.
    pub session: u32,
    /// Which occupant of that slot it is.
    pub generation: u32,
    /// The Subscription Identifier; 0 if there is none.
    pub subscription_id: u32,
    /// How to deliver.
    pub options: SubOptions,
}

impl Member {
    /// The session behind it, whatever its options.
    #[must_use]
    pub const fn who(&self) -> MemberKey {
        MemberKey { shard: self.shard, session: self.session, generation: self.generation }
    }
}

/// Which session is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberKey {
    /// The shard where the session lives.
    pub shard: ShardId,
    /// The session's slot there.
    pub session: u32,
    /// Which occupant of that slot it is.
    pub generation: u32,
}

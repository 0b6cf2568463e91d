//! Shared subscriptions: the members of one group and which of them gets a message (MQTT 5.0, section 4.8.2).
//!
//! Absent: how a message reaches a member, and what happens to it if the member's session ends.

use crate::machine::ShardId;
use crate::settings::ShareStrategy;
use crate::topics::SubOptions;
use alloc::vec::Vec;

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

/// The members of one group.
#[derive(Debug, Default)]
pub struct Group {
    members: Vec<Member>,
    turn: usize,
}

impl Group {
    /// A group without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True if the group can be forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All members.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Adds a member. Returns the one it replaces: the same session slot, of this or an earlier generation.
    pub fn join(&mut self, member: Member) -> Option<Member> {
        match self.members.iter_mut().find(|held| (held.shard, held.session) == (member.shard, member.session)) {
            Some(held) => Some(core::mem::replace(held, member)),
            None => {
                self.members.push(member);
                None
            }
        }
    }

    /// Removes a member; `None` if that session of that generation is not one.
    pub fn leave(&mut self, shard: ShardId, session: u32, generation: u32) -> Option<Member> {
        let wanted = (shard, session, generation);
        let at = self.members.iter().position(|held| (held.shard, held.session, held.generation) == wanted)?;
        Some(self.members.swap_remove(at))
    }

    /// The member that gets the next message; `None` if there is none.
    ///
    /// `publisher` identifies the publisher's connection, `random` is a fresh random word.
    pub fn pick(
        &mut self,
        strategy: ShareStrategy,
        publisher: u64,
        client_hash: u64,
        topic_hash: u64,
        random: u64,
    ) -> Option<Member> {
        self.pick_except(strategy, publisher, client_hash, topic_hash, random, &[])
    }

    /// As [`Group::pick`], for a message that was already given to the members in `failed` in vain.
    pub fn pick_except(
        &mut self,
        _strategy: ShareStrategy,
        _publisher: u64,
        _client_hash: u64,
        _topic_hash: u64,
        _random: u64,
        failed: &[Member],
    ) -> Option<Member> {
        let len = self.members.len();
        (0..len).find_map(|_| {
            self.turn = (self.turn + 1) % len;
            let member = self.members[self.turn];
            (!failed.contains(&member)).then_some(member)
        })
    }
}

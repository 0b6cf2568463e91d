//! Picking a member.

use super::recent::Recent;
use super::roster::Roster;
use super::{Member, MemberKey};
use crate::machine::ShardId;
use crate::settings::ShareStrategy;
use alloc::boxed::Box;

/// Most publishers whose turn or sticky choice one group remembers. Who comes back after being forgotten begins again
/// at a random member.
pub const PUBLISHERS_MAX: usize = 1024;

/// What a group remembers of one publisher.
#[derive(Debug, Clone, Copy)]
struct Choice {
    /// The member picked last, for [`ShareStrategy::Sticky`].
    member: MemberKey,
    /// Its place at that time, for [`ShareStrategy::RoundRobin`].
    place: u32,
}

/// The members of one group.
#[derive(Debug, Default)]
pub struct Group {
    roster: Roster,
    /// The place picked last, for [`ShareStrategy::RoundRobinPerGroup`].
    turn: Option<u32>,
    /// By publisher. Only the strategies that need it cost its memory.
    choices: Option<Box<Recent<Choice>>>,
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
        self.roster.members().len()
    }

    /// True if the group can be forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roster.members().is_empty()
    }

    /// All members, in the order of turns.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        self.roster.members()
    }

    /// Adds a member, last in turn. Returns the one whose place it takes: the same session slot's, of whatever
    /// generation.
    pub fn join(&mut self, member: Member) -> Option<Member> {
        self.roster.join(member)
    }

    /// Removes a member, whose turn goes to the one that was last; `None` if that session of that generation is not a
    /// member.
    pub fn leave(&mut self, shard: ShardId, session: u32, generation: u32) -> Option<Member> {
        self.roster.leave(MemberKey { shard, session, generation })
    }

    /// The member that gets the next message; `None` if there is none.
    ///
    /// `publisher` identifies the publisher's connection, `client_hash` and `topic_hash` its client identifier and the
    /// topic; `random` is a fresh random word.
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

    /// As [`Group::pick`], for a message that was given to `failed` in vain: `None` if nobody else is left. The search
    /// passes over at most as many members as failed.
    pub fn pick_except(
        &mut self,
        strategy: ShareStrategy,
        publisher: u64,
        client_hash: u64,
        topic_hash: u64,
        random: u64,
        failed: &[MemberKey],
    ) -> Option<Member> {
        if self.is_empty() {
            return None;
        }
        match strategy {
            ShareStrategy::Random | ShareStrategy::Local => self.willing_from(reduce(random, self.len()), failed),
            ShareStrategy::HashTopic => self.willing_from(reduce(topic_hash, self.len()), failed),
            ShareStrategy::HashClientId => self.willing_from(reduce(client_hash, self.len()), failed),
            ShareStrategy::RoundRobinPerGroup => {
                let next = self.turn.map_or_else(|| reduce(random, self.len()), |turn| turn as usize + 1);
                let picked = self.willing_from(next, failed)?;
                self.turn = Some(picked.place);
                Some(picked)
            }
            ShareStrategy::RoundRobin | ShareStrategy::Sticky => {
                self.pick_remembered(strategy, publisher, random, failed)
            }
        }
        .map(|picked| self.members()[picked.place as usize])
    }

    fn pick_remembered(
        &mut self,
        strategy: ShareStrategy,
        publisher: u64,
        random: u64,
        failed: &[MemberKey],
    ) -> Option<Choice> {
        // Taken out, so that the members can be looked at beside it.
        let mut choices = self.choices.take().unwrap_or_default();
        let mut fresh = false;
        let choice = choices.get_or_insert_with(publisher, PUBLISHERS_MAX, || {
            fresh = true;
            self.choice_at(reduce(random, self.len()))
        });
        let kept = match strategy {
            ShareStrategy::Sticky if !failed.contains(&choice.member) => self.roster.place_of(choice.member),
            _ => None,
        };
        let picked = match kept {
            Some(place) => Some(self.choice_at(place)),
            None if strategy == ShareStrategy::RoundRobin && !fresh => {
                self.willing_from(choice.place as usize + 1, failed)
            }
            None => self.willing_from(reduce(random, self.len()), failed),
        };
        if let Some(picked) = picked {
            *choice = picked;
        }
        self.choices = Some(choices);
        picked
    }

    /// The first member from a place on, around the end, that has not failed.
    fn willing_from(&self, place: usize, failed: &[MemberKey]) -> Option<Choice> {
        let tries = self.len().min(failed.len() + 1);
        (place..place + tries).map(|place| self.choice_at(place % self.len())).find(|it| !failed.contains(&it.member))
    }

    fn choice_at(&self, place: usize) -> Choice {
        let member = self.members()[place].who();
        Choice { member, place: u32::try_from(place).expect("fewer than 2^32 members") }
    }

    /// Publishers remembered.
    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.choices.as_ref().map_or(0, |choices| choices.len())
    }
}

/// A place among `len` from any number. Mixed first, so that a hash of few bits will do; the constant is the golden
/// ratio's fraction.
fn reduce(number: u64, len: usize) -> usize {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (u128::from(mixed ^ (mixed >> 32)) * len as u128) >> 64;
    usize::try_from(place).expect("less than len")
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;

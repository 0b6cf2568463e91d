//! Members in a list, found by session in constant time.

use super::{Member, MemberKey};
use crate::machine::ShardId;
use alloc::vec::Vec;
use hashbrown::HashTable;

/// Members up to which a search through the list is as good as a table.
const SEARCHED_MEMBERS_MAX: usize = 16;

/// The members of a group, in an order that is stable while nobody leaves.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: Vec<Member>,
    /// Places in `members` by session slot, once there are more than [`SEARCHED_MEMBERS_MAX`]; empty before.
    places: HashTable<u32>,
}

impl Roster {
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The place of a session slot's member, of whatever generation.
    fn find(&self, shard: ShardId, session: u32) -> Option<usize> {
        let is_member = |member: &Member| (member.shard, member.session) == (shard, session);
        if self.places.is_empty() {
            return self.members.iter().position(is_member);
        }
        let place = self.places.find(hash(shard, session), |place| is_member(&self.members[*place as usize]));
        place.map(|place| *place as usize)
    }

    /// The place of the member with this key.
    pub(super) fn place_of(&self, key: MemberKey) -> Option<usize> {
        self.find(key.shard, key.session).filter(|place| self.members[*place].who() == key)
    }

    /// Adds a member, or puts it in the place of its session slot's earlier one.
    pub(super) fn join(&mut self, member: Member) -> Option<Member> {
        if let Some(place) = self.find(member.shard, member.session) {
            return Some(core::mem::replace(&mut self.members[place], member));
        }
        self.members.push(member);
        if !self.places.is_empty() {
            self.add_place(self.members.len() - 1);
        } else if self.members.len() > SEARCHED_MEMBERS_MAX {
            (0..self.members.len()).for_each(|place| self.add_place(place));
        }
        None
    }

    /// Removes a member; the last one takes its place.
    pub(super) fn leave(&mut self, key: MemberKey) -> Option<Member> {
        let place = self.place_of(key)?;
        let last = self.members.len() - 1;
        self.remove_place(last);
        if place != last {
            self.remove_place(place);
        }
        let member = self.members.swap_remove(place);
        if place != last && !self.places.is_empty() {
            self.add_place(place);
        }
        if self.members.len() <= SEARCHED_MEMBERS_MAX / 2 {
            self.places = HashTable::new();
        }
        Some(member)
    }

    fn add_place(&mut self, place: usize) {
        let hash_at = |place: &u32| {
            let member = &self.members[*place as usize];
            hash(member.shard, member.session)
        };
        let place = u32::try_from(place).expect("fewer than 2^32 members");
        self.places.insert_unique(hash_at(&place), place, hash_at);
    }

    fn remove_place(&mut self, place: usize) {
        let member = &self.members[place];
        let is_place = |held: &u32| *held as usize == place;
        if let Ok(entry) = self.places.find_entry(hash(member.shard, member.session), is_place) {
            entry.remove();
        }
    }
}

/// Session slots are numbers of our own making, so that mixing them needs no seed. The constant is the golden ratio's
/// fraction.
const fn hash(shard: ShardId, session: u32) -> u64 {
    let mixed = ((shard.0 as u64) << 32 | session as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

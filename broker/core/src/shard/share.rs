//! Shared subscriptions (section 4.8.2; EMQX: `$share/<group>/<filter>` and `$queue/<filter>`).
//!
//! A group is at home on the shard that its name and filter hash to. Only the home announces interest in the filter,
//! and only the home picks: members elsewhere get what it picked for them by the mesh. A message whose member is gone
//! comes back and is given to another.

use super::Shard;
use super::hub::{Once, Target};
use super::queues::QUEUE_PREFIX;
use super::record::{GroupRef, Record, RemoteTarget, SessionRef};
use crate::machine::{Effects, ShardId};
use crate::message::Publication;
use crate::session::Via;
use crate::settings::{ShareStrategy, StickyPick};
use crate::share::{Group, Member, MemberKey};
use crate::slab::Slab;
use crate::topics::{FilterId, Index, Matches, SubOptions, Subscriber, filter};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

/// Members that a message is given to before it is dropped.
const ATTEMPTS_MAX: u8 = 8;

/// Separates group name and filter where both make one name; group names have no `/` [MQTT-4.8.2-2].
fn full_name(group: &str, filter: &str) -> String {
    format!("{group}/{filter}")
}

/// A group at home here.
struct AtHome {
    group: Group,
    name: Box<str>,
    filter: FilterId,
}

impl AtHome {
    fn group_name(&self) -> &str {
        self.name.split_once('/').map_or(&*self.name, |(group, _)| group)
    }
}

/// Shared subscriptions of a shard: the groups at home here, and the subscriptions of its own sessions.
pub(super) struct Groups {
    at_home: Slab<AtHome>,
    /// Groups at home by the filter they share: the subscriber is the group's slot.
    by_filter: Index,
    /// Full names of the groups at home: the only subscriber is the group's slot.
    by_name: Index,
    /// Full names of the groups that sessions here belong to, and of the message queues that they consume: the subscriber
    /// is the session.
    joined: Index,
}

impl Groups {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            at_home: Slab::new(),
            by_filter: Index::new(seed),
            by_name: Index::new(seed ^ 1),
            joined: Index::new(seed ^ 2),
        }
    }

    /// True if no group is at home here.
    pub(super) fn is_empty(&self) -> bool {
        self.at_home.is_empty()
    }

    /// Groups at home here.
    pub(super) fn len(&self) -> usize {
        self.at_home.len()
    }

    /// Full names of the groups that sessions here belong to.
    pub(super) fn joined(&self) -> &Index {
        &self.joined
    }

    /// The same, to add to.
    pub(super) fn joined_mut(&mut self) -> &mut Index {
        &mut self.joined
    }

    /// All places from `from` on, with the full name and the number of members of each group at home here.
    pub(super) fn slots_from(&self, from: u32) -> impl Iterator<Item = (u32, Option<(&str, usize)>)> {
        self.at_home.slots_from(from).map(|(slot, held)| (slot, held.map(|held| (&*held.name, held.group.len()))))
    }

    /// True if a group at home here wants a topic; see [`Index::matches_any`].
    pub(super) fn matches_any(&mut self, topic: &str) -> bool {
        self.by_filter.matches_any(topic)
    }

    pub(super) fn matching(&mut self, topic: &str, out: &mut Matches) {
        self.by_filter.matching(topic, out);
    }
}

/// What joining a group did.
pub(super) struct Joined {
    pub(super) id: FilterId,
    pub(super) new: bool,
    /// Set while the group's home has yet to be told.
    pub(super) ticket: Option<u32>,
}

impl Shard {
    /// A session here subscribes to a shared filter.
    pub(super) fn join(
        &mut self,
        session: u32,
        subscriber: Subscriber,
        (group, filter): (&str, &str),
        ticket: u32,
        fx: &mut Effects,
    ) -> Joined {
        let name = full_name(group, filter);
        let joined = self.groups.joined.subscribe(&name, subscriber);
        let generation = self.hub.sessions.generation(session).expect("live session");
        let home = self.placement.home(name.as_bytes());
        let target = RemoteTarget {
            to: SessionRef { session, generation },
            subscription_id: subscriber.subscription_id,
            options: subscriber.options,
        };
        let new = joined.replaced.is_none();
        if home == self.id {
            self.join_at_home(self.id, target, group, filter);
            return Joined { id: joined.id, new, ticket: None };
        }
        self.tell(home, &Record::ShareJoin { target, ticket, group, filter }, fx);
        Joined { id: joined.id, new, ticket: Some(ticket) }
    }

    /// Adds a member to a group at home here.
    pub(super) fn join_at_home(&mut self, shard: ShardId, target: RemoteTarget, group: &str, filter: &str) {
        let name = full_name(group, filter);
        let member = Member {
            shard,
            session: target.to.session,
            generation: target.to.generation,
            subscription_id: target.subscription_id,
            options: target.options,
        };
        if let Some(slot) = self.group_at_home(&name) {
            self.groups.at_home.get_mut(slot).expect("group by its name").group.join(member);
            return;
        }
        let slot = self.groups.at_home.insert(AtHome {
            group: Group::new(),
            name: name.as_str().into(),
            filter: FilterId::default(),
        });
        let as_subscriber = Subscriber { id: slot, subscription_id: 0, options: SubOptions::default() };
        self.groups.by_name.subscribe(&name, as_subscriber);
        let by_filter = self.groups.by_filter.subscribe(filter, as_subscriber);
        let made = self.groups.at_home.get_mut(slot).expect("just inserted");
        made.filter = by_filter.id;
        made.group.join(member);
        if by_filter.new_filter
            && let Some(interest) = &mut self.interest
        {
            interest.announce(filter);
        }
    }

    fn group_at_home(&self, name: &str) -> Option<u32> {
        let id = self.groups.by_name.find(name)?;
        self.groups.by_name.chunk_from(id, None).first().map(|group| group.id)
    }

    /// The joined group of a session, by what the client calls it.
    pub(super) fn find_joined(&self, group: &str, filter: &str) -> Option<FilterId> {
        self.groups.joined.find(&full_name(group, filter))
    }

    /// True if some shared subscription of a session here matches the topic.
    fn shares(&self, session: u32, topic: &str) -> bool {
        let held = self.hub.sessions.get(session).expect("session of a group");
        held.subscriptions.as_slice().iter().filter(|subscription| subscription.shared).any(|subscription| {
            let name = self.groups.joined.filter(subscription.filter);
            !name.starts_with(QUEUE_PREFIX)
                && name.split_once('/').is_some_and(|(_, filter)| filter::matches(filter, topic))
        })
    }

    /// A session here leaves a group. False if it was no member.
    pub(super) fn leave_group(&mut self, session: u32, joined: FilterId, fx: &mut Effects) -> bool {
        if self.groups.joined.subscriber(joined, session).is_none() {
            return false;
        }
        let name = String::from(self.groups.joined.filter(joined));
        self.groups.joined.unsubscribe(joined, session);
        if name.starts_with(QUEUE_PREFIX) {
            self.stop_consuming(session, joined, &name, fx);
            return true;
        }
        let generation = self.hub.sessions.generation(session).expect("session that leaves");
        let from = SessionRef { session, generation };
        let (group, filter) = name.split_once('/').expect("full name of a group");
        let home = self.placement.home(name.as_bytes());
        if home == self.id {
            self.leave_at_home(self.id, from, group, filter);
        } else {
            self.tell(home, &Record::ShareLeave { from, group, filter }, fx);
        }
        true
    }

    /// Removes a member from a group at home here, and the group with its last member.
    pub(super) fn leave_at_home(&mut self, shard: ShardId, from: SessionRef, group: &str, filter: &str) {
        let name = full_name(group, filter);
        let Some(slot) = self.group_at_home(&name) else { return };
        let held = self.groups.at_home.get_mut(slot).expect("group by its name");
        held.group.leave(shard, from.session, from.generation);
        if !held.group.is_empty() {
            return;
        }
        let gone = self.groups.at_home.remove(slot).expect("group by its name");
        let id = self.groups.by_name.find(&gone.name).expect("name of a group at home");
        self.groups.by_name.unsubscribe(id, slot);
        let ended = self.groups.by_filter.unsubscribe(gone.filter, slot).expect("filter of a group at home");
        if ended.filter_gone.is_some()
            && let Some(interest) = &mut self.interest
        {
            interest.withdraw(filter);
        }
    }

    /// Gives a message to one member of each group that shares this filter [MQTT-4.8.2-3].
    pub(super) fn share_out(&mut self, filter: FilterId, passing: &Publication<'_>, fx: &mut Effects) -> bool {
        let mut after = None;
        let mut matched = false;
        while let Some(group) = self.groups.by_filter.chunk_from(filter, after).first().map(|group| group.id) {
            after = Some(group);
            let generation = self.groups.at_home.generation(group).expect("group by its filter");
            matched |= self.give(GroupRef { slot: group, generation }, None, 0, passing, fx);
        }
        matched
    }

    /// Picks a member and gives it the message; `failed` has been given it in vain.
    fn give(
        &mut self,
        group: GroupRef,
        mut failed: Option<(ShardId, SessionRef)>,
        mut attempt: u8,
        passing: &Publication<'_>,
        fx: &mut Effects,
    ) -> bool {
        while attempt < ATTEMPTS_MAX {
            let Some(member) = self.pick(group.slot, failed, passing) else { break };
            let via = Via::Group { home: self.id, group: group.slot, generation: group.generation };
            if member.shard != self.id {
                let to = SessionRef { session: member.session, generation: member.generation };
                let target = RemoteTarget { to, subscription_id: member.subscription_id, options: member.options };
                self.tell(member.shard, &Record::Shared { target, group, attempt, passing: *passing }, fx);
                return true;
            }
            if self.hub.sessions.get_generation(member.session, member.generation).is_some() {
                let target = Target {
                    session: member.session,
                    subscription_id: member.subscription_id,
                    options: member.options,
                    via: Some(via),
                };
                self.hub.deliver(target, &mut Once::new(passing), fx);
                return true;
            }
            failed = Some((self.id, SessionRef { session: member.session, generation: member.generation }));
            attempt += 1;
        }
        self.hub.counters.delivery_dropped_session_gone += 1;
        false
    }

    fn pick(&mut self, group: u32, failed: Option<(ShardId, SessionRef)>, passing: &Publication<'_>) -> Option<Member> {
        let held = self.groups.at_home.get_mut(group)?;
        let (strategy, initial) = self.hub.settings.share_strategy(|| held.group_name());
        let topic_hash = match (strategy, initial) {
            (ShareStrategy::HashTopic, _) | (ShareStrategy::Sticky, StickyPick::HashTopic) => {
                self.placement.hash(passing.topic.as_bytes())
            }
            _ => 0,
        };
        let random = self.random.next_u64();
        let publisher = passing.publisher;
        // Reduced by its upper bits.
        let client_hash = u64::from(publisher.client_hash) << 32;
        let random = match (strategy, initial) {
            (ShareStrategy::Sticky, StickyPick::HashTopic) => topic_hash,
            (ShareStrategy::Sticky, StickyPick::HashClientId) => client_hash,
            _ => random,
        };
        let failed = failed.map(|(shard, SessionRef { session, generation })| MemberKey { shard, session, generation });
        held.group.pick_except(strategy, publisher.key, client_hash, topic_hash, random, failed.as_slice())
    }

    /// The home of a group has picked a session here.
    pub(super) fn shared_arrived(
        &mut self,
        home: ShardId,
        target: RemoteTarget,
        group: GroupRef,
        attempt: u8,
        passing: &Publication<'_>,
        fx: &mut Effects,
    ) {
        let alive = self.hub.sessions.get_generation(target.to.session, target.to.generation).is_some();
        // A member that has left meanwhile gets nothing more [MQTT-3.10.4-2].
        if !alive || !self.shares(target.to.session, passing.topic) {
            let record = Record::SharedReturned { failed: target.to, group, attempt: attempt + 1, passing: *passing };
            self.tell(home, &record, fx);
            return;
        }
        let target = Target {
            session: target.to.session,
            subscription_id: target.subscription_id,
            options: target.options,
            via: Some(Via::Group { home, group: group.slot, generation: group.generation }),
        };
        self.hub.deliver(target, &mut Once::new(passing), fx);
    }

    /// A session here has ended and leaves a message that its group should give to another member.
    pub(super) fn return_shared(
        &mut self,
        via: Via,
        session: u32,
        generation: u32,
        passing: &Publication<'_>,
        fx: &mut Effects,
    ) {
        let failed = SessionRef { session, generation };
        // A queue has kept the message, and gives it to another when its consumer leaves.
        let Via::Group { home, group, generation } = via else { return };
        let group = GroupRef { slot: group, generation };
        if home == self.id {
            self.shared_returned(self.id, failed, group, 0, passing, fx);
        } else {
            let record = Record::SharedReturned { failed, group, attempt: 0, passing: *passing };
            self.tell(home, &record, fx);
        }
    }

    /// A message of a group at home here could not be delivered.
    pub(super) fn shared_returned(
        &mut self,
        shard: ShardId,
        failed: SessionRef,
        group: GroupRef,
        attempt: u8,
        passing: &Publication<'_>,
        fx: &mut Effects,
    ) {
        let still_there = self.groups.at_home.get_generation(group.slot, group.generation).is_some();
        if still_there && !passing.expired(self.hub.now_ms) {
            self.give(group, Some((shard, failed)), attempt, passing, fx);
        } else {
            self.hub.counters.delivery_dropped_session_gone += 1;
        }
    }
}

//! Exclusive subscriptions (EMQX: `$exclusive/<topic>`): at most one session in the process has one for a topic.
//!
//! A topic is at home on the shard it hashes to, and only that shard says who owns it. A subscription takes effect once
//! the home has granted it, and an UNSUBACK waits until the home knows that the topic is free. A grant carries the
//! ticket of the claim it answers, and only the newest claim of an owner can be given up: an answer that nobody waits
//! for any more cannot free what the same session has claimed anew.
//!
//! Plain and shared subscriptions neither count nor are hindered, as in EMQX. A session has one subscription to a topic,
//! whether exclusive or not: subscribing in the other way replaces it.

use super::Shard;
use super::record::{Record, SessionRef};
use super::subscribe::Granted;
use crate::control::ExclusiveOwner;
use crate::machine::{Effects, ShardId};
use crate::observe::What;
use crate::session::{Claim, HeldExclusive};
use crate::topics::FilterId;
use alloc::boxed::Box;
use alloc::format;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ringmq_wire::{ReasonCode, SubscribeOptions};

/// Prefix of an exclusive subscription.
pub(crate) const EXCLUSIVE_PREFIX: &str = "$exclusive/";

/// Who has a topic to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    shard: ShardId,
    session: SessionRef,
    /// Of its newest claim.
    ticket: u32,
}

/// The owners of the topics that are at home here.
pub(super) struct Exclusives {
    owners: HashMap<Box<str>, Owner, FixedState>,
}

impl Exclusives {
    pub(super) fn new(seed: u64) -> Self {
        Self { owners: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Makes a session the owner, unless another one is.
    fn claim(&mut self, topic: &str, claimed: Owner) -> bool {
        if let Some(owner) = self.owners.get_mut(topic) {
            let same = (owner.shard, owner.session) == (claimed.shard, claimed.session);
            if same {
                owner.ticket = claimed.ticket;
            }
            return same;
        }
        self.owners.insert(topic.into(), claimed);
        true
    }

    /// Frees a topic if this was its owner's newest claim.
    fn release(&mut self, topic: &str, released: Owner) {
        if self.owners.get(topic) == Some(&released) {
            self.owners.remove(topic);
        }
    }
}

impl Shard {
    /// A session here subscribes to a topic alone. The grant may have to wait for the topic's home: then it comes with
    /// a claim, and the code is what a successful one gives.
    pub(super) fn subscribe_exclusively<'a>(
        &mut self,
        session: u32,
        topic: &'a str,
        options: SubscribeOptions,
        (subscription_id, ticket): (u32, u32),
        fx: &mut Effects,
    ) -> Result<Granted<'a>, ReasonCode> {
        let held = self.hub.sessions.get(session).expect("live session");
        if held.extra.as_ref().is_some_and(|extra| extra.owns(topic)) {
            return self.subscribe_plainly(session, topic, options, subscription_id);
        }
        let generation = self.hub.sessions.generation(session).expect("live session");
        let from = SessionRef { session, generation };
        let home = self.placement.home(topic.as_bytes());
        if home == self.id {
            if !self.exclusives.claim(topic, Owner { shard: self.id, session: from, ticket }) {
                return Err(ReasonCode::QUOTA_EXCEEDED);
            }
            return self.take_exclusively(session, topic, options, (subscription_id, ticket), fx);
        }
        self.tell(home, &Record::ExclusiveClaim { from, ticket, topic }, fx);
        let claim = Claim { topic: topic.into(), options, subscription_id, withdrawn: false };
        Ok(Granted { code: ReasonCode(options.qos.bits()), replay: None, waits: true, claim: Some(claim) })
    }

    /// True if a topic is a session's own, or may become so once its home has answered.
    pub(super) fn has_exclusively(&self, session: u32, topic: &str) -> bool {
        let held = self.hub.sessions.get(session).expect("live session");
        held.extra.as_ref().is_some_and(|extra| extra.owns(topic) || extra.claims(topic))
    }

    /// Who has a topic that is at home here to itself.
    pub(super) fn exclusive_owner(&self, topic: &str) -> Option<ExclusiveOwner> {
        let Owner { shard, session, .. } = *self.exclusives.owners.get(topic)?;
        Some(ExclusiveOwner { shard, session: session.session, generation: session.generation })
    }

    /// Subscribes a session to a topic that is its own now.
    fn take_exclusively<'a>(
        &mut self,
        session: u32,
        topic: &'a str,
        options: SubscribeOptions,
        (subscription_id, ticket): (u32, u32),
        fx: &mut Effects,
    ) -> Result<Granted<'a>, ReasonCode> {
        let granted = self.subscribe_plainly(session, topic, options, subscription_id);
        if granted.is_ok() {
            let filter = self.index.find(topic).expect("filter of a subscription");
            let exclusive = &mut self.hub.sessions.get_mut(session).expect("live session").extra_mut().exclusive;
            match exclusive.iter_mut().find(|held| held.filter == filter) {
                Some(held) => held.ticket = ticket,
                None => exclusive.push(HeldExclusive { filter, ticket, topic: topic.into() }),
            }
        } else {
            self.give_up(session, topic, ticket, 0, fx);
        }
        granted
    }

    /// A session of another shard claims a topic that is at home here.
    pub(super) fn claimed(&mut self, shard: ShardId, from: SessionRef, ticket: u32, topic: &str, fx: &mut Effects) {
        let granted = self.exclusives.claim(topic, Owner { shard, session: from, ticket });
        self.tell(shard, &Record::ExclusiveAnswer { to: from, ticket, topic, granted }, fx);
    }

    /// The home of a topic has answered the claim of a session here.
    pub(super) fn claim_answered(&mut self, to: SessionRef, ticket: u32, topic: &str, granted: bool, fx: &mut Effects) {
        let alive = self.hub.sessions.get_generation_mut(to.session, to.generation);
        let claim = alive.filter(|held| held.conn.is_some()).and_then(|held| {
            let suback = held.extra.as_mut()?.held_subacks.iter_mut().find(|suback| suback.ticket == ticket)?;
            let at = suback.claims.iter().position(|(_, claim)| *claim.topic == *topic)?;
            Some(suback.claims.remove(at))
        });
        let Some((index, claim)) = claim else {
            // The connection has ended, and with it the request.
            if granted {
                self.give_up_as(to, topic, ticket, 0, fx);
            }
            return;
        };
        let mut refused = None;
        let mut replay = None;
        let mut told = None;
        if !granted {
            refused = Some(ReasonCode::QUOTA_EXCEEDED);
        } else if claim.withdrawn {
            self.give_up_as(to, topic, ticket, 0, fx);
        } else {
            let by = (claim.subscription_id, ticket);
            match self.take_exclusively(to.session, topic, claim.options, by, fx) {
                Ok(granted) => {
                    replay = granted.replay;
                    told = self.tells_of_subscriptions().then(|| (format!("{EXCLUSIVE_PREFIX}{topic}"), claim.options));
                }
                Err(reason) => refused = Some(reason),
            }
        }
        self.claim_settled(to, ticket, (index, refused), (claim.subscription_id, replay), fx);
        if let Some((filter, options)) = told
            && let Some(conn) = self.hub.sessions.get(to.session).and_then(|held| held.conn)
        {
            self.tell_of(to.session, conn, &What::Subscribed { filter: &filter, options }, fx);
        }
    }

    /// Another session may have the topic of this filter now, if it was the session's own. With `answer`, the home has
    /// to confirm that to whoever waits with this ticket. True if it will.
    pub(super) fn release_exclusive(&mut self, session: u32, filter: FilterId, answer: u32, fx: &mut Effects) -> bool {
        let Some(held) = self.hub.sessions.get_mut(session) else { return false };
        let Some(extra) = &mut held.extra else { return false };
        let Some(at) = extra.exclusive.iter().position(|held| held.filter == filter) else { return false };
        let HeldExclusive { topic, ticket, .. } = extra.exclusive.swap_remove(at);
        self.give_up(session, &topic, ticket, answer, fx)
    }

    fn give_up(&mut self, session: u32, topic: &str, ticket: u32, answer: u32, fx: &mut Effects) -> bool {
        let generation = self.hub.sessions.generation(session).expect("session that owned a topic");
        self.give_up_as(SessionRef { session, generation }, topic, ticket, answer, fx)
    }

    fn give_up_as(&mut self, from: SessionRef, topic: &str, ticket: u32, answer: u32, fx: &mut Effects) -> bool {
        let home = self.placement.home(topic.as_bytes());
        if home == self.id {
            self.exclusives.release(topic, Owner { shard: self.id, session: from, ticket });
            return false;
        }
        self.tell(home, &Record::ExclusiveRelease { from, ticket, answer, topic }, fx);
        answer != 0
    }

    /// A session of another shard gives a topic up that is at home here.
    pub(super) fn released_exclusive(
        &mut self,
        shard: ShardId,
        from: SessionRef,
        (ticket, answer): (u32, u32),
        topic: &str,
        fx: &mut Effects,
    ) {
        self.exclusives.release(topic, Owner { shard, session: from, ticket });
        if answer != 0 {
            self.tell(shard, &Record::ExclusiveReleased { to: from, ticket: answer }, fx);
        }
    }
}

//! Subscriptions that the operator makes and ends in a client's place (`ringmq ctl subscriptions add|del`, `exclusive
//! delete`). The client is not told. Neither rewriting nor a mountpoint applies: the operator names what is meant, as
//! lists of subscriptions show it.

use super::Shard;
use super::exclusive::EXCLUSIVE_PREFIX;
use crate::control::{ExclusiveOwner, SubscribeOutcome};
use crate::machine::Effects;
use crate::observe::What;
use crate::session::Answer;
use alloc::boxed::Box;
use alloc::format;
use ringmq_wire::{QoS, ReasonCode, SubscribeOptions};

impl Shard {
    /// Subscribes a client that is connected. `None` if it is not at home here.
    pub(super) fn subscribe_for(
        &mut self,
        client_id: &str,
        filter: &str,
        qos: QoS,
        fx: &mut Effects,
    ) -> Option<SubscribeOutcome> {
        let session = self.find_client(client_id)?;
        let held = self.hub.sessions.get(session).expect("session by its client");
        let Some(conn) = held.conn else { return Some(SubscribeOutcome::NotConnected) };
        let filters = core::iter::once((filter, SubscribeOptions::with_qos(qos)));
        let (_, refused) = self.subscribe_to(session, conn, Answer::Nothing, 0, 0, filters, fx);
        Some(refused.map_or(SubscribeOutcome::Done, SubscribeOutcome::Refused))
    }

    /// Ends a subscription of a client, connected or not. False if it has none to this filter, `None` if it is not at
    /// home here.
    pub(super) fn unsubscribe_for(&mut self, client_id: &str, filter: &str, fx: &mut Effects) -> Option<bool> {
        let session = self.find_client(client_id)?;
        Some(self.end_subscription(session, filter, fx))
    }

    /// Ends the exclusive subscription of a session here; whose it was, or `None` if it has the topic no more.
    pub(super) fn end_exclusive(&mut self, owner: ExclusiveOwner, topic: &str, fx: &mut Effects) -> Option<Box<str>> {
        let held = self.hub.sessions.get_generation(owner.session, owner.generation)?;
        held.extra.as_ref().filter(|extra| extra.owns(topic))?;
        let client_id = held.names.client_id().into();
        self.end_subscription(owner.session, &format!("{EXCLUSIVE_PREFIX}{topic}"), fx).then_some(client_id)
    }

    fn end_subscription(&mut self, session: u32, filter: &str, fx: &mut Effects) -> bool {
        // Without a ticket no other shard answers, and nobody has to wait.
        let mut waiting = 0;
        let ended = self.unsubscribe_one(session, filter, 0, &mut waiting, fx) == ReasonCode::SUCCESS;
        if ended
            && self.tells_of_subscriptions()
            && let Some(conn) = self.hub.sessions.get(session).and_then(|held| held.conn)
        {
            self.tell_of(session, conn, &What::Unsubscribed { filter }, fx);
        }
        ended
    }
}

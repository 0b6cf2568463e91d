//! What other shards say.

use super::Shard;
use super::hub::Once;
use super::record::{NO_REPLAY, Record};
use crate::machine::{Effects, ShardId};
use crate::session::Via;

impl Shard {
    /// A batch from another shard.
    pub(super) fn heard(&mut self, from: ShardId, mut batch: &[u8], fx: &mut Effects) {
        while let Some(record) = Record::take(&mut batch) {
            self.obey(from, &record, fx);
        }
    }

    fn obey(&mut self, from: ShardId, record: &Record<'_>, fx: &mut Effects) {
        match record {
            Record::Publish(passing) => {
                if !self.route_here(passing, fx) {
                    self.hub.counters.messages_forwarded_in_vain += 1;
                }
            }
            Record::Shared { target, group, attempt, passing } => {
                self.shared_arrived(from, *target, *group, *attempt, passing, fx);
            }
            Record::SharedReturned { failed, group, attempt, passing } => {
                self.shared_returned(from, *failed, *group, *attempt, passing, fx);
            }
            Record::Retain { from: session, ticket, passing } => {
                self.store_retained(passing);
                if *ticket != 0 {
                    self.tell(from, &Record::Retained { to: *session, ticket: *ticket }, fx);
                }
            }
            Record::Retained { to, ticket } => self.acknowledge_held(*to, *ticket, fx),
            Record::Replay { target, ticket, filter } => {
                let replay = self.open_replay(from, *target, filter).unwrap_or(NO_REPLAY);
                self.tell(from, &Record::ReplayReady { to: target.to, ticket: *ticket, replay }, fx);
            }
            Record::ReplayReady { to, ticket, replay } => {
                let replay = (*replay != NO_REPLAY).then_some((from, *replay));
                self.suback_answered(*to, *ticket, replay, fx);
            }
            Record::Replayed { target, passing } => self.replayed(*target, passing, fx),
            Record::ReplaySlice { to, replay, more } => self.slice_ended(from, *to, *replay, *more, fx),
            Record::ReplayNext { replay } => self.next_slice_wanted(*replay),
            Record::ReplayCancel { replay } => self.replay_cancelled(*replay),
            Record::ShareJoin { target, ticket, group, filter } => {
                self.join_at_home(from, *target, group, filter);
                self.tell(from, &Record::ShareJoined { to: target.to, ticket: *ticket }, fx);
            }
            Record::ShareJoined { to, ticket } => self.suback_answered(*to, *ticket, None, fx),
            Record::ExclusiveClaim { from: session, ticket, topic } => {
                self.claimed(from, *session, *ticket, topic, fx);
            }
            Record::ExclusiveAnswer { to, ticket, topic, granted } => {
                self.claim_answered(*to, *ticket, topic, *granted, fx);
            }
            Record::ExclusiveRelease { from: session, ticket, answer, topic } => {
                self.released_exclusive(from, *session, (*ticket, *answer), topic, fx);
            }
            Record::ExclusiveReleased { to, ticket } => self.suback_answered(*to, *ticket, None, fx),
            Record::Congested { congested } => self.pressure.set_elsewhere(from, *congested),
            Record::HoldBack { publisher, hold } => self.held_back(from, *publisher, *hold, fx),
            Record::QueueJoin { target, ticket, epoch, queue, client_id } => {
                self.consumer_joins(from, *target, *epoch, queue, client_id);
                if *ticket != 0 {
                    self.tell(from, &Record::ShareJoined { to: target.to, ticket: *ticket }, fx);
                }
            }
            Record::QueueLeave { from: session, queue } => self.consumer_leaves(from, *session, queue),
            Record::QueueGive { target, epoch, queue, seq, passing } => {
                let source = Via::Queue { home: from, queue: *queue, seq: *seq };
                if self.consume(*target, *epoch, source, &mut Once::new(passing), fx) {
                    self.tell(from, &Record::QueueTook { queue: *queue, seq: *seq, back: false }, fx);
                }
            }
            Record::QueueTook { queue, seq, back } => self.queue_took(*queue, *seq, *back),
            Record::ShareLeave { from: session, group, filter } => {
                self.leave_at_home(from, *session, group, filter);
            }
        }
    }
}

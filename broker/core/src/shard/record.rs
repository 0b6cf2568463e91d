//! What shards say to each other, as bytes of a mesh lane.
//!
//! Both ends are this same program, so a record that does not parse is a bug and panics; nothing here comes from a
//! client unchecked. Times are on the process-wide clock.

use crate::machine::Lane;
use crate::message::{Publication, Publisher};
use crate::topics::SubOptions;
use alloc::vec::Vec;
use ringmq_wire::QoS;

/// A session on another shard: slot, and which occupant of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionRef {
    pub(super) session: u32,
    pub(super) generation: u32,
}

/// A shared group at home on some shard: slot, and which occupant of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupRef {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// A subscription of such a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteTarget {
    pub(super) to: SessionRef,
    pub(super) subscription_id: u32,
    pub(super) options: SubOptions,
}

/// In place of a replay's number: there is nothing to send.
pub(super) const NO_REPLAY: u32 = u32::MAX;

/// One thing said.
#[derive(Debug, Clone, Copy)]
pub(super) enum Record<'a> {
    /// Match this message against your subscriptions.
    Publish(Publication<'a>),
    /// Your session is the member that a shared group, at home with me, has picked.
    Shared { target: RemoteTarget, group: GroupRef, attempt: u8, passing: Publication<'a> },
    /// That session is gone: pick another member.
    SharedReturned { failed: SessionRef, group: GroupRef, attempt: u8, passing: Publication<'a> },
    /// Store or clear this retained message; answer with `Retained` if `ticket` is not 0.
    Retain { from: SessionRef, ticket: u32, passing: Publication<'a> },
    /// Make ready to send your retained messages that match `filter`; answer with `ReplayReady`.
    Replay { target: RemoteTarget, ticket: u32, filter: &'a str },
    /// What is retained now can be sent, a slice for every `ReplayNext`; [`NO_REPLAY`] if nothing is.
    ReplayReady { to: SessionRef, ticket: u32, replay: u32 },
    /// One of them.
    Replayed { target: RemoteTarget, passing: Publication<'a> },
    /// End of a slice; with `more`, the next one comes after `ReplayNext`.
    ReplaySlice { to: SessionRef, replay: u32, more: bool },
    /// The next slice.
    ReplayNext { replay: u32 },
    /// No more slices: the session is gone.
    ReplayCancel { replay: u32 },
    /// The retained message is stored.
    Retained { to: SessionRef, ticket: u32 },
    /// My session joins a shared group that is at home with you; answer with `ShareJoined`.
    ShareJoin { target: RemoteTarget, ticket: u32, group: &'a str, filter: &'a str },
    /// Done: whatever is published from now on counts it as a member.
    ShareJoined { to: SessionRef, ticket: u32 },
    /// My session wants this topic, at home with you, to itself; answer with `ExclusiveAnswer`.
    ExclusiveClaim { from: SessionRef, ticket: u32, topic: &'a str },
    /// Whether it has it.
    ExclusiveAnswer { to: SessionRef, ticket: u32, topic: &'a str, granted: bool },
    /// My session gives up what it claimed with `ticket`; answer with `ExclusiveReleased` if `answer` is not 0.
    ExclusiveRelease { from: SessionRef, ticket: u32, answer: u32, topic: &'a str },
    /// Done: whoever claims it from now on can have it.
    ExclusiveReleased { to: SessionRef, ticket: u32 },
    /// My session leaves a shared group.
    ShareLeave { from: SessionRef, group: &'a str, filter: &'a str },
    /// Whether my fan-outs are congested.
    Congested { congested: bool },
    /// Whether full queues of mine hold back your publisher with this key.
    HoldBack { publisher: u64, hold: bool },
    /// My session consumes a message queue that is at home with you; answer with `ShareJoined` if `ticket` is not 0.
    QueueJoin { target: RemoteTarget, ticket: u32, epoch: u32, queue: &'a str, client_id: &'a str },
    /// My session does not any more; what it has of the queue it gives back.
    QueueLeave { from: SessionRef, queue: &'a str },
    /// Your session is the consumer that a message queue, at home with me, has picked.
    QueueGive { target: RemoteTarget, epoch: u32, queue: u32, seq: u32, passing: Publication<'a> },
    /// A message of your queue is done with, or given back.
    QueueTook { queue: u32, seq: u32, back: bool },
}

impl<'a> Record<'a> {
    /// The lane it belongs on. What must stay behind earlier publishes of the same shard goes with the data.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Publish(_)
            | Self::Shared { .. }
            | Self::SharedReturned { .. }
            | Self::Retain { .. }
            | Self::Replay { .. }
            | Self::Replayed { .. }
            | Self::ReplaySlice { .. }
            | Self::QueueGive { .. } => Lane::Data,
            Self::ReplayReady { .. }
            | Self::ReplayNext { .. }
            | Self::ReplayCancel { .. }
            | Self::Retained { .. }
            | Self::ShareJoin { .. }
            | Self::ShareJoined { .. }
            | Self::ShareLeave { .. }
            | Self::ExclusiveClaim { .. }
            | Self::ExclusiveAnswer { .. }
            | Self::ExclusiveRelease { .. }
            | Self::ExclusiveReleased { .. }
            | Self::HoldBack { .. }
            | Self::QueueJoin { .. }
            | Self::QueueLeave { .. }
            | Self::QueueTook { .. }
            | Self::Congested { .. } => Lane::Control,
        }
    }

    /// Appends the record.
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        match self {
            Self::Publish(passing) => {
                out.push(kind::PUBLISH);
                put_publication(out, passing);
            }
            Self::Shared { target, group, attempt, passing } => {
                out.push(kind::SHARED);
                put_target(out, target);
                put_u32(out, group.slot);
                put_u32(out, group.generation);
                out.push(*attempt);
                put_publication(out, passing);
            }
            Self::SharedReturned { failed, group, attempt, passing } => {
                out.push(kind::SHARED_RETURNED);
                put_session(out, *failed);
                put_u32(out, group.slot);
                put_u32(out, group.generation);
                out.push(*attempt);
                put_publication(out, passing);
            }
            Self::Retain { from, ticket, passing } => {
                out.push(kind::RETAIN);
                put_session(out, *from);
                put_u32(out, *ticket);
                put_publication(out, passing);
            }
            Self::Replay { target, ticket, filter } => {
                out.push(kind::REPLAY);
                put_target(out, target);
                put_u32(out, *ticket);
                put_str(out, filter);
            }
            Self::ReplayReady { to, ticket, replay } => {
                out.push(kind::REPLAY_READY);
                put_session(out, *to);
                put_u32(out, *ticket);
                put_u32(out, *replay);
            }
            Self::Replayed { target, passing } => {
                out.push(kind::REPLAYED);
                put_target(out, target);
                put_publication(out, passing);
            }
            Self::ReplaySlice { to, replay, more } => {
                out.push(kind::REPLAY_SLICE);
                put_session(out, *to);
                put_u32(out, *replay);
                out.push(u8::from(*more));
            }
            Self::ReplayNext { replay } => {
                out.push(kind::REPLAY_NEXT);
                put_u32(out, *replay);
            }
            Self::ReplayCancel { replay } => {
                out.push(kind::REPLAY_CANCEL);
                put_u32(out, *replay);
            }
            Self::Retained { to, ticket } => {
                out.push(kind::RETAINED);
                put_session(out, *to);
                put_u32(out, *ticket);
            }
            Self::ShareJoin { target, ticket, group, filter } => {
                out.push(kind::SHARE_JOIN);
                put_target(out, target);
                put_u32(out, *ticket);
                put_str(out, group);
                put_str(out, filter);
            }
            Self::ShareJoined { to, ticket } => {
                out.push(kind::SHARE_JOINED);
                put_session(out, *to);
                put_u32(out, *ticket);
            }
            Self::ShareLeave { from, group, filter } => {
                out.push(kind::SHARE_LEAVE);
                put_session(out, *from);
                put_str(out, group);
                put_str(out, filter);
            }
            Self::ExclusiveClaim { from, ticket, topic } => {
                out.push(kind::EXCLUSIVE_CLAIM);
                put_session(out, *from);
                put_u32(out, *ticket);
                put_str(out, topic);
            }
            Self::ExclusiveAnswer { to, ticket, topic, granted } => {
                out.push(kind::EXCLUSIVE_ANSWER);
                put_session(out, *to);
                put_u32(out, *ticket);
                put_str(out, topic);
                out.push(u8::from(*granted));
            }
            Self::ExclusiveRelease { from, ticket, answer, topic } => {
                out.push(kind::EXCLUSIVE_RELEASE);
                put_session(out, *from);
                put_u32(out, *ticket);
                put_u32(out, *answer);
                put_str(out, topic);
            }
            Self::ExclusiveReleased { to, ticket } => {
                out.push(kind::EXCLUSIVE_RELEASED);
                put_session(out, *to);
                put_u32(out, *ticket);
            }
            Self::Congested { congested } => {
                out.push(kind::CONGESTED);
                out.push(u8::from(*congested));
            }
            Self::HoldBack { publisher, hold } => {
                out.push(kind::HOLD_BACK);
                out.extend_from_slice(&publisher.to_le_bytes());
                out.push(u8::from(*hold));
            }
            Self::QueueJoin { target, ticket, epoch, queue, client_id } => {
                out.push(kind::QUEUE_JOIN);
                put_target(out, target);
                put_u32(out, *ticket);
                put_u32(out, *epoch);
                put_str(out, queue);
                put_str(out, client_id);
            }
            Self::QueueLeave { from, queue } => {
                out.push(kind::QUEUE_LEAVE);
                put_session(out, *from);
                put_str(out, queue);
            }
            Self::QueueGive { target, epoch, queue, seq, passing } => {
                out.push(kind::QUEUE_GIVE);
                put_target(out, target);
                put_u32(out, *epoch);
                put_u32(out, *queue);
                put_u32(out, *seq);
                put_publication(out, passing);
            }
            Self::QueueTook { queue, seq, back } => {
                out.push(kind::QUEUE_TOOK);
                put_u32(out, *queue);
                put_u32(out, *seq);
                out.push(u8::from(*back));
            }
        }
    }

    /// Takes the next record off a batch; `None` at its end.
    #[inline]
    pub(super) fn take(batch: &mut &'a [u8]) -> Option<Self> {
        let (&kind, rest) = batch.split_first()?;
        let mut from = Reader(rest);
        let record = match kind {
            kind::PUBLISH => Self::Publish(from.publication()),
            kind::SHARED => Self::Shared {
                target: from.target(),
                group: from.group(),
                attempt: from.u8(),
                passing: from.publication(),
            },
            kind::SHARED_RETURNED => Self::SharedReturned {
                failed: from.session(),
                group: from.group(),
                attempt: from.u8(),
                passing: from.publication(),
            },
            kind::RETAIN => Self::Retain { from: from.session(), ticket: from.u32(), passing: from.publication() },
            kind::REPLAY => Self::Replay { target: from.target(), ticket: from.u32(), filter: from.str() },
            kind::REPLAY_READY => Self::ReplayReady { to: from.session(), ticket: from.u32(), replay: from.u32() },
            kind::REPLAYED => Self::Replayed { target: from.target(), passing: from.publication() },
            kind::REPLAY_SLICE => Self::ReplaySlice { to: from.session(), replay: from.u32(), more: from.u8() != 0 },
            kind::REPLAY_NEXT => Self::ReplayNext { replay: from.u32() },
            kind::REPLAY_CANCEL => Self::ReplayCancel { replay: from.u32() },
            kind::RETAINED => Self::Retained { to: from.session(), ticket: from.u32() },
            kind::SHARE_JOIN => {
                Self::ShareJoin { target: from.target(), ticket: from.u32(), group: from.str(), filter: from.str() }
            }
            kind::SHARE_JOINED => Self::ShareJoined { to: from.session(), ticket: from.u32() },
            kind::SHARE_LEAVE => Self::ShareLeave { from: from.session(), group: from.str(), filter: from.str() },
            kind::EXCLUSIVE_CLAIM => {
                Self::ExclusiveClaim { from: from.session(), ticket: from.u32(), topic: from.str() }
            }
            kind::EXCLUSIVE_ANSWER => Self::ExclusiveAnswer {
                to: from.session(),
                ticket: from.u32(),
                topic: from.str(),
                granted: from.u8() != 0,
            },
            kind::EXCLUSIVE_RELEASE => Self::ExclusiveRelease {
                from: from.session(),
                ticket: from.u32(),
                answer: from.u32(),
                topic: from.str(),
            },
            kind::EXCLUSIVE_RELEASED => Self::ExclusiveReleased { to: from.session(), ticket: from.u32() },
            kind::CONGESTED => Self::Congested { congested: from.u8() != 0 },
            kind::HOLD_BACK => Self::HoldBack { publisher: u64::from_le_bytes(from.array()), hold: from.u8() != 0 },
            kind::QUEUE_JOIN => Self::QueueJoin {
                target: from.target(),
                ticket: from.u32(),
                epoch: from.u32(),
                queue: from.str(),
                client_id: from.str(),
            },
            kind::QUEUE_LEAVE => Self::QueueLeave { from: from.session(), queue: from.str() },
            kind::QUEUE_GIVE => Self::QueueGive {
                target: from.target(),
                epoch: from.u32(),
                queue: from.u32(),
                seq: from.u32(),
                passing: from.publication(),
            },
            kind::QUEUE_TOOK => Self::QueueTook { queue: from.u32(), seq: from.u32(), back: from.u8() != 0 },
            _ => unreachable!("mesh record of unknown kind {kind}"),
        };
        *batch = from.0;
        Some(record)
    }
}

mod kind {
    pub(super) const PUBLISH: u8 = 1;
    pub(super) const SHARED: u8 = 2;
    pub(super) const SHARED_RETURNED: u8 = 3;
    pub(super) const RETAIN: u8 = 4;
    pub(super) const REPLAY: u8 = 5;
    pub(super) const REPLAYED: u8 = 6;
    pub(super) const REPLAY_SLICE: u8 = 7;
    pub(super) const REPLAY_NEXT: u8 = 8;
    pub(super) const REPLAY_CANCEL: u8 = 9;
    pub(super) const RETAINED: u8 = 10;
    pub(super) const SHARE_JOIN: u8 = 11;
    pub(super) const SHARE_JOINED: u8 = 12;
    pub(super) const SHARE_LEAVE: u8 = 13;
    pub(super) const REPLAY_READY: u8 = 14;
    pub(super) const CONGESTED: u8 = 15;
    pub(super) const EXCLUSIVE_CLAIM: u8 = 16;
    pub(super) const EXCLUSIVE_ANSWER: u8 = 17;
    pub(super) const EXCLUSIVE_RELEASE: u8 = 18;
    pub(super) const EXCLUSIVE_RELEASED: u8 = 19;
    pub(super) const HOLD_BACK: u8 = 20;
    pub(super) const QUEUE_JOIN: u8 = 21;
    pub(super) const QUEUE_LEAVE: u8 = 22;
    pub(super) const QUEUE_GIVE: u8 = 23;
    pub(super) const QUEUE_TOOK: u8 = 24;
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_session(out: &mut Vec<u8>, of: SessionRef) {
    put_u32(out, of.session);
    put_u32(out, of.generation);
}

fn put_target(out: &mut Vec<u8>, target: &RemoteTarget) {
    put_session(out, target.to);
    put_u32(out, target.subscription_id);
    out.push(target.options.bits());
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    put_u32(out, u32::try_from(text.len()).expect("shorter than 2^32"));
    out.extend_from_slice(text.as_bytes());
}

/// Bytes of a publication before its topic.
const PUBLICATION_HEAD: usize = 8 + 8 + 4 + 1 + 2 + 4 + 4;

#[inline]
fn put_publication(out: &mut Vec<u8>, passing: &Publication<'_>) {
    let mut head = [0_u8; PUBLICATION_HEAD];
    head[..8].copy_from_slice(&passing.publisher.key.to_le_bytes());
    head[8..16].copy_from_slice(&passing.expires_ms.to_le_bytes());
    head[16..20].copy_from_slice(&passing.publisher.client_hash.to_le_bytes());
    head[20] = passing.qos.bits() | u8::from(passing.retain) << 2;
    head[21..23].copy_from_slice(&u16::try_from(passing.topic.len()).expect("topic length").to_le_bytes());
    head[23..27].copy_from_slice(&u32::try_from(passing.properties.len()).expect("properties").to_le_bytes());
    head[27..31].copy_from_slice(&u32::try_from(passing.payload.len()).expect("payload length").to_le_bytes());
    out.reserve(PUBLICATION_HEAD + passing.topic.len() + passing.properties.len() + passing.payload.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(passing.topic.as_bytes());
    out.extend_from_slice(passing.properties);
    out.extend_from_slice(passing.payload);
}

/// What is left of a batch.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().expect("as many bytes as asked for")
    }

    fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn text(&mut self, count: usize) -> &'a str {
        core::str::from_utf8(self.bytes(count)).expect("was a string on the other shard")
    }

    fn str(&mut self) -> &'a str {
        let count = self.u32() as usize;
        self.text(count)
    }

    fn session(&mut self) -> SessionRef {
        SessionRef { session: self.u32(), generation: self.u32() }
    }

    fn group(&mut self) -> GroupRef {
        GroupRef { slot: self.u32(), generation: self.u32() }
    }

    fn target(&mut self) -> RemoteTarget {
        RemoteTarget { to: self.session(), subscription_id: self.u32(), options: SubOptions::from_bits(self.u8()) }
    }

    #[inline]
    fn publication(&mut self) -> Publication<'a> {
        let key = u64::from_le_bytes(self.array());
        let expires_ms = u64::from_le_bytes(self.array());
        let client_hash = self.u32();
        let [flags] = self.array();
        let topic_len = usize::from(u16::from_le_bytes(self.array()));
        let properties_len = self.u32() as usize;
        let payload_len = self.u32() as usize;
        Publication {
            publisher: Publisher { key, client_hash },
            qos: QoS::from_bits(flags & 3).expect("a QoS on the other shard"),
            retain: flags & 4 != 0,
            expires_ms,
            topic: self.text(topic_len),
            properties: self.bytes(properties_len),
            payload: self.bytes(payload_len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_is_read_as_it_was_written(
            key: u64, hash: u32, qos in 0_u8..3, retain: bool, expires: u64, topic: String,
            properties: Vec<u8>, payload: Vec<u8>, session: u32, generation: u32, bits in 0_u8..3, ticket: u32,
        ) {
            let passing = Publication {
                publisher: Publisher { key, client_hash: hash },
                qos: QoS::from_bits(qos).unwrap(),
                retain,
                expires_ms: expires,
                topic: &topic,
                properties: &properties,
                payload: &payload,
            };
            let to = SessionRef { session, generation };
            let target = RemoteTarget { to, subscription_id: ticket, options: SubOptions::from_bits(bits) };
            let records = [
                Record::Publish(passing),
                Record::Shared { target, group: GroupRef { slot: ticket, generation }, attempt: qos, passing },
                Record::SharedReturned { failed: to, group: GroupRef { slot: ticket, generation }, attempt: qos, passing },
                Record::Retain { from: to, ticket, passing },
                Record::Replay { target, ticket, filter: &topic },
                Record::ReplayReady { to, ticket, replay: session },
                Record::Replayed { target, passing },
                Record::ReplaySlice { to, replay: ticket, more: retain },
                Record::ReplayNext { replay: ticket },
                Record::ReplayCancel { replay: ticket },
                Record::Retained { to, ticket },
                Record::ShareJoin { target, ticket, group: &topic, filter: "f" },
                Record::ShareJoined { to, ticket },
                Record::ShareLeave { from: to, group: "g", filter: &topic },
                Record::ExclusiveClaim { from: to, ticket, topic: &topic },
                Record::ExclusiveAnswer { to, ticket, topic: &topic, granted: retain },
                Record::ExclusiveRelease { from: to, ticket, answer: session, topic: &topic },
                Record::ExclusiveReleased { to, ticket },
                Record::Congested { congested: retain },
                Record::HoldBack { publisher: key, hold: retain },
                Record::QueueJoin { target, ticket, epoch: session, queue: &topic, client_id: "c" },
                Record::QueueLeave { from: to, queue: &topic },
                Record::QueueGive { target, epoch: ticket, queue: session, seq: generation, passing },
                Record::QueueTook { queue: session, seq: generation, back: retain },
            ];
            let mut batch = Vec::new();
            for record in &records {
                record.append(&mut batch);
            }
            let mut rest = batch.as_slice();
            for record in &records {
                let read = Record::take(&mut rest).expect("as many records as written");
                prop_assert_eq!(alloc::format!("{read:?}"), alloc::format!("{record:?}"));
            }
            prop_assert!(Record::take(&mut rest).is_none());
        }
    }

    use alloc::string::String;
}

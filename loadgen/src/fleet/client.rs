//! What is kept per client, per publisher and per subscriber.

use crate::scenario::Sources;
use ringmq_core::machine::ConnId;
use std::collections::VecDeque;

/// [`Client::conn`] of a client without a connection.
pub(super) const NO_CONNECTION: u32 = u32::MAX;

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not started yet.
    Waiting,
    /// TCP is connecting.
    Dialling,
    /// CONNECT is sent.
    Greeting,
    /// CONNACK has come.
    Ready,
    /// SUBSCRIBE is sent.
    Subscribing,
    /// Disturbed: there is no connection, or none with a CONNECT yet, but there will be.
    Away,
    /// Disturbed: CONNECT is sent again.
    Returning,
    /// Disturbed: UNSUBSCRIBE is sent.
    Unsubscribing,
    /// Disturbed: SUBSCRIBE is sent again.
    Resubscribing,
    /// Disturbed: nothing is read.
    Paused,
    /// The connection is no more, or never was.
    Gone,
}

impl State {
    /// Whether the session is up.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Subscribing | Self::Unsubscribing | Self::Resubscribing | Self::Paused)
    }
}

/// What every client has. There may be a million, so it is kept small.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) conn: u32,
    pub(super) state: State,
    /// A PINGREQ is not answered yet.
    pub(super) pinged: bool,
    /// Seconds; 0 is none. The server's value if it gave one.
    pub(super) keep_alive: u16,
    /// When something was last sent, milliseconds of the run's clock.
    pub(super) last_sent_ms: u32,
    /// When the connection was due to be opened, nanoseconds.
    pub(super) due_ns: u64,
    /// When the request that waits for its answer was sent, nanoseconds: CONNECT, SUBSCRIBE or UNSUBSCRIBE.
    pub(super) asked_ns: u64,
    /// The beginning of a frame whose rest has not come yet.
    pub(super) partial: Vec<u8>,
}

impl Client {
    pub(super) fn new(keep_alive: u16) -> Self {
        Self {
            conn: NO_CONNECTION,
            state: State::Waiting,
            pinged: false,
            keep_alive,
            last_sent_ms: 0,
            due_ns: 0,
            asked_ns: 0,
            partial: Vec::new(),
        }
    }

    pub(super) fn conn(&self) -> ConnId {
        ConnId(self.conn)
    }

    /// The connection is no more.
    pub(super) fn forget(&mut self, state: State) {
        self.conn = NO_CONNECTION;
        self.state = state;
        self.partial = Vec::new();
    }
}

/// How far a QoS 1 or 2 message has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The packet identifier is free.
    Free,
    /// PUBLISH is sent; PUBACK or PUBREC is due.
    Published,
    /// PUBREL is sent; PUBCOMP is due.
    Released,
}

/// Packet identifiers of a publisher's unacknowledged messages: identifier `i + 1` is entry `i`. Identifiers stay small
/// and dense, so the table grows only to the largest number of messages ever in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    table: Vec<(Step, u64)>,
    free: Vec<u16>,
    /// The server's Receive Maximum [MQTT-3.3.4-7].
    pub(super) limit: u16,
}

impl InFlight {
    fn new() -> Self {
        Self { table: Vec::new(), free: Vec::new(), limit: u16::MAX }
    }

    /// Messages in flight.
    pub(super) fn count(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// Takes an unused identifier [MQTT-2.2.1-3] for a message that counts from `since_ns`; `None` if the server takes
    /// no more.
    pub(super) fn take(&mut self, since_ns: u64) -> Option<u16> {
        if self.count() >= usize::from(self.limit) {
            return None;
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.table.push((Step::Free, 0));
                self.table.len() as u16
            }
        };
        self.table[usize::from(id) - 1] = (Step::Published, since_ns);
        Some(id)
    }

    /// How far the message with this identifier has got.
    pub(super) fn step(&self, id: u16) -> Step {
        self.table.get(usize::from(id).wrapping_sub(1)).map_or(Step::Free, |(step, _)| *step)
    }

    /// PUBREC has come.
    pub(super) fn release(&mut self, id: u16) {
        self.table[usize::from(id) - 1].0 = Step::Released;
    }

    /// The last acknowledgement has come; returns since when the message counts.
    pub(super) fn finish(&mut self, id: u16) -> u64 {
        let entry = &mut self.table[usize::from(id) - 1];
        entry.0 = Step::Free;
        self.free.push(id);
        entry.1
    }

    /// Forgets everything in flight; returns how much that was.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.count();
        self.table.clear();
        self.free.clear();
        count
    }
}

/// What a publisher has besides.
#[derive(Debug)]
pub(super) struct Publisher {
    /// Number over all threads.
    pub(super) global: u32,
    /// Subscribers that receive each message.
    pub(super) copies: u32,
    pub(super) topic: Box<[u8]>,
    /// Messages sent, and so the next message's number.
    pub(super) sequence: u64,
    /// Open loop: messages that have become due and could not be sent yet.
    pub(super) behind: u64,
    /// Closed loop: deliveries that sent messages have not caused yet.
    pub(super) copies_out: u64,
    /// Sweeps in a row that found deliveries missing and none made.
    pub(super) stalled_sweeps: u8,
    pub(super) in_flight: InFlight,
}

impl Publisher {
    pub(super) fn new(global: u32, topic: String, copies: u32) -> Self {
        Self {
            global,
            copies,
            topic: topic.into_bytes().into_boxed_slice(),
            sequence: 0,
            behind: 0,
            copies_out: 0,
            stalled_sweeps: 0,
            in_flight: InFlight::new(),
        }
    }
}

/// What a subscriber has besides.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// Number over all threads.
    pub(super) global: u32,
    pub(super) sources: Sources,
    /// Its first stream.
    pub(super) streams: usize,
    /// QoS 2 packet identifiers for which PUBREC is sent and PUBREL has not come, oldest first.
    pub(super) unreleased: VecDeque<u16>,
}

impl Subscriber {
    pub(super) fn new(global: u32, sources: Sources, streams: usize) -> Self {
        Self { global, sources, streams, unreleased: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_while_in_flight_and_bounded_by_the_receive_maximum() {
        let mut in_flight = InFlight::new();
        in_flight.limit = 3;
        let ids: Vec<u16> = (0..3).map(|k| in_flight.take(k).unwrap()).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(in_flight.take(9), None);
        in_flight.release(2);
        assert_eq!((in_flight.step(1), in_flight.step(2)), (Step::Published, Step::Released));
        assert_eq!(in_flight.finish(2), 1);
        assert_eq!((in_flight.step(2), in_flight.step(0), in_flight.step(4)), (Step::Free, Step::Free, Step::Free));
        assert_eq!(in_flight.take(9), Some(2));
        assert_eq!((in_flight.count(), in_flight.clear(), in_flight.count()), (3, 3, 0));
    }

    #[test]
    fn all_identifiers_can_be_in_flight() {
        let mut in_flight = InFlight::new();
        for expected in 1..=u16::MAX {
            assert_eq!(in_flight.take(0), Some(expected));
        }
        assert_eq!(in_flight.take(0), None);
    }
}

//! What one fleet measures besides the checks. Plain numbers of one thread, merged when the run is over.

use super::disturbance_counts::DisturbanceCounts;
use crate::latency::Latency;
use crate::series::Series;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Measurements of one fleet, or of all together.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Meter {
    /// From when a connection was due until its CONNACK.
    pub connect: Latency,
    /// From CONNECT until CONNACK.
    pub connack: Latency,
    /// From SUBSCRIBE until SUBACK.
    pub subscribe: Latency,
    /// From when a lost connection was meant to be back until its CONNACK.
    pub reconnect: Latency,
    /// From when a client was meant to be taken over until the CONNACK of its second connection.
    pub takeover: Latency,
    /// From UNSUBSCRIBE until UNSUBACK.
    pub unsubscribe: Latency,
    /// From SUBSCRIBE until SUBACK, where a client subscribes again.
    pub resubscribe: Latency,
    /// From SUBSCRIBE until the last retained message.
    pub retained: Latency,
    /// From CONNACK until the last message that was queued in the session.
    pub replay: Latency,
    /// From when a message was due until a subscriber had it.
    pub end_to_end: Latency,
    /// The same of subscribers that are not disturbed, in a run in which others are.
    pub undisturbed: Latency,
    /// From when a QoS 1 or 2 message was due until its last acknowledgement.
    pub acknowledge: Latency,
    /// Open loop: from when a message was due until the generator looked at it.
    pub lag: Latency,
    /// With the kernel's timestamps: from when the kernel had received a message until the generator read it.
    #[serde(default)]
    pub read: Latency,
    /// The measured interval second by second.
    pub series: Series,
    /// Clients that got a CONNACK with success.
    pub connected: u64,
    /// Messages sent in the measured interval.
    pub sent: u64,
    /// Messages that became due in the measured interval of an open loop.
    pub due: u64,
    /// Deliveries in the measured interval.
    pub delivered: u64,
    /// Messages acknowledged completely, in all of the run.
    pub acknowledged: u64,
    /// Times a publisher that was due could not send because of the broker: Receive Maximum, or a full connection.
    pub held_back: u64,
    /// Messages that were due but never sent, because the broker held their publisher back until the end.
    pub unsent: u64,
    /// Times a closed loop had to be restarted after a second without any delivery.
    pub stalls: u64,
    /// Messages of other programs whose time was still to come: clocks do not agree.
    #[serde(default)]
    pub from_the_future: u64,
    /// With the kernel's timestamps: receives without one, or with one that cannot be, in the measured interval.
    #[serde(default)]
    pub unstamped: u64,
    /// Times a thread found the wall clock set, which the kernel's timestamps are of; the most of any thread.
    #[serde(default)]
    pub clock_steps: u64,
    /// PINGREQs sent.
    pub pings: u64,
    /// Time of turns with input or output, nanoseconds of the measured interval.
    pub busy_ns: u64,
    /// Time of turns without.
    pub idle_ns: u64,
    /// Of each disturbance.
    pub disturbances: Vec<DisturbanceCounts>,
    /// Everything that went wrong with connections, in words, with its count.
    pub errors: BTreeMap<String, u64>,
}

impl Meter {
    /// Counts something that went wrong.
    #[cold]
    pub fn error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    /// All latencies by the names that reports and files use.
    #[must_use]
    pub fn latencies(&self) -> [(&'static str, &Latency); 14] {
        [
            ("connect", &self.connect),
            ("connack", &self.connack),
            ("subscribe", &self.subscribe),
            ("reconnect", &self.reconnect),
            ("takeover", &self.takeover),
            ("unsubscribe", &self.unsubscribe),
            ("resubscribe", &self.resubscribe),
            ("replay", &self.replay),
            ("retained", &self.retained),
            ("end_to_end", &self.end_to_end),
            ("end_to_end_undisturbed", &self.undisturbed),
            ("acknowledge", &self.acknowledge),
            ("generator_lag", &self.lag),
            ("generator_read", &self.read),
        ]
    }

    /// Adds another fleet's measurements.
    pub fn merge(&mut self, other: Self) {
        self.connect.merge(&other.connect);
        self.connack.merge(&other.connack);
        self.subscribe.merge(&other.subscribe);
        for (mine, theirs) in [
            (&mut self.reconnect, &other.reconnect),
            (&mut self.takeover, &other.takeover),
            (&mut self.unsubscribe, &other.unsubscribe),
            (&mut self.resubscribe, &other.resubscribe),
            (&mut self.replay, &other.replay),
            (&mut self.retained, &other.retained),
            (&mut self.undisturbed, &other.undisturbed),
        ] {
            mine.merge(theirs);
        }
        self.end_to_end.merge(&other.end_to_end);
        self.acknowledge.merge(&other.acknowledge);
        self.lag.merge(&other.lag);
        self.read.merge(&other.read);
        self.clock_steps = self.clock_steps.max(other.clock_steps);
        self.series.merge(other.series);
        for (sum, part) in [
            (&mut self.connected, other.connected),
            (&mut self.sent, other.sent),
            (&mut self.due, other.due),
            (&mut self.delivered, other.delivered),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.held_back, other.held_back),
            (&mut self.unsent, other.unsent),
            (&mut self.stalls, other.stalls),
            (&mut self.from_the_future, other.from_the_future),
            (&mut self.unstamped, other.unstamped),
            (&mut self.pings, other.pings),
            (&mut self.busy_ns, other.busy_ns),
            (&mut self.idle_ns, other.idle_ns),
        ] {
            *sum += part;
        }
        self.disturbances.resize_with(self.disturbances.len().max(other.disturbances.len()), Default::default);
        for (mine, theirs) in self.disturbances.iter_mut().zip(&other.disturbances) {
            mine.merge(theirs);
        }
        for (what, count) in other.errors {
            *self.errors.entry(what).or_default() += count;
        }
    }
}

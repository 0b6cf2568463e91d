//! What each client went through, for the log that `--qoe-log` asks for.
//!
//! Less than a hundred bytes a client, kept only if the log was asked for; the fleet's threads add to them and write
//! nothing. Absent: writing the log, see [`report::qoe`](crate::report::qoe).

use super::Fleet;
use serde::{Deserialize, Serialize};

/// What one client went through. Times are nanoseconds, and `None` if it did not get so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experience {
    /// From when its connection was due until TCP was connected.
    pub tcp_ns: Option<u64>,
    /// From CONNECT until CONNACK.
    pub connack_ns: Option<u64>,
    /// From when its connection was due until CONNACK.
    pub connect_ns: Option<u64>,
    /// From its first SUBSCRIBE until SUBACK.
    pub subscribe_ns: Option<u64>,
    /// Messages it received in all of the run, known repetitions excepted.
    pub received: u64,
    /// Thereof those whose latency counts, as in the report's `end_to_end`.
    pub measured: u64,
    /// Sum of their latencies.
    pub latency_sum_ns: u64,
    /// The longest of their latencies.
    pub latency_max_ns: u64,
    /// Connections that ended before the run did, by whoever's doing.
    pub disconnects: u32,
}

/// One client's line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientExperience {
    /// Its identifier.
    pub client: String,
    /// Messages it sent in all of the run; `None` if it is a subscriber.
    pub sent: Option<u64>,
    /// The rest.
    pub experience: Experience,
}

impl Fleet {
    /// Adds to what a client went through, if there is to be a log.
    pub(super) fn experience(&mut self, index: usize, add: impl FnOnce(&mut Experience)) {
        if let Some(experience) = self.experiences.get_mut(index) {
            add(experience);
        }
    }

    /// A client has received a message, whose latency may count.
    pub(super) fn experience_message(&mut self, index: usize, latency_ns: Option<u64>) {
        self.experience(index, |experience| {
            experience.received += 1;
            if let Some(latency_ns) = latency_ns {
                experience.measured += 1;
                experience.latency_sum_ns = experience.latency_sum_ns.saturating_add(latency_ns);
                experience.latency_max_ns = experience.latency_max_ns.max(latency_ns);
            }
        });
    }

    /// All clients' lines, in the order of their numbers on this thread.
    pub(super) fn take_experiences(&mut self) -> Vec<ClientExperience> {
        let naming = &self.cx.plan.identity.naming;
        let publishers = self.publishers.iter().map(|it| (naming.publisher(it.global), Some(it.sequence)));
        let subscribers = self.subscribers.iter().map(|it| (naming.subscriber(it.global), None));
        let line = |((client, sent), experience)| ClientExperience { client, sent, experience };
        publishers.chain(subscribers).zip(std::mem::take(&mut self.experiences)).map(line).collect()
    }
}

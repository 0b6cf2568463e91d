//! What a run will do, decided completely before it starts: the command line, checked and resolved.
//!
//! Absent: anything that changes during a run.

mod check;
mod disturbed;
mod draft;
mod ends;
mod file;
mod naming;
mod payload;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;

pub use naming::{Naming, WillPlan};
pub(crate) use resolve::WINDOW_DEFAULT;
pub use settings::{Connecting, Generator, Identity, Pace, Traffic};

use crate::disturbance::Disturbance;
use crate::payload::Headers;
use crate::scenario::Scenario;
use crate::simulated::Simulated;
use draft::Draft;
use ringmq_wire::QoS;
use std::net::SocketAddr;
use std::time::Duration;

/// A run, decided.
#[derive(Debug)]
pub struct Plan {
    /// Number of this run, in every payload.
    pub run: u32,
    /// Who publishes what to whom.
    pub scenario: Box<dyn Scenario>,
    /// What is published; `None` if nothing is.
    pub traffic: Option<Traffic>,
    /// Headers that messages of others begin with; `None` looks for the stamps of other runs.
    pub received: Option<Headers>,
    /// QoS asked for in subscriptions.
    pub subscription_qos: QoS,
    /// How long to measure.
    pub duration: Duration,
    /// How long to run before measuring.
    pub warmup: Duration,
    /// How long the load grows before that; where nothing is published, the rate of connections.
    pub ramp_up: Duration,
    /// How long to wait between the last SUBACK and the first message.
    pub wait: Duration,
    /// How long to wait for missing messages after the last delivery.
    pub drain: Duration,
    /// Where the broker listens.
    pub remote: SocketAddr,
    /// The broker's processes.
    pub pids: Vec<u32>,
    /// A broker in this process, in the place of `remote`.
    pub simulated: Option<Simulated>,
    /// How clients introduce themselves.
    pub identity: Identity,
    /// How connections are opened.
    pub connecting: Connecting,
    /// How the generator itself runs.
    pub generator: Generator,
    /// What happens to clients.
    pub disturbances: Vec<Disturbance>,
    /// Publishers that send one retained message before anybody subscribes; those with the highest numbers.
    pub retained: u32,
}

impl Plan {
    /// All clients.
    #[must_use]
    pub fn clients(&self) -> u32 {
        self.scenario.publishers() + self.scenario.subscribers()
    }

    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.generator.cores.len()
    }

    /// Publishers that send while the run goes on.
    #[must_use]
    pub fn live_publishers(&self) -> u32 {
        self.scenario.publishers() - self.retained
    }

    /// Messages a second, if the loop is open and there are any.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        match self.traffic.as_ref()?.pace {
            Pace::Rate { per_second } if self.live_publishers() > 0 => Some(per_second),
            Pace::Rate { .. } | Pace::Window { .. } => None,
        }
    }

    /// From the first message to the measurement.
    #[must_use]
    pub fn lead_in(&self) -> Duration {
        if self.traffic.is_some() { self.ramp_up + self.warmup } else { self.warmup }
    }

    /// QoS at which messages arrive.
    #[must_use]
    pub fn delivery_qos(&self) -> QoS {
        self.traffic.as_ref().map_or(QoS::AtMostOnce, |traffic| traffic.qos.min(self.subscription_qos))
    }

    /// Full name of a publisher's topic.
    #[must_use]
    pub fn topic(&self, publisher: u32) -> String {
        format!("{}{}", self.topic_start(), self.scenario.topic(publisher))
    }

    /// Full filters of a subscriber.
    #[must_use]
    pub fn filters(&self, subscriber: u32) -> Vec<String> {
        let share = self.scenario.share().map_or_else(String::new, |group| format!("$share/{group}/"));
        let start = self.topic_start();
        self.scenario.filters(subscriber).iter().map(|filter| format!("{share}{start}{filter}")).collect()
    }

    /// What topics begin with.
    fn topic_start(&self) -> String {
        match self.identity.topic_prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        }
    }

    /// The source address of the client with this number; publishers come first.
    #[must_use]
    pub fn source(&self, client: u32) -> Option<SocketAddr> {
        let sources = &self.connecting.sources;
        let address = sources.get(client as usize % sources.len().max(1))?;
        Some(SocketAddr::new(*address, 0))
    }
}

//! What a run will do, decided completely before it starts: the command line, checked and resolved.
//!
//! Absent: anything that changes during a run.

mod disturbed;
mod ends;
mod file;
mod naming;
mod resolve;

pub use naming::{Naming, WillPlan};
pub(crate) use resolve::WINDOW_DEFAULT;

use crate::cli::{Cli, CommonArgs, ScenarioArgs, TrafficArgs};
use crate::disturbance::Disturbance;
use crate::payload::{COMPACT_PUBLISHERS_MAX, FULL_HEADER_BYTES};
use crate::scenario::{Conn, Fanin, Fanout, P2p, Reach, Scenario};
use crate::schedule::RATE_MAX;
use crate::simulated::Simulated;
use resolve::{generator, identity, qos, resolve, resolve_traffic, run_number, sources};
use ringmq_drive::DriverKind;
use ringmq_wire::{QoS, Version};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
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
    /// QoS asked for in subscriptions.
    pub subscription_qos: QoS,
    /// How long to measure.
    pub duration: Duration,
    /// How long to run before measuring.
    pub warmup: Duration,
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

/// What is published.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// QoS of the messages.
    pub qos: QoS,
    /// Payload, bytes.
    pub size: usize,
    /// When messages are sent.
    pub pace: Pace,
    /// Whether RETAIN is set.
    pub retain: bool,
    /// Open loop: messages that each publisher sends at once, all publishers together; 1 spreads them evenly.
    pub burst: u32,
    /// Messages after which each publisher is done.
    pub limit: Option<u64>,
}

/// When messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Open loop.
    Rate {
        /// Messages a second over all publishers.
        per_second: u64,
    },
    /// Closed loop.
    Window {
        /// Messages in flight per publisher.
        messages: u32,
        /// Whether a message stays in flight until it is acknowledged.
        until_acknowledged: bool,
        /// Whether a message stays in flight until it is delivered.
        until_delivered: bool,
    },
}

/// How clients introduce themselves.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Protocol version.
    pub version: Version,
    /// Seconds; 0 is none.
    pub keep_alive: u16,
    /// Clean Start or Clean Session.
    pub clean: bool,
    /// Session Expiry Interval, seconds; sent in MQTT 5.0 if not 0.
    pub expiry: u32,
    /// Receive Maximum; sent in MQTT 5.0.
    pub receive_maximum: Option<u16>,
    /// Password.
    pub password: Option<String>,
    /// Client identifiers and the user name.
    pub naming: Naming,
    /// The will of every client.
    pub will: Option<WillPlan>,
    /// Topics begin with this and a slash; if it is empty, they are as the scenario has them.
    pub topic_prefix: String,
}

/// How connections are opened.
#[derive(Debug, Clone)]
pub struct Connecting {
    /// Connections a second over all clients; `None` is as fast as the window allows.
    pub rate: Option<u64>,
    /// Most connections or subscriptions on their way at once, per thread.
    pub window: u32,
    /// How long nothing may move before the run is given up.
    pub timeout: Duration,
    /// Source addresses, used in turn by client number; none lets the kernel choose.
    pub sources: Vec<IpAddr>,
}

/// How the generator itself runs.
#[derive(Debug, Clone)]
pub struct Generator {
    /// One thread each; `None` is not pinned.
    pub cores: Vec<Option<usize>>,
    /// Driver of every thread.
    pub driver: DriverKind,
    /// Whether connections are in tables of the threads' rings.
    pub direct: bool,
    /// Whether threads poll without sleeping.
    pub spin: bool,
    /// Where the JSON line goes.
    pub json: Option<PathBuf>,
    /// What the names of the latencies' files begin with.
    pub hgrm: Option<String>,
    /// No progress, no table.
    pub quiet: bool,
    /// Who watches.
    pub watch: crate::watch::Options,
}

impl Plan {
    /// Resolves a command line.
    ///
    /// # Errors
    /// A text for the user, if options contradict each other or the broker's name cannot be resolved.
    pub fn new(cli: &Cli) -> Result<Self, String> {
        let draft = match &cli.scenario {
            ScenarioArgs::Run(args) => file::draft(args)?,
            ScenarioArgs::List | ScenarioArgs::Describe(_) | ScenarioArgs::Agent(_) => {
                return Err("nothing to run".into());
            }
            ScenarioArgs::Conn(args) => {
                let conn = Conn { clients: args.clients, subscribe: args.subscribe };
                let draft = Draft::new(Box::new(conn), &args.common, None)?;
                Draft { duration: args.duration, subscription_qos: qos(args.qos), ..draft }
            }
            ScenarioArgs::Pub(args) => ends::draft_pub(args)?,
            ScenarioArgs::Sub(args) => ends::draft_sub(args)?,
            ScenarioArgs::P2p(args) => {
                Draft::new(Box::new(P2p { pairs: args.pairs }), &args.common, Some(&args.traffic))?
            }
            ScenarioArgs::Fanin(args) => {
                let reach = match &args.share {
                    Some(group) => Reach::Shared(group.clone()),
                    None if args.all => Reach::All,
                    None => Reach::Slice,
                };
                let fanin = Fanin { publishers: args.publishers, subscribers: args.subscribers, reach };
                Draft::new(Box::new(fanin), &args.common, Some(&args.traffic))?
            }
            ScenarioArgs::Fanout(args) => {
                let (publishers, subscribers) = (args.publishers, args.subscribers);
                let fanout = Fanout { publishers, subscribers, topics: args.topics.min(publishers) };
                Draft::new(Box::new(fanout), &args.common, Some(&args.traffic))?
            }
        };
        draft.finish()
    }

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

/// A run whose broker is not looked up yet.
struct Draft {
    run: u32,
    scenario: Box<dyn Scenario>,
    traffic: Option<Traffic>,
    subscription_qos: QoS,
    duration: Duration,
    warmup: Duration,
    wait: Duration,
    drain: Duration,
    identity: Identity,
    common: CommonArgs,
    disturbances: Vec<Disturbance>,
    retained: u32,
}

impl Draft {
    /// What options alone say.
    fn new(scenario: Box<dyn Scenario>, common: &CommonArgs, traffic: Option<&TrafficArgs>) -> Result<Self, String> {
        let run = run_number();
        let clients = scenario.publishers().checked_add(scenario.subscribers()).ok_or("more than 2^32 clients")?;
        let time = |of: fn(&TrafficArgs) -> Duration| traffic.map_or(Duration::ZERO, of);
        Ok(Self {
            run,
            identity: identity(common, run, scenario.publishers(), clients)?,
            traffic: traffic.map(|args| resolve_traffic(args, scenario.publishers())).transpose()?,
            scenario,
            subscription_qos: traffic.map_or(QoS::AtMostOnce, |args| qos(args.sub_qos.unwrap_or(args.qos))),
            duration: time(|args| args.duration),
            warmup: time(|args| args.warmup),
            wait: time(|args| args.span.wait_before_publishing),
            drain: time(|args| args.drain),
            common: common.clone(),
            disturbances: Vec::new(),
            retained: 0,
        })
    }

    fn finish(self) -> Result<Plan, String> {
        let common = &self.common;
        let remote = resolve(common)?;
        let clients = self.scenario.publishers() + self.scenario.subscribers();
        let plan = Plan {
            run: self.run,
            scenario: self.scenario,
            traffic: self.traffic,
            subscription_qos: self.subscription_qos,
            duration: self.duration,
            warmup: self.warmup,
            wait: self.wait,
            drain: self.drain,
            remote,
            pids: common.pid.clone(),
            simulated: common.simulated.then(Simulated::default),
            identity: self.identity,
            connecting: Connecting {
                rate: common.connect_rate,
                window: common.connect_window,
                timeout: common.connect_timeout,
                sources: sources(common, remote, clients)?,
            },
            generator: generator(common)?,
            disturbances: self.disturbances,
            retained: self.retained,
        };
        debug_assert!(plan.rate().is_none_or(|rate| rate <= RATE_MAX), "the range has been checked");
        plan.check()?;
        plan.check_disturbances()?;
        Ok(plan)
    }
}

impl Plan {
    /// What would never end, or could not be told apart.
    fn check(&self) -> Result<(), String> {
        let Some(traffic) = &self.traffic else { return Ok(()) };
        let publishers = self.scenario.publishers();
        if traffic.size < FULL_HEADER_BYTES && publishers > COMPACT_PUBLISHERS_MAX {
            return Err(format!(
                "more than {COMPACT_PUBLISHERS_MAX} publishers need {FULL_HEADER_BYTES}-byte payloads"
            ));
        }
        if self.retained > 0 && traffic.qos == QoS::AtMostOnce {
            return Err("retained messages need qos 1 or 2: the acknowledgement says that they are stored".into());
        }
        if self.retained > 0 && self.scenario.share().is_some() {
            return Err("shared subscriptions bring no retained messages [MQTT-3.3.1-9]".into());
        }
        let bounded = !matches!(traffic.pace, Pace::Window { until_acknowledged: false, .. });
        if !bounded
            && let Some(unheard) = (0..self.live_publishers()).find(|publisher| self.scenario.copies(*publisher) == 0)
        {
            return Err(format!(
                "nobody subscribes to {}, so that no delivery would ever close its publisher's window: use a rate (--rate or --interval), or \
                 QoS 1 and let acknowledgements count",
                self.topic(unheard)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    pub(crate) fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("ringmq-loadgen").chain(line.split_whitespace());
        Plan::new(&Cli::try_parse_from(words).map_err(|problem| problem.to_string())?)
    }

    fn pace(line: &str) -> Pace {
        plan(line).unwrap().traffic.unwrap().pace
    }

    #[test]
    fn the_window_ends_with_what_the_qos_offers() {
        let window =
            |until_acknowledged, until_delivered| Pace::Window { messages: 16, until_acknowledged, until_delivered };
        assert_eq!(pace("p2p"), window(false, true));
        assert_eq!(pace("p2p --credit ack"), window(false, true));
        assert_eq!(pace("p2p --qos 1"), window(true, true));
        assert_eq!(pace("p2p --qos 2 --credit ack"), window(true, false));
        assert_eq!(pace("p2p --qos 2 --credit delivery"), window(false, true));
        assert_eq!(pace("p2p --rate 5"), Pace::Rate { per_second: 5 });
    }

    #[test]
    fn topics_filters_and_identifiers_carry_their_prefixes() {
        let plan = plan("fanin --publishers 4 --subscribers 2 --share g --topic-prefix a/b").unwrap();
        assert_eq!(plan.topic(3), "a/b/in/1/3");
        assert_eq!(plan.filters(1), ["$share/g/a/b/in/#"]);
        assert_eq!(plan.clients(), 6);
    }

    #[test]
    fn many_loopback_clients_get_several_addresses() {
        assert!(plan("conn --clients 20000").unwrap().connecting.sources.is_empty());
        let many = plan("conn --clients 50000").unwrap();
        assert_eq!(many.source(0).unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(many.source(5).unwrap().to_string(), "127.0.0.3:0");
        let given = plan("conn --clients 50000 --ifaddr 127.0.0.9").unwrap();
        assert_eq!(given.source(7).unwrap().to_string(), "127.0.0.9:0");
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "p2p --expiry 5",
            "p2p --mqtt 4 --receive-maximum 5",
            "p2p --mqtt 3 --client-id-prefix abcdefghijklmnopqrstuvwxyz",
            "p2p --driver monoio",
            "p2p --target nonsense",
            "p2p --ifaddr ::1",
            "p2p --simulated --broker-shards 1 --cores 0,1",
        ] {
            assert!(plan(line).is_err(), "accepted `{line}`");
        }
    }
}

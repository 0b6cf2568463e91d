//! The command line: what can be asked of the generator, checked as far as one option goes.
//!
//! Scripts depend on these names; add, never rename. What options mean together is checked in
//! [`plan`](crate::plan). Absent: defaults that depend on the machine, and how values are read, see `values`.

mod common;
mod ends;
mod identity;
mod payload;
mod traffic;
mod values;

pub use common::{CommonArgs, Timestamps};
pub use ends::{PubArgs, SubArgs};
pub use identity::{NamingArgs, WillArgs};
pub use payload::PayloadArgs;
pub(crate) use payload::{headers, sizes};
pub use traffic::{Credit, SpanArgs, TrafficArgs};
pub use values::CoreList;
pub(crate) use values::{duration, group};

use crate::schedule::RATE_MAX;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::time::Duration;
use values::{cores, scale};

const ABOUT: &str = "MQTT load generator: simulated clients, latency and throughput";

const LONG_ABOUT: &str = "\
MQTT load generator: simulated clients, latency and throughput.

Each scenario connects all clients, waits for every SUBACK, warms up, measures, waits for what is
under way, and reports. Every message carries its publisher, its number and the time it was due;
loss, duplicates and order are checked on every message of every run.

With --window W the loop is closed: each publisher keeps W messages in flight, and a message is in
flight until it is acknowledged (QoS 1 and 2) and delivered. With --rate R the loop is open: messages
are due at fixed times whatever the broker does, and latency counts from the time a message was due.";

const EXAMPLES: &str = "\
Examples:
  100 pairs, QoS 1, 16 messages in flight each, generator on core 1, broker's CPU from its pid:
    ringmq-loadgen p2p --pairs 100 --qos 1 --window 16 --cores 1 --pid $(pidof ringmq)
  Latency at a fixed rate of 10,000 messages a second:
    ringmq-loadgen p2p --pairs 100 --rate 10000 --duration 30s
  500 publishers to a shared subscription of 5 members:
    ringmq-loadgen fanin --publishers 500 --subscribers 5 --share workers --qos 1
  One publisher to 1,000 subscribers, MQTT 5, one JSON line appended to a file:
    ringmq-loadgen fanout --subscribers 1000 --mqtt 5 --json results.jsonl
  100,000 idle clients with one subscription each, opened at 5,000 a second, held for a minute:
    ringmq-loadgen conn --clients 100000 --subscribe --connect-rate 5000 --duration 60s
  A million clients and the broker's shards in one process, without sockets:
    ringmq-loadgen conn --clients 1000000 --subscribe --simulated --broker-shards 2
  Publish only, each of 100 clients once in 2 seconds, to be counted by any other program; and the other way round:
    ringmq-loadgen pub --topic 'site/%i/%c' --publishers 100 --interval 2s
    ringmq-loadgen sub --topic 'site/#' --subscribers 3 --duration 1m
  A scenario of the Open MQTT Benchmark Suite at a tenth of its size, for half a minute:
    ringmq-loadgen run p2p-50K-50K-50K-50K --scale 0.1 --duration 30s

Exit codes: 0 passed; 1 loss, reordering or errors; 2 could not start; 3 the schedule was not kept.";

/// The command line.
#[derive(Debug, Clone, Parser)]
#[command(name = "ringmq-loadgen", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub scenario: ScenarioArgs,
}

/// The scenarios.
#[derive(Debug, Clone, Subcommand)]
pub enum ScenarioArgs {
    /// Open connections, hold them, and measure how long CONNECT takes
    Conn(ConnArgs),
    /// Publish only, to topics of a template
    Pub(PubArgs),
    /// Subscribe only, and count what anybody publishes
    Sub(SubArgs),
    /// Pairs of one publisher and one subscriber, each with a topic of its own
    P2p(P2pArgs),
    /// Many publishers to a few subscribers, plain or as a shared subscription
    Fanin(FaninArgs),
    /// A few publishers to many subscribers of the same topics
    Fanout(FanoutArgs),
    /// A scenario of a file, or one that comes with the generator
    Run(RunArgs),
    /// Name the scenarios that come with the generator
    List,
    /// Show a scenario: its figures and its file
    Describe(DescribeArgs),
    /// Wait for a coordinator on another host, run with --agents, and do its work
    Agent(AgentArgs),
}

impl ScenarioArgs {
    /// The options that all scenarios have; `None` if this is no scenario.
    #[must_use]
    pub fn common(&self) -> Option<&CommonArgs> {
        match self {
            Self::Conn(args) => Some(&args.common),
            Self::Pub(args) => Some(&args.common),
            Self::Sub(args) => Some(&args.common),
            Self::P2p(args) => Some(&args.common),
            Self::Fanin(args) => Some(&args.common),
            Self::Fanout(args) => Some(&args.common),
            Self::Run(args) => Some(&args.common),
            Self::List | Self::Describe(_) | Self::Agent(_) => None,
        }
    }
}

/// Options of `agent`.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Where to wait for coordinators. Whoever reaches it can make this host send load: trusted networks only
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7883")]
    pub listen: SocketAddr,
    /// Cores to run on, one pinned thread each: 1 or 2,4-7. Without, one thread that is not pinned
    #[arg(long, value_name = "LIST", value_parser = cores)]
    pub cores: Option<CoreList>,
    /// The coordinator started this process and is at the other end of standard input
    #[arg(long, hide = true)]
    pub inherited: bool,
}

/// Options of `run`. What is given here wins over the file.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// A TOML file, or a name of `list`
    #[arg(value_name = "FILE|PRESET")]
    pub scenario: String,
    /// The file's text, where it was read by somebody else.
    #[arg(skip)]
    pub text: Option<String>,
    /// Multiply the numbers of clients, to fit a machine; rates per publisher stay
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = scale)]
    pub scale: f64,
    /// QoS of messages and subscriptions
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2), help_heading = "Traffic")]
    pub qos: Option<u8>,
    /// What is in a message.
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// Open loop: messages a second over all publishers
    #[arg(long, value_name = "MSGS", conflicts_with = "window", help_heading = "Traffic",
          value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub rate: Option<u64>,
    /// Closed loop: messages in flight per publisher
    #[arg(long, value_name = "MSGS", value_parser = clap::value_parser!(u32).range(1..=65_535),
          help_heading = "Traffic")]
    pub window: Option<u32>,
    /// How long to measure: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Traffic")]
    pub duration: Option<Duration>,
    /// How long to send before measuring
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Traffic")]
    pub warmup: Option<Duration>,
    /// After the last message, how long without any delivery until the rest counts as lost
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Traffic")]
    pub drain: Option<Duration>,
    /// When to begin, and how many messages to end after.
    #[command(flatten)]
    pub span: SpanArgs,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `describe`.
#[derive(Debug, Clone, Args)]
pub struct DescribeArgs {
    /// A TOML file, or a name of `list`
    #[arg(value_name = "FILE|PRESET")]
    pub scenario: String,
}

/// Options of `conn`.
#[derive(Debug, Clone, Args)]
pub struct ConnArgs {
    /// Clients to connect
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,
    /// Subscribe each client to a topic of its own
    #[arg(long)]
    pub subscribe: bool,
    /// QoS of these subscriptions
    #[arg(long, value_name = "0|1|2", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// How long to hold the connections once all are open: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub duration: Duration,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `p2p`.
#[derive(Debug, Clone, Args)]
pub struct P2pArgs {
    /// Pairs of publisher and subscriber
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,
    /// Options of scenarios with messages.
    #[command(flatten)]
    pub traffic: TrafficArgs,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `fanin`.
#[derive(Debug, Clone, Args)]
pub struct FaninArgs {
    /// Publishers
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub publishers: u32,
    /// Subscribers. Without --share and --all, publisher i reaches only subscriber i mod N, by a wildcard
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub subscribers: u32,
    /// Make the subscribers members of this shared subscription ($share/GROUP/...)
    #[arg(long, value_name = "GROUP", conflicts_with = "all", value_parser = group)]
    pub share: Option<String>,
    /// Let every subscriber receive from every publisher
    #[arg(long)]
    pub all: bool,
    /// Options of scenarios with messages.
    #[command(flatten)]
    pub traffic: TrafficArgs,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `fanout`.
#[derive(Debug, Clone, Args)]
pub struct FanoutArgs {
    /// Publishers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub publishers: u32,
    /// Subscribers; each receives every message
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub subscribers: u32,
    /// Topics that the publishers are spread over and every subscriber subscribes to
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=TOPICS_MAX))]
    pub topics: u32,
    /// Options of scenarios with messages.
    #[command(flatten)]
    pub traffic: TrafficArgs,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Most topics of `fanout`: they go into one SUBSCRIBE.
const TOPICS_MAX: i64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use ringmq_drive::DriverKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("ringmq-loadgen").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_full_line_is_understood() {
        let line = "p2p --pairs 7 --qos 2 --size 100 --rate 1000 --duration 1.5s --warmup 250ms --mqtt 5 \
                    --target [::1]:1884 --cores 1,3-4 --driver epoll --pid 1 --pid 2 --json - \
                    --ifaddr 127.0.0.2,127.0.0.3 --clean false --expiry 60";
        let ScenarioArgs::P2p(args) = parse(line).unwrap().scenario else { panic!("not p2p") };
        assert_eq!((args.pairs, args.traffic.qos), (7, 2));
        assert_eq!(args.traffic.payload.size, Some(crate::payload::Sizes::One(100)));
        assert_eq!((args.traffic.rate, args.traffic.window), (Some(1000), None));
        assert_eq!((args.traffic.duration.as_millis(), args.traffic.warmup.as_millis()), (1500, 250));
        assert_eq!(args.common.cores, Some(CoreList(vec![1, 3, 4])));
        assert_eq!(args.common.driver, DriverKind::Epoll);
        assert_eq!(args.common.pid, [1, 2]);
        assert_eq!(args.common.ifaddr.len(), 2);
        assert_eq!(args.common.clean, Some(false));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "",
            "p2p --qos 3",
            "p2p --size 0",
            "p2p --size 9..3",
            "p2p --payload-file a --payload-template b",
            "p2p --payload-file a --size 5",
            "p2p --payload-hdrs time",
            "p2p --pairs 0",
            "p2p --rate 10 --window 4",
            "p2p --mqtt 6",
            "p2p --duration 3x",
            "p2p --cores 1,1",
            "p2p --cores 3-1",
            "p2p --driver tokio",
            "p2p --timestamps packets",
            "p2p --timestamps kernel --simulated",
            "p2p --topic-prefix a/#",
            "p2p --password secret",
            "fanin --share a/b",
            "fanin --share g --all",
            "fanout --topics 65",
            "conn --clients 0",
            "conn --rate 5",
            "pub",
            "pub --topic a/#",
            "pub --topic a/%x",
            "pub --topic a --interval 1s --rate 5",
            "pub --topic a --interval 1s --window 5",
            "pub --topic a --topic-prefix b",
            "pub --topic a --limit 0",
            "sub",
            "sub --topic a/#/b",
            "sub --topic $share/g/a",
            "sub --topic a --rate 5",
            "conn --will-qos 1",
            "conn --will-payload x",
            "conn --will-topic a/+",
            "conn --start-number -1",
            "run",
            "run x --scale 0",
            "run x --scale nan",
            "run x --rate 1 --window 1",
            "p2p --broker-shards 2",
            "p2p --simulated --broker-shards 0",
            "p2p --simulated --broker-shards 65",
            "p2p --simulated --pid 1",
            "p2p --simulated --target 127.0.0.1:1883",
            "p2p --simulated --driver uring",
        ] {
            assert!(parse(line).is_err(), "accepted `{line}`");
        }
    }
}

//! The command line: what can be asked of the generator, checked as far as one option goes.
//!
//! Scripts depend on these names; add, never rename. What options mean together is checked in
//! [`plan`](crate::plan). Absent: defaults that depend on the machine.

use crate::payload::{COMPACT_HEADER_BYTES, PAYLOAD_BYTES_MAX};
use crate::schedule::RATE_MAX;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use ringmq_core::machine::SHARDS_MAX;
use ringmq_drive::DriverKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

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
}

/// Options of `run`. What is given here wins over the file.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// A TOML file, or a name of `list`
    #[arg(value_name = "FILE|PRESET")]
    pub scenario: String,
    /// Multiply the numbers of clients, to fit a machine; rates per publisher stay
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = scale)]
    pub scale: f64,
    /// QoS of messages and subscriptions
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2), help_heading = "Traffic")]
    pub qos: Option<u8>,
    /// Payload of a message, bytes
    #[arg(long, value_name = "BYTES", value_parser = size, help_heading = "Traffic")]
    pub size: Option<usize>,
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

/// Largest factor for numbers of clients.
const SCALE_MAX: f64 = 1000.0;

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= SCALE_MAX => Ok(scale),
        _ => Err(format!("must be above 0 and at most {SCALE_MAX}")),
    }
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

/// Options of scenarios with messages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traffic")]
pub struct TrafficArgs {
    /// QoS of the messages
    #[arg(long, value_name = "0|1|2", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// QoS of the subscriptions, if not that of the messages
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub sub_qos: Option<u8>,
    /// Payload of a message, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = size)]
    pub size: usize,
    /// Open loop: messages a second over all publishers
    #[arg(long, value_name = "MSGS", conflicts_with = "window",
          value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub rate: Option<u64>,
    /// Closed loop: messages in flight per publisher [default: 16]
    #[arg(long, value_name = "MSGS", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub window: Option<u32>,
    /// What ends a message's time in the window
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Credit::Both)]
    pub credit: Credit,
    /// How long to measure: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// How long to send before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub warmup: Duration,
    /// After the last message, how long without any delivery until the rest counts as lost
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub drain: Duration,
    /// Set RETAIN in the messages
    #[arg(long)]
    pub retain: bool,
}

/// What ends a message's time in the window of a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Credit {
    /// Its acknowledgement to the publisher; at QoS 0 the same as `delivery`
    Ack,
    /// Its arrival at the subscribers
    Delivery,
    /// Whichever of the two is later
    Both,
}

/// Options that all scenarios have.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Broker's host name or address
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", help_heading = "Broker")]
    pub host: String,
    /// Broker's port
    #[arg(long, value_name = "PORT", default_value_t = 1883, help_heading = "Broker")]
    pub port: u16,
    /// Both at once; wins over --host and --port
    #[arg(long, value_name = "HOST:PORT", help_heading = "Broker")]
    pub target: Option<String>,
    /// Broker's process, for its CPU time and memory; repeat for several
    #[arg(long, value_name = "PID", action = ArgAction::Append, help_heading = "Broker")]
    pub pid: Vec<u32>,

    /// Run the broker's shards in this process, joined with the clients by memory in the place of sockets
    #[arg(long, help_heading = "Broker", conflicts_with_all = ["host", "port", "target", "pid", "ifaddr", "driver",
          "direct"])]
    pub simulated: bool,
    /// Shards of the simulated broker, one thread each with its share of the clients, spread over --cores in turn
    /// [default: one a core]
    #[arg(long, value_name = "N", requires = "simulated", conflicts_with = "threads", help_heading = "Broker",
          value_parser = clap::value_parser!(u8).range(1..=SHARDS_MAX as i64))]
    pub broker_shards: Option<u8>,

    /// Protocol version: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0 [default: 4]
    #[arg(long, value_name = "3|4|5", value_parser = clap::value_parser!(u8).range(3..=5), help_heading = "Clients")]
    pub mqtt: Option<u8>,
    /// Keep-alive, seconds; 0 turns it off [default: 60]
    #[arg(long, value_name = "S", help_heading = "Clients")]
    pub keepalive: Option<u16>,
    /// Clean Session, in MQTT 5.0 Clean Start [default: true]
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, help_heading = "Clients")]
    pub clean: Option<bool>,
    /// Session Expiry Interval, seconds; MQTT 5.0 only [default: 0]
    #[arg(long, value_name = "S", help_heading = "Clients")]
    pub expiry: Option<u32>,
    /// Receive Maximum announced to the broker; MQTT 5.0 only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Clients")]
    pub receive_maximum: Option<u16>,
    /// User name
    #[arg(long, value_name = "NAME", help_heading = "Clients")]
    pub username: Option<String>,
    /// Password
    #[arg(long, value_name = "WORD", requires = "username", help_heading = "Clients")]
    pub password: Option<String>,
    /// Client identifiers are PREFIX, p or s (publisher, subscriber), and a number [default: lg and the run's number]
    #[arg(long, value_name = "PREFIX", help_heading = "Clients")]
    pub client_id_prefix: Option<String>,
    /// Topics begin with this
    #[arg(long, value_name = "PREFIX", default_value = "lg", value_parser = topic_prefix, help_heading = "Clients")]
    pub topic_prefix: String,

    /// Open connections at this rate, a second over all clients; else as fast as --connect-window allows
    #[arg(long, value_name = "CONNS", value_parser = clap::value_parser!(u64).range(1..=RATE_MAX),
          help_heading = "Connecting")]
    pub connect_rate: Option<u64>,
    /// Most connections on their way at once, per thread
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..),
          help_heading = "Connecting")]
    pub connect_window: u32,
    /// Give up connecting or subscribing when nothing has moved for this long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Connecting")]
    pub connect_timeout: Duration,
    /// Source addresses, used in turn: 127.0.0.2,127.0.0.3. Without, a loopback target gets as many as needed
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Connecting")]
    pub ifaddr: Vec<IpAddr>,

    /// Cores to run on, one pinned thread each: 1 or 2,4-7. Without, one thread that is not pinned
    #[arg(long, value_name = "LIST", value_parser = cores, help_heading = "Generator")]
    pub cores: Option<CoreList>,
    /// Threads, spread over --cores in turn; more threads than cores only make sense with --no-spin [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=THREADS_MAX), help_heading = "Generator")]
    pub threads: Option<u8>,
    /// Keep connections in tables of the threads' rings: the limit of open files then holds for each thread (uring)
    #[arg(long, help_heading = "Generator")]
    pub direct: bool,
    /// Driver: uring or epoll
    #[arg(long, value_name = "NAME", default_value_t = DriverKind::default(), help_heading = "Generator")]
    pub driver: DriverKind,
    /// Sleep when idle instead of spinning. Latencies then include the generator's own wake-ups
    #[arg(long, help_heading = "Generator")]
    pub no_spin: bool,
    /// Append the result as one JSON line to FILE; - is standard output, in place of the table
    #[arg(long, value_name = "FILE", help_heading = "Generator")]
    pub json: Option<PathBuf>,
    /// Write each latency's whole distribution to PREFIX.NAME.hgrm, milliseconds, for HdrHistogram's plotting tools
    #[arg(long, value_name = "PREFIX", help_heading = "Generator")]
    pub hgrm: Option<String>,
    /// No progress and no table; problems are still reported
    #[arg(long, short, help_heading = "Generator")]
    pub quiet: bool,
}

/// Processor numbers, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreList(pub Vec<usize>);

/// Most threads of one process: those the drivers' mesh can link.
const THREADS_MAX: i64 = SHARDS_MAX as i64;

/// Highest processor number accepted.
const CORE_MAX: usize = 4095;

fn cores(text: &str) -> Result<CoreList, String> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(core) if core <= CORE_MAX => Ok(core),
        _ => Err(format!("`{text}` is not a processor number")),
    };
    let mut list = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => list.push(number(part)?),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to {
                    return Err(format!("`{part}` runs backwards"));
                }
                list.extend(from..=to);
            }
        }
    }
    let mut sorted = list.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == list.len() { Ok(CoreList(list)) } else { Err("a processor is named twice".into()) }
}

/// Reads `10s`, `500ms`, `2m`, `1h` or plain seconds, with decimals.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit `{unit}`: use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a time such as 10s or 500ms"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|problem| problem.to_string())
}

pub(crate) fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (COMPACT_HEADER_BYTES..=PAYLOAD_BYTES_MAX).contains(&size) => Ok(size),
        Ok(_) => Err(format!("must be {COMPACT_HEADER_BYTES} to {PAYLOAD_BYTES_MAX}: the checks need a header")),
        Err(problem) => Err(format!("{problem}")),
    }
}

pub(crate) fn group(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '+', '#']) {
        return Err("a group name has at least one character and none of / + #".into());
    }
    Ok(text.to_owned())
}

/// Longest topic prefix, bytes: leaves room for what the scenarios append.
const TOPIC_PREFIX_BYTES_MAX: usize = 1024;

fn topic_prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > TOPIC_PREFIX_BYTES_MAX || text.contains(['+', '#', '\0']) {
        return Err(format!("must have 1 to {TOPIC_PREFIX_BYTES_MAX} bytes and none of + #"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
        assert_eq!((args.pairs, args.traffic.qos, args.traffic.size), (7, 2, 100));
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
            "p2p --size 15",
            "p2p --pairs 0",
            "p2p --rate 10 --window 4",
            "p2p --mqtt 6",
            "p2p --duration 3x",
            "p2p --cores 1,1",
            "p2p --cores 3-1",
            "p2p --driver tokio",
            "p2p --topic-prefix a/#",
            "p2p --password secret",
            "fanin --share a/b",
            "fanin --share g --all",
            "fanout --topics 65",
            "conn --clients 0",
            "conn --rate 5",
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

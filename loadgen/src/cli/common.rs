//! Options that all scenarios have: the broker, clients, connecting, and the generator itself.

use super::identity::{NamingArgs, WillArgs};
use super::values::{CoreList, cores, duration, topic_prefix};
use crate::schedule::RATE_MAX;
use clap::{ArgAction, Args, ValueEnum};
use ringmq_core::machine::SHARDS_MAX;
use ringmq_drive::DriverKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Most processes that one coordinator starts.
const PROCESSES_MAX: i64 = 1024;

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
          "direct", "timestamps"])]
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
    /// How clients are numbered.
    #[command(flatten)]
    pub naming: NamingArgs,
    /// The will of every client.
    #[command(flatten)]
    pub will: WillArgs,

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

    /// How long the load grows in a straight line before --warmup: messages a second (--rate), or publishers (--window);
    /// in `conn` and `sub` connections a second up to --connect-rate [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Traffic")]
    pub ramp_up: Option<Duration>,

    /// Cores to run on, one pinned thread each: 1 or 2,4-7. Without, one thread that is not pinned
    #[arg(long, value_name = "LIST", value_parser = cores, help_heading = "Generator")]
    pub cores: Option<CoreList>,
    /// Threads, spread over --cores in turn; more threads than cores only make sense with --no-spin [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=THREADS_MAX), help_heading = "Generator")]
    pub threads: Option<u8>,
    /// Keep connections in tables of the threads' rings: the limit of open files then holds for each thread (uring)
    #[arg(long, help_heading = "Generator")]
    pub direct: bool,
    /// Worker processes to start and to spread the clients over, for more connections than one may have open. The cores
    /// are spread over them as well
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=PROCESSES_MAX),
          help_heading = "Generator")]
    pub processes: Option<u32>,
    /// Agents to spread the clients over, each started on its host with `ringmq-loadgen agent`
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', help_heading = "Generator")]
    pub agents: Vec<String>,
    /// Driver: uring or epoll
    #[arg(long, value_name = "NAME", default_value_t = DriverKind::default(), help_heading = "Generator")]
    pub driver: DriverKind,
    /// What a latency ends with: the generator's reading, or the kernel's timestamp of the last segment read (uring)
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t = Timestamps::Reading, help_heading = "Generator")]
    pub timestamps: Timestamps,
    /// Sleep when idle instead of spinning. Latencies then include the generator's own wake-ups
    #[arg(long, help_heading = "Generator")]
    pub no_spin: bool,
    /// Append the result as one JSON line to FILE; - is standard output, in place of the table
    #[arg(long, value_name = "FILE", help_heading = "Generator")]
    pub json: Option<PathBuf>,
    /// Write each latency's whole distribution to PREFIX.NAME.hgrm, milliseconds, for HdrHistogram's plotting tools
    #[arg(long, value_name = "PREFIX", help_heading = "Generator")]
    pub hgrm: Option<String>,
    /// Write what each client experienced to FILE when the run is over, as CSV, one line a client
    #[arg(long, value_name = "FILE", help_heading = "Generator")]
    pub qoe_log: Option<PathBuf>,
    /// No progress and no table; problems are still reported
    #[arg(long, short, help_heading = "Generator")]
    pub quiet: bool,

    /// How the run is watched.
    #[command(flatten)]
    pub watch: crate::watch::Options,
}

/// What a latency ends with that ends with something received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Timestamps {
    /// The generator reads it
    Reading,
    /// The kernel has received the last segment of what the generator reads at once
    Kernel,
}

/// Most threads of one process: those the drivers' mesh can link.
const THREADS_MAX: i64 = SHARDS_MAX as i64;

//! The command line. Its flags are kept stable.
//!
//! Values stay text: the table of configuration keys checks them, so that a flag and a file are judged alike.

use crate::config::Layers;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// The package's version, the commit where known, and what built it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("RINGMQ_BUILD"));

const EXAMPLES: &str = "\
Examples:
  ringmq                                    listen on 0.0.0.0:1883, one shard on every core
  ringmq --tcp 127.0.0.1:1883 --shards 1    one shard, reachable from this machine only
  ringmq --cores 0,2-5 --driver epoll       five shards on chosen cores, without io_uring
  ringmq --config etc/ringmq.conf           EMQX's keys, in HOCON
  ringmq --set mqtt.max_inflight=64         one key, overriding the file
  EMQX_MQTT__MAX_INFLIGHT=64 ringmq         the same from the environment
  ringmq check-config --config r.conf       all that is wrong with a file, without starting
  ringmq ctl conf set mqtt.max_inflight 64  the same on a running broker, and for its next start
  ringmq print-config --origin              the value of every key, and where it came from

Without --cores, a shard runs on every core this process may use (affinity, cpuset, CPU quota):
one hardware thread of each physical core first, NUMA node by node, then their siblings. With
more shards than cores, cores are shared.

Signals: SIGTERM and SIGINT stop gracefully, a second one at once; SIGUSR1 prints the counters;
SIGHUP reads the configuration files again.
Exit codes: 0 after a graceful stop, 1 after a failure, 2 for a wrong command line or configuration.
check-config: 0 if the configuration is right, 1 if it is not. ctl: 0 if it was done, 1 if not.";

/// An MQTT broker on io_uring, one thread per core.
#[derive(Debug, Default, Parser)]
#[command(name = "ringmq", version = VERSION, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Cli {
    /// Read settings from a HOCON file with EMQX's keys [default: etc/ringmq.conf, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Run on these processor cores, for example 0,2-5
    #[arg(long, value_name = "LIST", global = true)]
    cores: Option<String>,

    /// Number of shards, each a thread [default: one a core]
    #[arg(long, value_name = "N", global = true)]
    shards: Option<String>,

    /// Input and output: uring, epoll, monoio or glommio [default: uring, or epoll where io_uring cannot be had]
    #[arg(long, value_name = "DRIVER", global = true)]
    driver: Option<String>,

    /// Listen here instead of the configured listeners; port 0 lets the system choose; may be repeated
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    tcp: Vec<String>,

    /// Keep data in this directory [default: data]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<String>,

    /// Set one key, as in the file; may be repeated
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,

    /// Print the reference page of all keys
    #[arg(long, hide = true)]
    pub(crate) print_keys: bool,

    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// What to do instead of running a broker.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Action {
    /// Check the configuration and tell all that is wrong with it
    CheckConfig,
    /// Print the effective value of every key, as a file that can be read again
    PrintConfig {
        /// With where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Ask a running broker, through the control socket in its data directory
    Ctl {
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        /// The broker's control socket [default: ringmq.sock in the data directory]
        #[arg(long, value_name = "PATH", global = true)]
        socket: Option<PathBuf>,
        #[command(subcommand)]
        ask: Ask,
    },
}

/// What to ask a running broker.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Ask {
    /// Whether it runs
    Status,
    /// Its version, uptime, shards and listeners
    Broker,
    /// What it has counted, as sum and by shard
    Metrics,
    /// How many connections, sessions, subscriptions and retained messages there are
    Stats,
    /// Its clients
    Clients {
        #[command(subcommand)]
        ask: ClientsAsk,
    },
    /// What is wrong, or was of late
    Alarms {
        #[command(subcommand)]
        ask: AlarmsAsk,
    },
    /// The clients that may not connect
    Banned {
        #[command(subcommand)]
        ask: BannedAsk,
    },
    /// Its subscriptions
    Subscriptions {
        #[command(subcommand)]
        ask: SubscriptionsAsk,
    },
    /// The filters that somebody subscribes to
    Topics {
        #[command(subcommand)]
        ask: TopicsAsk,
    },
    /// Its message queues
    Queues {
        #[command(subcommand)]
        ask: QueuesAsk,
    },
    /// The clients and topics that were slowest, if that is measured
    SlowSubs {
        #[command(subcommand)]
        ask: SlowSubsAsk,
    },
    /// What it has counted of messages by topic
    TopicMetrics {
        #[command(subcommand)]
        ask: TopicMetricsAsk,
    },
    /// Its retained messages
    Retainer {
        #[command(subcommand)]
        ask: RetainerAsk,
    },
    /// Its listeners
    Listeners {
        #[command(subcommand)]
        ask: ListenersAsk,
    },
    /// The topics that clients have to themselves
    Exclusive {
        #[command(subcommand)]
        ask: ExclusiveAsk,
    },
    /// What every client is subscribed to without asking
    AutoSubscribe {
        #[command(subcommand)]
        ask: AutoSubscribeAsk,
    },
    /// Its rules of topic rewriting
    Rewrite {
        #[command(subcommand)]
        ask: RewriteAsk,
    },
    /// What single clients, topics or addresses do, packet by packet
    Trace {
        #[command(subcommand)]
        ask: TraceAsk,
    },
    /// Its log
    Log {
        #[command(subcommand)]
        ask: LogAsk,
    },
    /// Look at its settings, or change them
    Conf {
        #[command(subcommand)]
        ask: ConfAsk,
    },
}

/// What to ask about clients.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ClientsAsk {
    /// All sessions, connected or not, one a line
    List,
    /// Everything about one
    Show {
        /// Its client identifier
        clientid: String,
    },
    /// End a session, and its connection
    Kick {
        /// Its client identifier
        clientid: String,
    },
}

/// What to ask about alarms.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AlarmsAsk {
    /// Those that are active, one a line
    List,
    /// Those that are over, the latest first
    History,
    /// Forget those that are over
    Clear,
}

/// What to ask about banned clients.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BannedAsk {
    /// All bans, one a line
    List,
    /// Ban clients; the session of a client that is banned by its identifier ends
    Add {
        /// clientid, username, peerhost, clientid_re, username_re or peerhost_net
        #[arg(value_name = "AS")]
        kind: String,
        /// The identifier, name, address, regular expression or network
        who: String,
        /// Who wants it [default: ctl]
        #[arg(long)]
        by: Option<String>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Until when, for example 2026-01-31T08:00:00Z, or in seconds since 1970 [default: infinity]
        #[arg(long)]
        until: Option<String>,
    },
    /// Take a ban back
    Delete {
        /// As in the list
        #[arg(value_name = "AS")]
        kind: String,
        /// As in the list
        who: String,
    },
    /// Take all bans back
    Clear,
}

/// What to ask about subscriptions.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SubscriptionsAsk {
    /// All of them, or those of one client, one a line
    List {
        /// A client identifier
        clientid: Option<String>,
    },
    /// Subscribe a connected client, which is not told
    Add {
        /// Its client identifier
        clientid: String,
        /// A topic filter; no rewriting applies
        topic: String,
        /// 0, 1 or 2
        #[arg(default_value_t = 0)]
        qos: u8,
    },
    /// End a subscription of a client, which is not told
    Del {
        /// Its client identifier
        clientid: String,
        /// The filter as in the list
        topic: String,
    },
    /// What waits for the members of each shared subscription
    Lag,
}

/// What to ask about topics.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TopicsAsk {
    /// Every filter with its number of subscribers, shard by shard, one a line
    List,
    /// How many filters and subscribers lie below each first level, or below each level under PREFIX
    Tree {
        /// For example site/1
        prefix: Option<String>,
        /// Levels below PREFIX
        #[arg(long, default_value_t = 1)]
        depth: usize,
    },
}

/// What to ask about message queues.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum QueuesAsk {
    /// All of them, one a line: how long, who consumes, how far these lag behind
    List,
    /// One, with its consumers
    Show {
        /// Its name, without `$q/`
        name: String,
    },
}

/// What to ask about slow subscriptions.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SlowSubsAsk {
    /// The slowest first, one a line
    List,
    /// Forget them
    Clear,
}

/// What to ask about messages by topic.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TopicMetricsAsk {
    /// The topics that are counted, with counts and rates, one a line
    List,
    /// Count the messages of a topic from now on
    Register {
        /// A topic without wildcards
        topic: String,
    },
    /// Count a topic no longer, or none at all
    Unregister {
        /// A topic that is counted
        topic: Option<String>,
    },
    /// Begin to count anew, one topic or all of them
    Reset {
        /// A topic that is counted
        topic: Option<String>,
    },
}

/// What to ask about retained messages.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RetainerAsk {
    /// How many there are
    Info,
    /// Their topics, one a line
    Topics {
        /// Only what matches, for example site/#
        filter: Option<String>,
    },
    /// Remove them
    Clean {
        /// Only what matches, for example site/#
        filter: Option<String>,
    },
}

/// What to ask about listeners.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ListenersAsk {
    /// All that are configured, and whether they run
    List,
    /// Open one that was stopped
    Start {
        /// For example tcp:default
        id: String,
    },
    /// Close one until it is started again, or the broker is; its connections stay
    Stop {
        /// For example tcp:default
        id: String,
    },
    /// Close one and open it again
    Restart {
        /// For example tcp:default
        id: String,
    },
    /// Close one and take it out of the settings; its connections stay
    Delete {
        /// For example tcp:default
        id: String,
    },
}

/// What to ask about exclusive subscriptions.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ExclusiveAsk {
    /// All of them with their owners, one a line
    List,
    /// Take one from its owner, which is not told
    Delete {
        /// The topic as in the list
        topic: String,
    },
}

/// What to ask about subscriptions that clients get.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AutoSubscribeAsk {
    /// What a client would get if it connected now
    Test {
        /// The client's identifier
        clientid: String,
        /// The client's user name
        #[arg(long)]
        username: Option<String>,
        /// The address that it would come from [default: 127.0.0.1]
        #[arg(long)]
        host: Option<String>,
        /// Its port [default: 0]
        #[arg(long)]
        port: Option<u16>,
    },
}

/// What to ask about rewriting.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RewriteAsk {
    /// What the rules in force make of a topic
    Test {
        /// publish or subscribe
        action: String,
        /// The topic, or the filter
        topic: String,
        /// The client's identifier
        #[arg(long, default_value = "")]
        clientid: String,
        /// The client's user name
        #[arg(long)]
        username: Option<String>,
    },
}

/// What to ask about traces.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TraceAsk {
    /// Those that run, one a line
    List,
    /// Begin one
    Start {
        /// Its name
        name: String,
        /// client, topic or ip_address
        kind: String,
        /// A client identifier, a topic filter, or an address
        value: String,
        /// A file that does not exist yet, in the directory of the log
        file: String,
        /// debug: every packet; info: without messages, acknowledgements and pings
        level: Option<String>,
        /// Seconds; 1800 if not told
        duration: Option<u64>,
    },
    /// End one; its file stays
    Stop {
        /// Its name
        name: String,
    },
}

/// What to ask about the log.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LogAsk {
    /// Its levels, and how many lines were lost
    Show,
    /// Change the level, or that of one module, until the next start
    SetLevel {
        /// all, debug, info, notice, warning, error, critical, alert, emergency, none; for a module also default
        level: String,
        /// client, delivery, broker or other
        module: Option<String>,
    },
}

/// What to ask about settings.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfAsk {
    /// The effective value of a key, of those that begin with it, or of all
    Show {
        /// For example mqtt.max_inflight, or mqtt
        key: Option<String>,
    },
    /// Change a key, now and for the next start
    Set {
        /// For example mqtt.max_inflight
        key: String,
        /// As in the file
        value: String,
    },
    /// Read the files again, as on SIGHUP
    Reload,
    /// Take over the settings of one more file, now and for the next start
    Load {
        /// Lay them over what holds, as without this option
        #[arg(long, conflicts_with = "replace")]
        merge: bool,
        /// Put each root of the file, such as mqtt, in the place of what holds below it
        #[arg(long)]
        replace: bool,
        /// The file, which the broker has to be able to read
        file: PathBuf,
    },
    /// The roots of all keys, one a line
    #[command(name = "show_keys", alias = "show-keys")]
    ShowKeys,
}

/// The file of settings unless `--config` names another: where EMQX has its own.
const USUAL_FILE: &str = "etc/ringmq.conf";

impl Cli {
    /// The layers of configuration that this command line and the environment stand for.
    pub(crate) fn layers(self, variables: impl Iterator<Item = (OsString, OsString)>) -> Layers {
        let flags = [
            ("--cores", "ringmq.cores", self.cores),
            ("--shards", "ringmq.shards", self.shards),
            ("--driver", "ringmq.driver", self.driver),
            ("--data-dir", "node.data_dir", self.data_dir),
        ];
        let flags = flags.into_iter().filter_map(|(flag, key, value)| {
            let value = value?;
            Some((format!("{flag} {value}"), key, value))
        });
        // A variable that is not text cannot be one of ours.
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Layers {
            file: self.config,
            usual_file: Some(USUAL_FILE.into()),
            variables: variables.collect(),
            set: self.set,
            flags: flags.collect(),
            tcp: self.tcp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_stays_within_the_page() {
        let help = Cli::command().render_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
        for flag in ["--config", "--cores", "--shards", "--driver", "--tcp", "--data-dir", "--set"] {
            assert!(help.contains(flag), "{flag}");
        }
    }
}

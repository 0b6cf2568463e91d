//! The table of keys: the one place that says what can be configured.
//!
//! From it come the checks, the defaults, `--set`, the environment variables and the reference page. A `<name>` in a
//! path stands for any one path element.

use super::kind::Kind;
use super::listeners::{ACCESS_RULES_MAX, add_access_rules};
use super::{Config, Listener, queues, records, zones};
use crate::alarms::Actions;
use crate::log::{Formatter, Level, TimestampFormat};
use crate::trace::PayloadEncode;
use ringmq_core::control::COUNTED_TOPICS_MAX;
use ringmq_core::limit::LimitAction;
use ringmq_core::machine::SHARDS_MAX;
use ringmq_core::settings::{QueueDispatch, QueueSettings, ShareStrategy, SlowSubsTime};
use ringmq_drive::DriverKind;
use std::time::Duration;

/// The path element that stands for a name of the operator's choice.
pub(crate) const NAME: &str = "<name>";

/// One setting.
pub(crate) struct Key {
    /// EMQX's path, or ours below `ringmq`.
    pub(crate) path: &'static str,
    /// Type, bounds, and where the value goes.
    pub(crate) kind: Kind,
    /// The default, as it would be written.
    pub(crate) default: &'static str,
    /// What it does, as a sentence of the reference page.
    pub(crate) doc: &'static str,
}

/// Where a value goes.
pub(crate) struct Target<'a> {
    pub(crate) config: &'a mut Config,
    /// What stands for [`NAME`] in the path.
    pub(crate) name: &'a str,
}

impl Target<'_> {
    fn listener(&mut self) -> &mut Listener {
        self.config.listeners.entry(self.name.to_owned()).or_default()
    }

    /// Changes a message queue. One of which nothing is said is not kept.
    fn queue(&mut self, change: impl FnOnce(&mut QueueSettings)) {
        queues::change(&mut self.config.settings.queues, self.name, change);
    }
}

/// A number that the table's bounds keep within the field.
fn fit<T: TryFrom<u64>>(value: u64) -> T {
    T::try_from(value).unwrap_or_else(|_| unreachable!("the table's bounds fit the field"))
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Longest interval the protocol can express, 2^32 - 1 seconds.
const INTERVAL_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// Longest packet of the protocol: five bytes of fixed header and 268,435,455 bytes [MQTT 5.0, 1.5.5].
const PACKET_BYTES_MAX: u64 = 256 * 1024 * 1024;

const STRATEGIES: [(&str, ShareStrategy); 7] = [
    ("random", ShareStrategy::Random),
    ("round_robin", ShareStrategy::RoundRobin),
    ("round_robin_per_group", ShareStrategy::RoundRobinPerGroup),
    ("sticky", ShareStrategy::Sticky),
    ("local", ShareStrategy::Local),
    ("hash_topic", ShareStrategy::HashTopic),
    ("hash_clientid", ShareStrategy::HashClientId),
];

const STRATEGY_NAMES: [&str; STRATEGIES.len()] = {
    let mut names = [""; STRATEGIES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = STRATEGIES[i].0;
        i += 1;
    }
    names
};

/// `default` and the strategies.
const GROUP_STRATEGY_NAMES: [&str; STRATEGIES.len() + 1] = {
    let mut names = ["default"; STRATEGIES.len() + 1];
    let mut i = 0;
    while i < STRATEGIES.len() {
        names[i + 1] = STRATEGIES[i].0;
        i += 1;
    }
    names
};

/// `auto` and the drivers' own names.
const DRIVER_NAMES: [&str; DriverKind::ALL.len() + 1] = {
    let mut names = ["auto"; DriverKind::ALL.len() + 1];
    let mut i = 0;
    while i < DriverKind::ALL.len() {
        names[i + 1] = DriverKind::ALL[i].name();
        i += 1;
    }
    names
};

const FORMATTERS: [&str; 2] = ["text", "json"];

fn formatter(index: usize) -> Formatter {
    [Formatter::Text, Formatter::Json][index]
}

const TIMESTAMPS: [&str; 3] = ["auto", "epoch", "rfc3339"];

fn timestamp(index: usize) -> TimestampFormat {
    [TimestampFormat::Auto, TimestampFormat::Epoch, TimestampFormat::Rfc3339][index]
}

const LOG_LEVEL: &str = "How grave a note has to be. Can change while the broker runs.";
const LOG_FORMATTER: &str = "How a note is written: as text for people, or as an object of JSON; one line either way.";
const LOG_TIMESTAMP: &str = "How its time is written: as in RFC 3339, or in microseconds since 1970. `auto` is the first in text, the second in JSON.";
const LOG_OFFSET: &str = "The time zone of times as in RFC 3339.";

const LIMIT_ACTIONS: [LimitAction; 3] = [LimitAction::Pause, LimitAction::Drop, LimitAction::Reject];

const fn key(path: &'static str, default: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, default, doc }
}

/// All keys, in the order of the reference page. Those that [`zones::is_zonal`] says can be below `zones.<name>` too.
pub(crate) static KEYS: &[Key] = &[
    key(
        "listeners.tcp.<name>.enable",
        "true",
        Kind::Bool(|t, on| t.listener().enable = on),
        "Whether this listener is started.",
    ),
    key(
        "listeners.tcp.<name>.bind",
        "0.0.0.0:1883",
        Kind::Address(|t, address| t.listener().bind = address),
        "Where to listen. Port 0 lets the system choose; the banner shows the choice. A listener named `default` \
         exists without being configured.",
    ),
    key(
        "listeners.tcp.<name>.tcp_options.backlog",
        "1024",
        Kind::Integer { min: 1, max: 65_535, words: &[], set: |t, n| t.listener().backlog = fit(n) },
        "Connections that may wait to be accepted, for each shard. The system caps it at `net.core.somaxconn`.",
    ),
    key(
        "listeners.tcp.<name>.tcp_options.send_timeout",
        "15s",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.listener().send_timeout = span },
        "A client of this listener that takes no byte for this long is disconnected.",
    ),
    key(
        "listeners.tcp.<name>.max_conn_rate_per_ip",
        "infinity",
        Kind::Rate(|t, rate| t.listener().max_conn_rate_per_ip = rate),
        "Connections a second that one address may open at this listener, for each shard.",
    ),
    key(
        "listeners.tcp.<name>.zone",
        "default",
        Kind::Text(|t, zone| zone.clone_into(&mut t.listener().zone)),
        "The zone whose settings hold for the clients of this listener: `zones.<name>`, or `default`.",
    ),
    key(
        "listeners.tcp.<name>.max_connections",
        "infinity",
        Kind::Integer {
            min: 1,
            max: u32::MAX as u64,
            words: &[("infinity", 0)],
            set: |t, n| t.listener().max_connections = n,
        },
        "Connections of this listener at a time, over all shards. One more is closed at once.",
    ),
    key(
        "listeners.tcp.<name>.max_conn_rate",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.listener().conn_rate.rate = rate },
        "Connections that this listener accepts, over all shards. More wait in the system's backlog.",
    ),
    key(
        "listeners.tcp.<name>.max_conn_burst",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.listener().conn_rate.burst = rate },
        "Connections on top of `max_conn_rate`, for example 1000/1m: at most 1000 in a minute. `infinity` is none.",
    ),
    key(
        "listeners.tcp.<name>.messages_rate",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.listener().limits.messages.rate = rate },
        "Messages that one client of this listener may publish, in the place of `mqtt.limiter.messages_rate`. \
         `ringmq.limit_action` says what becomes of more.",
    ),
    key(
        "listeners.tcp.<name>.messages_burst",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.listener().limits.messages.burst = rate },
        "Messages on top of `messages_rate`. `infinity` is none.",
    ),
    key(
        "listeners.tcp.<name>.bytes_rate",
        "infinity",
        Kind::Budget { bytes: true, set: |t, rate| t.listener().limits.bytes.rate = rate },
        "Bytes of topics, properties and payloads that one client of this listener may publish, in the place of \
         `mqtt.limiter.bytes_rate`.",
    ),
    key(
        "listeners.tcp.<name>.bytes_burst",
        "infinity",
        Kind::Budget { bytes: true, set: |t, rate| t.listener().limits.bytes.burst = rate },
        "Bytes on top of `bytes_rate`. `infinity` is none.",
    ),
    key(
        "listeners.tcp.<name>.access_rules",
        "[]",
        Kind::Texts {
            example: "[\"allow 10.0.0.0/8\", \"deny all\"]",
            max: ACCESS_RULES_MAX,
            clear: |t| t.listener().access_rules.clear(),
            push: |t, text| add_access_rules(&mut t.listener().access_rules, text),
        },
        "Who may connect, by address: `allow` or `deny` and an address, a network, or `all`. The first rule that matches \
         decides; without one, everybody may. Others are closed at once. A text may hold several rules, with commas \
         between them.",
    ),
    key(
        "mqtt.max_packet_size",
        "1MB",
        Kind::Size { min: 32, max: PACKET_BYTES_MAX, set: |t, n| t.config.settings.max_packet_size = fit(n) },
        "Largest packet accepted. A larger one is refused before its body is buffered.",
    ),
    key(
        "mqtt.strict_mode",
        "true",
        Kind::Bool(|t, on| t.config.settings.strict_mode = on),
        "Whether packets are refused that the standards forbid even if they do no harm. `false`, which is EMQX's default, \
         lets pass: flags of the fixed header that should be otherwise, the duplicate flag at QoS 0, packet identifier 0, \
         and before MQTT 5 a password without a user name.",
    ),
    key(
        "mqtt.max_clientid_len",
        "65535",
        Kind::Integer { min: 23, max: 65_535, words: &[], set: |t, n| t.config.settings.max_clientid_len = fit(n) },
        "Longest client identifier, bytes.",
    ),
    key(
        "mqtt.max_topic_levels",
        "128",
        Kind::Integer { min: 1, max: 65_535, words: &[], set: |t, n| t.config.settings.max_topic_levels = fit(n) },
        "Most levels of a topic name or filter.",
    ),
    key(
        "mqtt.max_qos_allowed",
        "2",
        Kind::Integer { min: 0, max: 2, words: &[], set: |t, n| t.config.settings.max_qos_allowed = fit(n) },
        "Highest quality of service.",
    ),
    key(
        "mqtt.max_topic_alias",
        "65535",
        Kind::Integer { min: 0, max: 65_535, words: &[], set: |t, n| t.config.settings.max_topic_alias = fit(n) },
        "Highest topic alias, in both directions. 0 turns aliases off.",
    ),
    key(
        "mqtt.retain_available",
        "true",
        Kind::Bool(|t, on| t.config.settings.retain_available = on),
        "Whether clients may publish retained messages.",
    ),
    key(
        "mqtt.wildcard_subscription",
        "true",
        Kind::Bool(|t, on| t.config.settings.wildcard_subscription = on),
        "Whether clients may subscribe with wildcards.",
    ),
    key(
        "mqtt.shared_subscription",
        "true",
        Kind::Bool(|t, on| t.config.settings.shared_subscription = on),
        "Whether clients may share subscriptions.",
    ),
    key(
        "mqtt.exclusive_subscription",
        "false",
        Kind::Bool(|t, on| t.config.settings.exclusive_subscription = on),
        "Whether clients may subscribe to a topic alone, with `$exclusive/<topic>`.",
    ),
    key(
        "mqtt.shared_subscription_strategy",
        "round_robin",
        Kind::Choice {
            names: &STRATEGY_NAMES,
            set: |t, index| t.config.settings.shared_subscription_strategy = STRATEGIES[index].1,
        },
        "How the member of a shared subscription that receives a message is picked.",
    ),
    key(
        "mqtt.ignore_loop_deliver",
        "false",
        Kind::Bool(|t, on| t.config.settings.ignore_loop_deliver = on),
        "Whether clients of MQTT 3 do not receive what they publish themselves.",
    ),
    key(
        "mqtt.upgrade_qos",
        "false",
        Kind::Bool(|t, on| t.config.settings.upgrade_qos = on),
        "Whether messages are delivered at the higher, not the lower, of published and subscribed quality of service.",
    ),
    key(
        "mqtt.use_username_as_clientid",
        "false",
        Kind::Bool(|t, on| t.config.settings.use_username_as_clientid = on),
        "Whether a client's user name, if it has one, is its client identifier.",
    ),
    key(
        "mqtt.server_keepalive",
        "disabled",
        Kind::Integer {
            min: 1,
            max: 65_535,
            words: &[("disabled", 0)],
            set: |t, n| t.config.settings.server_keepalive = (n > 0).then(|| fit(n)),
        },
        "Keep alive in seconds imposed on every client of MQTT 5.",
    ),
    key(
        "mqtt.keepalive_multiplier",
        "1.5",
        Kind::Permille {
            min: 1000,
            max: 65_535_000,
            set: |t, permille| t.config.settings.keepalive_multiplier_permille = permille,
        },
        "A client that is silent for this many keep alive intervals is disconnected.",
    ),
    key(
        "mqtt.idle_timeout",
        "15s",
        Kind::DurationOrInfinity {
            min: SECOND,
            max: DAY,
            // No process runs as long.
            set: |t, span| t.config.settings.idle_timeout = span.unwrap_or(INTERVAL_MAX),
        },
        "Time for a new connection to send its CONNECT.",
    ),
    key(
        "mqtt.session_expiry_interval",
        "2h",
        Kind::Duration {
            min: Duration::ZERO,
            max: INTERVAL_MAX,
            set: |t, span| t.config.settings.session_expiry_interval = span,
        },
        "How long the session of a client of MQTT 3 with clean session off outlives its connection.",
    ),
    key(
        "mqtt.message_expiry_interval",
        "infinity",
        Kind::DurationOrInfinity {
            min: SECOND,
            max: INTERVAL_MAX,
            set: |t, span| t.config.settings.message_expiry_interval = span,
        },
        "Expiry of messages that bring none.",
    ),
    key(
        "mqtt.max_inflight",
        "32",
        Kind::Integer { min: 1, max: 65_535, words: &[], set: |t, n| t.config.settings.max_inflight = fit(n) },
        "Messages of QoS 1 and 2 sent to a client and not yet acknowledged.",
    ),
    key(
        "mqtt.max_mqueue_len",
        "1000",
        Kind::Integer {
            min: 0,
            max: u32::MAX as u64,
            words: &[("infinity", 0)],
            set: |t, n| t.config.settings.max_mqueue_len = fit(n),
        },
        "Messages waiting for a client, of each priority. `ringmq.queue_full_policy` says what becomes of one more. 0 is \
         unlimited.",
    ),
    key(
        "mqtt.mqueue_priorities",
        "disabled",
        Kind::Table {
            min: 1,
            max: 255,
            clear: |t| t.config.settings.mqueue_priorities.clear(),
            insert: |t, topic, n| {
                t.config.settings.mqueue_priorities.insert(topic.into(), fit(n));
            },
        },
        "Topics whose messages leave a client's queue before others, by priority.",
    ),
    key(
        "mqtt.mqueue_default_priority",
        "lowest",
        Kind::Choice {
            names: &["lowest", "highest"],
            set: |t, index| t.config.settings.mqueue_default_highest = index == 1,
        },
        "Whether topics that have no priority come after or before all others.",
    ),
    key(
        "mqtt.mqueue_store_qos0",
        "true",
        Kind::Bool(|t, on| t.config.settings.mqueue_store_qos0 = on),
        "Whether messages of QoS 0 wait for a client as well.",
    ),
    key(
        "mqtt.retry_interval",
        "infinity",
        Kind::DurationOrInfinity {
            min: SECOND,
            max: INTERVAL_MAX,
            set: |t, span| t.config.settings.retry_interval = span,
        },
        "How long to wait for an acknowledgement before sending again on the same connection.",
    ),
    key(
        "mqtt.max_awaiting_rel",
        "100",
        Kind::Integer {
            min: 0,
            max: 65_535,
            words: &[("infinity", 0)],
            set: |t, n| t.config.settings.max_awaiting_rel = fit(n),
        },
        "Messages of QoS 2 received from a client and not yet released. 0 is unlimited.",
    ),
    key(
        "mqtt.await_rel_timeout",
        "300s",
        Kind::Duration { min: SECOND, max: INTERVAL_MAX, set: |t, span| t.config.settings.await_rel_timeout = span },
        "How long to wait for that release.",
    ),
    key(
        "mqtt.max_subscriptions",
        "infinity",
        Kind::Integer {
            min: 1,
            max: u32::MAX as u64,
            words: &[("infinity", 0)],
            set: |t, n| t.config.settings.max_subscriptions = fit(n),
        },
        "Subscriptions of one client.",
    ),
    key(
        "mqtt.response_information",
        "",
        Kind::Text(|t, text| text.clone_into(&mut t.config.settings.response_information)),
        "Sent to clients of MQTT 5 that ask for response information. Empty is not sent.",
    ),
    key(
        "mqtt.max_user_properties",
        "1024",
        Kind::Integer { min: 0, max: 65_535, words: &[], set: |t, n| t.config.settings.max_user_properties = fit(n) },
        "User properties in one packet.",
    ),
    key(
        "mqtt.max_topic_filters",
        "1024",
        Kind::Integer { min: 1, max: 65_535, words: &[], set: |t, n| t.config.settings.max_topic_filters = fit(n) },
        "Topic filters in one SUBSCRIBE or UNSUBSCRIBE.",
    ),
    key(
        "mqtt.limiter.messages_rate",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.config.settings.limits.messages.rate = rate },
        "Messages that one client may publish. `ringmq.limit_action` says what becomes of more.",
    ),
    key(
        "mqtt.limiter.messages_burst",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.config.settings.limits.messages.burst = rate },
        "Messages on top of `messages_rate`, for example 1000/1m: at most 1000 in a minute. `infinity` is none.",
    ),
    key(
        "mqtt.limiter.bytes_rate",
        "infinity",
        Kind::Budget { bytes: true, set: |t, rate| t.config.settings.limits.bytes.rate = rate },
        "Bytes of topics, properties and payloads that one client may publish.",
    ),
    key(
        "mqtt.limiter.bytes_burst",
        "infinity",
        Kind::Budget { bytes: true, set: |t, rate| t.config.settings.limits.bytes.burst = rate },
        "Bytes on top of `bytes_rate`. `infinity` is none.",
    ),
    key(
        "force_shutdown.enable",
        "true",
        Kind::Bool(|t, on| t.config.settings.force_shutdown.enable = on),
        "Whether a connected client for which more waits than the next two keys allow is disconnected, in MQTT 5 with \
         0x97. Its session stays as long as it would otherwise.",
    ),
    key(
        "force_shutdown.max_mailbox_size",
        "0",
        Kind::Integer {
            min: 0,
            max: u32::MAX as u64,
            words: &[("infinity", 0)],
            set: |t, n| t.config.settings.force_shutdown.max_mailbox_size = fit(n),
        },
        "Messages in its queue. 0 is unlimited; then `mqtt.max_mqueue_len` alone bounds it.",
    ),
    key(
        "force_shutdown.max_heap_size",
        "0B",
        Kind::Size { min: 0, max: 1 << 40, set: |t, n| t.config.settings.force_shutdown.max_heap_size = n },
        "Bytes of the messages in its queue and of what its connection has yet to take. 0 is unlimited.",
    ),
    key(
        "overload_protection.enable",
        "false",
        Kind::Bool(|t, on| t.config.settings.overload.enable = on),
        "Whether a shard that does not keep up protects the clients that it has. It is overloaded when it runs \
         `ringmq.overload_lateness` later than it wanted to, until it has been on time for half a second.",
    ),
    key(
        "overload_protection.backoff_delay",
        "1",
        Kind::Integer {
            min: 0,
            max: 60_000,
            words: &[],
            set: |t, n| t.config.settings.overload.backoff_delay_ms = fit(n),
        },
        "Milliseconds by which an overloaded shard puts off each slice of retained messages, of at most 256. 0 does not. Of \
         several zones that have `enable` the longest holds.",
    ),
    key(
        "overload_protection.backoff_new_conn",
        "true",
        Kind::Bool(|t, on| t.config.settings.overload.backoff_new_conn = on),
        "Whether an overloaded shard refuses new clients: CONNACK 0x89 (server busy), before MQTT 5 return code 3.",
    ),
    key(
        "broker.shared_subscription_group.<name>.strategy",
        "default",
        Kind::Choice {
            names: &GROUP_STRATEGY_NAMES,
            set: |t, index| {
                let groups = &mut t.config.settings.shared_subscription_groups;
                match index.checked_sub(1) {
                    Some(index) => groups.insert(t.name.into(), STRATEGIES[index].1),
                    None => groups.remove(t.name),
                };
            },
        },
        "The same for the shared subscriptions of one group. `default` is `mqtt.shared_subscription_strategy`.",
    ),
    key(
        "auto_subscribe.topics",
        "[]",
        Kind::List {
            fields: records::AUTO_SUBSCRIPTION,
            max: records::RECORDS_MAX,
            clear: |t| t.config.settings.auto_subscribe.clear(),
            push: |t, record| {
                t.config.settings.auto_subscribe.push(records::auto_subscription(record)?);
                Ok(())
            },
        },
        "What every client is subscribed to once it is connected. `${clientid}`, `${username}`, `${host}` and \
         `${port}` in a topic are the client's own; one with a user name is left out for a client without. The numbers \
         `qos`, `rh`, `rap` and `nl` are 0 if not given.",
    ),
    key(
        "rewrite",
        "[]",
        Kind::List {
            fields: records::REWRITE,
            max: records::RECORDS_MAX,
            clear: |t| t.config.rewrite.clear(),
            push: |t, record| {
                t.config.rewrite.push(records::rewrite_rule(record)?);
                Ok(())
            },
        },
        "Rules of topic rewriting. `action` is `publish`, `subscribe` or `all`. The first rule whose filter \
         `source_topic` matches decides: if the regular expression `re` matches too, the topic becomes `dest_topic`, with \
         `$1` and so on for its groups, and `${clientid}` and `${username}`; otherwise it stays as it is. Topics that were \
         subscribed to before a change stay what they were.",
    ),
    key(
        "delayed.enable",
        "true",
        Kind::Bool(|t, on| t.config.settings.delayed_enable = on),
        "Whether a message for `$delayed/<seconds>/<topic>` is published later.",
    ),
    key(
        "delayed.max_delayed_messages",
        "0",
        Kind::Integer {
            min: 0,
            max: u32::MAX as u64,
            words: &[("infinity", 0)],
            set: |t, n| t.config.settings.delayed_max_messages = n,
        },
        "Messages of one shard that wait to be published later; one more is dropped. 0 is unlimited.",
    ),
    key(
        "retainer.enable",
        "true",
        Kind::Bool(|t, on| t.config.settings.retainer_enable = on),
        "Whether messages are retained, and subscribers given what is. What is retained stays while it is off.",
    ),
    key(
        "retainer.msg_expiry_interval",
        "0s",
        Kind::Duration {
            min: Duration::ZERO,
            max: INTERVAL_MAX,
            set: |t, span| t.config.settings.retainer_msg_expiry_interval = (!span.is_zero()).then_some(span),
        },
        "How long a message that brings no expiry is retained. 0 is for ever. Of messages retained from then on.",
    ),
    key(
        "retainer.delivery_rate",
        "infinity",
        Kind::Rate(|t, rate| t.config.settings.retainer_delivery_rate = rate),
        "Retained messages a second that a client gets for its subscriptions. EMQX has 1000/s; here a client that reads \
         slowly is waited for, so that a limit is needed for its sake alone.",
    ),
    key(
        "retainer.max_payload_size",
        "1MB",
        Kind::Size { min: 0, max: PACKET_BYTES_MAX, set: |t, n| t.config.settings.retainer_max_payload_size = fit(n) },
        "Larger messages are delivered but not retained.",
    ),
    key(
        "retainer.backend.max_retained_messages",
        "0",
        Kind::Integer {
            min: 0,
            max: u32::MAX as u64,
            words: &[("infinity", 0)],
            set: |t, n| t.config.settings.retainer_max_messages = n,
        },
        "Retained messages of one shard. 0 is unlimited.",
    ),
    key(
        "retainer.stop_publish_clear_msg",
        "false",
        Kind::Bool(|t, on| t.config.settings.retainer_stop_publish_clear_msg = on),
        "Whether the empty message that clears a retained one is kept from subscribers.",
    ),
    key(
        "flapping_detect.enable",
        "false",
        Kind::Bool(|t, on| t.config.settings.flapping.enable = on),
        "Whether clients that connect and disconnect again and again are banned.",
    ),
    key(
        "flapping_detect.window_time",
        "1m",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.config.settings.flapping.window = span },
        "How long the disconnects of a client are counted from its first one, before its count begins anew.",
    ),
    key(
        "flapping_detect.max_count",
        "15",
        Kind::Integer {
            min: 1,
            max: u32::MAX as u64,
            words: &[],
            set: |t, n| t.config.settings.flapping.max_disconnects = fit(n),
        },
        "Disconnects within that time for which a client is banned, by its identifier.",
    ),
    key(
        "flapping_detect.ban_time",
        "5m",
        Kind::Duration { min: SECOND, max: INTERVAL_MAX, set: |t, span| t.config.settings.flapping.ban_time = span },
        "For how long.",
    ),
    key(
        "conn_congestion.enable_alarm",
        "true",
        Kind::Bool(|t, on| t.config.settings.conn_congestion.enable_alarm = on),
        "Whether a connection that does not take what it is sent raises an alarm.",
    ),
    key(
        "conn_congestion.min_alarm_sustain_duration",
        "1m",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.config.settings.conn_congestion.min_sustain = span },
        "How long a connection has to take everything before that alarm ends.",
    ),
    key(
        "slow_subs.enable",
        "false",
        Kind::Bool(|t, on| t.config.settings.slow_subs.enable = on),
        "Whether the time is measured that messages take to their subscribers.",
    ),
    key(
        "slow_subs.threshold",
        "500ms",
        Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            set: |t, span| t.config.settings.slow_subs.threshold = span,
        },
        "What takes less is not slow.",
    ),
    key(
        "slow_subs.expire_interval",
        "5m",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.config.settings.slow_subs.expire_interval = span },
        "How long a slow client and topic are remembered.",
    ),
    key(
        "slow_subs.top_k_num",
        "10",
        Kind::Integer { min: 1, max: 1000, words: &[], set: |t, n| t.config.settings.slow_subs.top_k = fit(n) },
        "How many of them.",
    ),
    key(
        "slow_subs.stats_type",
        "whole",
        Kind::Choice {
            names: &["whole", "internal", "response"],
            set: |t, index| {
                t.config.settings.slow_subs.time =
                    [SlowSubsTime::Whole, SlowSubsTime::Internal, SlowSubsTime::Response][index];
            },
        },
        "Which time counts: from when the broker takes a message in until its client acknowledges it (`whole`) or until it \
         is sent (`internal`), or from when it is sent until it is acknowledged (`response`).",
    ),
    key(
        "topic_metrics",
        "[]",
        Kind::List {
            fields: records::COUNTED_TOPIC,
            max: COUNTED_TOPICS_MAX,
            clear: |t| t.config.topic_metrics.clear(),
            push: |t, record| {
                let topic = records::counted_topic(record, &t.config.topic_metrics)?;
                t.config.topic_metrics.push(topic);
                Ok(())
            },
        },
        "Topics whose messages are counted, without wildcards. `ringmq ctl topic-metrics register` adds to them.",
    ),
    key(
        "alarm.actions",
        "[log, publish]",
        Kind::Words {
            names: &["log", "publish"],
            set: |t, bits| t.config.alarms.actions = Actions { log: bits & 1 != 0, publish: bits & 2 != 0 },
        },
        "How it is told that an alarm begins or ends: in the log, and as a message below `$SYS`.",
    ),
    key(
        "alarm.size_limit",
        "1000",
        Kind::Integer { min: 1, max: 3000, words: &[], set: |t, n| t.config.alarms.size_limit = fit(n) },
        "Alarms that are over and still shown.",
    ),
    key(
        "alarm.validity_period",
        "1d",
        Kind::Duration { min: SECOND, max: INTERVAL_MAX, set: |t, span| t.config.alarms.validity_period = span },
        "How long after its end an alarm is still shown.",
    ),
    key(
        "sysmon.os.cpu_check_interval",
        "1m",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.config.sysmon.cpu_check_interval = span },
        "How often the use of the machine's processors is measured, over the time since it last was.",
    ),
    key(
        "sysmon.os.cpu_high_watermark",
        "80%",
        Kind::Percent { min: 1, max: 100, set: |t, percent| t.config.sysmon.cpu_high_watermark = percent },
        "Use of the processors above which the alarm `high_cpu_usage` begins.",
    ),
    key(
        "sysmon.os.cpu_low_watermark",
        "60%",
        Kind::Percent { min: 1, max: 100, set: |t, percent| t.config.sysmon.cpu_low_watermark = percent },
        "Use of the processors at which that alarm ends.",
    ),
    key(
        "sysmon.os.mem_check_interval",
        "1m",
        Kind::DurationOrDisabled { min: SECOND, max: DAY, set: |t, span| t.config.sysmon.mem_check_interval = span },
        "How often the use of memory is measured.",
    ),
    key(
        "sysmon.os.sysmem_high_watermark",
        "70%",
        Kind::Percent { min: 1, max: 100, set: |t, percent| t.config.sysmon.sysmem_high_watermark = percent },
        "Use of the machine's memory above which the alarm `high_system_memory_usage` is active.",
    ),
    key(
        "sysmon.os.procmem_high_watermark",
        "5%",
        Kind::Percent { min: 1, max: 100, set: |t, percent| t.config.sysmon.procmem_high_watermark = percent },
        "Share of the machine's memory that the broker uses above which `high_process_memory_usage` is active.",
    ),
    key(
        "banned.bootstrap_file",
        "",
        Kind::Path(|t, text| t.config.banned_bootstrap_file = (!text.is_empty()).then(|| text.into())),
        "File of comma-separated values with bans to begin with; it is read only where there is no ban yet. Its first \
         line names the columns: `as` and `who`, and perhaps `by`, `reason`, `at`, `until`. Empty is none.",
    ),
    key(
        "log.console.enable",
        "true",
        Kind::Bool(|t, on| t.config.log.console.enable = on),
        "Whether the log goes to standard error. `EMQX_DEFAULT_LOG_HANDLER=file` in the environment turns this off and \
         the file on, `console` the other way round; a file of settings overrides that.",
    ),
    key(
        "log.console.level",
        "warning",
        Kind::Choice { names: &Level::NAMES, set: |t, index| t.config.log.console.level = Level::ALL[index] },
        LOG_LEVEL,
    ),
    key(
        "log.console.formatter",
        "text",
        Kind::Choice { names: &FORMATTERS, set: |t, index| t.config.log.console.formatter = formatter(index) },
        LOG_FORMATTER,
    ),
    key(
        "log.console.timestamp_format",
        "auto",
        Kind::Choice { names: &TIMESTAMPS, set: |t, index| t.config.log.console.timestamp_format = timestamp(index) },
        LOG_TIMESTAMP,
    ),
    key(
        "log.console.time_offset",
        "system",
        Kind::TimeOffset(|t, offset| t.config.log.console.time_offset = offset),
        LOG_OFFSET,
    ),
    key(
        "log.file.enable",
        "false",
        Kind::Bool(|t, on| t.config.log.file.handler.enable = on),
        "Whether the log goes to a file.",
    ),
    key(
        "log.file.level",
        "warning",
        Kind::Choice { names: &Level::NAMES, set: |t, index| t.config.log.file.handler.level = Level::ALL[index] },
        LOG_LEVEL,
    ),
    key(
        "log.file.path",
        "log/ringmq.log",
        Kind::Path(|t, text| t.config.log.file.path = text.into()),
        "The file. Its directory is made if missing; a relative path starts at the working directory.",
    ),
    key(
        "log.file.rotation_size",
        "50MB",
        Kind::SizeOrInfinity { min: 1024, max: 1 << 40, set: |t, bytes| t.config.log.file.rotation_size = bytes },
        "How large the file grows before it is put aside under its name with `.1`, the one before with `.2`, and so on.",
    ),
    key(
        "log.file.rotation_count",
        "10",
        Kind::Integer { min: 1, max: 128, words: &[], set: |t, n| t.config.log.file.rotation_count = fit(n) },
        "Files in all; the oldest is removed for a new one.",
    ),
    key(
        "log.file.formatter",
        "text",
        Kind::Choice { names: &FORMATTERS, set: |t, index| t.config.log.file.handler.formatter = formatter(index) },
        LOG_FORMATTER,
    ),
    key(
        "log.file.timestamp_format",
        "auto",
        Kind::Choice {
            names: &TIMESTAMPS,
            set: |t, index| t.config.log.file.handler.timestamp_format = timestamp(index),
        },
        LOG_TIMESTAMP,
    ),
    key(
        "log.file.time_offset",
        "system",
        Kind::TimeOffset(|t, offset| t.config.log.file.handler.time_offset = offset),
        LOG_OFFSET,
    ),
    key(
        "log.throttling.time_window",
        "1m",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.config.log.time_window = span },
        "What clients can cause at will is noted once in this time, and at its end how often it happened. While a level is \
         `debug`, everything is noted.",
    ),
    key(
        "trace.payload_encode",
        "text",
        Kind::Choice {
            names: &["text", "hex", "hidden"],
            set: |t, index| {
                let ways = [PayloadEncode::Text, PayloadEncode::Hex, PayloadEncode::Hidden];
                t.config.trace_payload_encode = ways[index];
            },
        },
        "How traces show payloads: as text, in hexadecimal digits, or not at all.",
    ),
    key(
        "sys_topics.sys_msg_interval",
        "1m",
        Kind::DurationOrDisabled { min: SECOND, max: DAY, set: |t, span| t.config.sys_topics.msg_interval = span },
        "How often `$SYS/brokers`, and `version`, `sysdescr`, `stats/...` and `metrics/...` of the node are published.",
    ),
    key(
        "sys_topics.sys_heartbeat_interval",
        "30s",
        Kind::DurationOrDisabled {
            min: SECOND,
            max: DAY,
            set: |t, span| t.config.sys_topics.heartbeat_interval = span,
        },
        "How often `uptime` and `datetime` of the node are published.",
    ),
    key(
        "sys_topics.sys_event_messages.client_connected",
        "true",
        Kind::Bool(|t, on| t.config.sys_topics.told.connected = on),
        "Whether `$SYS/brokers/<node>/clients/<clientid>/connected` tells of clients that connect.",
    ),
    key(
        "sys_topics.sys_event_messages.client_disconnected",
        "true",
        Kind::Bool(|t, on| t.config.sys_topics.told.disconnected = on),
        "Whether `.../disconnected` tells of connections that end.",
    ),
    key(
        "sys_topics.sys_event_messages.client_subscribed",
        "false",
        Kind::Bool(|t, on| t.config.sys_topics.told.subscribed = on),
        "Whether `.../subscribed` tells of subscriptions.",
    ),
    key(
        "sys_topics.sys_event_messages.client_unsubscribed",
        "false",
        Kind::Bool(|t, on| t.config.sys_topics.told.unsubscribed = on),
        "Whether `.../unsubscribed` tells of subscriptions that end.",
    ),
    key(
        "node.name",
        "emqx@127.0.0.1",
        Kind::Text(|t, text| text.clone_into(&mut t.config.node_name)),
        "The name of this node, `name@host`; a level of its `$SYS` topics.",
    ),
    key(
        "node.data_dir",
        "data",
        Kind::Path(|t, text| t.config.data_dir = text.into()),
        "Where the broker keeps its data. Made if missing; a relative path starts at the working directory.",
    ),
    key(
        "ringmq.shards",
        "auto",
        Kind::Integer {
            min: 1,
            max: SHARDS_MAX as u64,
            words: &[("auto", 0)],
            set: |t, n| t.config.shards = (n > 0).then(|| fit(n)),
        },
        "Shards, each a thread of its own. `auto` is one a core; with more shards than cores, cores are shared.",
    ),
    key(
        "ringmq.cores",
        "auto",
        Kind::Cores(|t, cores| t.config.cores = cores),
        "Processor cores to run on, in this order. `auto` is the cores this process may use, no more than its control \
         group's CPU quota: one hardware thread of every core first, NUMA node by node, then their siblings.",
    ),
    key(
        "ringmq.driver",
        "auto",
        Kind::Choice {
            names: &DRIVER_NAMES,
            set: |t, index| t.config.driver = index.checked_sub(1).map(|index| DriverKind::ALL[index]),
        },
        "How shards do input and output. `auto` is io_uring, or epoll where io_uring cannot be had.",
    ),
    key(
        "ringmq.monitoring_bind",
        "disabled",
        Kind::AddressOrDisabled(|t, bind| t.config.monitoring_bind = bind),
        "Where to answer HTTP requests for counters in Prometheus' format (`/metrics`, or EMQX's \
         `/api/v5/prometheus/stats`) and for whether the broker works (`/status`). There is no authentication and no \
         encryption: bind it to an address that only monitoring reaches.",
    ),
    key(
        "ringmq.limit_action",
        "pause",
        Kind::Choice {
            names: &["pause", "drop", "reject"],
            set: |t, index| t.config.settings.limits.action = LIMIT_ACTIONS[index],
        },
        "What becomes of a client that publishes more than its limits allow. `pause` does not read it until it may \
         publish again. `drop` drops its messages; at QoS 1 and 2 a client of MQTT 5 is told by reason code 0x97, an older \
         one cannot be told and gets the usual acknowledgement. `reject` disconnects it, in MQTT 5 with 0x96.",
    ),
    key(
        "ringmq.overload_lateness",
        "100ms",
        Kind::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(60),
            set: |t, span| t.config.settings.overload.lateness = span,
        },
        "How much later than it wanted to a shard must run to count as overloaded: because a turn was long, or because it \
         had to wait for its core.",
    ),
    key(
        "ringmq.queue_full_policy",
        "drop_oldest",
        Kind::Choice {
            names: &records::QUEUE_FULL_POLICY_NAMES,
            set: |t, index| t.config.settings.queue_full_policy = records::QUEUE_FULL_POLICIES[index],
        },
        "What becomes of a message for a client whose queue is full: the oldest of its priority is dropped for it, or it is \
         dropped itself, or it is dropped and the client disconnected, in MQTT 5 with 0x97, or it is queued and its \
         publisher not read until there is room again. A client that is not connected cannot be disconnected: its oldest \
         message goes; nor does it hold publishers back: `ringmq.back_pressure.fallback` says what goes.",
    ),
    key(
        "ringmq.queue_full_policies",
        "[]",
        Kind::List {
            fields: records::TOPIC_POLICY,
            max: records::RECORDS_MAX,
            clear: |t| t.config.settings.queue_full_policies.clear(),
            push: |t, record| {
                t.config.settings.queue_full_policies.push(records::topic_policy(record)?);
                Ok(())
            },
        },
        "Topics whose messages have a `policy` of their own in the place of `ringmq.queue_full_policy`, at most 30. The \
         first record whose filter `topic` matches decides. A message under `back_pressure` is not dropped for one under \
         `drop_oldest`.",
    ),
    key(
        "ringmq.back_pressure.patience",
        "10s",
        Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            set: |t, span| t.config.settings.back_pressure.patience = span,
        },
        "How long the full queue of a client that takes nothing from it holds publishers back. From then on, until it takes \
         something, `fallback` is its policy.",
    ),
    key(
        "ringmq.back_pressure.fallback",
        "drop_oldest",
        Kind::Choice {
            names: &["drop_oldest", "drop_newest"],
            set: |t, index| t.config.settings.back_pressure.fallback = records::QUEUE_FULL_POLICIES[index],
        },
        "The policy in the place of `back_pressure` for clients that are not connected or take nothing.",
    ),
    key(
        "ringmq.back_pressure.max_overrun",
        "65536",
        Kind::Integer {
            min: 0,
            max: 16_777_216,
            words: &[],
            set: |t, n| t.config.settings.back_pressure.max_overrun = fit(n),
        },
        "Messages that a queue takes under `back_pressure` beyond `mqtt.max_mqueue_len`: what its publishers had sent by the \
         time they were no longer read. One more is dropped.",
    ),
    key(
        "ringmq.queues.<name>.topic_filter",
        "",
        Kind::Checked {
            allowed: "a topic filter without a group, or nothing",
            set: |t, text| queues::set_topic_filter(&mut t.config.settings.queues, t.name, text),
        },
        "Declares the message queue `<name>`, which takes every message whose topic matches; clients consume it by \
         subscribing to `$q/<name>`. At most 100 queues; a name has letters, digits, `_` and `-`. Empty is not declared.",
    ),
    key(
        "ringmq.queues.<name>.enable",
        "true",
        Kind::Bool(|t, on| t.queue(|queue| queue.enable = on)),
        "Whether the queue takes messages. One that is turned off forgets those it has.",
    ),
    key(
        "ringmq.queues.<name>.last_value",
        "false",
        Kind::Bool(|t, on| t.queue(|queue| queue.last_value = on)),
        "Whether a message takes the place of a waiting one with the same key.",
    ),
    key(
        "ringmq.queues.<name>.key",
        "topic",
        Kind::Checked {
            allowed: "topic, or user_property:NAME",
            set: |t, text| {
                let key = queues::key(text)?;
                t.queue(|queue| queue.key = key);
                Ok(())
            },
        },
        "What the messages of a queue of last values are told apart by: their topic, or the value of the user property of \
         that name. A message without that property replaces none and is replaced by none.",
    ),
    key(
        "ringmq.queues.<name>.max_length",
        "100000",
        Kind::Integer { min: 1, max: 16_777_216, words: &[], set: |t, n| t.queue(|queue| queue.max_length = fit(n)) },
        "Messages held, those that consumers have not acknowledged among them.",
    ),
    key(
        "ringmq.queues.<name>.max_bytes",
        "100MB",
        Kind::Size { min: 1024, max: 1 << 40, set: |t, n| t.queue(|queue| queue.max_bytes = n) },
        "Bytes of their topics, properties and payloads, and 128 for each.",
    ),
    key(
        "ringmq.queues.<name>.full_policy",
        "drop_oldest",
        Kind::Choice {
            names: &["drop_oldest", "drop_newest"],
            set: |t, index| t.queue(|queue| queue.full_policy = records::QUEUE_FULL_POLICIES[index]),
        },
        "What becomes of a message that does not fit any more: the oldest that wait are dropped for it, or it is.",
    ),
    key(
        "ringmq.queues.<name>.message_expiry",
        "7d",
        Kind::DurationOrInfinity {
            min: SECOND,
            max: INTERVAL_MAX,
            set: |t, span| t.queue(|queue| queue.message_expiry = span),
        },
        "How long a message is held that has no shorter expiry of its own.",
    ),
    key(
        "ringmq.queues.<name>.max_inflight",
        "10",
        Kind::Integer { min: 1, max: 65_535, words: &[], set: |t, n| t.queue(|queue| queue.max_inflight = fit(n)) },
        "Messages of the queue that one consumer has and has not acknowledged.",
    ),
    key(
        "ringmq.queues.<name>.dispatch",
        "round_robin",
        Kind::Choice {
            names: &["round_robin", "least_inflight", "random"],
            set: |t, index| {
                let ways = [QueueDispatch::RoundRobin, QueueDispatch::LeastInflight, QueueDispatch::Random];
                t.queue(|queue| queue.dispatch = ways[index]);
            },
        },
        "Which of the consumers with room gets the next message: in turn, the one with the fewest unacknowledged ones, or \
         any.",
    ),
    key(
        "ringmq.spin",
        "20us",
        Kind::Duration { min: Duration::ZERO, max: SECOND, set: |t, span| t.config.driver_options.spin = span },
        "How long a shard polls after traffic before it sleeps. 0 sleeps at once.",
    ),
    key(
        "ringmq.stop_timeout",
        "5s",
        Kind::Duration { min: Duration::ZERO, max: DAY, set: |t, span| t.config.driver_options.stop_timeout = span },
        "How long a graceful stop waits for connections to close.",
    ),
    key(
        "ringmq.receive_buffers",
        "1024",
        Kind::PowerOfTwo { min: 16, max: 32_768, set: |t, n| t.config.driver_options.receive_buffers = fit(n) },
        "Receive buffers that the connections of one shard share (io_uring).",
    ),
    key(
        "ringmq.receive_buffer_size",
        "4KB",
        Kind::Size { min: 512, max: 1 << 20, set: |t, n| t.config.driver_options.receive_buffer_bytes = fit(n) },
        "Size of one receive buffer.",
    ),
    key(
        "ringmq.direct_descriptors",
        "0",
        Kind::Integer {
            min: 0,
            max: 1 << 20,
            words: &[],
            set: |t, n| t.config.driver_options.direct_descriptors = fit(n),
        },
        "Connections that each shard holds in its ring's own table instead of the process's (io_uring). A table is limited \
         to the limit of open files, but every shard has one. 0 uses the process's files.",
    ),
];

/// How a path relates to the table.
pub(crate) enum Found<'p> {
    /// It is a key; the second is what stands for [`NAME`], or nothing.
    Key(&'static Key, &'p str),
    /// It is a key below a zone.
    ZoneKey,
    /// Keys begin with it.
    Group,
    /// It is neither.
    Nothing,
}

/// Finds a path, given by its elements.
pub(crate) fn find<'p>(path: &'p [String]) -> Found<'p> {
    if let [root, rest @ ..] = path
        && root == zones::ROOT
    {
        let below = rest.get(1..).unwrap_or_default();
        let name = below.join(".");
        return match find_below(below) {
            Found::Key(..) if zones::is_zonal(&name) => Found::ZoneKey,
            Found::Group if zones::zonal_keys().any(|key| key.starts_with(&format!("{name}."))) => Found::Group,
            _ if below.is_empty() => Found::Group,
            _ => Found::Nothing,
        };
    }
    find_below(path)
}

fn find_below<'p>(path: &'p [String]) -> Found<'p> {
    let mut group = false;
    for key in KEYS {
        let mut elements = key.path.split('.');
        let mut name = "";
        let matches = path.iter().all(|wanted| match elements.next() {
            Some(NAME) => {
                name = wanted;
                true
            }
            element => element == Some(wanted.as_str()),
        });
        match (matches, elements.next()) {
            (true, None) => return Found::Key(key, name),
            (true, Some(_)) => group = true,
            (false, _) => {}
        }
    }
    if group { Found::Group } else { Found::Nothing }
}

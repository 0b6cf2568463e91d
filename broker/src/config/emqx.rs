//! Settings of EMQX 5.8 that ringmq does not have, so that an existing file loads with warnings instead of errors: those
//! whose feature is still to come, and those that have no meaning here.
//!
//! Absent: their types and checks.

use super::{log_files, zones};

/// Roots of which ringmq has nothing.
const ROOTS: &[&str] = &[
    "actions",
    "ai",
    "api_key",
    "authentication",
    "authorization",
    "authentication_settings",
    "bridges",
    "cluster",
    "connectors",
    "crl_cache",
    "dashboard",
    "durable_sessions",
    "durable_storage",
    "exhook",
    "file_transfer",
    "gateway",
    "limiter",
    "message_transformation",
    "multi_tenancy",
    "opentelemetry",
    "plugins",
    "prometheus",
    "psk_authentication",
    "rule_engine",
    "schema_registry",
    "schema_validation",
    "sources",
    "stats",
];

/// Keys and groups of which ringmq has neighbours. A `*` stands for any one element.
const KEYS: &[&str] = &[
    "listeners.quic",
    "listeners.ssl",
    "listeners.ws",
    "listeners.wss",
    "listeners.tcp.*.authentication",
    "listeners.tcp.*.enable_authn",
    "listeners.tcp.*.limiter",
    "listeners.tcp.*.tcp_options.keepalive",
    "listeners.tcp.*.tcp_options.nodelay",
    "listeners.tcp.*.tcp_options.nolinger",
    "listeners.tcp.*.tcp_options.recbuf",
    "listeners.tcp.*.tcp_options.send_timeout_close",
    "listeners.tcp.*.tcp_options.sndbuf",
    "log.audit",
    "log.console.payload_encode",
    "log.file.payload_encode",
    "log.throttling.msgs",
    "mqtt.client_attrs_init",
    "mqtt.clientid_override",
    "mqtt.keepalive_check_interval",
    "mqtt.limiter.max_conn_burst",
    "mqtt.limiter.max_conn_rate",
    "mqtt.peer_cert_as_clientid",
    "mqtt.peer_cert_as_username",
    "mqtt.subscription_max_qos_rules",
    "node.config_files",
    "node.etc_dir",
    "node.role",
    "retainer.allow_never_expire",
    "retainer.backend.enable",
    "retainer.backend.storage_type",
    "retainer.backend.type",
    "retainer.external_backends",
    "retainer.flow_control",
    "retainer.msg_expiry_interval_override",
    "zones.*.conn_congestion",
    "zones.*.durable_sessions",
    "zones.*.flapping_detect",
    "zones.*.stats",
];

/// Keys and groups that tune parts of EMQX which ringmq is not made of: the Erlang machine, its distribution, its pools
/// of processes, its licence and its reports to its makers; and keys that EMQX itself reads no more.
const NEVER: &[&str] = &[
    "broker.enable_session_registry",
    "broker.perf",
    "broker.route_batch_clean",
    "broker.routing",
    "broker.session_history_retain",
    "broker.session_locking_strategy",
    "broker.shared_dispatch_ack_enabled",
    "broker.shared_subscription_strategy",
    "force_gc",
    "license",
    "listeners.tcp.*.acceptors",
    "listeners.tcp.*.tcp_options.active_n",
    "listeners.tcp.*.tcp_options.buffer",
    "listeners.tcp.*.tcp_options.reuseaddr",
    "log.*.burst_limit",
    "log.*.chars_limit",
    "log.*.drop_mode_qlen",
    "log.*.flush_qlen",
    "log.*.max_depth",
    "log.*.overload_kill",
    "log.*.single_line",
    "log.*.supervisor_reports",
    "log.*.sync_mode_qlen",
    "log.*.with_mfa",
    "log.file.rotation",
    "mqtt.keepalive_backoff",
    "node.applications",
    "node.backtrace_depth",
    "node.broker_pool_size",
    "node.channel_cleanup_batch_size",
    "node.client_process_pool_size",
    "node.cluster_call",
    "node.cookie",
    "node.crash_dump_bytes",
    "node.crash_dump_file",
    "node.crash_dump_seconds",
    "node.db_backend",
    "node.db_role",
    "node.default_bootstrap_batch_size",
    "node.default_replayq_open_mode",
    "node.default_shard_transport",
    "node.dist_buffer_size",
    "node.dist_net_ticktime",
    "node.generic_pool_size",
    "node.global_gc_interval",
    "node.max_ets_tables",
    "node.max_ports",
    "node.process_limit",
    "node.rpc_module",
    "node.shard_transports",
    "node.tlog_push_mode",
    "overload_protection.backoff_gc",
    "overload_protection.backoff_hibernation",
    "retainer.backend.index_specs",
    "retainer.msg_clear_interval",
    "retainer.msg_clear_limit",
    "rpc",
    "sysmon.broker_pool_mailbox_size_alarm_threshold",
    "sysmon.mnesia_tm_mailbox_size_alarm_threshold",
    "sysmon.top",
    "sysmon.vm.large_heap",
    "sysmon.vm.long_gc",
    "sysmon.vm.process_check_interval",
    "sysmon.vm.process_high_watermark",
    "sysmon.vm.process_low_watermark",
    "telemetry",
    "zones.*.force_gc",
    "zones.*.overload_protection.backoff_gc",
    "zones.*.overload_protection.backoff_hibernation",
];

/// Older names that EMQX still takes, and what the last element of their path is called now.
const ALIASES: &[(&str, &str)] = &[
    ("force_shutdown.max_message_queue_len", "max_mailbox_size"),
    ("listeners.tcp.*.enabled", "enable"),
    ("log.console_handler", "console"),
    ("log.console.format", "formatter"),
    ("log.file.file", "path"),
    ("log.file.format", "formatter"),
    ("log.file.max_size", "rotation_size"),
    ("log.file.rotation", "rotation_count"),
    ("log.file.to", "path"),
    ("log.file.*.file", "path"),
    ("log.file.*.format", "formatter"),
    ("log.file.*.max_size", "rotation_size"),
    ("log.file.*.rotation", "rotation_count"),
    ("log.file.*.to", "path"),
    ("retainer.deliver_rate", "delivery_rate"),
];

/// What EMQX has in the place of a listener that was deleted while it ran, below one that the file brings.
pub(super) const DELETED: &str = "marked_for_deletion";

/// Puts the name that a key has now in the place of an older one.
pub(super) fn rename(path: &mut [String]) {
    let in_zone = path.first().is_some_and(|root| root == zones::ROOT);
    let path = if in_zone { path.get_mut(2..).unwrap_or_default() } else { path };
    let named = |key: &str| {
        let mut given = path.iter();
        key.split('.').all(|element| given.next().is_some_and(|given| element == "*" || element == given))
            && given.next().is_none()
    };
    let name = ALIASES.iter().find(|(key, _)| named(key)).map(|(_, name)| *name);
    if let (Some(name), Some(last)) = (name, path.last_mut()) {
        name.clone_into(last);
    }
}

/// What is to be said of a setting of EMQX that is not in our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The feature is still to come.
    NotYet,
    /// There is nothing here that it could set.
    Never,
}

/// How ringmq stands to `path` if it is a setting of EMQX, or lies below one.
pub(crate) fn standing(path: &[String]) -> Option<Standing> {
    if let [root, _, rest @ ..] = path
        && root == zones::ROOT
        && rest.first().is_some_and(|root| root == "mqtt")
    {
        return standing(rest);
    }
    // A handler with a name has what the one without has.
    if let Some((_, rest)) = log_files::named(path) {
        return standing(&[&path[..2], rest].concat());
    }
    let covers = |key: &&str| {
        let mut path = path.iter();
        key.split('.').all(|element| path.next().is_some_and(|given| element == "*" || element == given))
    };
    if NEVER.iter().any(&covers) {
        Some(Standing::Never)
    } else if ROOTS.iter().chain(KEYS).any(covers) {
        Some(Standing::NotYet)
    } else {
        None
    }
}

//! Keys that protect the broker: from load, from clients that come and go, from banned ones.

use super::{DAY, INTERVAL_MAX, Key, SECOND, fit, key};
use crate::config::kind::Kind;

pub(super) const KEYS: &[Key] = &[
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
        "banned.bootstrap_file",
        "",
        Kind::Path(|t, text| t.config.banned_bootstrap_file = (!text.is_empty()).then(|| text.into())),
        "File of comma-separated values with bans to begin with; it is read only where there is no ban yet. Its first \
         line names the columns: `as` and `who`, and perhaps `by`, `reason`, `at`, `until`. Empty is none.",
    ),
];

//! Keys of the listeners.

use super::{DAY, Key, PACKET_BYTES_MAX, SECOND, fit, key};
use crate::config::kind::Kind;
use crate::config::listeners::{ACCESS_RULES_MAX, add_access_rules};
use ringmq_core::settings::{HIGH_WATERMARK_MIN, Mountpoint};

pub(super) const KEYS: &[Key] = &[
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
        "listeners.tcp.<name>.tcp_options.high_watermark",
        "1MB",
        Kind::Size {
            min: HIGH_WATERMARK_MIN as u64,
            max: PACKET_BYTES_MAX,
            set: |t, n| t.listener().high_watermark = fit(n),
        },
        "A client of this listener with so much unsent is congested: further messages go to its queue until three quarters \
         have gone.",
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
        "listeners.tcp.<name>.mountpoint",
        "",
        Kind::Checked {
            allowed: "the beginning of topics such as \"devices/${clientid}/\", without wildcards",
            set: |t, text| {
                t.listener().mountpoint = Mountpoint::parse(text).map_err(|error| error.to_string())?;
                Ok(())
            },
        },
        "What stands before the topics of the clients of this listener, who know nothing of it: it is put before the \
         topics and filters that they send and taken off the topics that they are sent. `${clientid}` and `${username}` \
         are the client's own. Of clients that connect from then on.",
    ),
    key(
        "listeners.tcp.<name>.proxy_protocol",
        "false",
        Kind::Bool(|t, on| t.listener().proxy_protocol = on),
        "Whether all who connect are proxies that say, by the PROXY protocol (version 1 or 2), where each connection comes \
         from. One that does not begin with a header is closed.",
    ),
    key(
        "listeners.tcp.<name>.proxy_protocol_timeout",
        "3s",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.listener().proxy_protocol_timeout = span },
        "How long that header may take.",
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
];

//! Keys of the protocol: capabilities, sessions, queues, the rate limits of clients.

use super::strategies::{STICKY_PICK_NAMES, STICKY_PICKS, STRATEGIES, STRATEGY_NAMES};
use super::{DAY, INTERVAL_MAX, Key, PACKET_BYTES_MAX, SECOND, fit, key};
use crate::config::kind::Kind;
use std::time::Duration;

pub(super) const KEYS: &[Key] = &[
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
        "mqtt.shared_subscription_initial_sticky_pick",
        "random",
        Kind::Choice {
            names: &STICKY_PICK_NAMES,
            set: |t, index| t.config.settings.shared_subscription_initial_sticky_pick = STICKY_PICKS[index].1,
        },
        "How `sticky` picks the member that it then keeps, for each publisher; `local` is `random`.",
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
];

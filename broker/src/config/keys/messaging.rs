//! Keys of what becomes of messages and subscriptions beside the protocol: shared groups, automatic subscriptions,
//! rewriting, delayed and retained messages.

use super::strategies::{GROUP_STICKY_PICK_NAMES, GROUP_STRATEGY_NAMES, STICKY_PICKS, STRATEGIES};
use super::{INTERVAL_MAX, Key, PACKET_BYTES_MAX, fit, key};
use crate::config::kind::Kind;
use crate::config::records;
use std::time::Duration;

pub(super) const KEYS: &[Key] = &[
    key(
        "broker.shared_subscription_group.<name>.strategy",
        "default",
        Kind::Choice {
            names: &GROUP_STRATEGY_NAMES,
            set: |t, index| t.group(|group| group.strategy = index.checked_sub(1).map(|index| STRATEGIES[index].1)),
        },
        "The same for the shared subscriptions of one group. `default` is `mqtt.shared_subscription_strategy`.",
    ),
    key(
        "broker.shared_subscription_group.<name>.initial_sticky_pick",
        "default",
        Kind::Choice {
            names: &GROUP_STICKY_PICK_NAMES,
            set: |t, index| {
                t.group(|group| group.initial_sticky_pick = index.checked_sub(1).map(|index| STICKY_PICKS[index].1));
            },
        },
        "The same for one group. `default` is `mqtt.shared_subscription_initial_sticky_pick`.",
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
        "retainer.max_publish_rate",
        "infinity",
        Kind::Budget { bytes: false, set: |t, rate| t.config.settings.retainer_max_publish_rate = rate },
        "Messages that one shard retains, and topics that it clears, in a time; more are delivered and change nothing. EMQX \
         has 1000/s for a node.",
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
];

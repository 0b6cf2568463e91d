//! Keys of the process, its shards and drivers, and of ringmq's own features.

use super::{DAY, INTERVAL_MAX, Key, SECOND, fit, key};
use crate::config::kind::Kind;
use crate::config::queues;
use crate::config::records;
use ringmq_core::limit::LimitAction;
use ringmq_core::machine::SHARDS_MAX;
use ringmq_core::settings::QueueDispatch;
use ringmq_drive::DriverKind;
use std::time::Duration;

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

const LIMIT_ACTIONS: [LimitAction; 3] = [LimitAction::Pause, LimitAction::Drop, LimitAction::Reject];

pub(super) const KEYS: &[Key] = &[
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

//! Keys of what is told about the broker, the log aside: slow subscriptions, topic metrics, alarms, traces, `$SYS`.

use super::{DAY, INTERVAL_MAX, Key, SECOND, fit, key};
use crate::alarms::Actions;
use crate::config::kind::Kind;
use crate::config::records;
use crate::trace::PayloadEncode;
use ringmq_core::control::COUNTED_TOPICS_MAX;
use ringmq_core::settings::SlowSubsTime;
use std::time::Duration;

pub(super) const KEYS: &[Key] = &[
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
        "sysmon.vm.long_schedule",
        "240ms",
        Kind::DurationOrDisabled {
            min: Duration::from_millis(10),
            max: DAY,
            set: |t, span| t.config.settings.long_schedule = span,
        },
        "How late a shard is for its appointment of the second when that is told as `long_schedule`.",
    ),
    key(
        "sysmon.vm.busy_port",
        "true",
        Kind::Bool(|t, on| t.config.sysmon.busy_port = on),
        "Whether connections that do not take what they are sent are told of as `busy_port`.",
    ),
    key(
        "sysmon.vm.busy_dist_port",
        "true",
        Kind::Bool(|t, on| t.config.sysmon.busy_dist_port = on),
        "Whether shards for which others have too much are told of as `busy_dist_port`.",
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
];

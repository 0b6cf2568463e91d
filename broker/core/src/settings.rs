//! What an operator can set for a shard, with EMQX's names and defaults.
//!
//! Plain values, already checked; parsing files and command lines is the binary's work. Every field names its EMQX key.

mod mountpoint;
mod queue_full;
mod queues;
mod sharing;

pub use mountpoint::{MOUNTPOINT_BYTES_MAX, Mountpoint, MountpointError};
pub use queue_full::{BackPressure, QueueFullPolicy, TopicPolicy};
pub use queues::{QUEUES_MAX, QueueDispatch, QueueKey, QueueSettings};
pub use sharing::{ShareGroup, ShareStrategy, StickyPick};

use crate::limit::{Limits, Rate};
use crate::machine::{HIGH_WATER_BYTES, low_water_bytes};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Smallest [`Settings::high_watermark`], bytes.
pub const HIGH_WATERMARK_MIN: usize = 64 * 1024;

/// How large a connected client's backlog may become (`force_shutdown`). Beyond that it is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForceShutdown {
    /// `force_shutdown.enable`.
    pub enable: bool,
    /// `force_shutdown.max_mailbox_size`: messages in its queue; 0 is unlimited.
    pub max_mailbox_size: u32,
    /// `force_shutdown.max_heap_size`: bytes in its queue and on their way to it; 0 is unlimited.
    pub max_heap_size: u64,
}

impl Default for ForceShutdown {
    fn default() -> Self {
        Self { enable: true, max_mailbox_size: 0, max_heap_size: 0 }
    }
}

/// What a shard does that does not keep up (`overload_protection`), for the clients of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverloadProtection {
    /// `overload_protection.enable`.
    pub enable: bool,
    /// `overload_protection.backoff_new_conn`: it refuses new clients.
    pub backoff_new_conn: bool,
    /// `overload_protection.backoff_delay`, milliseconds: how long it puts off each slice of retained messages.
    pub backoff_delay_ms: u32,
    /// `ringmq.overload_lateness`: how late it must be; the same for all listeners.
    pub lateness: Duration,
}

impl Default for OverloadProtection {
    fn default() -> Self {
        Self { enable: false, backoff_new_conn: true, backoff_delay_ms: 1, lateness: Duration::from_millis(100) }
    }
}

/// A subscription that every client gets (`auto_subscribe.topics`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoSubscription {
    /// `topic`: a filter, with `${clientid}`, `${username}`, `${host}` and `${port}` standing for the client's own. A
    /// client without a user name does not get one that contains it.
    pub topic: Box<str>,
    /// `qos`: 0, 1 or 2.
    pub qos: u8,
    /// `rh`, Retain Handling: 0, 1 or 2.
    pub retain_handling: u8,
    /// `rap`, Retain As Published.
    pub retain_as_published: bool,
    /// `nl`, No Local.
    pub no_local: bool,
}

/// What becomes of clients that connect and disconnect again and again (`flapping_detect`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// `enable`.
    pub enable: bool,
    /// `window_time`: from a client's first disconnect until its count begins anew.
    pub window: Duration,
    /// `max_count`: disconnects within that time for which it is banned.
    pub max_disconnects: u32,
    /// `ban_time`: for how long.
    pub ban_time: Duration,
}

impl Default for Flapping {
    fn default() -> Self {
        let (window, ban_time) = (Duration::from_secs(60), Duration::from_secs(300));
        Self { enable: false, window, max_disconnects: 15, ban_time }
    }
}

/// What is measured of slow subscriptions (`slow_subs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowSubs {
    /// `enable`.
    pub enable: bool,
    /// `threshold`: what takes less is not slow.
    pub threshold: Duration,
    /// `expire_interval`: for how long it is remembered.
    pub expire_interval: Duration,
    /// `top_k_num`: how many are.
    pub top_k: u16,
    /// `stats_type`.
    pub time: SlowSubsTime,
}

/// Which time of a message counts (`slow_subs.stats_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowSubsTime {
    /// From when it is taken in until its client has acknowledged it.
    Whole,
    /// From when it is taken in until it is sent.
    Internal,
    /// From when it is sent until its client has acknowledged it.
    Response,
}

impl Default for SlowSubs {
    fn default() -> Self {
        Self {
            enable: false,
            threshold: Duration::from_millis(500),
            expire_interval: Duration::from_secs(300),
            top_k: 10,
            time: SlowSubsTime::Whole,
        }
    }
}

/// When congested connections are told of (`conn_congestion`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnCongestion {
    /// `enable_alarm`.
    pub enable_alarm: bool,
    /// `min_alarm_sustain_duration`: how long a connection that was congested still counts as such.
    pub min_sustain: Duration,
}

impl Default for ConnCongestion {
    fn default() -> Self {
        Self { enable_alarm: true, min_sustain: Duration::from_secs(60) }
    }
}

/// Settings of the MQTT protocol, alike on all shards.
///
/// Those of a client may differ from listener to listener: see [`Settings::for_listeners`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `mqtt.max_packet_size`, bytes: a larger packet from a client is refused before its body is buffered.
    pub max_packet_size: u32,
    /// `mqtt.strict_mode`: whether what the standards forbid is refused even where it does no harm.
    pub strict_mode: bool,
    /// `mqtt.max_clientid_len`, bytes.
    pub max_clientid_len: u16,
    /// `mqtt.max_topic_levels`.
    pub max_topic_levels: u16,
    /// `mqtt.max_qos_allowed`: 0, 1 or 2.
    pub max_qos_allowed: u8,
    /// `mqtt.max_topic_alias`: highest alias accepted from a client, and most used towards one.
    pub max_topic_alias: u16,
    /// `mqtt.retain_available`.
    pub retain_available: bool,
    /// `mqtt.wildcard_subscription`.
    pub wildcard_subscription: bool,
    /// `mqtt.shared_subscription`.
    pub shared_subscription: bool,
    /// `mqtt.exclusive_subscription`: whether clients may have a topic to themselves.
    pub exclusive_subscription: bool,
    /// `mqtt.shared_subscription_strategy`.
    pub shared_subscription_strategy: ShareStrategy,
    /// `mqtt.shared_subscription_initial_sticky_pick`.
    pub shared_subscription_initial_sticky_pick: StickyPick,
    /// `broker.shared_subscription_group.<group>`: groups, by name, that have something of their own.
    pub shared_subscription_groups: BTreeMap<Box<str>, ShareGroup>,
    /// `mqtt.ignore_loop_deliver`: gives No Local to clients of MQTT 3.
    pub ignore_loop_deliver: bool,
    /// `mqtt.upgrade_qos`: deliver at the higher instead of the lower of published and granted QoS.
    pub upgrade_qos: bool,
    /// `mqtt.use_username_as_clientid`: a client's user name, if it has one, is its identifier.
    pub use_username_as_clientid: bool,
    /// `mqtt.server_keepalive`, seconds, for clients of MQTT 5, which can be told; `None` leaves the client's value.
    pub server_keepalive: Option<u16>,
    /// `mqtt.keepalive_multiplier`, in thousandths (1500 is one and a half).
    pub keepalive_multiplier_permille: u32,
    /// `mqtt.idle_timeout`: time for the first CONNECT.
    pub idle_timeout: Duration,
    /// `mqtt.session_expiry_interval`: for MQTT 3 clients with clean session off.
    pub session_expiry_interval: Duration,
    /// `mqtt.message_expiry_interval`: for messages without one; `None` is infinity.
    pub message_expiry_interval: Option<Duration>,
    /// `mqtt.max_inflight`: unacknowledged QoS 1 and 2 messages towards a client.
    pub max_inflight: u16,
    /// `mqtt.max_mqueue_len`: messages of one priority waiting for a client; 0 is unlimited.
    pub max_mqueue_len: u32,
    /// `mqtt.mqueue_priorities`: topic names whose messages have a priority in the queue, 1 to 255.
    pub mqueue_priorities: BTreeMap<Box<str>, u8>,
    /// `mqtt.mqueue_default_priority`: whether topics without one come before all others, or after.
    pub mqueue_default_highest: bool,
    /// `mqtt.mqueue_store_qos0`.
    pub mqueue_store_qos0: bool,
    /// `mqtt.retry_interval`: resend unacknowledged messages on a live connection; `None` is infinity.
    pub retry_interval: Option<Duration>,
    /// `mqtt.max_awaiting_rel`: inbound QoS 2 messages awaiting PUBREL; 0 is unlimited.
    pub max_awaiting_rel: u16,
    /// `mqtt.await_rel_timeout`.
    pub await_rel_timeout: Duration,
    /// `mqtt.max_subscriptions` per client; 0 is unlimited.
    pub max_subscriptions: u32,
    /// `mqtt.response_information`, sent to clients that ask; empty is not sent.
    pub response_information: String,
    /// `auto_subscribe.topics`: what every client is subscribed to once it is connected.
    pub auto_subscribe: Vec<AutoSubscription>,
    /// `delayed.enable`: whether `$delayed/<seconds>/<topic>` delays a message.
    pub delayed_enable: bool,
    /// `delayed.max_delayed_messages` per shard; 0 is unlimited.
    pub delayed_max_messages: u64,
    /// `retainer.enable`: whether messages are retained, and subscribers given those that are.
    pub retainer_enable: bool,
    /// `retainer.msg_expiry_interval`: how long messages without an expiry of their own are retained; `None` is for ever.
    pub retainer_msg_expiry_interval: Option<Duration>,
    /// `retainer.delivery_rate`: retained messages a second that a new subscription gets; 0 is as many as it can take.
    pub retainer_delivery_rate: u32,
    /// `flapping_detect`.
    pub flapping: Flapping,
    /// `overload_protection`.
    pub overload: OverloadProtection,
    /// `conn_congestion`.
    pub conn_congestion: ConnCongestion,
    /// `slow_subs`.
    pub slow_subs: SlowSubs,
    /// `sysmon.vm.long_schedule`: how late a shard is for its appointment of the second when that is counted; `None` is
    /// never.
    pub long_schedule: Option<Duration>,
    /// `retainer.max_publish_rate` per shard: messages that are retained, and topics that are cleared; `None` is unlimited.
    pub retainer_max_publish_rate: Option<Rate>,
    /// `retainer.max_payload_size`, bytes: larger messages are routed but not retained.
    pub retainer_max_payload_size: u32,
    /// `retainer.backend.max_retained_messages` per shard; 0 is unlimited.
    pub retainer_max_messages: u64,
    /// `retainer.stop_publish_clear_msg`: do not forward the empty message that clears a retained one.
    pub retainer_stop_publish_clear_msg: bool,
    /// `listeners.tcp.<name>.tcp_options.send_timeout`: a client that takes no byte for this long is closed.
    pub send_timeout: Duration,
    /// `listeners.tcp.<name>.tcp_options.high_watermark`, bytes, at least [`HIGH_WATERMARK_MIN`]: a client with so much
    /// unsent is sent nothing more for the time being.
    pub high_watermark: usize,
    /// `listeners.tcp.<name>.mountpoint`: what stands before the topics of a client.
    pub mountpoint: Option<Mountpoint>,
    /// `listeners.tcp.<name>.proxy_protocol`: whether each connection begins with what a proxy says of it.
    pub proxy_protocol: bool,
    /// `listeners.tcp.<name>.proxy_protocol_timeout`: how long that may take.
    pub proxy_protocol_timeout: Duration,
    /// `listeners.tcp.<name>.max_conn_rate_per_ip`, connections per second, listener and shard from one address; 0 is
    /// unlimited.
    pub max_conn_rate_per_ip: u32,
    /// `mqtt.max_user_properties` in one packet.
    pub max_user_properties: u16,
    /// `mqtt.max_topic_filters` in one SUBSCRIBE or UNSUBSCRIBE.
    pub max_topic_filters: u16,
    /// `mqtt.limiter`, `listeners.tcp.<name>.messages_rate` and the like: how much a client may publish.
    pub limits: Limits,
    /// `force_shutdown`.
    pub force_shutdown: ForceShutdown,
    /// `ringmq.queue_full_policy`.
    pub queue_full_policy: QueueFullPolicy,
    /// `ringmq.queue_full_policies`: topics whose messages have a policy of their own, the first that matches.
    pub queue_full_policies: Vec<TopicPolicy>,
    /// `ringmq.back_pressure`.
    pub back_pressure: BackPressure,
    /// `ringmq.queues.<name>`: message queues by name, at most [`QUEUES_MAX`].
    pub queues: BTreeMap<Box<str>, QueueSettings>,
    /// What holds for the clients of each listener, by the listener's number, in the place of these settings; empty if
    /// these hold for all. Only what concerns a single client may differ. These records have no such list themselves.
    pub for_listeners: Vec<Self>,
}

impl Settings {
    /// Puts back those settings which clients that connected under `before` were told in their CONNACK and which are
    /// narrower now: such a client would be disconnected for what it was allowed. Gives their keys.
    pub fn keep_promises(&mut self, before: &Self) -> Vec<&'static str> {
        // 0 is unlimited.
        let awaiting = |max: u16| if max == 0 { u16::MAX } else { max };
        let mut kept = Vec::new();
        if self.max_packet_size < before.max_packet_size {
            self.max_packet_size = before.max_packet_size;
            kept.push("mqtt.max_packet_size");
        }
        if self.max_qos_allowed < before.max_qos_allowed {
            self.max_qos_allowed = before.max_qos_allowed;
            kept.push("mqtt.max_qos_allowed");
        }
        if self.max_topic_alias < before.max_topic_alias {
            self.max_topic_alias = before.max_topic_alias;
            kept.push("mqtt.max_topic_alias");
        }
        if before.retain_available && !self.retain_available {
            self.retain_available = true;
            kept.push("mqtt.retain_available");
        }
        if awaiting(self.max_awaiting_rel) < awaiting(before.max_awaiting_rel) {
            self.max_awaiting_rel = before.max_awaiting_rel;
            kept.push("mqtt.max_awaiting_rel");
        }
        kept
    }

    /// Unsent bytes at or below which a client is sent again what waits for it.
    pub(crate) fn low_watermark(&self) -> usize {
        low_water_bytes(self.high_watermark)
    }

    /// The priority of a topic's messages in a queue: higher ones leave first.
    pub(crate) fn mqueue_priority(&self, topic: &str) -> u16 {
        match self.mqueue_priorities.get(topic) {
            Some(priority) => u16::from(*priority),
            None if self.mqueue_default_highest => u16::from(u8::MAX) + 1,
            None => 0,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_packet_size: 1024 * 1024,
            strict_mode: true,
            max_clientid_len: 65535,
            max_topic_levels: 128,
            max_qos_allowed: 2,
            max_topic_alias: 65535,
            retain_available: true,
            wildcard_subscription: true,
            shared_subscription: true,
            exclusive_subscription: false,
            shared_subscription_strategy: ShareStrategy::RoundRobin,
            shared_subscription_initial_sticky_pick: StickyPick::Random,
            shared_subscription_groups: BTreeMap::new(),
            ignore_loop_deliver: false,
            upgrade_qos: false,
            use_username_as_clientid: false,
            server_keepalive: None,
            keepalive_multiplier_permille: 1500,
            idle_timeout: Duration::from_secs(15),
            session_expiry_interval: Duration::from_secs(2 * 3600),
            message_expiry_interval: None,
            max_inflight: 32,
            max_mqueue_len: 1000,
            mqueue_priorities: BTreeMap::new(),
            mqueue_default_highest: false,
            mqueue_store_qos0: true,
            retry_interval: None,
            max_awaiting_rel: 100,
            await_rel_timeout: Duration::from_secs(300),
            max_subscriptions: 0,
            response_information: String::new(),
            auto_subscribe: Vec::new(),
            delayed_enable: true,
            delayed_max_messages: 0,
            retainer_enable: true,
            retainer_msg_expiry_interval: None,
            retainer_delivery_rate: 0,
            flapping: Flapping::default(),
            overload: OverloadProtection::default(),
            conn_congestion: ConnCongestion::default(),
            slow_subs: SlowSubs::default(),
            long_schedule: Some(Duration::from_millis(240)),
            retainer_max_publish_rate: None,
            retainer_max_payload_size: 1024 * 1024,
            retainer_max_messages: 0,
            retainer_stop_publish_clear_msg: false,
            send_timeout: Duration::from_secs(15),
            high_watermark: HIGH_WATER_BYTES,
            mountpoint: None,
            proxy_protocol: false,
            proxy_protocol_timeout: Duration::from_secs(3),
            max_conn_rate_per_ip: 0,
            max_user_properties: 1024,
            max_topic_filters: 1024,
            limits: Limits::default(),
            force_shutdown: ForceShutdown::default(),
            queue_full_policy: QueueFullPolicy::DropOldest,
            queue_full_policies: Vec::new(),
            back_pressure: BackPressure::default(),
            queues: BTreeMap::new(),
            for_listeners: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_were_promised_is_put_back_and_only_that() {
        let before = Settings::default();
        let mut narrow = Settings {
            max_packet_size: 100,
            max_qos_allowed: 1,
            max_topic_alias: 5,
            retain_available: false,
            max_awaiting_rel: 5,
            max_inflight: 3,
            ..Settings::default()
        };
        let kept = narrow.keep_promises(&before);
        assert_eq!(kept.len(), 5);
        assert_eq!(narrow, Settings { max_inflight: 3, ..Settings::default() });
        let mut wide = Settings { max_packet_size: u32::MAX, max_awaiting_rel: 0, ..Settings::default() };
        let wanted = wide.clone();
        assert!(wide.keep_promises(&before).is_empty());
        assert_eq!(wide, wanted);
        let mut back = Settings::default();
        assert_eq!(back.keep_promises(&wanted), ["mqtt.max_packet_size", "mqtt.max_awaiting_rel"]);
        assert_eq!((back.max_packet_size, back.max_awaiting_rel), (u32::MAX, 0));
    }
}

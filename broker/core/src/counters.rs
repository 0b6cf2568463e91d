//! What a shard counts. Plain numbers of one thread, named as EMQX names its metrics; whoever wants sums adds shards.

/// Where a shard's counters are copied once a second, and when it stops.
pub trait CounterSink {
    /// Takes a copy.
    fn publish(&mut self, counters: &Counters);
}

macro_rules! counters {
    ($($field:ident = $name:literal: $doc:literal,)*) => {
        /// A shard's counters. All but gauges only grow. Many follow from others and are put in when somebody asks:
        /// see [`Shard::counters`](crate::shard::Shard::counters).
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = concat!($doc, " (`", $name, "`).")] pub $field: u64,)*
        }

        impl Counters {
            /// Number of counters.
            pub const COUNT: usize = [$($name),*].len();

            /// Names, in the order of [`Counters::values`].
            pub const NAMES: [&'static str; Self::COUNT] = [$($name),*];

            /// All values.
            #[must_use]
            pub fn values(&self) -> [u64; Self::COUNT] {
                [$(self.$field),*]
            }
        }
    };
}

counters! {
    connections = "connections.count": "Live MQTT connections, a gauge",
    connections_congested = "connections.congested.count": "Connections that do not take what they are sent, a gauge",
    connections_held_back = "connections.held_back.count": "Clients that full queues hold back, a gauge",
    sessions = "sessions.count": "Sessions, connected or not, a gauge",
    subscriptions = "subscriptions.count": "Subscriptions, shared ones included, a gauge",
    subscriptions_shared = "subscriptions.shared.count": "of which shared, a gauge",
    topics = "topics.count": "Filters that somebody subscribes to, each once for every shard that has it, a gauge",
    retained = "retained.count": "Retained messages, a gauge",
    queue_messages = "queues.messages.count": "Messages held by message queues, a gauge",
    delayed = "delayed.count": "Messages that wait to be published later, a gauge",
    client_connect = "client.connect": "CONNECT packets of sound form",
    client_connack = "client.connack": "CONNACK packets sent",
    client_connected = "client.connected": "Accepted connections",
    client_auth_anonymous = "client.auth.anonymous": "Clients let in without being authenticated",
    client_subscribe = "client.subscribe": "SUBSCRIBE packets carried out, and subscriptions that the operator gave to clients, counted together for each",
    client_unsubscribe = "client.unsubscribe": "UNSUBSCRIBE packets carried out",
    client_kicked = "client.kicked": "Sessions that the operator ended",
    client_disconnected = "client.disconnected": "Ended connections",
    client_handed_over = "client.handed_over": "Connections given to the shard at home",
    client_refused = "client.refused": "Connections refused by CONNACK",
    client_banned = "client.banned": "of which because the client is banned",
    client_idle = "client.idle_timeout": "Connections closed for want of a CONNECT",
    client_proxy_protocol_error = "client.proxy_protocol_error": "Connections closed for want of a sound header of their proxy",
    client_keepalive = "client.keepalive_timeout": "Connections closed for silence",
    client_send_timeout = "client.send_timeout": "Connections closed because they took no bytes",
    client_rate_limited = "client.rate_limited": "Connections closed because their address opened too many",
    client_limited_paused = "client.limited.paused": "Times a client was not read because it published too much",
    client_limited_rejected = "client.limited.rejected": "Connections closed because their clients published too much",
    client_force_shutdown = "client.force_shutdown": "Connections closed because too much waited for their clients",
    client_queue_full = "client.queue_full": "Connections closed because the client's queue was full",
    client_held_back = "client.held_back": "Times a client was not read because a queue that it feeds was full",
    client_held_back_in_vain = "client.held_back.in_vain": "Times a full queue let publishers go because its client took nothing",
    client_held_up = "client.held_up": "Times a client was not read because a shard that it feeds had too much to do",
    client_congested = "client.congested": "Times a connection had more to take than the high watermark",
    session_created = "session.created": "Sessions created",
    session_resumed = "session.resumed": "Sessions resumed by a new connection",
    session_takenover = "session.takenover": "Live connections replaced by a new one of the same client",
    session_discarded = "session.discarded": "Sessions ended by a clean start",
    session_terminated = "session.terminated": "Sessions ended",
    authentication_success = "authentication.success": "Clients let in",
    authentication_success_anonymous = "authentication.success.anonymous": "of which without being authenticated",
    packets_received = "packets.received": "Packets received",
    packets_sent = "packets.sent": "Packets sent",
    packets_malformed = "packets.malformed": "Packets refused for their form",
    packets_protocol_error = "packets.protocol_error": "Packets refused because they were not allowed then",
    connect_received = "packets.connect.received": "CONNECT packets received",
    connack_sent = "packets.connack.sent": "CONNACK packets sent",
    connack_error = "packets.connack.error": "of which refusals",
    publish_received = "packets.publish.received": "PUBLISH packets received",
    publish_sent = "packets.publish.sent": "PUBLISH packets sent",
    publish_error = "packets.publish.error": "PUBLISH packets that ended their connection or were answered with an error",
    publish_dropped = "packets.publish.dropped": "PUBLISH packets refused because their clients published too much",
    publish_inuse = "packets.publish.inuse": "QoS 2 messages whose identifier was still in use",
    publish_quota = "packets.publish.quota_exceeded": "Connections closed for too many unreleased QoS 2 messages",
    puback_received = "packets.puback.received": "PUBACK packets received",
    puback_sent = "packets.puback.sent": "PUBACK packets sent",
    puback_inuse = "packets.puback.inuse": "PUBACK for a message that waits for something else",
    puback_missed = "packets.puback.missed": "PUBACK for an unknown message",
    pubrec_received = "packets.pubrec.received": "PUBREC packets received",
    pubrec_sent = "packets.pubrec.sent": "PUBREC packets sent",
    pubrec_inuse = "packets.pubrec.inuse": "PUBREC for a message that waits for something else",
    pubrec_missed = "packets.pubrec.missed": "PUBREC for an unknown message",
    pubrel_received = "packets.pubrel.received": "PUBREL packets received",
    pubrel_sent = "packets.pubrel.sent": "PUBREL packets sent",
    pubrel_missed = "packets.pubrel.missed": "PUBREL for an unknown message",
    pubcomp_received = "packets.pubcomp.received": "PUBCOMP packets received",
    pubcomp_sent = "packets.pubcomp.sent": "PUBCOMP packets sent",
    pubcomp_inuse = "packets.pubcomp.inuse": "PUBCOMP for a message that waits for something else",
    pubcomp_missed = "packets.pubcomp.missed": "PUBCOMP for an unknown message",
    subscribe_received = "packets.subscribe.received": "SUBSCRIBE packets received",
    subscribe_error = "packets.subscribe.error": "SUBSCRIBE packets that ended their connection or were refused a filter",
    suback_sent = "packets.suback.sent": "SUBACK packets sent",
    unsubscribe_received = "packets.unsubscribe.received": "UNSUBSCRIBE packets received",
    unsubscribe_error = "packets.unsubscribe.error": "UNSUBSCRIBE packets that ended their connection or had a filter that is none",
    unsuback_sent = "packets.unsuback.sent": "UNSUBACK packets sent",
    pingreq_received = "packets.pingreq.received": "PINGREQ packets received",
    pingresp_sent = "packets.pingresp.sent": "PINGRESP packets sent",
    disconnect_received = "packets.disconnect.received": "DISCONNECT packets received",
    disconnect_sent = "packets.disconnect.sent": "DISCONNECT packets sent",
    auth_received = "packets.auth.received": "AUTH packets received",
    auth_sent = "packets.auth.sent": "AUTH packets sent",
    messages_received = "messages.received": "Messages received from clients",
    messages_qos0_received = "messages.qos0.received": "of which at QoS 0",
    messages_qos1_received = "messages.qos1.received": "of which at QoS 1",
    messages_qos2_received = "messages.qos2.received": "of which at QoS 2",
    messages_sent = "messages.sent": "Messages sent to clients",
    messages_qos0_sent = "messages.qos0.sent": "of which at QoS 0",
    messages_qos1_sent = "messages.qos1.sent": "of which at QoS 1",
    messages_qos2_sent = "messages.qos2.sent": "of which at QoS 2",
    messages_publish = "messages.publish": "Messages published, by clients, as wills, and when their delay was over",
    messages_will = "messages.will": "of which wills",
    messages_delivered = "messages.delivered": "Messages written to clients, repetitions too",
    messages_acked = "messages.acked": "Messages that a client has acknowledged, with PUBACK or the first PUBREC",
    messages_forward = "messages.forward": "Messages sent to other shards",
    messages_forwarded_in_vain = "messages.forwarded_in_vain": "Messages from other shards that matched nothing",
    messages_delayed = "messages.delayed": "Messages kept to be published later",
    messages_delayed_dropped = "messages.delayed.dropped": "Messages to be published later that could not be kept",
    messages_queue_received = "messages.queue.received": "Messages that message queues have taken in",
    messages_queue_settled = "messages.queue.settled": "Messages that their consumers are done with",
    messages_queue_returned = "messages.queue.returned": "Messages that a consumer left and that wait again",
    messages_queue_replaced = "messages.queue.replaced": "Messages that gave way to a newer one with the same key",
    messages_queue_dropped = "messages.queue.dropped": "Messages dropped because their message queue was full or is gone",
    messages_queue_expired = "messages.queue.expired": "Messages that expired in a message queue",
    messages_retained = "messages.retained": "Messages stored as retained",
    messages_dropped = "messages.dropped": "Messages dropped before they were for somebody, for one of the next reasons",
    messages_dropped_no_subscribers = "messages.dropped.no_subscribers": "Messages that matched no subscription",
    messages_dropped_await_pubrel_timeout = "messages.dropped.await_pubrel_timeout": "QoS 2 messages never released",
    messages_dropped_limited = "messages.dropped.limited": "Messages dropped because their publishers sent too many",
    delivery_dropped = "delivery.dropped": "Deliveries dropped, for one of the next reasons",
    delivery_dropped_no_local = "delivery.dropped.no_local": "Deliveries left out by No Local",
    delivery_dropped_queue_full = "delivery.dropped.queue_full": "Deliveries dropped because a queue was full",
    delivery_dropped_qos0_msg = "delivery.dropped.qos0_msg": "QoS 0 deliveries that could not be sent at once",
    delivery_dropped_expired = "delivery.dropped.expired": "Deliveries dropped because the message had expired",
    delivery_dropped_too_large = "delivery.dropped.too_large": "Deliveries above the client's maximum packet size",
    delivery_dropped_session_gone = "delivery.dropped.session_gone": "Shared deliveries nobody was left for",
    overload_new_conn = "overload_protection.new_conn": "Clients refused because their shard did not keep up",
    overload_delay = "overload_protection.delay.ok": "Slices of retained messages put off because the shard did not keep up",
    sysmon_long_schedule = "sysmon.long_schedule": "Times a shard was late for its appointment of the second",
    sysmon_long_schedule_ms = "sysmon.long_schedule.milliseconds": "by how much in all",
    retained_dropped = "retained.dropped": "Retained messages not stored because of a limit",
}

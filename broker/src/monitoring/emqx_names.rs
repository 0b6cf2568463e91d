//! Which of the names that EMQX 5.8 tells Prometheus, and that its public Grafana dashboards ask for, are on the page.
//!
//! Absent: those of parts that ringmq has nothing of, such as `emqx_mria_*` and `emqx_ds_*`.

use super::prometheus::{Told, text};
use crate::counters::SharedCounters;
use crate::sysmon::Usage;
use ringmq_drive::Control;
use std::collections::BTreeSet;
use std::time::Duration;

/// On the page.
const SERVED: &str = "
    bytes_received bytes_sent
    packets_received packets_sent packets_connect packets_connack_sent packets_connack_error packets_publish_received
    packets_publish_sent packets_publish_inuse packets_publish_error packets_publish_dropped packets_puback_received
    packets_puback_sent packets_puback_inuse packets_puback_missed packets_pubrec_received packets_pubrec_sent
    packets_pubrec_inuse packets_pubrec_missed packets_pubrel_received packets_pubrel_sent packets_pubrel_missed
    packets_pubcomp_received packets_pubcomp_sent packets_pubcomp_inuse packets_pubcomp_missed
    packets_subscribe_received packets_subscribe_error packets_suback_sent packets_unsubscribe_received
    packets_unsubscribe_error packets_unsuback_sent packets_pingreq_received packets_pingresp_sent
    packets_disconnect_received packets_disconnect_sent packets_auth_received packets_auth_sent
    messages_received messages_sent messages_qos0_received messages_qos0_sent messages_qos1_received messages_qos1_sent
    messages_qos2_received messages_qos2_sent messages_publish messages_dropped messages_dropped_expired
    messages_dropped_no_subscribers messages_forward messages_retained messages_delayed messages_delivered
    messages_acked
    delivery_dropped delivery_dropped_no_local delivery_dropped_too_large delivery_dropped_qos0_msg
    delivery_dropped_queue_full delivery_dropped_expired
    client_connect client_connack client_connected client_auth_anonymous client_subscribe client_unsubscribe
    client_disconnected client_disconnected_reason
    session_created session_resumed session_takenover session_discarded session_terminated
    authentication_success authentication_success_anonymous
    overload_protection_delay_ok overload_protection_new_conn
    connections_count connections_max live_connections_count live_connections_max channels_count channels_max
    sessions_count sessions_max cluster_sessions_count cluster_sessions_max topics_count topics_max suboptions_count
    suboptions_max subscribers_count subscribers_max subscriptions_count subscriptions_max subscriptions_shared_count
    subscriptions_shared_max retained_count retained_max delayed_count delayed_max
    vm_cpu_use vm_cpu_idle vm_total_memory vm_used_memory
    cluster_nodes_running cluster_nodes_stopped";

/// Not on the page: they would stay at zero. docs/monitoring.md says why.
const MISSING: &str = "
    packets_connack_auth_error packets_publish_auth_error packets_subscribe_auth_error client_authenticate
    client_authorize authorization_allow authorization_deny authorization_cache_hit authorization_cache_miss
    authentication_failure
    overload_protection_delay_timeout overload_protection_hibernation overload_protection_gc
    durable_subscriptions_count durable_subscriptions_max
    vm_run_queue vm_process_messages_in_queues vm_mnesia_tm_mailbox_size vm_broker_pool_max_mailbox_size
    cert_expiry_at license_expiry_at conf_sync_txid";

#[test]
fn the_page_has_what_emqx_has_but_for_what_there_is_nothing_of() {
    let rows = SharedCounters::new(1).rows(&Control::new(1).expect("a control"));
    let told = Told {
        rows: &rows,
        endings: &[("tcp:default".to_owned(), "normal".to_owned(), 1)],
        usage: Some(Usage { cpu_percent: 0.0, total_memory: 1, used_memory: 1 }),
        uptime: Duration::ZERO,
    };
    let page = text(&told);
    let on_page: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split([' ', '{']).next()?.strip_prefix("emqx_"))
        .collect();
    let absent: Vec<&str> = SERVED.split_whitespace().filter(|name| !on_page.contains(name)).collect();
    assert!(absent.is_empty(), "said to be served: {absent:?}");
    let present: Vec<&str> = MISSING.split_whitespace().filter(|name| on_page.contains(name)).collect();
    assert!(present.is_empty(), "said to be missing: {present:?}");
}

//! Counters, and what else EMQX tells Prometheus, in its text format and under EMQX's names where EMQX has them.
//!
//! A value is that of the whole broker. What only ringmq has begins with `ringmq_`.

use crate::counters::{Row, is_gauge};
use crate::sysmon::Usage;
use std::fmt::Write as _;
use std::time::Duration;

/// Of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters that EMQX exports under another name than their own.
const IRREGULAR: [(&str, &str); 2] = [
    ("packets.connect.received", "emqx_packets_connect"),
    ("messages.dropped.await_pubrel_timeout", "emqx_messages_dropped_expired"),
];

/// What the page tells.
pub(super) struct Told<'a> {
    /// All counters and gauges.
    pub(super) rows: &'a [Row],
    /// How connections have ended: type and name of the listener that they came by, the reason, and how many.
    pub(super) endings: &'a [(String, String, u64)],
    /// What of the machine is used, if the system tells.
    pub(super) usage: Option<Usage>,
    /// Since the start.
    pub(super) uptime: Duration,
}

/// The page.
pub(super) fn text(told: &Told<'_>) -> String {
    let Told { rows, endings, usage, uptime } = *told;
    let mut text = String::new();
    for Row { name, sum, .. } in rows {
        let kind = if is_gauge(name) { "gauge" } else { "counter" };
        let exported = exported(name);
        let _ = writeln!(text, "# TYPE {exported} {kind}\n{exported} {sum}");
    }
    if !endings.is_empty() {
        text.push_str("# TYPE emqx_client_disconnected_reason counter\n");
    }
    for (listener, reason, count) in endings {
        let (kind, name) = listener.split_once(':').unwrap_or(("", listener));
        let (name, reason) = (label(name), label(reason));
        let labels = format!("listener_type=\"{kind}\",listener_name=\"{name}\",reason=\"{reason}\"");
        let _ = writeln!(text, "emqx_client_disconnected_reason{{{labels}}} {count}");
    }
    if let Some(Usage { cpu_percent, total_memory, used_memory }) = usage {
        let idle = 100.0 - cpu_percent;
        let _ = writeln!(text, "# TYPE emqx_vm_cpu_use gauge\nemqx_vm_cpu_use {cpu_percent:.2}");
        let _ = writeln!(text, "# TYPE emqx_vm_cpu_idle gauge\nemqx_vm_cpu_idle {idle:.2}");
        let _ = writeln!(text, "# TYPE emqx_vm_total_memory gauge\nemqx_vm_total_memory {total_memory}");
        let _ = writeln!(text, "# TYPE emqx_vm_used_memory gauge\nemqx_vm_used_memory {used_memory}");
    }
    // This one, which tells of it.
    let _ = writeln!(text, "# TYPE emqx_cluster_nodes_running gauge\nemqx_cluster_nodes_running 1");
    let _ = writeln!(text, "# TYPE emqx_cluster_nodes_stopped gauge\nemqx_cluster_nodes_stopped 0");
    let _ = writeln!(text, "# TYPE ringmq_uptime_seconds gauge\nringmq_uptime_seconds {}", uptime.as_secs());
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "# TYPE ringmq_build_info gauge\nringmq_build_info{{version=\"{version}\"}} 1");
    text
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn exported(name: &str) -> String {
    if let Some((_, exported)) = IRREGULAR.iter().find(|(known, _)| *known == name) {
        return (*exported).to_owned();
    }
    let prefix = if name.starts_with("driver.") { "ringmq_" } else { "emqx_" };
    format!("{prefix}{}", name.replace(['.', '-'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::SharedCounters;
    use ringmq_drive::Control;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_has_a_name_of_its_own_that_prometheus_takes() {
        let rows = SharedCounters::new(1).rows(&Control::new(1).expect("a control"));
        assert!(IRREGULAR.iter().all(|(known, _)| rows.iter().any(|row| row.name == *known)), "all of them exist");
        let usage = Some(Usage { cpu_percent: 12.5, total_memory: 1 << 40, used_memory: 1 << 39 });
        let page = text(&Told { rows: &rows, endings: &[], usage, uptime: Duration::from_secs(9) });
        let mut seen = BTreeSet::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, _) = line.split_once([' ', '{']).expect("a value");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
            assert!(seen.insert(name.to_owned()), "{name} stands twice");
        }
        assert_eq!(seen.len(), rows.len() + 8);
        assert!(page.contains("\nemqx_vm_cpu_use 12.50\n") && page.contains("\nemqx_vm_cpu_idle 87.50\n"), "{page}");
        assert!(page.contains("\nemqx_vm_total_memory 1099511627776\n"), "{page}");
    }

    #[test]
    fn how_connections_ended_is_told_by_listener_and_reason() {
        let ending = |id: &str, reason: &str, count| (id.to_owned(), reason.to_owned(), count);
        let endings = [ending("tcp:default", "normal", 3), ending("tcp:a\"b\\", "kicked", 1)];
        let page = text(&Told { rows: &[], endings: &endings, usage: None, uptime: Duration::ZERO });
        let expected = "# TYPE emqx_client_disconnected_reason counter\n\
             emqx_client_disconnected_reason{listener_type=\"tcp\",listener_name=\"default\",reason=\"normal\"} 3\n\
             emqx_client_disconnected_reason{listener_type=\"tcp\",listener_name=\"a\\\"b\\\\\",reason=\"kicked\"} 1\n";
        assert!(page.starts_with(expected), "{page}");
        assert!(!page.contains("emqx_vm_"), "the system does not tell");
    }

    #[test]
    fn names_and_types_are_emqx_ones() {
        let rows = ["connections.count", "messages.received", "packets.connect.received", "driver.turns"];
        let rows: Vec<_> = rows.iter().map(|name| Row::of_shards(name, vec![1, 2])).collect();
        let page = text(&Told { rows: &rows, endings: &[], usage: None, uptime: Duration::from_secs(9) });
        let expected = "# TYPE emqx_connections_count gauge\nemqx_connections_count 3\n\
                        # TYPE emqx_messages_received counter\nemqx_messages_received 3\n\
                        # TYPE emqx_packets_connect counter\nemqx_packets_connect 3\n\
                        # TYPE ringmq_driver_turns counter\nringmq_driver_turns 3\n\
                        # TYPE emqx_cluster_nodes_running gauge\nemqx_cluster_nodes_running 1\n\
                        # TYPE emqx_cluster_nodes_stopped gauge\nemqx_cluster_nodes_stopped 0\n\
                        # TYPE ringmq_uptime_seconds gauge\nringmq_uptime_seconds 9\n";
        assert!(page.starts_with(expected), "{page}");
    }
}

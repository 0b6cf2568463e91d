//! Counters in Prometheus' text format, under EMQX's names where EMQX has them.
//!
//! A value is that of the whole broker. What only ringmq has begins with `ringmq_`.

use crate::counters::{Row, is_gauge};
use std::fmt::Write as _;
use std::time::Duration;

/// Of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters that EMQX exports under another name than their own.
const IRREGULAR: [(&str, &str); 3] = [
    ("messages.dropped.await_pubrel_timeout", "emqx_messages_dropped_expired"),
    ("driver.received_bytes", "emqx_bytes_received"),
    ("driver.sent_bytes", "emqx_bytes_sent"),
];

/// The page of these counters.
pub(super) fn text(rows: &[Row], uptime: Duration) -> String {
    let mut text = String::new();
    for Row { name, sum, .. } in rows {
        let kind = if is_gauge(name) { "gauge" } else { "counter" };
        let exported = exported(name);
        let _ = writeln!(text, "# TYPE {exported} {kind}\n{exported} {sum}");
    }
    let _ = writeln!(text, "# TYPE ringmq_uptime_seconds gauge\nringmq_uptime_seconds {}", uptime.as_secs());
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "# TYPE ringmq_build_info gauge\nringmq_build_info{{version=\"{version}\"}} 1");
    text
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
        let page = text(&rows, Duration::from_secs(9));
        let mut seen = BTreeSet::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, _) = line.split_once([' ', '{']).expect("a value");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
            assert!(seen.insert(name.to_owned()), "{name} stands twice");
        }
        assert_eq!(seen.len(), rows.len() + 2);
    }

    #[test]
    fn names_and_types_are_emqx_ones() {
        let rows = ["connections.count", "messages.received", "driver.received_bytes", "driver.turns"];
        let rows: Vec<_> = rows.iter().map(|name| Row::of_shards(name, vec![1, 2])).collect();
        let page = text(&rows, Duration::from_secs(9));
        let expected = "# TYPE emqx_connections_count gauge\nemqx_connections_count 3\n\
                        # TYPE emqx_messages_received counter\nemqx_messages_received 3\n\
                        # TYPE emqx_bytes_received counter\nemqx_bytes_received 3\n\
                        # TYPE ringmq_driver_turns counter\nringmq_driver_turns 3\n\
                        # TYPE ringmq_uptime_seconds gauge\nringmq_uptime_seconds 9\n";
        assert!(page.starts_with(expected), "{page}");
    }
}

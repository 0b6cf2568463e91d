//! A snapshot in Prometheus's text format.

use crate::live::{BOUNDS_US, Cumulative, Snapshot};
use crate::stage::Phase;
use std::fmt::Write;

/// All phases, for a gauge that is 1 for the one the run is in.
const PHASES: [(Phase, &str); 7] = [
    (Phase::Prepare, "prepare"),
    (Phase::Connect, "connect"),
    (Phase::Retain, "retain"),
    (Phase::Subscribe, "subscribe"),
    (Phase::Traffic, "traffic"),
    (Phase::Drain, "drain"),
    (Phase::Disconnect, "disconnect"),
];

/// All metrics.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let (counters, second) = (&snapshot.counters, &snapshot.second);
    let mut text = String::new();
    for (name, value, help) in [
        ("connections_total", counters.connected, "Connections accepted by the broker (CONNACK with success)."),
        ("subscriptions_total", counters.subscribed, "Clients whose subscriptions were granted."),
        ("sent_total", counters.sent, "Messages sent."),
        ("delivered_total", counters.delivered, "Messages delivered, repeated ones left out."),
        ("acknowledged_total", counters.acknowledged, "Messages acknowledged completely."),
        ("duplicates_total", counters.duplicates, "Messages delivered again."),
        ("reordered_total", counters.reordered, "Messages delivered after a later one of the same publisher."),
        ("damaged_total", counters.damaged, "Messages with a damaged payload."),
        ("held_back_total", counters.held_back, "Times the broker held back a publisher that was due."),
    ] {
        head(&mut text, name, "counter", help);
        let _ = writeln!(text, "ringmq_loadgen_{name} {value}");
    }
    head(&mut text, "errors_total", "counter", "Errors of connections.");
    for (what, count) in &snapshot.errors {
        let _ = writeln!(text, "ringmq_loadgen_errors_total{{kind=\"{}\"}} {count}", escaped(what));
    }
    head(&mut text, "phase", "gauge", "1 for the phase the run is in.");
    for (phase, name) in PHASES {
        let _ = writeln!(text, "ringmq_loadgen_phase{{phase=\"{name}\"}} {}", u8::from(phase == snapshot.phase));
    }
    let lag_s = second.lag.quantile(0.99).unwrap_or(0) as f64 / 1e6;
    for (name, value, help) in [
        ("clients", snapshot.clients as f64, "Clients planned."),
        ("connections", counters.open as f64, "Connections open now."),
        ("lost", counters.missing as f64, "Messages skipped so far; falls if they come late."),
        ("generator_busy_share", second.busy_share(), "Share of the last second in turns with input or output."),
        ("generator_lag_seconds", lag_s, "Lag behind the schedule in the last second, 99th percentile."),
    ] {
        head(&mut text, name, "gauge", help);
        let _ = writeln!(text, "ringmq_loadgen_{name} {value}");
    }
    if let Some(broker) = &snapshot.broker {
        head(&mut text, "broker_cores", "gauge", "Processors the broker kept busy in the last second.");
        let _ = writeln!(text, "ringmq_loadgen_broker_cores {}", broker.cores);
        head(&mut text, "broker_resident_bytes", "gauge", "Resident memory of the broker.");
        let _ = writeln!(text, "ringmq_loadgen_broker_resident_bytes {}", broker.rss_bytes);
    }
    for (key, name, help) in [
        ("end_to_end", "end_to_end_seconds", "From when a message was due until a subscriber had it."),
        ("acknowledge", "acknowledge_seconds", "From when a message was due until its last acknowledgement."),
        ("connect", "connect_seconds", "From when a connection was due until its CONNACK."),
    ] {
        let none = Cumulative::default();
        histogram(&mut text, name, help, snapshot.latency.get(key).unwrap_or(&none));
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP ringmq_loadgen_{name} {help}\n# TYPE ringmq_loadgen_{name} {kind}");
}

fn histogram(text: &mut String, name: &str, help: &str, all: &Cumulative) {
    head(text, name, "histogram", help);
    let mut below = 0;
    for (bound, count) in BOUNDS_US.iter().zip(all.buckets) {
        below += count;
        let _ = writeln!(text, "ringmq_loadgen_{name}_bucket{{le=\"{}\"}} {below}", *bound as f64 / 1e6);
    }
    let _ = writeln!(text, "ringmq_loadgen_{name}_bucket{{le=\"+Inf\"}} {}", all.count);
    let _ = writeln!(text, "ringmq_loadgen_{name}_sum {}", all.sum_us as f64 / 1e6);
    let _ = writeln!(text, "ringmq_loadgen_{name}_count {}", all.count);
}

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Distribution;

    #[test]
    fn every_metric_has_help_and_type_and_buckets_add_up() {
        let mut snapshot = Snapshot::new(2);
        snapshot.errors.insert("a \"b\"\nc".into(), 3);
        let mut all = Cumulative::default();
        all.add(&Distribution::from_pairs([(40, 1), (150, 2), (90_000_000, 4)]));
        snapshot.latency.insert("end_to_end".into(), all);
        let text = render(&snapshot);
        assert!(text.contains("ringmq_loadgen_errors_total{kind=\"a \\\"b\\\"\\nc\"} 3\n"), "{text}");
        for line in [
            "bucket{le=\"0.00005\"} 1",
            "bucket{le=\"0.0002\"} 3",
            "bucket{le=\"60\"} 3",
            "bucket{le=\"+Inf\"} 7",
            "sum 360.00034",
            "count 7",
        ] {
            assert!(text.contains(&format!("\nringmq_loadgen_end_to_end_seconds_{line}\n")), "{line} in {text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(
                text.contains(&format!("# TYPE {family} ")) && text.contains(&format!("# HELP {family} ")),
                "{name}"
            );
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
}

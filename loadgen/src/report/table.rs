//! The result as an aligned table. Absent: figures that are not in the JSON line.

use super::{Parameters, Report, Verdict};
use crate::checks::Tally;
use crate::figures::rounded;
use crate::latency::Percentiles;
use std::fmt::Write;

/// Width of the column of names.
const NAME_WIDTH: usize = 27;

/// Renders a report.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let scenario = &report.scenario;
    let mut title =
        format!("{} {} publishers, {} subscribers", scenario.name, scenario.publishers, scenario.subscribers);
    if scenario.publishers == 0 {
        title = format!("{} {} clients", scenario.name, scenario.subscribers);
    }
    if let Some(group) = &scenario.share {
        let _ = write!(title, ", shared by group {group}");
    }
    let _ = writeln!(out, "{title}, MQTT level {}, {}", scenario.mqtt, scenario.target);
    if scenario.publishers > 0 {
        let pace = match (scenario.rate, scenario.window) {
            (Some(rate), _) => format!("open loop, {} messages/s", rounded(rate as f64)),
            (None, None) => "nothing but retained messages".into(),
            (None, window) => format!("closed loop, {} in flight per publisher", window.unwrap_or(0)),
        };
        let (qos, granted) = (scenario.qos, scenario.subscription_qos);
        let _ = writeln!(out, "QoS {qos} (subscriptions {granted}), {}, {pace}", payload(scenario));
    }
    let _ = writeln!(out);

    connect(&mut out, report);
    if scenario.publishers > 0 || report.checks.foreign > 0 {
        traffic(&mut out, report);
    }
    for disturbance in &report.disturbances {
        row(&mut out, disturbance.kind.name(), &disturbance.row());
    }
    if let Some(broker) = &report.broker {
        let each = broker.cpu_us_per_delivery.map_or_else(String::new, |each| format!(", {each:.3} us per delivery"));
        let split = format!("user {:.2} s, system {:.2} s", broker.user_s, broker.system_s);
        row(&mut out, "broker CPU", &format!("{:.2} cores{each} ({split})", broker.cores));
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (rss, pss) = (mebibytes(broker.rss_bytes), mebibytes(broker.pss_bytes));
        row(&mut out, "broker memory", &format!("RSS {rss:.1} MiB, PSS {pss:.1} MiB"));
    }
    simulated(&mut out, report);
    generator(&mut out, report);
    if !report.generator.workers.is_empty() {
        row(&mut out, "workers", &crate::workers::summary(&report.generator.workers));
    }
    latencies(&mut out, report);
    let _ = writeln!(out);
    let verdict = match report.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
        Verdict::Invalid if report.interrupted => "INVALID: ended early",
        Verdict::Invalid => "INVALID: the schedule was not kept",
    };
    row(&mut out, "verdict", verdict);
    out
}

fn connect(out: &mut String, report: &Report) {
    let connect = &report.connect;
    let mut text =
        format!("{} in {:.3} s, {}/s", rounded(connect.connected as f64), connect.seconds, rounded(connect.per_second));
    if let Some(each) = connect.broker_cpu_us {
        let _ = write!(text, ", broker CPU {each:.1} us each");
    }
    if let Some(each) = connect.broker_bytes {
        let _ = write!(text, ", broker memory {} bytes each", rounded(each));
    }
    row(out, "connected", &text);
}

fn traffic(out: &mut String, report: &Report) {
    let traffic = &report.traffic;
    let rate = |count: u64, each: f64| {
        format!("{:>14} msgs/s  ({} in {:.2} s)", rounded(each), rounded(count as f64), traffic.seconds)
    };
    if report.scenario.publishers > 0 {
        row(out, "sent", &rate(traffic.sent, traffic.sent_per_second));
    }
    row(out, "delivered", &rate(traffic.delivered, traffic.delivered_per_second));
    let checks = &report.checks;
    let mut text = checked(checks);
    if checks.missed > 0 {
        let _ = write!(text, ", {} missed while away", checks.missed);
    }
    if checks.dropped > 0 {
        let _ = write!(text, ", {} dropped for slow readers", checks.dropped);
    }
    if checks.damaged > 0 {
        let _ = write!(text, ", {} damaged", checks.damaged);
    }
    if checks.foreign > 0 && report.scenario.publishers > 0 {
        let _ = write!(text, ", {} of other origin ignored", checks.foreign);
    }
    if checks.unnumbered > 0 {
        let _ = write!(text, ", {} of {} had no number", checks.unnumbered, checks.foreign);
    }
    row(out, "checks (whole run)", &text);
    let unmade = checks.unmade.names();
    if !unmade.is_empty() {
        row(out, "not checked", &unmade.join(", "));
    }
    if let Some(segments) = traffic.segments_per_delivery {
        row(out, "TCP segments", &format!("{segments:.3} per delivery"));
    }
}

/// What a message was, in a few words.
fn payload(scenario: &Parameters) -> String {
    let mut text = format!("{} bytes", scenario.sizes.clone().unwrap_or_else(|| scenario.size.to_string()));
    if !matches!(scenario.payload.as_str(), "" | "pattern") {
        let _ = write!(text, " at most of a {}", scenario.payload);
    }
    if scenario.payload_headers != ["stamp"] && !scenario.payload_headers.is_empty() {
        let _ = write!(text, " with {}", scenario.payload_headers.join(","));
    }
    text
}

/// The counts of the checks that were made.
fn checked(checks: &Tally) -> String {
    let unmade = &checks.unmade;
    let lost = if unmade.loss_is_counted { "lost (by count)" } else { "lost" };
    let counts = [
        (unmade.loss, checks.lost, lost),
        (unmade.duplicates, checks.duplicates, "duplicates"),
        (unmade.order, checks.reordered, "reordered"),
    ];
    let made: Vec<String> =
        counts.into_iter().filter(|(unmade, ..)| !unmade).map(|(_, count, what)| format!("{count} {what}")).collect();
    if made.is_empty() { "none".into() } else { made.join(", ") }
}

fn simulated(out: &mut String, report: &Report) {
    let Some(simulated) = &report.simulated else { return };
    let mut text = format!("{}", simulated.broker_shards);
    for (each, of) in [(simulated.connect_cpu_us, "connection"), (simulated.broker_cpu_us_per_delivery, "delivery")] {
        if let Some(each) = each {
            let _ = write!(text, ", CPU {each:.3} us per {of}");
        }
    }
    if simulated.handed_over > 0 {
        let _ = write!(text, ", {} connections handed over", rounded(simulated.handed_over as f64));
    }
    row(out, "shards (no kernel)", &text);
    let (Some(broker), Some(generator)) = (simulated.broker_bytes_per_client, simulated.generator_bytes_per_client)
    else {
        return;
    };
    let whole = rounded(simulated.ready_pss_bytes as f64 / f64::from(1 << 20));
    let text = format!(
        "broker's half {} bytes per client, generator's {}; the process {whole} MiB when all were ready",
        rounded(broker),
        rounded(generator)
    );
    row(out, "memory", &text);
}

fn generator(out: &mut String, report: &Report) {
    let generator = &report.generator;
    let cores: Vec<String> =
        generator.cores.iter().map(|core| core.map_or_else(|| "any".into(), |core| core.to_string())).collect();
    let each = generator.busy_us_per_delivery.map_or_else(String::new, |each| format!(", {each:.3} us per delivery"));
    let mut text = format!(
        "busy {:.1} %{each}, waited for a core {:.1} % ({}, core {})",
        generator.busy_share * 100.0,
        generator.wait_share * 100.0,
        generator.driver,
        cores.join(",")
    );
    if let Some(kept) = generator.schedule_kept {
        let _ = write!(text, ", {:.2} % of the schedule", kept * 100.0);
    }
    for (count, what) in [
        (generator.held_back, "sends held back by the broker"),
        (generator.unsent, "never sent"),
        (generator.stalls, "stalled windows restarted"),
        (generator.pings, "pings"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    row(out, "generator", &text);
}

fn latencies(out: &mut String, report: &Report) {
    const NAMES: [(&str, &str); 14] = [
        ("connect", "TCP to CONNACK"),
        ("connack", "CONNECT to CONNACK"),
        ("subscribe", "SUBSCRIBE to SUBACK"),
        ("reconnect", "lost to CONNACK"),
        ("takeover", "take-over to CONNACK"),
        ("unsubscribe", "UNSUBSCRIBE to UNSUBACK"),
        ("resubscribe", "SUBSCRIBE again"),
        ("replay", "CONNACK to caught up"),
        ("retained", "SUBSCRIBE to all retained"),
        ("end_to_end", "end to end"),
        ("end_to_end_undisturbed", "  of the undisturbed"),
        ("acknowledge", "publish to ack"),
        ("generator_lag", "generator lag"),
        ("generator_read", "generator read"),
    ];
    if report.latency.is_empty() {
        return;
    }
    let _ = writeln!(out);
    let _ = write!(out, "{:<NAME_WIDTH$}", "latency, us");
    for column in ["p50", "p90", "p99", "p99.9", "p99.99", "max", "count"] {
        let _ = write!(out, "{column:>12}");
    }
    let _ = writeln!(out);
    for (name, label) in NAMES {
        if let Some(found) = report.latency.get(name) {
            let Percentiles { p50_us, p90_us, p99_us, p999_us, p9999_us, max_us, count, .. } = *found;
            let _ = write!(out, "{label:<NAME_WIDTH$}");
            for value in [p50_us, p90_us, p99_us, p999_us, p9999_us, max_us] {
                let _ = write!(out, "{value:>12.1}");
            }
            let _ = writeln!(out, "{count:>12}");
        }
    }
}

fn row(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{name:<NAME_WIDTH$}{text}");
}

//! The scripts' arithmetic: lines in, lines out.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a command of `scripts/lib/results.py` on a text.
fn results(arguments: &[&str], input: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lib/results.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the script reads");
    let output = child.wait_with_output().expect("the script ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

fn line(server: &str, verdict: &str, cost: f64) -> String {
    format!(
        r#"{{"label":"p2p","server":"{server}","round":1,"verdict":"{verdict}","traffic":{{"delivered":9,
        "delivered_per_second":1000.0,"segments_per_delivery":0.5}},"broker":{{"cpu_us_per_delivery":{cost}}},
        "scenario":{{"rate":1000}},
        "latency":{{"end_to_end":{{"p50_us":46.4,"p99_us":339.0,"p999_us":2527.0,"max_us":4211.0}}}}}}"#
    )
    .replace('\n', " ")
}

#[test]
fn the_better_floor_is_that_which_passed_and_cost_less() {
    let runs = |epoll| [line("floor", "passed", 0.8), line("floor-epoll", epoll, 0.5), line("ringmq", "passed", 1.0)];
    let better = results(&["floors"], &runs("passed").join("\n"));
    assert!(better.lines().last().unwrap().contains(r#""floor":{"server":"floor-epoll","cpu_us":0.5,"ratio":2.0}"#));
    let other_failed = results(&["floors"], &runs("failed").join("\n"));
    assert!(other_failed.lines().last().unwrap().contains(r#""floor":{"server":"floor","cpu_us":0.8,"ratio":1.25}"#));
    let without = results(&["floors"], &line("ringmq", "passed", 1.0));
    assert!(!without.contains(r#""floor""#), "no floor, no ratio: {without}");
    let table = results(&["compare", "floor", "ringmq"], &runs("passed").join("\n"));
    assert!(table.lines().any(|row| row.contains("ringmq") && row.contains("2.00-2.00")), "{table}");
    let latencies = ["p2p", "ringmq", "46", "339", "2,527", "4,211"];
    assert!(table.lines().any(|row| row.split_whitespace().eq(latencies)), "{table}");
}

#[test]
fn counts_are_rates_over_their_own_windows() {
    let file = std::env::temp_dir().join(format!("ringmq-counts-{}", std::process::id()));
    let counts = r#"{"seconds":2.0,"traced_seconds":1.0,"system_calls":500,"ring_requests":null,"wake_ups":200,"preemptions":0}"#;
    std::fs::write(&file, counts).expect("a temporary file");
    let each = results(&["kernel", file.to_str().expect("text")], &line("ringmq", "passed", 1.0));
    std::fs::remove_file(&file).expect("it is there");
    let expected =
        r#""system_calls": 0.5, "ring_requests": null, "wake_ups": 0.1, "preemptions": 0.0, "segments": 0.5"#;
    assert!(each.contains(expected), "{each}");
}

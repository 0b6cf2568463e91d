//! The tools for judging results, end to end, on synthetic results with known truth: a slower build is flagged, an
//! identical one is not, and what cannot be judged is said so.

use ringmq_bench::stats::random::Random;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Scenarios of the synthetic results, with the CPU microseconds of a delivery.
const SCENARIOS: [(&str, f64); 4] =
    [("p2p-q0-w16", 1.2), ("p2p-q1-w16", 2.1), ("fanin-q0-w4", 0.9), ("fanout-q0-w8", 0.4)];

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, lines).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A line as the load generator writes it. `slower` multiplies what a delivery costs in the scenario named.
fn line(random: &mut Random, (label, cpu): (&str, f64), round: usize, slower: (&str, f64), verdict: &str) -> String {
    let cpu = cpu * if slower.0 == label { slower.1 } else { 1.0 };
    let mut noisy = |value: f64, noise: f64| value * (noise * random.normal()).exp();
    let mut figures = vec![noisy(cpu, 0.02), noisy(300_000.0 / cpu, 0.02)];
    figures.extend([(5000.0, 0.04), (9000.0, 0.06), (20_000.0, 0.12), (2000.0, 0.01)].map(|(v, n)| noisy(v * cpu, n)));
    let [cpu, per_second, p50, p99, p999, bytes] = figures[..] else { unreachable!("six figures") };
    format!(
        r#"{{"schema":1,"ended_unix_ms":{round},"host":{{"kernel":"k","cpu":"c","cpus":2,"congestion_control":"reno"}},"scenario":{{"name":"p2p"}},"verdict":"{verdict}","connect":{{"broker_bytes":{bytes}}},"traffic":{{"delivered":1000,"delivered_per_second":{per_second}}},"latency":{{"end_to_end":{{"p50_us":{p50},"p99_us":{p99},"p999_us":{p999}}}}},"broker":{{"cpu_us_per_delivery":{cpu}}},"server":"ringmq","label":"{label}","round":{round},"commit":"{commit}"}}"#,
        commit = if slower.1 > 1.0 { "fed987" } else { "abc123" }
    )
}

fn results(seed: u64, rounds: usize, slower: (&str, f64)) -> String {
    let mut random = Random::new(seed);
    let lines = (1..=rounds).flat_map(|round| SCENARIOS.map(|scenario| (round, scenario)));
    lines.map(|(round, scenario)| line(&mut random, scenario, round, slower, "passed") + "\n").collect()
}

fn compare(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringmq-compare")).args(arguments).output().unwrap()
}

/// Rows of the table with this judgement, each as scenario and metric.
fn judged(output: &Output, judgement: &str) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows = text.lines().filter(|line| line.ends_with(&format!("| {judgement} |")));
    rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" ").replace("| ", "")).collect()
}

#[test]
fn a_slower_build_is_flagged_where_it_is_slower_and_nowhere_else() {
    let directory = Directory::new("slower");
    let a = directory.write("a.jsonl", &results(1, 10, ("", 1.0)));
    let b = directory.write("b.jsonl", &results(2, 10, ("p2p-q1-w16", 1.1)));
    let html = directory.0.join("page.html");
    let output = compare(&[&a, &b, Path::new("--html"), &html]);
    assert_eq!(output.status.code(), Some(1));
    let worse = judged(&output, "WORSE");
    assert!(worse.contains(&"p2p-q1-w16 server CPU, µs each".to_owned()), "{worse:?}");
    assert!(worse.contains(&"p2p-q1-w16 per second".to_owned()), "{worse:?}");
    assert!(worse.iter().all(|row| row.starts_with("p2p-q1-w16")), "{worse:?}");
    assert_eq!(judged(&output, "better"), Vec::<String>::new());

    let turned = compare(&[&b, &a]);
    assert_eq!(turned.status.code(), Some(0));
    assert_eq!(judged(&turned, "better"), worse);

    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg") && page.contains("polyline"));
    for outside in ["http", "src=", "href=", "@import", "url(", "NaN", "inf"] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
}

#[test]
fn identical_builds_are_not_flagged() {
    let directory = Directory::new("identical");
    let mut alarms = 0;
    for seed in 0..40 {
        let a = directory.write("a.jsonl", &results(1000 + seed, 10, ("", 1.0)));
        let b = directory.write("b.jsonl", &results(2000 + seed, 10, ("", 1.0)));
        let output = compare(&[&a, &b]);
        alarms += usize::from(!judged(&output, "WORSE").is_empty() || !judged(&output, "better").is_empty());
    }
    // At most one report in twenty may have a false alarm: 2 of 40 are to be expected, 7 or more have chance 0.003.
    assert!(alarms < 7, "{alarms} of 40 comparisons of a build with itself were flagged");
}

#[test]
fn two_sides_may_be_in_one_file() {
    let directory = Directory::new("sides");
    let lines = results(1, 10, ("", 1.0)) + &results(2, 10, ("fanin-q0-w4", 1.2)).replace("\"ringmq\"", "\"other\"");
    let file = directory.write("both.jsonl", &lines);
    let by_server = compare(&[&file, Path::new("--sides"), Path::new("ringmq,other")]);
    let by_commit = compare(&[&file, Path::new("--sides"), Path::new("abc,fed")]);
    let nothing = compare(&[&file, Path::new("--sides"), Path::new("ringmq,nobody")]);
    assert_eq!(by_server.status.code(), Some(1));
    assert!(judged(&by_server, "WORSE").iter().all(|row| row.starts_with("fanin-q0-w4")));
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(judged(&by_commit, "WORSE"), judged(&by_server, "WORSE"));
}

#[test]
fn too_few_runs_are_said_to_be_too_few() {
    let directory = Directory::new("few");
    let a = directory.write("a.jsonl", &results(1, 3, ("", 1.0)));
    let b = directory.write("b.jsonl", &results(2, 3, ("", 1.5)));
    let output = compare(&[&a, &b]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(judged(&output, "too few runs").len(), SCENARIOS.len() * 6);
}

#[test]
fn a_build_that_fails_its_checks_is_worse_whatever_its_speed() {
    let directory = Directory::new("broken");
    let good = results(1, 10, ("", 1.0));
    let a = directory.write("a.jsonl", &good);
    let b = directory.write("b.jsonl", &good.replacen("\"passed\"", "\"failed\"", 1));
    let output = compare(&[&a, &b]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("1 runs of B failed their checks, 0 of A"));
}

#[test]
fn results_of_the_future_are_refused() {
    let directory = Directory::new("future");
    let file = directory.write("a.jsonl", "{\"schema\":99}\n");
    let output = compare(&[&file, &file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 1 has schema 99"));
}

#[test]
fn the_history_has_a_point_for_every_commit() {
    let directory = Directory::new("history");
    let a = directory.write("a.jsonl", &results(1, 3, ("", 1.0)));
    let b = directory.write("b.jsonl", &results(2, 3, ("p2p-q1-w16", 1.1)));
    let html = directory.0.join("history.html");
    let status = Command::new(env!("CARGO_BIN_EXE_ringmq-history")).args([&a, &b]).arg("--html").arg(&html).status();
    assert!(status.unwrap().success());
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("24 runs, 2 commits and machines"), "{page}");
    assert!(SCENARIOS.iter().all(|(label, _)| page.contains(&format!("<h2>{label}</h2>"))));
    assert!(!page.contains("NaN") && !page.contains("http"));
}

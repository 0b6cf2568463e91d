//! Runs that are watched and ended early, with the real binary: metrics that rise, signals that end in a report.

mod support;

use ringmq_loadgen::report::Verdict;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use support::{Broker, brokers, generator, read};

/// A run that lasts until it is ended.
const LONG: &str = "--duration 300s --warmup 0s --report-every 250ms";

/// Alone, and as a coordinator of workers: what is seen and what signals do is the same.
const PROCESSES: [&str; 2] = ["", "--processes 2 --no-spin"];

fn start(line: &str, port: u16) -> (Child, BufReader<ChildStderr>) {
    let mut child = generator(line, port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap());
    (child, errors)
}

/// Reads standard error until a line begins like this; returns its rest.
fn await_line(errors: &mut impl BufRead, beginning: &str) -> String {
    let (mut line, mut all) = (String::new(), String::new());
    while errors.read_line(&mut line).unwrap() > 0 {
        if let Some(rest) = line.strip_prefix(beginning) {
            return rest.trim().to_owned();
        }
        all.push_str(&std::mem::take(&mut line));
    }
    panic!("no line `{beginning}`: {all}");
}

/// Each broker, for each of [`PROCESSES`].
fn brokers_and_ways() -> impl Iterator<Item = (Broker, &'static str)> {
    PROCESSES.into_iter().flat_map(|how| brokers().into_iter().map(move |broker| (broker, how)))
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn a_signal_ends_a_run_early_with_a_report() {
    for broker in brokers() {
        for (kind, how) in [Signal::INT, Signal::TERM].into_iter().flat_map(|kind| PROCESSES.map(|how| (kind, how))) {
            let line = format!("p2p --pairs 5 --qos 1 --window 4 {LONG} {how}");
            let (child, mut errors) = start(&line, broker.port);
            await_line(&mut errors, "measure: 10/10 clients, ");
            signal(child.id(), kind);
            let output = child.wait_with_output().unwrap();
            let (report, code, _) = read(&line, &output);
            assert_eq!((report.interrupted, report.verdict, code), (true, Verdict::Invalid, 3));
            assert!(report.reasons[0].starts_with("interrupted: measured for "), "{:?}", report.reasons);
            assert_eq!((report.checks.lost, report.checks.delivered), (0, report.traffic.sent_in_all));
            assert!(report.traffic.delivered > 0 && report.traffic.seconds < 299.0);
        }
    }
}

#[test]
fn a_signal_while_connecting_ends_the_run_without_traffic() {
    for (broker, how) in brokers_and_ways() {
        let line = format!("p2p --pairs 500 --rate 10 --connect-rate 2 {LONG} {how}");
        let (child, mut errors) = start(&line, broker.port);
        await_line(&mut errors, "connect: ");
        signal(child.id(), Signal::INT);
        let (report, code, _) = read(&line, &child.wait_with_output().unwrap());
        assert_eq!((report.interrupted, code, report.traffic.sent_in_all), (true, 3, 0));
        assert_eq!(report.reasons.len(), 1, "{:?}", report.reasons);
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (broker, how) in brokers_and_ways() {
        let (child, mut errors) = start(&format!("p2p --pairs 2 --qos 1 --drain 300s {LONG} {how}"), broker.port);
        let still = |line: &str| line.contains(", sent 0/s, delivered 0/s, ");
        while still(&await_line(&mut errors, "measure: ")) {}
        signal(broker.pid(), Signal::STOP);
        // The generator takes what the broker sent before, and answers; that can never arrive, so that the drain lasts.
        while !still(&await_line(&mut errors, "measure: ")) {}
        signal(child.id(), Signal::INT);
        await_line(&mut errors, "drain: ");
        signal(child.id(), Signal::INT);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0));
        // The workers have the other end of this pipe, which ends when they do.
        errors.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// Scrapes the endpoint; every line must be a comment or a number with its name.
fn scrape(address: &str) -> BTreeMap<String, f64> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"), "{head}");
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
    };
    body.lines().filter(|line| !line.starts_with('#')).map(value).collect()
}

#[test]
fn metrics_rise_while_the_run_goes_on() {
    for (broker, how) in brokers_and_ways() {
        let pid = broker.pid();
        let line = format!("p2p --pairs 5 --qos 1 --rate 1000 --prometheus 0 --pid {pid} {LONG} {how}");
        let (child, mut errors) = start(&line, broker.port);
        let url = await_line(&mut errors, "metrics at http://");
        let address = url.strip_suffix("/metrics").unwrap();
        await_line(&mut errors, "measure: 10/10 clients, ");
        let rising = ["sent_total", "delivered_total", "acknowledged_total", "end_to_end_seconds_count"];
        let of = |seen: &BTreeMap<String, f64>, name: &str| seen[&format!("ringmq_loadgen_{name}")];
        let first = scrape(address);
        assert_eq!((of(&first, "connections"), of(&first, "connections_total")), (10.0, 10.0));
        assert_eq!(of(&first, "phase{phase=\"traffic\"}"), 1.0);
        assert!(of(&first, "broker_resident_bytes") > 1e5);
        let mut last = first.clone();
        while !rising.iter().all(|name| of(&last, name) > of(&first, name)) {
            // Each line is a quarter of a second.
            await_line(&mut errors, "measure: ");
            last = scrape(address);
        }
        assert_eq!(of(&last, "end_to_end_seconds_bucket{le=\"+Inf\"}"), of(&last, "end_to_end_seconds_count"));
        signal(child.id(), Signal::INT);
        let (report, ..) = read(&line, &child.wait_with_output().unwrap());
        assert!(report.traffic.sent_in_all as f64 >= of(&last, "sent_total"));
        assert!(report.latency["acknowledge"].count as f64 >= of(&first, "acknowledged_total"));
    }
}

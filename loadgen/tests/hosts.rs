//! Runs over two hosts: two network namespaces joined by a pair of virtual Ethernet devices, each with its own stack, and
//! a time namespace whose monotonic clock is an hour ahead for the agent.
//!
//! Needs root, `ip` and `unshare`; without them the tests say that they are skipped.

mod support;

use ringmq_loadgen::report::Report;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::{MOSQUITTO, await_line, read, scratch};

/// How far the agent's clock is ahead.
const AHEAD_S: u32 = 3600;

/// The first host's address, the second one's, and where the broker and the agent listen.
const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";
const BROKER: &str = "10.77.0.1:1883";
const AGENT: &str = "10.77.0.2:7883";

/// Two hosts on one wire; gone with this value.
struct Hosts {
    near: String,
    far: String,
}

impl Hosts {
    /// Makes them; `None`, with a word on standard error, if that is not possible here.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for (missing, what) in [
            (!rustix::process::geteuid().is_root(), "network namespaces need root"),
            (!Path::new(MOSQUITTO).exists(), "mosquitto is not installed"),
            (Command::new("ip").arg("-V").output().is_err(), "ip is not installed (apt-get install iproute2)"),
            (!Path::new("/proc/self/ns/time").exists(), "the kernel has no time namespaces"),
        ] {
            if missing {
                eprintln!("SKIPPED: {what}");
                return None;
            }
        }
        let name = format!("loadgen-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let hosts = Self { near: format!("{name}-near"), far: format!("{name}-far") };
        for namespace in [&hosts.near, &hosts.far] {
            if !ip(&format!("netns add {namespace}")) {
                eprintln!("SKIPPED: no network namespaces can be made here");
                return None;
            }
        }
        assert!(ip(&format!("link add veth0 netns {} type veth peer name veth0 netns {}", hosts.near, hosts.far)));
        for (namespace, address) in [(&hosts.near, NEAR), (&hosts.far, FAR)] {
            assert!(ip(&format!("-n {namespace} address add {address}/24 dev veth0")));
            assert!(ip(&format!("-n {namespace} link set lo up")) && ip(&format!("-n {namespace} link set veth0 up")));
        }
        Some(hosts)
    }

    /// The generator on one of them.
    fn generator(&self, namespace: &str, line: &str) -> Command {
        let mut command = on(namespace, env!("CARGO_BIN_EXE_ringmq-loadgen"));
        command.args(line.split_whitespace()).args(["--target", BROKER, "--json", "-"]);
        command
    }

    /// Nothing comes through any more, and nobody is told.
    fn cut_off(&self) {
        assert!(ip(&format!("-n {} link set veth0 down", self.near)));
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = ip(&format!("netns delete {}", self.near));
        let _ = ip(&format!("netns delete {}", self.far));
    }
}

fn ip(words: &str) -> bool {
    Command::new("ip").args(words.split_whitespace()).status().unwrap().success()
}

fn on(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// A process that ends with this value.
struct Process(Child, Option<PathBuf>);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = self.1.as_ref().map(std::fs::remove_file);
    }
}

fn broker(hosts: &Hosts) -> Process {
    let file = scratch("conf");
    let text = format!(
        "listener 1883 {NEAR}\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n\
         persistence false\nlog_dest stderr\nlog_type information\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut child = on(&hosts.near, MOSQUITTO).arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let broker = Process(child, Some(file));
    assert!(await_line(errors, |line| line.contains(" running").then_some(())).is_some(), "mosquitto does not start");
    broker
}

/// An agent on the far host, with a clock of its own.
fn agent(hosts: &Hosts) -> Process {
    let mut command = on(&hosts.far, "unshare");
    command.args(["--time", "--monotonic", &AHEAD_S.to_string(), "--fork", "--kill-child"]);
    command.args([env!("CARGO_BIN_EXE_ringmq-loadgen"), "agent", "--listen", AGENT]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let agent = Process(child, None);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!("listening on {AGENT}"));
    agent
}

/// What must be so whichever way messages went.
fn check(line: &str, output: &Output) -> Report {
    let (report, code, errors) = read(line, output);
    assert!(matches!(code, 0 | 3), "{code}: {errors}");
    let checks = &report.checks;
    assert_eq!((checks.lost, checks.duplicates, checks.reordered, checks.damaged), (0, 0, 0, 0), "{errors}");
    assert_eq!(checks.delivered, report.traffic.sent_in_all * u64::from(report.scenario.copies), "{errors}");
    assert!(report.generator.workers.iter().all(|worker| worker.delivered > 0), "{:?}", report.generator.workers);
    report
}

#[test]
fn messages_between_hosts_are_timed_by_one_clock() {
    let Some(hosts) = Hosts::new() else { return };
    let (_broker, _agent) = (broker(&hosts), agent(&hosts));
    // The coordinator beside the broker, and beside the agent.
    for namespace in [&hosts.near, &hosts.far] {
        let line = format!(
            "fanin --publishers 8 --subscribers 4 --all --rate 400 --qos 1 --duration 1s --warmup 100ms --drain 5s \
             --no-spin --processes 1 --agents {AGENT}"
        );
        let report = check(&line, &hosts.generator(namespace, &line).output().unwrap());
        let [own, far] = &report.generator.workers[..] else { panic!("{:?}", report.generator.workers) };
        assert_eq!((own.clock_offset_us, own.clock_uncertainty_us), (0.0, 0.0));
        let wrong_by_us = (far.clock_offset_us - f64::from(AHEAD_S) * 1e6).abs();
        assert!(far.clock_uncertainty_us > 0.0 && wrong_by_us <= far.clock_uncertainty_us, "{far:?}");
        // Half of the latencies are of messages from one clock to the other: without the offset they would be an hour,
        // or nothing.
        let latency = &report.latency["end_to_end"];
        assert!(latency.p50_us > 1.0 && latency.max_us < 60e6, "{latency:?}");
    }
}

#[test]
fn an_agent_whose_host_is_cut_off_ends_the_run_with_its_name() {
    let Some(hosts) = Hosts::new() else { return };
    let (_broker, _agent) = (broker(&hosts), agent(&hosts));
    let line = format!(
        "p2p --pairs 4 --rate 100 --duration 300s --warmup 0s --no-spin --report-every 250ms --processes 1 \
         --agents {AGENT}"
    );
    let mut command = hosts.generator(&hosts.near, &line);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let flows = |line: &String| line.starts_with("measure: 8/8 clients, ") && !line.contains("delivered 0/s");
    assert!(errors.find(flows).is_some(), "messages flow");
    hosts.cut_off();
    let cut_off = Instant::now();
    let rest: Vec<String> = errors.collect();
    let output = run.wait_with_output().unwrap();
    assert!(cut_off.elapsed() < Duration::from_secs(40), "promptly");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains(&format!("agent {AGENT} does not answer"))), "{rest:?}");
}

//! Runs over several processes: one result, as if one process had done it all, and an error by name if one is lost.

mod support;

use ringmq_loadgen::report::Report;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{Broker, brokers, generator, read, run};

const SHORT: &str = "--duration 300ms --warmup 50ms --drain 5s";

/// An agent on an address; ends with this value.
struct Agent {
    process: Child,
    address: String,
    errors: BufReader<std::process::ChildStderr>,
}

impl Agent {
    fn start(address: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq-loadgen"));
        command.args(["agent", "--listen", address]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("an agent says where it listens").to_owned();
        let errors = BufReader::new(process.stderr.take().unwrap());
        Self { process, address, errors }
    }

    fn say(&self, frame: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(frame).unwrap();
        stream
    }

    fn next_error(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a scenario with messages and looks at what must always be so.
fn deliver(line: &str, copies: u64, workers: usize, port: u16) -> Report {
    let line = format!("{line} {SHORT}");
    let (report, code, errors) = run(&line, port);
    assert!(matches!(code, 0 | 3), "`{line}` ended with {code}: {errors}");
    let checks = &report.checks;
    assert_eq!((checks.lost, checks.duplicates, checks.reordered, checks.damaged, checks.foreign), (0, 0, 0, 0, 0));
    assert_eq!(checks.delivered, report.traffic.sent_in_all * copies, "`{line}`");
    assert!(report.traffic.delivered > 0, "`{line}` delivered nothing");
    let parts = &report.generator.workers;
    assert_eq!(parts.len(), workers);
    assert_eq!(
        parts.iter().map(|part| part.clients).sum::<u32>(),
        report.scenario.publishers + report.scenario.subscribers
    );
    assert_eq!(parts.iter().map(|part| part.connected).sum::<u64>(), report.connect.connected);
    assert_eq!(parts.iter().map(|part| part.delivered).sum::<u64>(), report.traffic.delivered);
    assert!(parts.iter().all(|part| part.connected > 0 && part.clock_uncertainty_us == 0.0), "{parts:?}");
    let mut pids: Vec<u32> = parts.iter().map(|part| part.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), workers);
    report
}

#[test]
fn pairs_in_a_closed_loop() {
    for broker in brokers() {
        let report = deliver("p2p --pairs 20 --processes 2 --qos 1", 1, 2, broker.port);
        // Latencies are of messages due in the interval, deliveries of those that came in it: they differ by what was in
        // flight at its beginning and at its end, up to 20 windows of 16.
        let (timed, delivered) = (report.latency["end_to_end"].count, report.traffic.delivered);
        assert!(timed.abs_diff(delivered) <= 20 * 16, "{timed} {delivered}");
        assert!(report.generator.workers.iter().all(|part| part.clients == 20 && part.delivered > 0));
        deliver("p2p --pairs 9 --processes 2 --cores 0,1 --qos 2 --driver epoll --no-spin", 1, 2, broker.port);
    }
}

#[test]
fn messages_between_processes_at_a_rate() {
    for broker in brokers() {
        deliver("fanin --publishers 9 --subscribers 4 --all --processes 2 --rate 500", 4, 2, broker.port);
        deliver("fanout --publishers 3 --subscribers 10 --processes 3 --rate 300 --qos 1", 10, 3, broker.port);
        deliver("fanin --publishers 9 --subscribers 4 --share g --processes 2 --rate 500 --qos 2", 1, 2, broker.port);
        deliver("fanout --publishers 2 --subscribers 6 --processes 2 --qos 1 --credit ack", 6, 2, broker.port);
        deliver("run sharedsub-1K-5-1K-1K --scale 0.02 --rate 500 --processes 2", 1, 2, broker.port);
    }
}

#[test]
fn idle_connections_and_refused_ones() {
    for broker in brokers() {
        let (report, code, errors) = run("conn --clients 301 --processes 3 --duration 200ms", broker.port);
        assert_eq!((code, report.connect.connected, report.generator.workers.len()), (0, 301, 3), "{errors}");
    }
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (report, code, errors) = run("p2p --pairs 4 --processes 2 --qos 1", unused);
    assert_eq!((code, report.errors.values().sum::<u64>()), (1, 8), "{errors}");
}

#[test]
fn two_agents_do_one_run_after_the_other() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let (one, two) = (Agent::start("127.0.0.1:0"), Agent::start("127.0.0.2:0"));
    let agents = format!("--agents {},{}", one.address, two.address);
    for _ in 0..2 {
        let report = deliver(&format!("fanout --subscribers 8 --rate 200 {agents}"), 8, 2, broker.port);
        assert_eq!(report.generator.workers[1].agent.as_deref(), Some(two.address.as_str()));
    }
    deliver(&format!("p2p --pairs 6 --qos 1 --processes 1 {agents}"), 1, 3, broker.port);
}

#[test]
fn one_process_by_definition_is_refused_with_what_to_do() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq-loadgen"));
    let (code, text) = errors(&command.args(["p2p", "--simulated", "--processes", "2"]).output().unwrap());
    assert!(code == Some(2) && text.contains("one process by definition") && text.contains("leave out"), "{text}");
}

#[test]
fn the_table_says_who_did_the_work() {
    for broker in brokers() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq-loadgen"));
        let line = format!("p2p --pairs 4 --qos 1 --processes 2 --no-spin --port {} {SHORT}", broker.port);
        let output = command.args(line.split_whitespace()).output().unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        let row = table.lines().find(|line| line.starts_with("workers ")).unwrap_or_else(|| panic!("{table}"));
        assert!(row.contains("2 processes on ") && row.contains("most loaded: process "), "{row}");
    }
}

#[test]
fn a_loop_whose_credits_would_cross_processes_is_refused() {
    let output = generator("fanout --processes 2", 1).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("different processes") && errors.contains("--credit ack"), "{errors}");
}

/// Waits until messages flow, which the broker's CPU time shows.
fn await_traffic(broker: &Broker) {
    let cpu = || ringmq_loadgen::procfs::ProcessSample::take(broker.pid()).unwrap().run_ns;
    let before = cpu();
    while cpu() < before + 50_000_000 {
        std::thread::yield_now();
    }
}

fn errors(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_killed_agent_ends_the_run_with_its_name() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let (one, mut two) = (Agent::start("127.0.0.1:0"), Agent::start("127.0.0.2:0"));
    let line = format!("p2p --pairs 4 --qos 1 --duration 60s --agents {},{}", one.address, two.address);
    let run = generator(&line, broker.port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_traffic(&broker);
    two.process.kill().unwrap();
    let (code, text) = errors(&run.wait_with_output().unwrap());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(&format!("agent {} has closed the connection", two.address)), "{text}");
    // The other one closed its connections and is there for the next run.
    deliver(&format!("p2p --pairs 4 --qos 1 --agents {}", one.address), 1, 1, broker.port);
}

/// The processes that a coordinator has started, oldest first.
fn workers_of(coordinator: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let numbers =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let mut workers: Vec<u32> = numbers.filter(|pid| parent(*pid) == Some(coordinator)).collect();
    workers.sort_unstable();
    workers
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Longest that anybody waits for a run that has lost a worker: the time after which silence counts, and some for a busy
/// machine.
const LOST_AFTER: Duration = Duration::from_secs(30);

#[test]
fn a_killed_worker_ends_the_run_with_its_name_and_no_result() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let line = "p2p --pairs 4 --qos 1 --duration 300s --processes 2 --no-spin --drain 300s";
    let run = generator(line, broker.port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_traffic(&broker);
    let workers = workers_of(run.id());
    assert_eq!(workers.len(), 2);
    let killed = Instant::now();
    signal(workers[1], Signal::KILL);
    let output = run.wait_with_output().unwrap();
    assert!(killed.elapsed() < LOST_AFTER);
    let (code, text) = errors(&output);
    assert_eq!((code, output.stdout.len()), (Some(2), 0), "{text}");
    assert!(text.contains(&format!("worker 2 (process {}) has closed the connection", workers[1])), "{text}");
    assert!(!std::path::Path::new(&format!("/proc/{}", workers[0])).exists(), "the other one has ended too");
}

#[test]
fn an_agent_that_says_nothing_more_ends_the_run_with_its_name() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let (one, two) = (Agent::start("127.0.0.1:0"), Agent::start("127.0.0.2:0"));
    let line = format!("p2p --pairs 4 --qos 1 --duration 300s --no-spin --agents {},{}", one.address, two.address);
    let run = generator(&line, broker.port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_traffic(&broker);
    let stopped = Instant::now();
    signal(two.process.id(), Signal::STOP);
    let output = run.wait_with_output().unwrap();
    assert!(stopped.elapsed() < LOST_AFTER);
    let (code, text) = errors(&output);
    assert_eq!((code, output.stdout.len()), (Some(2), 0), "{text}");
    assert!(text.contains(&format!("agent {} does not answer", two.address)), "{text}");
    deliver(&format!("p2p --pairs 4 --qos 1 --agents {}", one.address), 1, 1, broker.port);
}

/// A terminal sends SIGINT to all processes of the run, the workers too.
#[test]
fn control_c_on_a_terminal_ends_all_workers_in_order() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let line = "p2p --pairs 4 --qos 1 --duration 300s --processes 2 --no-spin";
    let mut command = generator(line, broker.port);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    await_traffic(&broker);
    kill_process_group(Pid::from_raw(run.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let (report, code, errors) = read(line, &run.wait_with_output().unwrap());
    assert_eq!((code, report.interrupted, report.generator.workers.len()), (3, true, 2), "{errors}");
    assert!(report.generator.workers.iter().all(|worker| worker.connected == 4), "{errors}");
    assert_eq!((report.checks.lost, report.checks.delivered), (0, report.traffic.sent_in_all));
    assert!(report.traffic.sent_in_all > 0);
}

#[test]
fn a_killed_coordinator_ends_what_its_workers_do() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let mut agent = Agent::start("127.0.0.1:0");
    let line = format!("p2p --pairs 4 --qos 1 --duration 60s --processes 1 --agents {}", agent.address);
    let mut run = generator(&line, broker.port).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    await_traffic(&broker);
    run.kill().unwrap();
    run.wait().unwrap();
    let word = agent.next_error();
    assert!(word.contains("in the middle of a run: all connections are closed"), "{word}");
    // The local worker has the other end of this pipe, which ends when that process does.
    run.stderr.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    deliver(&format!("p2p --pairs 4 --qos 1 --agents {}", agent.address), 1, 1, broker.port);
}

#[test]
fn an_agent_refuses_other_versions_and_other_programs() {
    let mut agent = Agent::start("127.0.0.1:0");
    let mut stream = agent.say(br#"{"program":"ringmq-loadgen","version":"99.0.0","protocol":1}"#);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("Refused") && answer.contains("99.0.0") && answer.contains("same build"), "{answer}");
    assert!(agent.next_error().contains("refused"));
    TcpStream::connect(&agent.address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(agent.next_error().contains("a frame of"));
    // It is there for the next coordinator, whom it tells what is wrong with a run.
    let line = format!("conn --clients 1 --ifaddr 192.0.2.1 --agents {}", agent.address);
    let (code, text) = errors(&generator(&line, 1).output().unwrap());
    assert!(code == Some(2) && text.contains(&agent.address) && text.contains("--ifaddr"), "{text}");
}

#[test]
fn what_is_no_agent_is_an_error_by_name() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, text) = errors(&generator(&format!("conn --agents {unused}"), 1).output().unwrap());
    assert!(code == Some(2) && text.contains(&format!("agent {unused} cannot be reached")), "{text}");
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let line = format!("conn --agents 127.0.0.1:{}", broker.port);
    let (code, text) = errors(&generator(&line, 1).output().unwrap());
    assert!(code == Some(2) && text.contains("be no agent"), "{text}");
    let (report, code, _) = read("", &generator("conn --clients 3 --duration 50ms", broker.port).output().unwrap());
    assert_eq!((code, report.generator.workers.len()), (0, 0));
}

//! The program's face: help, version, exit codes, the words of errors, start and stop.
//!
//! Absent: MQTT.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A directory that is removed with its contents.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringmq-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ringmq(dir: &Scratch, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq"));
    command.current_dir(&dir.0).args(arguments).env_clear();
    command
}

fn output(dir: &Scratch, arguments: &[&str]) -> Output {
    ringmq(dir, arguments).output().expect("the program starts")
}

/// Standard error and exit code of a run that must not start a broker.
fn refusal(dir: &Scratch, arguments: &[&str]) -> (String, Option<i32>) {
    let output = output(dir, arguments);
    assert!(output.stdout.is_empty(), "{output:?}");
    (String::from_utf8(output.stderr).expect("text"), output.status.code())
}

/// A running broker, killed if the test fails.
struct Broker {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    banner: String,
}

impl Broker {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut banner = String::new();
        while !banner.contains("listening on tcp") {
            assert_ne!(stdout.read_line(&mut banner).expect("text"), 0, "ended after {banner}");
        }
        Self { child, stdout, banner }
    }

    /// The port of the first listener.
    fn port(&self) -> u16 {
        self.banner.trim_end().rsplit(':').next().expect("a port").parse().expect("a port")
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the end: the exit code, and what was printed on standard output and error since the banner.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut rest, mut errors) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("ends").code(), rest, errors)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn help_and_version_are_there() {
    let dir = Scratch::new("help");
    let help = output(&dir, &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).expect("text");
    assert!(text.contains("Usage: ringmq") && text.contains("Examples:"), "{text}");
    let version = String::from_utf8(output(&dir, &["--version"]).stdout).expect("text");
    assert!(version.starts_with(concat!("ringmq ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(version.contains("rustc") && version.contains("features"), "{version}");
}

#[test]
fn wrong_flags_end_with_code_2_and_say_what_is_allowed() {
    let dir = Scratch::new("flags");
    let (text, code) = refusal(&dir, &["--bogus"]);
    assert!(code == Some(2) && text.contains("--bogus"), "{text}");
    let (text, code) = refusal(&dir, &["--shards", "0", "--driver", "magic"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--shards 0") && text.contains("from 1 to 64"), "{text}");
    assert!(text.contains("--driver magic") && text.contains("epoll"), "{text}");
    let (text, code) = refusal(&dir, &["--set", "mqtt.max_inflght=1"]);
    assert!(code == Some(2) && text.contains("did you mean mqtt.max_inflight?"), "{text}");
}

#[test]
fn a_wrong_file_ends_with_code_2_and_the_place() {
    let dir = Scratch::new("file");
    std::fs::write(dir.0.join("r.conf"), "mqtt {\n  max_inflight = many\n}\n").expect("a file");
    let (text, code) = refusal(&dir, &["--config", "r.conf"]);
    let expected = "error: mqtt.max_inflight: `many` is not a whole number\n  --> r.conf:2:3\n   \
                    = allowed: an integer from 1 to 65535\n";
    assert_eq!((text.as_str(), code), (expected, Some(2)));
    let (text, code) = refusal(&dir, &["--config", "none.conf"]);
    assert!(code == Some(2) && text.contains("cannot read none.conf"), "{text}");
}

#[test]
fn a_taken_port_ends_with_code_1_and_advice() {
    let dir = Scratch::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (text, code) = refusal(&dir, &["--tcp", &address]);
    assert!(code == Some(1) && text.contains(&format!("{address}: the port is taken")), "{text}");
    assert!(text.contains("--tcp 127.0.0.1:"), "{text}");
}

#[test]
fn a_second_broker_on_the_same_port_is_refused() {
    let dir = Scratch::new("second");
    let first = Broker::start(ringmq(&dir, &["--tcp", "127.0.0.1:0", "--shards", "1"]));
    let (text, code) = refusal(&dir, &["--tcp", &format!("127.0.0.1:{}", first.port())]);
    assert!(code == Some(1) && text.contains("the port is taken"), "{text}");
}

#[test]
fn it_starts_with_a_banner_and_stops_on_a_signal() {
    for (driver, signal) in [("epoll", "-TERM"), ("auto", "-INT")] {
        let dir = Scratch::new(driver);
        let arguments = ["--tcp", "127.0.0.1:0", "--shards", "2", "--set", &format!("ringmq.driver={driver}")];
        let broker = Broker::start(ringmq(&dir, &arguments));
        assert_ne!(broker.port(), 0);
        for line in ["shards      2 on core", "driver      ", "open files  ", "data        "] {
            assert!(broker.banner.contains(line), "{line} in {}", broker.banner);
        }
        assert!(dir.0.join("data").is_dir());
        broker.signal("-USR1");
        broker.signal(signal);
        let (code, rest, errors) = broker.end();
        assert!(rest.contains("stopping"), "{rest}");
        assert_eq!(code, Some(0), "{errors}");
    }
}

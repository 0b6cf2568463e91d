//! `ringmq ctl` and the control socket of the real program: facts, counters, settings.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker in a directory of its own, killed and removed in the end.
struct Broker {
    dir: PathBuf,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    port: u16,
}

fn program(dir: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq"));
    command.current_dir(dir).args(arguments).env_clear();
    command
}

impl Broker {
    /// Starts one with two shards and the file `r.conf`.
    fn start(name: &str, file: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ringmq-ctl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        std::fs::write(dir.join("r.conf"), file).expect("a file");
        let (child, stdout, port) = launch(&dir);
        Self { dir, child, stdout, port }
    }

    /// Stops it in order and starts it again on its data.
    fn restart(&mut self) {
        self.signal("-TERM");
        assert!(self.child.wait().expect("ends").success());
        assert!(!self.dir.join("data/ringmq.sock").exists(), "the socket goes with the broker");
        (self.child, self.stdout, self.port) = launch(&self.dir);
    }

    /// Kills it and starts it again.
    fn crash(&mut self) {
        self.child.kill().expect("running");
        self.child.wait().expect("ends");
        assert!(self.dir.join("data/ringmq.sock").exists(), "the socket is left behind");
        (self.child, self.stdout, self.port) = launch(&self.dir);
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Standard output of a request that is granted.
    fn ctl(&self, arguments: &[&str]) -> String {
        let output = program(&self.dir, &[&["ctl"], arguments].concat()).output().expect("starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Standard error of a request that is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = program(&self.dir, &[&["ctl"], arguments].concat()).output().expect("starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// A client of MQTT 5 that has been accepted, and its CONNACK.
    fn client(&self, id: &str) -> (TcpStream, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut packet = vec![0x10, 13 + u8::try_from(id.len()).expect("short"), 0, 4];
        packet.extend_from_slice(b"MQTT\x05\x02\x00\x00\x00\x00");
        packet.push(u8::try_from(id.len()).expect("short"));
        packet.extend_from_slice(id.as_bytes());
        packet[1] = u8::try_from(packet.len() - 2).expect("short");
        stream.write_all(&packet).expect("sent");
        let mut head = [0; 2];
        stream.read_exact(&mut head).expect("a CONNACK");
        assert_eq!(head[0], 0x20);
        let mut rest = vec![0; usize::from(head[1])];
        stream.read_exact(&mut rest).expect("a CONNACK");
        (stream, rest)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn launch(dir: &PathBuf) -> (Child, BufReader<std::process::ChildStdout>, u16) {
    let arguments = ["--tcp", "127.0.0.1:0", "--shards", "2", "--config", "r.conf"];
    let mut child = program(dir, &arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("listening on tcp") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).expect("text"), 0);
    }
    let port = line.trim_end().rsplit(':').next().expect("a port").parse().expect("a port");
    (child, stdout, port)
}

#[test]
fn facts_and_counters_are_told() {
    let broker = Broker::start("facts", "");
    let mode = std::fs::symlink_metadata(broker.dir.join("data/ringmq.sock")).expect("a socket").mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(broker.ctl(&["status"]).contains("status: running\n"));
    let text = broker.ctl(&["broker"]);
    assert!(text.contains("shards: 2\n") && text.contains(&format!("127.0.0.1:{}", broker.port)), "{text}");
    let _client = broker.client("one");
    let deadline = std::time::Instant::now() + PATIENCE;
    // Shards publish their counters once a second.
    while !broker.ctl(&["stats"]).lines().any(|line| line.split_whitespace().take(2).eq(["connections.count", "1"])) {
        assert!(std::time::Instant::now() < deadline, "{}", broker.ctl(&["stats"]));
    }
    let json = broker.ctl(&["--json", "metrics"]);
    assert!(json.starts_with('[') && json.contains(r#"{"name":"client.connected","#), "{json}");
    assert!(!json.contains("connections.count"), "gauges are stats: {json}");
    let lost = program(&broker.dir, &["ctl", "--socket", "none.sock", "status"]).output().expect("starts");
    assert_eq!(lost.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&lost.stderr).contains("no broker answers at none.sock"), "{lost:?}");
}

#[test]
fn settings_are_told_with_their_origin() {
    let mut broker = Broker::start("show", "mqtt.max_inflight = 5\n");
    assert_eq!(broker.ctl(&["conf", "show", "mqtt.max_inflight"]), "mqtt.max_inflight = 5  # r.conf:1:1\n");
    assert!(broker.ctl(&["conf", "show"]).contains("mqtt.max_mqueue_len = 1000  # default\n"));
    assert!(broker.refused(&["conf", "show", "mqtt.nothing"]).contains("there is no key mqtt.nothing"));
    for restart in [Broker::restart, Broker::crash] {
        restart(&mut broker);
        assert!(broker.ctl(&["status"]).contains("running"));
    }
}

#[test]
fn the_protocol_is_lines_of_json_and_bounded() {
    let broker = Broker::start("lines", "");
    let connect = || {
        let stream = UnixStream::connect(broker.dir.join("data/ringmq.sock")).expect("a broker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    };
    let mut stream = connect();
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut exchange = |line: &str| {
        writeln!(stream, "{line}").expect("sent");
        let mut answer = String::new();
        reader.read_line(&mut answer).expect("an answer");
        answer
    };
    let status = exchange(r#"{"v":1,"id":3,"cmd":"status"}"#);
    assert!(status.starts_with(r#"{"v":1,"id":3,"ok":true,"result":{"#), "{status}");
    assert!(exchange("nonsense").contains(r#""ok":false,"errors":[{"message":"no request"#));
    assert!(exchange(r#"{"v":9,"cmd":"status"}"#).contains("this is version 1"));
    assert!(exchange(r#"{"v":1,"cmd":"status"}"#).contains(r#""ok":true"#), "mistakes do not end it");
    let mut endless = connect();
    let mut answer = String::new();
    endless.write_all(&vec![b' '; 64 * 1024]).expect("sent");
    BufReader::new(&endless).read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.contains("longer than 65536 bytes"), "{answer}");
    let held: Vec<UnixStream> = (0..7).map(|_| connect()).collect();
    let mut answer = String::new();
    BufReader::new(connect()).read_line(&mut answer).expect("an answer");
    assert!(answer.contains("8 connections to the control socket are open"), "{answer}");
    drop(held);
}

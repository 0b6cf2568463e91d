//! `ringmq ctl` and the control socket of the real program: facts, counters, settings changed while it runs.

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

    /// Reads standard output up to a line that contains `text`.
    fn wait_for(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.stdout.read_line(&mut line).expect("text"), 0, "ended before {text}");
        }
        line
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

/// Subscribes with `filters` filters; the reason codes.
fn subscribe(stream: &mut TcpStream, filters: usize) -> Option<Vec<u8>> {
    let mut packet = vec![0x82, 0, 0, 1, 0];
    for number in 0..filters {
        packet.extend_from_slice(&[0, 1, b'a' + u8::try_from(number).expect("few"), 0]);
    }
    packet[1] = u8::try_from(packet.len() - 2).expect("short");
    stream.write_all(&packet).expect("sent");
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).ok()?;
    (head[0] == 0x90).then(|| rest[3..].to_vec())
}

fn pings(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 2];
    stream.write_all(&[0xC0, 0]).and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == [0xD0, 0]
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
fn a_setting_changes_for_everybody_at_once_and_outlives_the_broker() {
    let mut broker = Broker::start("set", "mqtt.max_topic_filters = 5\n");
    let mut clients: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("c{number}")).0).collect();
    assert!(clients.iter_mut().all(|client| subscribe(client, 5).is_some_and(|codes| codes.len() == 5)));
    let told = broker.ctl(&["conf", "set", "mqtt.max_topic_levels", "1"]);
    assert!(told.contains("mqtt.max_topic_levels = 1  # changed at run time, kept in "), "{told}");
    broker.ctl(&["conf", "set", "mqtt.max_topic_filters", "9"]);
    for client in &mut clients {
        assert!(pings(client), "nobody was dropped");
        assert_eq!(subscribe(client, 9).map(|codes| codes.len()), Some(9), "on every shard");
    }
    assert_eq!(std::fs::read_dir(broker.dir.join("data/configs")).expect("there").count(), 2, "and the one before");
    for restart in [Broker::restart, Broker::crash] {
        restart(&mut broker);
        let shown = broker.ctl(&["conf", "show", "mqtt.max_topic_filters"]);
        assert!(shown.starts_with("mqtt.max_topic_filters = 9  # ") && shown.contains("cluster.hocon:"), "{shown}");
        let mut client = broker.client("again").0;
        assert_eq!(subscribe(&mut client, 9).map(|codes| codes.len()), Some(9));
    }
}

#[test]
fn subscriptions_for_everybody_begin_with_the_next_client() {
    let mut broker = Broker::start("auto", "");
    let (mut before, _) = broker.client("before");
    let list = "[{topic = \"to/${clientid}\", qos = 1}]";
    let told = broker.ctl(&["conf", "set", "auto_subscribe.topics", list]);
    assert!(told.contains(&format!("auto_subscribe.topics = {list}  # changed at run time")), "{told}");
    for restarted in [false, true] {
        if restarted {
            broker.restart();
            before = broker.client("other").0;
        }
        let (mut after, _) = broker.client("after");
        // Answered once its subscriptions are there.
        assert!(pings(&mut after));
        before.write_all(b"\x30\x0b\x00\x08to/after\x00").expect("sent");
        let mut publish = [0; 13];
        after.read_exact(&mut publish).expect("a PUBLISH");
        assert_eq!(&publish, b"\x30\x0b\x00\x08to/after\x00");
    }
    assert!(broker.refused(&["conf", "set", "rewrite", "[]"]).contains("cannot change while the broker runs"));
}

#[test]
fn what_cannot_change_is_refused_and_changes_nothing() {
    let broker = Broker::start("refuse", "mqtt.max_inflight = 5\n");
    let refused = |key: &str, value: &str| broker.refused(&["conf", "set", key, value]);
    let text = refused("mqtt.max_inflight", "many");
    assert!(text.contains("is not a whole number") && text.contains("allowed: an integer from 1 to 65535"), "{text}");
    assert!(refused("mqtt.max_inflght", "5").contains("did you mean mqtt.max_inflight?"));
    assert!(refused("ringmq.shards", "1").contains("cannot change while the broker runs"));
    assert!(refused("mqtt.max_packet_size", "1KB").contains("may only grow while the broker runs"));
    assert!(refused("mqtt", "{max_inflight = 4}").contains("is a group of keys"));
    assert!(refused("dashboard.x", "1").contains("a setting of EMQX that ringmq does not have"));
    assert!(!broker.dir.join("data/configs").exists());
    assert!(broker.ctl(&["conf", "show", "mqtt.max_inflight"]).contains("mqtt.max_inflight = 5  # r.conf:1:1\n"));
    assert!(broker.refused(&["conf", "show", "mqtt.nothing"]).contains("there is no key mqtt.nothing"));
}

#[test]
fn files_are_read_again_on_a_signal() {
    let mut broker = Broker::start("reload", "mqtt.max_inflight = 5\n");
    let (mut client, connack) = broker.client("one");
    let property = |connack: &[u8], code: u8| connack.iter().skip(3).any(|byte| *byte == code);
    assert!(!property(&connack, 0x13), "no server keep alive yet");
    std::fs::write(broker.dir.join("r.conf"), "mqtt { server_keepalive = 77 }\nringmq.spin = 0\n").expect("a file");
    broker.signal("-HUP");
    assert!(broker.wait_for("read again").contains("2 changed"));
    let connack = broker.client("two").1;
    assert!(connack.windows(3).any(|bytes| bytes == [0x13, 0, 77]), "{connack:?}");
    assert!(broker.ctl(&["conf", "show", "mqtt.max_inflight"]).contains("32  # default"));
    assert!(!broker.ctl(&["conf", "show", "ringmq.spin"]).contains("= 0 "), "waits for the next start");
    std::fs::write(broker.dir.join("r.conf"), "mqtt { server_keepalive = perhaps }\n").expect("a file");
    broker.signal("-HUP");
    broker.wait_for("configuration not changed");
    let text = broker.refused(&["conf", "reload"]);
    assert!(text.contains("--> r.conf:1:8"), "{text}");
    assert!(broker.ctl(&["conf", "show", "mqtt.server_keepalive"]).contains("= 77 "));
    assert!(pings(&mut client));
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

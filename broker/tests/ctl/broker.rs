//! A real broker, and what tests say to it: `ringmq ctl`, signals, and MQTT by hand.

use crate::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A broker in a directory of its own, killed and removed in the end.
pub(crate) struct Broker {
    pub(crate) dir: PathBuf,
    /// Listeners that its file names; 0 if it has one on a port of its own choice.
    listeners: usize,
    launched: Launched,
}

/// What a broker said when it started.
pub(crate) struct Launched {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    /// Port of its first listener.
    pub(crate) port: u16,
    /// Ports of all its listeners.
    pub(crate) ports: Vec<u16>,
    /// Address of its monitoring port, if it has one.
    pub(crate) monitoring: Option<String>,
}

impl std::ops::Deref for Broker {
    type Target = Launched;

    fn deref(&self) -> &Launched {
        &self.launched
    }
}

pub(crate) fn program(dir: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq"));
    command.current_dir(dir).args(arguments).env_clear();
    command
}

impl Broker {
    /// Starts one with two shards and the file `r.conf`.
    pub(crate) fn start(name: &str, file: &str) -> Self {
        Self::start_on(name, file, 0)
    }

    /// The same with as many listeners as the file names.
    pub(crate) fn start_on(name: &str, file: &str, listeners: usize) -> Self {
        let dir = std::env::temp_dir().join(format!("ringmq-ctl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        std::fs::write(dir.join("r.conf"), file).expect("a file");
        let launched = launch(&dir, listeners);
        Self { dir, listeners, launched }
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) {
        self.signal("-TERM");
        assert!(self.launched.child.wait().expect("ends").success());
        assert!(!self.dir.join("data/ringmq.sock").exists(), "the socket goes with the broker");
    }

    /// Stops it in order and starts it again on its data.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.launched = launch(&self.dir, self.listeners);
    }

    /// Lets none of its threads run until it is sent `-CONT`. The signal reaches them one by one, so that is awaited.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::fs::DirEntry| {
            let state = std::fs::read_to_string(thread.path().join("stat")).expect("a thread's state");
            state.rsplit(") ").next().is_some_and(|after_name| after_name.starts_with('T'))
        };
        while !std::fs::read_dir(&threads).expect("threads").all(|thread| is_stopped(thread.expect("a thread"))) {
            std::thread::yield_now();
        }
    }

    /// Kills it and starts it again.
    pub(crate) fn crash(&mut self) {
        self.launched.child.kill().expect("running");
        self.launched.child.wait().expect("ends");
        assert!(self.dir.join("data/ringmq.sock").exists(), "the socket is left behind");
        self.launched = launch(&self.dir, self.listeners);
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Reads standard output up to a line that contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.launched.stdout.read_line(&mut line).expect("text"), 0, "ended before {text}");
        }
        line
    }

    /// Standard output of a request that is granted.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = program(&self.dir, &[&["ctl"], arguments].concat()).output().expect("starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Standard error of a request that is refused.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = program(&self.dir, &[&["ctl"], arguments].concat()).output().expect("starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The answer to one line on the control socket.
    pub(crate) fn say(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.dir.join("data/ringmq.sock")).expect("a broker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        writeln!(stream, "{line}").expect("sent");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("an answer");
        answer
    }

    /// A client of MQTT 5 that has been accepted, and its CONNACK.
    pub(crate) fn client(&self, id: &str) -> (TcpStream, Vec<u8>) {
        self.client_with(id, &[])
    }

    /// The same with properties in its CONNECT.
    pub(crate) fn client_with(&self, id: &str, properties: &[u8]) -> (TcpStream, Vec<u8>) {
        self.client_at(self.port, id, properties)
    }

    /// The same on one of its ports.
    pub(crate) fn client_at(&self, port: u16, id: &str, properties: &[u8]) -> (TcpStream, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut packet = vec![0x10, 0, 0, 4];
        packet.extend_from_slice(b"MQTT\x05\x02\x00\x00");
        packet.push(u8::try_from(properties.len()).expect("short"));
        packet.extend_from_slice(properties);
        packet.extend_from_slice(&[0, u8::try_from(id.len()).expect("short")]);
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
        let _ = self.launched.child.kill();
        let _ = self.launched.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn launch(dir: &PathBuf, listeners: usize) -> Launched {
    let own = ["--tcp", "127.0.0.1:0"];
    let arguments = ["--shards", "2", "--config", "r.conf"];
    let arguments = [if listeners == 0 { &own[..] } else { &[] }, &arguments].concat();
    let mut child = program(dir, &arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    let mut monitoring = None;
    let mut ports = Vec::new();
    while ports.len() < listeners.max(1) {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).expect("text"), 0);
        if let Some((_, address)) = line.split_once("http://") {
            monitoring = address.split_once('/').map(|(address, _)| address.to_owned());
        }
        if line.contains("listening on tcp") {
            ports.push(line.trim_end().rsplit(':').next().expect("a port").parse().expect("a port"));
        }
    }
    Launched { child, stdout, port: ports[0], ports, monitoring }
}

/// Subscribes with `filters` filters; the reason codes.
pub(crate) fn subscribe(stream: &mut TcpStream, filters: usize) -> Option<Vec<u8>> {
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

pub(crate) fn pings(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 2];
    stream.write_all(&[0xC0, 0]).and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == [0xD0, 0]
}

//! What the integration tests share: real brokers, and the generator's binary with its JSON line.

#![allow(dead_code, reason = "every test program uses a part of it")]

pub(crate) mod peer;
pub(crate) mod tamper;

use ringmq_loadgen::report::Report;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian and its relatives put mosquitto.
pub(crate) const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// Names a `ringmq` to test against as well.
const RINGMQ_BIN: &str = "RINGMQ_BIN";

/// Another process may take a port between our finding it free and mosquitto's binding it.
const START_ATTEMPTS: usize = 5;

/// A running broker; ends with this value.
pub(crate) struct Broker {
    process: Child,
    /// Removed in the end.
    files: PathBuf,
    pub(crate) port: u16,
}

/// The brokers that can be had: mosquitto if it is installed, and the `ringmq` that RINGMQ_BIN names.
pub(crate) fn brokers() -> Vec<Broker> {
    let ringmq = std::env::var_os(RINGMQ_BIN).map(|binary| Broker::ringmq(Path::new(&binary)));
    Broker::mosquitto("allow_anonymous true").into_iter().chain(ringmq).collect()
}

impl Broker {
    /// A mosquitto that keeps every message, with more lines of configuration; `None`, with a word on standard error,
    /// if it is not installed.
    pub(crate) fn mosquitto(more: &str) -> Option<Self> {
        if !Path::new(MOSQUITTO).exists() {
            eprintln!("SKIPPED: {MOSQUITTO} is not installed (apt-get install mosquitto)");
            return None;
        }
        let started = (0..START_ATTEMPTS).find_map(|_| {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let files = scratch("conf");
            let text = format!(
                "listener {port} 127.0.0.1\nmax_inflight_messages 0\nmax_queued_messages 0\npersistence false\n\
                 log_dest stderr\nlog_type information\nlog_type error\n{more}\n"
            );
            std::fs::write(&files, text).unwrap();
            let mut process = Command::new(MOSQUITTO).arg("-c").arg(&files).stderr(Stdio::piped()).spawn().unwrap();
            let running = await_line(process.stderr.take().unwrap(), |line| line.contains(" running").then_some(()));
            let broker = Self { process, files, port };
            running.map(|()| broker)
        });
        assert!(started.is_some(), "mosquitto does not start");
        started
    }

    /// A `ringmq` with one shard.
    fn ringmq(binary: &Path) -> Self {
        let files = scratch("data");
        let mut command = Command::new(binary);
        command.args(["--tcp", "127.0.0.1:0", "--shards", "1", "--data-dir"]).arg(&files);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let port = |line: &str| line.strip_prefix("listening on tcp 127.0.0.1:")?.trim().parse().ok();
        let port = await_line(out.chain(err), port).expect("ringmq says where it listens");
        Self { process, files, port }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.files).or_else(|_| std::fs::remove_dir_all(&self.files));
    }
}

/// A path that nobody else uses.
pub(crate) fn scratch(extension: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("loadgen-test-{}-{number}.{extension}", std::process::id()))
}

/// Reads until a line means something; `None` at the end of the stream.
pub(crate) fn await_line<T>(
    stream: impl Read + Send + 'static,
    mut meaning: impl FnMut(&str) -> Option<T>,
) -> Option<T> {
    let mut log = BufReader::new(stream);
    let mut line = String::new();
    let mut found = None;
    while found.is_none() && log.read_line(&mut line).unwrap() > 0 {
        found = meaning(&line);
        line.clear();
    }
    // The rest must be read as well, or the broker would stop when the pipe is full.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    found
}

/// The generator, ready to be run.
pub(crate) fn generator(line: &str, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq-loadgen"));
    command.args(line.split_whitespace()).args(["--json", "-", "--port", &port.to_string()]);
    command
}

/// Runs the generator to its end: its JSON line, exit code and standard error.
pub(crate) fn run(line: &str, port: u16) -> (Report, i32, String) {
    let output = generator(line, port).output().unwrap();
    read(line, &output)
}

/// Takes an output apart.
pub(crate) fn read(line: &str, output: &Output) -> (Report, i32, String) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|problem| panic!("`{line}`: {problem}\n{text}\n{errors}"));
    (report, output.status.code().unwrap(), errors)
}

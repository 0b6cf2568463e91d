//! What the integration tests share: a real broker (mosquitto), and the generator's binary with its JSON line.

#![allow(dead_code, reason = "every test program uses a part of it")]

pub(crate) mod tamper;

use ringmq_loadgen::report::Report;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian and its relatives put the broker.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// Another process may take a port between our finding it free and mosquitto's binding it.
const START_ATTEMPTS: usize = 5;

/// A running mosquitto; ends with this value.
pub(crate) struct Mosquitto {
    process: Child,
    config: PathBuf,
    pub(crate) port: u16,
}

impl Mosquitto {
    /// Starts one that keeps every message; `None`, with a word on standard error, if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("allow_anonymous true")
    }

    /// Starts one with more lines of configuration.
    pub(crate) fn start_with(more: &str) -> Option<Self> {
        if !Path::new(MOSQUITTO).exists() {
            eprintln!("SKIPPED: {MOSQUITTO} is not installed (apt-get install mosquitto)");
            return None;
        }
        (0..START_ATTEMPTS).find_map(|_| Self::attempt(more)).or_else(|| panic!("mosquitto does not start"))
    }

    fn attempt(more: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let name = format!("loadgen-test-{}-{}.conf", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let config = std::env::temp_dir().join(name);
        let text = format!(
            "listener {port} 127.0.0.1\nmax_inflight_messages 0\nmax_queued_messages 0\npersistence false\n\
             log_dest stderr\nlog_type information\nlog_type error\n{more}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new(MOSQUITTO).arg("-c").arg(&config).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let mut running = false;
        while !running && log.read_line(&mut line).unwrap() > 0 {
            running = line.contains(" running");
            line.clear();
        }
        // The rest of the log must be read, or the broker would stop when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let broker = Self { process, config, port };
        running.then_some(broker)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
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

//! The coordinator's workers: reaching them, telling all of them something, hearing from each.
//!
//! Absent: what they are told when; that is the conductor's part, in `run`.

use super::offset::Offset;
use super::protocol::{
    ALIVE_PERIOD, ANSWER_BYTES_MAX, Answer, Command, Findings, GREETING_BYTES_MAX, GREETING_TIMEOUT, Greeting,
    SILENCE_MAX, Version, Welcome,
};
use super::stream::{Stream, read, write};
use crate::live::Reports;
use crate::procfs;
use crate::stage::{Event, Stage};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// One worker, greeted.
#[derive(Debug)]
pub(super) struct Worker {
    /// What messages call it.
    pub name: String,
    /// Where the agent listens; nothing for a process of our own.
    pub agent: Option<String>,
    pub welcome: Welcome,
    /// Its clock against ours.
    pub offset: Offset,
    pub stream: Stream,
    /// The process, if it is our own; it ends with this value.
    _process: Option<Process>,
}

#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It has handed over everything, or never will; the system closes what it has open.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stream.shut();
    }
}

impl Worker {
    /// Starts process number `number` of our own, with a thread for each of these cores.
    pub(super) fn start(number: usize, cores: Vec<Option<usize>>) -> Result<Self, String> {
        let failed = |problem: std::io::Error| format!("cannot start worker {number}: {problem}");
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = std::process::Command::new(program);
        command.args(["agent", "--inherited"]).stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let child = command.spawn().map_err(failed)?;
        let name = format!("worker {number} (process {})", child.id());
        let mut worker = Self::greet(name, None, Stream::Local(ours), Some(Process(child)))?;
        worker.welcome.cores = cores;
        Ok(worker)
    }

    /// Reaches an agent.
    pub(super) fn reach(address: &str) -> Result<Self, String> {
        let name = format!("agent {address}");
        let failed = |problem: std::io::Error| format!("{name} cannot be reached: {problem}");
        let mut problem = std::io::Error::other("the name has no address");
        for candidate in address.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&candidate, GREETING_TIMEOUT) {
                Ok(stream) => return Self::greet(name, Some(address.into()), Stream::Tcp(stream), None),
                Err(error) => problem = error,
            }
        }
        Err(failed(problem))
    }

    fn greet(
        name: String,
        agent: Option<String>,
        mut stream: Stream,
        process: Option<Process>,
    ) -> Result<Self, String> {
        let failed = |problem: std::io::Error| format!("{name}: the connection failed: {problem}");
        stream.set_timeout(GREETING_TIMEOUT).map_err(failed)?;
        write(&mut stream, &Version::own()).map_err(failed)?;
        let greeting = read(&mut stream, GREETING_BYTES_MAX)
            .map_err(|broken| format!("{name} {broken} (it may be busy with another run, or be no agent)"))?;
        let welcome = match greeting {
            Greeting::Welcome(welcome) => welcome,
            Greeting::Refused(why) => return Err(format!("{name} refuses: {why}")),
        };
        welcome.version.check().map_err(|why| format!("{name} {why}"))?;
        if welcome.cores.is_empty() || welcome.cores.len() > ringmq_core::machine::SHARDS_MAX {
            return Err(format!("{name} has {} threads", welcome.cores.len()));
        }
        stream.set_timeout(SILENCE_MAX).map_err(failed)?;
        let offset = if welcome.clock == procfs::clock_identity() {
            Offset::NONE
        } else {
            Offset::measure(&mut stream).map_err(|problem| format!("{name} {problem}"))?
        };
        Ok(Self { name, agent, welcome, offset, stream, _process: process })
    }

    /// Says that the coordinator is alive, while it is busy with others.
    pub(super) fn reassure(&mut self) {
        // If it is gone, that is found out when it is needed.
        let _ = write(&mut self.stream, &Command::Alive);
    }

    /// Measures the clock again, after the run; the uncertainty with the drift since.
    pub(super) fn measure_again(&mut self) -> Result<Offset, String> {
        if self.offset == Offset::NONE {
            return Ok(Offset::NONE);
        }
        let now = Offset::measure(&mut self.stream).map_err(|problem| format!("{} {problem}", self.name))?;
        let drift_ns = now.ahead_ns.abs_diff(self.offset.ahead_ns);
        Ok(Offset { uncertainty_ns: self.offset.uncertainty_ns.max(now.uncertainty_ns) + drift_ns, ..self.offset })
    }
}

/// The sending halves of all connections.
#[derive(Debug)]
pub(super) struct Crew {
    writers: Vec<Mutex<Stream>>,
}

impl Crew {
    pub(super) fn new(workers: &[Worker]) -> Result<Self, String> {
        let writers = workers.iter().map(|worker| {
            worker.stream.try_clone().map(Mutex::new).map_err(|problem| format!("{}: {problem}", worker.name))
        });
        Ok(Self { writers: writers.collect::<Result<_, _>>()? })
    }

    /// Tells all workers. One that cannot be told is found out by the thread that listens to it.
    pub(super) fn tell(&self, command: &Command) {
        for worker in 0..self.writers.len() {
            self.tell_one(worker, command);
        }
    }

    pub(super) fn tell_one(&self, worker: usize, command: &Command) {
        let mut writer = self.writers[worker].lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write(&mut *writer, command);
    }

    /// Ends all connections.
    pub(super) fn dismiss(&self) {
        for writer in &self.writers {
            writer.lock().unwrap_or_else(PoisonError::into_inner).shut();
        }
    }

    /// Says that the coordinator is alive until the other end of `stop` is dropped.
    pub(super) fn keep_alive(&self, stop: &Receiver<()>) {
        while stop.recv_timeout(ALIVE_PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.tell(&Command::Alive);
        }
    }
}

/// Where what the workers say goes.
#[derive(Debug, Clone)]
pub(super) struct Ears {
    pub stage: Arc<Stage>,
    pub reports: Arc<Reports>,
    pub events: Sender<Event>,
}

/// Hears worker number `place` to the end of its part.
///
/// # Errors
/// Why it did not get there, with its name; also said as an event.
pub(super) fn hear(name: &str, mut stream: Stream, place: usize, ears: &Ears) -> Result<Box<Findings>, String> {
    let Ears { stage, reports, events } = ears;
    loop {
        let problem = match read(&mut stream, ANSWER_BYTES_MAX) {
            Ok(Answer::Event(Event::Failed(problem))) => format!("{name}: {problem}"),
            Ok(Answer::Event(Event::Quiet)) => continue,
            Ok(Answer::Event(event)) => {
                let _ = events.send(event);
                continue;
            }
            Ok(Answer::Progress { moved, account }) => {
                stage.moved(place, moved);
                if let Some(account) = account {
                    stage.account(place, account, events);
                }
                continue;
            }
            Ok(Answer::Seen(snapshot)) => {
                reports.put(place, *snapshot);
                continue;
            }
            Ok(Answer::Alive) => continue,
            Ok(Answer::Findings(findings)) => return Ok(findings),
            Ok(Answer::Clock(_)) => format!("{name} says what its clock shows without being asked"),
            Err(broken) => format!("{name} {broken}"),
        };
        let _ = events.send(Event::Failed(problem.clone()));
        return Err(problem);
    }
}

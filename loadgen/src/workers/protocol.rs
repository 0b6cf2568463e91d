//! What coordinator and agent say to each other.
//!
//! The coordinator greets, measures the agent's clock, hands over its part of the run, and moves the phases; the agent
//! reports what its threads report, says every second where it stands and, if the run is watched, more often what it has
//! counted, and hands over what it measured in the end.
//! Both must be of the same version: what they exchange follows the measurements' own types. Absent: frames, see
//! `stream`.

use super::share::Share;
use crate::checks::Digest;
use crate::fleet::{ClientExperience, Meter};
use crate::live::Snapshot;
use crate::procfs::{self, ProcessSample};
use crate::stage::{Account, Event, Phase};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Version of what is exchanged; raised with every change of the types in this file.
pub(super) const PROTOCOL: u32 = 3;

/// Longest greeting, bytes, in both directions.
pub(super) const GREETING_BYTES_MAX: usize = 64 << 10;

/// Longest command, bytes: a scenario file and the options.
pub(super) const COMMAND_BYTES_MAX: usize = 16 << 20;

/// Longest answer, bytes: the histograms, the series of a day, 16 bytes a publisher or so, and with a log of the clients
/// about 200 bytes each.
pub(super) const ANSWER_BYTES_MAX: usize = 512 << 20;

/// How long a greeting may take.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// How often each end says something, whatever happens.
pub(super) const ALIVE_PERIOD: Duration = Duration::from_secs(1);

/// After so long without a word the other end counts as lost.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What both introduce themselves with; this type stays as it is, so that other versions understand it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// `ringmq-loadgen`.
    pub program: String,
    /// Version of the program.
    pub version: String,
    /// [`PROTOCOL`].
    pub protocol: u32,
}

impl Version {
    /// This program's.
    pub(super) fn own() -> Self {
        let (program, version) = (env!("CARGO_PKG_NAME").into(), env!("CARGO_PKG_VERSION").into());
        Self { program, version, protocol: PROTOCOL }
    }

    /// Refuses any other.
    pub(super) fn check(&self) -> Result<(), String> {
        let own = Self::own();
        if *self == own {
            return Ok(());
        }
        Err(format!("is {self}, this is {own}: use the same build on all hosts"))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} with protocol {}", self.program, self.version, self.protocol)
    }
}

/// An agent's answer to a greeting.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Greeting {
    /// It takes orders.
    Welcome(Welcome),
    /// It does not, and why.
    Refused(String),
}

/// Who an agent is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Welcome {
    /// Its version.
    pub version: Version,
    /// Name of its host.
    pub host: String,
    /// Equal for processes whose monotonic clocks are the same one.
    pub clock: String,
    /// Process number.
    pub pid: u32,
    /// The cores of its threads.
    pub cores: Vec<Option<usize>>,
}

impl Welcome {
    /// This process as an agent with these cores.
    pub(super) fn own(cores: &[Option<usize>]) -> Self {
        Self {
            version: Version::own(),
            host: procfs::host_name(),
            clock: procfs::clock_identity(),
            pid: std::process::id(),
            cores: cores.to_vec(),
        }
    }
}

/// An agent's part of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// Number of the run.
    pub run: u32,
    /// The scenario and its options as on a command line, the program's name left out.
    pub arguments: Vec<String>,
    /// Name and text of the scenario file, if it is one.
    pub definition: Option<(String, String)>,
    /// Which threads.
    pub share: Share,
    /// The cores of these threads.
    pub cores: Vec<Option<usize>>,
    /// When the run's clock shows zero, by the agent's monotonic clock, nanoseconds.
    pub clock_zero_ns: i64,
    /// Somebody looks at the run while it goes on: the agent says every second what its threads have counted.
    pub watched: bool,
    /// What each client went through is asked for, for the log.
    pub experiences: bool,
}

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// What does your clock show?
    Clock,
    /// Get ready.
    Prepare(Box<Order>),
    /// A phase begins; its schedule starts at this time of the run's clock.
    Begin {
        /// The phase.
        phase: Phase,
        /// When, nanoseconds.
        start_ns: u64,
    },
    /// The measured interval starts at this time of the run's clock, nanoseconds.
    MeasureFrom(u64),
    /// It ends.
    MeasureUntil(u64),
    /// Hand over what you have.
    Finish,
    /// Nothing, but the coordinator is there.
    Alive,
}

/// What an agent says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Its monotonic clock, nanoseconds.
    Clock(u64),
    /// What one of its threads says, or why it gives up.
    Event(Event),
    /// Where its threads stand together; at least once in [`ALIVE_PERIOD`].
    Progress {
        /// Rises with everything that gets done.
        moved: u64,
        /// Once all of them drain.
        account: Option<Account>,
    },
    /// What they have counted, a few times a second if the run is watched; a second's figures once.
    Seen(Box<Snapshot>),
    /// Nothing, but it is there: its threads have ended and it puts together what they found.
    Alive,
    /// What they found out.
    Findings(Box<Findings>),
}

/// What an agent's threads found out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Findings {
    /// Publishers and how many messages each sent.
    pub sent: Vec<(u32, u64)>,
    /// Loss, duplicates and order, by thread.
    pub checks: Vec<Digest>,
    /// What each client went through, if the order asks for it.
    pub experiences: Vec<ClientExperience>,
    /// Everything else, of all threads.
    pub meter: Meter,
    /// The process's CPU time in the measured interval.
    pub cpu: ProcessSample,
}

#[cfg(test)]
mod tests {
    use super::super::stream::{Broken, read};
    use super::*;

    fn parse(text: &str) -> Result<Command, Broken> {
        let frame = [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
        read(&mut frame.as_slice(), COMMAND_BYTES_MAX)
    }

    #[test]
    fn another_version_is_refused_with_both_in_the_text() {
        assert_eq!(Version::own().check(), Ok(()));
        let other = Version { version: "9.9.9".into(), ..Version::own() };
        let why = other.check().unwrap_err();
        assert!(why.contains("9.9.9") && why.contains(env!("CARGO_PKG_VERSION")), "{why}");
        assert!(Version { protocol: PROTOCOL + 1, ..Version::own() }.check().is_err());
        assert!(Version { program: "other".into(), ..Version::own() }.check().is_err());
    }

    #[test]
    fn only_commands_are_commands() {
        assert!(matches!(parse("\"Alive\""), Ok(Command::Alive)));
        assert!(matches!(
            parse("{\"Begin\":{\"phase\":\"traffic\",\"start_ns\":7}}"),
            Ok(Command::Begin { phase: Phase::Traffic, start_ns: 7 })
        ));
        for bad in [
            "\"Dance\"",
            "{}",
            "[]",
            "null",
            "{\"Begin\":{\"phase\":\"traffic\"}}",
            "{\"Begin\":{\"phase\":\"Lunch\",\"start_ns\":7}}",
            "{\"MeasureFrom\":-1}",
            "{\"MeasureFrom\":1.5}",
            "{\"Prepare\":{\"run\":1}}",
            "{\"Alive\":1}",
        ] {
            assert!(matches!(parse(bad), Err(Broken::Damaged(_))), "{bad}");
        }
    }
}

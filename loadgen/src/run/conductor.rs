//! The conductor: moves those it leads through the phases of a run, and samples the broker between them.
//!
//! It hears of what happens by events and sleeps otherwise. Absent: who it leads, the threads of this process or workers
//! on other hosts; that is behind [`Led`].

use super::samples::{Sample, Samples};
use crate::clock::{Clock, NANOS_PER_MILLI};
use crate::plan::Plan;
use crate::procfs::{self, Memory, ProcessSample};
use crate::simulated::{self, Broker};
use crate::stage::{Event, Phase, Stage};
use crate::watch;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the main thread looks whether anything has moved, and says how far things are.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// From the beginning of the traffic phase to its first scheduled message, nanoseconds: time for all to notice.
const SCHEDULE_LEAD_NS: u64 = 2 * NANOS_PER_MILLI;

/// How long clients get to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(10);

/// Those whom a conductor leads: the threads of this process, or workers with theirs.
pub(crate) trait Led {
    /// Where they stand.
    fn stage(&self) -> &Stage;
    /// Begins a phase whose schedule, if it has one, starts at this time.
    fn begin(&self, phase: Phase, start_ns: u64);
    /// The measured interval starts.
    fn measure_from(&self, at_ns: u64);
    /// The measured interval ends.
    fn measure_until(&self, at_ns: u64);
    /// How long before something happens they have to be told, nanoseconds.
    fn notice_ns(&self) -> u64;
}

impl Led for Stage {
    fn stage(&self) -> &Stage {
        self
    }

    fn begin(&self, phase: Phase, start_ns: u64) {
        Self::begin(self, phase, start_ns);
    }

    fn measure_from(&self, at_ns: u64) {
        Self::measure_from(self, at_ns);
    }

    fn measure_until(&self, at_ns: u64) {
        Self::measure_until(self, at_ns);
    }

    fn notice_ns(&self) -> u64 {
        0
    }
}

/// Moves those it leads through the phases.
pub(crate) struct Conductor<'a> {
    plan: &'a Plan,
    led: &'a dyn Led,
    clock: Clock,
    told: Receiver<Event>,
    /// Clients that have failed, as of the last phase.
    failed: usize,
    /// The broker, if it is in this process.
    simulated: Option<&'a Broker>,
    /// The run is to end early.
    interrupted: bool,
}

impl<'a> Conductor<'a> {
    /// One that hears of what happens by `told`.
    pub(crate) fn new(
        plan: &'a Plan,
        led: &'a dyn Led,
        clock: Clock,
        told: Receiver<Event>,
        simulated: Option<&'a Broker>,
    ) -> Self {
        Self { plan, led, clock, told, failed: 0, interrupted: false, simulated }
    }

    /// From the first connection to the last.
    pub(crate) fn conduct(&mut self) -> Result<Samples, String> {
        let mut samples = Samples::default();
        let timeout = self.plan.connecting.timeout;
        self.await_all(Phase::Prepare, timeout)?;
        samples.memory = [self.memory(); 3];

        let before = self.sample()?;
        if !self.interrupted {
            samples.connect_time = self.pass(Phase::Connect, timeout)?;
        }
        let after = self.sample()?;
        samples.connect_cpu_ns = after.broker.since(&before.broker).run_ns;
        samples.connect_simulated = after.simulated.since(&before.simulated);
        if self.plan.retained > 0 && !self.hopeless() {
            self.pass(Phase::Retain, timeout)?;
        }
        if !self.hopeless() {
            samples.subscribe_time = self.pass(Phase::Subscribe, timeout)?;
        }
        samples.failed_clients = self.failed;
        samples.memory[1] = self.memory();

        if !self.hopeless() {
            self.hold(self.plan.wait, &mut 0)?;
            let notice_ns = self.led.notice_ns();
            self.led.begin(Phase::Traffic, self.clock.now() + notice_ns + SCHEDULE_LEAD_NS);
            let mut abandoned = 0;
            self.hold(self.plan.lead_in(), &mut abandoned)?;
            samples.start = self.sample()?;
            self.led.measure_from(self.clock.now() + notice_ns);
            self.hold(self.plan.duration, &mut abandoned)?;
            // A broker that is gone by now is reported by the connections it closed.
            samples.end = self.sample().unwrap_or(samples.start);
            self.led.measure_until(self.clock.now() + notice_ns);
            if notice_ns > 0 {
                self.hold(Duration::from_nanos(notice_ns), &mut abandoned)?;
            }
            self.led.begin(Phase::Drain, 0);
            samples.memory[2] = self.memory();
            self.await_quiet()?;
        }
        samples.interrupted = self.interrupted;
        // Connections that do not close in time are cut off when the drivers stop.
        let _ = self.pass(Phase::Disconnect, GOODBYE_TIMEOUT);
        Ok(samples)
    }

    /// Whether there is no point in sending: messages of clients that are missing would only look lost.
    fn hopeless(&self) -> bool {
        self.interrupted
            || self.failed > 0 && (self.plan.traffic.is_some() || self.failed == self.plan.clients() as usize)
    }

    fn sample(&self) -> Result<Sample, String> {
        let mut broker = ProcessSample::default();
        for pid in &self.plan.pids {
            broker.add(&ProcessSample::take(*pid).map_err(|problem| format!("broker process {pid}: {problem}"))?);
        }
        let generator = ProcessSample::take(std::process::id()).unwrap_or_default();
        let simulated = self.simulated.map(Broker::usage).unwrap_or_default();
        let segments = self.simulated.is_none().then(procfs::tcp_segments_sent).flatten();
        Ok(Sample { broker, generator, simulated, segments })
    }

    fn memory(&self) -> Memory {
        if self.simulated.is_some() {
            return simulated::own_memory();
        }
        let mut sum = Memory::default();
        for memory in self.plan.pids.iter().filter_map(|pid| Memory::take(*pid).ok()) {
            sum.rss_bytes += memory.rss_bytes;
            sum.pss_bytes += memory.pss_bytes;
        }
        sum
    }

    /// Begins a phase, waits until all threads have done their part, and says how long that took.
    fn pass(&mut self, phase: Phase, timeout: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        self.led.begin(phase, self.clock.now());
        self.await_all(phase, timeout)?;
        Ok(begun.elapsed())
    }

    fn await_all(&mut self, awaited: Phase, timeout: Duration) -> Result<(), String> {
        let (mut reached, mut failures) = (0, 0);
        let (mut moved, mut moved_at) = (self.led.stage().total_moved(), Instant::now());
        let moved_before = moved;
        while reached < self.plan.threads() {
            match self.told.recv_timeout(PROGRESS_PERIOD.min(timeout)) {
                Ok(Event::Reached { phase, failed }) if phase == awaited => {
                    reached += 1;
                    failures += failed;
                }
                Ok(Event::Failed(problem)) => return Err(problem),
                Ok(Event::Interrupted) if awaited < Phase::Traffic => {
                    self.interrupt();
                    break;
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("all generator threads have ended".into()),
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.led.stage().total_moved();
                    if now != moved {
                        (moved, moved_at) = (now, Instant::now());
                        self.say(&format!("{awaited:?}: {} of {}", moved - moved_before, self.plan.clients()));
                    } else if moved_at.elapsed() >= timeout {
                        return Err(format!("{awaited:?}: nothing has moved for {timeout:?}"));
                    }
                }
            }
        }
        self.failed = failures;
        Ok(())
    }

    /// Lets the threads work for a time; ends early if there is nobody left to work.
    fn hold(&mut self, time: Duration, abandoned: &mut usize) -> Result<(), String> {
        let end = Instant::now() + time;
        while *abandoned < self.plan.threads() && !self.interrupted {
            match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Event::Abandoned | Event::Done) => *abandoned += 1,
                Ok(Event::Interrupted) => self.interrupt(),
                Ok(Event::Failed(problem)) => return Err(problem),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("all generator threads have ended".into()),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits until everything sent has arrived, or nothing has for as long as the plan allows.
    fn await_quiet(&mut self) -> Result<(), String> {
        let mut moved = self.led.stage().total_moved();
        loop {
            match self.told.recv_timeout(self.plan.drain) {
                Ok(Event::Quiet) => return Ok(()),
                Ok(Event::Failed(problem)) => return Err(problem),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("all generator threads have ended".into()),
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.led.stage().total_moved();
                    if now == moved {
                        return Ok(());
                    }
                    moved = now;
                }
            }
        }
    }

    /// Ends the run early: what is under way is still waited for, and a report is made of what there is.
    fn interrupt(&mut self) {
        self.interrupted = true;
        self.say("interrupted: ending early; once more ends at once");
    }

    fn say(&self, what: &str) {
        if !self.plan.generator.quiet && !watch::shows(self.plan) {
            eprintln!("{what}");
        }
    }
}

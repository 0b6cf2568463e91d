//! A run from start to end: threads, phases, samples.
//!
//! The main thread starts one thread a core, moves the [`Stage`] from phase to phase as the threads report, samples
//! the broker at both ends of the measured interval, and hands everything to the [`report`](crate::report). It sleeps
//! while the threads work, because it may have to share a core with one of them.

use crate::checks::{Checks, Verification};
use crate::cli::{Cli, ScenarioArgs};
use crate::clock::{Clock, NANOS_PER_MILLI};
use crate::definition::presets;
use crate::fleet::{Context, Directory, Fleet, Lent, Meter, Outcome};
use crate::live::Monitor;
use crate::plan::Plan;
use crate::procfs::{self, Memory, ProcessSample};
use crate::report::{Findings, Report, Verdict};
use crate::simulated::{self, Broker, Seat, Usage};
use crate::stage::{Event, Phase, Stage};
use crate::watch::{self, Interrupts, Watch};
use crate::workers::{self, Share};
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, Links, Options, Setup, links};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Files the process needs besides one a client: standard streams, rings, event descriptors, `/proc`.
const FILES_BESIDES_CLIENTS: u64 = 128;

/// Largest table of direct descriptors that the kernel makes.
const TABLE_SLOTS_MAX: u32 = 1 << 20;

/// How often the main thread looks whether anything has moved, and says how far things are.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// From the beginning of the traffic phase to its first scheduled message, nanoseconds: time for all to notice.
const SCHEDULE_LEAD_NS: u64 = 2 * NANOS_PER_MILLI;

/// Lines of a distribution for each halving of the distance to 100 %, as HdrHistogram's own tools write it.
const DISTRIBUTION_STEPS: u32 = 5;

/// How long clients get to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs what the command line asks for and reports it.
///
/// # Errors
/// A text for the user, if the run could not be carried out at all.
pub fn execute(cli: &Cli) -> Result<Verdict, String> {
    match &cli.scenario {
        ScenarioArgs::List => {
            print!("{}", presets::list());
            return Ok(Verdict::Passed);
        }
        ScenarioArgs::Describe(args) => {
            print!("{}", presets::describe(&args.scenario)?);
            return Ok(Verdict::Passed);
        }
        ScenarioArgs::Agent(args) => {
            workers::run_agent(args)?;
            return Ok(Verdict::Passed);
        }
        _ => {}
    }
    let plan = Plan::new(cli)?;
    let warnings = preflight(&plan)?;
    if let Some(core) = plan.generator.cores[0] {
        // The main thread must not disturb the broker; where it cannot run is found out by the threads.
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
    }
    let divided = cli.scenario.common().filter(|options| options.processes.is_some() || !options.agents.is_empty());
    let (plan, findings) = match divided {
        Some(options) => {
            let (plan, findings) = workers::carry_out(cli, options, plan, warnings)?;
            (Arc::new(plan), findings)
        }
        None => {
            let plan = Arc::new(plan);
            let findings = carry_out(&plan, warnings)?;
            (plan, findings)
        }
    };
    if let Some(prefix) = &plan.generator.hgrm {
        for (name, latency) in findings.meter.latencies() {
            if latency.percentiles().is_some() {
                let path = format!("{prefix}.{name}.hgrm");
                let text = latency.distribution(DISTRIBUTION_STEPS);
                std::fs::write(&path, text).map_err(|problem| format!("cannot write {path}: {problem}"))?;
            }
        }
    }
    let report = Report::new(&plan, findings);
    let to_stdout = plan.generator.json.as_deref() == Some(Path::new("-"));
    if let Some(path) = &plan.generator.json {
        let line = serde_json::to_string(&report).map_err(|problem| format!("cannot write the result: {problem}"))?;
        if to_stdout {
            println!("{line}");
        } else {
            append(path, &line).map_err(|problem| format!("cannot write {}: {problem}", path.display()))?;
        }
    }
    if !plan.generator.quiet && !to_stdout {
        print!("{}", report.table());
    }
    for line in report.complaints() {
        eprintln!("{line}");
    }
    Ok(report.verdict())
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    // One write: several generators may append to one file.
    OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}

/// What can be found out before anything is opened. Returns warnings.
fn preflight(plan: &Plan) -> Result<Vec<String>, String> {
    for pid in &plan.pids {
        ProcessSample::take(*pid).map_err(|problem| format!("--pid {pid}: {problem}"))?;
    }
    if plan.simulated.is_some() {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    if plan.remote.ip().is_loopback() && procfs::congestion_control() == "bbr" {
        warnings.push(
            "TCP congestion control is bbr, which paces loopback and distorts every figure: use cubic or reno \
             (sysctl net.ipv4.tcp_congestion_control)"
                .into(),
        );
    }
    if let (Some((low, high)), true) = (procfs::ephemeral_ports(), plan.remote.ip().is_loopback()) {
        let ports = (u64::from(high) + 1).saturating_sub(u64::from(low)) * plan.connecting.sources.len().max(1) as u64;
        if u64::from(plan.clients()) > ports {
            warnings.push(format!("{} clients have only {ports} ports: name more --ifaddr", plan.clients()));
        }
    }
    Ok(warnings)
}

/// Makes sure that so many of a plan's clients can be open at once. A limit of `None` is none at all.
///
/// # Errors
/// A text for the user.
pub(crate) fn raise_open_files_limit(plan: &Plan, clients: u32) -> Result<(), String> {
    if plan.generator.direct {
        return Ok(());
    }
    let needed = u64::from(clients) + FILES_BESIDES_CLIENTS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // A process with the privilege may raise the hard limit as well.
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|problem| {
        let most = limit.maximum.map_or_else(|| "unlimited".into(), |most| most.to_string());
        format!(
            "{needed} open files are needed, the hard limit is {most}: {problem}; raise it with ulimit -Hn, or \
             spread the clients with --processes"
        )
    })
}

/// Slots of the largest table of direct descriptors: as many as the process may have files.
fn largest_table() -> u32 {
    getrlimit(Resource::Nofile).current.map_or(TABLE_SLOTS_MAX, |limit| limit.min(TABLE_SLOTS_MAX.into()) as u32)
}

/// Runs all threads to the end.
pub(crate) fn carry_out(plan: &Arc<Plan>, warnings: Vec<String>) -> Result<Findings, String> {
    let threads = plan.threads();
    if plan.simulated.is_none() {
        raise_open_files_limit(plan, plan.connections())?;
    }
    let stage = Arc::new(Stage::new(threads));
    let control = Control::new(threads).map_err(|problem| format!("cannot set up: {problem}"))?;
    let (events, told) = channel();
    let size = plan.traffic.as_ref().map_or(0, |traffic| traffic.size);
    let (broker, seats) = plan.simulated.map(|options| Broker::new(threads, options, size)).unzip();
    let mut seats = seats.unwrap_or_default().into_iter();
    let directory = Arc::new(Directory::new(plan));
    let simulated = broker.as_ref();
    let live = watch::live(plan);
    let cx =
        Context { plan: Arc::clone(plan), stage: Arc::clone(&stage), directory, live, clock: Clock::start(), events };
    let mut conductor = Conductor::new(plan, stage.as_ref(), cx.clock, told, simulated);
    let monitor = Monitor::new(Arc::clone(plan), Arc::clone(&stage), Arc::clone(&cx.live), cx.clock);
    let watch = Watch::start(plan, monitor, cx.events.clone())?;
    let interrupts =
        Interrupts::handle(cx.events.clone()).map_err(|problem| format!("cannot handle signals: {problem}"))?;

    let (samples, outcomes) = thread::scope(|scope| {
        let workers: Vec<_> = links(threads)
            .into_iter()
            .enumerate()
            .map(|(thread, links)| {
                let (cx, control) = (cx.clone(), control.clone());
                let seat = simulated.zip(seats.next());
                scope.spawn(move || work(cx, thread, links, control, seat))
            })
            .collect();
        let samples = conductor.conduct();
        control.request_stop();
        simulated.inspect(|broker| broker.request_stop());
        let outcomes: Vec<Outcome> =
            workers.into_iter().map(|worker| worker.join().expect("a generator thread panicked")).collect();
        (samples, outcomes)
    });
    // Puts the terminal back before anything is printed.
    drop((watch, interrupts));
    let samples = samples?;

    let mut sent = vec![0; plan.scenario.publishers() as usize];
    for (publisher, count) in outcomes.iter().flat_map(|outcome| &outcome.sent) {
        sent[*publisher as usize] = *count;
    }
    let (mut verification, mut meter) = (Verification::default(), Meter::default());
    for mut outcome in outcomes {
        let checks = std::mem::replace(&mut outcome.checks, Checks::plain(0));
        verification.add(checks, outcome.streams(), &sent);
        meter.merge(outcome.meter);
    }
    let (from, until) = stage.measured();
    let measured = Duration::from_nanos(if from == u64::MAX { 0 } else { until.min(cx.clock.now()) - from });
    let sent_in_all = sent.iter().sum();
    let simulated = broker.map(|broker| {
        let measured = samples.end.simulated.since(&samples.start.simulated);
        broker.ended(samples.memory, samples.connect_simulated, measured)
    });
    Ok(Findings {
        tally: verification.finish(&sent),
        meter,
        measured,
        samples,
        warnings,
        sent_in_all,
        simulated,
        workers: Vec::new(),
    })
}

/// Runs a share of a plan's threads while `lead` moves their stage; they are stopped when it returns.
///
/// # Errors
/// A text for the user, if nothing could be set up.
pub(crate) fn perform<T>(
    plan: &Arc<Plan>,
    share: Share,
    clock: Clock,
    lead: impl FnOnce(&Context, Receiver<Event>) -> T,
) -> Result<(T, Vec<Outcome>), String> {
    let threads = share.threads;
    let stage = Arc::new(Stage::new(threads));
    let control = Control::new(threads).map_err(|problem| format!("cannot set up: {problem}"))?;
    let (events, told) = channel();
    let directory = Arc::new(Directory::of_share(plan, share));
    let cx = Context { plan: Arc::clone(plan), stage, directory, live: watch::live(plan), clock, events };
    Ok(thread::scope(|scope| {
        let workers: Vec<_> = links(threads)
            .into_iter()
            .enumerate()
            .map(|(thread, links)| {
                let (cx, control) = (cx.clone(), control.clone());
                scope.spawn(move || work(cx, thread, links, control, None))
            })
            .collect();
        let led = lead(&cx, told);
        control.request_stop();
        let outcomes: Vec<Outcome> =
            workers.into_iter().map(|worker| worker.join().expect("a generator thread panicked")).collect();
        (led, outcomes)
    }))
}

/// One generator thread, and in a simulated run a thread of the broker.
fn work(cx: Context, thread: usize, links: Links, control: Control, seat: Option<(&Broker, Seat)>) -> Outcome {
    let (plan, events) = (Arc::clone(&cx.plan), cx.events.clone());
    let mut fleet = Fleet::new(cx, thread);
    if let Some(core) = plan.generator.cores[thread]
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
    {
        let _ = events.send(Event::Failed(format!("cannot run on processor {core}")));
        return fleet.into_outcome();
    }
    if let Some((broker, seat)) = seat {
        simulated::work(&mut fleet, seat, broker);
        return fleet.into_outcome();
    }
    let spin = if plan.generator.spin { Duration::MAX } else { Duration::ZERO };
    let direct_descriptors = if plan.generator.direct { largest_table() } else { 0 };
    let options = Options { spin, direct_descriptors, ..Options::default() };
    let setup = Setup { shard: ShardId(thread as u8), listeners: Vec::new(), links, options, control };
    if let Err(problem) = ringmq_drive::run(plan.generator.driver, setup, Lent(&mut fleet)) {
        let _ = events.send(Event::Failed(format!("the {} driver: {problem}", plan.generator.driver)));
    }
    fleet.into_outcome()
}

/// The broker and the generator at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// All of the broker's processes together; zeros if none was named.
    pub broker: ProcessSample,
    /// This process.
    pub generator: ProcessSample,
    /// What the shards of a simulated run have used.
    pub simulated: Usage,
    /// TCP segments sent in this network namespace, both sides together on loopback.
    pub segments: Option<u64>,
}

/// What the main thread saw of the broker during a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Samples {
    /// Broker's memory before the first connection, when all clients were ready, and at the end of the measurement.
    pub memory: [Memory; 3],
    /// Broker's CPU time while connections were opened, nanoseconds.
    pub connect_cpu_ns: u64,
    /// What the shards of a simulated run used meanwhile.
    pub connect_simulated: Usage,
    /// How long it took to open all connections.
    pub connect_time: Duration,
    /// How long it took to make all subscriptions.
    pub subscribe_time: Duration,
    /// At the start of the measured interval.
    pub start: Sample,
    /// At its end.
    pub end: Sample,
    /// Clients that did not get as far as the traffic.
    pub failed_clients: usize,
    /// The run was ended early.
    pub interrupted: bool,
}

impl Samples {
    /// With the CPU time of workers in the place of this process's own.
    pub(crate) fn of_workers(mut self, cpu: ProcessSample) -> Self {
        (self.start.generator, self.end.generator) = (ProcessSample::default(), cpu);
        self
    }
}

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
        samples.connect_time = self.pass(Phase::Connect, timeout)?;
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
            self.hold(self.plan.warmup, &mut abandoned)?;
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

//! A run from start to end: threads, phases, samples.
//!
//! The main thread starts one thread a core, moves the [`Stage`] from phase to phase as the threads report, samples
//! the broker at both ends of the measured interval, and hands everything to the [`report`]. It sleeps
//! while the threads work, because it may have to share a core with one of them.

mod conductor;
mod limits;
mod samples;

pub(crate) use conductor::{Conductor, Led};
pub(crate) use limits::raise_open_files_limit;
pub use samples::{Sample, Samples};

use crate::checks::{Checks, Verification};
use crate::cli::{Cli, ScenarioArgs};
use crate::clock::Clock;
use crate::definition::presets;
use crate::fleet::{Context, Directory, Fleet, Lent, Meter, Outcome};
use crate::live::{Live, Monitor};
use crate::plan::Plan;
use crate::report::{self, Findings, Report, Verdict};
use crate::simulated::{self, Broker, Seat};
use crate::stage::{Event, Stage};
use crate::watch::{self, Interrupts, Watch};
use crate::workers::{self, Share};
use limits::{largest_table, preflight};
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, Links, Options, Setup, links};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Lines of a distribution for each halving of the distance to 100 %, as HdrHistogram's own tools write it.
const DISTRIBUTION_STEPS: u32 = 5;

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
    let (plan, mut findings) = match divided {
        Some(options) => workers::carry_out(cli, options, plan, warnings)?,
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
    if let Some(path) = &plan.generator.qoe_log {
        let experiences = std::mem::take(&mut findings.experiences);
        let written = File::create(path).and_then(|file| report::qoe::write(&experiences, file));
        written.map_err(|problem| format!("--qoe-log {}: {problem}", path.display()))?;
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

/// Runs all threads to the end.
pub(crate) fn carry_out(plan: &Arc<Plan>, warnings: Vec<String>) -> Result<Findings, String> {
    let threads = plan.threads();
    if plan.simulated.is_none() {
        raise_open_files_limit(plan, plan.connections())?;
    }
    let stage = Arc::new(Stage::new(threads));
    let control = Control::new(threads).map_err(|problem| format!("cannot set up: {problem}"))?;
    let (events, told) = channel();
    let size = plan.traffic.as_ref().map_or(0, |traffic| traffic.payload.largest());
    let (broker, seats) = plan.simulated.map(|options| Broker::new(threads, options, size)).unzip();
    let mut seats = seats.unwrap_or_default().into_iter();
    let directory = Arc::new(Directory::new(plan));
    let simulated = broker.as_ref();
    if simulated.is_none() {
        stage.wake_by(control.clone());
    }
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
    let mut experiences = Vec::new();
    for mut outcome in outcomes {
        experiences.append(&mut outcome.experiences);
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
        experiences,
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
    live: Arc<Live>,
    lead: impl FnOnce(&Context, Receiver<Event>) -> T,
) -> Result<(T, Vec<Outcome>), String> {
    let threads = share.threads;
    let stage = Arc::new(Stage::new(threads));
    let control = Control::new(threads).map_err(|problem| format!("cannot set up: {problem}"))?;
    let (events, told) = channel();
    stage.wake_by(control.clone());
    let directory = Arc::new(Directory::of_share(plan, share));
    let cx = Context { plan: Arc::clone(plan), stage, directory, live, clock, events };
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

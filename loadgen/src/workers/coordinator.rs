//! The coordinator's side of a run: divides it, has the conductor lead the workers, and merges what they found.
//!
//! Absent: connections of its own to the broker.

use super::WorkerResult;
use super::crew::{Crew, Worker, hear};
use super::offset::Offset;
use super::order;
use super::protocol::{Command, Findings, Order};
use super::share::{Share, check, crossing};
use crate::checks::Verification;
use crate::cli::{Cli, CommonArgs, ScenarioArgs};
use crate::clock::{Clock, NANOS_PER_MILLI};
use crate::definition::presets;
use crate::fleet::Meter;
use crate::plan::Plan;
use crate::procfs::ProcessSample;
use crate::report;
use crate::run::{Conductor, Led, Samples};
use crate::stage::{Phase, Stage};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long before something happens the workers are told, nanoseconds.
const NOTICE_NS: u64 = 50 * NANOS_PER_MILLI;

/// Latencies between hosts are worth a warning if their clocks are less certain than this share of the median.
const UNCERTAINTY_SHARE_MAX: f64 = 0.1;

/// The workers as the conductor leads them.
struct Workers<'a> {
    stage: &'a Stage,
    crew: &'a Crew,
}

impl Led for Workers<'_> {
    fn stage(&self) -> &Stage {
        self.stage
    }

    fn begin(&self, phase: Phase, start_ns: u64) {
        self.stage.begin(phase, start_ns);
        self.crew.tell(&Command::Begin { phase, start_ns });
    }

    fn measure_from(&self, at_ns: u64) {
        self.stage.measure_from(at_ns);
        self.crew.tell(&Command::MeasureFrom(at_ns));
    }

    fn measure_until(&self, at_ns: u64) {
        self.stage.measure_until(at_ns);
        self.crew.tell(&Command::MeasureUntil(at_ns));
    }

    fn notice_ns(&self) -> u64 {
        NOTICE_NS
    }
}

/// Runs a plan on workers to the end.
///
/// # Errors
/// A text for the user.
pub(crate) fn carry_out(
    cli: &Cli,
    options: &CommonArgs,
    mut plan: Plan,
    mut warnings: Vec<String>,
) -> Result<(Plan, report::Findings), String> {
    let mut workers = assemble(options, &plan.generator.cores, &mut warnings)?;
    let threads: Vec<usize> = workers.iter().map(|worker| worker.welcome.cores.len()).collect();
    let shares = Share::rows(&threads);
    plan.generator.cores = workers.iter().flat_map(|worker| worker.welcome.cores.clone()).collect();
    check(&plan, &shares)?;

    let clock = Clock::start();
    let stage = Arc::new(Stage::new(workers.len()));
    let crew = Crew::new(&workers)?;
    let (samples, found) = lead(cli, &plan, &workers, &shares, (clock, &stage, &crew))?;
    let offsets = workers.iter_mut().map(Worker::measure_again).collect::<Result<Vec<_>, _>>()?;
    let (from, until) = stage.measured();
    let measured = Duration::from_nanos(if from == u64::MAX { 0 } else { until.min(clock.now()) - from });
    crew.dismiss();

    let merged = merge(&plan, &workers, &shares, &offsets, found, measured)?;
    let uncertainty_us = offsets.iter().map(|offset| offset.uncertainty_ns).max().unwrap_or(0) as f64 / 1000.0;
    if let Some(latency) = merged.meter.end_to_end.percentiles()
        && uncertainty_us > latency.p50_us * UNCERTAINTY_SHARE_MAX
        && crossing(&plan, &shares).is_some()
    {
        warnings.push(format!(
            "the hosts' clocks agree within {uncertainty_us:.1} us only, and the median latency is {} us: latencies \
             between hosts are wrong by up to that",
            latency.p50_us
        ));
    }
    Ok((plan, report::Findings { samples: samples.of_workers(merged.cpu), measured, warnings, ..merged.findings() }))
}

/// Starts and reaches all workers.
fn assemble(options: &CommonArgs, cores: &[Option<usize>], warnings: &mut Vec<String>) -> Result<Vec<Worker>, String> {
    let processes = options.processes.unwrap_or(0) as usize;
    if processes == 0 && (options.cores.is_some() || options.threads.is_some()) {
        return Err("--cores and --threads are for --processes; agents have their own command lines".into());
    }
    if options.cores.is_some() && cores.len() < processes {
        let few = cores.len();
        warnings.push(format!("{processes} processes share {few} cores and disturb each other: consider --no-spin"));
    }
    let mut workers = Vec::new();
    for number in 0..processes {
        workers.push(Worker::start(number + 1, deal(cores, number, processes))?);
    }
    for agent in &options.agents {
        workers.push(Worker::reach(agent)?);
    }
    Ok(workers)
}

/// The threads' cores of one process of several: a row of the list, or one of it if there are too few.
fn deal(cores: &[Option<usize>], number: usize, processes: usize) -> Vec<Option<usize>> {
    match cores.len() {
        few if few < processes => vec![cores[number % few]],
        many => cores[many * number / processes..many * (number + 1) / processes].to_vec(),
    }
}

/// Leads the workers through all phases.
fn lead(
    cli: &Cli,
    plan: &Plan,
    workers: &[Worker],
    shares: &[Share],
    (clock, stage, crew): (Clock, &Arc<Stage>, &Crew),
) -> Result<(Samples, Vec<Findings>), String> {
    let arguments = order::arguments(std::env::args_os(), &plan.identity.naming.prefix)?;
    let definition = match &cli.scenario {
        ScenarioArgs::Run(run) => Some(presets::find(&run.scenario)?),
        _ => None,
    };
    let (events, told) = channel();
    let mut ears = Vec::new();
    for (place, worker) in workers.iter().enumerate() {
        let order = Order {
            run: plan.run,
            arguments: arguments.clone(),
            definition: definition.clone(),
            share: shares[place],
            cores: worker.welcome.cores.clone(),
            clock_zero_ns: clock.zero_ns() + worker.offset.ahead_ns,
        };
        crew.tell_one(place, &Command::Prepare(Box::new(order)));
        let stream = worker.stream.try_clone().map_err(|problem| format!("{}: {problem}", worker.name))?;
        let (name, stage, events) = (worker.name.clone(), Arc::clone(stage), events.clone());
        ears.push(thread::spawn(move || hear(&name, stream, place, &stage, &events)));
    }
    let (stop, stopped) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let stopped = stopped;
            crew.keep_alive(&stopped);
        });
        let led = Workers { stage, crew };
        let samples = Conductor::new(plan, &led, clock, told, None).conduct();
        if samples.is_ok() {
            crew.tell(&Command::Finish);
        } else {
            crew.dismiss();
        }
        let heard: Vec<_> =
            ears.into_iter().map(|ear| ear.join().expect("listening to a worker does not panic")).collect();
        drop(stop);
        // The conductor's words come first: what it heard of first is the cause.
        let samples = samples?;
        let found = heard.into_iter().map(|found| found.map(|found| *found)).collect::<Result<_, _>>()?;
        Ok((samples, found))
    })
}

/// What all workers found.
struct Merged {
    verification: crate::checks::Tally,
    meter: Meter,
    sent_in_all: u64,
    cpu: ProcessSample,
    workers: Vec<WorkerResult>,
}

impl Merged {
    /// As the report takes it, with what only the coordinator knows left empty.
    fn findings(self) -> report::Findings {
        report::Findings {
            tally: self.verification,
            meter: self.meter,
            measured: Duration::ZERO,
            samples: Samples::default(),
            warnings: Vec::new(),
            sent_in_all: self.sent_in_all,
            simulated: None,
            workers: self.workers,
            experiences: Vec::new(),
        }
    }
}

fn merge(
    plan: &Plan,
    workers: &[Worker],
    shares: &[Share],
    offsets: &[Offset],
    found: Vec<Findings>,
    measured: Duration,
) -> Result<Merged, String> {
    let mut sent = vec![0; plan.scenario.publishers() as usize];
    for (worker, (publisher, count)) in
        workers.iter().zip(&found).flat_map(|(worker, found)| found.sent.iter().map(move |sent| (worker, *sent)))
    {
        let unknown = || format!("{} counts messages of publisher {publisher}, who does not exist", worker.name);
        *sent.get_mut(publisher as usize).ok_or_else(unknown)? = count;
    }
    let (mut verification, mut meter) = (Verification::default(), Meter::default());
    let (mut cpu, mut results) = (ProcessSample::default(), Vec::new());
    for (place, found) in found.into_iter().enumerate() {
        for digest in &found.checks {
            verification.add_digest(digest, &sent).map_err(|what| format!("{}: {what}", workers[place].name))?;
        }
        cpu.add(&found.cpu);
        results.push(result(plan, &workers[place], &shares[place], &offsets[place], &found, measured));
        meter.merge(found.meter);
    }
    let (sent_in_all, verification) = (sent.iter().sum(), verification.finish(&sent));
    Ok(Merged { verification, meter, sent_in_all, cpu, workers: results })
}

fn result(
    plan: &Plan,
    worker: &Worker,
    share: &Share,
    offset: &Offset,
    found: &Findings,
    measured: Duration,
) -> WorkerResult {
    let Findings { meter, cpu, .. } = found;
    let turns_ns = (meter.busy_ns + meter.idle_ns).max(1);
    let threads_ns = measured.as_nanos().max(1) as f64 * share.threads as f64;
    WorkerResult {
        host: worker.welcome.host.clone(),
        pid: worker.welcome.pid,
        agent: worker.agent.clone(),
        clients: share.clients(plan),
        cores: worker.welcome.cores.clone(),
        connected: meter.connected,
        sent: meter.sent,
        delivered: meter.delivered,
        busy_share: report::tidy(meter.busy_ns as f64 / turns_ns as f64),
        wait_share: report::tidy(cpu.wait_ns as f64 / threads_ns),
        lag_p99_us: meter.lag.percentiles().map(|lag| lag.p99_us),
        clock_offset_us: report::tidy(offset.ahead_ns as f64 / 1000.0),
        clock_uncertainty_us: report::tidy(offset.uncertainty_ns as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::deal;

    #[test]
    fn cores_are_dealt_in_rows_and_shared_only_if_there_are_too_few() {
        let all = |cores: &[usize], processes| {
            let cores: Vec<Option<usize>> = cores.iter().copied().map(Some).collect();
            let rows = (0..processes).map(|number| deal(&cores, number, processes));
            rows.map(|row| row.into_iter().flatten().collect()).collect::<Vec<Vec<usize>>>()
        };
        assert_eq!(all(&[1, 2, 3, 4, 5], 2), [vec![1, 2], vec![3, 4, 5]]);
        assert_eq!(all(&[4, 6], 2), [vec![4], vec![6]]);
        assert_eq!(all(&[7, 8], 3), [vec![7], vec![8], vec![7]]);
        assert_eq!(deal(&[None], 1, 2), [None], "without cores each has one thread");
    }
}

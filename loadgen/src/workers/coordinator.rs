//! The coordinator's side of a run: divides it, has the conductor lead the workers, and merges what they found.
//!
//! Absent: connections of its own to the broker.

use super::WorkerResult;
use super::crew::{Crew, Ears, Worker, hear};
use super::offset::{Offset, disagreement_ns};
use super::order;
use super::protocol::{Command, Findings, Order};
use super::share::{Share, check, crossing};
use crate::checks::Verification;
use crate::cli::{Cli, CommonArgs, ScenarioArgs};
use crate::clock::{Clock, NANOS_PER_MILLI};
use crate::definition::presets;
use crate::fleet::{ClientExperience, Meter};
use crate::live::{Monitor, Reports};
use crate::plan::Plan;
use crate::procfs::ProcessSample;
use crate::report;
use crate::run::{Conductor, Led, Samples};
use crate::stage::{Phase, Stage};
use crate::watch::{self, Interrupts, Watch};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long before something happens the workers are told, nanoseconds.
const NOTICE_NS: u64 = 50 * NANOS_PER_MILLI;

/// Latencies between hosts are worth a warning if their clocks are less certain than this share of the median.
const UNCERTAINTY_SHARE_MAX: f64 = 0.1;

/// Above this share of busy turns one worker may be what limits the run; the report's threshold for all together.
const BUSY_SHARE_MAX: f64 = 0.95;

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
) -> Result<(Arc<Plan>, report::Findings), String> {
    if plan.simulated.is_some() {
        return Err("--simulated is one process by definition, with the broker and all clients in it: leave out \
                    --processes and --agents, or --simulated"
            .into());
    }
    let mut workers = assemble(options, &plan.generator.cores, &mut warnings)?;
    let threads: Vec<usize> = workers.iter().map(|worker| worker.welcome.cores.len()).collect();
    let shares = Share::rows(&threads);
    plan.generator.cores = workers.iter().flat_map(|worker| worker.welcome.cores.clone()).collect();
    check(&plan, &shares)?;

    let plan = Arc::new(plan);
    let clock = Clock::start();
    let stage = Arc::new(Stage::new(workers.len()));
    let crew = Crew::new(&workers)?;
    let (samples, found) = lead(cli, &plan, &workers, &shares, (clock, &stage, &crew))?;
    let mut offsets = Vec::new();
    for place in 0..workers.len() {
        offsets.push(workers[place].measure_again()?);
        workers.iter_mut().for_each(Worker::reassure);
    }
    let (from, until) = stage.measured();
    let measured = Duration::from_nanos(if from == u64::MAX { 0 } else { until.min(clock.now()) - from });
    crew.dismiss();

    let merged = merge(&plan, &workers, &shares, &offsets, found, measured)?;
    warnings.extend(doubts(&plan, &workers, &shares, &offsets, &merged));
    let samples = samples.of_workers(merged.cpu);
    Ok((plan, report::Findings { samples, measured, warnings, ..merged.findings() }))
}

/// What makes the merged figures doubtful: clocks that are not known well enough, and one worker that was the limit.
fn doubts(plan: &Plan, workers: &[Worker], shares: &[Share], offsets: &[Offset], merged: &Merged) -> Vec<String> {
    let mut doubts = Vec::new();
    let clock = |place: usize| workers[place].welcome.clock.as_str();
    let clocks = offsets.iter().enumerate().map(|(place, offset)| (clock(place), *offset));
    let disagreement_us = disagreement_ns(clocks) as f64 / 1000.0;
    if let Some(latency) = merged.meter.end_to_end.percentiles()
        && disagreement_us > latency.p50_us * UNCERTAINTY_SHARE_MAX
        && crossing(plan, shares, |one, other| clock(one) == clock(other)).is_some()
    {
        doubts.push(format!(
            "the hosts' clocks agree within {disagreement_us:.1} us only, and the median latency is {} us: latencies \
             between hosts are wrong by up to that",
            latency.p50_us
        ));
    }
    let at_limit = |worker: &WorkerResult| worker.busy_share > BUSY_SHARE_MAX;
    if plan.generator.spin && !merged.workers.iter().all(at_limit) {
        for worker in merged.workers.iter().filter(|worker| at_limit(worker)) {
            let (name, share) = (worker.name(), worker.busy_share * 100.0);
            doubts
                .push(format!("{name} was busy {share:.0} % of the time and may have been the limit of the whole run"));
        }
    }
    doubts
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
        workers.iter_mut().for_each(Worker::reassure);
    }
    agree(&mut workers);
    Ok(workers)
}

/// Workers with one clock get one offset, the most certain one that was found: between them there is no uncertainty.
fn agree(workers: &mut [Worker]) {
    let mut best: BTreeMap<String, Offset> = BTreeMap::new();
    for worker in &*workers {
        let offset = best.entry(worker.welcome.clock.clone()).or_insert(worker.offset);
        if worker.offset.uncertainty_ns < offset.uncertainty_ns {
            *offset = worker.offset;
        }
    }
    for worker in workers {
        worker.offset = best[&worker.welcome.clock];
    }
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
    plan: &Arc<Plan>,
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
    let reports = Reports::new(workers.len());
    let monitor = Monitor::of_workers(Arc::clone(plan), Arc::clone(stage), Arc::clone(&reports), clock);
    let watch = Watch::start(plan, monitor, events.clone())?;
    let interrupts =
        Interrupts::handle(events.clone()).map_err(|problem| format!("cannot handle signals: {problem}"))?;
    let heard = Ears { stage: Arc::clone(stage), reports, events };
    let mut ears = Vec::new();
    for (place, worker) in workers.iter().enumerate() {
        let order = Order {
            run: plan.run,
            arguments: arguments.clone(),
            definition: definition.clone(),
            share: shares[place],
            cores: worker.welcome.cores.clone(),
            clock_zero_ns: clock.zero_ns() + worker.offset.ahead_ns,
            watched: watch::is_watched(plan),
            experiences: plan.generator.experiences,
        };
        crew.tell_one(place, &Command::Prepare(Box::new(order)));
        let stream = worker.stream.try_clone().map_err(|problem| format!("{}: {problem}", worker.name))?;
        let (name, heard) = (worker.name.clone(), heard.clone());
        ears.push(thread::spawn(move || hear(&name, stream, place, &heard)));
    }
    let (stop, stopped) = channel();
    let led = thread::scope(|scope| {
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
    });
    // Puts the terminal back before anything is printed.
    drop((watch, interrupts));
    led
}

/// What all workers found.
struct Merged {
    verification: crate::checks::Tally,
    meter: Meter,
    sent_in_all: u64,
    cpu: ProcessSample,
    workers: Vec<WorkerResult>,
    experiences: Vec<ClientExperience>,
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
            experiences: self.experiences,
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
    let (mut cpu, mut results, mut experiences) = (ProcessSample::default(), Vec::new(), Vec::new());
    for (place, mut found) in found.into_iter().enumerate() {
        for digest in &found.checks {
            verification.add_digest(digest, &sent).map_err(|what| format!("{}: {what}", workers[place].name))?;
        }
        cpu.add(&found.cpu);
        results.push(result(plan, &workers[place], &shares[place], &offsets[place], &found, measured));
        experiences.append(&mut found.experiences);
        meter.merge(found.meter);
    }
    let (sent_in_all, verification) = (sent.iter().sum(), verification.finish(&sent));
    Ok(Merged { verification, meter, sent_in_all, cpu, workers: results, experiences })
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
        // Hours as a rule, of which every microsecond counts.
        clock_offset_us: offset.ahead_ns as f64 / 1000.0,
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

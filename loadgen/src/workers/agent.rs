//! The worker's side: does a coordinator's part of a run, and waits for the next coordinator.
//!
//! If the coordinator is lost, all connections are closed at once. A process that a coordinator started ends with it.
//! Absent: reading and writing files, and deciding anything about the run.

use super::order;
use super::protocol::{
    ALIVE_PERIOD, Answer, COMMAND_BYTES_MAX, Command, Findings, GREETING_BYTES_MAX, GREETING_TIMEOUT, Greeting, Order,
    SILENCE_MAX, Version, Welcome,
};
use super::stream::{Broken, Stream, read, write};
use crate::cli::AgentArgs;
use crate::clock::{Clock, monotonic_ns};
use crate::fleet::{Context, Meter, Outcome};
use crate::live::{Live, Monitor, Second};
use crate::procfs::ProcessSample;
use crate::run;
use crate::stage::{Event, Phase, Stage};
use signal_hook::consts::SIGINT;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the coordinator learns where the threads stand while they drain, and otherwise.
const DRAIN_TICK: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_millis(100);

/// How often the coordinator of a watched run learns what the threads have counted.
const SEEN_PERIOD: Duration = Duration::from_millis(250);

/// Serves coordinators, one after the other, until the process is ended.
///
/// # Errors
/// A text for the user, if it cannot listen, or if the process that started this one was lost.
pub(crate) fn run(args: &AgentArgs) -> Result<(), String> {
    let cores: Vec<Option<usize>> =
        args.cores.as_ref().map_or_else(|| vec![None], |list| list.0.iter().copied().map(Some).collect());
    if args.inherited {
        // Ctrl-C on a terminal reaches all processes of the run. The coordinator ends it in order; this one is told so,
        // or finds that the coordinator is no more.
        signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)))
            .map_err(|problem| format!("cannot handle signals: {problem}"))?;
        let stream = Stream::inherited().map_err(|problem| format!("standard input: {problem}"))?;
        // The coordinator knows already what went wrong, or is no more.
        return serve(stream, &cores, true).or(Ok(()));
    }
    let listener = TcpListener::bind(args.listen).map_err(|problem| format!("--listen {}: {problem}", args.listen))?;
    let address = listener.local_addr().map_err(|problem| problem.to_string())?;
    println!("listening on {address}");
    std::io::stdout().flush().map_err(|problem| problem.to_string())?;
    loop {
        let (stream, peer) = listener.accept().map_err(|problem| format!("cannot accept: {problem}"))?;
        match serve(Stream::Tcp(stream), &cores, false) {
            Ok(()) => eprintln!("the run of {peer} has ended"),
            Err(problem) => eprintln!("coordinator {peer}: {problem}"),
        }
    }
}

/// One coordinator, from greeting to goodbye.
fn serve(mut stream: Stream, cores: &[Option<usize>], trusted: bool) -> Result<(), String> {
    let failed = |problem: std::io::Error| format!("the connection failed: {problem}");
    stream.set_timeout(GREETING_TIMEOUT).map_err(failed)?;
    let theirs: Version = read(&mut stream, GREETING_BYTES_MAX).map_err(|broken| format!("it {broken}"))?;
    if let Err(why) = theirs.check() {
        write(&mut stream, &Greeting::Refused(format!("the coordinator {why}"))).map_err(failed)?;
        return Err(format!("refused: it {why}"));
    }
    write(&mut stream, &Greeting::Welcome(Welcome::own(cores))).map_err(failed)?;
    stream.set_timeout(SILENCE_MAX).map_err(failed)?;
    let mut done = false;
    loop {
        match read(&mut stream, COMMAND_BYTES_MAX) {
            Ok(Command::Clock) => write(&mut stream, &Answer::Clock(monotonic_ns())).map_err(failed)?,
            Ok(Command::Alive) => {}
            Ok(Command::Prepare(order)) if !done => {
                done = true;
                if let Err(problem) = perform(&order, &mut stream, trusted) {
                    // It may be the reason that nobody is there any more.
                    let _ = write(&mut stream, &Answer::Event(Event::Failed(problem.clone())));
                    return Err(problem);
                }
            }
            Ok(other) => return Err(format!("it sent {other:?} out of turn")),
            Err(Broken::Ended) => return Ok(()),
            Err(broken) => return Err(format!("it {broken}")),
        }
    }
}

/// Runs the threads of an order to the end, and hands over what they found.
fn perform(order: &Order, stream: &mut Stream, trusted: bool) -> Result<(), String> {
    let plan = Arc::new(order::plan(order, trusted)?);
    run::raise_open_files_limit(&plan, order.share.connections(&plan))?;
    let clock = Clock::with_zero(order.clock_zero_ns);
    let live = if order.watched { Live::new(order.share.threads) } else { Live::unwatched() };
    let clone = |stream: &Stream| stream.try_clone().map_err(|problem| problem.to_string());
    let (commands, last_words) = (clone(stream)?, clone(stream)?);
    let (ended, outcomes) = run::perform(&plan, order.share, clock, live, |cx, told| {
        let (stage, wake) = (Arc::clone(&cx.stage), cx.events.clone());
        let monitor = || Monitor::new(Arc::clone(&plan), Arc::clone(&stage), Arc::clone(&cx.live), clock);
        let monitor = order.watched.then(monitor);
        let follower = thread::spawn(move || follow(commands, &stage, &wake));
        let reported = report(cx, &told, stream, monitor, || follower.is_finished());
        if reported.is_err() {
            stream.shut();
        }
        let followed = follower.join().expect("the thread that follows commands does not panic");
        // What the coordinator did says more than that it cannot be written to.
        followed.and_then(|cpu| reported.map(|()| (cpu, Lifeline::start(last_words))))
    })?;
    let (cpu, lifeline) = ended?;
    let findings = collect(outcomes, cpu);
    drop(lifeline);
    write(stream, &Answer::Findings(Box::new(findings))).map_err(|problem| format!("it is gone: {problem}"))
}

/// Does what the coordinator says until it says finish; the process's CPU time between the ends of the measurement.
fn follow(mut commands: Stream, stage: &Stage, wake: &Sender<Event>) -> Result<ProcessSample, String> {
    let sample = || ProcessSample::take(std::process::id()).unwrap_or_default();
    let (mut start, mut cpu) = (ProcessSample::default(), ProcessSample::default());
    let ended = loop {
        match read(&mut commands, COMMAND_BYTES_MAX) {
            Ok(Command::Begin { phase, start_ns }) => stage.begin(phase, start_ns),
            Ok(Command::MeasureFrom(at_ns)) => {
                stage.measure_from(at_ns);
                start = sample();
            }
            Ok(Command::MeasureUntil(at_ns)) => {
                stage.measure_until(at_ns);
                cpu = sample().since(&start);
            }
            Ok(Command::Alive) => {}
            Ok(Command::Finish) => break Ok(cpu),
            Ok(other) => break Err(format!("it sent {other:?} out of turn")),
            Err(broken) => break Err(format!("it {broken} in the middle of a run: all connections are closed")),
        }
    };
    // Any event wakes the reporting; this one says nothing to the coordinator.
    let _ = wake.send(Event::Quiet);
    ended
}

/// Says that this process is there, from when its threads are told to end; with this value that stops.
struct Lifeline {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lifeline {
    fn start(mut stream: Stream) -> Self {
        let (stop, stopped) = channel::<()>();
        let body = move || {
            while stopped.recv_timeout(ALIVE_PERIOD) == Err(RecvTimeoutError::Timeout)
                && write(&mut stream, &Answer::Alive).is_ok()
            {}
        };
        Self { stop: Some(stop), thread: Some(thread::spawn(body)) }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Passes on what the threads say, where they stand and what `monitor` sees of them, until `ended`.
fn report(
    cx: &Context,
    told: &Receiver<Event>,
    stream: &mut Stream,
    mut monitor: Option<Monitor>,
    ended: impl Fn() -> bool,
) -> Result<(), String> {
    let (mut seen, mut second) = (Instant::now(), None);
    let mut last = (0, None);
    let mut said = Instant::now();
    let gone = |problem: std::io::Error| format!("it is gone: {problem}");
    while !ended() {
        let tick = if cx.stage.phase() == Phase::Drain { DRAIN_TICK } else { TICK };
        match told.recv_timeout(tick) {
            // Whether all is quiet is known only where all accounts come together.
            Ok(Event::Quiet) | Err(RecvTimeoutError::Timeout) => {}
            Ok(event) => write(stream, &Answer::Event(event)).map_err(gone)?,
            Err(RecvTimeoutError::Disconnected) => return Err("all generator threads have ended".into()),
        }
        let now = (cx.stage.total_moved(), cx.stage.accounts());
        if now != last || said.elapsed() >= ALIVE_PERIOD {
            (last, said) = (now, Instant::now());
            write(stream, &Answer::Progress { moved: now.0, account: now.1 }).map_err(gone)?;
        }
        if let Some(monitor) = &mut monitor
            && seen.elapsed() >= SEEN_PERIOD
        {
            seen = Instant::now();
            let mut snapshot = monitor.observe().clone();
            if second.replace(snapshot.second.number) == Some(snapshot.second.number) {
                // It has been sent, and is the largest part.
                snapshot.second = Second::default();
            }
            write(stream, &Answer::Seen(Box::new(snapshot))).map_err(gone)?;
        }
    }
    Ok(())
}

/// Puts the threads' findings together.
fn collect(outcomes: Vec<Outcome>, cpu: ProcessSample) -> Findings {
    let (sent, checks, experiences) = (Vec::new(), Vec::new(), Vec::new());
    let mut findings = Findings { sent, checks, experiences, meter: Meter::default(), cpu };
    for mut outcome in outcomes {
        findings.experiences.append(&mut outcome.experiences);
        findings.checks.push(outcome.checks.digest(outcome.streams()));
        findings.sent.extend(outcome.sent);
        findings.meter.merge(outcome.meter);
    }
    findings
}

//! Watching a run: who is shown what while it goes on, and how it is ended early.
//!
//! One thread takes a [`Snapshot`] four times a second and hands it to the view: a bar, lines, a full screen, or
//! nothing; and to the metrics endpoint, if there is one. Like the main thread it runs on the generator's first core, so
//! that the broker keeps its own. Without a view and an endpoint there is no such thread, and nothing is published.
//!
//! Absent: the report.

mod interrupt;
mod progress;
mod prometheus;
mod ui;

pub use interrupt::{EXIT_INTERRUPTED, Interrupts};

use crate::cli::duration;
use crate::live::{Live, Monitor, Snapshot};
use crate::plan::Plan;
use crate::stage::Event;
use clap::Args;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pause between two looks at the run.
const PERIOD: Duration = Duration::from_millis(250);

/// Above this share of busy turns the generator is probably the limit; the report's threshold too.
const BUSY_SHARE_MAX: f64 = 0.95;

/// Above this lag at the 99th percentile, microseconds, the schedule is not kept; the report's threshold too.
const LAG_P99_US_MAX: u64 = 1000;

/// What was asked for.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Show the run on the full screen; q ends it early. Needs a terminal
    #[arg(long, conflicts_with_all = ["quiet", "report_every"], help_heading = "Watching")]
    pub ui: bool,
    /// Print a line of progress so often, in place of the bar: 5s, 1m
    #[arg(long, value_name = "TIME", value_parser = interval, help_heading = "Watching")]
    pub report_every: Option<Duration>,
    /// Serve metrics of the running generator for Prometheus: GET /metrics. A port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR:PORT", value_parser = endpoint, help_heading = "Watching")]
    pub prometheus: Option<SocketAddr>,
}

/// A time that is worth a line.
fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        every if every >= PERIOD => Ok(every),
        _ => Err(format!("must be at least {PERIOD:?}")),
    }
}

/// An address and a port, or a port of the loopback address.
fn endpoint(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| format!("`{text}` is neither ADDR:PORT, such as 127.0.0.1:9400, nor a port"))
}

/// What people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Nothing,
    Bar,
    Lines(Duration),
    Screen,
}

/// Decides what is shown.
fn view(plan: &Plan) -> View {
    let asked = &plan.generator.watch;
    match asked.report_every {
        _ if asked.ui => View::Screen,
        _ if plan.generator.quiet => View::Nothing,
        Some(every) => View::Lines(every),
        None if std::io::stderr().is_terminal() => View::Bar,
        None => View::Nothing,
    }
}

/// Whether anybody looks at the run while it goes on.
#[must_use]
pub fn is_watched(plan: &Plan) -> bool {
    shows(plan) || plan.generator.watch.prometheus.is_some()
}

/// What the threads publish to: nowhere if nobody watches.
#[must_use]
pub fn live(plan: &Plan) -> Arc<Live> {
    if is_watched(plan) { Live::new(plan.threads()) } else { Live::unwatched() }
}

/// Whether the run's own plain lines of progress would be in the way.
#[must_use]
pub fn shows(plan: &Plan) -> bool {
    view(plan) != View::Nothing
}

/// A run that is being watched; ends with this value.
#[derive(Debug)]
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    endpoint: Option<prometheus::Endpoint>,
}

impl Watch {
    /// Starts to watch what the plan asks for. Whoever watches may send [`Event::Interrupted`].
    ///
    /// # Errors
    /// A text for the user, if there is no terminal for the screen or the endpoint's address cannot be had.
    pub fn start(plan: &Plan, monitor: Monitor, events: Sender<Event>) -> Result<Self, String> {
        let (view, asked) = (view(plan), &plan.generator.watch);
        let latest = Arc::new(Mutex::new(Snapshot::new(u64::from(plan.clients()))));
        let endpoint = match asked.prometheus {
            Some(address) => {
                let endpoint = prometheus::Endpoint::start(address, Arc::clone(&latest))?;
                if !plan.generator.quiet && view != View::Screen {
                    eprintln!("metrics at http://{}/metrics", endpoint.address());
                }
                Some(endpoint)
            }
            None => None,
        };
        if view == View::Nothing && endpoint.is_none() {
            return Ok(Self { stop: None, thread: None, endpoint });
        }
        let screen = if view == View::Screen {
            if plan.generator.json.as_deref() == Some(Path::new("-")) || !std::io::stdout().is_terminal() {
                return Err("--ui needs standard output to be a terminal; --json FILE instead of --json -".into());
            }
            Some(ui::Screen::open(title(plan), events).map_err(|problem| format!("--ui: {problem}"))?)
        } else {
            None
        };
        let (stop, stopped) = channel();
        let body = move || watch(monitor, view, screen, &latest, &stopped);
        let thread = thread::Builder::new()
            .name("watch".into())
            .spawn(body)
            .map_err(|problem| format!("cannot start a thread: {problem}"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread), endpoint })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A view that has panicked has said so; the run is none the worse for it.
            let _ = thread.join();
        }
        self.endpoint = None;
    }
}

/// The watching thread.
fn watch(
    mut monitor: Monitor,
    view: View,
    mut screen: Option<ui::Screen>,
    latest: &Mutex<Snapshot>,
    stopped: &Receiver<()>,
) {
    let mut bar = (view == View::Bar).then(progress::Bar::new);
    let mut said = Instant::now();
    loop {
        let snapshot = monitor.observe();
        latest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(snapshot);
        if let Some(bar) = &mut bar {
            bar.show(snapshot);
        }
        if let Some(screen) = &mut screen {
            screen.show(snapshot);
        }
        match view {
            View::Lines(every) if said.elapsed() >= every => {
                said += every;
                eprintln!("{}", progress::line(snapshot));
            }
            _ => {}
        }
        if !matches!(stopped.recv_timeout(PERIOD), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

/// What is run, in a line.
fn title(plan: &Plan) -> String {
    format!("{} on {}", plan.scenario.name(), plan.remote)
}

/// What makes the figures of the last second doubtful.
fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let (second, mut warnings) = (&snapshot.second, Vec::new());
    if snapshot.spins && second.busy_share() > BUSY_SHARE_MAX {
        let share = second.busy_share() * 100.0;
        warnings.push(format!("the generator is the bottleneck: busy {share:.0} % of the time; give it more --cores"));
    }
    if let Some(lag) = second.lag.quantile(0.99).filter(|lag| *lag > LAG_P99_US_MAX) {
        warnings.push(format!("the schedule is not kept: the generator is {} late (p99)", time(lag)));
    }
    warnings
}

/// A time in the unit that suits it.
fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

/// A time that there may be none of.
fn time_or_dash(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".into(), time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Distribution;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!([7, 1500, 2_500_000].map(time), ["7 us", "1.5 ms", "2.5 s"]);
    }

    #[test]
    fn a_port_alone_is_a_port_of_this_machine() {
        assert_eq!(endpoint("9400"), Ok(([127, 0, 0, 1], 9400).into()));
        assert_eq!(endpoint("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert!(endpoint("localhost").is_err() && endpoint("1.2.3.4").is_err() && endpoint("70000").is_err());
        assert!(interval("100ms").is_err() && interval("1s").is_ok());
    }

    #[test]
    fn a_generator_at_its_limit_is_warned_of() {
        let mut snapshot = Snapshot::new(1);
        (snapshot.second.busy_ns, snapshot.second.idle_ns) = (95, 5);
        snapshot.second.lag = Distribution::from_pairs([(1000, 10)]);
        assert_eq!(warnings(&snapshot), [""; 0], "the thresholds themselves are fine");
        snapshot.second.busy_ns = 99;
        snapshot.second.lag = Distribution::from_pairs([(1001, 10)]);
        let found = warnings(&snapshot);
        assert_eq!(warnings(&Snapshot { spins: false, ..snapshot }).len(), 1, "sleep looks like work");
        assert!(found[0].contains("bottleneck") && found[1].contains("schedule is not kept"), "{found:?}");
    }
}

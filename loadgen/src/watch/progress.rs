//! The progress bar, and the plain lines for pipes.

use super::time_or_dash;
use crate::figures::grouped;
use crate::live::Snapshot;
use crate::stage::Phase;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write;

/// Draws a second, at most.
const DRAWS_PER_SECOND: u8 = 4;

/// Steps of a phase, whatever it counts.
const STEPS: u64 = 1000;

/// A bar on standard error; cleared with this value.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        let style = ProgressStyle::with_template("[{bar:16}] {wide_msg}").expect("the template is a constant");
        bar.set_style(style.progress_chars("=> "));
        Self { bar }
    }

    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        self.bar.set_position((share(snapshot) * STEPS as f64) as u64);
        self.bar.set_message(line(snapshot));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How much of the phase is done, 0 to 1.
pub(super) fn share(snapshot: &Snapshot) -> f64 {
    let of_clients = |done: u64| done as f64 / snapshot.clients.max(1) as f64;
    match (snapshot.phase, snapshot.progress) {
        (Phase::Prepare | Phase::Retain, _) => 0.0,
        (Phase::Connect, _) => of_clients(snapshot.counters.connected),
        (Phase::Subscribe, _) => of_clients(snapshot.counters.subscribed),
        (Phase::Traffic, progress) => progress.unwrap_or(0.0),
        (Phase::Drain | Phase::Disconnect, _) => 1.0,
    }
    .min(1.0)
}

/// The run in a line.
pub(super) fn line(snapshot: &Snapshot) -> String {
    let (counters, second) = (&snapshot.counters, &snapshot.second);
    let mut text = format!("{}: {}/{} clients", snapshot.phase_name(), grouped(counters.open), snapshot.clients);
    match snapshot.phase {
        Phase::Prepare | Phase::Disconnect => {}
        Phase::Retain => {
            let _ = write!(text, ", {} stored", grouped(counters.acknowledged));
        }
        Phase::Connect => {
            let p99 = time_or_dash(second.connect.quantile(0.99));
            let _ = write!(text, ", {}/s, p99 {p99}", grouped(second.connected));
        }
        Phase::Subscribe => {
            let _ = write!(text, ", {} subscribed", grouped(counters.subscribed));
        }
        Phase::Traffic | Phase::Drain => {
            let at = |share| time_or_dash(second.end_to_end.quantile(share));
            let (sent, delivered) = (grouped(second.sent), grouped(second.delivered));
            let _ = write!(text, ", sent {sent}/s, delivered {delivered}/s, p50 {}, p99 {}", at(0.5), at(0.99));
        }
    }
    if let Some(left) = snapshot.left_s {
        let _ = write!(text, ", {left:.0} s left");
    }
    for (what, count) in [("missing", counters.missing), ("errors", snapshot.error_count())] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", grouped(count));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Distribution;

    #[test]
    fn a_line_says_what_the_phase_is_about() {
        let mut snapshot = Snapshot::new(200);
        snapshot.phase = Phase::Connect;
        (snapshot.counters.open, snapshot.counters.connected, snapshot.second.connected) = (50, 50, 40);
        assert_eq!(line(&snapshot), "connect: 50/200 clients, 40/s, p99 -");
        assert_eq!(share(&snapshot), 0.25);
        (snapshot.phase, snapshot.measuring, snapshot.counters.open) = (Phase::Traffic, true, 200);
        (snapshot.left_s, snapshot.progress) = (Some(7.4), Some(0.5));
        (snapshot.second.sent, snapshot.second.delivered) = (12_345, 12_000);
        snapshot.second.end_to_end = Distribution::from_pairs([(120, 99), (2500, 1)]);
        snapshot.errors.insert("closed".into(), 2);
        let expected = "measure: 200/200 clients, sent 12,345/s, delivered 12,000/s, p50 120 us, p99 120 us, 7 s left, \
                        2 errors";
        assert_eq!((line(&snapshot).as_str(), share(&snapshot)), (expected, 0.5));
    }
}

//! Short queues under `back_pressure`: nothing is lost, nobody waits for ever, whoever feeds whom.

use ringmq_core::settings::QueueFullPolicy;
use ringmq_sim::{Dice, Kind, Outcome, Shape, run};
use std::time::Duration;

/// Runs of each kind.
const RUNS: u64 = 12;

/// Clients that stop reading now and then behind queues of a few messages, and all feed each other.
fn shape(kind: Kind, seed: u64) -> Shape {
    let mut shape = Shape::of_kind(kind, &mut Dice::new(seed));
    shape.stall_permille = 60;
    shape.settings.max_mqueue_len = [1, 3, 10][usize::try_from(seed % 3).expect("small")];
    shape.settings.queue_full_policy = QueueFullPolicy::BackPressure;
    shape.settings.back_pressure.patience = Duration::from_secs(3600);
    shape
}

/// The same, with everybody connected to the end.
fn connected(kind: Kind, seed: u64) -> Shape {
    Shape { cut_permille: 0, lossless: true, ..shape(kind, seed) }
}

fn runs(of: impl Fn(Kind, u64) -> Shape) -> Vec<(Kind, u64, Outcome)> {
    let kinds = [Kind::Calm, Kind::Slow, Kind::Retained, Kind::Shared];
    let jobs = kinds.into_iter().flat_map(|kind| (0..RUNS).map(move |seed| (kind, seed)));
    jobs.map(|(kind, seed)| (kind, seed, run(seed, of(kind, seed), false))).collect()
}

#[test]
fn nothing_is_lost_while_everybody_is_connected() {
    let runs = runs(connected);
    for (kind, seed, outcome) in &runs {
        assert_eq!(outcome.violation, None, "{kind:?}, seed {seed}");
    }
    let held_back = runs.iter().filter(|(_, _, outcome)| outcome.held_back > 0).count();
    assert!(held_back >= runs.len() / 2, "in {held_back} runs a publisher was held back");
}

/// The same runs lose something under another policy, so the runs above would notice.
#[test]
fn without_back_pressure_these_runs_lose_something() {
    let runs = runs(|kind, seed| {
        let mut shape = connected(kind, seed);
        shape.settings.queue_full_policy = QueueFullPolicy::DropOldest;
        shape
    });
    let lossy = runs.iter().filter(|(_, _, outcome)| outcome.violation.is_some()).count();
    assert!(lossy >= runs.len() / 2, "{lossy} of {} runs lost something", runs.len());
}

/// Links are cut and patience is short: drops are allowed, but nobody may be left held back.
#[test]
fn nobody_is_held_back_for_ever() {
    let runs = runs(|kind, seed| {
        let mut shape = Shape { cut_permille: 30, lossless: false, ..shape(kind, seed) };
        shape.settings.back_pressure.patience = Duration::from_millis(200);
        shape
    });
    for (kind, seed, outcome) in &runs {
        assert_eq!(outcome.violation, None, "{kind:?}, seed {seed}");
    }
    assert!(runs.iter().any(|(_, _, outcome)| outcome.held_back > 0));
}

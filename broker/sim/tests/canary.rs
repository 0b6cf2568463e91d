//! Sabotage that the oracles must notice: an oracle that finds nothing proves nothing.

use ringmq_sim::{Dice, Kind, Sabotage, Shape, run};

/// Runs with each kind of sabotage.
const RUNS: u64 = 40;

/// How many of these runs with this sabotage are found wrong.
fn caught(kind: Kind, sabotage: impl Fn(u64) -> Sabotage) -> usize {
    caught_of(RUNS, kind, sabotage)
}

fn caught_of(runs: u64, kind: Kind, sabotage: impl Fn(u64) -> Sabotage) -> usize {
    let found = (0..runs).filter(|seed| {
        let mut shape = Shape::of_kind(kind, &mut Dice::new(*seed));
        shape.shards = 3;
        shape.sabotage = Some(sabotage(10 + 5 * seed));
        run(*seed, shape, false).violation.is_some()
    });
    let found = found.count();
    println!("{found} of {runs}");
    found
}

#[test]
fn without_sabotage_nothing_is_wrong() {
    for kind in [Kind::Calm, Kind::Retained, Kind::Shared] {
        for seed in 0..8 {
            let mut shape = Shape::of_kind(kind, &mut Dice::new(seed));
            shape.shards = 3;
            assert_eq!(run(seed, shape, false).violation, None, "{kind:?}, seed {seed}");
        }
    }
}

/// Not every batch matters to what is checked: many carry only the pacing of replays.
#[test]
fn a_lost_batch_is_noticed() {
    assert!(caught(Kind::Calm, Sabotage::DropBatch) >= 10);
}

#[test]
fn a_repeated_batch_is_noticed() {
    assert!(caught(Kind::Calm, Sabotage::RepeatBatch) >= 12);
}

/// Only what the same client publishes to the same topic has an order, so not every swap is wrong.
#[test]
fn swapped_batches_are_noticed() {
    assert!(caught_of(10 * RUNS, Kind::Calm, Sabotage::SwapBatches) >= 1);
}

#[test]
fn a_forgetful_interest_table_is_noticed() {
    assert!(caught(Kind::Calm, |_| Sabotage::ForgetInterest(10)) >= 24);
}

#[test]
fn lost_bytes_are_noticed() {
    assert!(caught(Kind::Calm, Sabotage::LoseSend) >= 28);
}

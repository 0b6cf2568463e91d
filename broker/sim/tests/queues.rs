//! A message queue whose consumers come and go: every message reaches one of them, and comes again only if its consumer
//! went before it had acknowledged it.

use ringmq_sim::{Dice, Kind, Sabotage, Shape, run};

/// Runs that are always made.
const RUNS: u64 = 60;

fn shape(seed: u64) -> Shape {
    Shape::of_kind(Kind::Queued, &mut Dice::new(seed))
}

#[test]
fn every_message_reaches_a_consumer() {
    let mut deliveries = 0;
    for seed in 0..RUNS {
        let outcome = run(seed, shape(seed), false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        deliveries += outcome.deliveries;
    }
    assert!(deliveries > 100 * RUNS, "{deliveries} deliveries");
}

/// Without cuts a message comes once.
#[test]
fn nothing_comes_twice_while_everybody_stays() {
    for seed in 0..RUNS / 2 {
        let calm = Shape { cut_permille: 0, ..shape(seed) };
        assert_eq!(run(seed, calm, false).violation, None, "seed {seed}");
    }
}

/// The oracles notice if something is lost between the queue's home and its consumers.
#[test]
fn a_lost_batch_is_noticed() {
    let found = (0..RUNS).filter(|seed| {
        let sabotage = Some(Sabotage::DropBatch(10 + 3 * seed));
        let broken = Shape { shards: 3, cut_permille: 0, sabotage, ..shape(*seed) };
        run(*seed, broken, false).violation.is_some()
    });
    let found = found.count();
    assert!(found >= usize::try_from(RUNS / 4).expect("small"), "{found} of {RUNS}");
}

//! Replays the seed corpus of the shard's fuzz target, and mutations of it by chance.

#[path = "../../fuzz/src/shard.rs"]
#[allow(unreachable_pub, reason = "a module of a test")]
mod shard;

use ringmq_sim::Dice;
use std::path::Path;

/// Mutations of each seed; a fuzzer does this better, but a stable toolchain has none.
const MUTATIONS: u64 = 2000;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/shard");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is part of the repository")
        .map(|seed| seed.expect("a readable directory").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable seed")).collect()
}

#[test]
fn seeds() {
    let corpus = corpus();
    assert!(corpus.len() >= 13);
    // All but the one of garbage are answered.
    assert!(corpus.iter().filter(|seed| shard::shard(seed) > 0).count() >= 12);
}

#[test]
fn mutations_of_seeds() {
    for (at, seed) in corpus().iter().enumerate() {
        for number in 0..MUTATIONS {
            let mut dice = Dice::new(at as u64 * MUTATIONS + number);
            let mut data = seed.clone();
            for _ in 0..dice.within(1, 6) {
                let place = dice.index(data.len());
                match dice.below(4) {
                    0 => data[place] = dice.word() as u8,
                    1 => data[place] ^= 1 << dice.below(8),
                    2 => {
                        data.remove(place);
                    }
                    _ => data.insert(place, dice.word() as u8),
                }
            }
            if let Err(panic) = std::panic::catch_unwind(|| shard::shard(&data)) {
                println!("seed {at}, mutation {number}: {data:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

//! Replays the seed corpus of the fuzz targets, which holds what they once found.

#[path = "../../fuzz/src/checks.rs"]
#[allow(unreachable_pub, reason = "a module of a test")]
mod checks;

use std::path::Path;

/// Runs `check` over each seed of a target and returns how many there were.
fn replay(target: &str, check: fn(&[u8])) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut seeds = 0;
    for seed in std::fs::read_dir(&corpus).expect("the corpus is part of the repository") {
        let path = seed.expect("a readable directory").path();
        println!("{}", path.display());
        check(&std::fs::read(&path).expect("a readable seed"));
        seeds += 1;
    }
    seeds
}

#[test]
fn wire_stream() {
    assert!(replay("wire_stream", checks::stream) >= 31);
}

#[test]
fn wire_publish() {
    assert!(replay("wire_publish", checks::publish) >= 11);
}

#[test]
fn wire_topic() {
    assert!(replay("wire_topic", checks::topic) >= 11);
}

//! Named scenarios of the pure crates, to be counted instruction by instruction: `scripts/instructions`.
//!
//! A scenario prepares what it needs and hands one operation to [`Counter::count`]; only what happens in [`counted`] is
//! collected by callgrind. `--list` prints names and repetitions, a name runs that scenario, and without either every
//! scenario runs once, as a test that none of them panics.
//!
//! Absent: time, and the counting itself, which is valgrind's.

#[path = "../support/corpora.rs"]
mod corpora;
mod index;
mod protocol;
#[path = "../../tests/support/mod.rs"]
mod rig;
mod shard;

use std::hint::black_box;
use std::process::ExitCode;

/// One scenario.
pub(crate) struct Scenario {
    /// Its name in `bench/instructions.tsv`: crate, then what is done.
    pub(crate) name: &'static str,
    /// Prepares and counts.
    pub(crate) run: fn(&mut Counter),
}

/// Counts an operation.
pub(crate) struct Counter {
    repetitions: u32,
}

/// Uncounted repetitions, until buffers and caches have their size.
const WARM_UP: u32 = 50;
/// Counted repetitions; the figure is per repetition.
const REPETITIONS: u32 = 200;

impl Counter {
    /// Repeats an operation, first uncounted and then counted.
    pub(crate) fn count(&mut self, mut operation: impl FnMut()) {
        for _ in 0..WARM_UP.min(self.repetitions) {
            operation();
        }
        counted(self.repetitions, &mut operation);
    }
}

/// What callgrind collects (`--toggle-collect=*::counted`); not inlined and not generic, so that it has this one name.
#[inline(never)]
fn counted(repetitions: u32, operation: &mut dyn FnMut()) {
    for _ in 0..black_box(repetitions) {
        operation();
    }
}

fn main() -> ExitCode {
    let scenarios: Vec<Scenario> =
        protocol::scenarios().into_iter().chain(index::scenarios()).chain(shard::scenarios()).collect();
    // `cargo bench` and `cargo test` pass options of their own.
    match std::env::args().skip(1).find(|argument| argument == "--list" || !argument.starts_with("--")) {
        Some(list) if list == "--list" => {
            for scenario in &scenarios {
                println!("{}\t{REPETITIONS}", scenario.name);
            }
        }
        Some(name) => {
            let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == name) else {
                eprintln!("no scenario is called {name}; --list names them");
                return ExitCode::FAILURE;
            };
            (scenario.run)(&mut Counter { repetitions: REPETITIONS });
        }
        None => {
            for scenario in &scenarios {
                (scenario.run)(&mut Counter { repetitions: 1 });
            }
        }
    }
    ExitCode::SUCCESS
}

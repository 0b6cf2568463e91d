//! Runs seeds of the simulator, or connects a population.
//!
//! What it finds it prints with the one command that shows it again.

use ringmq_sim::{Sabotage, Shape, population, run};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str = "\
usage: ringmq-sim --seed N [--steps M] [--shards K] [--trace]   one seed, readable with --trace
       ringmq-sim --seed N --count C [--steps M] [--shards K]   C seeds from N on
       ringmq-sim --fresh C                                     C seeds that nobody has tried
       ringmq-sim --population N [--shards K]                   N idle clients and a message to some of them
options: --sabotage drop-batch|repeat-batch|swap-batches|forget-interest|lose-send [--at N]";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Wanted {
    seed: Option<u64>,
    count: Option<u64>,
    fresh: Option<u64>,
    steps: Option<u64>,
    shards: Option<usize>,
    population: Option<usize>,
    sabotage: Option<String>,
    at: Option<u64>,
    trace: bool,
}

fn main() -> ExitCode {
    let wanted = match parse(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(clients) = wanted.population {
        let measured = population::measure(clients, wanted.shards.unwrap_or(2));
        println!(
            "{} clients in {:.1} s, {} bytes of memory each; {} of {} messages arrived",
            measured.clients, measured.seconds, measured.bytes_per_client, measured.arrived, measured.sent
        );
        return ExitCode::SUCCESS;
    }
    let (first, count) = match (wanted.seed, wanted.fresh) {
        (Some(seed), _) => (seed, wanted.count.unwrap_or(1)),
        (None, Some(count)) => (now_as_seed(), count),
        (None, None) => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for seed in (0..count).map(|at| first.wrapping_add(at)) {
        failed += u64::from(!run_one(seed, &wanted));
    }
    if count > 1 {
        println!("{count} seeds from {first} on, {failed} failed");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(seed: u64, wanted: &Wanted) -> bool {
    let mut shape = Shape::of_seed(seed);
    let mut command = format!("cargo run -p ringmq-sim -- --seed {seed}");
    if let Some(steps) = wanted.steps {
        shape.steps = steps;
        command += &format!(" --steps {steps}");
    }
    if let Some(shards) = wanted.shards {
        shape.shards = shards;
        command += &format!(" --shards {shards}");
    }
    if let Some(kind) = &wanted.sabotage {
        let at = wanted.at.unwrap_or(20);
        shape.sabotage = sabotage(kind, at);
        command += &format!(" --sabotage {kind} --at {at}");
    }
    let kind = shape.kind;
    let outcome = run(seed, shape, wanted.trace);
    match outcome.violation {
        None => {
            println!("seed {seed} {kind:?}: {} deliveries are right, hash {:016x}", outcome.deliveries, outcome.hash);
            true
        }
        Some(what) => {
            println!("seed {seed} {kind:?}: {what}\n    {command} --trace");
            false
        }
    }
}

fn sabotage(kind: &str, at: u64) -> Option<Sabotage> {
    match kind {
        "drop-batch" => Some(Sabotage::DropBatch(at)),
        "repeat-batch" => Some(Sabotage::RepeatBatch(at)),
        "swap-batches" => Some(Sabotage::SwapBatches(at)),
        "forget-interest" => Some(Sabotage::ForgetInterest(at)),
        "lose-send" => Some(Sabotage::LoseSend(at)),
        _ => None,
    }
}

fn now_as_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Whole numbers that are short enough to type.
    u64::try_from(since.as_micros()).unwrap_or_default() & 0xFFFF_FFFF_FF00
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match arg.as_str() {
            "--seed" => wanted.seed = Some(number(value()?)?),
            "--count" => wanted.count = Some(number(value()?)?),
            "--fresh" => wanted.fresh = Some(number(value()?)?),
            "--steps" => wanted.steps = Some(number(value()?)?),
            "--shards" => {
                let shards = number(value()?)?;
                if !(1..=64).contains(&shards) {
                    return Err("1 to 64 shards".to_owned());
                }
                wanted.shards = usize::try_from(shards).ok();
            }
            "--population" => wanted.population = usize::try_from(number(value()?)?).ok(),
            "--sabotage" => {
                let kind = value()?;
                sabotage(&kind, 1).ok_or(format!("no such sabotage: {kind}"))?;
                wanted.sabotage = Some(kind);
            }
            "--at" => wanted.at = Some(number(value()?)?.max(1)),
            "--trace" => wanted.trace = true,
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    Ok(wanted)
}

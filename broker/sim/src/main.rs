//! Runs seeds of the simulator.

use ringmq_sim::{Shape, run};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seed: u64 = args.get(1).map_or(0, |text| text.parse().expect("seed"));
    let count: u64 = args.get(2).map_or(1, |text| text.parse().expect("count"));
    for seed in seed..seed + count {
        let shape = Shape::of_seed(seed);
        let print = args.get(3).is_some();
        let outcome = run(seed, shape.clone(), print);
        println!("{seed} {:?} {} {:x} {:?}", shape.kind, outcome.deliveries, outcome.hash, outcome.violation);
    }
}

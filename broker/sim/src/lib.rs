//! The deterministic simulator: real shards, virtual time, virtual links, seeded faults, independent oracles.
//!
//! A run is one thread and one seed. Virtual clients, written independently of the broker, do what a seeded plan says;
//! virtual links cut their bytes anywhere, delay them, stall and break; real rings of small capacity join the shards.
//! Oracles with models of their own compare everything that clients receive with what the standard wants. The same seed
//! gives the same run to the last bit: [`Outcome::hash`] is a hash of all of it.
//!
//! - [`run`] is one run; [`Shape`] says of what kind.
//! - [`cluster`] is the same shards without faults and delays, for many clients at little cost; [`population`]
//!   measures what an idle client costs.
//!
//! Absent: system calls (the drivers' tests have them), threads (the mesh's tests under loom have them).

#![forbid(unsafe_code)]

mod client;
pub mod cluster;
mod dice;
mod host;
mod interest;
mod oracle;
pub mod population;
mod shape;
mod trace;
mod world;

pub use dice::Dice;
pub use shape::{KINDS, Kind, Sabotage, Shape};

use world::World;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of everything that happened.
    pub hash: u64,
    /// Deliveries that were checked.
    pub deliveries: u64,
    /// Times that a full queue stopped a publisher.
    pub held_back: u64,
    /// What was found wrong, if anything.
    pub violation: Option<String>,
}

/// Runs one seed. With `print`, everything that happens is written to standard output.
#[must_use]
pub fn run(seed: u64, shape: Shape, print: bool) -> Outcome {
    let mut world = World::new(seed, shape, print);
    let violation = world.run().err();
    Outcome { hash: world.hash(), deliveries: world.deliveries(), held_back: world.held_back(), violation }
}

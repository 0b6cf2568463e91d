//! Seeded choices: everything that a run leaves to chance comes from here.

use ringmq_core::random::Random;

/// A seeded source of choices.
#[derive(Debug, Clone)]
pub struct Dice(Random);

impl Dice {
    /// The choices of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// A word.
    pub const fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which must not be 0. The bias of the modulus does not matter to a simulation.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    /// A number from `first` to `last`, both included.
    pub const fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// An index below `end`, which must not be 0.
    pub fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("below a usize")
    }

    /// True in `permille` of 1000 cases.
    pub const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of several, of which there must be at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }
}

//! A small generator of random numbers with a seed, so that a report can be repeated to the last digit.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Absent: any source of
//! entropy, and any claim to be unpredictable.

use std::f64::consts::TAU;

/// The generator.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Every seed gives a sequence of its own.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which must not be 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Evenly distributed from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed around 0 with standard deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_distributions_have_their_moments() {
        const COUNT: usize = 20_000;
        let mut random = Random::new(1);
        let mut counts = [0_usize; 7];
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..COUNT {
            counts[random.below(7)] += 1;
            let value = random.normal();
            sum += value;
            squares += value * value;
        }
        assert!(counts.iter().all(|count| count.abs_diff(COUNT / 7) < COUNT / 70), "{counts:?}");
        assert!((sum / COUNT as f64).abs() < 0.03);
        assert!((squares / COUNT as f64 - 1.0).abs() < 0.05);
    }
}

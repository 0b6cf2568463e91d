//! An interval for the ratio of two medians, by resampling (Efron and Tibshirani, "An Introduction to the Bootstrap",
//! 1993, chapter 13: the percentile interval).
//!
//! With fewer than about ten runs a side the interval is somewhat too narrow, as all bootstrap intervals are; so it says
//! how large a difference is, and the rank test alone says whether there is one.

use super::median_in_place;
use super::random::Random;

/// A ratio with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Median of the second sample over that of the first.
    pub ratio: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Share of intervals that shall hold the true ratio, above 0 and below 1.
    pub confidence: f64,
    /// Resamples.
    pub count: usize,
    /// The same seed gives the same interval.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { confidence: 0.95, count: 4000, seed: 1 }
    }
}

/// Estimates median(second) / median(first).
///
/// `None` if one is empty, or holds a value that is not finite or not above 0: a ratio would mean nothing.
#[must_use]
pub fn ratio_of_medians(first: &[f64], second: &[f64], how: Resampling) -> Option<Estimate> {
    assert!(how.confidence > 0.0 && how.confidence < 1.0, "a confidence is between 0 and 1");
    let usable = |values: &[f64]| !values.is_empty() && values.iter().all(|value| value.is_finite() && *value > 0.0);
    if !usable(first) || !usable(second) {
        return None;
    }
    let ratio = super::median(second)? / super::median(first)?;
    let mut random = Random::new(how.seed);
    let mut scratch = Vec::with_capacity(first.len().max(second.len()));
    let mut resampled_median = |values: &[f64]| {
        scratch.clear();
        scratch.extend((0..values.len()).map(|_| values[random.below(values.len())]));
        median_in_place(&mut scratch)
    };
    let mut ratios = Vec::with_capacity(how.count);
    for _ in 0..how.count {
        let base = resampled_median(first)?;
        ratios.push(resampled_median(second)? / base);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios.get((share * (ratios.len().saturating_sub(1)) as f64).round() as usize).copied();
    let tail = (1.0 - how.confidence) / 2.0;
    // The resamples of a small sample may all miss its median.
    Some(Estimate { ratio, low: at(tail)?.min(ratio), high: at(1.0 - tail)?.max(ratio) })
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Resampling, ratio_of_medians};
    use crate::stats::random::Random;
    use proptest::prelude::*;

    fn runs(random: &mut Random, centre: f64, count: usize) -> Vec<f64> {
        (0..count).map(|_| centre * (0.03 * random.normal()).exp()).collect()
    }

    #[test]
    fn what_has_no_ratio_gets_none() {
        let how = Resampling::default();
        assert_eq!(ratio_of_medians(&[], &[1.0], how), None);
        assert_eq!(ratio_of_medians(&[0.0, 1.0], &[1.0], how), None);
        assert_eq!(ratio_of_medians(&[1.0], &[-1.0], how), None);
        assert_eq!(ratio_of_medians(&[1.0], &[f64::NAN], how), None);
    }

    #[test]
    fn without_noise_the_interval_is_a_point() {
        let exact = Estimate { ratio: 1.5, low: 1.5, high: 1.5 };
        assert_eq!(ratio_of_medians(&[2.0; 5], &[3.0; 5], Resampling::default()), Some(exact));
    }

    #[test]
    fn the_seed_decides() {
        let mut random = Random::new(5);
        let (first, second) = (runs(&mut random, 1.0, 30), runs(&mut random, 1.0, 30));
        let with = |seed| ratio_of_medians(&first, &second, Resampling { seed, count: 200, ..Resampling::default() });
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        const TRIALS: usize = 600;
        for (count, at_least) in [(7, 0.88), (21, 0.91)] {
            let mut random = Random::new(11);
            let mut held = 0;
            for seed in 0..TRIALS {
                let (first, second) = (runs(&mut random, 8.0, count), runs(&mut random, 8.8, count));
                let how = Resampling { count: 500, seed: seed as u64, ..Resampling::default() };
                let estimate = ratio_of_medians(&first, &second, how).unwrap();
                held += usize::from(estimate.low <= 1.1 && 1.1 <= estimate.high);
            }
            let share = held as f64 / TRIALS as f64;
            assert!((at_least..=0.995).contains(&share), "{share} of the intervals of {count} runs held the truth");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_ratio_is_within_its_interval_and_within_the_extremes(
            first in proptest::collection::vec(0.1_f64..100.0, 1..20),
            second in proptest::collection::vec(0.1_f64..100.0, 1..20),
            seed: u64,
        ) {
            let how = Resampling { seed, count: 100, ..Resampling::default() };
            let Estimate { ratio, low, high } = ratio_of_medians(&first, &second, how).unwrap();
            prop_assert!(low <= ratio && ratio <= high);
            let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
            prop_assert!(low >= least(&second) / most(&first) * 0.999_999);
            prop_assert!(high <= most(&second) / least(&first) * 1.000_001);
        }
    }
}

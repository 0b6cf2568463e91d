//! Mann-Whitney's U test, two-sided: is one sample shifted against the other?
//!
//! Exact up to [`EXACT_VALUES_MAX`] values, also with ties: the sum of mid-ranks is compared with that of every way to
//! choose as many of the pooled values, counted by dynamic programming. Beyond that, the normal approximation with the
//! correction for ties (Mann and Whitney, 1947; Lehmann, "Nonparametrics", 1975, sections 1.3 and 1.4).
//!
//! Absent: the pairing of runs that were next to each other in time. Where the machine's speed wanders, both samples
//! wander alike, which makes this test cautious, never rash.

/// Pooled values up to which the distribution is counted out.
pub const EXACT_VALUES_MAX: usize = 60;

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// U of the first sample: pairs in which its value is the greater one, ties counted as half.
    pub u: f64,
    /// Probability of a U at least this far from the expected one if both samples come from one distribution.
    pub p: f64,
    /// Whether `p` was counted out, not approximated.
    pub exact: bool,
}

/// Tests two samples; `None` if one is empty or holds a value that is not finite.
#[must_use]
pub fn rank_test(first: &[f64], second: &[f64]) -> Option<RankTest> {
    if first.is_empty() || second.is_empty() || !first.iter().chain(second).all(|value| value.is_finite()) {
        return None;
    }
    let ranks = Ranks::new(first, second);
    let exact = ranks.doubled.len() <= EXACT_VALUES_MAX;
    let p = if exact { ranks.exact_p() } else { ranks.approximate_p() };
    let least_sum = first.len() * (first.len() + 1) / 2;
    Some(RankTest { u: ranks.doubled_sum as f64 / 2.0 - least_sum as f64, p, exact })
}

/// The smallest `p` that samples of these sizes can have: all of one are above all of the other. 1 if one is empty.
#[must_use]
pub fn smallest_p(first: usize, second: usize) -> f64 {
    if first == 0 || second == 0 {
        return 1.0;
    }
    let ways = (1..=first.min(second)).fold(1.0, |ways, k| ways * (first + second + 1 - k) as f64 / k as f64);
    (2.0 / ways).min(1.0)
}

/// Mid-ranks of the pooled values, doubled so that they are whole.
struct Ranks {
    doubled: Vec<usize>,
    /// Doubled sum of the first sample's.
    doubled_sum: usize,
    first: usize,
    /// Sizes of the groups of equal values.
    ties: Vec<usize>,
}

impl Ranks {
    fn new(first: &[f64], second: &[f64]) -> Self {
        let mut pooled: Vec<(f64, bool)> =
            first.iter().map(|&value| (value, true)).chain(second.iter().map(|&value| (value, false))).collect();
        pooled.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        let (mut doubled, mut ties, mut doubled_sum) = (Vec::with_capacity(pooled.len()), Vec::new(), 0);
        // `==`, so that 0 and -0 are a tie, which are next to each other in the order used for sorting.
        for group in pooled.chunk_by(|left, right| left.0 == right.0) {
            let rank = 2 * doubled.len() + group.len() + 1;
            doubled_sum += rank * group.iter().filter(|(_, of_first)| *of_first).count();
            doubled.extend(std::iter::repeat_n(rank, group.len()));
            ties.push(group.len());
        }
        Self { doubled, doubled_sum, first: first.len(), ties }
    }

    /// Doubled sum of ranks to be expected.
    fn expected(&self) -> usize {
        self.first * (self.doubled.len() + 1)
    }

    fn exact_p(&self) -> f64 {
        let total = self.doubled.len();
        let sum_max = total * (total + 1);
        let row = sum_max + 1;
        // ways[k * row + s]: choices of k of the ranks seen so far whose doubled sum is s. At most C(60, 30), 1.2e17.
        let mut ways = vec![0_u64; (self.first + 1) * row];
        ways[0] = 1;
        let mut seen_sum = 0;
        for (seen, &rank) in self.doubled.iter().enumerate() {
            seen_sum += rank;
            for chosen in (1..=self.first.min(seen + 1)).rev() {
                for sum in (rank..=seen_sum).rev() {
                    ways[chosen * row + sum] += ways[(chosen - 1) * row + sum - rank];
                }
            }
        }
        let distance = self.doubled_sum.abs_diff(self.expected());
        let (mut as_far, mut all) = (0, 0);
        for (sum, &count) in ways[self.first * row..].iter().enumerate() {
            all += count;
            if sum.abs_diff(self.expected()) >= distance {
                as_far += count;
            }
        }
        as_far as f64 / all as f64
    }

    fn approximate_p(&self) -> f64 {
        let total = self.doubled.len() as f64;
        let (first, second) = (self.first as f64, total - self.first as f64);
        let tied: f64 = self.ties.iter().map(|&size| (size as f64).powi(3) - size as f64).sum();
        let variance = first * second / 12.0 * (total + 1.0 - tied / (total * (total - 1.0)));
        if variance <= 0.0 {
            return 1.0;
        }
        let distance = self.doubled_sum.abs_diff(self.expected()) as f64 / 2.0;
        let deviations = (distance - 0.5).max(0.0) / variance.sqrt();
        erfc(deviations / std::f64::consts::SQRT_2).min(1.0)
    }
}

/// The complementary error function of a number not below 0, to seven digits (Press et al., "Numerical Recipes", 6.2).
fn erfc(z: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * z);
    t * (COEFFICIENTS.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient) - z * z).exp()
}

#[cfg(test)]
mod tests;

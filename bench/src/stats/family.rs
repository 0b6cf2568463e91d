//! Many tests in one report: without a correction, every twentieth of fifty comparisons of a build with itself would be
//! flagged at the level of 5 %.

/// Adjusts p-values so that the chance of any false alarm among them is at most the level they are then compared with,
/// however they depend on each other (Holm, "A simple sequentially rejective multiple test procedure", 1979).
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_unstable_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest_so_far = 0.0_f64;
    for (position, &index) in order.iter().enumerate() {
        let remaining = (p_values.len() - position) as f64;
        largest_so_far = largest_so_far.max((p_values[index] * remaining).min(1.0));
        adjusted[index] = largest_so_far;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::holm;

    #[test]
    fn the_smallest_is_multiplied_by_all_and_none_overtakes_another() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.03]), [0.03]);
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((value - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}

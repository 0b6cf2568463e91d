//! What may be concluded from a few noisy runs.
//!
//! - [`rank`]: is one sample shifted against the other? Mann-Whitney's rank test, which assumes no distribution.
//! - [`bootstrap`]: by how much? An interval for the ratio of medians.
//! - [`family`]: many questions at once; Holm's correction keeps the chance of any false alarm at the level named.
//!
//! Everything is deterministic: the same runs give the same report. Absent: means and standard deviations. Times on a
//! shared machine have outliers on one side, and one of them would decide.

pub mod bootstrap;
pub mod family;
pub mod random;
pub mod rank;

/// The middle value, or the mean of the two in the middle; `None` of nothing.
///
/// Values must not be NaN; one that is sorts as the greatest.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    median_in_place(&mut sorted)
}

/// [`median`] that may reorder the values.
fn median_in_place(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }
}

//! Numbers as people read them, in the table and while a run is watched.
//!
//! Absent: units, and rounding for the result line.

/// A whole number with commas between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number without its decimals, with commas between thousands.
#[must_use]
pub fn rounded(value: f64) -> String {
    let sign = if value <= -0.5 { "-" } else { "" };
    format!("{sign}{}", grouped(value.abs().round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        let cases = [(0.0, "0"), (999.4, "999"), (1000.0, "1,000"), (-1_234_567.0, "-1,234,567"), (-0.2, "0")];
        for (value, text) in cases {
            assert_eq!(rounded(value), text);
        }
    }
}

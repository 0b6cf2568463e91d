//! How long payloads are: always the same, evenly spread, or by weights.
//!
//! A size is picked by the message's own number and not by chance, so that a receiver knows what length every message
//! has to have, and a run can be repeated exactly. Absent: what fills the payload.

use super::PAYLOAD_BYTES_MAX;
use std::fmt;
use std::str::FromStr;

/// Most sizes of a weighted list.
const CHOICES_MAX: usize = 64;

/// Largest weight.
const WEIGHT_MAX: u64 = 1_000_000_000;

/// Sizes of payloads, bytes. As text: `64`, `16..1024` (both ends included), or `16:90,1024:9,65536:1` (size and weight).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sizes {
    /// One for all.
    One(usize),
    /// Any from the first to the second, with equal probability.
    Range(usize, usize),
    /// Each with the sum of the weights up to and with its own, ascending.
    Weighted(Box<[(usize, u64)]>),
}

impl Sizes {
    /// The smallest, bytes.
    #[must_use]
    pub fn smallest(&self) -> usize {
        match self {
            Self::One(size) | Self::Range(size, _) => *size,
            Self::Weighted(choices) => choices.iter().map(|(size, _)| *size).min().unwrap_or(0),
        }
    }

    /// The largest, bytes.
    #[must_use]
    pub fn largest(&self) -> usize {
        match self {
            Self::One(size) | Self::Range(_, size) => *size,
            Self::Weighted(choices) => choices.iter().map(|(size, _)| *size).max().unwrap_or(0),
        }
    }

    /// Whether a message may be so long.
    #[must_use]
    pub fn contains(&self, size: usize) -> bool {
        match self {
            Self::One(one) => *one == size,
            Self::Range(from, to) => (*from..=*to).contains(&size),
            Self::Weighted(choices) => choices.iter().any(|(choice, _)| *choice == size),
        }
    }

    /// The size that belongs to a number, whose bits must be evenly spread.
    #[must_use]
    pub fn pick(&self, number: u64) -> usize {
        match self {
            Self::One(size) => *size,
            Self::Range(from, to) => from + below(number, (to - from + 1) as u64) as usize,
            Self::Weighted(choices) => {
                let point = below(number, choices.last().map_or(1, |(_, end)| *end));
                choices.iter().find(|(_, end)| point < *end).map_or(0, |(size, _)| *size)
            }
        }
    }
}

/// Maps all numbers evenly to those below a bound.
fn below(number: u64, bound: u64) -> u64 {
    // The upper half of the product is below the bound.
    ((u128::from(number) * u128::from(bound)) >> 64) as u64
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (size(from)?, size(to)?);
            return match from < to {
                true => Ok(Self::Range(from, to)),
                false => Err(format!("`{text}`: the first size must be below the second")),
            };
        }
        if !text.contains(':') {
            return size(text).map(Self::One);
        }
        let (mut choices, mut end) = (Vec::new(), 0);
        for choice in text.split(',') {
            let (bytes, weight) = choice
                .split_once(':')
                .ok_or_else(|| format!("`{choice}` is not a size and a weight, such as 1024:9"))?;
            let weight = match weight.trim().parse() {
                Ok(weight @ 1..=WEIGHT_MAX) => weight,
                _ => return Err(format!("`{choice}`: a weight is 1 to {WEIGHT_MAX}")),
            };
            end += weight;
            choices.push((size(bytes)?, end));
        }
        if choices.len() > CHOICES_MAX {
            return Err(format!("at most {CHOICES_MAX} sizes"));
        }
        Ok(Self::Weighted(choices.into()))
    }
}

fn size(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(size @ 1..=PAYLOAD_BYTES_MAX) => Ok(size),
        _ => Err(format!("`{text}` is not a size of 1 to {PAYLOAD_BYTES_MAX} bytes")),
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(size) => write!(out, "{size}"),
            Self::Range(from, to) => write!(out, "{from}..{to}"),
            Self::Weighted(choices) => {
                let mut before = 0;
                for (at, (size, end)) in choices.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(out, "{comma}{size}:{}", end - before)?;
                    before = *end;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix;
    use super::*;

    /// How often each size is picked for a hundred thousand messages.
    fn counts(text: &str) -> std::collections::BTreeMap<usize, u32> {
        let sizes: Sizes = text.parse().unwrap();
        let mut counts = std::collections::BTreeMap::new();
        for sequence in 0..100_000 {
            let size = sizes.pick(mix(7, 3, sequence));
            assert!(sizes.contains(size), "{size}");
            *counts.entry(size).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_range_is_even_and_has_both_ends() {
        let counts = counts("16..25");
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (16..=25).collect::<Vec<_>>());
        assert!(counts.values().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn weights_are_kept() {
        let counts = counts("16:90,1024:9,65536:1");
        assert!((89_500..90_500).contains(&counts[&16]) && (8_600..9_400).contains(&counts[&1024]), "{counts:?}");
        assert!((850..1_150).contains(&counts[&65_536]), "{counts:?}");
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in ["64", "16..1024", "16:90,1024:9,65536:1"] {
            assert_eq!(text.parse::<Sizes>().unwrap().to_string(), text);
        }
        let weighted: Sizes = "300:1,20:2".parse().unwrap();
        assert_eq!((weighted.smallest(), weighted.largest(), weighted.contains(30)), (20, 300, false));
        assert!(weighted.pick(0) == 300 && weighted.pick(u64::MAX) == 20);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "0", "-1", "16777217", "9..9", "9..3", "1..", "5:0", "5:1,6", "5:1,", "5:x", "5,6"] {
            assert!(text.parse::<Sizes>().is_err(), "accepted `{text}`");
        }
    }
}

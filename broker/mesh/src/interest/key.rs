//! Fingerprints: from a topic filter to its key, and from a topic name to the keys that it must probe.
//!
//! A fingerprint is a seeded 64-bit hash, never 0. Keys whose fingerprints collide are one key, which costs wasted
//! messages and never a lost one; the seed keeps clients from choosing topics that collide. The two hashes are
//! independent: an exact key is hashed eight bytes at a time without looking for levels, prefixes are hashed in one
//! pass that yields a fingerprint at every level's end.
//!
//! Absent: validation. Filters and topic names are expected to have passed the decoder.

/// Deepest prefix that is told apart, in levels. Filters with more literal levels are announced by their first
/// `LEVELS_MAX`, which is coarser and therefore safe; it bounds the probes of a publish.
pub const LEVELS_MAX: usize = 128;

/// Odd constants from the fractional digits of pi, for the two places where a multiplier is needed.
const WORD: u64 = 0x2438_6a88_85a3_08d3_u64 | 1;
const LEVEL_END: u64 = 0x1319_8a2e_0370_7344_u64 | 1;

const BYTES_01: u64 = 0x0101_0101_0101_0101;
const BYTES_80: u64 = 0x8080_8080_8080_8080;

/// The key under which a filter is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) fingerprint: u64,
    /// `None` for a filter without wildcard; otherwise the number of levels before the first one.
    pub(super) depth: Option<usize>,
}

/// The seeded hash functions of one interest table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher {
    exact: u64,
    root: u64,
}

impl Hasher {
    pub(super) fn new(seed: u64) -> Self {
        let exact = fold(seed ^ WORD, LEVEL_END);
        Self { exact, root: non_zero(fold(seed ^ exact ^ LEVEL_END, WORD)) }
    }

    /// The key of a filter, which must not carry a `$share/<group>/` in front.
    pub(super) fn key(&self, filter: &str) -> Key {
        let wildcard = filter.split('/').position(|level| level == "+" || level == "#");
        match wildcard {
            None => Key { fingerprint: self.exact(filter), depth: None },
            Some(0) => Key { fingerprint: self.root, depth: Some(0) },
            Some(levels) => {
                let depth = levels.min(LEVELS_MAX);
                let fingerprint = self.prefixes(filter).nth(depth - 1).expect("a level precedes the wildcard");
                Key { fingerprint, depth: Some(depth) }
            }
        }
    }

    /// The fingerprint of the empty prefix: filters that begin with a wildcard.
    #[inline]
    pub(super) fn root(&self) -> u64 {
        self.root
    }

    /// The fingerprint of a whole topic name.
    #[inline]
    pub(super) fn exact(&self, topic: &str) -> u64 {
        let bytes = topic.as_bytes();
        // The length tells apart what the padding of the last word does not.
        let mut state = self.exact ^ (bytes.len() as u64).wrapping_mul(LEVEL_END);
        let mut at = 0;
        while let Some(word) = word_at(bytes, at) {
            state = fold(state ^ word, WORD);
            at += 8;
        }
        non_zero(fold(state ^ last_word(bytes, bytes.len() - at), LEVEL_END))
    }

    /// The fingerprints of the prefixes of one level, two levels, and so on, up to the whole name.
    #[inline]
    pub(super) fn prefixes<'a>(&self, name: &'a str) -> Prefixes<'a> {
        Prefixes { bytes: name.as_bytes(), at: Some(0), state: self.root }
    }
}

/// See [`Hasher::prefixes`].
pub(super) struct Prefixes<'a> {
    bytes: &'a [u8],
    /// Where the next level begins; `None` behind the last.
    at: Option<usize>,
    state: u64,
}

impl Iterator for Prefixes<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let mut at = self.at?;
        loop {
            let (word, available) = match word_at(self.bytes, at) {
                Some(word) => (word, 8),
                None => (last_word(self.bytes, self.bytes.len() - at), self.bytes.len() - at),
            };
            let slashes = slashes(word);
            if slashes == 0 && available == 8 {
                self.state = fold(self.state ^ word, WORD);
                at += 8;
                continue;
            }
            let rest = if slashes == 0 { available } else { slashes.trailing_zeros() as usize / 8 };
            // `rest` is at most 7, so the topmost byte is free to say how many bytes of the word are the level's.
            let end = word & ((1 << (8 * rest)) - 1) | (rest as u64) << 56;
            self.state = fold(self.state ^ end, LEVEL_END);
            self.at = (slashes != 0).then_some(at + rest + 1);
            return Some(non_zero(self.state));
        }
    }
}

/// The full word at `at`, if eight bytes are left.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// The last `rest` bytes, fewer than eight, as the low bytes of a word.
#[inline]
fn last_word(bytes: &[u8], rest: usize) -> u64 {
    debug_assert!(rest < 8 && rest <= bytes.len());
    if rest == 0 {
        0
    } else if let Some(word) = bytes.last_chunk() {
        u64::from_le_bytes(*word) >> (64 - 8 * rest)
    } else {
        bytes[bytes.len() - rest..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

/// A word whose lowest set bit lies in the first byte that is a `/`; 0 if there is none. Higher bits mean nothing.
#[inline]
fn slashes(word: u64) -> u64 {
    let zero_where_slash = word ^ (BYTES_01 * u64::from(b'/'));
    zero_where_slash.wrapping_sub(BYTES_01) & !zero_where_slash & BYTES_80
}

/// The two halves of the 128-bit product, folded into one word.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// 0 marks an empty slot and is not a fingerprint.
#[inline]
fn non_zero(hash: u64) -> u64 {
    hash.max(1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab/]{0,20}", "[a-c]{0,9}(/[a-c]{0,9}){0,4}", "[ä€/]{0,12}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        /// Prefixes are what splitting at every `/` gives, and the deepest is the whole name's.
        #[test]
        fn prefixes_are_those_of_the_levels(name in name(), seed: u64) {
            let hasher = Hasher::new(seed);
            let levels: Vec<&str> = name.split('/').collect();
            let each: Vec<u64> =
                (1..=levels.len()).map(|depth| hasher.prefixes(&levels[..depth].join("/")).last().unwrap()).collect();
            prop_assert_eq!(hasher.prefixes(&name).collect::<Vec<_>>(), each);
        }

        /// Where the first wildcard stands decides the key.
        #[test]
        fn filters_are_announced_by_their_literal_levels(name in name(), tail in "(/[a+]{1}){0,3}(/#)?", seed: u64) {
            let hasher = Hasher::new(seed);
            let depth = name.split('/').count();
            let wildcard = hasher.key(&format!("{name}/+{tail}"));
            prop_assert_eq!(wildcard.depth, Some(depth));
            prop_assert_eq!(Some(wildcard.fingerprint), hasher.prefixes(&name).last());
            prop_assert_eq!(hasher.key(&name), Key { fingerprint: hasher.exact(&name), depth: None });
            prop_assert_eq!(hasher.key(&format!("+{tail}")), Key { fingerprint: hasher.root(), depth: Some(0) });
        }
    }

    /// All names of up to 12 characters from a small alphabet, by three seeds: no two keys of either kind share a
    /// fingerprint, and the fingerprints' high bits, which choose the slot, are evenly spread.
    #[test]
    fn keys_are_told_apart() {
        for seed in [0, 1, u64::MAX] {
            let hasher = Hasher::new(seed);
            let mut seen = HashMap::from([(hasher.root(), "root".to_owned())]);
            let mut slots = [0_u32; 64];
            for length in 0..=12 {
                for bits in 0..1_u32 << length {
                    let name: String = (0..length).map(|at| if bits >> at & 1 == 0 { '/' } else { 'a' }).collect();
                    let exact = hasher.exact(&name);
                    let prefix = hasher.prefixes(&name).last().unwrap();
                    for (key, kind) in [(exact, "exact"), (prefix, "prefix")] {
                        slots[(key >> 58) as usize] += 1;
                        assert_eq!(seen.insert(key, format!("{kind} {name}")), None, "collides with {kind} {name}");
                    }
                }
            }
            // The zeros that pad a level's last word are not part of it.
            assert_ne!(hasher.prefixes("a").next(), hasher.prefixes("a\0").next());
            // 16,382 keys on 64 slots: 256 expected, standard deviation 16.
            assert!(slots.iter().all(|count| (176..336).contains(count)), "{slots:?}");
        }
    }
}

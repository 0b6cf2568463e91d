//! Payloads of text with placeholders.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `%i` | the publisher's number, from `--start-number` on |
//! | `%c`, `%u` | its client identifier, the user name |
//! | `%s` | the number of the message, counted by its publisher from 0 |
//! | `%TIMESTAMP%`, `%TIMESTAMPMS%` | when the message was due, milliseconds since 1970 |
//! | `%TIMESTAMPUS%`, `%TIMESTAMPNS%` | the same in microseconds and nanoseconds |
//! | `%UNIQUE%` | a whole number that no other message of the run has |
//! | `%RANDOM%` | as many letters and digits as `--size` says |
//! | `%%` | a percent sign |
//!
//! Those in capitals are emqtt_bench's. A template is taken apart once; filling it in writes to a buffer that is used
//! again. Absent: `%t` of topics, since not every publisher has such a number.

use super::{PAYLOAD_BYTES_MAX, Sizes, mix};
use crate::plan::Naming;
use std::io::Write;

/// Decimal digits of the largest number.
const DIGITS_MAX: usize = 20;

/// What `%RANDOM%` is made of: as many as six bits can tell apart.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Number,
    Client,
    Sequence,
    Millis,
    Micros,
    Nanos,
    Unique,
    Random(Sizes),
}

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    naming: Naming,
    largest: usize,
}

/// The message that a template is filled in for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of {
    pub(super) run: u32,
    pub(super) publisher: u32,
    pub(super) sequence: u64,
    pub(super) unix_ns: u64,
}

/// Names of placeholders in capitals, without the first percent sign.
static CAPITALS: [(&str, Part); 5] = [
    ("TIMESTAMP%", Part::Millis),
    ("TIMESTAMPMS%", Part::Millis),
    ("TIMESTAMPUS%", Part::Micros),
    ("TIMESTAMPNS%", Part::Nanos),
    ("UNIQUE%", Part::Unique),
];

impl Template {
    /// Takes a template apart. Clients are called what `naming` says, and `%RANDOM%` is as long as `random` says.
    ///
    /// # Errors
    /// A text for the user, if there is no such placeholder, or if nothing says what it stands for.
    pub fn new(text: &str, naming: &Naming, random: Option<&Sizes>) -> Result<Self, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            let capital = CAPITALS.iter().find(|(name, _)| after.starts_with(name));
            let (part, used) = match (capital, after.as_bytes().first()) {
                (Some((name, part)), _) => (part.clone(), name.len()),
                (None, _) if after.starts_with("RANDOM%") => {
                    let sizes = random.ok_or("%RANDOM% needs its length: --size")?;
                    (Part::Random(sizes.clone()), "RANDOM%".len())
                }
                (None, Some(b'i')) => (Part::Number, 1),
                (None, Some(b'c')) => (Part::Client, 1),
                (None, Some(b's')) => (Part::Sequence, 1),
                (None, Some(b'u')) => {
                    let user = naming.user.as_deref().ok_or("%u needs a user name (--username)")?;
                    (Part::Text(user.to_owned()), 1)
                }
                (None, Some(b'%')) => (Part::Text("%".into()), 1),
                _ => {
                    let here: String = after.chars().take(12).collect();
                    return Err(format!(
                        "`%{here}`: after % comes i, c, u, s, TIMESTAMP%, TIMESTAMPMS%, TIMESTAMPUS%, TIMESTAMPNS%, \
                         UNIQUE%, RANDOM% or another %"
                    ));
                }
            };
            match part {
                Part::Text(text) => literal.push_str(&text),
                part => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                }
            }
            rest = &after[used..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        // The largest number of any publisher has the longest identifier.
        let client = naming.publisher(naming.publishers.saturating_sub(1)).len();
        let longest = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::Client => client,
            Part::Random(sizes) => sizes.largest(),
            _ => DIGITS_MAX,
        };
        let largest = parts.iter().map(longest).sum();
        if largest == 0 || largest > PAYLOAD_BYTES_MAX {
            return Err(format!("a template makes 1 to {PAYLOAD_BYTES_MAX} bytes, this one {largest}"));
        }
        Ok(Self { parts, naming: naming.clone(), largest })
    }

    /// Most bytes that it makes.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// Appends the text for one message. Allocates only while `out` grows to the longest.
    pub(super) fn fill(&self, out: &mut Vec<u8>, of: &Of) {
        for part in &self.parts {
            // Writing to memory cannot fail.
            let _ = match part {
                Part::Text(text) => out.write_all(text.as_bytes()),
                Part::Number => write!(out, "{}", self.naming.first + of.publisher),
                Part::Client => write!(out, "{}", self.naming.of_publisher(of.publisher)),
                Part::Sequence => write!(out, "{}", of.sequence),
                Part::Millis => write!(out, "{}", of.unix_ns / 1_000_000),
                Part::Micros => write!(out, "{}", of.unix_ns / 1_000),
                Part::Nanos => write!(out, "{}", of.unix_ns),
                Part::Unique => {
                    let publishers = u128::from(self.naming.publishers.max(1));
                    write!(out, "{}", u128::from(of.sequence) * publishers + u128::from(of.publisher))
                }
                Part::Random(sizes) => {
                    random(out, sizes, of);
                    Ok(())
                }
            };
        }
    }
}

/// Appends letters and digits that look like chance.
fn random(out: &mut Vec<u8>, sizes: &Sizes, of: &Of) {
    let seed = mix(of.run, of.publisher, of.sequence);
    let end = out.len() + sizes.pick(seed);
    let mut block = 0;
    while out.len() < end {
        block += 1;
        let bits = mix(of.run, block, seed);
        let take = (end - out.len()).min(10);
        out.extend((0..take).map(|at| ALPHABET[(bits >> (6 * at) & 63) as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> Naming {
        Naming { prefix: "x".into(), short: false, first: 5, publishers: 3, user: Some("me".into()) }
    }

    fn filled(text: &str, sequence: u64) -> String {
        let sizes = "3..40".parse().unwrap();
        let template = Template::new(text, &naming(), Some(&sizes)).unwrap();
        let mut out = Vec::new();
        template.fill(&mut out, &Of { run: 9, publisher: 1, sequence, unix_ns: 1_700_000_000_123_456_789 });
        assert!(out.len() <= template.largest(), "{} > {}", out.len(), template.largest());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in() {
        let text = r#"{"id":"%c","n":%i,"user":"%u","seq":%s,"load":"7%%"}"#;
        assert_eq!(filled(text, 42), r#"{"id":"xp6","n":6,"user":"me","seq":42,"load":"7%"}"#);
        let times = filled("%TIMESTAMP% %TIMESTAMPMS% %TIMESTAMPUS% %TIMESTAMPNS%", 0);
        assert_eq!(times, "1700000000123 1700000000123 1700000000123456 1700000000123456789");
        assert_eq!((filled("%UNIQUE%", 0), filled("%UNIQUE%", 2)), ("1".into(), "7".into()));
    }

    #[test]
    fn random_text_has_the_sizes_asked_for_and_is_repeatable() {
        let (one, other) = (filled("%RANDOM%", 1), filled("%RANDOM%", 2));
        assert!((3..=40).contains(&one.len()) && one.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
        assert!(one != other && one == filled("%RANDOM%", 1));
    }

    #[test]
    fn nothing_is_allocated_once_the_buffer_has_its_size() {
        let template = Template::new("%c %s %TIMESTAMPNS%", &naming(), None).unwrap();
        let mut out = Vec::with_capacity(template.largest());
        let (address, capacity) = (out.as_ptr(), out.capacity());
        for sequence in [0, u64::MAX] {
            out.clear();
            template.fill(&mut out, &Of { run: 9, publisher: 2, sequence, unix_ns: u64::MAX });
        }
        assert_eq!((out.as_ptr(), out.capacity()), (address, capacity));
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for text in ["%", "50% of it", "%t", "%TIMESTAMP", "%RANDOM%", ""] {
            assert!(Template::new(text, &naming(), None).is_err(), "accepted `{text}`");
        }
        assert!(Template::new("%u", &Naming { user: None, ..naming() }, None).is_err());
    }
}

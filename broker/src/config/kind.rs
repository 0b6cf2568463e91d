//! The types a setting can have: how each is written, checked, and described.

use super::keys::Target;
use super::records::{Record, Wrong};
use crate::log::TimeOffset;
use crate::topology::CoreList;
use ringmq_core::limit::Rate;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longest text of a setting, bytes.
const TEXT_BYTES_MAX: usize = 65_535;

/// A type with its bounds, and where a checked value goes.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Bool(fn(&mut Target<'_>, bool)),
    /// A whole number, or one of the words, which may lie outside the range.
    Integer { min: u64, max: u64, words: &'static [(&'static str, u64)], set: fn(&mut Target<'_>, u64) },
    /// A power of two.
    PowerOfTwo { min: u64, max: u64, set: fn(&mut Target<'_>, u64) },
    /// A number with up to three decimals, in thousandths.
    Permille { min: u32, max: u32, set: fn(&mut Target<'_>, u32) },
    /// A whole percentage.
    Percent { min: u8, max: u8, set: fn(&mut Target<'_>, u8) },
    /// Events per second; 0 is `infinity`.
    Rate(fn(&mut Target<'_>, u32)),
    /// So many, or so many bytes, in so long; `None` is `infinity`.
    Budget { bytes: bool, set: fn(&mut Target<'_>, Option<Rate>) },
    /// A length of time.
    Duration { min: Duration, max: Duration, set: fn(&mut Target<'_>, Duration) },
    /// A length of time, or `infinity`.
    DurationOrInfinity { min: Duration, max: Duration, set: fn(&mut Target<'_>, Option<Duration>) },
    /// A length of time, or `disabled`.
    DurationOrDisabled { min: Duration, max: Duration, set: fn(&mut Target<'_>, Option<Duration>) },
    /// Bytes.
    Size { min: u64, max: u64, set: fn(&mut Target<'_>, u64) },
    /// Bytes, or `infinity`.
    SizeOrInfinity { min: u64, max: u64, set: fn(&mut Target<'_>, Option<u64>) },
    /// A time zone.
    TimeOffset(fn(&mut Target<'_>, TimeOffset)),
    /// One of several names, by its index.
    Choice { names: &'static [&'static str], set: fn(&mut Target<'_>, usize) },
    /// A list of some of several names, each at most once, as bits by their indices.
    Words { names: &'static [&'static str], set: fn(&mut Target<'_>, u8) },
    /// Names with a number each, or `disabled` for none.
    Table { min: u64, max: u64, clear: fn(&mut Target<'_>), insert: fn(&mut Target<'_>, &str, u64) },
    /// A list of records with these fields, or `[]`.
    List {
        fields: &'static [&'static str],
        max: usize,
        clear: fn(&mut Target<'_>),
        push: fn(&mut Target<'_>, &Record<'_>) -> Result<(), Wrong>,
    },
    /// A list of texts, or `[]`.
    Texts {
        example: &'static str,
        max: usize,
        clear: fn(&mut Target<'_>),
        push: fn(&mut Target<'_>, &str) -> Result<(), String>,
    },
    /// Any text.
    Text(fn(&mut Target<'_>, &str)),
    /// The path of a file or directory; it may begin with an environment variable.
    Path(fn(&mut Target<'_>, &str)),
    /// Text that is checked where it goes.
    Checked { allowed: &'static str, set: fn(&mut Target<'_>, &str) -> Result<(), String> },
    /// An address and port to listen on.
    Address(fn(&mut Target<'_>, SocketAddr)),
    /// An address and port to listen on, or `disabled`.
    AddressOrDisabled(fn(&mut Target<'_>, Option<SocketAddr>)),
    /// Numbers of processor cores, or `auto`.
    Cores(fn(&mut Target<'_>, Option<CoreList>)),
}

impl Kind {
    /// Checks `text` and puts its meaning into `target`.
    ///
    /// # Errors
    /// Why the text is not of this type, as the end of a sentence that begins with the text.
    pub(crate) fn parse_into(&self, text: &str, target: &mut Target<'_>) -> Result<(), String> {
        match *self {
            Self::Bool(set) => set(target, bool(text)?),
            Self::Integer { min, max, words, set } => {
                let word = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
                set(target, word.map_or_else(|| in_range(integer(text)?, min, max, &plain), Ok)?);
            }
            Self::PowerOfTwo { min, max, set } => {
                let value = in_range(integer(text)?, min, max, &plain)?;
                if !value.is_power_of_two() {
                    return Err("is not a power of two".to_owned());
                }
                set(target, value);
            }
            Self::Permille { min, max, set } => {
                let permille = in_range(permille(text)?, u64::from(min), u64::from(max), &decimal)?;
                set(target, u32::try_from(permille).map_err(|_| "is too large".to_owned())?);
            }
            Self::Percent { min, max, set } => {
                let write = |value: u64| format!("{value}%");
                let percent = in_range(percent(text)?, u64::from(min), u64::from(max), &write)?;
                set(target, u8::try_from(percent).map_err(|_| "is too large".to_owned())?);
            }
            Self::Rate(set) => set(target, rate(text)?),
            Self::Budget { bytes, set } => set(target, budget(text, bytes)?),
            Self::Duration { min, max, set } => set(target, span_in_range(text, min, max)?),
            Self::DurationOrInfinity { min, max, set } => {
                let span = if text == "infinity" { None } else { Some(span_in_range(text, min, max)?) };
                set(target, span);
            }
            Self::DurationOrDisabled { min, max, set } => {
                let span = if text == "disabled" { None } else { Some(span_in_range(text, min, max)?) };
                set(target, span);
            }
            Self::Size { min, max, set } => set(target, in_range(size(text)?, min, max, &written_size)?),
            Self::SizeOrInfinity { min, max, set } => {
                let bytes =
                    if text == "infinity" { None } else { Some(in_range(size(text)?, min, max, &written_size)?) };
                set(target, bytes);
            }
            Self::TimeOffset(set) => set(target, TimeOffset::parse(text).ok_or("is no offset from UTC")?),
            Self::Choice { names, set } => match names.iter().position(|name| *name == text) {
                Some(index) => set(target, index),
                None => return Err("is none of the choices".to_owned()),
            },
            Self::Words { names, set } => set(target, words(text, names)?),
            Self::Table { clear, .. } if text == "disabled" => clear(target),
            Self::Table { .. } => return Err("is neither a table nor disabled".to_owned()),
            Self::List { clear, .. } if text == "[]" => clear(target),
            Self::Texts { clear, .. } if text == "[]" => clear(target),
            Self::List { .. } | Self::Texts { .. } => return Err("is no list".to_owned()),
            Self::Text(set) | Self::Path(set) if text.len() <= TEXT_BYTES_MAX => set(target, text),
            Self::Checked { set, .. } => set(target, text)?,
            Self::Text(_) | Self::Path(_) => return Err(format!("is longer than {TEXT_BYTES_MAX} bytes")),
            Self::Address(set) => set(target, address(text)?),
            Self::AddressOrDisabled(set) => {
                set(target, if text == "disabled" { None } else { Some(address(text)?) });
            }
            Self::Cores(set) => {
                let cores = if text == "auto" { None } else { Some(text.parse().map_err(|e| format!("{e}"))?) };
                set(target, cores);
            }
        }
        Ok(())
    }

    /// Begins the table anew if this is one, and says whether it is.
    pub(crate) fn begin_table(&self, target: &mut Target<'_>) -> bool {
        if let Self::Table { clear, .. } | Self::List { clear, .. } | Self::Texts { clear, .. } = *self {
            clear(target);
            return true;
        }
        false
    }

    /// Puts one entry into a table.
    ///
    /// # Errors
    /// As [`Kind::parse_into`], for the entry's number.
    pub(crate) fn insert_into(&self, name: &str, text: &str, target: &mut Target<'_>) -> Result<(), String> {
        let Self::Table { min, max, insert, .. } = *self else { return Err("is not in a table".to_owned()) };
        insert(target, name, in_range(integer(text)?, min, max, &plain)?);
        Ok(())
    }

    /// What may be written, for messages and the reference page.
    pub(crate) fn allowed(&self) -> String {
        match *self {
            Self::Bool(_) => "true or false".to_owned(),
            Self::Integer { min, max, words, .. } => {
                let words: String = words.iter().map(|(word, _)| format!(", or {word}")).collect();
                format!("an integer from {min} to {max}{words}")
            }
            Self::PowerOfTwo { min, max, .. } => format!("a power of two from {min} to {max}"),
            Self::Permille { min, max, .. } => {
                format!("a number from {} to {}", decimal(u64::from(min)), decimal(u64::from(max)))
            }
            Self::Percent { min, max, .. } => format!("a percentage from {min}% to {max}%"),
            Self::Rate(_) => "a number a second such as 100/s, or infinity".to_owned(),
            Self::Budget { bytes: false, .. } => "a number in a time such as 100/s or 1000/10s, or infinity".to_owned(),
            Self::Budget { bytes: true, .. } => "a size in a time such as 100KB/s or 10MB/1m, or infinity".to_owned(),
            Self::Duration { min, max, .. } => {
                format!("a duration from {} to {} such as 500ms, 15s, 5m, 2h, 1d", written(min), written(max))
            }
            Self::DurationOrInfinity { min, max, .. } => {
                format!(
                    "a duration from {} to {} such as 500ms, 15s, 5m, 2h, 1d, or infinity",
                    written(min),
                    written(max)
                )
            }
            Self::DurationOrDisabled { min, max, .. } => {
                let (min, max) = (written(min), written(max));
                format!("a duration from {min} to {max} such as 500ms, 15s, 5m, 2h, 1d, or disabled")
            }
            Self::Size { min, max, .. } => {
                format!("a size from {} to {} such as 512B, 64KB, 1MB", written_size(min), written_size(max))
            }
            Self::SizeOrInfinity { min, max, .. } => {
                let (min, max) = (written_size(min), written_size(max));
                format!("a size from {min} to {max} such as 512B, 64KB, 1MB, or infinity")
            }
            Self::TimeOffset(_) => "system, utc, or hours and minutes such as +02:00".to_owned(),
            Self::Choice { names, .. } => format!("one of {}", names.join(", ")),
            Self::Table { min, max, .. } => {
                format!("a table such as {{\"a/topic\" = {max}}} with numbers from {min} to {max}, or disabled")
            }
            Self::List { fields, max, .. } => format!("a list of at most {max} records with {}", fields.join(", ")),
            Self::Words { names, .. } => format!("a list of some of {}", names.join(", ")),
            Self::Texts { example, .. } => format!("a list of texts such as {example}"),
            Self::Text(_) => "text".to_owned(),
            Self::Path(_) => "a path such as data or ${HOME}/data".to_owned(),
            Self::Checked { allowed, .. } => allowed.to_owned(),
            Self::Address(_) => "an address and port such as 0.0.0.0:1883 or [::]:1883, or a port alone".to_owned(),
            Self::AddressOrDisabled(_) => {
                "an address and port such as 127.0.0.1:18083, or a port alone, or disabled".to_owned()
            }
            Self::Cores(_) => "core numbers and ranges such as 0,2-5, or auto".to_owned(),
        }
    }
}

/// Bits for the names in `[a, b]`.
fn words(text: &str, names: &[&str]) -> Result<u8, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or("is no list")?.trim();
    let mut bits = 0;
    for word in inner.split(',').map(str::trim).filter(|_| !inner.is_empty()) {
        let index = names.iter().position(|name| *name == word);
        bits |= 1 << index.ok_or_else(|| format!("has `{}` in it", word.escape_debug()))?;
    }
    Ok(bits)
}

fn plain(value: u64) -> String {
    value.to_string()
}

fn in_range(value: u64, min: u64, max: u64, write: &dyn Fn(u64) -> String) -> Result<u64, String> {
    if value < min {
        return Err(format!("is less than {}", write(min)));
    }
    if value > max {
        return Err(format!("is more than {}", write(max)));
    }
    Ok(value)
}

fn bool(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "is neither true nor false".to_owned())
}

fn integer(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("is not a whole number".to_owned());
    }
    text.parse().map_err(|_| "is too large".to_owned())
}

fn permille(text: &str) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = fraction.len();
    if !(1..=3).contains(&digits) {
        return Err("has more than three decimals".to_owned());
    }
    let not_number = |_| "is not a number such as 1.5".to_owned();
    let scale = [100, 10, 1][digits - 1];
    let fraction = integer(fraction).map_err(not_number)? * scale;
    Ok(integer(whole).map_err(not_number)?.saturating_mul(1000).saturating_add(fraction))
}

fn decimal(permille: u64) -> String {
    let text = format!("{}.{:03}", permille / 1000, permille % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `80%`, or `0.8` as EMQX takes it too.
fn percent(text: &str) -> Result<u64, String> {
    if let Some(number) = text.strip_suffix('%') {
        return integer(number);
    }
    let permille = permille(text).ok().filter(|permille| text.contains('.') && permille.is_multiple_of(10));
    permille.map(|permille| permille / 10).ok_or_else(|| "is not a percentage such as 80%".to_owned())
}

/// So many a second; measured over a longer time, at least one a second.
fn rate(text: &str) -> Result<u32, String> {
    if text == "infinity" {
        return Ok(0);
    }
    let wrong = || "is not a rate such as 100/s".to_owned();
    let (amount, period) = text.split_once('/').unwrap_or((text, "s"));
    let amount = integer(amount.trim_end()).map_err(|_| wrong())?;
    let period = span_of_rate(period).map_err(|_| wrong())?;
    if amount == 0 {
        return Ok(0);
    }
    let value = amount.checked_div(period.as_secs()).filter(|value| *value > 0).ok_or("is less than one a second")?;
    u32::try_from(value).map_err(|_| "is too large".to_owned())
}

/// What follows the `/` of a rate: a time, or a unit alone, which is one of it.
fn span_of_rate(text: &str) -> Result<Duration, String> {
    let text = text.trim_start();
    let one = text.starts_with(|c: char| c.is_ascii_alphabetic());
    span(&if one { format!("1{text}") } else { text.to_owned() })
}

/// Longest time that a rate is measured over.
const BUDGET_PERIOD_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Most of a rate.
const BUDGET_AMOUNT_MAX: u64 = 1 << 50;

/// `1000/s`, `1000/10s` or `1MB/s`; without a time it is a second, as in EMQX.
fn budget(text: &str, bytes: bool) -> Result<Option<Rate>, String> {
    if text == "infinity" {
        return Ok(None);
    }
    let example = if bytes { "1MB/s or 10MB/1m" } else { "100/s or 1000/10s" };
    let wrong = || format!("is not a rate such as {example}");
    let (amount, period) = text.split_once('/').unwrap_or((text, "s"));
    let amount = amount.trim_end();
    let amount = if bytes { size(amount) } else { integer(amount) }.map_err(|_| wrong())?;
    let period = span_of_rate(period).map_err(|_| wrong())?;
    if period < Duration::from_secs(1) || period > BUDGET_PERIOD_MAX {
        return Err("is measured over less than 1s or more than 30d".to_owned());
    }
    if amount > BUDGET_AMOUNT_MAX {
        return Err("is too large".to_owned());
    }
    let rate = Rate::new(amount, u64::try_from(period.as_nanos()).unwrap_or(u64::MAX));
    rate.map(Some).ok_or_else(|| "would let nothing pass".to_owned())
}

fn span_in_range(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let span = span(text)?;
    if span < min {
        return Err(format!("is less than {}", written(min)));
    }
    if span > max {
        return Err(format!("is more than {}", written(max)));
    }
    Ok(span)
}

/// Units of time, longest name first where one ends another.
const SPAN_UNITS: [(&str, u64); 7] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// `15s`, `1h30m`, or a bare `0`.
fn span(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || "is not a duration".to_owned();
    let text = text.to_ascii_lowercase();
    let mut rest = text.as_str();
    let mut nanos = 0_u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let number = integer(number).map_err(|_| wrong())?;
        if unit.is_empty() && tail.is_empty() {
            return Err("has no unit of time".to_owned());
        }
        let (_, scale) = SPAN_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let piece = number.checked_mul(*scale).ok_or("is too long")?;
        nanos = nanos.checked_add(piece).ok_or("is too long")?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_nanos(nanos)) }
}

/// The shortest way to write a duration with one unit.
fn written(span: Duration) -> String {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    // Weeks are read but not written.
    let unit = SPAN_UNITS[..6].iter().rev().find(|(_, scale)| nanos.is_multiple_of(*scale) && nanos >= *scale);
    unit.map_or_else(|| "0s".to_owned(), |(name, scale)| format!("{}{name}", nanos / scale))
}

/// Units of size, 1024-based as in EMQX.
const SIZE_UNITS: [(&str, u64); 7] =
    [("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("b", 1)];

fn size(text: &str) -> Result<u64, String> {
    let text = text.to_ascii_lowercase();
    let (number, scale) = SIZE_UNITS
        .iter()
        .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| (number, *scale)))
        .unwrap_or((text.as_str(), 1));
    let number = integer(number).map_err(|_| "is not a size such as 1MB".to_owned())?;
    number.checked_mul(scale).ok_or_else(|| "is too large".to_owned())
}

/// The shortest way to write a size with one unit.
fn written_size(bytes: u64) -> String {
    let unit = SIZE_UNITS[3..6].iter().rev().find(|(_, scale)| bytes.is_multiple_of(*scale) && bytes >= *scale);
    unit.map_or_else(|| format!("{bytes}B"), |(name, scale)| format!("{}{}", bytes / scale, name.to_uppercase()))
}

/// `1.2.3.4:1883`, `[::]:1883`, `localhost:1883`, `:1883` or `1883`; the last two mean all IPv4 addresses, as in EMQX.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err("has no port".to_owned());
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = port.parse::<u16>();
    match (host, port) {
        (_, Err(_)) => Err("is not an address with a port from 0 to 65535".to_owned()),
        ("", Ok(port)) => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        ("localhost", Ok(port)) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        (host, Ok(_)) if host.parse::<Ipv6Addr>().is_ok() => Err("needs its IPv6 address in brackets".to_owned()),
        _ => Err("is not a numeric address".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_sizes_and_numbers_are_read_as_written() {
        assert_eq!(span("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(span("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("20us"), Ok(Duration::from_micros(20)));
        assert_eq!(span("2H"), Ok(Duration::from_secs(7200)));
        assert_eq!(span("15"), Err("has no unit of time".to_owned()));
        for wrong in ["", "s", "15x", "1.5s", "-1s", "s15"] {
            assert_eq!(span(wrong), Err("is not a duration".to_owned()), "{wrong}");
        }
        assert_eq!(span("99999999999999d"), Err("is too long".to_owned()));
        assert_eq!(size("1MB"), Ok(1 << 20));
        assert_eq!(size("64kb"), Ok(64 << 10));
        assert_eq!(size("10"), Ok(10));
        assert_eq!(size("10B"), Ok(10));
        assert!(size("MB").is_err() && size("1TB").is_err() && size("99999999999GB").is_err());
        assert_eq!(permille("1.5"), Ok(1500));
        assert_eq!(permille("2"), Ok(2000));
        assert_eq!(permille("0.125"), Ok(125));
        assert!(permille("1.").is_err() && permille("1.2345").is_err() && permille("x").is_err());
        assert_eq!(rate("100/s"), Ok(100));
        assert_eq!(rate("infinity"), Ok(0));
        assert_eq!([rate("100"), rate("1000/10s"), rate("600/m"), rate("0/s")], [Ok(100), Ok(100), Ok(10), Ok(0)]);
        assert_eq!(rate("100/h"), Err("is less than one a second".to_owned()));
        assert!(rate("100/").is_err() && rate("x/s").is_err() && rate("100/10ms").is_err());
        assert_eq!([percent("80%"), percent("0.8"), percent("0.05"), percent("1.0")], [Ok(80), Ok(80), Ok(5), Ok(100)]);
        assert!(percent("80").is_err() && percent("0.805").is_err() && percent("%").is_err());
    }

    #[test]
    fn rates_have_an_amount_and_a_period() {
        const SECOND: u64 = 1_000_000_000;
        let count = |text: &str| budget(text, false);
        assert_eq!(count("infinity"), Ok(None));
        assert_eq!(count("100/s"), Ok(Rate::new(100, SECOND)));
        assert_eq!(count("1000/10s"), Ok(Rate::new(1000, 10 * SECOND)));
        assert_eq!(count("7/1h"), Ok(Rate::new(7, 3600 * SECOND)));
        assert_eq!(count("1000 / m"), Ok(Rate::new(1000, 60 * SECOND)));
        assert_eq!(count("100"), Ok(Rate::new(100, SECOND)));
        assert_eq!(count("100/10S"), Ok(Rate::new(100, 10 * SECOND)));
        assert_eq!(budget("10MB", true), Ok(Rate::new(10 << 20, SECOND)));
        assert_eq!(budget("10MB/1m", true), Ok(Rate::new(10 << 20, 60 * SECOND)));
        assert_eq!(budget("100/d", true), Ok(Rate::new(100, 86_400 * SECOND)));
        assert_eq!(count("0/s"), Err("would let nothing pass".to_owned()));
        for wrong in ["", "/s", "100/", "1KB/s", "-1/s", "1/x", "1/0s", "1/1ms", "1/60d", "1/s/s"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_numeric_or_local() {
        assert_eq!(address("1883"), Ok("0.0.0.0:1883".parse().expect("an address")));
        assert_eq!(address(":1883"), Ok("0.0.0.0:1883".parse().expect("an address")));
        assert_eq!(address("[::]:1883"), Ok("[::]:1883".parse().expect("an address")));
        assert_eq!(address("localhost:0"), Ok("127.0.0.1:0".parse().expect("an address")));
        assert_eq!(address("::1"), Err("has no port".to_owned()));
        assert_eq!(address("1.2.3.4"), Err("has no port".to_owned()));
        assert_eq!(address("::1:x"), Err("is not an address with a port from 0 to 65535".to_owned()));
        assert_eq!(address("1.2.3.4:70000"), Err("is not an address with a port from 0 to 65535".to_owned()));
        assert_eq!(address("example.org:1883"), Err("is not a numeric address".to_owned()));
        assert_eq!(address("1:2:3:4:5:6:7:8:1883"), Err("needs its IPv6 address in brackets".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(micros in 0..u64::MAX / 1_000, bytes: u64) {
            let length = Duration::from_micros(micros);
            prop_assert_eq!(span(&written(length)), Ok(length));
            prop_assert_eq!(size(&written_size(bytes)), Ok(bytes));
            prop_assert_eq!(permille(&decimal(bytes / 2000)), Ok(bytes / 2000));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in "\\PC{0,30}", digits in "[0-9.:smhdkb/\\[\\]]{0,30}") {
            for text in [text, digits] {
                let _ = (span(&text), size(&text), permille(&text), rate(&text), address(&text), bool(&text));
                let _ = (budget(&text, true), budget(&text, false));
            }
        }
    }
}

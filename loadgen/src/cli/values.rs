//! How values of options are read. Scenario files write theirs the same way.

use crate::scenario::{check_filter, check_topic};
use std::time::Duration;

/// Processor numbers, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreList(pub Vec<usize>);

/// Highest processor number accepted.
const CORE_MAX: usize = 4095;

pub(super) fn cores(text: &str) -> Result<CoreList, String> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(core) if core <= CORE_MAX => Ok(core),
        _ => Err(format!("`{text}` is not a processor number")),
    };
    let mut list = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => list.push(number(part)?),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to {
                    return Err(format!("`{part}` runs backwards"));
                }
                list.extend(from..=to);
            }
        }
    }
    let mut sorted = list.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == list.len() { Ok(CoreList(list)) } else { Err("a processor is named twice".into()) }
}

/// Reads `10s`, `500ms`, `2m`, `1h` or plain seconds, with decimals.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit `{unit}`: use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a time such as 10s or 500ms"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|problem| problem.to_string())
}

pub(crate) fn group(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '+', '#']) {
        return Err("a group name has at least one character and none of / + #".into());
    }
    Ok(text.to_owned())
}

/// A template of a topic name.
pub(super) fn topic(text: &str) -> Result<String, String> {
    check_topic(text).map(|()| text.to_owned())
}

/// A template of a topic filter.
pub(super) fn filter(text: &str) -> Result<String, String> {
    check_filter(text).map(|()| text.to_owned())
}

/// Longest topic prefix, bytes: leaves room for what the scenarios append.
const TOPIC_PREFIX_BYTES_MAX: usize = 1024;

pub(super) fn topic_prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > TOPIC_PREFIX_BYTES_MAX || text.contains(['+', '#', '\0']) {
        return Err(format!("must have 1 to {TOPIC_PREFIX_BYTES_MAX} bytes and none of + #"));
    }
    Ok(text.to_owned())
}

/// Largest factor for numbers of clients.
const SCALE_MAX: f64 = 1000.0;

pub(super) fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= SCALE_MAX => Ok(scale),
        _ => Err(format!("must be above 0 and at most {SCALE_MAX}")),
    }
}

//! How the values of keys are read, each checked as far as one goes, and their defaults.
//!
//! Absent: keys, and what they mean together.

use crate::cli::{Credit, duration, group, headers, sizes};
use crate::payload::{Headers, Sizes};
use crate::scenario::{check_filter, check_topic};
use crate::schedule::RATE_MAX;
use ringmq_wire::{QoS, Version};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// Most clients of one group.
const GROUP_CLIENTS_MAX: u32 = 100_000_000;

/// Messages a publisher may have in flight: as many as there are packet identifiers [MQTT-2.2.1-2].
const WINDOW_MAX: u32 = 65_535;

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn one() -> u32 {
    1
}

pub(super) const fn drain_default() -> Duration {
    Duration::from_secs(2)
}

pub(super) fn version<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Version>, D::Error> {
    match String::deserialize(value)?.as_str() {
        "3.1" => Ok(Some(Version::V31)),
        "3.1.1" => Ok(Some(Version::V311)),
        "5.0" => Ok(Some(Version::V5)),
        other => Err(D::Error::custom(format!("`{other}` is none of \"3.1\", \"3.1.1\", \"5.0\""))),
    }
}

pub(crate) fn time<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(value)?).map_err(D::Error::custom)
}

pub(super) fn some_time<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    time(value).map(Some)
}

pub(super) fn limit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    within(value, u64::MAX).map(Some)
}

pub(super) fn qos<'de, D: Deserializer<'de>>(value: D) -> Result<QoS, D::Error> {
    let number = u8::deserialize(value)?;
    QoS::from_bits(number).ok_or_else(|| D::Error::custom("a QoS is 0, 1 or 2"))
}

pub(super) fn some_qos<'de, D: Deserializer<'de>>(value: D) -> Result<Option<QoS>, D::Error> {
    qos(value).map(Some)
}

/// A number, or a text for more sizes than one.
struct SizesVisitor;

impl Visitor<'_> for SizesVisitor {
    type Value = Sizes;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number of bytes, or \"16..1024\", or \"16:90,1024:9\"")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Sizes, E> {
        sizes(&number.to_string()).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Sizes, E> {
        sizes(&number.to_string()).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Sizes, E> {
        sizes(text).map_err(E::custom)
    }
}

pub(super) fn payload_size<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Sizes>, D::Error> {
    value.deserialize_any(SizesVisitor).map(Some)
}

pub(super) fn payload_headers<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Headers>, D::Error> {
    headers(&String::deserialize(value)?).map(Some).map_err(D::Error::custom)
}

pub(super) fn rate<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let rate = f64::deserialize(value)?;
    if rate > 0.0 && rate <= RATE_MAX as f64 {
        return Ok(Some(rate));
    }
    Err(D::Error::custom(format!("a rate is above 0 and at most {RATE_MAX} messages a second")))
}

pub(super) fn within<'de, D: Deserializer<'de>>(value: D, most: u64) -> Result<u64, D::Error> {
    let number = u64::deserialize(value)?;
    if (1..=most).contains(&number) { Ok(number) } else { Err(D::Error::custom(format!("must be 1 to {most}"))) }
}

pub(super) fn window<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    within(value, u64::from(WINDOW_MAX)).map(|number| Some(number as u32))
}

pub(super) fn receive_maximum<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u16>, D::Error> {
    within(value, u64::from(u16::MAX)).map(|number| Some(number as u16))
}

pub(super) fn connect_rate<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    within(value, RATE_MAX).map(Some)
}

pub(super) fn count<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    within(value, u64::from(GROUP_CLIENTS_MAX)).map(|number| number as u32)
}

pub(super) fn credit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Credit>, D::Error> {
    match String::deserialize(value)?.as_str() {
        "ack" => Ok(Some(Credit::Ack)),
        "delivery" => Ok(Some(Credit::Delivery)),
        "both" => Ok(Some(Credit::Both)),
        other => Err(D::Error::custom(format!("`{other}` is none of \"ack\", \"delivery\", \"both\""))),
    }
}

pub(super) fn topic<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let topic = String::deserialize(value)?;
    check_topic(&topic).map_err(D::Error::custom)?;
    Ok(topic)
}

pub(super) fn filters<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let filters = Vec::<String>::deserialize(value)?;
    filters.iter().try_for_each(|filter| check_filter(filter)).map_err(D::Error::custom)?;
    Ok(filters)
}

pub(super) fn share<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    group(&String::deserialize(value)?).map(Some).map_err(D::Error::custom)
}

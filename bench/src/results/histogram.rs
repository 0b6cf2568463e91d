//! Whole distributions of latency, as the generator writes them: HdrHistogram's V2 format, deflated, in base64.
//!
//! Absent: writing them, and merging those of several runs; a curve shows the runs' spread instead.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// Longest text that is decoded, bytes: a hundred times what the generator writes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A distribution of times.
pub(super) struct Distribution(Histogram<u64>);

impl Distribution {
    /// Decodes; `None` if it is no histogram, is empty or is too long: the line's percentiles are then used.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok().filter(|_| text.len() <= TEXT_BYTES_MAX)?;
        let histogram = Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()).ok()?;
        (!histogram.is_empty()).then_some(Self(histogram))
    }

    /// The time that this percentage of values does not exceed, microseconds.
    pub(super) fn percentile_us(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1000.0
    }
}

#[cfg(test)]
pub(super) fn encode_for_tests(times_us: impl IntoIterator<Item = u64>) -> String {
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    times_us.into_iter().for_each(|time| histogram.record(time * 1000).unwrap());
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    STANDARD.encode(bytes)
}

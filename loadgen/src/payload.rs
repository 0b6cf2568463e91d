//! What a generated message carries: who sent it, which one it is, and when it was meant to be sent.
//!
//! Layout, little-endian: run 4, publisher 4, sequence number 8, intended send time 8 (nanoseconds of the run's
//! [`Clock`](crate::clock::Clock)), then a fixed pattern up to the message's size. The run number tells this run's
//! messages from retained or queued ones of an earlier run. Absent: anything of MQTT.

/// Bytes of the header, and so the smallest payload.
pub const HEADER_BYTES: usize = 24;

/// Largest payload the generator sends, bytes; MQTT's own bound on a whole packet is 268,435,455.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The part of a payload that differs from message to message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of the run.
    pub run: u32,
    /// Number of the publisher, from 0, over all threads.
    pub publisher: u32,
    /// Number of the message, from 0, counted by its publisher.
    pub sequence: u64,
    /// When the message was due, nanoseconds of the run's clock. In a closed loop: when it was sent.
    pub intended_ns: u64,
}

/// Why a payload is not one of this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Another run's message, or somebody else's.
    Foreign,
    /// This run's message with a wrong length or a damaged pattern.
    Damaged,
}

/// Writes and checks payloads of one size.
#[derive(Debug)]
pub struct Template {
    run: u32,
    /// A whole payload with an empty header.
    blank: Vec<u8>,
}

impl Template {
    /// Payloads of `size` bytes for this run.
    ///
    /// # Panics
    /// If `size` is smaller than [`HEADER_BYTES`] or larger than [`PAYLOAD_BYTES_MAX`]; the command line is checked.
    #[must_use]
    pub fn new(run: u32, size: usize) -> Self {
        assert!((HEADER_BYTES..=PAYLOAD_BYTES_MAX).contains(&size), "payload size {size} is out of range");
        // Any fixed, non-repeating-looking bytes do; a run of equal bytes would hide a shift.
        let pattern = (0..size - HEADER_BYTES).map(|i| (i % 251) as u8);
        Self { run, blank: std::iter::repeat_n(0, HEADER_BYTES).chain(pattern).collect() }
    }

    /// Size of every payload, bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.blank.len()
    }

    /// A payload whose first [`HEADER_BYTES`] are still to be written.
    #[must_use]
    pub fn blank(&self) -> &[u8] {
        &self.blank
    }

    /// The header's bytes.
    #[must_use]
    pub fn header(&self, publisher: u32, sequence: u64, intended_ns: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.run.to_le_bytes());
        bytes[4..8].copy_from_slice(&publisher.to_le_bytes());
        bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&intended_ns.to_le_bytes());
        bytes
    }

    /// Reads a received payload.
    ///
    /// # Errors
    /// [`Rejected`], if it is not exactly one that [`Template::blank`] and [`Template::header`] make.
    pub fn read(&self, payload: &[u8]) -> Result<Header, Rejected> {
        let Some((header, rest)) = payload.split_first_chunk::<HEADER_BYTES>() else { return Err(Rejected::Foreign) };
        let header = Header {
            run: u32::from_le_bytes([header[0], header[1], header[2], header[3]]),
            publisher: u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
            sequence: u64_at(header, 8),
            intended_ns: u64_at(header, 16),
        };
        if header.run != self.run {
            return Err(Rejected::Foreign);
        }
        if *rest == self.blank[HEADER_BYTES..] { Ok(header) } else { Err(Rejected::Damaged) }
    }
}

fn u64_at(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(template: &Template, publisher: u32, sequence: u64, intended_ns: u64) -> Vec<u8> {
        let mut bytes = template.blank().to_vec();
        bytes[..HEADER_BYTES].copy_from_slice(&template.header(publisher, sequence, intended_ns));
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        for size in [HEADER_BYTES, 64, 1000] {
            let template = Template::new(7, size);
            let bytes = payload(&template, 3, u64::MAX - 1, 123_456_789_012);
            assert_eq!(bytes.len(), size);
            let header = Header { run: 7, publisher: 3, sequence: u64::MAX - 1, intended_ns: 123_456_789_012 };
            assert_eq!(template.read(&bytes), Ok(header));
        }
    }

    #[test]
    fn another_run_is_foreign_and_any_change_is_damage() {
        let template = Template::new(7, 64);
        let bytes = payload(&template, 3, 1, 2);
        assert_eq!(Template::new(8, 64).read(&bytes), Err(Rejected::Foreign));
        assert_eq!(template.read(b"short"), Err(Rejected::Foreign));
        assert_eq!(template.read(&bytes[..63]), Err(Rejected::Damaged));
        for at in HEADER_BYTES..64 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(template.read(&damaged), Err(Rejected::Damaged), "byte {at}");
        }
    }
}

//! What is inside a message: a header that the checks need, and a pattern that shows damage.
//!
//! Two layouts, little-endian, chosen by the payload's size. The full one: run 4, publisher 4, sequence number 8,
//! intended send time 8 (nanoseconds of the run's [`Clock`](crate::clock::Clock)). Payloads too small for it have the
//! compact one: run 2, publisher 3, sequence number 4, time 7, which is enough for 16 million publishers, 4 billion
//! messages each and two years. A fixed pattern follows up to the message's size. The run number tells this run's
//! messages from retained or queued ones of an earlier run; in the compact layout one earlier run in 65,536 is taken
//! for this one. Absent: anything of MQTT.

/// Bytes of the compact header, and so the smallest payload.
pub const COMPACT_HEADER_BYTES: usize = 16;

/// Bytes of the full header; smaller payloads have the compact one.
pub const FULL_HEADER_BYTES: usize = 24;

/// Most publishers that the compact header can number.
pub const COMPACT_PUBLISHERS_MAX: u32 = 1 << 24;

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
    /// Bytes of the header in use.
    header_bytes: usize,
    /// A whole payload with an empty header.
    blank: Vec<u8>,
}

impl Template {
    /// Payloads of `size` bytes for this run.
    ///
    /// # Panics
    /// If `size` is smaller than [`COMPACT_HEADER_BYTES`] or larger than [`PAYLOAD_BYTES_MAX`]; the command line is checked.
    #[must_use]
    pub fn new(run: u32, size: usize) -> Self {
        assert!((COMPACT_HEADER_BYTES..=PAYLOAD_BYTES_MAX).contains(&size), "payload size {size} is out of range");
        let header_bytes = if size < FULL_HEADER_BYTES { COMPACT_HEADER_BYTES } else { FULL_HEADER_BYTES };
        // A run is known by as much of its number as the header holds.
        let run = if size < FULL_HEADER_BYTES { run & u32::from(u16::MAX) } else { run };
        // Any fixed, non-repeating-looking bytes do; a run of equal bytes would hide a shift.
        let pattern = (0..size - header_bytes).map(|i| (i % 251) as u8);
        Self { run, header_bytes, blank: std::iter::repeat_n(0, header_bytes).chain(pattern).collect() }
    }

    /// For a run that sends nothing: whatever arrives is foreign.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self { run: 0, header_bytes: usize::MAX, blank: Vec::new() }
    }

    /// Size of every payload, bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.blank.len()
    }

    /// A payload whose header is still to be written.
    #[must_use]
    pub fn blank(&self) -> &[u8] {
        &self.blank
    }

    /// Most messages that one publisher can number.
    #[must_use]
    pub fn sequence_end(&self) -> u64 {
        if self.is_compact() { 1 << 32 } else { u64::MAX }
    }

    fn is_compact(&self) -> bool {
        self.header_bytes == COMPACT_HEADER_BYTES
    }

    /// Writes the header into a copy of [`Template::blank`].
    ///
    /// # Panics
    /// If `payload` is shorter than the header.
    pub fn write_header(&self, payload: &mut [u8], publisher: u32, sequence: u64, intended_ns: u64) {
        let header = &mut payload[..self.header_bytes];
        if self.is_compact() {
            header[0..2].copy_from_slice(&self.run.to_le_bytes()[..2]);
            header[2..5].copy_from_slice(&publisher.to_le_bytes()[..3]);
            header[5..9].copy_from_slice(&sequence.to_le_bytes()[..4]);
            header[9..16].copy_from_slice(&intended_ns.to_le_bytes()[..7]);
        } else {
            header[0..4].copy_from_slice(&self.run.to_le_bytes());
            header[4..8].copy_from_slice(&publisher.to_le_bytes());
            header[8..16].copy_from_slice(&sequence.to_le_bytes());
            header[16..24].copy_from_slice(&intended_ns.to_le_bytes());
        }
    }

    /// Reads a received payload.
    ///
    /// # Errors
    /// [`Rejected`], if it is not exactly one that [`Template::blank`] and [`Template::write_header`] make.
    pub fn read(&self, payload: &[u8]) -> Result<Header, Rejected> {
        let Some((header, rest)) = payload.split_at_checked(self.header_bytes) else { return Err(Rejected::Foreign) };
        // A field is at most eight bytes long, and the narrower numbers are made of fields of their width.
        let field = |from: usize, to: usize| number(&header[from..to]);
        let header = if self.is_compact() {
            Header {
                run: field(0, 2) as u32,
                publisher: field(2, 5) as u32,
                sequence: field(5, 9),
                intended_ns: field(9, 16),
            }
        } else {
            Header {
                run: field(0, 4) as u32,
                publisher: field(4, 8) as u32,
                sequence: field(8, 16),
                intended_ns: field(16, 24),
            }
        };
        if header.run != self.run {
            return Err(Rejected::Foreign);
        }
        if *rest == self.blank[self.header_bytes..] { Ok(header) } else { Err(Rejected::Damaged) }
    }
}

/// A little-endian number of up to eight bytes.
fn number(field: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..field.len()].copy_from_slice(field);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(template: &Template, publisher: u32, sequence: u64, intended_ns: u64) -> Vec<u8> {
        let mut bytes = template.blank().to_vec();
        template.write_header(&mut bytes, publisher, sequence, intended_ns);
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        for size in [FULL_HEADER_BYTES, 64, 1000] {
            let template = Template::new(7, size);
            let bytes = payload(&template, 3, u64::MAX - 1, 123_456_789_012);
            assert_eq!(bytes.len(), size);
            let header = Header { run: 7, publisher: 3, sequence: u64::MAX - 1, intended_ns: 123_456_789_012 };
            assert_eq!(template.read(&bytes), Ok(header));
        }
    }

    #[test]
    fn the_compact_header_keeps_every_field_at_its_largest() {
        for size in [COMPACT_HEADER_BYTES, FULL_HEADER_BYTES - 1] {
            let template = Template::new(0x1_2345, size);
            let (publisher, sequence, intended_ns) =
                (COMPACT_PUBLISHERS_MAX - 1, template.sequence_end() - 1, (1 << 56) - 1);
            let mut bytes = payload(&template, publisher, sequence, intended_ns);
            assert_eq!(template.read(&bytes), Ok(Header { run: 0x2345, publisher, sequence, intended_ns }));
            assert_eq!(Template::new(0x2346, size).read(&bytes), Err(Rejected::Foreign));
            bytes.push(0);
            assert_eq!(template.read(&bytes), Err(Rejected::Damaged));
            assert_eq!(template.read(&bytes[..COMPACT_HEADER_BYTES - 1]), Err(Rejected::Foreign));
        }
    }

    #[test]
    fn another_run_is_foreign_and_any_change_is_damage() {
        let template = Template::new(7, 64);
        let bytes = payload(&template, 3, 1, 2);
        assert_eq!(Template::new(8, 64).read(&bytes), Err(Rejected::Foreign));
        assert_eq!(template.read(b"short"), Err(Rejected::Foreign));
        assert_eq!(template.read(&bytes[..63]), Err(Rejected::Damaged));
        for at in FULL_HEADER_BYTES..64 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(template.read(&damaged), Err(Rejected::Damaged), "byte {at}");
        }
    }
}

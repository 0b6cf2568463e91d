//! The stamp: the generator's own header, which all checks can be made with.
//!
//! Three layouts, little-endian, chosen by the room there is. The full one: run 4, publisher 4, sequence number 8, time
//! 8. Where there is no room for it, the compact one: run 2, publisher 3, sequence number 4, time 7, which is enough for
//! 16 million publishers, 4 billion messages each and two years. The signed one is the full one and a signature, four
//! fixed bytes and the mark of the clock, by which another process knows a stamp, and whether it can read its time.
//!
//! The run number tells this run's messages from retained or queued ones of an earlier run; in the compact layout one
//! earlier run in 65,536 is taken for this one. Time is when the message was due, nanoseconds: in a signed stamp with a
//! mark those of the host's monotonic clock, otherwise of the run's [`Clock`](crate::clock::Clock). Absent: other
//! headers.

use crate::procfs;

/// Bytes of the compact stamp.
pub const COMPACT_HEADER_BYTES: usize = 16;

/// Bytes of the full stamp.
pub const FULL_HEADER_BYTES: usize = 24;

/// Bytes of the signed stamp.
pub const SIGNED_HEADER_BYTES: usize = 32;

/// Most publishers that the compact stamp can number.
pub const COMPACT_PUBLISHERS_MAX: u32 = 1 << 24;

/// What the signature begins with.
const MAGIC: [u8; 4] = *b"rmLG";

/// The mark of a clock that no other process knows.
pub const UNMARKED: u32 = 0;

/// A layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// 16 bytes.
    Compact,
    /// 24 bytes.
    Full,
    /// 32 bytes, which another process knows.
    Signed,
}

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Number of the run.
    pub(super) run: u32,
    /// Number of the publisher, from 0, over all threads.
    pub(super) publisher: u32,
    /// Number of the message, from 0, counted by its publisher.
    pub(super) sequence: u64,
    /// When the message was due, nanoseconds.
    pub(super) time_ns: u64,
}

impl Form {
    /// The longest that so many bytes have room for, if any.
    #[must_use]
    pub const fn fitting(room: usize) -> Option<Self> {
        match room {
            SIGNED_HEADER_BYTES.. => Some(Self::Signed),
            FULL_HEADER_BYTES.. => Some(Self::Full),
            COMPACT_HEADER_BYTES.. => Some(Self::Compact),
            _ => None,
        }
    }

    /// Length of the stamp.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Compact => COMPACT_HEADER_BYTES,
            Self::Full => FULL_HEADER_BYTES,
            Self::Signed => SIGNED_HEADER_BYTES,
        }
    }

    /// A run is known by as much of its number as the stamp holds.
    #[must_use]
    pub const fn run(self, run: u32) -> u32 {
        match self {
            Self::Compact => run & 0xffff,
            Self::Full | Self::Signed => run,
        }
    }

    /// Most messages that one publisher can number.
    #[must_use]
    pub const fn sequence_end(self) -> u64 {
        match self {
            Self::Compact => 1 << 32,
            Self::Full | Self::Signed => u64::MAX,
        }
    }

    /// Writes a stamp, without the signature.
    pub(super) fn write(self, out: &mut [u8], stamp: &Stamp) {
        if self == Self::Compact {
            out[0..2].copy_from_slice(&stamp.run.to_le_bytes()[..2]);
            out[2..5].copy_from_slice(&stamp.publisher.to_le_bytes()[..3]);
            out[5..9].copy_from_slice(&stamp.sequence.to_le_bytes()[..4]);
            out[9..16].copy_from_slice(&stamp.time_ns.to_le_bytes()[..7]);
        } else {
            out[0..4].copy_from_slice(&stamp.run.to_le_bytes());
            out[4..8].copy_from_slice(&stamp.publisher.to_le_bytes());
            out[8..16].copy_from_slice(&stamp.sequence.to_le_bytes());
            out[16..24].copy_from_slice(&stamp.time_ns.to_le_bytes());
        }
    }

    /// Reads a stamp; the bytes must be as many as it has.
    pub(super) fn read(self, bytes: &[u8]) -> Stamp {
        // A field is at most eight bytes long, and the narrower numbers are made of fields of their width.
        let field = |from: usize, to: usize| number(&bytes[from..to]);
        if self == Self::Compact {
            Stamp {
                run: field(0, 2) as u32,
                publisher: field(2, 5) as u32,
                sequence: field(5, 9),
                time_ns: field(9, 16),
            }
        } else {
            Stamp {
                run: field(0, 4) as u32,
                publisher: field(4, 8) as u32,
                sequence: field(8, 16),
                time_ns: field(16, 24),
            }
        }
    }
}

/// The signature for a clock with this mark.
pub(super) fn signature(mark: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..].copy_from_slice(&mark.to_le_bytes());
    bytes
}

/// The mark in a signed stamp; `None` if it is none.
pub(super) fn mark(stamp: &[u8]) -> Option<u32> {
    let signature = stamp.get(FULL_HEADER_BYTES..SIGNED_HEADER_BYTES)?;
    signature.starts_with(&MAGIC).then(|| number(&signature[4..]) as u32)
}

/// The mark of this host's monotonic clock: equal for all processes that read the same one, and hardly for others.
#[must_use]
pub fn clock_mark() -> u32 {
    // FNV-1a; the mark goes into every message, so it must be the same in all builds.
    let bytes = procfs::clock_identity().into_bytes();
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    if hash == UNMARKED { 1 } else { hash }
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

    #[test]
    fn every_field_is_kept_at_its_largest() {
        for (form, publisher, time_ns) in [
            (Form::Compact, COMPACT_PUBLISHERS_MAX - 1, (1 << 56) - 1),
            (Form::Full, u32::MAX, u64::MAX),
            (Form::Signed, u32::MAX, u64::MAX),
        ] {
            let stamp = Stamp { run: form.run(0x1_2345), publisher, sequence: form.sequence_end() - 1, time_ns };
            let mut bytes = vec![0; form.bytes()];
            form.write(&mut bytes, &stamp);
            assert_eq!(form.read(&bytes), stamp, "{form:?}");
            assert_eq!(Form::fitting(form.bytes()), Some(form));
        }
        assert_eq!(Form::fitting(COMPACT_HEADER_BYTES - 1), None);
    }

    #[test]
    fn a_signature_is_known_and_nothing_else_is() {
        let mut bytes = vec![0; SIGNED_HEADER_BYTES];
        assert_eq!(mark(&bytes), None);
        bytes[FULL_HEADER_BYTES..].copy_from_slice(&signature(77));
        assert_eq!((mark(&bytes), mark(&bytes[..31])), (Some(77), None));
        assert_eq!(clock_mark(), clock_mark());
    }
}

//! The transcript of a run: a hash of everything that happened, and the same in words if somebody wants to read it.

use std::fmt::Arguments;

const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

/// A transcript.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    print: bool,
}

impl Trace {
    pub(crate) const fn new(print: bool) -> Self {
        Self { hash: FNV_OFFSET, print }
    }

    /// Adds what happened: when, what, to whom, and the bytes.
    pub(crate) fn note(&mut self, now_ns: u64, what: &str, who: usize, bytes: &[u8]) {
        for byte in now_ns.to_le_bytes().iter().chain(what.as_bytes()).chain(&who.to_le_bytes()).chain(bytes) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
        if self.print {
            self.say(now_ns, format_args!("{what} {who}: {} bytes", bytes.len()));
        }
    }

    /// Says something to a reader, without effect on the hash.
    pub(crate) fn say(&self, now_ns: u64, what: Arguments<'_>) {
        if self.print {
            println!("{:>14.6} ms  {what}", now_ns as f64 / 1e6);
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }
}

//! Which headers a payload begins with, and where they are.
//!
//! `cnt64` and `ts` are those of emqtt_bench: a counter of the publisher's messages from 0, and milliseconds since 1970,
//! each eight bytes, the most significant first. `stamp` is the generator's own, see [`stamp`](super::stamp).
//! Absent: what follows the headers.

use super::stamp::{Form, Stamp};
use std::fmt;
use std::str::FromStr;

/// Bytes of `cnt64` and of `ts`.
const NUMBER_BYTES: usize = 8;

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The generator's own.
    Stamp,
    /// Number of the message, counted by its publisher.
    Cnt64,
    /// Wall-clock time.
    Ts,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Stamp, Self::Cnt64, Self::Ts];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Cnt64 => "cnt64",
            Self::Ts => "ts",
        }
    }
}

/// Headers in their order, each at most once. As text: names with commas, or `none`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<Kind>);

impl Headers {
    /// The generator's stamp alone.
    #[must_use]
    pub fn stamp() -> Self {
        Self(vec![Kind::Stamp])
    }

    /// No header.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|kind| kind.name().to_owned()).collect()
    }

    /// Bytes of all but the stamp.
    #[must_use]
    pub fn bytes_besides_stamp(&self) -> usize {
        self.0.iter().filter(|kind| **kind != Kind::Stamp).count() * NUMBER_BYTES
    }

    /// Where they are, if the stamp has this form.
    #[must_use]
    pub fn layout(&self, form: Form) -> Layout {
        let mut layout = Layout { stamp: None, cnt64: None, ts: None, bytes: 0 };
        for kind in &self.0 {
            let at = layout.bytes;
            layout.bytes += match kind {
                Kind::Stamp => {
                    layout.stamp = Some((at, form));
                    form.bytes()
                }
                Kind::Cnt64 => {
                    layout.cnt64 = Some(at);
                    NUMBER_BYTES
                }
                Kind::Ts => {
                    layout.ts = Some(at);
                    NUMBER_BYTES
                }
            };
        }
        layout
    }
}

impl FromStr for Headers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::none());
        }
        let mut found = Vec::new();
        for name in text.split(',') {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name.trim());
            let kind = kind.ok_or_else(|| format!("`{name}` is none of stamp, cnt64, ts; or `none` alone"))?;
            if found.contains(&kind) {
                return Err(format!("`{name}` is named twice"));
            }
            found.push(kind);
        }
        Ok(Self(found))
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_empty() { "none" } else { "" })?;
        out.write_str(&self.names().join(","))
    }
}

/// Where headers are in a payload, by the offset of their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The stamp and its form.
    pub stamp: Option<(usize, Form)>,
    /// The counter.
    pub cnt64: Option<usize>,
    /// The time.
    pub ts: Option<usize>,
    /// Bytes of all together.
    pub bytes: usize,
}

impl Layout {
    /// Writes all there are; the stamp's signature excepted, which never changes.
    pub(super) fn write(&self, out: &mut [u8], stamp: &Stamp, unix_ms: u64) {
        if let Some((at, form)) = self.stamp {
            form.write(&mut out[at..at + form.bytes()], stamp);
        }
        if let Some(at) = self.cnt64 {
            out[at..at + NUMBER_BYTES].copy_from_slice(&stamp.sequence.to_be_bytes());
        }
        if let Some(at) = self.ts {
            out[at..at + NUMBER_BYTES].copy_from_slice(&unix_ms.to_be_bytes());
        }
    }

    /// The counter in a payload that has room for all headers.
    pub(super) fn read_cnt64(&self, payload: &[u8]) -> Option<u64> {
        number(payload, self.cnt64?)
    }

    /// The time in a payload that has room for all headers, milliseconds since 1970.
    pub(super) fn read_ts(&self, payload: &[u8]) -> Option<u64> {
        number(payload, self.ts?)
    }
}

/// The eight bytes at an offset, the most significant first.
fn number(payload: &[u8], at: usize) -> Option<u64> {
    let bytes = payload.get(at..at + NUMBER_BYTES)?;
    bytes.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_where_they_were_asked_for() {
        let headers: Headers = "cnt64,stamp,ts".parse().unwrap();
        let layout = headers.layout(Form::Full);
        assert_eq!((layout.cnt64, layout.stamp, layout.ts), (Some(0), Some((8, Form::Full)), Some(32)));
        assert_eq!((layout.bytes, headers.bytes_besides_stamp()), (40, 16));
        let mut out = [0; 40];
        layout.write(&mut out, &Stamp { run: 1, publisher: 2, sequence: 0x0102, time_ns: 4 }, 0x0304);
        assert_eq!((&out[..8], &out[32..]), (&[0, 0, 0, 0, 0, 0, 1, 2][..], &[0, 0, 0, 0, 0, 0, 3, 4][..]));
        assert_eq!((layout.read_cnt64(&out), layout.read_ts(&out)), (Some(0x0102), Some(0x0304)));
        assert_eq!(layout.read_ts(&out[..39]), None);
    }

    #[test]
    fn names_are_read_and_written() {
        for text in ["none", "stamp", "cnt64,ts", "ts,stamp,cnt64"] {
            assert_eq!(text.parse::<Headers>().unwrap().to_string(), text);
        }
        for text in ["", "ts,ts", "time", "none,ts"] {
            assert!(text.parse::<Headers>().is_err(), "accepted `{text}`");
        }
    }
}

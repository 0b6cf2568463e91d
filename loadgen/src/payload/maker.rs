//! Making this run's payloads, and reading them again.
//!
//! One buffer has everything that does not change from message to message; making a payload writes the rest into it and
//! allocates nothing. Reading compares with the same buffer. Absent: what the numbers mean, see
//! [`checks`](crate::checks).

use super::headers::Layout;
use super::stamp::{self, Form, Stamp, UNMARKED};
use super::template::Of;
use super::{Body, Payload, Sizes, Template, mix};
use crate::clock::NANOS_PER_MILLI;

/// The part of a payload that differs from message to message, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of the publisher, from 0, over all threads.
    pub publisher: u32,
    /// Number of the message, from 0, counted by its publisher.
    pub sequence: Option<u64>,
    /// When the message was due, nanoseconds of the run's clock. In a closed loop: when it was sent.
    pub intended_ns: Option<u64>,
}

/// Why a payload is not one of this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Another run's message, or somebody else's.
    Foreign,
    /// This run's message with a wrong length or a damaged pattern.
    Damaged,
}

/// What the clocks outside show when the run's clock shows 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The host's monotonic clock, nanoseconds; below zero if that was before the system started.
    pub monotonic_ns: i64,
    /// Mark of the host's monotonic clock, or [`UNMARKED`] if stamps are to have the time of the run's clock.
    pub mark: u32,
    /// The wall clock, nanoseconds since 1970.
    pub unix_ns: u64,
}

#[derive(Debug)]
enum Rest {
    /// Always all of the buffer.
    Fixed,
    /// So much of the buffer as the message's number says.
    Pattern(Sizes),
    /// Made anew for each.
    Template(Template),
}

/// Makes and reads payloads.
#[derive(Debug)]
pub struct Maker {
    run: u32,
    layout: Layout,
    clocks: Clocks,
    rest: Rest,
    /// Headers and body of the largest payload.
    buffer: Vec<u8>,
}

impl Maker {
    /// Payloads of this kind for this run.
    ///
    /// # Panics
    /// If [`Payload::check`] finds something wrong.
    #[must_use]
    pub fn new(run: u32, payload: &Payload, clocks: Clocks) -> Self {
        assert_eq!(payload.check(), Ok(()), "the plan has been checked");
        let layout = payload.layout();
        let mut buffer = Vec::with_capacity(payload.largest());
        buffer.resize(layout.bytes, 0);
        if let Some((at, Form::Signed)) = layout.stamp {
            let signature = stamp::signature(clocks.mark);
            buffer[at + stamp::FULL_HEADER_BYTES..at + stamp::SIGNED_HEADER_BYTES].copy_from_slice(&signature);
        }
        let rest = match &payload.body {
            Body::Pattern(sizes) => {
                // Any fixed, non-repeating-looking bytes do; a run of equal bytes would hide a shift.
                buffer.extend((0..sizes.largest() - layout.bytes).map(|i| (i % 251) as u8));
                Rest::Pattern(sizes.clone())
            }
            Body::File(bytes) => {
                buffer.extend_from_slice(bytes);
                Rest::Fixed
            }
            Body::Template(template) => Rest::Template(template.clone()),
        };
        let run = layout.stamp.map_or(run, |(_, form)| form.run(run));
        Self { run, layout, clocks, rest, buffer }
    }

    /// For a run that sends nothing: whatever arrives is foreign.
    #[must_use]
    pub fn of_nothing(clocks: Clocks) -> Self {
        let layout = Layout { stamp: None, cnt64: None, ts: None, bytes: usize::MAX };
        Self { run: 0, layout, clocks, rest: Rest::Fixed, buffer: Vec::new() }
    }

    /// Most messages that one publisher can number.
    #[must_use]
    pub fn sequence_end(&self) -> u64 {
        self.layout.stamp.map_or(u64::MAX, |(_, form)| form.sequence_end())
    }

    /// What a stamp's time is ahead of the run's clock, nanoseconds.
    fn ahead_ns(&self) -> u64 {
        match self.layout.stamp {
            Some((_, Form::Signed)) if self.clocks.mark != UNMARKED => self.clocks.monotonic_ns.cast_unsigned(),
            _ => 0,
        }
    }

    /// The payload of a message, until the next is made.
    pub fn make(&mut self, publisher: u32, sequence: u64, intended_ns: u64) -> &[u8] {
        let unix_ns = self.clocks.unix_ns.saturating_add(intended_ns);
        let length = match &self.rest {
            Rest::Fixed => self.buffer.len(),
            Rest::Pattern(Sizes::One(size)) => *size,
            Rest::Pattern(sizes) => sizes.pick(mix(self.run, publisher, sequence)),
            Rest::Template(template) => {
                self.buffer.truncate(self.layout.bytes);
                template.fill(&mut self.buffer, &Of { run: self.run, publisher, sequence, unix_ns });
                self.buffer.len()
            }
        };
        let time_ns = intended_ns.wrapping_add(self.ahead_ns());
        let stamp = Stamp { run: self.run, publisher, sequence, time_ns };
        self.layout.write(&mut self.buffer, &stamp, unix_ns / NANOS_PER_MILLI);
        &self.buffer[..length]
    }

    /// Reads a received payload. Where payloads do not name their publisher, `publisher` finds it by the topic.
    ///
    /// # Errors
    /// [`Rejected`], if it is not exactly one that [`Maker::make`] makes.
    pub fn read(&self, payload: &[u8], publisher: impl FnOnce() -> Option<u32>) -> Result<Header, Rejected> {
        let Some((headers, body)) = payload.split_at_checked(self.layout.bytes) else { return Err(Rejected::Foreign) };
        let counted = self.layout.read_cnt64(headers);
        let header = if let Some((at, form)) = self.layout.stamp {
            let bytes = &headers[at..at + form.bytes()];
            let stamp = form.read(bytes);
            if stamp.run != self.run {
                return Err(Rejected::Foreign);
            }
            let is_signed = form != Form::Signed || stamp::mark(bytes) == Some(self.clocks.mark);
            if !is_signed || counted.is_some_and(|counted| counted != stamp.sequence) {
                return Err(Rejected::Damaged);
            }
            Header {
                publisher: stamp.publisher,
                sequence: Some(stamp.sequence),
                intended_ns: Some(stamp.time_ns.wrapping_sub(self.ahead_ns())),
            }
        } else {
            let unix_ns = self.layout.read_ts(headers).map(|millis| millis.saturating_mul(NANOS_PER_MILLI));
            Header {
                publisher: publisher().ok_or(Rejected::Foreign)?,
                sequence: counted,
                intended_ns: unix_ns.map(|unix_ns| unix_ns.saturating_sub(self.clocks.unix_ns)),
            }
        };
        let is_whole = match (&self.rest, header.sequence) {
            (Rest::Template(_), _) => return Ok(header),
            (Rest::Fixed, _) => payload.len() == self.buffer.len(),
            (Rest::Pattern(Sizes::One(size)), _) => payload.len() == *size,
            (Rest::Pattern(sizes), Some(sequence)) => {
                payload.len() == sizes.pick(mix(self.run, header.publisher, sequence))
            }
            (Rest::Pattern(sizes), None) => sizes.contains(payload.len()),
        };
        let expected = self.buffer.get(self.layout.bytes..payload.len());
        if is_whole && expected == Some(body) { Ok(header) } else { Err(Rejected::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{COMPACT_HEADER_BYTES, COMPACT_PUBLISHERS_MAX, FULL_HEADER_BYTES, SIGNED_HEADER_BYTES};
    use super::*;
    use crate::plan::Naming;

    const CLOCKS: Clocks = Clocks { monotonic_ns: 1 << 50, mark: 5, unix_ns: 1_700_000_000_000_000_000 };

    fn stamped(run: u32, sizes: &str) -> Maker {
        Maker::new(run, &Payload::stamped(sizes.parse().unwrap()), CLOCKS)
    }

    fn full(publisher: u32, sequence: u64, intended_ns: u64) -> Header {
        Header { publisher, sequence: Some(sequence), intended_ns: Some(intended_ns) }
    }

    fn nobody() -> Option<u32> {
        None
    }

    #[test]
    fn what_is_made_is_read_back() {
        for size in [FULL_HEADER_BYTES, SIGNED_HEADER_BYTES - 1, SIGNED_HEADER_BYTES, 64, 1000] {
            let mut maker = stamped(7, &size.to_string());
            let bytes = maker.make(3, u64::MAX - 1, 123_456_789_012).to_vec();
            assert_eq!(bytes.len(), size);
            assert_eq!(maker.read(&bytes, nobody), Ok(full(3, u64::MAX - 1, 123_456_789_012)));
        }
    }

    #[test]
    fn the_compact_stamp_keeps_every_field_at_its_largest() {
        for size in [COMPACT_HEADER_BYTES, FULL_HEADER_BYTES - 1] {
            let mut maker = stamped(0x1_2345, &size.to_string());
            let (publisher, sequence, intended_ns) =
                (COMPACT_PUBLISHERS_MAX - 1, maker.sequence_end() - 1, (1 << 56) - 1);
            let mut bytes = maker.make(publisher, sequence, intended_ns).to_vec();
            assert_eq!(maker.read(&bytes, nobody), Ok(full(publisher, sequence, intended_ns)));
            assert_eq!(stamped(0x2346, &size.to_string()).read(&bytes, nobody), Err(Rejected::Foreign));
            bytes.push(0);
            assert_eq!(maker.read(&bytes, nobody), Err(Rejected::Damaged));
            assert_eq!(maker.read(&bytes[..COMPACT_HEADER_BYTES - 1], nobody), Err(Rejected::Foreign));
        }
    }

    #[test]
    fn another_run_is_foreign_and_any_change_is_damage() {
        let mut maker = stamped(7, "64");
        let bytes = maker.make(3, 1, 2).to_vec();
        assert_eq!(stamped(8, "64").read(&bytes, nobody), Err(Rejected::Foreign));
        assert_eq!(maker.read(b"short", nobody), Err(Rejected::Foreign));
        assert_eq!(maker.read(&bytes[..63], nobody), Err(Rejected::Damaged));
        for at in FULL_HEADER_BYTES..64 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(maker.read(&damaged, nobody), Err(Rejected::Damaged), "byte {at}");
        }
    }

    #[test]
    fn of_many_sizes_only_the_messages_own_is_whole() {
        let mut maker = stamped(7, "40..200");
        let lengths: Vec<usize> = (0..50).map(|sequence| maker.make(3, sequence, 0).len()).collect();
        assert!(lengths.iter().any(|length| *length != lengths[0]), "{lengths:?}");
        for sequence in 0..50 {
            let mut bytes = maker.make(3, sequence, 9).to_vec();
            assert_eq!(maker.read(&bytes, nobody), Ok(full(3, sequence, 9)));
            bytes.pop();
            assert_eq!(maker.read(&bytes, nobody), Err(Rejected::Damaged));
        }
    }

    #[test]
    fn a_file_is_known_by_its_topic_and_compared_byte_by_byte() {
        let file = |headers: &str| Payload {
            headers: headers.parse().unwrap(),
            body: Body::File(b"{\"a\":1}".to_vec().into()),
        };
        let mut maker = Maker::new(7, &file("none"), CLOCKS);
        assert_eq!(maker.make(3, 1, 2), b"{\"a\":1}");
        let found = Header { publisher: 4, sequence: None, intended_ns: None };
        assert_eq!(maker.read(b"{\"a\":1}", || Some(4)), Ok(found));
        assert_eq!(maker.read(b"{\"a\":1}", nobody), Err(Rejected::Foreign));
        assert_eq!(maker.read(b"{\"a\":2}", || Some(4)), Err(Rejected::Damaged));
        assert_eq!(maker.read(b"{\"a\":1} ", || Some(4)), Err(Rejected::Damaged));

        let mut maker = Maker::new(7, &file("cnt64,ts"), CLOCKS);
        let bytes = maker.make(3, 9, 5_400_000).to_vec();
        assert_eq!(bytes[..16], [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 5]);
        // Milliseconds are all that a `ts` has.
        assert_eq!(maker.read(&bytes, || Some(4)), Ok(full(4, 9, 5_000_000)));
    }

    #[test]
    fn a_template_has_its_headers_checked_and_its_text_not() {
        let naming = Naming { prefix: "x".into(), short: false, first: 0, publishers: 9, user: None };
        let body = Body::Template(Template::new("%c:%s", &naming, None).unwrap());
        let payload = Payload { headers: "stamp,cnt64".parse().unwrap(), body };
        let mut maker = Maker::new(7, &payload, CLOCKS);
        let mut bytes = maker.make(3, 12, 2).to_vec();
        assert_eq!(bytes[40..], *b"xp3:12");
        assert_eq!(maker.read(&bytes, nobody), Ok(full(3, 12, 2)));
        bytes[39] ^= 1;
        assert_eq!(maker.read(&bytes, nobody), Err(Rejected::Damaged), "two headers that contradict each other");
        assert!(payload.unmade().damage && !payload.unmade().loss_is_counted);
    }
}

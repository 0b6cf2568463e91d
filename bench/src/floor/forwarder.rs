//! The forwarder itself: bytes of one connection in, bytes to send to others out. No system calls.

use super::ConnIndex;
use super::frame::{self, Extent, Malformed, kind};
use super::routes::{FilterIndex, Routes, TopicIndex};

/// Unsent bytes of one connection above which further messages to it are dropped and counted.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most idle buffers kept for reuse.
const SPARE_BUFFERS_MAX: usize = 8192;

/// Idle buffers that grew beyond this are given back to the allocator, in bytes.
const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What went through. A run with drops is not comparable with one without.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// PUBLISH frames received.
    pub received: u64,
    /// PUBLISH frames appended to a subscriber's buffer.
    pub delivered: u64,
    /// Appends refused because the subscriber had 64 MiB unsent. A run of frames counts as one.
    pub dropped: u64,
}

/// Bytes on their way to one connection: `pending` is appended to while the kernel reads `in_flight`.
#[derive(Debug, Default)]
pub struct Outgoing {
    pending: Vec<u8>,
    in_flight: Vec<u8>,
    taken: usize,
    dirty: bool,
}

impl Outgoing {
    /// The bytes to give to the kernel now: the rest of the send in flight, else everything pending.
    pub fn chunk(&mut self) -> &[u8] {
        if self.in_flight.is_empty() {
            std::mem::swap(&mut self.in_flight, &mut self.pending);
        }
        &self.in_flight[self.taken..]
    }
}

#[derive(Debug, Default)]
struct Conn {
    v5: bool,
    /// The topic of its last PUBLISH.
    topic: Option<TopicIndex>,
    /// An incomplete frame.
    partial: Vec<u8>,
    out: Outgoing,
    filters: Vec<FilterIndex>,
}

/// Consecutive frames of one topic, waiting to be copied at once.
#[derive(Debug, Clone, Copy)]
struct Run {
    topic: TopicIndex,
    start: usize,
    end: usize,
    frames: u64,
}

/// Connections, subscriptions, and the bytes between them.
#[derive(Debug, Default)]
pub struct Forwarder {
    conns: Vec<Conn>,
    routes: Routes,
    dirty: Vec<ConnIndex>,
    spare: Vec<Vec<u8>>,
    counters: Counters,
}

impl Forwarder {
    /// What went through so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A connection was accepted.
    pub fn open(&mut self, conn: ConnIndex) {
        if self.conns.len() <= conn as usize {
            self.conns.resize_with(conn as usize + 1, Conn::default);
        }
    }

    /// A connection is gone, and the kernel no longer reads its in-flight bytes.
    pub fn close(&mut self, conn: ConnIndex) {
        let gone = std::mem::take(&mut self.conns[conn as usize]);
        for filter in gone.filters {
            self.routes.leave(filter, conn);
        }
        for buffer in [gone.partial, gone.out.pending, gone.out.in_flight] {
            recycle(&mut self.spare, buffer);
        }
    }

    /// Bytes arrived, in order.
    ///
    /// # Errors
    /// They are not MQTT: the caller shall end the connection.
    pub fn received(&mut self, conn: ConnIndex, bytes: &[u8]) -> Result<(), Malformed> {
        let mut partial = std::mem::take(&mut self.conns[conn as usize].partial);
        if partial.is_empty() {
            let consumed = self.frames(conn, bytes)?;
            if consumed < bytes.len() {
                partial = self.spare.pop().unwrap_or_default();
                partial.extend_from_slice(&bytes[consumed..]);
            }
        } else {
            partial.extend_from_slice(bytes);
            let consumed = self.frames(conn, &partial)?;
            partial.drain(..consumed);
        }
        if partial.is_empty() {
            recycle(&mut self.spare, partial);
        } else {
            self.conns[conn as usize].partial = partial;
        }
        Ok(())
    }

    /// Connections with bytes to send since the last call, each once; the caller's vector is swapped in and reused.
    /// A connection may have been closed since: then [`Forwarder::outgoing`] holds nothing for it.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnIndex>) {
        into.clear();
        std::mem::swap(&mut self.dirty, into);
        for conn in into.iter() {
            self.conns[*conn as usize].out.dirty = false;
        }
    }

    /// What to send to a connection.
    pub fn outgoing(&mut self, conn: ConnIndex) -> &mut Outgoing {
        &mut self.conns[conn as usize].out
    }

    /// The kernel took `count` bytes of [`Outgoing::chunk`]. True if there is more to send.
    pub fn sent(&mut self, conn: ConnIndex, count: usize) -> bool {
        let out = &mut self.conns[conn as usize].out;
        out.taken += count;
        assert!(out.taken <= out.in_flight.len(), "more bytes sent than were in flight");
        if out.taken < out.in_flight.len() {
            return true;
        }
        out.taken = 0;
        out.in_flight.clear();
        if !out.pending.is_empty() {
            return true;
        }
        recycle(&mut self.spare, std::mem::take(&mut out.in_flight));
        recycle(&mut self.spare, std::mem::take(&mut out.pending));
        false
    }

    /// Handles every complete frame; returns how many bytes they were.
    fn frames(&mut self, conn: ConnIndex, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        let mut run: Option<Run> = None;
        while let Some(Extent { header, total }) = frame::extent(&bytes[at..])? {
            let end = at + total;
            let body = &bytes[at + header..end];
            if bytes[at] >> 4 == kind::PUBLISH {
                let remembered = self.conns[conn as usize].topic;
                let topic = self.routes.resolve(frame::topic(body)?, remembered);
                self.conns[conn as usize].topic = Some(topic);
                self.acknowledge(conn, bytes[at], body)?;
                match &mut run {
                    Some(run) if run.topic == topic && !self.routes.route(topic).is_shared() => {
                        run.end = end;
                        run.frames += 1;
                    }
                    _ => {
                        let previous = run.replace(Run { topic, start: at, end, frames: 1 });
                        self.copy_run(previous, bytes);
                    }
                }
            } else {
                // A subscription changes routes, and with them the meaning of the run so far.
                let previous = run.take();
                self.copy_run(previous, bytes);
                self.answer(conn, bytes[at], body)?;
            }
            at = end;
        }
        self.copy_run(run, bytes);
        Ok(at)
    }

    /// PUBACK or PUBREC for a PUBLISH.
    #[inline]
    fn acknowledge(&mut self, conn: ConnIndex, first: u8, body: &[u8]) -> Result<(), Malformed> {
        let answer = match (first >> 1) & 3 {
            0 => return Ok(()),
            1 => 0x40,
            2 => 0x50,
            _ => return Err(Malformed),
        };
        let (_topic, rest) = frame::length_prefixed(body)?;
        let [high, low] = frame::packet_id(rest)?;
        self.append(conn, &[answer, 2, high, low]);
        Ok(())
    }

    /// Copies a run of PUBLISH frames to whoever wants its topic.
    #[inline]
    fn copy_run(&mut self, run: Option<Run>, bytes: &[u8]) {
        let Some(run) = run else { return };
        let frames = &bytes[run.start..run.end];
        let Self { conns, routes, dirty, spare, counters } = self;
        counters.received += run.frames;
        let mut deliver = |target: ConnIndex| {
            if append(conns, dirty, spare, target, frames) {
                counters.delivered += run.frames;
            } else {
                counters.dropped += 1;
            }
        };
        for target in routes.route(run.topic).targets() {
            deliver(*target);
        }
        if routes.route(run.topic).is_shared() {
            routes.take_turns(run.topic, deliver);
        }
    }

    /// Everything but PUBLISH.
    fn answer(&mut self, conn: ConnIndex, first: u8, body: &[u8]) -> Result<(), Malformed> {
        let v5 = self.conns[conn as usize].v5;
        match first >> 4 {
            kind::CONNECT => {
                let v5 = frame::connect_is_v5(body)?;
                self.conns[conn as usize].v5 = v5;
                self.append(conn, if v5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] });
            }
            kind::PUBREC => {
                let [high, low] = frame::packet_id(body)?;
                self.append(conn, &[0x62, 2, high, low]);
            }
            kind::PUBREL => {
                let [high, low] = frame::packet_id(body)?;
                self.append(conn, &[0x70, 2, high, low]);
            }
            kind::SUBSCRIBE => {
                let id = frame::packet_id(body)?;
                let mut rest = &body[2..];
                if v5 {
                    rest = frame::skip_properties(rest)?;
                }
                let mut codes = Vec::new();
                while !rest.is_empty() {
                    let (filter, after) = frame::length_prefixed(rest)?;
                    let (options, after) = after.split_first().ok_or(Malformed)?;
                    let index = self.routes.subscribe(filter, conn);
                    self.conns[conn as usize].filters.push(index);
                    codes.push(options & 3);
                    rest = after;
                }
                self.append_with_codes(conn, 0x90, id, v5, &codes);
            }
            kind::UNSUBSCRIBE => {
                let id = frame::packet_id(body)?;
                let mut rest = &body[2..];
                if v5 {
                    rest = frame::skip_properties(rest)?;
                }
                let mut codes = Vec::new();
                while !rest.is_empty() {
                    let (filter, after) = frame::length_prefixed(rest)?;
                    if let Some(index) = self.routes.unsubscribe(filter, conn) {
                        self.conns[conn as usize].filters.retain(|kept| *kept != index);
                    }
                    codes.push(0);
                    rest = after;
                }
                // MQTT 3.1.1's UNSUBACK has no codes.
                self.append_with_codes(conn, 0xb0, id, v5, if v5 { &codes } else { &[] });
            }
            kind::PINGREQ => self.append(conn, &[0xd0, 0]),
            _ => {}
        }
        Ok(())
    }

    /// SUBACK or UNSUBACK.
    fn append_with_codes(&mut self, conn: ConnIndex, first: u8, id: [u8; 2], v5: bool, codes: &[u8]) {
        let mut answer = vec![first];
        let mut length = 2 + usize::from(v5) + codes.len();
        while length >= 0x80 {
            answer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        answer.push(length as u8);
        answer.extend_from_slice(&id);
        if v5 {
            answer.push(0);
        }
        answer.extend_from_slice(codes);
        self.append(conn, &answer);
    }

    #[inline]
    fn append(&mut self, conn: ConnIndex, bytes: &[u8]) {
        if !append(&mut self.conns, &mut self.dirty, &mut self.spare, conn, bytes) {
            self.counters.dropped += 1;
        }
    }
}

/// Appends to a connection's pending bytes, unless it is too far behind.
#[inline]
fn append(
    conns: &mut [Conn],
    dirty: &mut Vec<ConnIndex>,
    spare: &mut Vec<Vec<u8>>,
    conn: ConnIndex,
    bytes: &[u8],
) -> bool {
    let out = &mut conns[conn as usize].out;
    if out.pending.len() + bytes.len() > UNSENT_BYTES_MAX {
        return false;
    }
    if out.pending.capacity() == 0
        && let Some(buffer) = spare.pop()
    {
        out.pending = buffer;
    }
    out.pending.extend_from_slice(bytes);
    if !out.dirty {
        out.dirty = true;
        dirty.push(conn);
    }
    true
}

fn recycle(spare: &mut Vec<Vec<u8>>, mut buffer: Vec<u8>) {
    let worth_keeping = (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity());
    if worth_keeping && spare.len() < SPARE_BUFFERS_MAX {
        buffer.clear();
        spare.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x";
    const CONNECT_V5: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01x";

    fn subscribe(filter: &str) -> Vec<u8> {
        let mut frame = vec![0x82, 5 + filter.len() as u8, 0, 9, 0, filter.len() as u8];
        frame.extend_from_slice(filter.as_bytes());
        frame.push(1);
        frame
    }

    fn publish(qos: u8, topic: &str, id: u8, payload: &str) -> Vec<u8> {
        let id_bytes = if qos == 0 { 0 } else { 2 };
        let length = 2 + topic.len() + id_bytes + payload.len();
        let mut frame = vec![0x30 | qos << 1, length as u8, 0, topic.len() as u8];
        frame.extend_from_slice(topic.as_bytes());
        if qos > 0 {
            frame.extend_from_slice(&[0, id]);
        }
        frame.extend_from_slice(payload.as_bytes());
        frame
    }

    fn drain(forwarder: &mut Forwarder, conn: ConnIndex) -> Vec<u8> {
        let bytes = forwarder.outgoing(conn).chunk().to_vec();
        assert!(bytes.is_empty() || !forwarder.sent(conn, bytes.len()));
        bytes
    }

    fn open(forwarder: &mut Forwarder, conn: ConnIndex, connect: &[u8]) {
        forwarder.open(conn);
        forwarder.received(conn, connect).unwrap();
        drain(forwarder, conn);
    }

    #[test]
    fn answers_what_a_client_waits_for() {
        let mut forwarder = Forwarder::default();
        forwarder.open(0);
        forwarder.received(0, CONNECT).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0x20, 2, 0, 0]);
        forwarder.received(0, &subscribe("a")).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0x90, 3, 0, 9, 1]);
        forwarder.received(0, &[0xc0, 0]).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0xd0, 0]);
        forwarder.received(0, &[0xa2, 5, 0, 8, 0, 1, b'a']).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0xb0, 2, 0, 8]);
        forwarder.open(1);
        forwarder.received(1, CONNECT_V5).unwrap();
        assert_eq!(drain(&mut forwarder, 1), [0x20, 3, 0, 0, 0]);
        forwarder.received(1, &[0x82, 7, 0, 9, 0, 0, 1, b'a', 1]).unwrap();
        assert_eq!(drain(&mut forwarder, 1), [0x90, 4, 0, 9, 0, 1]);
    }

    #[test]
    fn copies_verbatim_whatever_the_cuts() {
        let mut sent = Vec::new();
        for index in 0..20 {
            sent.extend_from_slice(&publish(index % 3, "t", index, "payload"));
        }
        for piece in 1..40 {
            let mut forwarder = Forwarder::default();
            open(&mut forwarder, 0, CONNECT);
            open(&mut forwarder, 1, CONNECT);
            forwarder.received(1, &subscribe("t")).unwrap();
            drain(&mut forwarder, 1);
            for bytes in sent.chunks(piece) {
                forwarder.received(0, bytes).unwrap();
            }
            assert_eq!(drain(&mut forwarder, 1), sent, "pieces of {piece} bytes");
            assert_eq!(forwarder.counters(), Counters { received: 20, delivered: 20, dropped: 0 });
        }
    }

    #[test]
    fn acknowledges_by_quality_of_service() {
        let mut forwarder = Forwarder::default();
        open(&mut forwarder, 0, CONNECT);
        forwarder.received(0, &publish(1, "t", 5, "")).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0x40, 2, 0, 5]);
        forwarder.received(0, &publish(2, "t", 6, "")).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0x50, 2, 0, 6]);
        forwarder.received(0, &[0x62, 2, 0, 6]).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0x70, 2, 0, 6]);
        forwarder.received(0, &[0x50, 2, 0, 7]).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0x62, 2, 0, 7]);
        forwarder.received(0, &[0x40, 2, 0, 7, 0x70, 2, 0, 7]).unwrap();
        assert_eq!(drain(&mut forwarder, 0), [0_u8; 0]);
    }

    #[test]
    fn a_closed_connection_gets_nothing_more() {
        let mut forwarder = Forwarder::default();
        open(&mut forwarder, 0, CONNECT);
        open(&mut forwarder, 1, CONNECT);
        forwarder.received(1, &subscribe("t")).unwrap();
        forwarder.close(1);
        forwarder.received(0, &publish(0, "t", 0, "x")).unwrap();
        assert_eq!(forwarder.counters().delivered, 0);
        assert_eq!(drain(&mut forwarder, 1), [0_u8; 0]);
    }

    #[test]
    fn bytes_that_are_not_mqtt_end_the_connection() {
        let mut forwarder = Forwarder::default();
        forwarder.open(0);
        assert_eq!(forwarder.received(0, &[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]), Err(Malformed));
    }
}

//! One machine and its ends of the simulated links: the driver's half of the contract, without sockets.
//!
//! An end knows where the other one is. What the machine appends for a connection goes, once a turn, as one record into
//! the batch for the other end's thread; while that batch is long, or the other end does not want to read, it stays in
//! the outbox, where the machine sees it. An end has no buffer of its own and costs eight bytes.
//!
//! **Ends.** An end that closes says so, and its slot is used again only when the other has said so too: until then
//! records for it may be on their way. Records for an end whose machine is done with it are dropped.
//!
//! **Hand-offs.** A shard that hands its end to another thread's shard forgets it. The client learns where the link
//! leads by that shard's `Home`. It must not have sent anything to the old place meanwhile, so after its first record
//! it sends nothing until the first answer. MQTT clients do the same: CONNECT, then CONNACK.
//!
//! Absent: addresses, and links that fail by themselves.

#[cfg(test)]
mod tests;

use super::post::{Post, Way};
use super::record::{self, Kind, Record};
use ringmq_core::machine::{CloseCause, CloseHow, Command, ConnId, Effects, Input, Machine, Origin, Time};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

/// Connections that send in a turn, as many as receives in a turn of the io_uring driver: the rest keeps its place.
const SENDS_PER_TURN: usize = 1024;

/// Most bytes of one record, but for the first of a link.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// The machine may be told about the end.
const OPEN: u8 = 1;
/// The client waits for the first answer: it must not send.
const SETTLING: u8 = 2;
/// The other end does not read.
const BLOCKED: u8 = 4;
/// In `ready`.
const LISTED: u8 = 8;
/// The machine has closed it; what the outbox holds is still sent.
const CLOSING: u8 = 16;
/// Our `Close` has been sent, the other's has not come.
const CLOSED: u8 = 32;
/// The client has asked for a link that no shard has answered yet.
const DIALLING: u8 = 64;
/// Nothing has been sent yet.
const FRESH: u8 = 128;

/// One end of a link.
#[derive(Debug, Clone, Copy)]
struct End {
    /// Slot of the other end.
    peer: u32,
    /// Thread of the other end.
    thread: u8,
    /// 0 is a free slot.
    flags: u8,
}

/// The machine of one side on one thread.
pub(super) struct Side<M> {
    pub(super) machine: M,
    pub(super) fx: Effects,
    /// Where this side's records go.
    way: Way,
    now: Time,
    ends: Vec<End>,
    free: Vec<u32>,
    /// Slots that may be used again from the next turn on.
    freed: Vec<u32>,
    /// Ends with something to send, in turn.
    ready: VecDeque<u32>,
    dirty: Vec<ConnId>,
    /// Hand-offs made.
    pub(super) handed_over: u64,
    /// Bytes taken from links.
    pub(super) received_bytes: u64,
    /// Bytes given to links.
    pub(super) sent_bytes: u64,
    /// Loses the record with this number among those of which the first packet is a PUBLISH. For tests of the checks.
    pub(super) lose: Option<u64>,
}

impl<M: Machine> Side<M> {
    pub(super) fn new(machine: M, way: Way, threads: usize) -> Self {
        Self {
            machine,
            fx: Effects::new(threads),
            way,
            now: Time(0),
            ends: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            handed_over: 0,
            received_bytes: 0,
            sent_bytes: 0,
            lose: None,
        }
    }

    pub(super) fn begin_turn(&mut self, now: Time) {
        self.now = now;
        self.free.append(&mut self.freed);
    }

    /// Ends in use, those about to end included.
    pub(super) fn used(&self) -> usize {
        self.ends.len() - self.free.len() - self.freed.len()
    }

    /// True if there is something to send, or a machine that has more to do at once.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || self.fx.outbox.has_dirty() || self.machine.busy() || self.is_due()
    }

    pub(super) fn is_due(&self) -> bool {
        self.machine.deadline().is_some_and(|at| at <= self.now)
    }

    /// One step, and the commands it gave.
    pub(super) fn step(&mut self, post: &mut Post, input: Input<'_>) {
        self.machine.handle(self.now, input, &mut self.fx);
        if self.fx.commands.is_empty() {
            return;
        }
        let mut commands = std::mem::take(&mut self.fx.commands);
        for command in commands.drain(..) {
            self.command(command, post);
        }
        self.fx.commands = commands;
    }

    fn command(&mut self, command: Command, post: &mut Post) {
        match command {
            Command::Connect { token, .. } => {
                let own = post.thread() as u8;
                let slot = self.allocate(End { peer: 0, thread: own, flags: DIALLING });
                record::write(post.link(self.way, own), Kind::Open, own, slot, &token.to_le_bytes());
            }
            Command::Close { conn, how } => {
                if how == CloseHow::Abort {
                    self.fx.outbox.release(conn);
                }
                let end = self.end_mut(conn.0);
                end.flags = end.flags & !OPEN | CLOSING;
                self.list(conn.0);
            }
            Command::PauseReading { conn } => self.say(conn.0, Kind::Pause, post),
            Command::ResumeReading { conn } => self.say(conn.0, Kind::Resume, post),
            Command::HandOff { conn, to, bytes, .. } => {
                let end = *self.end_mut(conn.0);
                self.vacate(conn.0);
                self.handed_over += 1;
                record::write(post.link(Way::ToBroker, to.0), Kind::Adopt, end.thread, end.peer, &bytes);
            }
        }
    }

    /// Handles one batch of records.
    pub(super) fn batch(&mut self, post: &mut Post, from: u8, batch: &[u8]) {
        let mut at = 0;
        while let Some(record) = record::next(batch, &mut at) {
            let bytes = &batch[record.bytes.clone()];
            match record.kind {
                Kind::Open | Kind::Adopt => self.accept(&record, bytes, post),
                Kind::Home => self.home(from, record.slot, bytes, post),
                kind => {
                    let end = *self.end_mut(record.slot);
                    // Anything else is from a place that the link has left.
                    if end.thread == from && end.flags & DIALLING == 0 {
                        self.hear(kind, record.slot, bytes, post);
                    }
                }
            }
        }
    }

    fn accept(&mut self, record: &Record, bytes: &[u8], post: &mut Post) {
        let adopted = record.kind == Kind::Adopt;
        let slot = self.allocate(End { peer: record.slot, thread: record.thread, flags: OPEN });
        let token = if adopted { &[] } else { bytes };
        record::write_home(post.link(self.way, record.thread), record.slot, slot, token);
        let conn = ConnId(slot);
        let origin = if adopted { Origin::HandedOver { listener: 0 } } else { Origin::Accepted { listener: 0 } };
        self.step(post, Input::Opened { conn, peer: address(), origin });
        if adopted && !bytes.is_empty() && self.end_mut(slot).flags & OPEN != 0 {
            self.step(post, Input::Received { conn, bytes });
        }
    }

    /// The other end of a client's link is there.
    fn home(&mut self, from: u8, slot: u32, bytes: &[u8], post: &mut Post) {
        let (peer, token) = record::read_home(bytes);
        let end = self.end_mut(slot);
        (end.peer, end.thread) = (peer, from);
        match token {
            Some(token) => {
                end.flags = end.flags & LISTED | OPEN | FRESH;
                let origin = Origin::Connected { token };
                self.step(post, Input::Opened { conn: ConnId(slot), peer: address(), origin });
            }
            None => self.unblock(slot, SETTLING | BLOCKED),
        }
    }

    fn hear(&mut self, kind: Kind, slot: u32, bytes: &[u8], post: &mut Post) {
        let conn = ConnId(slot);
        match kind {
            Kind::Data => {
                self.unblock(slot, SETTLING);
                if self.end_mut(slot).flags & OPEN != 0 {
                    self.received_bytes += bytes.len() as u64;
                    self.step(post, Input::Received { conn, bytes });
                }
            }
            Kind::Pause => self.end_mut(slot).flags |= BLOCKED,
            Kind::Resume => self.unblock(slot, BLOCKED),
            Kind::Close => {
                let flags = self.end_mut(slot).flags;
                debug_assert!(flags & (OPEN | CLOSING | CLOSED) != 0, "an end closes once");
                self.fx.outbox.release(conn);
                if flags & CLOSED == 0 {
                    self.say(slot, Kind::Close, post);
                }
                self.vacate(slot);
                if flags & OPEN != 0 {
                    self.step(post, Input::Closed { conn, cause: CloseCause::Peer });
                }
            }
            Kind::Open | Kind::Adopt | Kind::Home => unreachable!("handled before"),
        }
    }

    /// Sends what machines have appended, as far as there is room and the others read. True if anything moved.
    pub(super) fn send_ready(&mut self, post: &mut Post) -> bool {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.fx.outbox.take_dirty(&mut dirty);
        for conn in &dirty {
            self.list(conn.0);
        }
        self.dirty = dirty;
        let mut moved = false;
        for _ in 0..self.ready.len().min(SENDS_PER_TURN) {
            let Some(slot) = self.ready.pop_front() else { break };
            self.end_mut(slot).flags &= !LISTED;
            moved |= self.send(slot, post);
        }
        moved
    }

    fn send(&mut self, slot: u32, post: &mut Post) -> bool {
        let conn = ConnId(slot);
        let end = *self.end_mut(slot);
        if end.flags & (OPEN | CLOSING) == 0 {
            // Closed after it was listed; its slot may even be free.
            self.fx.outbox.release(conn);
            return false;
        }
        if end.flags & SETTLING != 0 || end.flags & BLOCKED != 0 && self.fx.outbox.unsent(conn) > 0 {
            return false;
        }
        if !post.has_room(self.way, end.thread) {
            self.list(slot);
            return false;
        }
        if self.fx.outbox.rest_of_send(conn).bytes.is_empty() {
            let _ = self.fx.outbox.start_send(conn);
        }
        let rest = self.fx.outbox.rest_of_send(conn).bytes;
        // The first answer comes only when the whole of the first packet has arrived.
        let most = if end.flags & FRESH != 0 { usize::MAX } else { RECORD_BYTES_MAX };
        let bytes = &rest[..rest.len().min(most)];
        let (count, mut moved) = (bytes.len(), false);
        if count > 0 {
            if !is_lost(&mut self.lose, bytes) {
                record::write(post.link(self.way, end.thread), Kind::Data, 0, end.peer, bytes);
            }
            if end.flags & FRESH != 0 {
                self.end_mut(slot).flags ^= FRESH | SETTLING;
            }
            self.sent_bytes += count as u64;
            moved = true;
            if self.fx.outbox.sent(conn, count).drained && end.flags & OPEN != 0 {
                self.step(post, Input::Drained { conn });
            }
        }
        if self.fx.outbox.unsent(conn) > 0 {
            self.list(slot);
        } else if self.end_mut(slot).flags & (CLOSING | SETTLING) == CLOSING {
            self.say(slot, Kind::Close, post);
            let end = self.end_mut(slot);
            end.flags = end.flags & LISTED | CLOSED;
            moved = true;
        }
        moved
    }

    /// Takes away what kept an end from sending.
    fn unblock(&mut self, slot: u32, flags: u8) {
        let end = self.end_mut(slot);
        if end.flags & flags != 0 {
            end.flags &= !flags;
            if end.flags & CLOSING != 0 || self.fx.outbox.unsent(ConnId(slot)) > 0 {
                self.list(slot);
            }
        }
    }

    fn list(&mut self, slot: u32) {
        let end = self.end_mut(slot);
        if end.flags & LISTED == 0 {
            end.flags |= LISTED;
            self.ready.push_back(slot);
        }
    }

    fn say(&mut self, slot: u32, kind: Kind, post: &mut Post) {
        let end = *self.end_mut(slot);
        record::write(post.link(self.way, end.thread), kind, 0, end.peer, &[]);
    }

    fn end_mut(&mut self, slot: u32) -> &mut End {
        &mut self.ends[slot as usize]
    }

    fn allocate(&mut self, end: End) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                // A free slot may still be listed.
                let listed = self.end_mut(slot).flags & LISTED;
                *self.end_mut(slot) = End { flags: end.flags | listed, ..end };
                slot
            }
            None => {
                self.ends.push(end);
                u32::try_from(self.ends.len() - 1).expect("fewer than 2^32 connections")
            }
        }
    }

    fn vacate(&mut self, slot: u32) {
        self.end_mut(slot).flags &= LISTED;
        self.freed.push(slot);
    }
}

/// Whether this is the record that a test wants lost.
fn is_lost(lose: &mut Option<u64>, bytes: &[u8]) -> bool {
    const PUBLISH: u8 = 3;
    let Some(left) = lose else { return false };
    if bytes[0] >> 4 != PUBLISH {
        return false;
    }
    *left -= 1;
    let lost = *left == 0;
    if lost {
        *lose = None;
    }
    lost
}

/// Every client is at the same made-up address.
fn address() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1)
}

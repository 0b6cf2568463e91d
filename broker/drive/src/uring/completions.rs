//! What completions mean.

use super::arrival::Arrival;
use super::conns::{
    BULK, CANCELLED, CONNECTING, DEPARTING, DYING, ENDED, ENTERED, FLUSHING, LINGERING, OPEN, RECEIVING, SENDING,
};
use super::token::{GENERATION_MASK, Op, parse};
use super::turn::Driver;
use crate::shard::{ACCEPT_PAUSE, Transport, after};
use crate::socket;
use io_uring::cqueue;
use ringmq_core::machine::{CloseCause, ConnId, Input, Machine, Origin, ShardId};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// A connection that was accepted.
pub(super) struct Entrant {
    socket: OwnedFd,
    listener: u16,
}

/// A connection whose peer's side has ended.
pub(super) struct Ending {
    slot: u32,
    generation: u32,
    cause: CloseCause,
}

impl<M: Machine> Driver<M> {
    /// Takes note of one completion.
    pub(super) fn complete(&mut self, completion: &cqueue::Entry) {
        let (op, generation, slot) = parse(completion.user_data());
        let (result, flags) = (completion.result(), completion.flags());
        match op {
            Op::Receive | Op::Send | Op::Connect | Op::Install | Op::Moved => {
                let conn = self.io.table.at(slot);
                assert!(conn.generation & GENERATION_MASK == generation, "a slot is free only when all is complete");
                match op {
                    Op::Receive => self.received(slot, result, flags),
                    Op::Send => self.sent(slot, result),
                    Op::Install => self.io.installed(slot, result, &mut self.shard.cx),
                    Op::Moved => self.io.moved(slot, result, &mut self.shard.cx),
                    _ => self.connected(slot, result),
                }
            }
            Op::Accept => self.accepted(slot, result, flags),
            Op::AcceptDirect => self.accepted_direct(slot, result),
            Op::Doorbell => {
                self.shard.cx.control.seat(self.shard.cx.shard).silence_doorbell();
                self.shard.cx.stats.syscalls += 1;
                self.shard.cx.stats.wakes_received += 1;
                self.shard.cx.traffic();
                self.doorbell_armed = false;
            }
            Op::Woken => {
                self.shard.cx.stats.wakes_received += 1;
                self.shard.cx.traffic();
            }
            Op::WakeFailed => {
                // The other ring could not take it: use the bell.
                let target = ShardId(u8::try_from(slot).expect("a shard's number"));
                self.shard.cx.control.seat(target).ring_doorbell();
                self.shard.cx.stats.syscalls += 1;
            }
            Op::Nothing => {}
        }
    }

    fn accepted_direct(&mut self, index: u32, result: i32) {
        let Some((fd, listener, peer)) = self.io.accepted_direct(index, result, &mut self.shard.cx) else { return };
        self.shard.cx.traffic();
        let (entered, pause_until) = self.shard.cx.enter(listener, peer);
        if let Some(until) = pause_until {
            self.io.pause_accepting(listener, until);
        }
        if !entered {
            self.io.close_socket(fd);
            return;
        }
        let slot = self.io.insert(fd, listener, OPEN | ENTERED);
        if self.io.movable
            && let Some(direct) = &mut self.io.direct
        {
            direct.peers.insert(slot, peer);
        }
        let opened = Input::Opened { conn: ConnId(slot), peer, origin: Origin::Accepted { listener } };
        self.shard.step(&mut self.io, opened);
    }

    fn accepted(&mut self, index: u32, result: i32, flags: u32) {
        if result >= 0 {
            // SAFETY: the kernel has just made this descriptor and nobody else knows it.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            let listener = u16::try_from(index).expect("at most 65,536 listeners");
            if let Some(entrant) = self.entrants.admit(Entrant { socket, listener }) {
                self.let_in(entrant);
            }
        }
        let cx = &mut self.shard.cx;
        let Some(Some(listener)) = self.io.listeners.get_mut(index as usize) else { return };
        if !cqueue::more(flags) {
            listener.armed = false;
            self.io.accept_due = true;
        }
        if result < 0 && socket::is_exhaustion(-result) {
            cx.stats.accept_failures += 1;
            cx.stats.refused += socket::refuse_waiting(listener.fd.as_raw_fd(), &mut self.io.spare);
            self.io.accept_at = Some(after(cx.now, ACCEPT_PAUSE));
        }
    }

    /// Takes a connection that was accepted into the table, unless its listener has been stopped meanwhile, or it has
    /// gone already, or may not come in.
    fn let_in(&mut self, Entrant { socket, listener }: Entrant) {
        let cx = &mut self.shard.cx;
        cx.stats.syscalls += 1;
        let peer = socket::peer_addr(socket.as_raw_fd());
        let listens = self.io.listeners.get(usize::from(listener)).is_some_and(Option::is_some);
        let Some(peer) = peer.filter(|_| listens) else { return self.io.close_fd(socket) };
        cx.traffic();
        let (entered, pause_until) = cx.enter(listener, peer);
        if let Some(until) = pause_until {
            self.io.pause_accepting(listener, until);
        }
        if !entered {
            return self.io.close_fd(socket);
        }
        let conn = ConnId(self.io.insert(socket.into_raw_fd(), listener, OPEN | ENTERED));
        self.shard.step(&mut self.io, Input::Opened { conn, peer, origin: Origin::Accepted { listener } });
    }

    /// Serves connections that began and ended in earlier turns, which had too many of them.
    pub(super) fn catch_up(&mut self) {
        while let Some(entrant) = self.entrants.next() {
            self.let_in(entrant);
        }
        while let Some(Ending { slot, generation, cause }) = self.endings.next() {
            if self.io.table.at(slot).generation == generation {
                self.ended(slot, cause);
            }
        }
    }

    fn received(&mut self, slot: u32, result: i32, flags: u32) {
        let buffer = cqueue::buffer_select(flags);
        // Decided when the driver is built for its machine: the broker's has nothing ahead of the bytes.
        let Arrival { ahead, result, unix_ns } = if self.shard.machine.wants_arrival_times() {
            self.arrival(buffer, result)
        } else {
            Arrival { ahead: 0, result, unix_ns: None }
        };
        let conn = self.io.table.at_mut(slot);
        if !cqueue::more(flags) {
            conn.flags &= !(RECEIVING | CANCELLED);
        }
        let in_bulk = conn.has(BULK);
        let buffers = if in_bulk { self.bulk.buffers() } else { &mut self.buffers };
        if let (Some(id), Ok(len @ 1..)) = (buffer, usize::try_from(result)) {
            let bytes = &buffers.filled(id, ahead + len)[ahead..];
            if conn.has(OPEN) {
                self.shard.cx.traffic();
                self.shard.cx.stats.receives += 1;
                self.shard.cx.stats.received_bytes += len as u64;
                if let Some(unix_ns) = unix_ns {
                    self.shard.machine.arriving(unix_ns);
                }
                self.shard.step(&mut self.io, Input::Received { conn: ConnId(slot), bytes });
            } else if conn.has(DEPARTING) {
                self.io.keep_for_departure(slot, bytes);
            }
        }
        if let Some(id) = buffer {
            buffers.give_back(id);
        }
        match result {
            1.. => self.note_amount(slot, ahead + result as usize, in_bulk),
            0 => self.end_in_turn(slot, CloseCause::Peer),
            error => match -error {
                libc::ENOBUFS => self.shard.cx.stats.enobufs += 1,
                libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                number => self.end_in_turn(slot, CloseCause::Error(number)),
            },
        }
        if !cqueue::more(flags) {
            self.receive_over(slot);
        }
    }

    /// Looks whether a connection's receives should take buffers of another size. The armed one is cancelled then; what
    /// it still brings is taken as usual.
    #[inline]
    fn note_amount(&mut self, slot: u32, len: usize, in_bulk: bool) {
        let usual_bytes = self.buffers.bytes();
        let change = if in_bulk {
            self.bulk.note_received(slot, len, usual_bytes)
        } else {
            len == usual_bytes
                && self.io.may_take_more(slot)
                && self.bulk.note_filled(slot, &self.io.table, self.io.ring.uring())
        };
        if change {
            self.io.cancel_receive(slot);
        }
    }

    /// A receive has ended for whatever reason: arm the next one, unless the connection was waiting for this.
    fn receive_over(&mut self, slot: u32) {
        let conn = self.io.table.at(slot);
        if conn.fd < 0 || conn.has(RECEIVING) {
            return;
        }
        if conn.has(DYING | DEPARTING) {
            self.io.settle(slot, &mut self.shard.cx);
        } else {
            self.io.list(slot);
        }
    }

    /// Nothing more comes from a connection: ends it, now or when it is its turn.
    fn end_in_turn(&mut self, slot: u32, cause: CloseCause) {
        let generation = self.io.table.at(slot).generation;
        match self.endings.admit(Ending { slot, generation, cause }) {
            Some(_) => self.ended(slot, cause),
            // Nothing is to be received until then.
            None => self.io.table.at_mut(slot).flags |= ENDED,
        }
    }

    /// The peer's side has ended. What the machine has queued by now is still sent if that is possible.
    pub(super) fn ended(&mut self, slot: u32, cause: CloseCause) {
        let conn = self.io.table.at_mut(slot);
        if conn.has(DYING | DEPARTING) {
            return;
        }
        if cause == CloseCause::Peer {
            conn.flags |= ENDED;
        }
        if conn.has(OPEN) {
            conn.flags &= !OPEN;
            self.shard.step(&mut self.io, Input::Closed { conn: ConnId(slot), cause });
            if cause == CloseCause::Peer {
                self.io.flush_and_close(slot, &mut self.shard.cx);
                return;
            }
        } else if cause == CloseCause::Peer && conn.has(FLUSHING) && !conn.has(LINGERING) {
            self.io.finish_flush(slot, &mut self.shard.cx);
            return;
        }
        self.io.die(slot, &mut self.shard.cx);
    }

    fn sent(&mut self, slot: u32, result: i32) {
        let id = ConnId(slot);
        let conn = self.io.table.at_mut(slot);
        conn.flags &= !SENDING;
        if conn.has(DYING | DEPARTING) {
            self.io.settle(slot, &mut self.shard.cx);
            return;
        }
        let count = match usize::try_from(result) {
            Ok(count) => count,
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => 0,
            Err(_) => {
                self.ended(slot, CloseCause::Error(-result));
                return;
            }
        };
        let cx = &mut self.shard.cx;
        cx.stats.sends += 1;
        cx.stats.sent_bytes += count as u64;
        let sent = cx.fx.outbox.sent(id, count);
        if sent.rest > 0 {
            cx.stats.short_sends += u64::from(sent.short);
            self.io.send_rest(id, &self.shard.cx);
        } else if sent.pending > 0 {
            self.io.resending.push(slot);
        }
        if sent.drained && self.io.is_open(id) {
            self.shard.step(&mut self.io, Input::Drained { conn: id });
        }
        if self.io.table.at(slot).has(FLUSHING) {
            self.io.finish_flush(slot, &mut self.shard.cx);
        }
    }

    fn connected(&mut self, slot: u32, result: i32) {
        let Some(connecting) = self.io.connecting.remove(&slot) else { return };
        let conn = self.io.table.at_mut(slot);
        conn.flags &= !CONNECTING;
        let token = connecting.token;
        if result < 0 {
            self.shard.cx.failed.push((token, -result));
            self.io.abandon(slot, &mut self.shard.cx);
            return;
        }
        conn.flags |= OPEN;
        self.io.list(slot);
        self.shard.cx.traffic();
        self.shard.cx.stats.connected += 1;
        let opened = Input::Opened { conn: ConnId(slot), peer: connecting.remote, origin: Origin::Connected { token } };
        self.shard.step(&mut self.io, opened);
    }
}

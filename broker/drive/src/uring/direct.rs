//! Direct descriptors: sockets that live in a ring's own table and in no table of the process.
//!
//! A table is limited like the process's (`RLIMIT_NOFILE`), but there is one for every ring: a process of many shards
//! holds as many connections as all of them together. In return, system calls that take a descriptor cannot be used,
//! so that each has an operation here: the peer's address comes with the accept, which is why accepts are one-shot with
//! an address each; end-of-file, closing and the move to another shard are operations, too.
//!
//! Absent: options set for a single connection. Those of the listener are inherited.

use super::conns::Io;
use super::token::{Op, token};
use crate::shard::{ACCEPT_PAUSE, Context, after};
use crate::socket;
use io_uring::{opcode, squeue, types};
use ringmq_core::machine::ShardId;
use socket2::{SockAddr, SockAddrStorage};
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// Accepts under way for each listener: connections taken in one turn without a further kernel entry.
const ACCEPTS: usize = 64;

/// Tells the kernel to choose a free slot of the table itself (`IORING_FILE_INDEX_ALLOC`).
const ANY_SLOT: i32 = -1;

/// The direct side of a shard's sockets.
pub(super) struct Direct {
    /// [`ACCEPTS`] of one listener each, in boxes that never move, for the kernel writes to them. The index of an accept
    /// counts through all boxes.
    accepts: Vec<Box<[Accepting; ACCEPTS]>>,
    /// Accepts that are to be armed at the end of the turn.
    idle: Vec<u32>,
    /// Peers of connections that may still be handed over.
    pub(super) peers: HashMap<u32, SocketAddr>,
}

/// One accept, and where the kernel writes its peer's address.
struct Accepting {
    /// `None` once that listener is no more.
    listener: Option<u16>,
    armed: bool,
    address: UnsafeCell<(SockAddrStorage, libc::socklen_t)>,
}

impl Default for Accepting {
    fn default() -> Self {
        Self { listener: None, armed: false, address: UnsafeCell::new((SockAddrStorage::zeroed(), 0)) }
    }
}

impl Accepting {
    /// The address that came with a completed accept.
    fn peer(&self) -> Option<SocketAddr> {
        assert!(!self.armed, "the kernel does not write any more");
        // SAFETY: the kernel has written an address of this length, and nobody else has a reference.
        let address = unsafe {
            let (storage, length) = &*self.address.get();
            SockAddr::new(std::ptr::read(storage), *length)
        };
        address.as_socket().map(socket::canonical)
    }
}

impl Direct {
    /// Makes a table of `slots` in the ring.
    ///
    /// # Errors
    /// When the kernel has no such tables, or the limit of open files is lower.
    pub(super) fn register(uring: &io_uring::IoUring, slots: u32) -> io::Result<Self> {
        uring.submitter().register_files_sparse(slots).map_err(|error| {
            let hint = "a table holds no more than the limit of open files (ulimit -n)";
            io::Error::new(error.kind(), format!("{slots} direct descriptors a shard: {error}; {hint}"))
        })?;
        Ok(Self { accepts: Vec::new(), idle: Vec::new(), peers: HashMap::new() })
    }

    /// Makes ready the accepts of a new listener, in the place of those of one that is no more if there is one.
    pub(super) fn prepare_accepts(&mut self, listener: u16) {
        let unused = |accepts: &[Accepting]| accepts.iter().all(|accept| accept.listener.is_none() && !accept.armed);
        let place = self.accepts.iter().position(|accepts| unused(&**accepts)).unwrap_or_else(|| {
            self.accepts.push(Box::new(std::array::from_fn(|_| Accepting::default())));
            self.accepts.len() - 1
        });
        self.accepts[place].iter_mut().for_each(|accept| accept.listener = Some(listener));
        let first = u32::try_from(place * ACCEPTS).expect("64 times 65,536");
        self.idle.extend(first..first + ACCEPTS as u32);
    }

    fn accept(&mut self, index: u32) -> &mut Accepting {
        &mut self.accepts[index as usize / ACCEPTS][index as usize % ACCEPTS]
    }
}

impl Io {
    /// Arms the accepts that are not.
    pub(super) fn arm_direct_accepts(&mut self) {
        let Some(direct) = &mut self.direct else { return };
        let mut idle = std::mem::take(&mut direct.idle);
        idle.retain(|index| !self.arm_direct_accept(*index));
        if let Some(direct) = &mut self.direct {
            direct.idle = idle;
        }
    }

    /// Arms an accept, unless its listener is no more; false if that is to accept nothing at present.
    fn arm_direct_accept(&mut self, index: u32) -> bool {
        let Some(direct) = &mut self.direct else { return true };
        let accept = direct.accept(index);
        let Some(number) = accept.listener else { return true };
        let Some(Some(listener)) = self.listeners.get(usize::from(number)) else { return true };
        if listener.paused_until.is_some() {
            return false;
        }
        accept.armed = true;
        let address = accept.address.get_mut();
        address.1 = address.0.size_of();
        // SAFETY: only pointers to the fields are made here, no reference that would outlive the operation.
        let (storage, length) = unsafe {
            let address = accept.address.get();
            ((&raw mut (*address).0).cast(), &raw mut (*address).1)
        };
        let entry = opcode::Accept::new(types::Fd(listener.fd.as_raw_fd()), storage, length)
            .file_index(Some(types::DestinationSlot::auto_target()))
            .build();
        // SAFETY: the address stays in place, and is not looked at, until the accept is complete.
        unsafe { self.ring.push(entry.user_data(token(Op::AcceptDirect, 0, index))) };
        true
    }

    /// A completed accept: the connection's slot in the ring's table, its listener, and its peer.
    pub(super) fn accepted_direct(
        &mut self,
        index: u32,
        result: i32,
        cx: &mut Context,
    ) -> Option<(i32, u16, SocketAddr)> {
        let direct = self.direct.as_mut().expect("accepts of this kind are armed in this mode only");
        let accept = direct.accept(index);
        accept.armed = false;
        let (listener, peer) = (accept.listener, accept.peer());
        if listener.is_some() {
            direct.idle.push(index);
            self.accept_due = true;
        }
        if result >= 0 {
            if let (Some(peer), Some(listener)) = (peer, listener) {
                return Some((result, listener, peer));
            }
            self.close_socket(result);
        } else if socket::is_exhaustion(-result) {
            // The kernel has closed the connection, so that its owner learns of it.
            cx.stats.accept_failures += 1;
            cx.stats.refused += 1;
            self.accept_at = Some(after(cx.now, ACCEPT_PAUSE));
        }
        None
    }

    /// Cancels the accepts of a listener that is to accept nothing at present.
    pub(super) fn cancel_direct_accepts(&mut self, listener: u16) {
        let Some(direct) = &self.direct else { return };
        let all = (0..).zip(direct.accepts.iter().flat_map(|accepts| accepts.iter()));
        let armed = all.filter(|(_, accept)| accept.armed && accept.listener == Some(listener));
        let armed: Vec<u32> = armed.map(|(index, _)| index).collect();
        for index in armed {
            self.cancel(token(Op::AcceptDirect, 0, index));
        }
    }

    /// Cancels all accepts of a listener that is no more.
    pub(super) fn stop_direct_accepts(&mut self, listener: u16) {
        let Some(direct) = &mut self.direct else { return };
        let mut armed = Vec::new();
        let mut idle = std::mem::take(&mut direct.idle);
        for (index, accept) in (0..).zip(direct.accepts.iter_mut().flat_map(|accepts| accepts.iter_mut())) {
            if accept.listener == Some(listener) {
                accept.listener = None;
                if accept.armed {
                    armed.push(index);
                }
            }
        }
        idle.retain(|index| direct.accept(*index).listener.is_some());
        direct.idle = idle;
        for index in armed {
            self.cancel(token(Op::AcceptDirect, 0, index));
        }
    }

    /// Moves an outgoing socket into the ring's table; answered by [`Op::Install`].
    pub(super) fn install(&mut self, slot: u32, index: *mut i32) {
        let generation = self.table.at(slot).generation;
        let entry = opcode::FilesUpdate::new(index, 1).offset(ANY_SLOT).build();
        // SAFETY: the caller keeps the index in place until the completion.
        unsafe { self.ring.push(entry.user_data(token(Op::Install, generation, slot))) };
    }

    /// Puts a departing connection into the table of its new shard's ring; answered by [`Op::Moved`] with the slot there.
    pub(super) fn send_direct(&mut self, slot: u32, to: ShardId, cx: &Context) {
        let conn = self.table.at(slot);
        let ring = cx.control.seat(to).ring.get().expect("all rings exist before connections are accepted");
        let own = types::Fixed(conn.fd.cast_unsigned());
        let any = types::DestinationSlot::auto_target();
        let entry = opcode::MsgRingSendFd::new(types::Fd(ring.as_raw_fd()), own, any, 0)
            .opcode_flags(MSG_RING_CQE_SKIP)
            .build();
        // SAFETY: a ring message of this kind points to no memory.
        unsafe { self.ring.push(entry.user_data(token(Op::Moved, conn.generation, slot))) };
    }

    /// Sends the end-of-file of a direct socket.
    pub(super) fn shut_sending_direct(&mut self, fd: i32) {
        let shut = opcode::Shutdown::new(types::Fixed(fd.cast_unsigned()), libc::SHUT_WR).build();
        let shut = shut.flags(squeue::Flags::SKIP_SUCCESS).user_data(token(Op::Nothing, 0, 0));
        // SAFETY: a shutdown points to no memory.
        unsafe { self.ring.push(shut) };
    }
}

/// The other ring gets no completion of its own (`IORING_MSG_RING_CQE_SKIP`): it is told through the mesh.
const MSG_RING_CQE_SKIP: u32 = 1;

//! The contract between a state machine and whatever drives it.
//!
//! The broker's shard, the load generator's client fleet and the tests' echo server are all machines; io_uring, epoll,
//! the comparison runtimes and the simulator are all drivers. A driver turns what the kernel says into [`Input`]s and
//! [`Effects`] into system calls. One call of [`Machine::handle`] is one step; a *turn* is all the steps between two
//! kernel entries.
//!
//! Rules every driver keeps:
//! - A [`ConnId`] is a small dense slot number chosen by the driver. It is valid from [`Input::Opened`] until the
//!   machine sees [`Input::Closed`], or until the machine itself emits [`Command::Close`] or [`Command::HandOff`] for
//!   it. After that the driver gives the machine no further input for that connection, not even input which it had
//!   already collected in the same turn; it may reuse the number in a later turn.
//! - Commands are drained after every `handle`, in order. Output is sent at the end of the turn, one coalesced write a
//!   connection, in the order in which it was appended.
//! - `Close { how: Flush }` sends what the outbox holds for that connection, then closes.
//! - Reading a paused connection stops soon, not at once: bytes already received are still delivered.
//! - Times of arrival ([`Machine::arriving`]) are told by the io_uring driver only, and only to a machine that asks.
//!
//! Absent here: any knowledge of MQTT.

mod mesh_out;
mod outbox;
#[cfg(test)]
mod outbox_model;
mod spliced;

pub use mesh_out::{Lane, MeshOut};
pub use outbox::{HIGH_WATER_BYTES, LENT_BYTES_MIN, LOW_WATER_BYTES, Outbox, OutgoingBuffer, Sent, low_water_bytes};
pub use spliced::{Lent, Spliced, Stretch};

use alloc::vec::Vec;
use core::any::Any;
use core::net::SocketAddr;

/// Nanoseconds of a monotonic clock with an arbitrary start. Drivers read it once a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// Whole milliseconds since the clock's start.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The point `millis` milliseconds after the clock's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
}

/// A driver's slot number of one transport connection, unique within its shard while the connection is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// Number of a shard within its process, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

/// Most shards in one process: the interest table keeps one bit a shard in a 64-bit mask.
pub const SHARDS_MAX: usize = 64;

/// How a connection came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Accepted by this shard on the listener with this number.
    Accepted {
        /// Index of the listener in the driver's configuration.
        listener: u16,
    },
    /// Accepted by another shard and handed over by [`Command::HandOff`]; its bytes follow as [`Input::Received`].
    HandedOver {
        /// Index of the listener that accepted it.
        listener: u16,
    },
    /// Opened by this machine's own [`Command::Connect`].
    Connected {
        /// The token of that command.
        token: u64,
    },
}

/// Why a connection ended without the machine asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// The peer closed its sending side (end of file).
    Peer,
    /// The transport failed; the value is the operating system's error number.
    Error(i32),
}

/// What a driver tells a machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection is open.
    Opened {
        /// Its slot.
        conn: ConnId,
        /// The address at the other end.
        peer: SocketAddr,
        /// How it came to be.
        origin: Origin,
    },
    /// A [`Command::Connect`] did not succeed.
    ConnectFailed {
        /// The token of that command.
        token: u64,
        /// The operating system's error number.
        error: i32,
    },
    /// Bytes arrived, in order. The machine must consume or copy them before it returns.
    Received {
        /// On which connection.
        conn: ConnId,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// A connection for which [`Outbox::watch_drain`] was called has no more unsent than was asked.
    Drained {
        /// Which connection.
        conn: ConnId,
    },
    /// A connection has ended.
    Closed {
        /// Which connection.
        conn: ConnId,
        /// Why.
        cause: CloseCause,
    },
    /// A batch from another shard, exactly as that shard appended it to its [`MeshOut`] lane.
    Mesh {
        /// The shard that sent it.
        from: ShardId,
        /// One or more of the machine's own records.
        bytes: &'a [u8],
    },
    /// Time has reached [`Machine::deadline`], or the machine is [busy](Machine::busy).
    Tick,
    /// A request from outside the shards, of a type that the machine and its process agree on. The machine leaves its
    /// answer in it. What the machine does not know it leaves as it is. Small work only: what takes long is asked for
    /// in pieces.
    Control(&'a mut dyn Any),
    /// The process was asked to stop: say goodbye and close. The driver ends when no connection is left, or at its
    /// own time limit.
    Stop,
}

/// What a machine asks for beside bytes to send.
#[derive(Debug)]
pub enum Command {
    /// End a connection.
    Close {
        /// Which one.
        conn: ConnId,
        /// With or without sending what is queued.
        how: CloseHow,
    },
    /// Stop reading from a connection: back-pressure on its sender.
    PauseReading {
        /// Which one.
        conn: ConnId,
    },
    /// Read again.
    ResumeReading {
        /// Which one.
        conn: ConnId,
    },
    /// Move a connection to another shard. It opens there with [`Origin::HandedOver`], followed by `bytes` as its first
    /// [`Input::Received`]. Allowed only before any output was appended for it.
    HandOff {
        /// Which one.
        conn: ConnId,
        /// The shard that shall own it.
        to: ShardId,
        /// Everything received so far.
        bytes: Vec<u8>,
        /// What the other machine is told of its other end, which a proxy may have said; `None` is the transport's.
        peer: Option<SocketAddr>,
    },
    /// Open a connection. Answered by [`Input::Opened`] or [`Input::ConnectFailed`].
    Connect {
        /// Chosen by the machine, returned with the answer.
        token: u64,
        /// Where to.
        remote: SocketAddr,
        /// Source address to bind, if any (port 0 lets the kernel choose).
        local: Option<SocketAddr>,
    },
}

/// How to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseHow {
    /// Send what the outbox holds, then close.
    Flush,
    /// Close now; unsent bytes are dropped.
    Abort,
}

/// What a machine's step produced. Owned and reused by the driver.
#[derive(Debug, Default)]
pub struct Effects {
    /// Bytes to send, by connection.
    pub outbox: Outbox,
    /// Bytes to send, by shard.
    pub mesh: MeshOut,
    /// Everything else, in order.
    pub commands: Vec<Command>,
}

impl Effects {
    /// Effects for a machine that is one of `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { outbox: Outbox::default(), mesh: MeshOut::new(shards), commands: Vec::new() }
    }
}

/// A deterministic state machine: the same inputs at the same times give the same effects.
pub trait Machine {
    /// Takes one input. `now` never decreases from call to call.
    fn handle(&mut self, now: Time, input: Input<'_>, fx: &mut Effects);

    /// When the machine next wants [`Input::Tick`], if at all. Asked after every turn.
    fn deadline(&self) -> Option<Time>;

    /// True while work is left over (a sliced fan-out, a replay): the driver then does not sleep, and gives one
    /// [`Input::Tick`] a turn.
    fn busy(&self) -> bool {
        false
    }

    /// True if the machine wants to be told when the kernel received what it is given on connections that it opened
    /// itself. The answer never changes. It costs every receive a control message, so that the broker's shard does
    /// without, at no cost: for a machine that keeps this default, drivers contain nothing of it.
    fn wants_arrival_times(&self) -> bool {
        false
    }

    /// When the kernel received the last segment of what the next [`Input::Received`] brings: nanoseconds since 1970 by
    /// the system's wall clock. Not called for bytes that the kernel has put no time to.
    fn arriving(&mut self, unix_ns: u64) {
        let _ = unix_ns;
    }
}

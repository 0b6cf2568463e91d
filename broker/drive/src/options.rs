//! What a shard is given to run with.

use crate::control::Control;
use crate::gates::Gates;
use crate::links::Links;
use ringmq_core::machine::ShardId;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Everything [`run`](crate::run) needs beside the machine.
#[derive(Debug)]
pub struct Setup {
    /// Number of this shard.
    pub shard: ShardId,
    /// Listening sockets of this shard; the index is the listener's number in
    /// [`Origin::Accepted`](ringmq_core::machine::Origin::Accepted). At most 65,536.
    pub listeners: Vec<OwnedFd>,
    /// This shard's ends of the rings to the other shards.
    pub links: Links,
    /// Tuning.
    pub options: Options,
    /// How other threads reach the shard; made for as many shards as `links`.
    pub control: Control,
}

/// Tuning of a driver. The defaults suit a broker on a core of its own.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long to poll without sleeping after there was traffic, provided that pauses in traffic have lately been
    /// shorter than this: otherwise polling would only burn the core. Zero sleeps at once.
    pub spin: Duration,
    /// How long the machine has to close its connections after a stop was requested.
    pub stop_timeout: Duration,
    /// How long a closed connection's last bytes may wait for a peer that does not read.
    pub flush_timeout: Duration,
    /// How long a closed connection whose last bytes have gone waits for the peer to close as well. Closing earlier
    /// would make the kernel answer unread input with a reset, which discards bytes still on their way to the peer.
    pub linger_timeout: Duration,
    /// Receive buffers shared by all connections of a shard: a power of two, at most 32,768. io_uring only.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer. The epoll driver reads through one buffer of sixteen times that.
    pub receive_buffer_bytes: u32,
    /// Slots of each shard's table of direct descriptors; 0 uses file descriptors of the process. io_uring only, Linux
    /// 6.0 or later. The table is limited to `RLIMIT_NOFILE`, but each shard has one of its own.
    pub direct_descriptors: u32,
    /// Submission queue entries of a shard's ring; more operations than that in one turn cost a further kernel entry.
    pub submission_entries: u32,
    /// What the listeners let in; the same for all shards.
    pub gates: Gates,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            spin: Duration::from_micros(20),
            stop_timeout: Duration::from_secs(5),
            flush_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
            receive_buffers: 1024,
            receive_buffer_bytes: 4096,
            direct_descriptors: 0,
            submission_entries: 1024,
            gates: Gates::default(),
        }
    }
}

//! One virtual TCP connection: bytes on their way, in both directions, cut anywhere and late.
//!
//! Absent: who decides when what arrives (the world does) and what the bytes mean. Marks say how far the shard has come
//! with what the client wrote: a mark fires when the shard has been given the last byte of what it stands for.

use crate::oracle::Mark;
use ringmq_core::machine::ConnId;
use std::collections::VecDeque;

/// One connection between a client and a shard.
pub(crate) struct Link {
    pub(crate) client: usize,
    pub(crate) shard: usize,
    /// Open at the shard, in this slot.
    pub(crate) conn: Option<ConnId>,
    /// The shard does not want to read.
    pub(crate) paused: bool,

    /// Written by the client, not yet at the shard's socket.
    pub(crate) up: VecDeque<Vec<u8>>,
    /// At the shard's socket.
    pub(crate) inbox: VecDeque<u8>,
    /// Bytes that the client has written since the link opened.
    pub(crate) written: u64,
    /// Bytes that shards have been given.
    pub(crate) fed: u64,
    /// What the client wrote, by the offset of its end.
    pub(crate) marks: VecDeque<(u64, Mark)>,
    /// The client has closed: with the reason once everything before it has arrived.
    pub(crate) up_ended: bool,
    pub(crate) up_end_arrived: bool,

    /// Sent by the shard, not yet at the client.
    pub(crate) down: VecDeque<Vec<u8>>,
    /// At the client, not yet read.
    pub(crate) outbox: Vec<u8>,
    /// Bytes in `down` and `outbox`: what the socket holds.
    pub(crate) down_bytes: usize,
    /// Most bytes that the socket holds.
    pub(crate) down_max: usize,
    /// The shard has closed, once `down` is empty.
    pub(crate) down_ended: bool,
    /// The client does not look at what comes any more.
    pub(crate) abandoned: bool,
    /// When the shard was last given the whole of what was written at once, and when the link opened, nanoseconds.
    pub(crate) last_whole_ns: u64,
    pub(crate) opened_ns: u64,
}

impl Link {
    pub(crate) fn new(client: usize, shard: usize, down_max: usize, now_ns: u64) -> Self {
        Self {
            client,
            shard,
            conn: None,
            paused: false,
            up: VecDeque::new(),
            inbox: VecDeque::new(),
            written: 0,
            fed: 0,
            marks: VecDeque::new(),
            up_ended: false,
            up_end_arrived: false,
            down: VecDeque::new(),
            outbox: Vec::new(),
            down_bytes: 0,
            down_max,
            down_ended: false,
            abandoned: false,
            last_whole_ns: now_ns,
            opened_ns: now_ns,
        }
    }

    /// Bytes that the shard may send now.
    pub(crate) fn room(&self) -> usize {
        if self.abandoned || self.up_ended { usize::MAX } else { self.down_max.saturating_sub(self.down_bytes) }
    }

    /// Takes the next mark that the shard has come to.
    pub(crate) fn take_mark(&mut self) -> Option<Mark> {
        let (offset, _) = self.marks.front()?;
        if *offset > self.fed {
            return None;
        }
        self.marks.pop_front().map(|(_, mark)| mark)
    }
}

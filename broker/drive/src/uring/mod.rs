//! The io_uring driver: one ring a shard, one kernel entry a turn.
//!
//! A turn enters the kernel once, which submits what the last turn queued and collects what is complete; gives the
//! machine everything that happened; and queues one send for every connection that has something to send. An idle
//! connection holds neither a buffer (receives choose one from a shared ring when bytes are there) nor any memory
//! beyond its slot of the table.
//!
//! - `ring`: submission, completion, waiting.
//! - `buffers`: the ring of receive buffers.
//! - `bulk`: larger ones, for connections through which much comes at a time.
//! - `conns`: the connections, their life, and what a machine's commands do to them.
//! - `direct`: sockets that are in the ring's table only.
//! - `arrival`: receives that tell when the bytes arrived, for a machine that wants to know.
//! - `completions`: what completions mean.
//! - `turn`: the event loop.
//!
//! Connections are received from in one of two ways. A *multishot* receive stays armed and costs nothing between
//! messages; it is used as soon as a connection can no longer be handed over. Until the machine has appended its first
//! output for a connection, a process of several shards arms a *one-shot* receive only, so that usually none is armed
//! when [`HandOff`](ringmq_core::machine::Command::HandOff) comes. If one is, it is cancelled first.

mod arrival;
pub(crate) mod buffers;
mod bulk;
mod completions;
mod conns;
mod direct;
mod ring;
mod token;
mod turn;

pub(crate) use turn::run;

/// Registers one small receive buffer, to see whether the kernel can: for [`crate::probe()`].
pub(crate) fn trial_buffers(ring: &io_uring::IoUring) -> std::io::Result<buffers::Buffers> {
    let buffers = buffers::Buffers::new(buffers::GROUP, 1, 64)?;
    buffers.register(ring)?;
    Ok(buffers)
}

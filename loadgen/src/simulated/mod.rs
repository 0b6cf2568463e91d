//! A broker in the generator's own process: its shards, mesh and codec, and links in memory in the place of sockets.
//!
//! Each thread runs one shard and one fleet, two machines that a third kind of driver, beside io_uring and epoll,
//! joins. What one appends the other receives; hand-offs, pauses and closes are honoured as with sockets, in real time
//! and between real threads. Without sockets a million clients fit one machine, and what a shard costs can be told from
//! what the kernel costs.
//!
//! ```text
//!   thread 0                              thread 1
//!   fleet  --ToBroker-->  shard           shard  <--ToBroker--  fleet
//!          <-ToClients--    |    mesh       |    --ToClients->
//!     |         \           +<------------->+          /         |
//!     |          +----- links of clients that live elsewhere ----+
//!     +-------------------------- credits ------------------------
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `broker` | making the shards, and what they used |
//! | `node` | one thread: turns, and whose time they are |
//! | `side` | one machine and its ends of the links |
//! | `record` | what travels along links |
//! | `post` | rings between threads, sleeping and waking |
//!
//! Absent: the kernel, packet loss, addresses, and anything that only a driver with sockets does.

mod broker;
mod node;
mod post;
mod record;
mod side;
#[cfg(test)]
mod tests;

pub use broker::{Broker, Ended, Seat, Usage, own_memory};
pub use node::work;

/// How a simulated run differs from others. The number of shards is that of the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Simulated {
    /// Loses the record with this number (from 1) of those in which the first shard sends messages to clients. For
    /// tests of the checks; no option sets it.
    pub lose: Option<u64>,
}

//! The epoll driver: edge-triggered readiness, one `epoll_wait` a turn, sends at the end of the turn.
//!
//! For kernels and containers that do not allow io_uring, and the yardstick for the driver that uses it. It keeps the
//! same contract with the same limits.
//!
//! - `accept`: new connections, and when there are to be none.
//! - `conns`: the connections, their life, and what a machine's commands do to them.
//! - `turn`: the event loop.

mod accept;
mod conns;
mod poller;
mod turn;

pub(crate) use turn::run;

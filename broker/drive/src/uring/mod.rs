//! The io_uring driver.
use crate::options::Setup;
use crate::stats::Stats;
use ringmq_core::machine::Machine;
use std::io;
pub(crate) fn run<M: Machine>(_setup: Setup, _machine: M) -> io::Result<Stats> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "use --driver epoll"))
}

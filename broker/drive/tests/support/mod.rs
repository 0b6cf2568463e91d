//! Machines and plumbing the tests share.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "every test binary uses a part of it")]

mod machines;
mod process;

pub use machines::{Recorder, Scripted, Seen, close, echo};
pub use process::{PATIENCE, Process, with_each_driver, with_each_driver_on_files};

use std::net::TcpStream;

/// A client whose every wait is bounded.
pub fn client(process: &Process) -> TcpStream {
    let stream = TcpStream::connect(process.addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Bytes in which no two places look alike for long.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..u32::try_from(len).unwrap()).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

//! Machines and plumbing the tests share.

#![allow(dead_code, reason = "every test binary uses a part of it")]

mod machines;
mod process;

pub use machines::{Echo, Recorder, Seen};
pub use process::{PATIENCE, Process, with_each_driver};

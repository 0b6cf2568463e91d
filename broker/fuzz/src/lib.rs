//! What the fuzz targets check. Run one with `cargo +nightly fuzz run wire_stream` in the parent directory, `broker`;
//! what it finds goes, made small, into `corpus/`, which the tests of `ringmq-wire`,
//! `ringmq-core` and `ringmq-sim` replay on a stable toolchain.

pub mod checks;
pub mod proxy;
pub mod shard;

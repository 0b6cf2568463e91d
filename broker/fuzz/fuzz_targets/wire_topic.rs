//! A topic name and filter: see `checks::topic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringmq_fuzz::checks::topic(data));

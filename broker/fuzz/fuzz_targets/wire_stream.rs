//! A version octet and a byte stream: see `checks::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringmq_fuzz::checks::stream(data));

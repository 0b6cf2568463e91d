//! A version octet, flags and the body of a PUBLISH: see `checks::publish`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringmq_fuzz::checks::publish(data));

//! The beginning of a connection that a proxy hands on: see `proxy::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ringmq_fuzz::proxy::header(data);
});

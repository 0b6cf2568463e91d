//! A script of connections and what comes on them: see `shard::shard`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ringmq_fuzz::shard::shard(data);
});

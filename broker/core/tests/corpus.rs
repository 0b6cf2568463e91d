//! Replays the seed corpus of the fuzz target `proxy_header`, and random bytes.

#[path = "../../fuzz/src/proxy.rs"]
#[allow(unreachable_pub, reason = "a module of a test")]
mod proxy;

use proptest::prelude::*;
use std::path::Path;

#[test]
fn seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/proxy_header");
    let (mut whole, mut other) = (0, 0);
    for seed in std::fs::read_dir(&corpus).expect("the corpus is part of the repository") {
        let path = seed.expect("a readable directory").path();
        let is_whole = proxy::header(&std::fs::read(&path).expect("a readable seed"));
        *(if is_whole { &mut whole } else { &mut other }) += 1;
    }
    assert!(whole >= 8 && other >= 6, "{whole} whole headers, {other} others");
}

proptest! {
    #[test]
    fn random_bytes(
        begin in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP4 1.2.3.4 "[..]),
                             Just(&b"\r\n\r\n\0\r\nQUIT\n"[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00"[..])],
        rest in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'1')], 0..5000),
    ) {
        proxy::header(&[begin, &rest[..]].concat());
    }
}

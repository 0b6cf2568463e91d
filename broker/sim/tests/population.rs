//! A hundred thousand idle clients on two shards.

/// Memory that a plain MQTT 3.1.1 client with one subscription may cost, bytes.
const BYTES_PER_CLIENT_MAX: usize = 640;

#[test]
fn a_hundred_thousand_clients() {
    let measured = ringmq_sim::population::measure(100_000, 2);
    println!("{measured:?}");
    assert_eq!(measured.arrived, measured.sent);
    assert!(measured.bytes_per_client <= BYTES_PER_CLIENT_MAX, "{measured:?}");
}

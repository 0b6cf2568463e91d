//! Plans of command lines.

use super::*;
use crate::cli::Cli;
use clap::Parser;

pub(crate) fn plan(line: &str) -> Result<Plan, String> {
    let words = std::iter::once("ringmq-loadgen").chain(line.split_whitespace());
    Plan::new(&Cli::try_parse_from(words).map_err(|problem| problem.to_string())?)
}

fn pace(line: &str) -> Pace {
    plan(line).unwrap().traffic.unwrap().pace
}

#[test]
fn the_window_ends_with_what_the_qos_offers() {
    let window =
        |until_acknowledged, until_delivered| Pace::Window { messages: 16, until_acknowledged, until_delivered };
    assert_eq!(pace("p2p"), window(false, true));
    assert_eq!(pace("p2p --credit ack"), window(false, true));
    assert_eq!(pace("p2p --qos 1"), window(true, true));
    assert_eq!(pace("p2p --qos 2 --credit ack"), window(true, false));
    assert_eq!(pace("p2p --qos 2 --credit delivery"), window(false, true));
    assert_eq!(pace("p2p --rate 5"), Pace::Rate { per_second: 5 });
}

#[test]
fn topics_filters_and_identifiers_carry_their_prefixes() {
    let plan = plan("fanin --publishers 4 --subscribers 2 --share g --topic-prefix a/b").unwrap();
    assert_eq!(plan.topic(3), "a/b/in/1/3");
    assert_eq!(plan.filters(1), ["$share/g/a/b/in/#"]);
    assert_eq!(plan.clients(), 6);
}

#[test]
fn many_loopback_clients_get_several_addresses() {
    assert!(plan("conn --clients 10000").unwrap().connecting.sources.is_empty());
    let many = plan("conn --clients 50000").unwrap();
    assert_eq!(many.source(0).unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(many.source(5).unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(many.source(4).unwrap().to_string(), "127.0.0.5:0");
    let given = plan("conn --clients 50000 --ifaddr 127.0.0.9").unwrap();
    assert_eq!(given.source(7).unwrap().to_string(), "127.0.0.9:0");
}

#[test]
fn contradictions_are_refused() {
    for line in [
        "p2p --expiry 5",
        "conn --ramp-up 5s",
        "p2p --mqtt 4 --receive-maximum 5",
        "p2p --mqtt 3 --client-id-prefix abcdefghijklmnopqrstuvwxyz",
        "p2p --driver monoio",
        "p2p --target nonsense",
        "p2p --ifaddr ::1",
        "p2p --simulated --broker-shards 1 --cores 0,1",
    ] {
        assert!(plan(line).is_err(), "accepted `{line}`");
    }
}

//! A whole run on a link that loses one message. What works is tested with the binary, in `tests/simulated.rs`.

use super::Simulated;
use crate::cli::Cli;
use crate::plan::Plan;
use crate::report::{Report, Verdict};
use crate::run::carry_out;
use clap::Parser;
use std::sync::Arc;

fn run(line: &str, lose: Option<u64>) -> Report {
    let words = std::iter::once("ringmq-loadgen").chain(line.split_whitespace());
    let plan = Plan::new(&Cli::try_parse_from(words).unwrap()).unwrap();
    let plan = Arc::new(Plan { simulated: Some(Simulated { lose }), ..plan });
    Report::new(&plan, carry_out(&plan, Vec::new()).unwrap())
}

#[test]
fn a_message_that_a_link_loses_is_missed() {
    // One message in flight a pair, so that a record holds one message. The first shard loses it: with few pairs all
    // subscribers may belong to the other one, four of them once in sixteen runs.
    let line = "p2p --pairs 40 --window 1 --simulated --quiet --duration 300ms --warmup 0s --drain 300ms";
    for more in ["--qos 1", "--qos 1 --broker-shards 2"] {
        let line = format!("{line} {more}");
        let report = run(&line, Some(20));
        assert_eq!((report.verdict, report.checks.lost), (Verdict::Failed, 1), "`{line}`: {:?}", report.reasons);
        assert_eq!(run(&line, None).verdict, Verdict::Passed, "`{line}`");
    }
    let report = run(line, Some(20));
    assert_eq!((report.verdict, report.checks.lost), (Verdict::Passed, 1), "QoS 0 promises nothing");
}

//! Verdicts of findings made up.

use super::*;
use crate::cli::Cli;
use clap::Parser;

fn findings() -> Findings {
    let mut meter = Meter { connected: 2, sent: 1000, due: 1000, delivered: 1000, ..Meter::default() };
    meter.idle_ns = 1;
    Findings {
        tally: Tally { delivered: 1000, ..Tally::default() },
        meter,
        measured: Duration::from_secs(1),
        samples: Samples::default(),
        warnings: Vec::new(),
        sent_in_all: 1000,
        simulated: None,
        workers: Vec::new(),
        experiences: Vec::new(),
    }
}

fn verdict(line: &str, change: impl FnOnce(&mut Findings)) -> Verdict {
    let words = std::iter::once("ringmq-loadgen").chain(line.split_whitespace());
    let plan = Plan::new(&Cli::try_parse_from(words).unwrap()).unwrap();
    let mut findings = findings();
    change(&mut findings);
    let report = Report::new(&plan, findings);
    assert_eq!(report.reasons.is_empty(), report.verdict == Verdict::Passed, "a verdict has its reasons");
    let line = serde_json::to_string(&report).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<Report>(&line).unwrap().verdict, report.verdict);
    report.verdict
}

#[test]
fn what_fails_a_run_depends_on_the_qos_at_which_messages_arrive() {
    let lost = |findings: &mut Findings| findings.tally.lost = 1;
    let twice = |findings: &mut Findings| findings.tally.duplicates = 1;
    assert_eq!(verdict("p2p", |_| ()), Verdict::Passed);
    assert_eq!(verdict("p2p", lost), Verdict::Passed);
    assert_eq!(verdict("p2p --qos 1", lost), Verdict::Failed);
    assert_eq!(verdict("p2p --qos 1 --sub-qos 0", lost), Verdict::Passed);
    assert_eq!(verdict("p2p --qos 1", twice), Verdict::Passed);
    assert_eq!(verdict("p2p --qos 2", twice), Verdict::Failed);
    assert_eq!(verdict("p2p --qos 2 --sub-qos 1", twice), Verdict::Passed);
    assert_eq!(verdict("p2p", |findings| findings.tally.reordered = 1), Verdict::Failed);
    assert_eq!(verdict("p2p", |findings| findings.tally.damaged = 1), Verdict::Failed);
    assert_eq!(verdict("p2p", |findings| findings.tally.foreign = 1), Verdict::Passed);
    assert_eq!(verdict("p2p", |findings| findings.meter.error("closed".into())), Verdict::Failed);
    assert_eq!(verdict("p2p", |findings| findings.meter.delivered = 0), Verdict::Failed);
}

#[test]
fn a_run_that_was_ended_early_is_no_result_but_what_failed_still_counts() {
    let early = |findings: &mut Findings| (findings.samples.interrupted, findings.meter.delivered) = (true, 0);
    assert_eq!(verdict("p2p", early), Verdict::Invalid);
    let lost = |findings: &mut Findings| (findings.samples.interrupted, findings.tally.lost) = (true, 1);
    assert_eq!(verdict("p2p --qos 1", lost), Verdict::Failed);
}

#[test]
fn a_schedule_that_was_not_kept_makes_a_run_invalid() {
    let line = "p2p --rate 1000";
    assert_eq!(verdict(line, |findings| findings.meter.lag.record(900_000)), Verdict::Passed);
    assert_eq!(verdict(line, |findings| findings.meter.lag.record(1_100_000)), Verdict::Invalid);
    assert_eq!(verdict(line, |findings| findings.meter.due = 980), Verdict::Invalid);
    assert_eq!(verdict(line, |findings| findings.meter.sent = 980), Verdict::Invalid);
    assert_eq!(verdict(line, |findings| findings.meter.unsent = 1), Verdict::Invalid);
    assert_eq!(verdict("p2p", |findings| findings.meter.due = 0), Verdict::Passed, "a closed loop has none");
    let both = |findings: &mut Findings| (findings.meter.due, findings.tally.reordered) = (0, 1);
    assert_eq!(verdict(line, both), Verdict::Failed, "failure outweighs");
}

#[test]
fn a_limit_ends_the_schedule() {
    let hundred = |findings: &mut Findings| (findings.meter.due, findings.meter.sent) = (100, 100);
    assert_eq!(verdict("p2p --pairs 10 --rate 1000", hundred), Verdict::Invalid);
    assert_eq!(verdict("p2p --pairs 10 --rate 1000 --limit 10", hundred), Verdict::Passed);
    assert_eq!(verdict("p2p --pairs 10 --rate 1000 --limit 12", hundred), Verdict::Invalid);
    assert_eq!(verdict("p2p --pairs 10 --rate 1000 --limit 12 --warmup 20ms", hundred), Verdict::Passed);
}

#[test]
fn figures_keep_six_digits() {
    let cases = [(0.0, 0.0), (1_234_567.8, 1_234_568.0), (1.234_567_8, 1.234_57), (0.000_123_456_7, 0.000_123_457)];
    for (value, expected) in cases {
        assert_eq!(tidy(value), expected);
    }
    assert_eq!((tidy(f64::NAN), tidy(f64::INFINITY)), (0.0, 0.0));
}

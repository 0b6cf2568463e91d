//! Disturbed runs: brokers that work pass them with every message accounted for, and brokers that err do not.
//!
//! The broker is mosquitto, and also the `ringmq` that the environment variable RINGMQ_BIN names, if it is set.

mod support;

use ringmq_loadgen::disturbance::Kind;
use ringmq_loadgen::report::{Report, Verdict};
use std::path::PathBuf;
use support::tamper::{Tampering, relay};
use support::{Broker, brokers, run};

/// Runs a disturbed scenario that must pass, and looks at what must always be so.
fn survive(line: &str, port: u16) -> Report {
    let line = format!("{line} --warmup 100ms --drain 5s");
    let (report, code, errors) = run(&line, port);
    assert!(report.errors.is_empty(), "`{line}`: {errors}");
    // On a busy machine an open loop may rightly be found invalid; everything else must hold.
    assert!(matches!(code, 0 | 3), "`{line}` ended with {code}: {errors}");
    let checks = &report.checks;
    assert_eq!((checks.lost, checks.reordered, checks.damaged, checks.foreign), (0, 0, 0, 0), "`{line}`: {checks:?}");
    // One copy of each message: it has come, or it did not have to.
    let copies = u64::from(report.scenario.copies);
    assert_eq!(checks.delivered + checks.missed + checks.dropped, report.traffic.sent_in_all * copies, "`{line}`");
    for disturbance in &report.disturbances {
        assert!(disturbance.hit > 0 && disturbance.hit == disturbance.recovered, "`{line}`: {disturbance:?}");
        assert!(disturbance.all_back_max_ms >= disturbance.all_back_mean_ms, "`{line}`: {disturbance:?}");
    }
    assert!(!report.disturbances.is_empty() && report.latency.contains_key("end_to_end_undisturbed"));
    report
}

#[test]
fn lost_connections_come_back() {
    for broker in brokers() {
        let report = survive("run reconnect-storm --scale 0.02 --rate 400 --duration 2s", broker.port);
        let hit: u64 = report.disturbances.iter().map(|disturbance| disturbance.hit).sum();
        assert_eq!((hit, report.connect.connected), (100, 130), "10 pairs' halves and 90 idle clients");
        assert_eq!(report.latency["reconnect"].count, 100);
        assert_eq!(report.latency["resubscribe"].count, 10, "the session was lost");
        assert_eq!(report.latency["connack"].count, 130, "as it was before the storm");
        assert_eq!(report.checks.duplicates, 0);
    }
}

#[test]
fn sessions_are_resumed_without_loss() {
    for broker in brokers() {
        for how in ["", "--qos 2", "--mqtt 4 --expiry 0"] {
            let report = survive(&format!("run session-resume --scale 0.02 --duration 3500ms {how}"), broker.port);
            assert_eq!(report.checks.missed, 0, "a session keeps everything");
            let [resumed] = &report.disturbances[..] else { panic!("{:?}", report.disturbances) };
            assert!((100..=300).contains(&resumed.replayed), "10 clients missed 20 messages each: {resumed:?}");
            let found = [report.latency["reconnect"].count, report.latency["replay"].count];
            assert_eq!((resumed.hit, resumed.rounds, found), (10, 1, [10, 10]));
        }
    }
}

#[test]
fn a_second_connection_ends_the_first() {
    for broker in brokers() {
        for mqtt in [4, 5] {
            let line = format!("run take-over-storm --scale 0.02 --rate 300 --duration 1500ms --mqtt {mqtt}");
            let report = survive(&line, broker.port);
            let [taken] = &report.disturbances[..] else { panic!("{:?}", report.disturbances) };
            assert_eq!((taken.kind, taken.hit, report.latency["takeover"].count), (Kind::Takeover, 20, 20));
            assert!(taken.told <= if mqtt == 5 { 20 } else { 0 }, "{taken:?}");
        }
        let kept = "run take-over-storm --scale 0.02 --rate 300 --duration 1500ms --clean false --expiry 60";
        let report = survive(kept, broker.port);
        assert_eq!((report.checks.missed, report.latency.get("resubscribe")), (0, None), "the session goes on");
    }
}

#[test]
fn disturbances_spread_over_processes() {
    for broker in brokers() {
        let processes = "--processes 2 --no-spin";
        let report =
            survive(&format!("run reconnect-storm --scale 0.02 --rate 400 --duration 2s {processes}"), broker.port);
        assert_eq!(report.disturbances.iter().map(|disturbance| disturbance.hit).sum::<u64>(), 100);
        assert_eq!((report.latency["reconnect"].count, report.latency["resubscribe"].count), (100, 10));
        assert!(report.checks.missed <= report.traffic.sent_in_all / 2, "{:?}", report.checks);

        let report = survive(&format!("run session-resume --scale 0.02 --duration 3500ms {processes}"), broker.port);
        let [resumed] = &report.disturbances[..] else { panic!("{:?}", report.disturbances) };
        assert_eq!((report.checks.missed, resumed.hit, resumed.rounds), (0, 10, 1));
        assert!((100..=300).contains(&resumed.replayed), "10 clients missed 20 messages each: {resumed:?}");

        let storm = "run take-over-storm --scale 0.02 --rate 300 --duration 1500ms";
        let report = survive(&format!("{storm} {processes}"), broker.port);
        assert_eq!((report.disturbances[0].hit, report.latency["takeover"].count), (20, 20));

        let line = format!("run retained-storm --scale 0.05 --rate 200 --duration 1500ms --warmup 100ms {processes}");
        let (report, code, errors) = run(&line, broker.port);
        assert!(report.errors.is_empty() && matches!(code, 0 | 3), "`{line}` ended with {code}: {errors}");
        assert_eq!(report.checks.delivered, 2 * 10 * 25 + report.traffic.sent_in_all);
        assert_eq!((report.checks.lost, report.checks.missed, report.disturbances[0].recovered), (0, 0, 10));
    }
}

#[test]
fn subscriptions_come_and_go() {
    for broker in brokers() {
        let report = survive("run subscription-churn --scale 0.02 --rate 400 --duration 3s", broker.port);
        let [churn] = &report.disturbances[..] else { panic!("{:?}", report.disturbances) };
        assert!((15..=30).contains(&churn.hit), "10 clients in two and a half seconds: {churn:?}");
        assert_eq!(churn.rounds, 3);
        // The last exchanges may end in the drain, but they were meant for before it.
        assert_eq!(report.latency["unsubscribe"].count, churn.hit);
        assert_eq!(report.latency["resubscribe"].count, churn.hit);
    }
}

#[test]
fn slow_readers_get_their_messages_late() {
    for broker in brokers() {
        // A second of small messages fits into any queue, so nothing may be dropped.
        let file = scenario(r#"{ kind = "pause", at = "300ms", every = "1s", lasts = "500ms" }"#, "");
        let report = survive(&format!("run {} --duration 2s", file.display()), broker.port);
        assert_eq!((report.disturbances[0].hit, report.checks.dropped), (2, 0));
        let (all, fast) = (&report.latency["end_to_end"], &report.latency["end_to_end_undisturbed"]);
        assert!(all.max_us > 400_000.0 && all.count > fast.count, "{all:?} {fast:?}");
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn every_subscription_brings_every_retained_message() {
    for broker in brokers() {
        // On two threads half of the retained messages are those of publishers on the other thread.
        for how in ["--qos 1", "--qos 2", "--qos 1 --threads 2 --no-spin"] {
            let line = format!("run retained-storm --scale 0.05 --rate 200 --duration 1500ms --warmup 100ms {how}");
            let (report, code, errors) = run(&line, broker.port);
            assert!(report.errors.is_empty() && matches!(code, 0 | 3), "`{line}` ended with {code}: {errors}");
            // 10 subscribers of 25 messages, at first and in the storm, and 10 pairs.
            assert_eq!(report.checks.delivered, 2 * 10 * 25 + report.traffic.sent_in_all, "`{line}`");
            assert_eq!((report.checks.lost, report.checks.duplicates, report.checks.missed), (0, 0, 0));
            assert_eq!((report.disturbances[0].recovered, report.latency["retained"].count), (10, 20));
        }
    }
}

/// Publishers 0 to 2 are live and 3 to 8 have stored a message, so that on two threads each subscriber hears publishers
/// of the other thread whose numbers there are those of other publishers here.
#[test]
fn resumed_sessions_wait_for_their_own_threads_publishers_only() {
    let text = "description = \"sessions beside a store\"\nmqtt = \"5.0\"\nduration = \"1500ms\"\n\
                clean_start = false\nsession_expiry_s = 60\n[messages]\nqos = 1\nrate_per_publisher = 20\n\
                [[publishers]]\ncount = 3\ntopic = \"a/%i\"\n\
                [[publishers]]\ncount = 6\ntopic = \"store/%i\"\nretained = true\n\
                [[subscribers]]\ncount = 3\nfilters = [\"a/%i\", \"store/+\"]\n\
                disturb = { kind = \"reconnect\", at = \"300ms\", lasts = \"500ms\" }\n";
    for broker in brokers() {
        for threads in [1, 2, 3] {
            let file = scenario_file(text);
            let line = format!("run {} --threads {threads} --no-spin --warmup 0s --drain 5s", file.display());
            let (report, code, errors) = run(&line, broker.port);
            std::fs::remove_file(&file).unwrap();
            assert!(report.errors.is_empty() && matches!(code, 0 | 3), "{threads} threads, {code}: {errors}");
            let [resumed] = &report.disturbances[..] else { panic!("{:?}", report.disturbances) };
            assert_eq!((resumed.hit, resumed.recovered), (3, 3), "{threads} threads: {resumed:?}");
            assert!((15..=60).contains(&resumed.replayed), "3 clients missed 10 messages each: {resumed:?}");
            let checks = &report.checks;
            assert_eq!((checks.lost, checks.missed, checks.delivered), (0, 0, report.traffic.sent_in_all + 3 * 6));
        }
    }
}

/// A file with one disturbed and one undisturbed pair, 20 messages a second each.
fn scenario(disturb: &str, keys: &str) -> PathBuf {
    let text = format!(
        "description = \"two pairs\"\nmqtt = \"5.0\"\nduration = \"2s\"\n{keys}\n[messages]\nqos = 1\n\
         rate_per_publisher = 20\n[[publishers]]\ncount = 2\ntopic = \"a/%i\"\n\
         [[subscribers]]\ncount = 1\nfilters = [\"a/0\"]\ndisturb = {disturb}\n\
         [[subscribers]]\ncount = 1\nfilters = [\"a/1\"]\n"
    );
    scenario_file(&text)
}

fn run_text(text: &str, port: u16) -> (Report, i32, String) {
    let file = scenario_file(text);
    let result = run(&format!("run {} --warmup 0s --drain 1s", file.display()), port);
    std::fs::remove_file(file).unwrap();
    result
}

/// A file that no other test uses.
fn scenario_file(text: &str) -> PathBuf {
    let number = std::thread::current().id();
    let file = std::env::temp_dir().join(format!("loadgen-disturbed-{}-{number:?}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    file
}

/// Runs the two pairs through a relay that errs at message `number` of every connection.
fn broken(disturb: &str, keys: &str, tampering: Tampering, number: usize) -> Option<(Report, i32, String)> {
    broken_with("", disturb, keys, tampering, number)
}

/// The same with more options.
fn broken_with(
    options: &str,
    disturb: &str,
    keys: &str,
    tampering: Tampering,
    number: usize,
) -> Option<(Report, i32, String)> {
    let broker = Broker::mosquitto("allow_anonymous true")?;
    let port = relay(broker.port, tampering, number);
    let file = scenario(disturb, keys);
    let result = run(&format!("run {} --duration 2s --warmup 0s --drain 1s {options}", file.display()), port);
    std::fs::remove_file(file).unwrap();
    Some(result)
}

/// The undisturbed connection gets some 40 messages, the disturbed one some 10 before it is hit and the others after.
const AFTER_THE_HIT: usize = 18;

#[test]
fn a_session_that_loses_a_queued_message_fails() {
    let disturb = r#"{ kind = "reconnect", at = "500ms", lasts = "1s" }"#;
    let keys = "clean_start = false\nsession_expiry_s = 60";
    let Some((report, code, errors)) = broken(disturb, keys, Tampering::Drop, AFTER_THE_HIT) else { return };
    // The last one dropped is among the 20 that were queued; the other is the undisturbed pair's.
    assert_eq!(
        (code, report.verdict, report.checks.lost, report.checks.missed),
        (1, Verdict::Failed, 2, 0),
        "{errors}"
    );
    assert!(report.errors.is_empty(), "later messages have arrived: {errors}");
}

#[test]
fn a_retained_message_that_does_not_come_fails() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    for (disturb, number, lost) in [("", 3, 1), ("disturb = { kind = \"resubscribe\", at = \"300ms\" }", 13, 1)] {
        let text = format!(
            "description = \"a store\"\nduration = \"1s\"\n[messages]\nqos = 1\n\
             [[publishers]]\ncount = 10\ntopic = \"a/%i\"\nretained = true\n\
             [[subscribers]]\ncount = 1\nfilters = [\"a/+\"]\n{disturb}\n"
        );
        let file = scenario_file(&text);
        let port = relay(broker.port, Tampering::Drop, number);
        let line = format!("run {} --warmup 0s --drain 300ms", file.display());
        let (report, code, errors) = run(&line, port);
        std::fs::remove_file(&file).unwrap();
        assert_eq!((code, report.checks.lost), (1, lost), "{errors}");
        let (_, code, errors) = run_text(&text, broker.port);
        assert_eq!(code, 0, "without the relay: {errors}");
    }
}

#[test]
fn a_session_that_is_gone_fails() {
    let disturb = r#"{ kind = "reconnect", at = "300ms" }"#;
    let keys = "clean_start = false\nsession_expiry_s = 60";
    let Some((report, code, errors)) = broken(disturb, keys, Tampering::ForgetSession, 0) else { return };
    assert_eq!((code, report.errors.get("CONNACK: the session is gone")), (1, Some(&1)), "{errors}");
}

#[test]
fn a_message_lost_after_the_return_is_not_excused() {
    let disturb = r#"{ kind = "reconnect", at = "500ms", lasts = "200ms" }"#;
    for options in ["", "--processes 2 --no-spin"] {
        let found = broken_with(options, disturb, "", Tampering::Drop, AFTER_THE_HIT);
        let Some((report, code, errors)) = found else { return };
        assert_eq!((code, report.checks.lost), (1, 2), "{errors}");
        let checks = &report.checks;
        assert!(checks.missed > 0, "{checks:?}");
        assert_eq!(checks.delivered + checks.missed + checks.lost, report.traffic.sent_in_all, "{errors}");
    }
}

#[test]
fn a_message_lost_between_two_changes_of_subscription_is_not_excused() {
    let disturb = r#"{ kind = "resubscribe", at = "300ms" }"#;
    let Some((report, code, errors)) = broken(disturb, "", Tampering::Drop, AFTER_THE_HIT) else { return };
    assert_eq!((code, report.checks.lost), (1, 2), "{errors}");
}

#[test]
fn a_first_connection_that_stays_open_fails() {
    let disturb = r#"{ kind = "takeover", at = "300ms" }"#;
    let Some((report, code, errors)) = broken(disturb, "", Tampering::KeepOpen, 0) else { return };
    let missing = "takeover: a client is not back to normal: its first connection was not closed";
    assert_eq!((code, report.errors.get(missing)), (1, Some(&1)), "{errors}");
    assert!(errors.contains("takeover: 1 of 1 clients hit were not back to normal"), "{errors}");
}

#[test]
fn a_slow_reader_may_lose_only_if_the_scenario_says_so() {
    for (more, options, code, lost, dropped) in [
        ("", "", 1, 2, 0),
        (", may_lose = true", "", 1, 1, 1),
        (", may_lose = true", "--processes 2 --no-spin", 1, 1, 1),
    ] {
        let disturb = format!("{{ kind = \"pause\", at = \"300ms\", lasts = \"200ms\"{more} }}");
        let found = broken_with(options, &disturb, "", Tampering::Drop, AFTER_THE_HIT);
        let Some((report, ended, errors)) = found else { return };
        let checks = &report.checks;
        assert_eq!((ended, checks.lost, checks.dropped), (code, lost, dropped), "the fast one's counts: {errors}");
    }
}

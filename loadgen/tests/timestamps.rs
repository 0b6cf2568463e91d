//! `--timestamps kernel`: latencies end when the kernel has received a message, however late the generator reads it.
//!
//! The broker is mosquitto, and also the `ringmq` that the environment variable RINGMQ_BIN names, if it is set.

mod support;

use ringmq_loadgen::report::Report;
use support::{brokers, run, scratch};

/// False, with a word on standard error, where the kernel cannot do it.
fn available() -> bool {
    let features = ringmq_drive::probe();
    let available = features.refusal.is_none() && features.multishot_receive;
    if !available {
        eprintln!("SKIPPED: times of arrival need io_uring of Linux 6.0: {features}");
    }
    available
}

/// Runs a line with the kernel's timestamps, and looks at what must always be so.
fn stamped(line: &str, port: u16) -> Report {
    let line = format!("{line} --timestamps kernel --drain 5s");
    let (report, code, errors) = run(&line, port);
    // On a busy machine an open loop may rightly be found invalid; everything else must hold.
    assert!(matches!(code, 0 | 3) && report.errors.is_empty(), "`{line}` ended with {code}: {errors}");
    let checks = &report.checks;
    assert_eq!((checks.lost, checks.duplicates, checks.reordered, checks.damaged), (0, 0, 0, 0), "`{line}`");
    assert_eq!(report.scenario.timestamps.as_deref(), Some("kernel"), "`{line}`");
    assert_eq!(report.generator.unstamped, Some(0), "`{line}`: {errors}");
    let latency = &report.latency;
    assert!(latency["end_to_end"].count > 0 && latency["end_to_end"].min_us > 0.0, "`{line}`");
    assert_eq!(latency["generator_read"].count, latency["end_to_end"].count, "`{line}`");
    report
}

#[test]
fn messages_of_every_kind_come_whole_and_with_their_time() {
    for broker in brokers().iter().filter(|_| available()) {
        let short = "--duration 300ms --warmup 100ms";
        for line in [
            "p2p --pairs 10 --qos 0 --window 4",
            "p2p --pairs 10 --qos 1 --mqtt 5 --window 4 --cores 0,1",
            "p2p --pairs 10 --qos 2 --rate 500 --no-spin",
            "p2p --pairs 10 --qos 1 --direct --threads 3 --no-spin",
            "fanout --subscribers 30 --window 2",
            // Frames of many receives, and receives of many frames.
            "fanout --subscribers 2 --size 100000 --window 1",
            "fanin --publishers 20 --subscribers 1 --size 16..1000 --window 16",
            "p2p --pairs 10 --qos 1 --rate 500 --processes 2 --no-spin",
        ] {
            let report = stamped(&format!("{line} {short}"), broker.port);
            assert_eq!(
                report.checks.delivered,
                report.traffic.sent_in_all * u64::from(report.scenario.copies),
                "{line}"
            );
            assert_eq!(report.latency.contains_key("acknowledge"), report.scenario.qos > 0, "{line}");
        }
    }
}

/// Message 2 of four is due at 2 s, while the subscriber does not read: it is read 0.8 s after it has arrived.
const LATE: &str = r#"
description = "a reader that pauses"
warmup = "0s"
duration = "4s"

[messages]
size = 64
rate_per_publisher = 1

[[publishers]]
count = 1
topic = "late/%i"

[[subscribers]]
count = 1
filters = ["late/%i"]
disturb = { kind = "pause", at = "1200ms", lasts = "1600ms" }
"#;

#[test]
fn what_is_read_late_has_arrived_in_time() {
    let file = scratch("toml");
    std::fs::write(&file, LATE).unwrap();
    for broker in brokers().iter().filter(|_| available()) {
        let line = format!("run {}", file.display());
        let report = stamped(&line, broker.port);
        let latency = &report.latency;
        assert_eq!(latency["end_to_end"].count, 4);
        assert!(latency["end_to_end"].max_us < 400_000.0, "{:?}", latency["end_to_end"]);
        assert!(latency["generator_read"].max_us > 600_000.0, "{:?}", latency["generator_read"]);

        // Without the option it is late.
        let (report, code, errors) = run(&line, broker.port);
        assert!(matches!(code, 0 | 3), "{errors}");
        assert!(report.latency["end_to_end"].max_us > 600_000.0, "{:?}", report.latency["end_to_end"]);
        assert!(!report.latency.contains_key("generator_read"));
        assert_eq!((report.scenario.timestamps, report.generator.unstamped), (None, None));
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn other_programs_messages_have_their_time_too() {
    for broker in brokers().iter().filter(|_| available()) {
        let mut sender =
            support::generator("pub --publishers 4 --topic live/%i --interval 20ms --duration 60s", broker.port)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
        let heard = (0..20).find_map(|_| {
            let line = "sub --subscribers 3 --topic live/+ --duration 500ms --timestamps kernel";
            let (report, code, errors) = run(line, broker.port);
            assert_eq!(code, 0, "{errors}");
            report.latency.contains_key("end_to_end").then_some(report)
        });
        sender.kill().unwrap();
        sender.wait().unwrap();
        let latency = heard.expect("nothing was heard").latency;
        assert_eq!(latency["generator_read"].count, latency["end_to_end"].count);
        assert!(latency["end_to_end"].min_us > 0.0);
    }
}

#[test]
fn a_driver_without_timestamps_is_refused() {
    let output = support::generator("p2p --timestamps kernel --driver epoll", 1).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(problem.contains("--timestamps kernel belongs to the uring driver"), "{problem}");
}

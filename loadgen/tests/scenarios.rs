//! Every scenario against brokers that work: what they deliver must be counted as delivered, and nothing as lost.
//!
//! The broker is mosquitto, and also the `ringmq` that the environment variable RINGMQ_BIN names, if it is set.

mod support;

use ringmq_loadgen::latency::Latency;
use ringmq_loadgen::report::{Report, Verdict};
use support::{brokers, run};

/// Enough traffic to see everything work, on machines that are busy with other tests.
const SHORT: &str = "--duration 300ms --warmup 50ms --drain 5s";

fn clean(line: &str, port: u16) -> Report {
    let (report, code, errors) = run(line, port);
    assert!(report.errors.is_empty(), "`{line}`: {errors}");
    // On a busy machine an open loop may rightly be found invalid; everything else must hold.
    assert!(matches!(code, 0 | 3), "`{line}` ended with {code}: {errors}");
    let expected = if code == 0 { Verdict::Passed } else { Verdict::Invalid };
    assert_eq!(report.verdict, expected);
    let checks = &report.checks;
    assert_eq!((checks.lost, checks.duplicates, checks.reordered, checks.damaged, checks.foreign), (0, 0, 0, 0, 0));
    report
}

/// Runs a scenario with messages and looks at what must always be so.
fn deliver(scenario: &str, copies: u64, port: u16) -> Report {
    let line = format!("{scenario} {SHORT}");
    let report = clean(&line, port);
    assert!(report.traffic.delivered > 0, "`{line}` delivered nothing");
    assert_eq!(report.checks.delivered, report.traffic.sent_in_all * copies, "`{line}`");
    assert!(report.latency["end_to_end"].p50_us > 0.0);
    assert_eq!(report.latency.contains_key("acknowledge"), report.scenario.qos > 0);
    assert_eq!(report.latency["connack"].count, report.connect.connected);
    assert_eq!(report.latency["subscribe"].count, u64::from(report.scenario.subscribers), "each subscribed once");
    assert_eq!(report.generator.pings, 0, "nobody was silent for long");
    report
}

#[test]
fn pairs_in_every_version_and_qos() {
    for broker in brokers() {
        for mqtt in [3, 4, 5] {
            for qos in 0..3 {
                let report = deliver(&format!("p2p --pairs 10 --mqtt {mqtt} --qos {qos} --window 4"), 1, broker.port);
                assert_eq!((report.scenario.mqtt, report.connect.connected), (mqtt, 20));
            }
        }
    }
}

#[test]
fn both_drivers_one_thread_or_two() {
    for broker in brokers() {
        for driver in ["uring", "epoll"] {
            for cores in ["0", "0,1"] {
                deliver(&format!("p2p --pairs 8 --qos 1 --driver {driver} --cores {cores}"), 1, broker.port);
            }
            deliver(&format!("p2p --pairs 8 --driver {driver} --no-spin"), 1, broker.port);
        }
    }
}

#[test]
fn the_window_works_across_threads() {
    for broker in brokers() {
        // Publishers and subscribers are on different threads, so that credits pass through the mesh.
        let report = deliver("fanin --publishers 9 --subscribers 2 --all --window 2 --cores 0,1", 2, broker.port);
        assert_eq!(report.generator.stalls, 0, "credits must not get lost");
        deliver("fanout --publishers 3 --subscribers 10 --window 2 --qos 1 --cores 0,1", 10, broker.port);
    }
}

#[test]
fn fan_in_and_shared_subscriptions() {
    for broker in brokers() {
        for mqtt in [4, 5] {
            for qos in 0..3 {
                let common = format!("--publishers 20 --subscribers 3 --window 2 --mqtt {mqtt} --qos {qos}");
                deliver(&format!("fanin {common}"), 1, broker.port);
                let report = deliver(&format!("fanin --share workers {common}"), 1, broker.port);
                assert_eq!(report.scenario.share.as_deref(), Some("workers"));
            }
        }
    }
}

#[test]
fn fan_out() {
    for broker in brokers() {
        for qos in 0..3 {
            deliver(&format!("fanout --subscribers 30 --mqtt 5 --qos {qos} --window 2"), 30, broker.port);
        }
        deliver("fanout --publishers 4 --subscribers 5 --topics 2 --size 1000", 5, broker.port);
        deliver("fanout --subscribers 5 --qos 2 --sub-qos 1", 5, broker.port);
        // A frame larger than any receive buffer.
        deliver("fanout --subscribers 2 --size 100000 --window 1", 2, broker.port);
    }
}

#[test]
fn an_open_loop_keeps_its_rate_and_can_sleep() {
    for broker in brokers() {
        let line = "p2p --pairs 5 --qos 1 --rate 500 --duration 2s --warmup 100ms --drain 5s";
        for more in ["", "--no-spin --driver epoll"] {
            let report = clean(&format!("{line} {more}"), broker.port);
            let sent = report.traffic.sent_per_second;
            assert!((450.0..550.0).contains(&sent), "{sent} messages a second instead of 500");
            assert_eq!(report.latency["generator_lag"].count, report.latency["end_to_end"].count);
        }
    }
}

#[test]
fn connections_with_and_without_a_subscription() {
    for broker in brokers() {
        let line = format!("conn --clients 300 --duration 200ms --pid {}", broker.pid());
        let report = clean(&format!("{line} --subscribe --mqtt 5"), broker.port);
        assert_eq!((report.connect.connected, report.latency["connect"].count), (300, 300));
        assert!(report.connect.broker_bytes.is_some() && report.broker.is_some());
        let report = clean(&format!("{line} --connect-rate 1000 --ifaddr 127.0.0.2,127.0.0.3"), broker.port);
        assert!(report.connect.seconds >= 0.299, "300 connections at 1,000 a second took {}", report.connect.seconds);
    }
}

#[test]
fn more_threads_than_cores_and_no_files() {
    for broker in brokers() {
        let report = clean(&format!("p2p --pairs 30 --qos 1 --direct --threads 3 --no-spin {SHORT}"), broker.port);
        assert_eq!((report.generator.threads, report.connect.connected), (3, 60));
        let line = "conn --clients 300 --subscribe --direct --threads 2 --no-spin --duration 200ms";
        assert_eq!(clean(line, broker.port).connect.connected, 300);
    }
}

#[test]
fn idle_clients_stay_alive_by_pings() {
    for broker in brokers() {
        let report = clean("conn --clients 50 --keepalive 1 --duration 3s", broker.port);
        // Silent for half a second to three quarters, then a ping: four to six in three seconds.
        let pings = report.generator.pings;
        assert!((150..=350).contains(&pings), "{pings} pings of 50 clients in 3 s");
    }
}

#[test]
fn leftovers_of_another_run_are_ignored() {
    for broker in brokers() {
        deliver("p2p --pairs 3 --retain --qos 1", 1, broker.port);
        let (report, code, errors) = run(&format!("p2p --pairs 3 --qos 1 {SHORT}"), broker.port);
        assert_eq!((code, report.checks.foreign, report.checks.lost), (0, 3, 0), "{errors}");
    }
}

#[test]
fn the_series_and_the_distributions_hold_everything_measured() {
    let prefix = std::env::temp_dir().join(format!("loadgen-test-{}", std::process::id()));
    for broker in brokers() {
        let line = "p2p --pairs 5 --qos 1 --rate 500 --duration 2s --warmup 100ms --drain 5s";
        let report = clean(&format!("{line} --hgrm {}", prefix.display()), broker.port);
        assert_eq!(report.series.len(), 2);
        let sums = report.series.iter().fold((0, 0), |sum, second| (sum.0 + second.sent, sum.1 + second.delivered));
        // The interval is a little longer than its whole seconds.
        assert!(sums.0 <= report.traffic.sent && sums.0 + 100 > report.traffic.sent, "{sums:?}");
        assert!(sums.1 <= report.traffic.delivered && sums.1 + 100 > report.traffic.delivered, "{sums:?}");
        assert!(report.series.iter().all(|second| second.p50_us.unwrap() <= second.p99_us.unwrap()));
        for name in ["connect", "connack", "subscribe", "end_to_end", "acknowledge", "generator_lag"] {
            let path = format!("{}.{name}.hgrm", prefix.display());
            let text = std::fs::read_to_string(&path).unwrap();
            let whole = Latency::decode(&report.histograms[name]).unwrap();
            assert_eq!(whole.percentiles().unwrap(), report.latency[name], "{name}");
            let count = format!("Total count    = {:12}]", report.latency[name].count);
            assert!(text.contains(&count), "{name}: {text}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn presets_and_files_run() {
    for broker in brokers() {
        deliver("run p2p-50K-50K-50K-50K --scale 0.0004 --rate 200", 1, broker.port);
        deliver("run fanout-5-1000-5-250K --scale 0.01", 10, broker.port);
        let report = deliver("run sharedsub-50K-500-50K-50K --scale 0.004 --rate 200", 1, broker.port);
        assert_eq!((report.scenario.size, report.scenario.share.as_deref()), (16, Some("benchmark")));
        assert_eq!((report.scenario.publishers, report.scenario.subscribers), (200, 2));
        deliver("run bursts --scale 0.02 --rate 400", 1, broker.port);
        deliver("run large-payloads --scale 0.1", 1, broker.port);
        deliver("run small-receive-maximum --scale 0.05", 1, broker.port);
        let report = clean("run conn-tcp-10K-100 --scale 0.003 --duration 200ms", broker.port);
        assert_eq!((report.connect.connected, report.scenario.keep_alive_s), (30, 300));
        assert!(report.connect.seconds >= 0.28, "30 connections at 100 a second");
    }
}

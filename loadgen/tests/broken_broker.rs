//! A run against a broker that errs must say so, in the counts, in words and in the exit code.

mod support;

use ringmq_loadgen::report::Verdict;
use std::process::Stdio;
use support::tamper::{Tampering, relay};
use support::{Broker, generator, read, run};

/// One pair, so that one message on one connection is tampered with.
const LINE: &str = "p2p --pairs 1 --window 8 --duration 300ms --warmup 0s --drain 300ms";

#[test]
fn a_lost_message_fails_qos_1_and_is_reported_at_qos_0() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let port = relay(broker.port, Tampering::Drop, 20);
    let (report, code, errors) = run(&format!("{LINE} --qos 1 --credit delivery"), port);
    assert_eq!((code, report.verdict, report.checks.lost), (1, Verdict::Failed, 1), "{errors}");
    assert!(errors.contains("FAILED: 1 messages lost at QoS 1"), "{errors}");
    let (report, code, errors) = run(LINE, port);
    assert_eq!((code, report.checks.lost, report.checks.duplicates), (0, 1, 0), "{errors}");
}

#[test]
fn a_lost_message_in_a_shared_subscription_fails_too() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let port = relay(broker.port, Tampering::Drop, 20);
    let line = "fanin --publishers 3 --subscribers 2 --share g --qos 1 --window 8 --credit delivery --duration 300ms";
    let (report, code, errors) = run(&format!("{line} --warmup 0s --drain 300ms"), port);
    assert_eq!((code, report.checks.lost), (1, 2), "one on each member's connection: {errors}");
}

#[test]
fn a_repeated_message_fails_qos_2() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let port = relay(broker.port, Tampering::Repeat, 20);
    let (report, code, errors) = run(&format!("{LINE} --qos 2"), port);
    assert_eq!((code, report.checks.duplicates, report.checks.lost), (1, 1, 0), "{errors}");
    assert!(errors.contains("FAILED: 1 duplicates at QoS 2"), "{errors}");
}

#[test]
fn a_delayed_message_fails_at_any_qos() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let port = relay(broker.port, Tampering::Delay, 20);
    for qos in 0..2 {
        let (report, code, errors) = run(&format!("{LINE} --qos {qos}"), port);
        assert_eq!((code, report.checks.reordered, report.checks.lost), (1, 1, 0), "{errors}");
        assert!(errors.contains("FAILED: 1 messages out of order"), "{errors}");
    }
}

#[test]
fn a_damaged_message_fails() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let port = relay(broker.port, Tampering::Damage, 20);
    let (report, code, errors) = run(LINE, port);
    assert_eq!((code, report.checks.damaged, report.checks.lost), (1, 1, 1), "{errors}");
}

#[test]
fn a_window_emptied_by_loss_is_restarted() {
    let Some(broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let port = relay(broker.port, Tampering::Drop, 20);
    let (report, code, errors) = run("p2p --pairs 1 --window 1 --duration 3s --warmup 0s --drain 300ms", port);
    assert_eq!((code, report.checks.lost, report.generator.stalls), (0, 1, 1), "{errors}");
    assert!(report.traffic.delivered > 30, "only {} came after the restart", report.traffic.delivered);
}

#[test]
fn refused_clients_are_counted_by_reason() {
    let Some(broker) = Broker::mosquitto("allow_anonymous false") else { return };
    for (mqtt, reason) in [(4, "CONNACK: Not authorized (0x87)"), (5, "CONNACK: Not authorized (0x87)")] {
        let (report, code, errors) = run(&format!("{LINE} --mqtt {mqtt}"), broker.port);
        assert_eq!((code, report.errors.get(reason)), (1, Some(&2)), "{errors}");
        assert!(errors.contains("2 clients could not connect or subscribe"), "{errors}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_an_error_by_name() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (report, code, errors) = run(LINE, unused);
    assert_eq!((code, report.connect.connected), (1, 0));
    assert!(errors.contains("2 x connecting: Connection refused"), "{errors}");
}

#[test]
fn a_broker_that_dies_ends_the_run_with_an_error() {
    let Some(mut broker) = Broker::mosquitto("allow_anonymous true") else { return };
    let line = "p2p --pairs 2 --qos 1 --duration 60s --warmup 0s --drain 200ms";
    let child = generator(line, broker.port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The broker's first CPU time beyond starting up shows that messages flow.
    let cpu = || ringmq_loadgen::procfs::ProcessSample::take(broker.pid()).unwrap().run_ns;
    let before = cpu();
    while cpu() < before + 20_000_000 {
        std::thread::yield_now();
    }
    broker.kill();
    let (report, code, errors) = read(line, &child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{errors}");
    assert_eq!(report.errors.values().sum::<u64>(), 4, "{errors}");
    assert!(report.traffic.seconds < 50.0, "a run without a broker must end early");
}

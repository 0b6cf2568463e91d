//! Options whose effect another MQTT client sees: one end alone, limits, and what CONNECT says.

mod support;

use ringmq_wire::{Cut, MAX_PACKET_LEN, Packet, Version, cut, decode};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use support::{brokers, generator, run};

/// How often a `sub` of half a second is tried until a `pub` beside it has got as far as sending.
const ATTEMPTS: usize = 20;

#[test]
fn what_one_end_publishes_the_other_counts() {
    for broker in brokers() {
        // Retained, so that neither has to wait for the other.
        let line = "pub --publishers 5 --topic site/%i/%c/%u --username me --client-id-prefix x --start-number 3";
        let (report, code, errors) = run(&format!("{line} --qos 1 --retain --limit 1 --duration 60s"), broker.port);
        assert_eq!((code, report.traffic.sent_in_all), (0, 5), "{errors}");
        for (filter, heard) in [("site/#", 10), ("site/7/xp7/me", 2), ("site/8/#", 0)] {
            let line = format!("sub --subscribers 2 --topic {filter} --qos 1 --duration 300ms");
            let (report, code, errors) = run(&line, broker.port);
            assert_eq!((code, report.checks.foreign, report.checks.damaged), (0, heard, 0), "{filter}: {errors}");
        }
    }
}

#[test]
fn what_is_published_meanwhile_is_measured() {
    for broker in brokers() {
        let mut sender = generator("pub --publishers 4 --topic live/%i --interval 20ms --duration 60s", broker.port)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let heard = (0..ATTEMPTS).find_map(|_| {
            let (report, code, errors) = run("sub --subscribers 3 --topic live/+ --duration 500ms", broker.port);
            assert_eq!(code, 0, "{errors}");
            (report.traffic.delivered > 0).then_some(report)
        });
        sender.kill().unwrap();
        sender.wait().unwrap();
        let report = heard.expect("nothing was heard");
        assert!(report.traffic.delivered_per_second > 0.0 && report.checks.foreign >= report.traffic.delivered);
    }
}

#[test]
fn a_limit_ends_a_run_before_its_time() {
    for broker in brokers() {
        for pace in ["--window 4", "--interval 10ms"] {
            let line = format!("p2p --pairs 3 --qos 1 {pace} --limit 20 --duration 60s --drain 5s");
            let begun = Instant::now();
            let (report, code, errors) = run(&line, broker.port);
            assert!(matches!(code, 0 | 3), "{errors}");
            assert!(begun.elapsed() < Duration::from_secs(50), "`{line}` took its whole duration");
            assert_eq!((report.traffic.sent_in_all, report.checks.delivered), (60, 60), "`{line}`");
            assert_eq!(report.generator.unsent, 0, "`{line}`");
        }
    }
}

#[test]
fn the_first_message_waits() {
    for broker in brokers() {
        let begun = Instant::now();
        let (report, code, errors) = run("p2p --pairs 1 --limit 1 --wait-before-publishing 1200ms", broker.port);
        assert_eq!((code, report.checks.delivered), (0, 1), "{errors}");
        assert!(begun.elapsed() >= Duration::from_millis(1200));
    }
}

/// Topic, payload, QoS and RETAIN of a will.
type Will = (String, Vec<u8>, u8, bool);

/// The first CONNECT of a run with these options: client identifier and will.
fn connect(line: &str) -> (String, Option<Will>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut process = generator(line, listener.local_addr().unwrap().port())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (mut client, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    let found = loop {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
        if let Ok(Cut::Frame(frame, _)) = cut(&bytes, MAX_PACKET_LEN) {
            let Ok(Packet::Connect(connect)) = decode(frame, Version::V311) else { panic!("{bytes:?}") };
            let will =
                connect.will.map(|will| (will.topic.to_owned(), will.payload.to_vec(), will.qos.bits(), will.retain));
            break (connect.client_id.to_owned(), will);
        }
    };
    process.kill().unwrap();
    process.wait().unwrap();
    found
}

#[test]
fn clients_introduce_themselves_as_asked() {
    assert_eq!(connect("conn --clients 1 --client-id-prefix a-"), ("a-s0".into(), None));
    assert_eq!(connect("conn --clients 1 --short-ids --start-number 70"), ("70".into(), None));
    for mqtt in [4, 5] {
        let line = format!("conn --clients 1 --mqtt {mqtt} --short-ids --will-topic gone/%c --will-payload bye");
        let will = ("gone/0".into(), b"bye".to_vec(), 1, true);
        assert_eq!(connect(&format!("{line} --will-qos 1 --will-retain")), ("0".into(), Some(will)));
    }
}

//! Options whose effect another MQTT client sees: one end alone, limits, and what CONNECT says.

mod support;

use ringmq_wire::{Cut, MAX_PACKET_LEN, Packet, Version, cut, decode};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use support::{brokers, generator, run, scratch};

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

#[test]
fn a_scenario_file_gives_clients_their_will() {
    let file = scratch("toml");
    let text = "description = \"x\"\nduration = \"1s\"\n[will]\ntopic = \"gone/%c\"\npayload = \"bye\"\nqos = 1\n\
                retain = true\n[[subscribers]]\ncount = 1\n";
    std::fs::write(&file, text).unwrap();
    let found = connect(&format!("run {} --short-ids", file.display()));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(found, ("0".into(), Some(("gone/0".into(), b"bye".to_vec(), 1, true))));
}

#[test]
fn the_load_grows_before_it_is_measured() {
    for broker in brokers() {
        // Half of a second's messages while the rate grows, and half a second of all.
        let line = "p2p --pairs 4 --qos 1 --rate 200 --ramp-up 1s --warmup 0s --duration 500ms --drain 5s";
        let (report, code, errors) = run(line, broker.port);
        assert!(matches!(code, 0 | 3), "{errors}");
        assert!((150..250).contains(&report.traffic.sent_in_all), "{} were sent", report.traffic.sent_in_all);
        assert!((60..140).contains(&report.traffic.sent), "{} were measured", report.traffic.sent);
        assert_eq!((report.checks.lost, report.scenario.ramp_up_s), (0, 1.0));

        // In a closed loop publishers begin one after the other: at 0, 300 and 600 ms.
        let begun = Instant::now();
        let line = "p2p --pairs 3 --window 1 --limit 1 --ramp-up 900ms --duration 60s";
        let (report, code, errors) = run(line, broker.port);
        assert_eq!((code, report.checks.delivered), (0, 3), "{errors}");
        assert!((Duration::from_millis(600)..Duration::from_secs(50)).contains(&begun.elapsed()));

        // The twentieth connection at 40 a second is due after half a second, but after one if the rate has to grow.
        let line = "conn --clients 20 --connect-rate 40 --ramp-up 1s --duration 10ms";
        let (report, code, errors) = run(line, broker.port);
        assert_eq!((code, report.connect.connected), (0, 20), "{errors}");
        assert!(report.connect.seconds > 0.9, "{:?}", report.connect);
    }
}

/// The log of a run with these options: a line a client, by columns.
fn qoe_log(line: &str, port: u16) -> Vec<Vec<String>> {
    let file = scratch("csv");
    let (_, code, errors) = run(&format!("{line} --qoe-log {}", file.display()), port);
    assert!(matches!(code, 0 | 3), "{errors}");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap()[0], "client_id");
    lines.collect()
}

#[test]
fn each_client_has_a_line_in_the_log() {
    for broker in brokers() {
        let line = "p2p --pairs 3 --qos 1 --rate 60 --limit 5 --duration 60s --client-id-prefix x";
        let mut lines = qoe_log(line, broker.port);
        lines.sort();
        let names: Vec<&str> = lines.iter().map(|line| line[0].as_str()).collect();
        assert_eq!(names, ["xp0", "xp1", "xp2", "xs0", "xs1", "xs2"]);
        for line in &lines {
            let times =
                |columns: &[usize]| -> Vec<f64> { columns.iter().map(|at| line[*at].parse().unwrap()).collect() };
            let [tcp, connack, connect] = times(&[1, 2, 3])[..] else { unreachable!() };
            assert!(tcp > 0.0 && connack > 0.0 && connect >= tcp.max(connack), "{line:?}");
            if line[0].starts_with("xp") {
                let nothing = ["", "5", "0", "", "", "0"];
                assert_eq!(line[4..], nothing, "a publisher sends and receives nothing");
                continue;
            }
            assert_eq!((line[5].as_str(), line[6].as_str(), line[9].as_str()), ("", "5", "0"), "{line:?}");
            let [subscribe, mean, max] = times(&[4, 7, 8])[..] else { unreachable!() };
            assert!(subscribe > 0.0 && 0.0 < mean && mean <= max, "{line:?}");
        }
    }
}

#[test]
fn the_log_has_the_clients_of_all_processes() {
    for broker in brokers() {
        let line = "p2p --pairs 4 --qos 1 --rate 80 --limit 5 --duration 60s --client-id-prefix x --processes 2";
        let mut lines = qoe_log(line, broker.port);
        lines.sort();
        let sent_or_received: Vec<(&str, &str)> = lines
            .iter()
            .map(|line| (line[0].as_str(), line[if line[0].starts_with("xp") { 5 } else { 6 }].as_str()))
            .collect();
        let expected = ["xp0", "xp1", "xp2", "xp3", "xs0", "xs1", "xs2", "xs3"].map(|name| (name, "5"));
        assert_eq!(sent_or_received, expected);
    }
}

#[test]
fn the_log_counts_what_was_lost_and_what_others_sent() {
    let file = scratch("toml");
    let text = "description = \"x\"\nduration = \"1s\"\nwarmup = \"0s\"\n[messages]\nqos = 1\nrate_per_publisher = 20\n\
                [[publishers]]\ncount = 2\ntopic = \"a/%i\"\n[[subscribers]]\ncount = 2\nfilters = [\"a/%i\"]\n\
                disturb = { kind = \"reconnect\", at = \"200ms\", share = 0.5 }\n";
    std::fs::write(&file, text).unwrap();
    for broker in brokers() {
        let mut lines = qoe_log(&format!("run {} --client-id-prefix y", file.display()), broker.port);
        lines.sort();
        let lost: Vec<(&str, &str)> = lines.iter().map(|line| (line[0].as_str(), line[9].as_str())).collect();
        assert_eq!(lost, [("yp0", "0"), ("yp1", "0"), ("ys0", "1"), ("ys1", "0")]);

        let line = "pub --publishers 2 --topic log/%i --interval 10ms --duration 60s";
        let mut sender = generator(line, broker.port).stdout(std::process::Stdio::null()).spawn().unwrap();
        let heard = (0..ATTEMPTS).any(|_| {
            let lines = qoe_log("sub --subscribers 1 --topic log/+ --duration 500ms", broker.port);
            lines[0][6].parse::<u64>().unwrap() > 0 && lines[0][7].parse::<f64>().is_ok()
        });
        sender.kill().unwrap();
        sender.wait().unwrap();
        assert!(heard, "no latency of another process's messages");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_log_that_cannot_be_is_refused_before_anything_is_opened() {
    for line in ["p2p --qoe-log /no/such/folder/x", "p2p --processes 2 --qoe-log /no/such/folder/x"] {
        let output = generator(line, 1).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && errors.contains("--qoe-log"), "{errors}");
    }
}

//! `ringmq ctl` and the control socket of the real program.

mod alarms;
mod banned;
mod broker;
mod counters;
mod limits;
mod listeners;
mod lists;
mod log;
mod monitoring;
mod overload;
mod packets;
mod queues;
mod run_time;
mod settings;
mod slow_subs;
mod subscriptions;
mod sys_topics;
mod topic_metrics;
mod trace;
mod wire;

use broker::{Broker, program};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn facts_and_counters_are_told() {
    let broker = Broker::start("facts", "");
    let mode = std::fs::symlink_metadata(broker.dir.join("data/ringmq.sock")).expect("a socket").mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(broker.ctl(&["status"]).contains("status: running\n"));
    let text = broker.ctl(&["broker"]);
    assert!(text.contains("shards: 2\n") && text.contains(&format!("127.0.0.1:{}", broker.port)), "{text}");
    let _client = broker.client("one");
    let deadline = std::time::Instant::now() + PATIENCE;
    // Shards publish their counters once a second.
    while !broker.ctl(&["stats"]).lines().any(|line| line.split_whitespace().take(2).eq(["connections.count", "1"])) {
        assert!(std::time::Instant::now() < deadline, "{}", broker.ctl(&["stats"]));
    }
    let json = broker.ctl(&["--json", "metrics"]);
    assert!(json.starts_with('[') && json.contains(r#"{"name":"client.connected","#), "{json}");
    assert!(!json.contains("connections.count"), "gauges are stats: {json}");
    let lost = program(&broker.dir, &["ctl", "--socket", "none.sock", "status"]).output().expect("starts");
    assert_eq!(lost.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&lost.stderr).contains("no broker answers at none.sock"), "{lost:?}");
}

#[test]
fn the_protocol_is_lines_of_json_and_bounded() {
    let broker = Broker::start("lines", "");
    let connect = || {
        let stream = UnixStream::connect(broker.dir.join("data/ringmq.sock")).expect("a broker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    };
    let mut stream = connect();
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut exchange = |line: &str| {
        writeln!(stream, "{line}").expect("sent");
        let mut answer = String::new();
        reader.read_line(&mut answer).expect("an answer");
        answer
    };
    let status = exchange(r#"{"v":1,"id":3,"cmd":"status"}"#);
    assert!(status.starts_with(r#"{"v":1,"id":3,"ok":true,"result":{"#), "{status}");
    assert!(exchange("nonsense").contains(r#""ok":false,"errors":[{"message":"no request"#));
    assert!(exchange(r#"{"v":9,"cmd":"status"}"#).contains("this is version 1"));
    assert!(exchange(r#"{"v":1,"cmd":"status"}"#).contains(r#""ok":true"#), "mistakes do not end it");
    let mut endless = connect();
    let mut answer = String::new();
    endless.write_all(&vec![b' '; 64 * 1024]).expect("sent");
    BufReader::new(&endless).read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.contains("longer than 65536 bytes"), "{answer}");
    let held: Vec<UnixStream> = (0..7).map(|_| connect()).collect();
    let mut answer = String::new();
    BufReader::new(connect()).read_line(&mut answer).expect("an answer");
    assert!(answer.contains("8 connections to the control socket are open"), "{answer}");
    drop(held);
}

//! Warnings about the run time, as clients are told of them below `$SYS`.

use crate::PATIENCE;
use crate::broker::{Broker, pings};
use crate::wire::{publish, receive, send, subscribe};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longer than the broker may be late.
const PAUSE: Duration = Duration::from_millis(1500);

/// More than a shard may have waiting for another one.
const LARGE: usize = 2 * 1024 * 1024;

fn watcher(broker: &Broker) -> TcpStream {
    let mut watcher = broker.client("watcher").0;
    assert_eq!(subscribe(&mut watcher, "$SYS/brokers/emqx@127.0.0.1/sysmon/+", 0), 0);
    watcher
}

/// The next message: the event, and what is told of it; `None` if it is the answer to a ping.
fn told(watcher: &mut TcpStream) -> Option<(String, Value)> {
    let (head, body) = receive(watcher);
    if head == 0xD0 {
        return None;
    }
    assert_eq!(head, 0x30);
    let end = 2 + usize::from(body[1]);
    let topic = std::str::from_utf8(&body[2..end]).expect("text");
    let event = topic.strip_prefix("$SYS/brokers/emqx@127.0.0.1/sysmon/").expect("an event");
    // Behind the length of no properties.
    Some((event.to_owned(), serde_json::from_slice(&body[end + 1..]).expect("JSON")))
}

/// Waits for an event that is not about time, which a busy machine may bring by itself.
fn await_event(watcher: &mut TcpStream, wanted: &str) -> Value {
    let by = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < by, "{wanted} is not told");
        let (event, what) = told(watcher).expect("a message");
        if event == wanted {
            return what;
        }
        assert_eq!(event, "long_schedule");
    }
}

/// Publishes a message that is too much at a time for the other shard, from whichever shard: nobody gets it, for only
/// its first level is known there. The answer comes once it is taken in.
fn publish_what_is_too_much(broker: &Broker) {
    // One for each shard, surely.
    let mut listeners: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("l{number}")).0).collect();
    listeners.iter_mut().for_each(|listener| assert_eq!(subscribe(listener, "x/+/y", 0), 0));
    let mut publisher = broker.client("publisher").0;
    publish(&mut publisher, 0x32, "x/1/z", 1, &vec![b'x'; LARGE]);
    assert_eq!(receive(&mut publisher).0, 0x40);
}

fn await_counter(broker: &Broker, name: &str) {
    let by = Instant::now() + PATIENCE;
    while !broker.ctl(&["metrics"]).lines().any(|line| line.split_whitespace().next() == Some(name)) {
        assert!(Instant::now() < by, "{name} does not move");
    }
}

#[test]
fn shards_that_come_late_are_told_of_and_only_what_is_wanted() {
    let file = "mqtt.max_packet_size = 4MB\nsysmon.vm { long_schedule = 300ms, busy_dist_port = false }\n";
    let broker = Broker::start("late", file);
    let mut watcher = watcher(&broker);
    publish_what_is_too_much(&broker);
    await_counter(&broker, "client.held_up");
    broker.freeze();
    // Time is what is tested: nobody answers meanwhile.
    let mut waiting = TcpStream::connect(("127.0.0.1", broker.port)).expect("in the backlog");
    waiting.set_read_timeout(Some(PAUSE)).expect("a socket");
    let came = waiting.read(&mut [0]);
    broker.signal("-CONT");
    assert!(came.is_err(), "{came:?}");
    let mut late = BTreeMap::new();
    while late.len() < 2 {
        let (event, what) = told(&mut watcher).expect("a message");
        assert_eq!(event, "long_schedule");
        let milliseconds = what["milliseconds"].as_u64().expect("a number");
        assert!(milliseconds >= 300, "{what}");
        // The appointment was within the first second.
        if milliseconds >= 500 {
            late.insert(what["shard"].as_u64().expect("a number"), milliseconds);
        }
    }
    assert!(late.keys().eq(&[0, 1]), "{late:?}");
    send(&mut watcher, 0xC0, &[]);
    while let Some((event, _)) = told(&mut watcher) {
        assert_eq!(event, "long_schedule");
    }
    await_counter(&broker, "sysmon.long_schedule");
}

#[test]
fn shards_and_connections_that_have_too_much_are_told_of() {
    let broker = Broker::start("busy", "mqtt.max_packet_size = 4MB\n");
    let mut watcher = watcher(&broker);
    publish_what_is_too_much(&broker);
    let what = await_event(&mut watcher, "busy_dist_port");
    assert!(what["shard"].as_u64().is_some_and(|shard| shard < 2), "{what}");
    assert_eq!(what["publishers"], 1);

    let mut slow = broker.client("slow").0;
    assert_eq!(subscribe(&mut slow, "t", 0), 0);
    let mut publisher = broker.client("publisher").0;
    // More than the sockets between them hold.
    for _ in 0..16 {
        publish(&mut publisher, 0x32, "t", 1, &vec![b'x'; LARGE]);
        assert_eq!(receive(&mut publisher).0, 0x40);
    }
    let by = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < by, "busy_port is not told");
        let (event, what) = told(&mut watcher).expect("a message");
        if event == "busy_port" {
            assert!(what["connections"].as_u64() >= Some(1), "{what}");
            break;
        }
        assert!(event == "long_schedule" || event == "busy_dist_port", "{event}");
    }
    assert!(pings(&mut publisher), "all goes on");
}

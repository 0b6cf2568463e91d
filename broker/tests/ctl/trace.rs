//! Traces of the real program, on two shards.

use crate::PATIENCE;
use crate::broker::{Broker, pings, subscribe};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// Publishes `x` to the topic `a` at QoS 1 and waits until that is acknowledged.
fn publish(stream: &mut TcpStream) {
    stream.write_all(&[0x32, 7, 0, 1, b'a', 0, 1, 0, b'x']).expect("sent");
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer[0], 0x40);
    let mut rest = vec![0; usize::from(answer[1])];
    stream.read_exact(&mut rest).expect("an answer");
}

/// The lines of a trace without their times, once there are as many as wanted.
fn lines(broker: &Broker, file: &str, wanted: usize) -> Vec<String> {
    let by = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(broker.dir.join("log").join(file)).expect("a file");
        let lines: Vec<String> =
            text.split_terminator('\n').filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
        if text.ends_with('\n') && lines.len() >= wanted || Instant::now() > by {
            assert_eq!(lines.len(), wanted, "{text}");
            return lines;
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_a_client_does_is_written_packet_by_packet() {
    let broker = Broker::start("trace", "");
    let mut other = broker.client("other").0;
    let mut early = broker.client("early").0;
    let started = broker.ctl(&["trace", "start", "one", "client", "early", "early.log"]);
    assert!(started.contains("started: one\n"), "{started}");
    broker.ctl(&["trace", "start", "two", "client", "late", "late.log", "info", "60"]);
    let listed = broker.ctl(&["trace", "list"]);
    assert!(listed.contains("one client early level=debug seconds_left=1") && listed.lines().count() == 2, "{listed}");
    assert!(subscribe(&mut early, 1).is_some());
    publish(&mut other);
    let mut message = [0; 7];
    early.read_exact(&mut message).expect("the message");
    assert!(pings(&mut early));
    let peer = early.local_addr().expect("connected");
    let who = format!("clientid: early, peername: {peer}, listener: tcp:default,");
    let expected = [
        format!("received {who} SUBSCRIBE packet_id: 1, topics: a (qos 0)"),
        format!("sent {who} SUBACK packet_id: 1, codes: [00]"),
        format!("sent {who} PUBLISH topic: a, qos: 0, retain: 0, dup: 0, packet_id: 0, payload_bytes: 1, payload: x"),
        format!("received {who} PINGREQ"),
        format!("sent {who} PINGRESP"),
    ];
    assert_eq!(lines(&broker, "early.log", 5), expected);
    let mut late = broker.client("late").0;
    publish(&mut late);
    early.read_exact(&mut message).expect("the message");
    assert!(subscribe(&mut late, 1).is_some());
    let seen = lines(&broker, "late.log", 4);
    assert!(
        seen[0].contains("CONNECT proto_ver: 5,") && seen[1].contains("CONNACK session_present: false"),
        "{seen:?}"
    );
    assert!(seen[2].contains("SUBSCRIBE") && seen[3].contains("SUBACK"), "no messages at info: {seen:?}");
    let stopped = broker.ctl(&["trace", "stop", "one"]);
    assert!(stopped.contains("stopped: one\n") && stopped.contains("early.log"), "{stopped}");
    assert!(pings(&mut early));
    assert!(broker.ctl(&["trace", "stop", "two"]).contains("stopped: two\n"));
    let seen = lines(&broker, "early.log", 6);
    assert!(seen[5].contains(" PUBLISH topic: a,"), "and nothing after it was stopped: {seen:?}");
    assert_eq!(broker.ctl(&["trace", "list"]), "");
}

#[test]
fn topics_and_addresses_are_traced_on_every_shard_and_payloads_hidden() {
    let broker = Broker::start("topics", "trace.payload_encode = hidden\n");
    let mut clients: Vec<TcpStream> = (0..6).map(|number| broker.client(&format!("c{number}")).0).collect();
    broker.ctl(&["trace", "start", "t", "topic", "a/#", "topic.log"]);
    broker.ctl(&["trace", "start", "i", "ip_address", "127.0.0.1", "address.log"]);
    broker.ctl(&["trace", "start", "e", "ip_address", "127.0.0.2", "elsewhere.log"]);
    clients.iter_mut().for_each(|client| assert!(subscribe(client, 1).is_some()));
    let mut publisher = broker.client("publisher").0;
    publish(&mut publisher);
    for client in &mut clients {
        client.read_exact(&mut [0; 7]).expect("the message");
    }
    // Every SUBSCRIBE, the message once in, and out to everybody.
    let seen = lines(&broker, "topic.log", 13);
    assert!(seen.iter().all(|line| !line.contains("payload:")), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("sent ") && line.contains(" PUBLISH ")).count(), 6);
    // SUBSCRIBE, SUBACK and PUBLISH of each; CONNECT, CONNACK, PUBLISH and PUBACK of the publisher.
    lines(&broker, "address.log", 22);
    assert!(std::fs::read(broker.dir.join("log/elsewhere.log")).expect("a file").is_empty());
}

/// Sends SUBSCRIBE or UNSUBSCRIBE with one filter, and waits for the answer.
fn name_filter(stream: &mut TcpStream, packet_type: u8, filter: &str) {
    let length = |text: &str| u8::try_from(text.len()).expect("short");
    let options: &[u8] = if packet_type == 0x82 { &[0] } else { &[] };
    let mut packet = vec![packet_type, 5 + length(filter) + u8::from(packet_type == 0x82), 0, 1, 0, 0, length(filter)];
    packet.extend_from_slice(filter.as_bytes());
    packet.extend_from_slice(options);
    stream.write_all(&packet).expect("sent");
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("an answer");
    stream.read_exact(&mut vec![0; usize::from(head[1])]).expect("an answer");
}

#[test]
fn a_topic_s_trace_shows_who_subscribes_below_it() {
    let broker = Broker::start("below", "");
    broker.ctl(&["trace", "start", "t", "topic", "site/#", "below.log"]);
    let mut client = broker.client("c").0;
    for filter in ["site/+/x", "$share/g/site/+", "beside/+", "#"] {
        name_filter(&mut client, 0x82, filter);
        name_filter(&mut client, 0xA2, filter);
    }
    name_filter(&mut client, 0x82, "site/last");
    let seen = lines(&broker, "below.log", 5);
    let told = [
        ("SUBSCRIBE", "site/+/x"),
        ("UNSUBSCRIBE", "site/+/x"),
        ("SUBSCRIBE", "$share/g/site/+"),
        ("UNSUBSCRIBE", "$share/g/site/+"),
        ("SUBSCRIBE", "site/last"),
    ];
    for (line, (packet, filter)) in seen.iter().zip(told) {
        assert!(line.contains(&format!(" {packet} ")) && line.contains(filter), "{line}");
    }
}

#[test]
fn traces_go_on_after_a_restart() {
    let mut broker = Broker::start("resumed", "");
    broker.ctl(&["trace", "start", "on", "client", "c", "on.log", "debug", "600"]);
    broker.ctl(&["trace", "start", "off", "topic", "a/#", "off.log"]);
    broker.ctl(&["trace", "stop", "off"]);
    broker.ctl(&["trace", "start", "short", "ip_address", "127.0.0.2", "short.log", "info", "1"]);
    let by = Instant::now() + PATIENCE;
    while broker.ctl(&["trace", "list"]).contains("short ") {
        assert!(Instant::now() < by, "it does not end");
    }
    let mut wanted = 0;
    for restart in [Broker::crash, Broker::restart] {
        restart(&mut broker);
        let listed = broker.ctl(&["trace", "list"]);
        assert!(
            listed.starts_with("on client c level=debug seconds_left=5") && listed.lines().count() == 1,
            "{listed}"
        );
        let mut client = broker.client("c").0;
        assert!(pings(&mut client));
        // CONNECT, CONNACK, PINGREQ and PINGRESP, after those before the restart.
        wanted += 4;
        lines(&broker, "on.log", wanted);
        // Or it would be sent a DISCONNECT when the broker stops.
        drop(client);
        let by = Instant::now() + PATIENCE;
        while broker.ctl(&["clients", "list"]).contains("c ") {
            assert!(Instant::now() < by, "it stays");
        }
    }
    broker.ctl(&["trace", "stop", "on"]);
    broker.restart();
    assert_eq!(broker.ctl(&["trace", "list"]), "");
}

fn start<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["trace", "start"], arguments].concat()
}

#[test]
fn a_trace_ends_by_itself_and_what_cannot_be_is_refused() {
    let broker = Broker::start("ends", "");
    broker.ctl(&start(&["short", "client", "c", "short.log", "debug", "1"]));
    let refused = |arguments: &[&str]| broker.refused(&start(arguments));
    assert!(refused(&["short", "client", "c", "other.log"]).contains("there is a trace `short` already"));
    assert!(refused(&["x", "client", "c", "short.log"]).contains("cannot write a trace to log/short.log"));
    assert!(refused(&["x", "client", "c", "../x"]).contains("cannot be the name of a file"));
    assert!(refused(&["x", "user", "c", "x"]).contains("client, topic or ip_address"));
    assert!(refused(&["x", "client", "c", "x", "loud"]).contains("`loud` is no level"));
    assert!(refused(&["x", "client", "c", "x", "debug", "0"]).contains("cannot last 0 s"));
    assert!(broker.refused(&["trace", "stop", "nothing"]).contains("there is no trace `nothing`"));
    let by = Instant::now() + PATIENCE;
    while !broker.ctl(&["trace", "list"]).is_empty() {
        assert!(Instant::now() < by, "it does not end");
    }
    for number in 0..30 {
        let name = format!("t{number}");
        broker.ctl(&start(&[&name, "client", "c", &name]));
    }
    assert!(refused(&["more", "client", "c", "more"]).contains("there are 30 traces already"));
}

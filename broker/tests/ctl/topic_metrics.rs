//! Messages counted by topic, on two shards.

use crate::PATIENCE;
use crate::broker::Broker;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

fn rows(broker: &Broker) -> Vec<Value> {
    let told: Value = serde_json::from_str(&broker.ctl(&["--json", "topic-metrics", "list"])).expect("JSON");
    told["topic_metrics"].as_array().expect("a list").clone()
}

fn metric(row: &Value, name: &str) -> f64 {
    row["metrics"][format!("messages.{name}")].as_f64().expect(name)
}

/// Publishes at QoS 1 and waits until that is acknowledged.
fn publish(stream: &mut TcpStream, topic: &str) {
    let length = u8::try_from(topic.len()).expect("short");
    let body = [&[0, length], topic.as_bytes(), &[0, 1, 0], b"payload"].concat();
    stream.write_all(&[&[0x32, u8::try_from(body.len()).expect("short")], &body[..]].concat()).expect("sent");
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("PUBACK");
    assert_eq!(head[0], 0x40);
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).expect("PUBACK");
}

fn subscribe(stream: &mut TcpStream, filter: &str) {
    let length = u8::try_from(filter.len()).expect("short");
    let body = [&[0, 1, 0, 0, length], filter.as_bytes(), &[0]].concat();
    stream.write_all(&[&[0x82, u8::try_from(body.len()).expect("short")], &body[..]].concat()).expect("sent");
    let mut suback = [0; 6];
    stream.read_exact(&mut suback).expect("SUBACK");
    assert_eq!(suback[0], 0x90);
}

#[test]
fn registrations_survive_a_restart_and_files_may_have_some() {
    let mut broker = Broker::start("counted", "topic_metrics = [{topic = \"from/file\"}]\n");
    let topics = |broker: &Broker| -> Vec<String> {
        rows(broker).iter().map(|row| row["topic"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(topics(&broker), ["from/file"]);
    broker.ctl(&["topic-metrics", "register", "a \"b\"/c"]);
    let shown = broker.ctl(&["conf", "show", "topic_metrics"]);
    assert!(shown.contains("changed at run time"), "{shown}");
    let before = topics(&broker);
    assert_eq!(before, ["a \"b\"/c", "from/file"]);
    for restart in [Broker::restart, Broker::crash] {
        restart(&mut broker);
        assert_eq!(topics(&broker), before);
        let mut clients: Vec<TcpStream> = (0..4).map(|number| broker.client(&format!("c{number}")).0).collect();
        clients.iter_mut().for_each(|client| publish(client, "from/file"));
        assert!((metric(&rows(&broker)[1], "in.count") - 4.0).abs() < 0.5, "counted on every shard from the start");
    }
    let twice = "[{topic = x}, {topic = x}]";
    assert!(broker.refused(&["conf", "set", "topic_metrics", twice]).contains("stands there twice"));
    broker.ctl(&["topic-metrics", "unregister", "from/file"]);
    broker.restart();
    assert_eq!(topics(&broker), ["a \"b\"/c"]);
}

#[test]
fn registered_topics_are_counted_over_all_shards() {
    let broker = Broker::start("topic-metrics", "");
    let mut clients: Vec<TcpStream> = (0..8).map(|number| broker.client(&format!("c{number}")).0).collect();
    clients[..4].iter_mut().for_each(|client| subscribe(client, "a/#"));
    assert!(broker.refused(&["topic-metrics", "register", "a/+"]).contains("is no topic"));
    broker.ctl(&["topic-metrics", "register", "a/b"]);
    broker.ctl(&["topic-metrics", "register", "nobody"]);
    assert!(broker.refused(&["topic-metrics", "register", "a/b"]).contains("is counted already"));
    let by = Instant::now() + PATIENCE;
    let mut published = 0.0;
    // Rates come from two looks at the counts.
    while !rows(&broker).iter().any(|row| row["topic"] == "a/b" && metric(row, "qos1.in.rate") > 0.0) {
        assert!(Instant::now() < by, "{:?}", rows(&broker));
        for client in &mut clients[4..] {
            publish(client, "a/b");
            publish(client, "a/c");
            publish(client, "nobody");
            published += 1.0;
        }
    }
    // Deliveries on the other shard may be under way.
    while metric(&rows(&broker)[0], "out.count") < 4.0 * published {
        assert!(Instant::now() < by, "{:?}", rows(&broker));
    }
    let found = rows(&broker);
    assert_eq!(found.len(), 2);
    for (row, name, expected) in [
        (0, "in.count", published),
        (0, "qos1.in.count", published),
        (0, "out.count", 4.0 * published),
        (0, "qos0.out.count", 4.0 * published),
        (0, "dropped.count", 0.0),
        (1, "in.count", published),
        (1, "dropped.count", published),
        (1, "out.count", 0.0),
    ] {
        assert!((metric(&found[row], name) - expected).abs() < 0.5, "{name} of {}", found[row]);
    }
    assert!(broker.ctl(&["topic-metrics", "list"]).starts_with("a/b in="));
    broker.ctl(&["topic-metrics", "reset", "a/b"]);
    publish(&mut clients[5], "a/b");
    let found = rows(&broker);
    assert!((metric(&found[0], "in.count") - 1.0).abs() < 0.5 && metric(&found[1], "in.count") >= published);
    broker.ctl(&["topic-metrics", "unregister", "a/b"]);
    assert!(broker.refused(&["topic-metrics", "unregister", "a/b"]).contains("is not counted"));
    assert_eq!(broker.ctl(&["topic-metrics", "unregister"]), "unregistered: 1\n");
    assert!(rows(&broker).is_empty());
}

//! Subscriptions that the operator makes and ends in a client's place, on two shards.

use crate::broker::{Broker, pings};
use crate::lists::{list, publish, subscribe};
use crate::wire::receive;
use std::io::Write;
use std::net::TcpStream;

/// Enough clients to live on both shards.
fn clients(broker: &Broker) -> Vec<(String, TcpStream)> {
    let name = |number| format!("c{number}");
    (0..6).map(|number| (name(number), broker.client(&name(number)).0)).collect()
}

#[test]
fn a_client_gets_what_it_was_subscribed_to_and_nothing_else() {
    let broker = Broker::start("on-behalf", "");
    let mut publisher = broker.client("publisher").0;
    for (name, mut client) in clients(&broker) {
        let filter = format!("of/{name}/+");
        assert_eq!(
            broker.ctl(&["subscriptions", "add", &name, &filter, "1"]),
            format!("qos: 1\nsubscribed: {filter}\n")
        );
        assert_eq!(broker.ctl(&["subscriptions", "add", &name, "plain"]), "qos: 0\nsubscribed: plain\n");
        let listed = list(&broker, &["subscriptions", "list", &name], "subscriptions");
        assert_eq!(listed.len(), 2, "{listed:?}");
        publish(&mut publisher, &format!("of/{name}/x"), b"m");
        let (head, body) = receive(&mut client);
        assert_eq!((head & 0xF6, body.ends_with(b"m")), (0x32, true), "the message, and no SUBACK before it");
        client.write_all(&[0x40, 2, body[9], body[10]]).expect("sent");
        assert_eq!(broker.ctl(&["subscriptions", "del", &name, &filter]), format!("unsubscribed: {filter}\n"));
        let refused = broker.refused(&["subscriptions", "del", &name, &filter]);
        assert!(refused.contains(&format!("the client `{name}` does not subscribe to `{filter}`")), "{refused}");
        publish(&mut publisher, &format!("of/{name}/x"), b"m");
        assert!(pings(&mut client), "and no message before that");
    }
    let refused = |arguments: &[&str]| broker.refused(&[&["subscriptions"], arguments].concat());
    assert!(refused(&["add", "nobody", "t"]).contains("there is no client `nobody`"));
    assert!(refused(&["del", "nobody", "t"]).contains("there is no client `nobody`"));
    assert!(refused(&["add", "publisher", "a/#/b"]).contains("`a/#/b` is refused: Topic Filter invalid (0x8F)"));
    assert!(refused(&["add", "publisher", "t", "3"]).contains("3 is no QoS"));
    assert!(refused(&["add", "publisher", "$exclusive/t"]).contains("can only be made by its client"));
}

#[test]
fn an_exclusive_topic_is_taken_from_its_owner() {
    let broker = Broker::start("exclusive-delete", "mqtt.exclusive_subscription = true");
    for (name, mut client) in clients(&broker) {
        // Refused unless it is free.
        subscribe(&mut client, "$exclusive/t", 1);
        assert_eq!(broker.ctl(&["exclusive", "list"]), format!("t clientid={name}\n"));
        assert_eq!(broker.ctl(&["exclusive", "delete", "t"]), format!("clientid: {name}\ndeleted: t\n"));
        assert_eq!(broker.ctl(&["exclusive", "list"]), "");
        assert!(broker.refused(&["exclusive", "delete", "t"]).contains("nobody has `t` exclusively"));
        assert!(pings(&mut client), "it stays connected");
    }
}

//! Listeners that are created, changed, stopped and started while the broker runs.

use crate::PATIENCE;
use crate::broker::{Broker, pings};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// What the file says of the listener that is always there.
const DEFAULT: &str = "listeners.tcp.default.bind = \"127.0.0.1:0\"\n";

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

/// The kernel closes a listening socket a little after the broker has answered.
fn closes(port: u16) -> bool {
    let by = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        if Instant::now() > by {
            return false;
        }
    }
    true
}

#[test]
fn a_listener_is_created_changed_stopped_and_started_and_nobody_is_disconnected() {
    let mut broker = Broker::start_on("listeners", DEFAULT, 1);
    let (mut old, _) = broker.client("old");
    let (first, second) = (free_port(), free_port());

    let told = broker.ctl(&["conf", "set", "listeners.tcp.more.bind", &format!("127.0.0.1:{first}")]);
    assert!(told.contains("listeners.tcp.more.bind"), "{told}");
    let (mut one, _) = broker.client_at(first, "one", &[]);
    assert!(broker.ctl(&["clients", "show", "one"]).contains("listener: tcp:more"));
    let listed = broker.ctl(&["listeners", "list"]);
    assert!(listed.contains(&format!("tcp:more 127.0.0.1:{first} running")), "{listed}");

    // What is new holds for the connections that come.
    broker.ctl(&["conf", "set", "listeners.tcp.more.max_connections", "1"]);
    let (mut two, _) = broker.client_at(first, "two", &[]);
    assert!(TcpStream::connect(("127.0.0.1", first)).is_ok_and(|mut third| !pings(&mut third)), "one at a time");

    broker.ctl(&["conf", "set", "listeners.tcp.more.bind", &format!("127.0.0.1:{second}")]);
    let (mut three, _) = broker.client_at(second, "three", &[]);
    assert!(closes(first), "it has moved");

    broker.ctl(&["listeners", "stop", "tcp:more"]);
    assert!(closes(second));
    assert!(broker.ctl(&["listeners", "list"]).contains(&format!("tcp:more 127.0.0.1:{second} stopped")));
    assert!(broker.refused(&["listeners", "stop", "tcp:more"]).contains("is not running"));
    // Another change does not start it again.
    broker.ctl(&["conf", "set", "mqtt.max_inflight", "9"]);
    assert!(TcpStream::connect(("127.0.0.1", second)).is_err());
    drop(three);
    broker.ctl(&["listeners", "start", "more"]);
    let (mut four, _) = broker.client_at(second, "four", &[]);
    assert!(broker.refused(&["listeners", "start", "tcp:more"]).contains("is running"));
    drop(four);
    broker.ctl(&["listeners", "restart", "tcp:more"]);
    (four, _) = broker.client_at(second, "five", &[]);
    for client in [&mut old, &mut one, &mut two, &mut four] {
        assert!(pings(client), "disconnected by a change");
    }

    broker.ctl(&["conf", "set", "listeners.tcp.more.enable", "false"]);
    assert!(closes(second));
    broker.ctl(&["conf", "set", "listeners.tcp.more.enable", "true"]);
    broker.restart();
    three = broker.client_at(second, "again", &[]).0;
    assert!(pings(&mut three), "kept for the next start");
}

#[test]
fn a_listener_that_cannot_be_changes_nothing() {
    let broker = Broker::start_on("no-listener", DEFAULT, 1);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let other = TcpListener::bind(taken).expect("still free");
    let told = broker.refused(&["conf", "set", "listeners.tcp.more.bind", &taken.to_string()]);
    assert!(told.contains("the port is taken"), "{told}");
    assert!(!broker.dir.join("data/configs").exists(), "and nothing is kept");
    assert_eq!(broker.ctl(&["listeners", "list"]).lines().count(), 1);
    assert!(broker.refused(&["listeners", "stop", "tcp:none"]).contains("there is no listener `tcp:none`"));
    drop(other);
    broker.ctl(&["conf", "set", "listeners.tcp.more.bind", &taken.to_string()]);
    assert!(pings(&mut broker.client_at(taken.port(), "late", &[]).0));
}

#[test]
fn files_that_are_read_again_bring_their_listeners() {
    let broker = Broker::start_on("listener-files", DEFAULT, 1);
    let port = free_port();
    std::fs::write(broker.dir.join("r.conf"), format!("{DEFAULT}listeners.tcp.more.bind = \"127.0.0.1:{port}\"\n"))
        .expect("a file");
    broker.ctl(&["conf", "reload"]);
    let (mut client, _) = broker.client_at(port, "one", &[]);
    std::fs::write(broker.dir.join("r.conf"), DEFAULT).expect("a file");
    broker.ctl(&["conf", "reload"]);
    assert!(closes(port));
    assert!(pings(&mut client), "its connections stay");
}

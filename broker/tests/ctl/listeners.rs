//! Listeners that are created, changed, stopped and started while the broker runs.

use crate::PATIENCE;
use crate::broker::{Broker, pings};
use std::io::{ErrorKind, Read, Write};
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
    let shown = broker.ctl(&["clients", "show", "one"]);
    assert!(shown.contains("listener: tcp:more\n") && shown.contains(&format!("sockport: {first}\n")), "{shown}");
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

#[test]
fn a_listener_that_is_made_at_run_time_is_named_in_events_traces_and_the_log() {
    let file = "log.file { enable = true, level = info, path = \"x/r.log\" }\n";
    let broker = Broker::start_on("named", &format!("{DEFAULT}{file}"), 1);
    let (mut watcher, _) = broker.client("watcher");
    watcher.write_all(b"\x82\x1e\x00\x01\x00\x00\x18$SYS/brokers/+/clients/#\x00").expect("sent");
    watcher.read_exact(&mut [0; 6]).expect("SUBACK");
    broker.ctl(&["trace", "start", "t", "client", "one", "one.log"]);
    let port = free_port();
    broker.ctl(&["conf", "set", "listeners.tcp.more.bind", &format!("127.0.0.1:{port}")]);
    let (mut one, _) = broker.client_at(port, "one", &[]);
    assert!(pings(&mut one));
    let mut told = Vec::new();
    let mut bytes = [0; 1024];
    while !told.windows(4).any(|end| end == b"\"ts\"") {
        let length = watcher.read(&mut bytes).expect("an event");
        told.extend_from_slice(&bytes[..length]);
    }
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains(&format!("\"sockport\":{port}")) && told.contains("\"listener\":\"tcp:more\""), "{told}");
    for file in ["x/one.log", "x/r.log"] {
        let by = Instant::now() + PATIENCE;
        // Threads of their own write them.
        while !std::fs::read_to_string(broker.dir.join(file)).is_ok_and(|text| text.contains("listener: tcp:more, ")) {
            assert!(Instant::now() < by, "{file}: {:?}", std::fs::read_to_string(broker.dir.join(file)));
        }
    }
}

#[test]
fn what_listeners_once_shared_is_each_ones_own_and_changes_alone() {
    let more = "listeners.tcp.more { bind = \"127.0.0.1:0\", max_conn_rate_per_ip = \"1/s\" }\n";
    let mut broker = Broker::start_on("own", &format!("{DEFAULT}{more}"), 2);
    let values = |broker: &Broker, key: &str| {
        ["default", "more"].map(|name| {
            let shown = broker.ctl(&["conf", "show", &format!("listeners.tcp.{name}.{key}")]);
            shown.split(' ').nth(2).expect("a value").to_owned()
        })
    };
    for restarted in [false, true] {
        if restarted {
            broker.restart();
        } else {
            broker.ctl(&["conf", "set", "listeners.tcp.default.tcp_options.send_timeout", "1s"]);
            assert_eq!(listening(&broker), broker.ports, "ports that the system has chosen stay");
        }
        assert_eq!(values(&broker, "tcp_options.send_timeout"), ["1s", "15s"]);
        assert_eq!(values(&broker, "max_conn_rate_per_ip"), ["infinity", "\"1/s\""]);
        let connect = |port: u16| -> Vec<TcpStream> {
            (0..8).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("accepted")).collect()
        };
        let (mut at_default, mut at_more) = (connect(broker.ports[0]), connect(broker.ports[1]));
        let by = Instant::now() + PATIENCE;
        // Shards count on their own, and there are two.
        while at_more.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count() < 6 {
            assert!(Instant::now() < by, "more than one a second");
        }
        assert!(!at_default.iter_mut().any(is_closed), "without a limit");
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    match stream.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// The ports of listeners that run, in the order of their names.
fn listening(broker: &Broker) -> Vec<u16> {
    let listed = broker.ctl(&["listeners", "list"]);
    let port = |line: &str| line.split(' ').nth(1)?.rsplit(':').next()?.parse().ok();
    listed.lines().filter_map(port).collect()
}

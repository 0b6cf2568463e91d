//! What listeners let in, with every driver over real loopback sockets.

mod support;

use ringmq_core::limit::{Allowance, Rate};
use ringmq_core::machine::{Command, Input, Origin, ShardId};
use ringmq_drive::{AccessRule, GateOptions, Gates, Options};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Process, Scripted, Seen, client, echo, with_each_driver};

fn options(gate: GateOptions) -> Options {
    Options { gates: Gates::new([gate]), ..Options::default() }
}

/// Waits until as many connections are within as should be.
fn await_connections(options: &Options, expected: u64) {
    let by = Instant::now() + support::PATIENCE;
    while options.gates.facts(0).map(|facts| facts.connections) != Some(expected) {
        assert!(Instant::now() < by, "{:?} and not {expected}", options.gates.facts(0));
        std::thread::yield_now();
    }
}

/// True if the server closes the connection, false if it echoes.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0])) {
        Ok(()) => false,
        Err(error) => {
            let kinds = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(kinds.contains(&error.kind()), "{error}");
            true
        }
    }
}

#[test]
fn addresses_are_kept_out() {
    with_each_driver(|kind| {
        let network = Some(("127.0.0.0".parse().unwrap(), 8));
        let access_rules = vec![AccessRule { allow: false, network }];
        let options = options(GateOptions { access_rules, ..GateOptions::default() });
        let process = Process::start(kind, 1, &options, |_, recorder| Scripted::new(recorder, echo));
        assert!((0..3).all(|_| is_closed(&mut client(&process))), "{kind}");
        let stats = process.stop();
        assert_eq!((stats[0].accepted, stats[0].denied), (0, 3), "{kind}");
        assert_eq!(options.gates.facts(0).map(|facts| (facts.connections, facts.denied)), Some((0, 3)));
    });
}

#[test]
fn connections_at_a_time_are_bounded_and_counted_to_their_end() {
    with_each_driver(|kind| {
        let options = options(GateOptions { max_connections: 2, ..GateOptions::default() });
        let process = Process::start(kind, 1, &options, |_, recorder| Scripted::new(recorder, echo));
        for _ in 0..3 {
            let mut within = [client(&process), client(&process)];
            assert!(!within.iter_mut().any(is_closed), "{kind}");
            assert!(is_closed(&mut client(&process)), "{kind}");
            drop(within);
            await_connections(&options, 0);
        }
        let stats = process.stop();
        assert_eq!((stats[0].accepted, stats[0].turned_away), (6, 3), "{kind}");
    });
}

/// A connection that moves to another shard is counted once, and to its end.
#[test]
fn a_connection_that_moves_stays_within() {
    with_each_driver(|kind| {
        let options = options(GateOptions { max_connections: 8, ..GateOptions::default() });
        let process = Process::start(kind, 2, &options, |shard, recorder| {
            Scripted::new(recorder, move |input, fx| match input {
                Input::Received { conn, bytes } if shard == ShardId(0) => {
                    fx.commands.push(Command::HandOff {
                        conn: *conn,
                        to: ShardId(1),
                        bytes: bytes.to_vec(),
                        peer: None,
                    });
                }
                other => echo(other, fx),
            })
        });
        for _ in 0..3 {
            let mut streams: Vec<TcpStream> = (0..8).map(|_| client(&process)).collect();
            assert!(!streams.iter_mut().any(is_closed), "{kind}");
            await_connections(&options, 8);
            drop(streams);
            await_connections(&options, 0);
        }
        let moved = |seen: &Seen| matches!(seen, Seen::Opened(_, Origin::HandedOver { .. }));
        process.wait_for_on(1, moved);
        process.stop();
    });
}

/// Those above the rate are not refused: they wait in the backlog.
#[test]
fn connections_above_the_rate_are_accepted_later() {
    with_each_driver(|kind| {
        let rate = Rate::new(20, Duration::from_secs(1).as_nanos().try_into().unwrap());
        let options = options(GateOptions { rate: Allowance { rate, burst: None }, ..GateOptions::default() });
        let process = Process::start(kind, 1, &options, |_, recorder| Scripted::new(recorder, echo));
        let start = Instant::now();
        // With io_uring, connections that the kernel has accepted already come in advance; they are paid for later.
        let mut streams: Vec<TcpStream> = (0..40).map(|_| client(&process)).collect();
        assert!(!streams.iter_mut().any(is_closed), "{kind}");
        assert!(!is_closed(&mut client(&process)), "{kind}");
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(1), "{kind}: 41 connections, 20 at once and 20 a second, in {took:?}");
        let stats = process.stop();
        assert!(stats[0].accept_pauses > 0 && stats[0].accepted == 41, "{kind}: {:?}", stats[0]);
    });
}

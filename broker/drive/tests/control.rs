//! Requests from other threads to the shards.
mod support;

use ringmq_core::machine::{Effects, Input, Machine, ShardId, Time};
use ringmq_drive::{DriverKind, GateOptions, ListenerChange, Message, Options, SharedGate, listen};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;
use support::{PATIENCE, Process, client, echo, with_each_driver};

/// Answers a number with its square, and echoes.
struct Squares;

impl Machine for Squares {
    fn handle(&mut self, _now: Time, input: Input<'_>, fx: &mut Effects) {
        match input {
            Input::Control(message) => {
                if let Some(number) = message.downcast_mut::<u64>() {
                    *number *= *number;
                }
            }
            other => echo(&other, fx),
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn every_shard_answers_once_even_from_its_sleep() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 3, &Options::default(), |_, _| Squares);
        let mut stream = client(&process);
        for round in 1..=20_u64 {
            let answers = process.control.ask_all(|shard| Box::new(round + u64::from(shard.0))).expect("room");
            let answers: BTreeMap<ShardId, u64> = (0..3)
                .map(|_| answers.recv_timeout(PATIENCE).expect("an answer"))
                .map(|(shard, message)| (shard, *message.downcast::<u64>().expect("a number")))
                .collect();
            let expected = (0..3).map(|shard| (ShardId(shard), (round + u64::from(shard)).pow(2))).collect();
            assert_eq!(answers, expected, "{kind}");
        }
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        drop(stream);
        process.stop();
    });
}

#[test]
fn one_shard_alone_can_be_asked() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 3, &Options::default(), |_, _| Squares);
        for shard in (0..3).map(ShardId).cycle().take(12) {
            let answers = process.control.ask(shard, Box::new(9_u64)).expect("room");
            let (from, message) = answers.recv_timeout(PATIENCE).expect("an answer");
            assert_eq!((from, *message.downcast::<u64>().expect("a number")), (shard, 81), "{kind}");
            assert!(answers.recv_timeout(PATIENCE).is_err(), "nobody else answers");
        }
        process.stop();
    });
}

#[test]
fn a_request_of_another_type_comes_back_as_it_was() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 1, &Options::default(), |_, _| Squares);
        let answers = process.control.ask_all(|_| Box::new("what")).expect("room");
        let (_, message) = answers.recv_timeout(PATIENCE).expect("an answer");
        assert_eq!(*message.downcast::<&str>().expect("a text"), "what", "{kind}");
        process.stop();
    });
}

/// What each shard made of a change of its listeners.
fn changed(process: &Process, change: impl FnMut(ShardId) -> ListenerChange) -> Vec<Result<(), ErrorKind>> {
    let mut change = change;
    let answers = process.control.ask_all(|shard| Box::new(change(shard))).expect("room");
    let result = |(_, message): (ShardId, Message)| *message.downcast::<io::Result<()>>().expect("a result");
    let answers = answers.iter().take(process.control.shards());
    answers.map(|answer| result(answer).map_err(|error| error.kind())).collect()
}

fn echoes(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

#[test]
fn listeners_come_and_go_and_their_connections_stay() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 2, &Options::default(), |_, _| Squares);
        if !matches!(kind, DriverKind::Uring | DriverKind::Epoll) {
            let refused = changed(&process, |_| ListenerChange::Close { listener: 0 });
            assert_eq!(refused, [Err(ErrorKind::Unsupported); 2], "{kind}");
            process.stop();
            return;
        }
        let mut clients = vec![client(&process)];
        for number in 1..=3 {
            let listening = listen("127.0.0.1:0".parse().unwrap(), 2, 16).unwrap();
            let mut sockets = listening.sockets.into_iter();
            let gate = SharedGate::new(GateOptions { max_connections: 8, ..GateOptions::default() });
            let mut open = |_| {
                let socket = sockets.next().expect("one a shard");
                ListenerChange::Open { listener: number, socket, gate: gate.clone() }
            };
            assert_eq!(changed(&process, &mut open), [Ok(()); 2], "{kind}");
            for _ in 0..8 {
                let mut stream = TcpStream::connect(listening.local_addr).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                assert!(echoes(&mut stream), "{kind}");
                clients.push(stream);
            }
            let mut ninth = TcpStream::connect(listening.local_addr).unwrap();
            assert!(matches!(ninth.read(&mut [0]), Ok(0) | Err(_)), "{kind}: the gate holds");
            assert_eq!(changed(&process, |_| ListenerChange::Close { listener: number }), [Ok(()); 2], "{kind}");
            // The kernel closes the sockets a little later.
            let begun = Instant::now();
            while TcpStream::connect(listening.local_addr).is_ok() {
                assert!(begun.elapsed() < PATIENCE, "{kind}: still listening");
            }
        }
        assert!(clients.iter_mut().all(echoes), "{kind}: closed with its listener");
        let mut sockets = listen("127.0.0.1:0".parse().unwrap(), 2, 16).unwrap().sockets.into_iter();
        let again = |_| {
            let socket = sockets.next().expect("one a shard");
            ListenerChange::Open { listener: 3, socket, gate: SharedGate::default() }
        };
        assert_eq!(changed(&process, again), [Err(ErrorKind::AlreadyExists); 2], "{kind}");
        assert!(echoes(&mut client(&process)), "{kind}: the first is still there");
        drop(clients);
        process.stop();
    });
}

#[test]
fn nobody_is_asked_if_somebody_has_no_room() {
    let control = ringmq_drive::Control::new(2).expect("a control");
    let mut asked = 0;
    let accepted = (0..100)
        .filter(|_| {
            control
                .ask_all(|_| {
                    asked += 1;
                    Box::new(0_u8)
                })
                .is_ok()
        })
        .count();
    assert_eq!((accepted, asked), (64, 128));
    assert!(control.ask(ShardId(1), Box::new(0_u8)).is_err());
}

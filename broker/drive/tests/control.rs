//! Requests from other threads to the shards.
mod support;

use ringmq_core::machine::{Effects, Input, Machine, ShardId, Time};
use ringmq_drive::Options;
use std::collections::BTreeMap;
use std::io::{Read, Write};
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

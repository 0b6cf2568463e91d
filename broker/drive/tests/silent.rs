//! What happens to connections that say nothing: drivers wait for their bytes while something else decides about them.

mod support;

use ringmq_core::machine::{CloseHow, Command, ConnId, Input, Origin, ShardId};
use ringmq_drive::{DriverKind, Options};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::Instant;
use support::{PATIENCE, Process, Scripted, client, echo, with_each_driver};

/// Connections of a test. The kernel spreads them over the shards; with so many, none is left without.
const CLIENTS: usize = 32;

/// A machine that does something to all other accepted connections of its shard when one says "go", and then echoes.
fn deciding(
    kind: DriverKind,
    shards: usize,
    decide: impl Fn(ShardId, ConnId) -> Command + Clone + Send + 'static,
) -> Process {
    Process::start(kind, shards, &Options::default(), move |shard, recorder| {
        let (decide, mut silent) = (decide.clone(), BTreeSet::new());
        Scripted::new(recorder, move |input: &Input<'_>, fx| match input {
            Input::Opened { conn, origin: Origin::Accepted { .. }, .. } => {
                silent.insert(*conn);
            }
            Input::Received { conn, bytes: b"go" } => {
                silent.remove(conn);
                fx.commands.extend(std::mem::take(&mut silent).into_iter().map(|other| decide(shard, other)));
            }
            Input::Closed { conn, .. } => {
                silent.remove(conn);
            }
            _ => echo(input, fx),
        })
    })
}

/// Waits until every connection has been accepted, so that a decision finds them all.
fn wait_for_opened(process: &Process) {
    let patience = Instant::now() + PATIENCE;
    while (0..u8::try_from(process.seen.len()).unwrap())
        .map(|shard| process.control.stats(ShardId(shard)).accepted)
        .sum::<u64>()
        < CLIENTS as u64
    {
        assert!(Instant::now() < patience, "all are accepted");
        std::thread::yield_now();
    }
}

#[test]
fn a_silent_connection_can_be_handed_over() {
    with_each_driver(|kind| {
        let process = deciding(kind, 2, |shard, conn| Command::HandOff {
            conn,
            to: ShardId(1 - shard.0),
            bytes: b"moved".to_vec(),
            peer: None,
        });
        let mut streams: Vec<_> = (0..CLIENTS).map(|_| client(&process)).collect();
        wait_for_opened(&process);
        streams[0].write_all(b"go").unwrap();
        // Those of its shard move, and what was received before comes back from the other one.
        let patience = Instant::now() + PATIENCE;
        while (0..2).all(|shard| process.control.stats(ShardId(shard)).handed_over == 0) {
            assert!(Instant::now() < patience, "{kind}: none has moved");
            std::thread::yield_now();
        }
        let mut moved = 0;
        for stream in &mut streams[1..] {
            stream.write_all(b"hello").unwrap();
            let mut got = [0; 5];
            stream.read_exact(&mut got).unwrap();
            if &got == b"moved" {
                moved += 1;
                stream.read_exact(&mut got).unwrap();
            }
            assert_eq!(&got, b"hello", "{kind}");
        }
        drop(streams);
        let stats = process.stop();
        assert_eq!(stats.iter().map(|shard| shard.handed_over).sum::<u64>(), moved, "{kind}");
        assert_eq!(stats.iter().map(|shard| shard.closed).sum::<u64>(), CLIENTS as u64, "{kind}");
    });
}

#[test]
fn a_silent_connection_can_be_closed() {
    for how in [CloseHow::Flush, CloseHow::Abort] {
        with_each_driver(|kind| {
            let process = deciding(kind, 1, move |_, conn| Command::Close { conn, how });
            let mut streams: Vec<_> = (0..CLIENTS).map(|_| client(&process)).collect();
            wait_for_opened(&process);
            streams[0].write_all(b"go").unwrap();
            for stream in &mut streams[1..] {
                // Goes on when it is interrupted: rings this thread has probed with may end their work on it.
                assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0, "{kind}");
            }
            drop(streams);
            let stats = process.stop();
            assert_eq!((stats[0].closed, stats[0].connections), (CLIENTS as u64, 0), "{kind}");
        });
    }
}

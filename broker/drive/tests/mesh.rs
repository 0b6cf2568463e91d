//! Several shards: hand-over of connections, and batches between machines.

mod support;

use ringmq_core::machine::{Command, ConnId, Effects, Input, Lane, Machine, Origin, ShardId, Time};
use ringmq_drive::{DriverKind, Options, links_with_capacity};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;
use support::{PATIENCE, Process, Recorder, Scripted, Seen, client, echo, pattern, with_each_driver};

/// Hands every connection to the other of two shards as soon as it has `enough` bytes; there it is echoed.
fn handing_over(kind: DriverKind, enough: usize) -> Process {
    Process::start(kind, 2, &Options::default(), move |shard, recorder| {
        let other = ShardId(1 - shard.0);
        let mut ours = std::collections::HashMap::<ConnId, Vec<u8>>::new();
        Scripted::new(recorder, move |input: &Input<'_>, fx| match input {
            Input::Opened { conn, origin: Origin::Accepted { listener: 0 }, .. } => {
                ours.insert(*conn, Vec::new());
            }
            Input::Received { conn, bytes } => match ours.get_mut(conn) {
                Some(first) => {
                    first.extend_from_slice(bytes);
                    if first.len() >= enough {
                        let bytes = ours.remove(conn).expect("just seen");
                        fx.commands.push(Command::HandOff { conn: *conn, to: other, bytes, peer: None });
                    }
                }
                None => echo(input, fx),
            },
            Input::Closed { conn, .. } => {
                ours.remove(conn);
            }
            _ => {}
        })
    })
}

/// What a machine knows of a connection's other end, as of one that a proxy hands on, goes with the connection.
#[test]
fn a_connection_moves_with_the_peer_that_its_machine_tells() {
    let known = SocketAddr::from(([203, 0, 113, 7], 4242));
    with_each_driver(|kind| {
        for told in [None, Some(known)] {
            let process = Process::start(kind, 2, &Options::default(), move |shard, recorder| {
                let to = ShardId(1 - shard.0);
                Scripted::new(recorder, move |input: &Input<'_>, fx| match input {
                    Input::Opened { conn, peer, origin: Origin::HandedOver { .. } } => {
                        fx.outbox.buffer(*conn).extend_from_slice(format!("{peer}\n").as_bytes());
                    }
                    Input::Received { conn, bytes: b"go" } => {
                        let bytes = b"gone".to_vec();
                        fx.commands.push(Command::HandOff { conn: *conn, to, bytes, peer: told });
                    }
                    _ => {}
                })
            });
            let mut stream = client(&process);
            stream.write_all(b"go").unwrap();
            let own = stream.local_addr().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert_eq!(line.trim_end(), told.unwrap_or(own).to_string(), "{kind}");
            drop(stream);
            process.stop();
        }
    });
}

#[test]
fn a_connection_moves_with_the_bytes_it_has_received() {
    const CLIENTS: u64 = 200;
    with_each_driver(|kind| {
        let process = handing_over(kind, 3);
        for number in 0..CLIENTS {
            let mut stream = client(&process);
            let text = format!("hello {number:04}");
            stream.write_all(text.as_bytes()).unwrap();
            let mut got = [0; 10];
            stream.read_exact(&mut got).unwrap();
            assert_eq!(std::str::from_utf8(&got), Ok(text.as_str()), "{kind}");
            stream.write_all(b"more").unwrap();
            stream.read_exact(&mut got[..4]).unwrap();
        }
        let stats = process.stop();
        assert!(stats.iter().all(|shard| shard.accepted > 0 && shard.accepted == shard.handed_off), "{kind}");
        assert_eq!(stats[0].handed_off + stats[1].handed_off, CLIENTS);
        assert_eq!(stats[0].handed_off, stats[1].handed_over);
        assert_eq!(stats[1].handed_off, stats[0].handed_over);
        assert!(stats.iter().all(|shard| shard.closed == shard.handed_over && shard.connections == 0), "{kind}");
    });
}

#[test]
fn a_connection_that_is_being_received_from_moves_without_losing_a_byte() {
    const LEN: usize = 300_000;
    with_each_driver(|kind| {
        // 100,000 bytes take many receives, so that one is armed, or complete, when the connection is handed over.
        for enough in [1, 5000, 100_000] {
            let process = handing_over(kind, enough);
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    let stream = client(&process);
                    std::thread::spawn(move || {
                        let sent = pattern(LEN);
                        let mut writer = stream.try_clone().unwrap();
                        let pieces = sent.clone();
                        let thread = std::thread::spawn(move || {
                            for piece in pieces.chunks(1777) {
                                writer.write_all(piece).unwrap();
                            }
                        });
                        let mut got = vec![0; LEN];
                        (&stream).read_exact(&mut got).unwrap();
                        thread.join().unwrap();
                        assert!(got == sent);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap_or_else(|_| panic!("{kind}, handed over after {enough} bytes"));
            }
            process.stop();
        }
    });
}

#[test]
fn a_connection_that_ends_while_it_moves_ends_where_it_arrives() {
    with_each_driver(|kind| {
        let process = handing_over(kind, 1);
        for _ in 0..100 {
            let mut stream = client(&process);
            stream.write_all(b"x").unwrap();
            drop(stream);
        }
        let patience = std::time::Instant::now() + PATIENCE;
        let ended =
            |process: &Process| -> u64 { (0..2).map(|shard| process.control.stats(ShardId(shard)).closed).sum() };
        while ended(&process) < 100 {
            assert!(std::time::Instant::now() < patience, "{kind}: {} of 100 ended", ended(&process));
            std::thread::yield_now();
        }
        let stats = process.stop();
        assert_eq!(stats.iter().map(|shard| shard.connections).sum::<u64>(), 0, "{kind}");
    });
}

/// Length of a record: its number, and how often it is still to cross.
const RECORD_BYTES: usize = 16;

/// Sends `burst` records on both lanes to the other shard when a client connects, many a turn; sends every record that
/// arrives back until it has crossed often enough, and checks that none overtakes another.
struct PingPong {
    shard: ShardId,
    recorder: Recorder,
    /// Records to send once a client says so.
    to_come: u64,
    to_start: u64,
    crossings: u64,
    returned: u64,
    burst: u64,
    expected: std::collections::HashMap<(u64, u64), u64>,
}

impl PingPong {
    fn other(&self) -> ShardId {
        ShardId(1 - self.shard.0)
    }
}

fn record(number: u64, left: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record[8..].copy_from_slice(&left.to_le_bytes());
    record
}

impl Machine for PingPong {
    fn handle(&mut self, _now: Time, input: Input<'_>, fx: &mut Effects) {
        match input {
            Input::Received { .. } => self.to_start += std::mem::take(&mut self.to_come),
            // One record a turn, so that rings fill up with small batches.
            Input::Tick if self.to_start > 0 => {
                self.to_start -= 1;
                let number = self.burst - self.to_start - 1;
                let lane = if number.is_multiple_of(2) { Lane::Data } else { Lane::Control };
                fx.mesh.lane(self.other(), lane).extend_from_slice(&record(number, self.crossings));
            }
            Input::Mesh { from, bytes } => {
                assert_eq!(from, self.other());
                assert_eq!(bytes.len() % RECORD_BYTES, 0, "batches arrive whole");
                for bytes in bytes.as_chunks::<RECORD_BYTES>().0 {
                    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    let left = u64::from_le_bytes(bytes[8..].try_into().unwrap());
                    // Records of one lane that make the same crossing keep their order.
                    let last = self.expected.insert((number % 2, left), number);
                    assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
                    if left == 1 {
                        self.returned += 1;
                        if self.returned == self.burst {
                            let _ = self.recorder.0.send(Seen::Stop);
                        }
                    } else {
                        let lane = if number.is_multiple_of(2) { Lane::Data } else { Lane::Control };
                        fx.mesh.lane(self.other(), lane).extend_from_slice(&record(number, left - 1));
                    }
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn busy(&self) -> bool {
        self.to_start > 0
    }
}

#[test]
fn full_rings_between_two_shards_lose_nothing_and_never_lock_up() {
    with_each_driver(|kind| {
        for (capacity, spin) in [(1, 0), (2, 20), (256, 0)] {
            let options = Options { spin: Duration::from_micros(spin), ..Options::default() };
            let process =
                Process::start_linked(kind, links_with_capacity(2, capacity), &options, |shard, recorder| PingPong {
                    shard,
                    recorder,
                    to_come: 5000,
                    to_start: 0,
                    crossings: 20,
                    returned: 0,
                    burst: 5000,
                    expected: std::collections::HashMap::new(),
                });
            // Connections of both shards start them: the kernel decides who gets which, so make enough.
            let mut streams: Vec<_> = (0..32).map(|_| client(&process)).collect();
            let patience = std::time::Instant::now() + PATIENCE;
            while (0..2).any(|shard| process.control.stats(ShardId(shard)).accepted == 0) {
                assert!(std::time::Instant::now() < patience, "both shards accept");
                std::thread::yield_now();
            }
            for stream in &mut streams {
                stream.write_all(b"go").unwrap();
            }
            for shard in 0..2 {
                process.wait_for_on(shard, |seen| *seen == Seen::Stop);
            }
            drop(streams);
            let stats = process.stop();
            assert!(capacity > 2 || stats.iter().any(|shard| shard.mesh_full > 0), "{kind}: the rings never were full");
        }
    });
}

#[test]
fn a_sleeping_shard_is_woken_for_every_message() {
    const MESSAGES: u64 = 2000;
    with_each_driver(|kind| {
        let options = Options { spin: Duration::ZERO, ..Options::default() };
        // One record at a time: every crossing finds the other shard asleep, or about to be.
        let process = Process::start(kind, 2, &options, |shard, recorder| PingPong {
            shard,
            recorder,
            to_come: 1,
            to_start: 0,
            crossings: MESSAGES,
            returned: 0,
            burst: 1,
            expected: std::collections::HashMap::new(),
        });
        let mut stream = client(&process);
        stream.write_all(b"go").unwrap();
        let patience = std::time::Instant::now() + PATIENCE;
        while !(0..2).any(|shard| process.seen[shard].try_recv() == Ok(Seen::Stop)) {
            assert!(std::time::Instant::now() < patience, "{kind}: a wake-up was lost");
            std::thread::yield_now();
        }
        drop(stream);
        let stats = process.stop();
        assert_eq!(stats[0].mesh_received + stats[1].mesh_received, MESSAGES);
        assert!(stats[0].wakes_sent + stats[1].wakes_sent > MESSAGES / 20, "{kind}: {stats:?}");
    });
}

//! Links between machines that do what the test says, on two threads' posts that one thread empties in turn.

use super::super::post::posts;
use super::*;
use ringmq_core::machine::{HIGH_WATER_BYTES, LOW_WATER_BYTES, MeshOut, ShardId};

/// Writes down what it is told, in words.
#[derive(Default)]
struct Scribe {
    log: Vec<String>,
}

impl Machine for Scribe {
    fn handle(&mut self, _: Time, input: Input<'_>, _: &mut Effects) {
        self.log.push(match input {
            Input::Opened { conn, origin, .. } => format!("opened {} {origin:?}", conn.0),
            Input::Received { conn, bytes } => format!("received {} {}", conn.0, bytes.len()),
            Input::Drained { conn } => format!("drained {}", conn.0),
            Input::Closed { conn, cause } => format!("closed {} {cause:?}", conn.0),
            other => format!("{other:?}"),
        });
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

const CLIENT: ConnId = ConnId(0);

/// Two threads with a side of each kind.
struct Rig {
    posts: Vec<Post>,
    clients: Vec<Side<Scribe>>,
    shards: Vec<Side<Scribe>>,
}

impl Rig {
    /// Client 0 of thread 0 is connected to the shard of thread 0, and has sent its first bytes.
    fn new() -> Self {
        let sides = |way| (0..2).map(|_| Side::new(Scribe::default(), way, 2)).collect();
        let mut rig = Self { posts: posts(2), clients: sides(Way::ToBroker), shards: sides(Way::ToClients) };
        let remote = address();
        rig.clients[0].command(Command::Connect { token: 7, remote, local: None }, &mut rig.posts[0]);
        rig.turns();
        assert_eq!(rig.clients[0].machine.log, ["opened 0 Connected { token: 7 }"]);
        rig.append(7);
        rig.turns();
        assert_eq!(rig.shards[0].machine.log, ["opened 0 Accepted { listener: 0 }", "received 0 7"]);
        rig
    }

    /// Client and shard have spoken.
    fn settled() -> Self {
        let mut rig = Self::new();
        rig.shards[0].fx.outbox.buffer(ConnId(0)).push(1);
        rig.turns();
        rig.forget();
        rig
    }

    fn append(&mut self, bytes: usize) {
        let buffer = self.clients[0].fx.outbox.buffer(CLIENT);
        buffer.resize(buffer.len() + bytes, 0);
    }

    fn turns(&mut self) {
        for _ in 0..40 {
            self.turn();
        }
    }

    fn turn(&mut self) {
        for thread in 0..2 {
            let (post, client, shard) = (&mut self.posts[thread], &mut self.clients[thread], &mut self.shards[thread]);
            client.begin_turn(Time(1));
            shard.begin_turn(Time(1));
            post.take(Way::ToClients, |post, from, batch| client.batch(post, from, batch));
            client.send_ready(post);
            post.take(Way::ToBroker, |post, from, batch| shard.batch(post, from, batch));
            shard.send_ready(post);
            post.flush(&mut MeshOut::new(2), &mut MeshOut::new(2));
        }
    }

    fn forget(&mut self) {
        self.clients.iter_mut().chain(&mut self.shards).for_each(|side| side.machine.log.clear());
    }

    fn command_client(&mut self, command: Command) {
        self.clients[0].command(command, &mut self.posts[0]);
    }

    fn command_shard(&mut self, command: Command) {
        self.shards[0].command(command, &mut self.posts[0]);
    }

    fn used(&self) -> usize {
        self.clients.iter().chain(&self.shards).map(Side::used).sum()
    }
}

#[test]
fn what_a_turn_appends_arrives_at_once_and_a_long_output_in_parts() {
    let mut rig = Rig::settled();
    rig.append(10);
    rig.append(20);
    rig.turns();
    assert_eq!(rig.shards[0].machine.log, ["received 0 30"]);
    rig.forget();
    rig.append(RECORD_BYTES_MAX + 5);
    rig.turns();
    assert_eq!(rig.shards[0].machine.log, [format!("received 0 {RECORD_BYTES_MAX}"), "received 0 5".into()]);
    assert_eq!(rig.clients[0].fx.outbox.unsent(CLIENT), 0);
}

#[test]
fn a_shard_that_does_not_read_leaves_the_bytes_where_the_client_sees_them() {
    let mut rig = Rig::settled();
    rig.command_shard(Command::PauseReading { conn: ConnId(0) });
    rig.turns();
    rig.append(HIGH_WATER_BYTES + 1);
    rig.clients[0].fx.outbox.watch_drain(CLIENT, LOW_WATER_BYTES);
    rig.turns();
    assert_eq!(rig.clients[0].fx.outbox.unsent(CLIENT), HIGH_WATER_BYTES + 1);
    assert!(rig.shards[0].machine.log.is_empty() && rig.clients[0].machine.log.is_empty());
    rig.command_shard(Command::ResumeReading { conn: ConnId(0) });
    rig.turns();
    assert_eq!(rig.clients[0].machine.log, ["drained 0"], "told once, when {LOW_WATER_BYTES} bytes are left");
    assert_eq!(rig.shards[0].received_bytes as usize, 7 + HIGH_WATER_BYTES + 1);
}

#[test]
fn a_full_ring_leaves_the_bytes_in_the_outbox() {
    let mut rig = Rig::new();
    rig.command_shard(Command::HandOff { conn: ConnId(0), to: ShardId(1), bytes: vec![0; 7], peer: None });
    rig.turns();
    rig.forget();
    let megabytes = 64;
    rig.append(megabytes << 20);
    // Nobody takes what thread 0 sends.
    for _ in 0..10_000 {
        let (post, client) = (&mut rig.posts[0], &mut rig.clients[0]);
        client.send_ready(post);
        post.flush(&mut MeshOut::new(2), &mut MeshOut::new(2));
    }
    let unsent = rig.clients[0].fx.outbox.unsent(CLIENT);
    assert!(unsent > (megabytes - 10) << 20, "only {unsent} of {megabytes} MiB were kept back");
    for _ in 0..100 {
        rig.turns();
    }
    assert_eq!(rig.shards[1].received_bytes as usize, megabytes << 20);
}

#[test]
fn a_link_that_was_handed_over_leads_to_the_other_shard() {
    let mut rig = Rig::new();
    // More bytes must wait for the answer, wherever it comes from.
    rig.append(100);
    rig.turns();
    assert_eq!(rig.shards[0].machine.log.len(), 2);
    rig.forget();
    rig.command_shard(Command::HandOff { conn: ConnId(0), to: ShardId(1), bytes: vec![0; 7], peer: None });
    rig.turns();
    let expected = ["opened 0 HandedOver { listener: 0 }", "received 0 7", "received 0 100"];
    assert_eq!(rig.shards[1].machine.log, expected);
    assert!(rig.shards[0].machine.log.is_empty());
    rig.shards[1].fx.outbox.buffer(ConnId(0)).push(1);
    rig.turns();
    assert_eq!(rig.clients[0].machine.log, ["received 0 1"]);
    rig.command_client(Command::Close { conn: CLIENT, how: CloseHow::Flush });
    rig.turns();
    assert_eq!(rig.shards[1].machine.log.last().unwrap(), "closed 0 Peer");
    assert_eq!(rig.used(), 0);
}

#[test]
fn a_client_that_closes_while_it_is_handed_over_closes_at_the_new_place() {
    let mut rig = Rig::new();
    rig.forget();
    rig.command_client(Command::Close { conn: CLIENT, how: CloseHow::Abort });
    rig.turns();
    assert!(rig.shards[0].machine.log.is_empty(), "the shard has not answered yet");
    rig.command_shard(Command::HandOff { conn: ConnId(0), to: ShardId(1), bytes: vec![0; 7], peer: None });
    rig.turns();
    assert_eq!(rig.shards[1].machine.log.last().unwrap(), "closed 0 Peer");
    assert!(rig.clients[0].machine.log.is_empty(), "nothing follows a close");
    assert_eq!(rig.used(), 0);
}

#[test]
fn flush_sends_what_is_there_and_abort_does_not() {
    for (how, expected) in
        [(CloseHow::Flush, &["received 0 9", "closed 0 Peer"][..]), (CloseHow::Abort, &["closed 0 Peer"])]
    {
        let mut rig = Rig::settled();
        rig.append(9);
        rig.command_client(Command::Close { conn: CLIENT, how });
        rig.turns();
        assert_eq!(rig.shards[0].machine.log, expected);
        assert!(rig.clients[0].machine.log.is_empty(), "nothing follows a close");
        assert_eq!(rig.used(), 0);
    }
}

#[test]
fn slots_of_ends_that_closed_at_once_are_used_again_and_their_bytes_dropped() {
    let mut rig = Rig::settled();
    rig.append(9);
    rig.shards[0].fx.outbox.buffer(ConnId(0)).push(1);
    rig.command_client(Command::Close { conn: CLIENT, how: CloseHow::Flush });
    rig.command_shard(Command::Close { conn: ConnId(0), how: CloseHow::Flush });
    rig.turns();
    assert!(rig.clients[0].machine.log.is_empty() && rig.shards[0].machine.log.is_empty());
    assert_eq!(rig.used(), 0);
    rig.command_client(Command::Connect { token: 8, remote: address(), local: None });
    rig.turns();
    rig.append(3);
    rig.turns();
    assert_eq!(rig.clients[0].machine.log, ["opened 0 Connected { token: 8 }"]);
    assert_eq!(rig.shards[0].machine.log, ["opened 0 Accepted { listener: 0 }", "received 0 3"]);
}

#[test]
fn a_refusal_reaches_the_client_before_the_close() {
    let mut rig = Rig::new();
    rig.forget();
    rig.shards[0].fx.outbox.buffer(ConnId(0)).extend_from_slice(b"no");
    rig.command_shard(Command::Close { conn: ConnId(0), how: CloseHow::Flush });
    rig.turns();
    assert_eq!(rig.clients[0].machine.log, ["received 0 2", "closed 0 Peer"]);
    assert_eq!(rig.used(), 0);
}

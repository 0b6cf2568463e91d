//! A slow reader still gets all retained messages, however far its queue and its connection fill up meanwhile.

use ringmq_core::machine::{ConnId, Effects, Input, Machine, Origin, Time};
use ringmq_core::settings::Settings;
use ringmq_core::shard::{Shard, ShardConfig};
use ringmq_wire::{
    Connect, ConnectProperties, Cut, MAX_PACKET_LEN, PacketType, PublishOut, QoS, SubscribeOptions, SubscribeOut,
    UserProperties, Version, cut,
};

/// Retained messages; with their size, far more than a connection's high-water mark.
const MESSAGES: usize = 600;

/// Payload of each, bytes.
const PAYLOAD_BYTES: usize = 10_000;

/// Bytes that the reader takes at a time.
const SENT_AT_A_TIME: usize = 60_000;

/// Turns that it takes with room to spare.
const TURNS: u64 = 2_000;

fn connect(client_id: &str) -> Vec<u8> {
    let connect = Connect {
        version: Version::V311,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let mut bytes = Vec::new();
    connect.encode(&mut bytes);
    bytes
}

fn open(shard: &mut Shard, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
    let peer = "127.0.0.1:1".parse().expect("an address");
    shard.handle(Time::from_millis(1), Input::Opened { conn, peer, origin: Origin::Accepted { listener: 0 } }, fx);
    shard.handle(Time::from_millis(1), Input::Received { conn, bytes }, fx);
}

/// Sends a little; returns what was sent.
fn send(shard: &mut Shard, now: Time, conn: ConnId, fx: &mut Effects) -> Vec<u8> {
    let _started = fx.outbox.start_send(conn);
    let rest = fx.outbox.rest_of_send(conn).bytes;
    let bytes = rest[..rest.len().min(SENT_AT_A_TIME)].to_vec();
    if !bytes.is_empty() && fx.outbox.sent(conn, bytes.len()).drained {
        shard.handle(now, Input::Drained { conn }, fx);
    }
    bytes
}

#[test]
fn a_slow_reader_gets_all_retained_messages() {
    let config = ShardConfig {
        id: ringmq_core::machine::ShardId(0),
        shards: 1,
        settings: Settings::default(),
        seed: 1,
        interest: None,
        auth_methods: Vec::new(),
        counters: None,
        rewriter: None,
        unix_offset_ms: 0,
    };
    let (mut shard, mut fx) = (Shard::new(config), Effects::new(1));
    let mut bytes = connect("publisher");
    for number in 0..MESSAGES {
        let topic = format!("t/{number}");
        let message = PublishOut {
            qos: QoS::AtMostOnce,
            retain: true,
            dup: false,
            topic: topic.as_bytes(),
            packet_id: 0,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload: &[7; PAYLOAD_BYTES],
        };
        message.encode(Version::V311, &mut bytes);
    }
    open(&mut shard, ConnId(0), &bytes, &mut fx);
    let reader = ConnId(1);
    let mut bytes = connect("reader");
    let filters = [("t/#", SubscribeOptions::with_qos(QoS::AtMostOnce))];
    let subscribe =
        SubscribeOut { packet_id: 1, subscription_id: None, filters: &filters, user_properties: UserProperties::NONE };
    subscribe.encode(Version::V311, &mut bytes);
    open(&mut shard, reader, &bytes, &mut fx);
    let (mut received, mut got) = (Vec::new(), 0);
    for turn in 2..TURNS {
        let now = Time::from_millis(turn);
        received.extend(send(&mut shard, now, reader, &mut fx));
        while let Ok(Cut::Frame(frame, used)) = cut(&received, MAX_PACKET_LEN) {
            got += usize::from(frame.packet_type() == Some(PacketType::Publish));
            received.drain(..used);
        }
        if shard.busy() || shard.deadline().is_some_and(|deadline| deadline <= now) {
            shard.handle(now, Input::Tick, &mut fx);
        }
    }
    assert_eq!(got, MESSAGES);
}

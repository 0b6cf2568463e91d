//! Many idle clients: what each costs in memory, and that a message still finds some of them.
//!
//! Memory is the process's resident set as the kernel counts it, allocator's losses and the cluster's own 24 bytes a
//! link included; sockets are not, because there are none.

use crate::cluster::{Cluster, Link};
use ringmq_core::settings::Settings;
use ringmq_wire::{
    Connect, ConnectProperties, Cut, MAX_PACKET_LEN, Packet, PublishOut, QoS, SubscribeOptions, SubscribeOut,
    UserProperties, Version, cut, decode,
};
use std::time::Instant;

/// Every so manieth client gets a message.
const SAMPLE: usize = 1000;

/// Clients between two turns of the cluster.
const CLIENTS_PER_TURN: usize = 256;

/// Bytes of a page in `/proc/self/statm`.
const PAGE_BYTES: usize = 4096;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Clients that were connected, each with one subscription of its own.
    pub clients: usize,
    /// Growth of the resident set, bytes a client.
    pub bytes_per_client: usize,
    /// Seconds to connect and subscribe them all.
    pub seconds: f64,
    /// Messages sent to a sample of them.
    pub sent: usize,
    /// How many of those arrived, each at the client whose topic it was.
    pub arrived: usize,
}

/// Connects so many MQTT 3.1.1 clients, each with one subscription, and sends a message to a sample of them.
///
/// # Panics
/// If a client is refused, or the process has no `/proc/self/statm`.
#[must_use]
pub fn measure(clients: usize, shards: usize) -> Measured {
    let mut cluster = Cluster::new(shards, &Settings::default(), 7);
    let began = Instant::now();
    let before = resident_bytes();
    let mut links: Vec<Link> = Vec::with_capacity(clients);
    let mut bytes = Vec::new();
    let mut answers = 0;
    for client in 0..clients {
        let link = cluster.open(client % shards);
        bytes.clear();
        write_client(client, &mut bytes);
        cluster.push(link, &bytes);
        links.push(link);
        if client % CLIENTS_PER_TURN == 0 {
            cluster.turn(|_, bytes| answers += packets(bytes));
        }
    }
    cluster.turn(|_, bytes| answers += packets(bytes));
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(answers, 2 * clients, "CONNACK and SUBACK for each client");
    let grown = resident_bytes().saturating_sub(before + clients * size_of::<Link>());

    let publisher = cluster.open(0);
    bytes.clear();
    connect("publisher", &mut bytes);
    let sample: Vec<usize> = (0..clients).step_by(SAMPLE).collect();
    for client in &sample {
        let topic = format!("device/{client}/command");
        let message = PublishOut {
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            topic: topic.as_bytes(),
            packet_id: 0,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload: &client.to_be_bytes(),
        };
        message.encode(Version::V311, &mut bytes);
    }
    cluster.push(publisher, &bytes);
    let mut arrived = 0;
    cluster.turn(|link, bytes| {
        if let Ok(Cut::Frame(frame, _)) = cut(bytes, MAX_PACKET_LEN)
            && let Ok(Packet::Publish(publish)) = decode(frame, Version::V311)
        {
            let client = usize::from_be_bytes(publish.payload.try_into().expect("a client's number"));
            arrived += usize::from(links[client] == link);
        }
    });
    Measured { clients, bytes_per_client: grown / clients.max(1), seconds, sent: sample.len(), arrived }
}

fn write_client(client: usize, bytes: &mut Vec<u8>) {
    connect(&format!("device-{client:08}"), bytes);
    let topic = format!("device/{client}/command");
    let filters = [(topic.as_str(), SubscribeOptions::with_qos(QoS::AtMostOnce))];
    let subscribe =
        SubscribeOut { packet_id: 1, subscription_id: None, filters: &filters, user_properties: UserProperties::NONE };
    subscribe.encode(Version::V311, bytes);
}

fn connect(client_id: &str, bytes: &mut Vec<u8>) {
    let connect = Connect {
        version: Version::V311,
        bridge: false,
        clean_start: true,
        keep_alive: 300,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    connect.encode(bytes);
}

/// Whole packets in what was sent at once.
fn packets(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Ok(Cut::Frame(_, used)) = cut(bytes, MAX_PACKET_LEN) {
        bytes = &bytes[used..];
        count += 1;
    }
    count
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells the memory of a process");
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<usize>().ok());
    pages.expect("the second field is the resident set") * PAGE_BYTES
}

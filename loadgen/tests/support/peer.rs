//! A client of a few lines that is not the generator: MQTT 3.1.1, QoS 0.

use ringmq_wire::{Cut, MAX_PACKET_LEN, Packet, PublishOut, QoS, Version, cut, decode};
use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// How long nothing may come before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connected client.
pub(crate) struct Peer {
    stream: TcpStream,
    waiting: Vec<u8>,
}

impl Peer {
    /// Connects, and waits for CONNACK.
    pub(crate) fn connect(port: u16, id: &str) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut packet = vec![0x10, (12 + id.len()) as u8, 0, 4];
        packet.extend_from_slice(b"MQTT\x04\x02\0\0\0");
        packet.push(id.len() as u8);
        packet.extend_from_slice(id.as_bytes());
        stream.write_all(&packet).unwrap();
        let mut peer = Self { stream, waiting: Vec::new() };
        peer.next(|packet| matches!(packet, Packet::ConnAck(_)).then_some(()));
        peer
    }

    /// Subscribes at QoS 0, and waits for SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        let mut packet = vec![0x82, (5 + filter.len()) as u8, 0, 1, 0, filter.len() as u8];
        packet.extend_from_slice(filter.as_bytes());
        packet.push(0);
        self.stream.write_all(&packet).unwrap();
        self.next(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
    }

    /// The next message: topic and payload.
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        self.next(|packet| match packet {
            Packet::Publish(publish) => Some((publish.topic.to_owned(), publish.payload.to_vec())),
            _ => None,
        })
    }

    /// Publishes at QoS 0.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        let mut packet = Vec::new();
        PublishOut {
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            topic: topic.as_bytes(),
            packet_id: 0,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload,
        }
        .encode(Version::V311, &mut packet);
        self.stream.write_all(&packet)
    }

    /// Reads until a packet means something.
    fn next<T>(&mut self, mut meaning: impl FnMut(&Packet<'_>) -> Option<T>) -> T {
        let mut chunk = [0; 4096];
        loop {
            while let Cut::Frame(frame, used) = cut(&self.waiting, MAX_PACKET_LEN).unwrap() {
                let found = meaning(&decode(frame, Version::V311).unwrap());
                self.waiting.drain(..used);
                if let Some(found) = found {
                    return found;
                }
            }
            let received = self.stream.read(&mut chunk).expect("the broker says something in time");
            assert!(received > 0, "the broker closed the connection");
            self.waiting.extend_from_slice(&chunk[..received]);
        }
    }
}

//! Packets by hand, of any length.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends a packet: its first byte, and what follows its length.
pub(crate) fn send(stream: &mut TcpStream, head: u8, body: &[u8]) {
    let mut packet = vec![head];
    let mut length = body.len();
    while length > 127 {
        packet.push(u8::try_from(length & 127).expect("7 bits") | 128);
        length >>= 7;
    }
    packet.push(u8::try_from(length).expect("7 bits"));
    packet.extend_from_slice(body);
    stream.write_all(&packet).expect("sent");
}

/// The next packet: its first byte, and what follows its length.
pub(crate) fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("a packet");
    let (head, mut length, mut shift) = (byte[0], 0_usize, 0);
    loop {
        stream.read_exact(&mut byte).expect("a packet");
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] < 128 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a packet");
    (head, body)
}

/// Receives a packet that has to be this one.
pub(crate) fn expect(stream: &mut TcpStream, head: u8, body: &[u8]) {
    assert_eq!(receive(stream), (head, body.to_vec()));
}

/// Reads to the end of the connection; what came before it. It may be reset, if the broker closes over unread bytes.
pub(crate) fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// Subscribes a client of MQTT 5; the reason code.
pub(crate) fn subscribe(stream: &mut TcpStream, filter: &str, options: u8) -> u8 {
    let length = u8::try_from(filter.len()).expect("short");
    send(stream, 0x82, &[&[0, 1, 0, 0, length], filter.as_bytes(), &[options]].concat());
    let (head, body) = receive(stream);
    assert_eq!((head, &body[..3]), (0x90, &[0, 1, 0][..]));
    body[3]
}

/// Sends a PUBLISH of MQTT 5 without properties; QoS 0 has no identifier.
pub(crate) fn publish(stream: &mut TcpStream, head: u8, topic: &str, packet_id: u8, payload: &[u8]) {
    let length = u8::try_from(topic.len()).expect("short");
    let id: &[u8] = if head & 6 == 0 { &[] } else { &[0, packet_id] };
    send(stream, head, &[&[0, length], topic.as_bytes(), id, &[0], payload].concat());
}

//! A TCP relay in front of a broker that does to messages what a broken broker would.
//!
//! Only what the broker sends is touched; of PUBLISH packets only the one with the given number on its connection,
//! counted from 0.

use ringmq_wire::{Cut, MAX_PACKET_LEN, PacketType, cut};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

/// What is done to the message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tampering {
    /// It is not passed on.
    Drop,
    /// It is passed on twice.
    Repeat,
    /// It is passed on after its successor.
    Delay,
    /// Its last byte is changed.
    Damage,
    /// Nothing; but when the broker closes a connection, the client does not hear of it.
    KeepOpen,
    /// Nothing; but CONNACK never says that a session is present.
    ForgetSession,
}

/// Starts a relay to the broker on `port`; returns the relay's port. Its threads end with the test program.
pub(crate) fn relay(port: u16, tampering: Tampering, number: usize) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            for stream in [&client, &broker] {
                stream.set_nodelay(true).unwrap();
            }
            let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
            thread::spawn(move || copy(from, to));
            thread::spawn(move || tamper(broker, client, tampering, number));
        }
    });
    own
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn tamper(mut from: TcpStream, mut to: TcpStream, tampering: Tampering, number: usize) {
    let (mut waiting, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    let (mut count, mut delayed) = (0, Vec::new());
    while let Ok(received) = from.read(&mut chunk) {
        if received == 0 {
            break;
        }
        waiting.extend_from_slice(&chunk[..received]);
        let mut out = Vec::new();
        while let Ok(Cut::Frame(frame, used)) = cut(&waiting, MAX_PACKET_LEN) {
            let frame_type = frame.packet_type();
            let is_message = frame_type == Some(PacketType::Publish);
            let mut packet: Vec<u8> = waiting.drain(..used).collect();
            if frame_type == Some(PacketType::ConnAck) && matches!(tampering, Tampering::ForgetSession) {
                packet[2] = 0;
            }
            if is_message && count == number {
                match tampering {
                    Tampering::Drop => packet.clear(),
                    Tampering::Repeat => packet.extend_from_within(..),
                    Tampering::Delay => delayed = std::mem::take(&mut packet),
                    Tampering::Damage => *packet.last_mut().unwrap() ^= 1,
                    Tampering::KeepOpen | Tampering::ForgetSession => {}
                }
            }
            out.extend_from_slice(&packet);
            if is_message && count != number {
                out.append(&mut delayed);
            }
            count += usize::from(is_message);
        }
        if to.write_all(&out).is_err() {
            break;
        }
    }
    if !matches!(tampering, Tampering::KeepOpen) {
        let _ = to.shutdown(Shutdown::Write);
    }
}

//! Connections over real loopback sockets, with every driver.

mod support;

use ringmq_drive::Options;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use support::{Echo, Process, with_each_driver};

fn echo_server(kind: ringmq_drive::DriverKind, options: &Options) -> Process {
    Process::start(kind, 1, options, |_, recorder| Echo::new(recorder))
}

fn connect(process: &Process) -> TcpStream {
    let stream = TcpStream::connect(process.addr).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.set_write_timeout(Some(support::PATIENCE)).unwrap();
    stream
}

/// Bytes that differ at every offset that matters.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

#[test]
fn echoes_messages_of_every_size() {
    with_each_driver(|kind| {
        let process = echo_server(kind, &Options::default());
        let mut stream = connect(&process);
        for len in [1, 2, 64, 1447, 4095, 4096, 4097, 8192, 65_535, 65_536, 200_000] {
            let sent = pattern(len);
            stream.write_all(&sent).unwrap();
            let mut got = vec![0; len];
            stream.read_exact(&mut got).unwrap();
            assert!(got == sent, "{kind}: {len} bytes differ");
        }
        drop(stream);
        let stats = process.stop();
        assert_eq!(stats[0].accepted, 1);
        assert_eq!(stats[0].received_bytes, stats[0].sent_bytes);
    });
}

#[test]
fn echoes_five_megabytes_and_a_half_close() {
    with_each_driver(|kind| {
        let process = echo_server(kind, &Options::default());
        let mut stream = connect(&process);
        let sent = pattern(5_000_000);
        let mut writer = stream.try_clone().unwrap();
        let piecewise = sent.clone();
        let thread = std::thread::spawn(move || {
            for piece in piecewise.chunks(7919) {
                writer.write_all(piece).unwrap();
            }
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        thread.join().unwrap();
        assert!(got == sent, "{kind}: {} bytes of {}", got.len(), sent.len());
        process.stop();
    });
}

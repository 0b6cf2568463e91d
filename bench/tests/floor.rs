//! The floor against real sockets, with both drivers: frames arrive whole, in order and once, however many connections
//! come and go, and a stop signal ends the program with what it counted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A test that waits longer than this for bytes has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Floor {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Floor {
    fn start(driver: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringmq-floor"))
            .args(["--driver", driver, "--tcp", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("the address it listens on").parse().unwrap();
        Self { child, output, address }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(&mut stream, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x", &[0x20, 2, 0, 0]);
        stream
    }

    /// Sends SIGTERM; returns the last line printed.
    fn stop(mut self) -> String {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        assert!(self.child.wait().unwrap().success());
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Floor {
    /// A test that fails must not leave the program running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(stream: &mut TcpStream, request: &[u8], answer: &[u8]) {
    stream.write_all(request).unwrap();
    let mut got = vec![0; answer.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, answer);
}

fn subscribe(stream: &mut TcpStream, filter: &str) {
    let mut frame = vec![0x82, 5 + filter.len() as u8, 0, 9, 0, filter.len() as u8];
    frame.extend_from_slice(filter.as_bytes());
    frame.push(1);
    exchange(stream, &frame, &[0x90, 3, 0, 9, 1]);
}

fn publish(number: u16) -> Vec<u8> {
    let mut frame = vec![0x32, 9, 0, 3, b't', b'/', b'x'];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame
}

fn forwards(driver: &str) {
    const MESSAGES: u16 = 20_000;
    let floor = Floor::start(driver);
    let mut exact = floor.connect();
    subscribe(&mut exact, "t/x");
    let mut wild = floor.connect();
    subscribe(&mut wild, "t/#");
    let mut publisher = floor.connect();
    let sent: Vec<u8> = (0..MESSAGES).flat_map(publish).collect();
    let acknowledged: Vec<u8> = (0..MESSAGES).flat_map(|id| [0x40, 2, (id >> 8) as u8, id as u8]).collect();
    let expected = sent.clone();
    let readers = [exact, wild].map(|mut stream| {
        let expected = expected.clone();
        std::thread::spawn(move || {
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).unwrap();
            assert!(got == expected, "frames arrive verbatim and in order");
        })
    });
    let mut sender = publisher.try_clone().unwrap();
    let writer = std::thread::spawn(move || sender.write_all(&sent).unwrap());
    let mut got = vec![0; acknowledged.len()];
    publisher.read_exact(&mut got).unwrap();
    assert!(got == acknowledged, "every message is acknowledged, in order");
    writer.join().unwrap();
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(floor.stop(), format!("received {MESSAGES} delivered {} dropped 0\n", 2 * u32::from(MESSAGES)));
}

/// Bytes and the end of a connection that arrive together must both be seen, or messages of a shared subscription would
/// still go to someone who left: one to each of them, until the kernel refuses it.
fn forgets_who_left(driver: &str) {
    const LEAVING: u16 = 50;
    const MESSAGES: u16 = 100;
    let floor = Floor::start(driver);
    for _ in 0..LEAVING {
        let mut leaving = floor.connect();
        subscribe(&mut leaving, "$share/g/t/x");
        // MSG_MORE holds the bytes back until the end of the connection goes with them, in one segment.
        // SAFETY: the pointer and the length describe a constant of two bytes.
        let sent = unsafe { libc::send(leaving.as_raw_fd(), [0xe0u8, 0].as_ptr().cast(), 2, libc::MSG_MORE) };
        assert_eq!(sent, 2);
    }
    let mut staying = floor.connect();
    subscribe(&mut staying, "$share/g/t/x");
    let mut publisher = floor.connect();
    let mut lost = 0;
    for number in 0..MESSAGES {
        let message = publish(number);
        exchange(&mut publisher, &message, &[0x40, 2, (number >> 8) as u8, number as u8]);
        // The answer to a ping comes after the message, if that came here.
        staying.write_all(&[0xc0, 0]).unwrap();
        let mut start = [0; 2];
        staying.read_exact(&mut start).unwrap();
        if start == [0xd0, 0] {
            lost += 1;
            continue;
        }
        let mut rest = vec![0; message.len()];
        staying.read_exact(&mut rest).unwrap();
        assert_eq!([&start[..], &rest].concat(), [&message[..], &[0xd0, 0]].concat());
    }
    // No answer says when an end has been seen, so a few of the last may come late.
    assert!(lost < LEAVING / 2, "{lost} messages went to connections that are gone");
    drop(staying);
    floor.stop();
}

fn ends_what_is_not_mqtt(driver: &str) {
    let floor = Floor::start(driver);
    let mut stream = floor.connect();
    stream.write_all(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff]).unwrap();
    // End of file, or a reset if the kernel had unread bytes: either way, the connection is over.
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    let mut other = floor.connect();
    exchange(&mut other, &[0xc0, 0], &[0xd0, 0]);
    assert_eq!(floor.stop(), "received 0 delivered 0 dropped 0\n");
}

#[test]
fn epoll_forwards() {
    forwards("epoll");
}

#[test]
fn uring_forwards() {
    forwards("uring");
}

#[test]
fn epoll_forgets_who_left() {
    forgets_who_left("epoll");
}

#[test]
fn uring_forgets_who_left() {
    forgets_who_left("uring");
}

#[test]
fn epoll_ends_what_is_not_mqtt() {
    ends_what_is_not_mqtt("epoll");
}

#[test]
fn uring_ends_what_is_not_mqtt() {
    ends_what_is_not_mqtt("uring");
}

//! Times of arrival: told with the bytes, between when these were sent and when they were read, and of the right bytes.

mod support;

use ringmq_core::machine::{Command, Effects, Input, Machine, ShardId, Time};
use ringmq_drive::{Control, DriverKind, Options, Setup, links, run};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Instant, SystemTime};
use support::{PATIENCE, Process, pattern};

/// What a machine was given: bytes and when they arrived; `None` at the end of the connection.
type Given = Option<(Option<u64>, Vec<u8>)>;

/// Opens one connection and passes on what comes.
struct Timed {
    remote: SocketAddr,
    dialled: bool,
    /// What the driver has told of the bytes that come next.
    told: Option<u64>,
    to: Sender<Given>,
}

impl Machine for Timed {
    fn handle(&mut self, _now: Time, input: Input<'_>, fx: &mut Effects) {
        match input {
            Input::Tick if !self.dialled => {
                self.dialled = true;
                fx.commands.push(Command::Connect { token: 0, remote: self.remote, local: None });
            }
            Input::Received { bytes, .. } => {
                let _ = self.to.send(Some((self.told.take(), bytes.to_vec())));
            }
            Input::Closed { .. } => {
                let _ = self.to.send(None);
            }
            Input::Control(request) => {
                if let Some(hold_up) = request.downcast_mut::<HoldUp>() {
                    hold_up.held.send(()).unwrap();
                    hold_up.go.recv_timeout(PATIENCE).unwrap();
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        (!self.dialled).then_some(Time(0))
    }

    fn wants_arrival_times(&self) -> bool {
        true
    }

    fn arriving(&mut self, unix_ns: u64) {
        assert_eq!(self.told.replace(unix_ns), None, "a time is told for bytes that follow");
    }
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// A driver with one connection, whose other end is returned, once the kernel notes times.
fn connected(options: &Options) -> (Process, TcpStream, Receiver<Given>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let remote = listener.local_addr().unwrap();
    let (to, given) = channel();
    let make = move |_: ShardId, _| Timed { remote, dialled: false, told: None, to: to.clone() };
    let process = Process::start(DriverKind::Uring, 1, options, make);
    let mut stream = listener.accept().unwrap().0;
    stream.set_nodelay(true).unwrap();
    let begun = Instant::now();
    loop {
        stream.write_all(b"?").unwrap();
        let (time, bytes) = given.recv_timeout(PATIENCE).unwrap().expect("the connection is open");
        assert_eq!(bytes, b"?");
        if time.is_some() {
            return (process, stream, given);
        }
        assert!(begun.elapsed() < PATIENCE, "the kernel notes no times");
    }
}

fn available() -> bool {
    let features = ringmq_drive::probe();
    features.refusal.is_none() && features.multishot_receive
}

fn bytes_come_with_their_time(options: &Options) {
    let (process, mut stream, given) = connected(options);
    for _ in 0..100 {
        let before = unix_ns();
        stream.write_all(b"message").unwrap();
        let (time, bytes) = given.recv_timeout(PATIENCE).unwrap().unwrap();
        let (after, time) = (unix_ns(), time.expect("a time"));
        assert_eq!(bytes, b"message");
        assert!((before..=after).contains(&time), "sent at {before}, arrived at {time}, read by {after}");
    }
    // More than many buffers hold: nothing is lost or mixed up, and the end is seen as such.
    let long = pattern(300_000);
    stream.write_all(&long).unwrap();
    drop(stream);
    let mut all = Vec::new();
    while let Some((time, bytes)) = given.recv_timeout(PATIENCE).unwrap() {
        assert!(time.is_some() && !bytes.is_empty());
        all.extend(bytes);
    }
    assert!(all == long, "{} bytes of {}", all.len(), long.len());
    assert_eq!(process.stop()[0].connections, 0);
}

#[test]
fn bytes_come_with_their_time_on_files_and_on_direct_descriptors() {
    if available() {
        bytes_come_with_their_time(&Options::default());
        bytes_come_with_their_time(&Options { direct_descriptors: 16, ..Options::default() });
    }
}

/// Keeps a shard's thread from reading, from when it is looked at until it is let go.
struct HoldUp {
    held: Sender<()>,
    go: Receiver<()>,
}

/// Bytes that the other end has not acknowledged.
fn unacknowledged(stream: &TcpStream) -> i32 {
    let mut bytes = 0;
    // SAFETY: the descriptor is open, and the call writes one int.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    assert_eq!(result, 0);
    bytes
}

#[test]
fn bytes_that_waited_for_the_reader_have_the_time_of_their_arrival() {
    if !available() {
        return;
    }
    let (process, mut stream, given) = connected(&Options::default());
    let ((held, is_held), (let_go, go)) = (channel(), channel());
    process.control.ask(ShardId(0), Box::new(HoldUp { held, go })).unwrap();
    is_held.recv_timeout(PATIENCE).unwrap();
    let before = unix_ns();
    stream.write_all(b"early").unwrap();
    let begun = Instant::now();
    while unacknowledged(&stream) > 0 {
        assert!(begun.elapsed() < PATIENCE, "it never arrives");
        std::thread::yield_now();
    }
    let arrived = unix_ns();
    let_go.send(()).unwrap();
    let (time, bytes) = given.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(bytes, b"early");
    assert!((before..=arrived).contains(&time.unwrap()), "{time:?} is not between {before} and {arrived}");
    drop(stream);
    process.stop();
}

#[test]
fn a_driver_that_cannot_tell_says_so() {
    let (to, _given) = channel();
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let machine = Timed { remote, dialled: false, told: None, to };
    let links = links(1).remove(0);
    let control = Control::new(1).unwrap();
    let setup = Setup { shard: ShardId(0), listeners: Vec::new(), links, options: Options::default(), control };
    let problem = run(DriverKind::Epoll, setup, machine).unwrap_err();
    assert_eq!(problem.kind(), ErrorKind::Unsupported);
    assert!(problem.to_string().contains("--driver uring"), "{problem}");
}

//! Measures what a driver costs: forwards 64-byte messages from connection i to connection i^1 and back.
//!
//! ```text
//! forward DRIVER CONNECTIONS WINDOW SECONDS [SPIN_US [MESSAGES_A_SECOND]]
//! ```
//!
//! The server's shard is pinned to core 0 and its own CPU time is divided by the messages it forwarded. The client,
//! pinned to core 1, never sleeps, so that the server does not pay for waking it. Run it where TCP is not paced, for
//! example in a network namespace with `net.ipv4.tcp_congestion_control=reno`.

use ringmq_core::machine::{ConnId, Effects, Input, Machine, ShardId, Time};
use ringmq_drive::{Control, DriverKind, Options, Setup, links, listen, run};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Bytes of one message.
const MESSAGE_BYTES: usize = 64;

/// How long the exchange runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// Forwards what it receives to the neighbouring connection.
struct Forward;

impl Machine for Forward {
    fn handle(&mut self, _now: Time, input: Input<'_>, fx: &mut Effects) {
        if let Input::Received { conn, bytes } = input {
            fx.outbox.buffer(ConnId(conn.0 ^ 1)).extend_from_slice(bytes);
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

fn pin(core: usize) {
    // SAFETY: a zeroed set is an empty one, and the call reads it while it lives.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set), 0, "core {core}");
    }
}

/// CPU time of a thread, seen from another one.
fn cpu_time(clock: libc::clockid_t) -> (Duration, Instant) {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is that of a thread that still runs; `spec` lives across the call.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut spec) }, 0);
    (Duration::new(spec.tv_sec.unsigned_abs(), u32::try_from(spec.tv_nsec).unwrap()), Instant::now())
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, connections, window, seconds, rest @ ..] = args.as_slice() else {
        eprintln!("usage: forward DRIVER CONNECTIONS WINDOW SECONDS [SPIN_US [MESSAGES_A_SECOND]]");
        std::process::exit(2);
    };
    let kind: DriverKind = kind.parse().expect("a driver");
    let connections: usize = connections.parse().expect("a number");
    let window: usize = window.parse().expect("a number");
    let seconds = Duration::from_secs_f64(seconds.parse().expect("a number"));
    let spin = Duration::from_micros(rest.first().map_or(20, |spin| spin.parse().expect("a number")));
    let rate = rest.get(1).map(|rate| rate.parse().expect("a number"));
    let gap = rate.map_or(Duration::ZERO, |rate: f64| Duration::from_secs_f64(1.0 / rate));
    let options = Options { spin, ..Options::default() };

    let listening = listen("127.0.0.1:0".parse().unwrap(), 1, 4096).unwrap();
    let addr = listening.local_addr;
    let control = Control::new(1).unwrap();
    let (clock, server_clock) = std::sync::mpsc::channel();
    let server = std::thread::spawn({
        let control = control.clone();
        move || {
            pin(0);
            let mut own = 0;
            // SAFETY: asks for the clock of the calling thread and writes it to a local.
            assert_eq!(unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut own) }, 0);
            clock.send(own).unwrap();
            let links = links(1).pop().unwrap();
            run(kind, Setup { shard: ShardId(0), listeners: listening.sockets, links, options, control }, Forward)
        }
    });
    let server_clock = server_clock.recv().unwrap();
    pin(1);

    let mut clients: Vec<TcpStream> = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        clients.push(stream);
    }
    while control.stats(ShardId(0)).accepted < connections as u64 {
        std::hint::spin_loop();
    }
    for client in &mut clients {
        client.write_all(&vec![7; window * MESSAGE_BYTES]).unwrap();
    }
    exchange(&mut clients, WARM_UP, gap, server_clock);
    let before = control.stats(ShardId(0));
    let (cpu, elapsed) = exchange(&mut clients, seconds, gap, server_clock);
    let after = control.stats(ShardId(0));
    let bytes = after.received_bytes - before.received_bytes;
    let messages = (bytes / MESSAGE_BYTES as u64).max(1) as f64;
    println!(
        "{kind} N={connections} W={window} spin={}us: {:.2} cpu-us/msg, {:.0} msg/s, {:.3} syscalls/msg, \
         {:.3} sends/msg, {:.1} sleeps/kmsg, server {:.0}% busy, enobufs {}",
        spin.as_micros(),
        cpu.as_secs_f64() * 1e6 / messages,
        messages / elapsed.as_secs_f64(),
        (after.syscalls - before.syscalls) as f64 / messages,
        (after.sends - before.sends) as f64 / messages,
        (after.sleeps - before.sleeps) as f64 / messages * 1e3,
        cpu.as_secs_f64() / elapsed.as_secs_f64() * 100.0,
        after.enobufs - before.enobufs,
    );
    drop(clients);
    control.request_stop();
    server.join().unwrap().unwrap();
}

/// Returns every message, at least `gap` after the one before, for a while; the server's CPU time and the time that passed.
fn exchange(
    clients: &mut [TcpStream],
    length: Duration,
    gap: Duration,
    clock: libc::clockid_t,
) -> (Duration, Duration) {
    // SAFETY: epoll_create1 takes no pointers.
    let epoll = unsafe { libc::epoll_create1(0) };
    for (index, client) in clients.iter().enumerate() {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: index as u64 };
        let fd = client.as_raw_fd();
        // SAFETY: the event lives across the call.
        assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
    }
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut buffer = vec![0; 64 * 1024];
    let (cpu, started) = cpu_time(clock);
    let mut next = started;
    while started.elapsed() < length {
        // SAFETY: the vector holds 256 events.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 256, 0) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let index = usize::try_from(event.u64).unwrap();
            match clients[index].read(&mut buffer) {
                Ok(0) => panic!("the server closed a connection"),
                // Back to the sender, who sends the next one: messages of the two directions never merge.
                Ok(count) => {
                    while Instant::now() < next {
                        std::hint::spin_loop();
                    }
                    next = next.max(Instant::now() - gap) + gap;
                    clients[index ^ 1].write_all(&buffer[..count]).unwrap();
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
    let (after, ended) = cpu_time(clock);
    // SAFETY: made above, used nowhere else.
    unsafe { libc::close(epoll) };
    (after.saturating_sub(cpu), ended - started)
}

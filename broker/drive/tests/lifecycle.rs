//! Outgoing connections, stopping, counters, and what is refused.

mod support;

use ringmq_core::machine::{Command, Effects, Input, Machine, Origin, ShardId, Time};
use ringmq_drive::{Control, DriverKind, Options, Setup, links, listen, run};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use support::{PATIENCE, Process, Scripted, Seen, client, echo, with_each_driver};

/// An address nobody listens on.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn connects_from_a_given_address_and_says_when_it_is_refused() {
    with_each_driver(|kind| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (remote, nobody) = (server.local_addr().unwrap(), closed_port());
        let process = Process::start(kind, 1, &Options::default(), move |_, recorder| {
            Scripted::new(recorder, move |input: &Input<'_>, fx| match input {
                Input::Received { bytes: b"go", .. } => {
                    let local = Some("127.0.0.7:0".parse().unwrap());
                    fx.commands.push(Command::Connect { token: 71, remote, local });
                    fx.commands.push(Command::Connect { token: 72, remote: nobody, local: None });
                    let local = Some("192.0.2.1:0".parse().unwrap());
                    fx.commands.push(Command::Connect { token: 73, remote, local });
                }
                Input::Opened { conn, peer, origin: Origin::Connected { token: 71 } } => {
                    assert_eq!(*peer, remote);
                    fx.outbox.buffer(*conn).extend_from_slice(b"hello");
                }
                _ => echo(input, fx),
            })
        });
        let mut trigger = client(&process);
        trigger.write_all(b"go").unwrap();
        let (mut accepted, from) = server.accept().unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.7", "{kind}");
        accepted.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut got = [0; 5];
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        accepted.write_all(b"again").unwrap();
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"again", "{kind}");
        drop((accepted, trigger));
        let stats = process.stop();
        assert_eq!((stats[0].connected, stats[0].connect_failures), (1, 2), "{kind}");
    });
}

#[test]
fn a_refused_connect_carries_its_token_and_error() {
    with_each_driver(|kind| {
        let nobody = closed_port();
        let process = Process::start(kind, 1, &Options::default(), move |_, recorder| {
            Scripted::new(recorder, move |input: &Input<'_>, fx| {
                if let Input::Opened { .. } = input {
                    fx.commands.push(Command::Connect { token: 9, remote: nobody, local: None });
                }
            })
        });
        let trigger = client(&process);
        let seen = process.wait_for(|seen| matches!(seen, Seen::ConnectFailed(..)));
        assert_eq!(seen, Seen::ConnectFailed(9, libc::ECONNREFUSED), "{kind}");
        drop(trigger);
        process.stop();
    });
}

#[test]
fn a_thousand_connections_to_itself() {
    const CLIENTS: u64 = 1000;
    with_each_driver(|kind| {
        let (address, known) = std::sync::mpsc::sync_channel(1);
        let known = std::sync::Arc::new(std::sync::Mutex::new(known));
        let process = Process::start(kind, 1, &Options::default(), move |_, recorder| {
            let (known, mut answered) = (known.clone(), 0);
            Scripted::new(recorder, move |input: &Input<'_>, fx: &mut Effects| match input {
                Input::Received { bytes: b"go", .. } => {
                    let remote: SocketAddr = known.lock().unwrap().recv().unwrap();
                    for token in 0..CLIENTS {
                        fx.commands.push(Command::Connect { token, remote, local: None });
                    }
                }
                Input::Opened { conn, origin: Origin::Connected { .. }, .. } => {
                    fx.outbox.buffer(*conn).extend_from_slice(b"?");
                }
                Input::Received { conn, bytes: b"?" } => fx.outbox.buffer(*conn).extend_from_slice(b"!"),
                Input::Received { bytes: b"!", .. } => {
                    answered += 1;
                    if answered == CLIENTS {
                        fx.commands.push(Command::Connect {
                            token: u64::MAX,
                            remote: "127.0.0.1:1".parse().unwrap(),
                            local: None,
                        });
                    }
                }
                _ => {}
            })
        });
        address.send(process.addr).unwrap();
        let mut trigger = client(&process);
        trigger.write_all(b"go").unwrap();
        process.wait_for(|seen| matches!(seen, Seen::ConnectFailed(u64::MAX, _)));
        drop(trigger);
        let stats = process.stop();
        assert_eq!((stats[0].connected, stats[0].connections), (CLIENTS, 0), "{kind}");
    });
}

#[test]
fn stops_as_soon_as_the_last_connection_has_gone() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 2, &Options::default(), |_, recorder| Scripted::new(recorder, echo));
        let streams: Vec<TcpStream> = (0..20)
            .map(|_| {
                let mut stream = client(&process);
                stream.write_all(b"x").unwrap();
                stream.read_exact(&mut [0]).unwrap();
                stream
            })
            .collect();
        let reader = std::thread::spawn(move || {
            for mut stream in streams {
                assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "an orderly end");
            }
        });
        let asked = Instant::now();
        let stats = process.stop();
        assert!(asked.elapsed() < Duration::from_secs(2), "{kind}: {:?}", asked.elapsed());
        reader.join().unwrap();
        assert_eq!(stats.iter().map(|stats| stats.closed).sum::<u64>(), 20, "{kind}");
    });
}

#[test]
fn a_stuck_peer_does_not_hold_up_a_stop_for_longer_than_allowed() {
    with_each_driver(|kind| {
        let options = Options { stop_timeout: Duration::from_millis(200), ..Options::default() };
        let process = Process::start(kind, 1, &options, |_, recorder| {
            Scripted::new(recorder, |input: &Input<'_>, fx| {
                if let Input::Received { conn, .. } = input {
                    fx.outbox.buffer(*conn).resize(50_000_000, 7);
                }
            })
        });
        let mut stuck = client(&process);
        stuck.write_all(b"go").unwrap();
        process.wait_for(|seen| matches!(seen, Seen::Received(..)));
        let asked = Instant::now();
        let stats = process.stop();
        assert!(asked.elapsed() < Duration::from_secs(3), "{kind}: {:?}", asked.elapsed());
        assert_eq!(stats[0].connections, 1, "{kind}: it was given up, not closed");
    });
}

#[test]
fn nobody_can_connect_after_a_stop() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 1, &Options::default(), |_, recorder| Scripted::new(recorder, echo));
        let addr = process.addr;
        process.stop();
        assert!(TcpStream::connect(addr).is_err(), "{kind}: the listener is still there");
    });
}

#[test]
fn counters_can_be_read_while_the_shard_runs() {
    with_each_driver(|kind| {
        let process = Process::start(kind, 1, &Options::default(), |_, recorder| Scripted::new(recorder, echo));
        let mut stream = client(&process);
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        let patience = Instant::now() + PATIENCE;
        // They are published when the shard goes to sleep.
        while process.control.stats(ShardId(0)).sent_bytes < 5 {
            assert!(Instant::now() < patience, "{kind}: never published");
            std::thread::yield_now();
        }
        assert_eq!(process.control.stats(ShardId(0)).connections, 1, "{kind}");
        drop(stream);
        process.stop();
    });
}

/// Asks for ticks, and reports when they come.
struct Ticking {
    next: Option<Time>,
    left: u32,
    ticks: std::sync::mpsc::Sender<(Time, Time)>,
}

impl Machine for Ticking {
    fn handle(&mut self, now: Time, input: Input<'_>, _fx: &mut Effects) {
        match input {
            Input::Opened { .. } => self.next = Some(Time(now.0 + 20_000_000)),
            Input::Tick => {
                self.ticks.send((self.next.expect("only when asked for"), now)).unwrap();
                self.left -= 1;
                self.next = (self.left > 0).then_some(Time(now.0 + 20_000_000));
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.next
    }
}

#[test]
fn ticks_come_at_the_deadline_and_not_before() {
    with_each_driver(|kind| {
        let (sender, ticks) = channel();
        let process = Process::start(kind, 1, &Options::default(), move |_, _| Ticking {
            next: None,
            left: 5,
            ticks: sender.clone(),
        });
        let trigger = client(&process);
        for _ in 0..5 {
            let (asked, came) = ticks.recv_timeout(PATIENCE).unwrap();
            assert!(came >= asked, "{kind}: early");
            assert!(came.0 - asked.0 < 500_000_000, "{kind}: {} ns late", came.0 - asked.0);
        }
        drop(trigger);
        process.stop();
    });
}

#[test]
fn accepted_connections_do_not_delay_small_messages() {
    for addr in ["127.0.0.1:0", "[::]:0"] {
        let listening = listen(addr.parse().unwrap(), 2, 16).unwrap();
        assert_eq!(listening.sockets.len(), 2);
        let port = listening.local_addr.port();
        let listeners: Vec<TcpListener> = listening.sockets.into_iter().map(TcpListener::from).collect();
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap().port() == port));
        // IPv4 works through the IPv6 wildcard, too.
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
        }
        let accepted = listeners.iter().find_map(|listener| listener.accept().ok()).expect("one has it").0;
        assert!(accepted.nodelay().unwrap());
    }
}

#[test]
fn an_ipv4_peer_of_an_ipv6_listener_has_an_ipv4_address() {
    with_each_driver(|kind| {
        let listening = listen("[::]:0".parse().unwrap(), 1, 16).unwrap();
        let port = listening.local_addr.port();
        let (sender, peers) = channel();
        let control = Control::new(1).unwrap();
        let thread = std::thread::spawn({
            let control = control.clone();
            move || {
                let (recorder, _seen) = channel();
                let machine = Scripted::new(support::Recorder(recorder), move |input: &Input<'_>, _: &mut Effects| {
                    if let Input::Opened { peer, .. } = input {
                        sender.send(*peer).unwrap();
                    }
                });
                let links = links(1).pop().unwrap();
                let listeners = listening.sockets;
                let options = Options::default();
                run(kind, Setup { shard: ShardId(0), listeners, links, options, control }, machine)
            }
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(peers.recv_timeout(PATIENCE).unwrap(), stream.local_addr().unwrap(), "{kind}");
        drop(stream);
        control.request_stop();
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn a_driver_that_is_not_built_in_says_so() {
    for kind in [DriverKind::Monoio, DriverKind::Glommio].into_iter().filter(|kind| !kind.is_built_in()) {
        let (recorder, _seen) = channel();
        let setup = Setup {
            shard: ShardId(0),
            listeners: Vec::new(),
            links: links(1).pop().unwrap(),
            options: Options::default(),
            control: Control::new(1).unwrap(),
        };
        let error = run(kind, setup, Scripted::new(support::Recorder(recorder), echo)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains(kind.name()) && error.to_string().contains("epoll"), "{error}");
    }
    assert!("select".parse::<DriverKind>().is_err());
    assert!(DriverKind::ALL.into_iter().all(|kind| kind.to_string().parse() == Ok(kind)));
}

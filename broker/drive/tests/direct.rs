//! Direct descriptors: full tables, and more connections than the process may have files. A process of its own, for the
//! limit is the process's.

mod support;

use ringmq_core::machine::{CloseHow, Command, Effects, Input, Origin};
use ringmq_drive::{DriverKind, Options};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc::sync_channel};
use std::time::{Duration, Instant};
use support::{PATIENCE, Process, Scripted, Seen, client, close, echo};

/// Descriptors this process may have, and so the largest table of a ring.
const LIMIT: u32 = 200;

fn set_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a local struct of the right type.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = u64::from(LIMIT).min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

fn available() -> bool {
    ringmq_drive::probe().refusal.is_none()
}

#[test]
fn a_full_table_turns_clients_away_and_serves_again_later() {
    if !available() {
        return;
    }
    let options = Options { direct_descriptors: 2, ..Options::default() };
    let process = Process::start(DriverKind::Uring, 1, &options, |_, recorder| Scripted::new(recorder, echo));
    let mut served = [client(&process), client(&process)];
    for stream in &mut served {
        stream.write_all(b"a").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    let mut refused = client(&process);
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
    let [first, mut second] = served;
    second.write_all(b"b").unwrap();
    second.read_exact(&mut [0]).unwrap();
    drop(first);
    process.wait_for(|seen| matches!(seen, Seen::Closed(..)));

    let mut later = client(&process);
    later.write_all(b"c").unwrap();
    later.read_exact(&mut [0]).unwrap();
    drop((second, refused, later));
    let stats = process.stop();
    assert!(stats[0].accept_failures == 1 && stats[0].refused == 1, "{stats:?}");
    assert_eq!(stats[0].connections, 0, "{stats:?}");
}

/// Every connection has both its ends here, and the ends alone are more than the limit.
#[test]
fn a_process_holds_more_connections_than_it_may_have_files() {
    const CLIENTS: u64 = 120;
    const { assert!(2 * CLIENTS > LIMIT as u64) };
    if !available() {
        return;
    }
    set_limit();
    let (address, known) = sync_channel(1);
    let known = Arc::new(Mutex::new(known));
    let options = Options { direct_descriptors: LIMIT, ..Options::default() };
    let process = Process::start(DriverKind::Uring, 3, &options, move |_, recorder| {
        let (known, mut answered) = (Arc::clone(&known), 0);
        Scripted::new(recorder, move |input: &Input<'_>, fx: &mut Effects| match input {
            Input::Received { conn, bytes: b"go" } => {
                let remote: SocketAddr = known.lock().unwrap().recv().unwrap();
                for token in 0..CLIENTS {
                    fx.commands.push(Command::Connect { token, remote, local: None });
                }
                fx.outbox.buffer(*conn).push(b'.');
            }
            Input::Opened { conn, origin: Origin::Connected { .. }, .. } => {
                fx.outbox.buffer(*conn).extend_from_slice(b"?");
            }
            Input::Received { conn, bytes: b"?" } => fx.outbox.buffer(*conn).extend_from_slice(b"!"),
            Input::Received { bytes: b"!", .. } => {
                answered += 1;
                if answered == CLIENTS {
                    let remote = "127.0.0.1:1".parse().unwrap();
                    fx.commands.push(Command::Connect { token: u64::MAX, remote, local: None });
                }
            }
            _ => {}
        })
    });
    address.send(process.addr).unwrap();
    let mut trigger = client(&process);
    trigger.write_all(b"go").unwrap();
    trigger.read_exact(&mut [0]).unwrap();
    let dialler = (0..3).find(|shard| process.seen[*shard].try_iter().any(|seen| matches!(seen, Seen::Received(..))));
    let dialler = dialler.expect("the trigger was received before it was answered");
    process.wait_for_on(dialler, |seen| matches!(seen, Seen::ConnectFailed(u64::MAX, _)));

    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(files < 60, "{files} files are open");
    drop(trigger);
    let stats = process.stop();
    let sum = |of: fn(&ringmq_drive::Stats) -> u64| stats.iter().map(of).sum::<u64>();
    assert_eq!((sum(|shard| shard.connected), sum(|shard| shard.accepted)), (CLIENTS, CLIENTS + 1), "{stats:?}");
}

/// Opens a connection to a listener, says goodbye and closes; the driver, and the listener's end.
fn goodbye(linger: Duration) -> (Process, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let remote = listener.local_addr().unwrap();
    let options = Options { direct_descriptors: 16, linger_timeout: linger, ..Options::default() };
    let process = Process::start(DriverKind::Uring, 1, &options, move |_, recorder| {
        Scripted::new(recorder, move |input: &Input<'_>, fx: &mut Effects| match input {
            Input::Received { .. } => fx.commands.push(Command::Connect { token: 7, remote, local: None }),
            Input::Opened { conn, origin: Origin::Connected { .. }, .. } => {
                fx.outbox.buffer(*conn).extend_from_slice(b"goodbye");
                close(*conn, CloseHow::Flush, fx);
            }
            _ => {}
        })
    });
    let mut trigger = client(&process);
    trigger.write_all(b"go").unwrap();
    let mut stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut word = [0; 7];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"goodbye");
    (process, stream)
}

#[test]
fn a_peer_that_does_not_close_sees_the_end_after_the_linger_and_one_that_does_is_not_waited_for() {
    if !available() {
        return;
    }
    let (process, mut stream) = goodbye(Duration::from_millis(50));
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0, "the end comes, and no reset");
    process.stop();

    let (process, stream) = goodbye(2 * PATIENCE);
    drop(stream);
    let begun = Instant::now();
    let stats = process.stop();
    assert!(stats[0].connections == 0 && begun.elapsed() < PATIENCE, "{stats:?}");
}

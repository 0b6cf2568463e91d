//! Opening the listening sockets, and saying what to do when that fails.

use crate::config::{Listener, Problem};
use ringmq_drive::{GateOptions, Listening};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long closed sockets may take to be gone, and how often to look.
const RELEASE_MAX: Duration = Duration::from_secs(2);
const RELEASE_TICK: Duration = Duration::from_millis(5);

/// Ports below this need a privilege.
const UNPRIVILEGED_PORT_MIN: u16 = 1024;

/// Opens one listener for all shards.
///
/// # Errors
/// Why not, and what to do.
pub(crate) fn open(listener: &Listener, shards: usize) -> Result<Listening, Problem> {
    let listening =
        check_free(listener.bind).and_then(|()| ringmq_drive::listen(listener.bind, shards, listener.backlog));
    listening.map_err(|error| explain(listener.bind, &error))
}

/// The same where another listener of this process, which is about to be closed, has the address.
///
/// # Errors
/// As [`open`].
pub(super) fn open_beside(listener: &Listener, shards: usize) -> Result<Listening, Problem> {
    let listening = ringmq_drive::listen(listener.bind, shards, listener.backlog);
    listening.map_err(|error| explain(listener.bind, &error))
}

/// The same where another listener of this process had the address: its sockets are closed a little after the shards have
/// said so, and nothing tells when.
///
/// # Errors
/// As [`open`].
pub(super) fn open_released(listener: &Listener, shards: usize) -> Result<Listening, Problem> {
    let by = Instant::now() + RELEASE_MAX;
    while check_free(listener.bind).is_err_and(|error| error.kind() == ErrorKind::AddrInUse) && Instant::now() < by {
        // An early return does no harm.
        std::thread::park_timeout(RELEASE_TICK);
    }
    open(listener, shards)
}

/// What a listener lets in.
pub(crate) fn gate(listener: &Listener) -> GateOptions {
    GateOptions {
        access_rules: listener.access_rules.clone(),
        max_connections: listener.max_connections,
        rate: listener.conn_rate,
    }
}

/// Shards share their port by `SO_REUSEPORT`, and so would a second broker of the same user, unnoticed. A socket
/// without that option finds it out: binding it fails while anybody listens there.
fn check_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run that are still in TIME_WAIT are no obstacle.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())
}

fn explain(address: SocketAddr, error: &io::Error) -> Problem {
    let (ip, port) = (address.ip(), address.port());
    match error.kind() {
        ErrorKind::AddrInUse => {
            let other = SocketAddr::new(ip, port.checked_add(1).unwrap_or(1883));
            Problem::new(format!("cannot listen on tcp {address}: the port is taken")).with_help(format!(
                "`ss -ltnp 'sport = :{port}'` shows by whom; stop that program, or listen elsewhere: --tcp {other}"
            ))
        }
        ErrorKind::AddrNotAvailable => {
            Problem::new(format!("cannot listen on tcp {address}: this machine has no such address"))
                .with_help(format!("`ip address` shows those it has; all of them: --tcp 0.0.0.0:{port}"))
        }
        ErrorKind::PermissionDenied if port < UNPRIVILEGED_PORT_MIN => {
            Problem::new(format!("cannot listen on tcp {address}: ports below 1024 need a privilege"))
                .with_help("use a higher port, or `setcap cap_net_bind_service=+ep` on the program")
        }
        _ => Problem::new(format!("cannot listen on tcp {address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(bind: &str) -> Listener {
        Listener { bind: bind.parse().expect("an address"), ..Listener::default() }
    }

    #[test]
    fn a_port_is_shared_by_shards_but_not_by_brokers() {
        let first = open(&listener("127.0.0.1:0"), 2).expect("a free port");
        assert_eq!(first.sockets.len(), 2);
        let taken = open(&listener(&first.local_addr.to_string()), 2).expect_err("taken").to_string();
        assert!(taken.contains("the port is taken") && taken.contains("--tcp 127.0.0.1:"), "{taken}");
        let address = first.local_addr;
        drop(first);
        assert!(open(&listener(&address.to_string()), 1).is_ok());
    }

    #[test]
    fn failures_say_what_to_do() {
        let elsewhere = open(&listener("192.0.2.1:1883"), 1).expect_err("not ours").to_string();
        assert!(elsewhere.contains("no such address") && elsewhere.contains("ip address"), "{elsewhere}");
        let denied = explain(listener("0.0.0.0:80").bind, &ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("setcap"), "{denied}");
    }
}

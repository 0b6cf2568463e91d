//! Listening sockets: one for each shard, all on the same address.

use crate::gates::SharedGate;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// The sockets of one listener.
#[derive(Debug)]
pub struct Listening {
    /// The address bound, with the port the kernel chose if port 0 was asked for.
    pub local_addr: SocketAddr,
    /// One socket a shard. The kernel spreads incoming connections over them (`SO_REUSEPORT`).
    pub sockets: Vec<OwnedFd>,
}

/// A change of what one shard listens on. A [`Message`](crate::Message) of this type, given to a shard by
/// [`Control::ask_all`](crate::Control::ask_all), is for the driver and not for the machine; what comes back is an
/// [`io::Result<()>`].
#[derive(Debug)]
pub enum ListenerChange {
    /// One more listener.
    Open {
        /// Its number in [`Origin::Accepted`](ringmq_core::machine::Origin::Accepted), which no listener of the run has
        /// had before.
        listener: u16,
        /// This shard's socket.
        socket: OwnedFd,
        /// What it lets in.
        gate: SharedGate,
    },
    /// The listener with this number is no more. Connections that it accepted stay.
    Close {
        /// The number.
        listener: u16,
    },
}

/// Puts a listener, or what a driver has for one, into the place of its number.
///
/// # Errors
/// The number has been used.
pub(crate) fn place<L>(listeners: &mut Vec<Option<L>>, number: u16, listener: L) -> io::Result<()> {
    let index = usize::from(number);
    if index < listeners.len() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("the number {number} has been used")));
    }
    listeners.resize_with(index, || None);
    listeners.push(Some(listener));
    Ok(())
}

/// Listens on `addr` with one socket for each of `shards` shards, each with room for `backlog` connections not yet
/// accepted (the kernel caps it at `net.core.somaxconn`). TCP is an ordered, lossless stream of bytes [MQTT-4.2-1].
///
/// Accepted connections inherit `TCP_NODELAY`. An IPv6 wildcard address also takes IPv4 connections.
///
/// # Errors
/// What the operating system says, for example that the address is in use by a socket without `SO_REUSEPORT`.
pub fn listen(addr: SocketAddr, shards: usize, backlog: u32) -> io::Result<Listening> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    let mut local_addr = addr;
    let mut bound = Vec::with_capacity(shards);
    for _ in 0..shards {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&local_addr.into())?;
        if let Some(resolved) = socket.local_addr()?.as_socket() {
            local_addr = resolved;
        }
        bound.push(socket);
    }
    // Only once all are bound: the kernel sends connections to every socket that listens already.
    for socket in &bound {
        socket.listen(backlog)?;
    }
    Ok(Listening { local_addr, sockets: bound.into_iter().map(OwnedFd::from).collect() })
}

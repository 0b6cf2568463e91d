//! What runs for a connection, a listener, the clock and the doorbell.

use super::hub::Hub;
use super::signal::either;
use super::sockets::{Conn, Connect, Departing, FLUSHING, PAUSED};
use super::{Runtime, number};
use crate::links::{Descriptor, HandedOver};
use crate::shard::{ACCEPT_PAUSE, until};
use crate::socket;
use ringmq_core::machine::Origin;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

/// Accepts from one listener.
pub(super) async fn accept<R: Runtime>(hub: Rc<Hub<R>>, listener: R::Listener, fd: RawFd, index: u16) {
    loop {
        let accepted = R::accept(&listener).await;
        if !hub.with(|state| state.sockets.accepting) {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let (entered, pause_until) = hub.with(|state| state.shard.cx.enter(index, peer));
                if entered {
                    hub.open(stream, index, peer, Origin::Accepted { listener: index });
                }
                if let Some(at) = pause_until {
                    R::sleep(until(at)).await;
                }
            }
            Err(error) => match number(&error) {
                libc::EINTR | libc::ECONNABORTED => {}
                error => {
                    if socket::is_exhaustion(error) {
                        hub.refuse(fd);
                    }
                    R::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Opens a connection that the machine asked for.
pub(super) async fn connect<R: Runtime>(hub: Rc<Hub<R>>, wanted: Connect) {
    let Connect { token, remote, local } = wanted;
    let connected = match start_connect(remote, local) {
        Ok(fd) => R::connected(fd).await,
        Err(error) => Err(error),
    };
    hub.with(|state| {
        state.sockets.connecting -= 1;
        match &connected {
            Ok(_) => state.shard.cx.stats.connected += 1,
            Err(error) => state.shard.cx.failed.push((token, number(error))),
        }
    });
    if let Ok(stream) = connected {
        hub.open(stream, 0, remote, Origin::Connected { token });
    }
}

fn start_connect(remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<std::os::fd::OwnedFd> {
    let fd = socket::outgoing(remote, local, true)?;
    match socket::start_connect(fd.as_raw_fd(), remote) {
        Ok(_) => Ok(fd),
        Err(error) => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Wakes the turn when what is armed has come.
pub(super) async fn watch_clock<R: Runtime>(hub: Rc<Hub<R>>) {
    while !hub.closing.get() {
        match hub.armed.get() {
            Some(at) => either(hub.timer.wait(), R::sleep(until(at))).await,
            None => hub.timer.wait().await,
        }
        hub.disarm();
    }
}

/// Wakes the turn when another thread rings.
pub(super) async fn hear_doorbell<R: Runtime>(hub: Rc<Hub<R>>, doorbell: R::Doorbell) {
    while !hub.closing.get() {
        if R::hear(&doorbell).await.is_err() {
            // Without it nobody could wake the shard: look now and then instead.
            R::sleep(ACCEPT_PAUSE).await;
        }
        hub.with(|state| state.shard.cx.stats.wakes_received += 1);
    }
}

/// Serves a connection: reads from it until it ends, and sees to its end.
pub(super) async fn read<R: Runtime>(hub: Rc<Hub<R>>, conn: Rc<Conn<R>>, stream: R::Stream) {
    let (mut reader, writer) = R::split(stream);
    hub.spawn(write(Rc::clone(&hub), Rc::clone(&conn), writer));
    let capacity = hub.aside(|state| state.shard.cx.options.receive_buffer_bytes as usize);
    let mut buffer = Vec::with_capacity(capacity);
    while conn.may_read() {
        if conn.has(PAUSED) {
            conn.reading.wait().await;
            continue;
        }
        let interrupt = hub.aside(|state| state.interrupt_for(&conn));
        let result;
        (result, buffer) = R::read(&mut reader, buffer, interrupt.as_deref()).await;
        hub.with(|state| state.received(&conn, result, &buffer));
    }
    drop(buffer);
    let writer = loop {
        if let Some(writer) = conn.writer.take() {
            break writer;
        }
        conn.reading.wait().await;
    };
    // The slot must not be seen any more once the descriptor may mean something else.
    let destination = hub.with(|state| state.sockets.remove(&conn, &mut state.shard.cx));
    let moved = destination.and_then(|Departing { to, bytes, peer: told }| {
        let fd = R::release(reader, writer).ok()?;
        let peer = socket::peer_addr(fd.as_raw_fd())?;
        let peer = told.unwrap_or(peer);
        Some((to, HandedOver { socket: Descriptor::File(fd), peer, listener: conn.listener, bytes }))
    });
    hub.with(|state| match moved {
        Some((to, moved)) => {
            state.shard.cx.port.depart(to, moved);
            state.shard.cx.stats.handed_off += 1;
        }
        None => state.closed(&conn),
    });
}

/// Writes what there is for a connection, one write at a time.
async fn write<R: Runtime>(hub: Rc<Hub<R>>, conn: Rc<Conn<R>>, mut writer: R::Writer) {
    while conn.may_write() {
        let Some(buffer) = hub.aside(|state| state.output(&conn)) else {
            if conn.has(FLUSHING) {
                hub.with(|state| state.sockets.linger(&conn, &mut state.shard.cx));
                break;
            }
            conn.writing.wait().await;
            continue;
        };
        let (result, buffer) = R::write(&mut writer, buffer).await;
        hub.with(|state| state.sent(&conn, result, buffer));
    }
    *conn.writer.borrow_mut() = Some(writer);
    conn.reading.raise();
}

//! The socket calls drivers make synchronously.

use ringmq_core::machine::Stretch;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Result of a system call: its value, or the error number.
pub(crate) fn check(result: isize) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Runs `call` with a socket object that does not own the descriptor.
fn with_socket<T>(fd: RawFd, call: impl FnOnce(&Socket) -> T) -> T {
    // SAFETY: callers pass a descriptor which they own for the duration of the call; ManuallyDrop keeps the temporary
    // owner from closing it.
    let socket = ManuallyDrop::new(unsafe { Socket::from_raw_fd(fd) });
    call(&socket)
}

/// IPv4 peers of an IPv6 listener appear as what they are.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The address at the other end; `None` when the connection is gone already.
pub(crate) fn peer_addr(fd: RawFd) -> Option<SocketAddr> {
    with_socket(fd, Socket::peer_addr).ok()?.as_socket().map(canonical)
}

/// Sends the end-of-file. Errors mean that the connection is gone, which the receiving side will report.
pub(crate) fn shut_sending(fd: RawFd) {
    let _ = with_socket(fd, |socket| socket.shutdown(std::net::Shutdown::Write));
}

/// Ends both directions: whoever waits for the socket is told.
#[cfg(any(feature = "monoio", feature = "glommio"))]
pub(crate) fn shut_both(fd: RawFd) {
    let _ = with_socket(fd, |socket| socket.shutdown(std::net::Shutdown::Both));
}

/// Error number pending on a socket, 0 if none.
pub(crate) fn take_error(fd: RawFd) -> i32 {
    match with_socket(fd, Socket::take_error) {
        Ok(None) => 0,
        Ok(Some(error)) | Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// Switches a descriptor between blocking and not.
pub(crate) fn set_nonblocking(fd: RawFd, nonblocking: bool) -> io::Result<()> {
    with_socket(fd, |socket| socket.set_nonblocking(nonblocking))
}

/// A socket for an outgoing connection.
pub(crate) fn outgoing(remote: SocketAddr, local: Option<SocketAddr>, nonblocking: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(local) = local {
        if local.port() == 0 {
            let on: libc::c_int = 1;
            // SAFETY: the option's value is an int that lives across the call, and its size is given.
            unsafe {
                // Best effort: without it the kernel picks the port at bind time, which only limits how many
                // connections one source address can have.
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::IPPROTO_IP,
                    libc::IP_BIND_ADDRESS_NO_PORT,
                    (&raw const on).cast(),
                    size_of::<libc::c_int>() as libc::socklen_t,
                );
            }
        } else {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&local.into())?;
    }
    socket.set_nonblocking(nonblocking)?;
    Ok(socket.into())
}

/// Makes the kernel note when it receives each segment for this socket, and tell it with what is received. It begins to
/// do so soon, not at once, if no other socket of the system has asked for it.
pub(crate) fn note_arrivals(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int that lives across the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(result as isize).map(|_| ()).map_err(io::Error::from_raw_os_error)
}

/// Starts to connect a non-blocking socket: `Ok(true)` when it is connected already, `Ok(false)` when it will be told.
pub(crate) fn start_connect(fd: RawFd, remote: SocketAddr) -> Result<bool, i32> {
    match with_socket(fd, |socket| socket.connect(&SockAddr::from(remote))) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINPROGRESS | libc::EINTR) => Ok(false),
            Some(number) => Err(number),
            None => Err(libc::EIO),
        },
    }
}

/// Accepts one connection. Both ends of the descriptor's life belong to the caller.
pub(crate) fn accept(listener: RawFd, nonblocking: bool) -> Result<(OwnedFd, Option<SocketAddr>), i32> {
    let flags = libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: `try_init` hands out storage for an address and its length, both valid for the call. When accept4
    // succeeds it has written an address and its true length, which is what `try_init` asks for.
    let accepted = unsafe {
        SockAddr::try_init(|address, length| {
            let fd = libc::accept4(listener, address.cast(), length, flags);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
        })
    };
    match accepted {
        Ok((fd, address)) => {
            // SAFETY: the kernel has just made this descriptor and nobody else knows it.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            Ok((fd, address.as_socket().map(canonical)))
        }
        Err(error) => Err(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// Receives into `buffer`; 0 is the end of file.
pub(crate) fn receive(fd: RawFd, buffer: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: the pointer and length are those of a slice borrowed mutably for the call.
    check(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) })
}

/// Sends from `next` as much as fits.
pub(crate) fn send(fd: RawFd, next: Stretch<'_>) -> Result<usize, i32> {
    let flags = libc::MSG_NOSIGNAL | if next.more { libc::MSG_MORE } else { 0 };
    // SAFETY: the pointer and length are those of a slice borrowed for the call.
    check(unsafe { libc::send(fd, next.bytes.as_ptr().cast(), next.bytes.len(), flags) })
}

/// A descriptor that does nothing, held so that one can be given up when they run out.
pub(crate) fn spare_descriptor() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

/// True for the errors which say that there are no descriptors (or no memory) for a connection just now.
pub(crate) const fn is_exhaustion(error: i32) -> bool {
    matches!(error, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

/// Most connections refused in one go when descriptors have run out.
const REFUSALS_MAX: u64 = 64;

/// With no descriptor left, gives up the spare one to accept and close waiting connections, so that their owners learn
/// of it at once instead of hanging in the backlog. Returns how many were refused.
pub(crate) fn refuse_waiting(listener: RawFd, spare: &mut Option<OwnedFd>) -> u64 {
    if set_nonblocking(listener, true).is_err() {
        return 0;
    }
    drop(spare.take());
    let mut refused = 0;
    while refused < REFUSALS_MAX && accept(listener, true).is_ok() {
        refused += 1;
    }
    *spare = spare_descriptor();
    refused
}

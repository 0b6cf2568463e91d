//! Listening socket, stop signal, core pinning and descriptor limit, as both drivers need them.

use std::io::{self, Error};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;

/// Turns a system call's answer into a result.
pub(super) fn checked(answer: i32) -> io::Result<i32> {
    if answer < 0 { Err(Error::last_os_error()) } else { Ok(answer) }
}

/// Listens on `address` without blocking. Accepted sockets inherit `TCP_NODELAY` from the listener.
///
/// # Errors
/// The operating system's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let on: i32 = 1;
    // SAFETY: the descriptor is open for the whole call, and the option's value is a live i32 of the length given.
    checked(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    })?;
    // SAFETY: listen(2) takes no pointers; on a listening socket it only changes the backlog.
    checked(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
    Ok(listener)
}

/// Where a listener listens, with the port the kernel chose if it was asked for port 0.
///
/// # Errors
/// The operating system's.
pub fn local_address(listener: &TcpListener) -> io::Result<SocketAddr> {
    listener.local_addr()
}

/// SIGINT and SIGTERM as something to wait for beside sockets.
#[derive(Debug)]
pub struct Stop(OwnedFd);

impl Stop {
    /// Blocks both signals for this thread and its later children, and makes them readable.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new() -> io::Result<Self> {
        // SAFETY: sigset_t is plain data, initialised by sigemptyset before it is used; every pointer is to this local.
        let descriptor = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            checked(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
            checked(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?
        };
        // SAFETY: signalfd has just returned this descriptor, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Runs this thread on one core only.
///
/// # Errors
/// The operating system's: the core does not exist or is not allowed.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: cpu_set_t is plain data for which all zeroes is the empty set; `core` is below CPU_SETSIZE; the pointer
    // is to this local and the size is its own.
    checked(unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    })?;
    Ok(())
}

/// Raises the soft limit of open descriptors to the hard one.
///
/// # Errors
/// The operating system's.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to this local, which lives through both calls.
    unsafe {
        checked(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        checked(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
    }
    Ok(())
}

/// Closes a descriptor that no [`OwnedFd`] owns.
pub(super) fn close(descriptor: RawFd) {
    // SAFETY: the drivers keep accepted descriptors as numbers and call this once each, when nothing uses them any more.
    unsafe { libc::close(descriptor) };
}

//! The epoll instance.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Events taken from the kernel in one turn.
const EVENTS_MAX: usize = 512;

/// An epoll instance and the events of this turn.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
    /// Calls made.
    pub(super) syscalls: u64,
    /// `epoll_wait` calls among them.
    pub(super) waits: u64,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX), syscalls: 0, waits: 0 })
    }

    /// Watches a descriptor. `interest` is a set of `EPOLL*` flags, `token` what its events carry.
    pub(super) fn add(&mut self, fd: RawFd, interest: i32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.cast_unsigned(), u64: token };
        self.control(libc::EPOLL_CTL_ADD, fd, &mut event)
    }

    /// Stops watching a descriptor that stays open.
    pub(super) fn remove(&mut self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, &mut libc::epoll_event { events: 0, u64: 0 })
    }

    fn control(&mut self, operation: i32, fd: RawFd, event: &mut libc::epoll_event) -> io::Result<()> {
        self.syscalls += 1;
        // SAFETY: `event` is valid for the call, and the kernel only reads it.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for events: not at all for zero, without limit for `None`. Returns how many there are.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        self.syscalls += 1;
        self.waits += 1;
        // Round up: waking before the deadline would only mean another turn.
        let millis =
            timeout.map_or(-1, |timeout| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let room = i32::try_from(EVENTS_MAX).expect("a small constant");
        // SAFETY: the vector has room for EVENTS_MAX events.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), room, millis) };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) };
        }
        let count = usize::try_from(count).expect("not negative");
        // SAFETY: the kernel has written `count` events, at most the capacity.
        unsafe { self.events.set_len(count) };
        Ok(count)
    }

    /// Token and flags of one event of this turn.
    pub(super) fn event(&self, index: usize) -> (u64, i32) {
        let event = self.events[index];
        (event.u64, event.events.cast_signed())
    }
}

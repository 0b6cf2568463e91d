//! Accepting, and when not to.

use super::conns::{ENTERED, LISTENER, OPEN};
use super::turn::Driver;
use crate::shard::{ACCEPT_PAUSE, after};
use crate::socket;
use ringmq_core::machine::{ConnId, Input, Machine, Origin, Time};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Connections accepted from one listener in a turn.
const ACCEPTS_MAX: usize = 128;

impl<M: Machine> Driver<M> {
    /// Takes the connections that wait on a listener.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(Some(listener)) = self.io.listeners.get(index) else { return };
            let listener = listener.as_raw_fd();
            self.shard.cx.stats.syscalls += 1;
            match socket::accept(listener, true) {
                Ok((fd, Some(peer))) => {
                    let number = u16::try_from(index).expect("at most 65,536 listeners");
                    let (entered, pause_until) = self.shard.cx.enter(number, peer);
                    if entered {
                        self.open_accepted(fd, number, peer);
                    }
                    if let Some(until) = pause_until {
                        return self.pause_accepting(number, until);
                    }
                }
                Ok((_, None)) | Err(libc::EINTR | libc::ECONNABORTED) => {}
                Err(error) if socket::is_exhaustion(error) => {
                    self.suspend_accepting(listener);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn open_accepted(&mut self, fd: OwnedFd, listener: u16, peer: SocketAddr) {
        let Some(slot) = self.io.insert(fd, listener, OPEN | ENTERED) else {
            self.shard.cx.leave(listener);
            return;
        };
        let opened = Input::Opened { conn: ConnId(slot), peer, origin: Origin::Accepted { listener } };
        self.shard.step(&mut self.io, opened);
    }

    /// Connections come too fast on one listener: they wait in its backlog.
    fn pause_accepting(&mut self, listener: u16, until: Time) {
        if let Some(Some(socket)) = self.io.listeners.get(usize::from(listener)) {
            let _ = self.io.poller.remove(socket.as_raw_fd());
            self.io.paused.push((listener, until));
        }
    }

    /// Descriptors have run out: turn away who waits, and leave the listeners alone for a while.
    fn suspend_accepting(&mut self, listener: RawFd) {
        let cx = &mut self.shard.cx;
        cx.stats.accept_failures += 1;
        cx.stats.refused += socket::refuse_waiting(listener, &mut self.io.spare);
        if self.io.accept_at.is_none() {
            self.io.accept_at = Some(after(cx.now, ACCEPT_PAUSE));
            for listener in self.io.listeners.iter().flatten() {
                let _ = self.io.poller.remove(listener.as_raw_fd());
            }
        }
    }

    pub(super) fn resume_accepting(&mut self) {
        self.resume_paused();
        if self.io.accept_at.is_some_and(|at| at <= self.shard.cx.now) {
            self.io.accept_at = None;
            let numbered = self.io.listeners.iter().enumerate();
            for (index, listener) in numbered.filter_map(|(index, listener)| Some((index, listener.as_ref()?))) {
                if self.io.paused.iter().any(|(paused, _)| usize::from(*paused) == index) {
                    continue;
                }
                if self.io.poller.add(listener.as_raw_fd(), libc::EPOLLIN, LISTENER | index as u64).is_err() {
                    self.io.accept_at = Some(after(self.shard.cx.now, ACCEPT_PAUSE));
                }
            }
        }
    }

    /// Listens again where the time is over. Where accepting is suspended as well, that goes on.
    fn resume_paused(&mut self) {
        let now = self.shard.cx.now;
        while let Some(at) = self.io.paused.iter().position(|(_, until)| *until <= now) {
            let (listener, _) = self.io.paused.swap_remove(at);
            let Some(Some(socket)) = self.io.listeners.get(usize::from(listener)) else { continue };
            let token = LISTENER | u64::from(listener);
            if self.io.accept_at.is_none() && self.io.poller.add(socket.as_raw_fd(), libc::EPOLLIN, token).is_err() {
                self.io.paused.push((listener, after(now, ACCEPT_PAUSE)));
            }
        }
    }
}

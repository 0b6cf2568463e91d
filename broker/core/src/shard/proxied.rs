//! Connections that a proxy hands on (`listeners.tcp.<name>.proxy_protocol`): its header comes before all else and says
//! where they come from.
//!
//! From then on that is the other end of the connection, for everything that a shard does and tells. What was done before,
//! at the listener, went by the proxy's address. See [`crate::proxy_protocol`] for the header itself.

use super::Shard;
use super::conns::Phase;
use crate::machine::{CloseHow, Command, ConnId, Effects};
use crate::observe::Refusal;
use crate::proxy_protocol::{Header, HeaderError, read};
use alloc::borrow::Cow;
use core::net::SocketAddr;

impl Shard {
    /// Takes what a connection sent whose header is not complete.
    #[cold]
    pub(super) fn read_proxy_header(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        let partial = self.conns.get_mut(conn).expect("open").partial.take();
        let all = match partial {
            Some(partial) => {
                let all = [partial.as_slice(), bytes].concat();
                self.conns.recycle(partial);
                Cow::Owned(all)
            }
            None => Cow::Borrowed(bytes),
        };
        match read(&all) {
            // What waits is bounded by the longest header.
            Ok(Header::Partial) => {
                let mut partial = self.conns.partial();
                partial.extend_from_slice(&all);
                self.conns.get_mut(conn).expect("open").partial = Some(partial);
            }
            Ok(Header::Whole { used, source }) => {
                if self.begin_proxied(conn, source, fx) && used < all.len() {
                    self.cut_packets(conn, &all[used..], fx);
                }
            }
            Err(error) => {
                self.refuse_header(conn, error);
                self.shut(conn, fx);
            }
        }
    }

    /// The header is there: the connection begins as if its client had opened it. False if it may not.
    fn begin_proxied(&mut self, conn: ConnId, source: Option<SocketAddr>, fx: &mut Effects) -> bool {
        let open = self.conns.get_mut(conn).expect("open");
        if let Some(source) = source {
            open.peer = source.into();
        }
        open.phase = Phase::Fresh;
        let (peer, listener, timer) = (SocketAddr::from(open.peer), open.listener, open.timer.take());
        if let Some(timer) = timer {
            self.wheel.cancel(timer);
        }
        if !self.admits(peer, listener) {
            self.conns.close(conn);
            fx.commands.push(Command::Close { conn, how: CloseHow::Abort });
            return false;
        }
        let timer = self.await_first(conn, self.hub.profiles.of(listener).idle_timeout);
        self.conns.get_mut(conn).expect("open").timer = Some(timer);
        true
    }

    /// Counts and tells of a connection without a sound header.
    pub(super) fn refuse_header(&mut self, conn: ConnId, error: HeaderError) {
        self.hub.counters.client_proxy_protocol_error += 1;
        self.tell_of_refusal(conn, Refusal::Header(error));
    }
}

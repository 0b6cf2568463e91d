//! Who may not connect (EMQX's `banned`): asked once for every CONNECT, before the client is authenticated.

use super::Shard;
use crate::banned::{Applicant, BanList};
use crate::machine::{ConnId, Effects};
use alloc::boxed::Box;
use core::net::SocketAddr;

impl Shard {
    /// Goes by this list from now on; `None` bans nobody. Connections stay.
    pub fn set_ban_list(&mut self, list: Option<Box<dyn BanList>>) {
        self.ban_list = list;
    }

    /// Takes a new list over and ends the sessions of those clients that are at home here.
    pub(super) fn take_ban_list(&mut self, list: Option<Box<dyn BanList>>, end: &[Box<str>], fx: &mut Effects) {
        self.set_ban_list(list);
        for client_id in end {
            self.kick(client_id, fx);
        }
    }

    /// Whether a client that wants to connect is banned.
    pub(super) fn is_banned(&self, conn: ConnId, client_id: &str, username: Option<&str>) -> bool {
        let Some(list) = &self.ban_list else { return false };
        let peer = SocketAddr::from(self.conns.get(conn).expect("open").peer).ip();
        let unix_s = self.unix_offset_ms.saturating_add(self.hub.now_ms) / 1000;
        list.bans(&Applicant { client_id, username, peer }, unix_s)
    }
}

//! Banned clients, as a shard sees them: somebody outside keeps the list (EMQX's `banned`).
//!
//! Entries have regular expressions and networks among them, and they come and go; so the list is kept by the binary,
//! and every shard is handed a whole new one when it changes. Without entries there is no [`BanList`], and a CONNECT pays
//! one test for that.

use core::fmt::Debug;
use core::net::IpAddr;

/// A client that asks to be connected.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// Its client identifier, or the one assigned to it.
    pub client_id: &'a str,
    /// Its user name, if it gave one.
    pub username: Option<&'a str>,
    /// The address that it connects from; never IPv4 mapped into IPv6.
    pub peer: IpAddr,
}

/// Who may not connect.
pub trait BanList: Debug + Send {
    /// Whether an entry that has not expired at `unix_s`, seconds since 1970, means this client.
    fn bans(&self, applicant: &Applicant<'_>, unix_s: u64) -> bool;
}

//! Whom a ban means: `as` and `who` of EMQX's entries.

use crate::rewrite;
use regex::Regex;
use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Longest text, bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1024;

/// Largest compiled expression, bytes.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// The values of `as`, in the order of [`Who`]'s variants.
pub(super) const KINDS: [&str; 6] = ["clientid", "username", "peerhost", "clientid_re", "username_re", "peerhost_net"];

/// Clients that are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The client with this identifier.
    ClientId(Arc<str>),
    /// Clients with this user name.
    Username(Arc<str>),
    /// Clients that come from this address.
    PeerHost(IpAddr),
    /// Clients in whose identifier this expression is found.
    ClientIdRe(Expression),
    /// Clients in whose user name this expression is found.
    UsernameRe(Expression),
    /// Clients that come from this network.
    PeerHostNet(Net),
}

impl Who {
    /// Reads `as` and `who`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(kind: &str, who: &str) -> Result<Self, String> {
        let quoted = who.escape_debug();
        if who.is_empty() || who.len() > TEXT_BYTES_MAX {
            return Err(format!("what is banned has from 1 to {TEXT_BYTES_MAX} bytes"));
        }
        match kind {
            "clientid" => Ok(Self::ClientId(who.into())),
            "username" => Ok(Self::Username(who.into())),
            "peerhost" => match who.parse::<IpAddr>() {
                Ok(address) => Ok(Self::PeerHost(address.to_canonical())),
                Err(_) => Err(format!("`{quoted}` is no address such as 192.168.0.7 or fd00::7")),
            },
            "clientid_re" => Expression::compile(who).map(Self::ClientIdRe),
            "username_re" => Expression::compile(who).map(Self::UsernameRe),
            "peerhost_net" => {
                let wrong = || format!("`{quoted}` is no network such as 192.168.0.0/24 or fd00::/8");
                Net::parse(who).map(Self::PeerHostNet).ok_or_else(wrong)
            }
            other => Err(format!("`{}` cannot be banned: as is one of {}", other.escape_debug(), KINDS.join(", "))),
        }
    }

    /// The value of `as`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::ClientId(_) => KINDS[0],
            Self::Username(_) => KINDS[1],
            Self::PeerHost(_) => KINDS[2],
            Self::ClientIdRe(_) => KINDS[3],
            Self::UsernameRe(_) => KINDS[4],
            Self::PeerHostNet(_) => KINDS[5],
        }
    }

    /// Whether it has to be looked at for every CONNECT, because no table finds it.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(self, Self::ClientIdRe(_) | Self::UsernameRe(_) | Self::PeerHostNet(_))
    }
}

/// The value of `who`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientId(text) | Self::Username(text) => f.write_str(text),
            Self::ClientIdRe(expression) | Self::UsernameRe(expression) => f.write_str(expression.0.as_str()),
            Self::PeerHost(address) => write!(f, "{address}"),
            Self::PeerHostNet(net) => write!(f, "{}/{}", net.address, net.prefix),
        }
    }
}

/// A compiled expression. Two are the same if they are written alike.
#[derive(Debug, Clone)]
pub(crate) struct Expression(Regex);

impl Expression {
    /// Compiles one.
    ///
    /// # Errors
    /// It is none, or too large.
    fn compile(text: &str) -> Result<Self, String> {
        rewrite::compile(text, COMPILED_BYTES_MAX).map(Self).map_err(|why| format!("`{}` {why}", text.escape_debug()))
    }

    /// Whether it is found anywhere in a text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Expression {}

impl PartialOrd for Expression {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expression {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Net {
    /// Its first address.
    address: IpAddr,
    /// Leading bits that its addresses share.
    prefix: u8,
}

impl Net {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok().filter(|_| !prefix.starts_with('+'))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= width).then(|| Self { address: first_of(address, prefix), prefix })
    }

    /// Whether an address, which is not IPv4 mapped into IPv6, lies in it.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && first_of(address, self.prefix) == self.address
    }
}

/// The first address of the network of this prefix that an address lies in.
fn first_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (kind, who, expected) in [
            ("clientid", "a b", "a b"),
            ("username", "ü", "ü"),
            ("peerhost", "::ffff:10.0.0.1", "10.0.0.1"),
            ("clientid_re", "^bot-[0-9]+$", "^bot-[0-9]+$"),
            ("username_re", ".*", ".*"),
            ("peerhost_net", "192.168.1.77/24", "192.168.1.0/24"),
            ("peerhost_net", "fd00:1::5/16", "fd00::/16"),
            ("peerhost_net", "0.0.0.0/0", "0.0.0.0/0"),
        ] {
            let read = Who::parse(kind, who).expect("right");
            assert_eq!((read.kind(), read.to_string().as_str()), (kind, expected));
            assert_eq!(Who::parse(kind, expected), Ok(read));
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_reason() {
        for (kind, who, why) in [
            ("clientid", "", "from 1 to 1024 bytes"),
            ("peerhost", "localhost", "is no address"),
            ("clientid_re", "(", "is no regular expression"),
            ("peerhost_net", "10.0.0.1", "is no network"),
            ("peerhost_net", "10.0.0.0/33", "is no network"),
            ("peerhost_net", "10.0.0.0/+8", "is no network"),
            ("ip", "10.0.0.1", "as is one of clientid, username"),
        ] {
            let told = Who::parse(kind, who).expect_err("wrong");
            assert!(told.contains(why), "{told}");
        }
        assert!(Who::parse("clientid", &"x".repeat(1025)).is_err());
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        let contains = |net: &str, address: &str| {
            Net::parse(net).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(contains("10.1.2.0/23", "10.1.3.255") && !contains("10.1.2.0/23", "10.1.4.0"));
        assert!(contains("10.0.0.1/32", "10.0.0.1") && !contains("10.0.0.1/32", "10.0.0.2"));
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe80::1") && !contains("::/0", "1.2.3.4"));
    }
}

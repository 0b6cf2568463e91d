//! The shard's side of transport connections, by the driver's slot number.

use crate::enhanced_auth::AuthExchange;
use crate::machine::ConnId;
use crate::slab::Pages;
use crate::timer::TimerId;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Most buffers for partial packets kept for reuse.
const SPARE_PARTIALS_MAX: usize = 256;

/// A buffer for a partial packet that grew beyond this is not kept, bytes.
const SPARE_PARTIAL_BYTES_MAX: usize = 16 * 1024;

/// How far a connection has come.
#[derive(Default)]
pub(super) enum Phase {
    /// No connection in this slot.
    #[default]
    Vacant,
    /// Open, and its proxy's header has yet to come.
    Proxied,
    /// Open, and no CONNECT yet.
    Fresh,
    /// CONNECT named an authentication method and the exchange goes on.
    Authenticating(Box<Authenticating>),
    /// Connected: the session's number.
    Live(u32),
}

/// A CONNECT that waits for its authentication.
pub(super) struct Authenticating {
    /// Body of the CONNECT packet.
    pub(super) connect: Vec<u8>,
    /// The client's identifier, or the one assigned to it.
    pub(super) client_id: Box<str>,
    pub(super) exchange: Box<dyn AuthExchange>,
}

/// Reasons not to read from a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pauses(u8);

impl Pauses {
    /// What it publishes piles up.
    pub(super) const HELD_UP: Self = Self(1);
    /// It does not take the answers to what it sends.
    pub(super) const CHOKED: Self = Self(2);
    /// Too many of its SUBSCRIBEs wait for other shards.
    pub(super) const SUBSCRIBING: Self = Self(4);
    /// It has published too much.
    pub(super) const LIMITED: Self = Self(8);
    /// A queue that it feeds is full.
    pub(super) const HELD_BACK: Self = Self(16);

    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    /// Adds a reason; true if it is the first.
    pub(super) fn add(&mut self, reason: Self) -> bool {
        let first = self.0 == 0;
        self.0 |= reason.0;
        first
    }

    /// Removes a reason; true if it was there and was the last.
    pub(super) fn remove(&mut self, reason: Self) -> bool {
        let there = self.0 & reason.0 != 0;
        self.0 &= !reason.0;
        there && self.0 == 0
    }
}

/// The other end of a connection, in 18 bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peer {
    /// IPv4 as mapped into IPv6.
    address: [u8; 16],
    port: u16,
}

impl From<SocketAddr> for Peer {
    fn from(peer: SocketAddr) -> Self {
        let address = match peer.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self { address: address.octets(), port: peer.port() }
    }
}

impl From<Peer> for SocketAddr {
    fn from(peer: Peer) -> Self {
        Self::new(Ipv6Addr::from(peer.address).to_canonical(), peer.port)
    }
}

/// One connection.
#[derive(Default)]
pub(super) struct Conn {
    pub(super) phase: Phase,
    pub(super) peer: Peer,
    /// Index of the listener that accepted it.
    pub(super) listener: u16,
    /// When it became live, seconds.
    pub(super) since_s: u32,
    /// Why reading is paused, if it is.
    pub(super) pauses: Pauses,
    /// The beginning of a packet whose rest has not come.
    // Boxed because most connections have none: 8 bytes instead of 24.
    #[expect(clippy::box_collection, reason = "an idle connection pays for the pointer alone")]
    pub(super) partial: Option<Box<Vec<u8>>>,
    /// Until CONNECT, and while it is not read because it has published too much.
    pub(super) timer: Option<TimerId>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Conn>() == 64);

/// All connections of a shard.
#[derive(Default)]
pub(super) struct Conns {
    slots: Pages<Conn>,
    #[expect(clippy::vec_box, reason = "the boxes move into connections and back")]
    spare_partials: Vec<Box<Vec<u8>>>,
}

impl Conns {
    /// The slot of a connection that has just opened.
    pub(super) fn open(&mut self, conn: ConnId, peer: SocketAddr, listener: u16) -> &mut Conn {
        while self.slots.len() <= conn.0 {
            self.slots.push(Conn::default());
        }
        let slot = self.slots.get_mut(conn.0).expect("slot was made");
        assert!(matches!(slot.phase, Phase::Vacant), "driver opened a slot in use");
        slot.phase = Phase::Fresh;
        slot.peer = peer.into();
        slot.listener = listener;
        slot
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.slots.get(conn.0).filter(|slot| !matches!(slot.phase, Phase::Vacant))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.slots.get_mut(conn.0).filter(|slot| !matches!(slot.phase, Phase::Vacant))
    }

    /// The session of a live connection.
    #[inline]
    pub(super) fn session(&self, conn: ConnId) -> Option<u32> {
        match self.slots.get(conn.0)?.phase {
            Phase::Live(session) => Some(session),
            _ => None,
        }
    }

    /// Empties a slot and returns what was there.
    pub(super) fn close(&mut self, conn: ConnId) -> Option<Conn> {
        let mut closed = core::mem::take(self.get_mut(conn)?);
        if let Some(partial) = closed.partial.take() {
            self.recycle(partial);
        }
        Some(closed)
    }

    /// Connections that are open, with their slots.
    pub(super) fn open_slots(&self) -> impl Iterator<Item = ConnId> {
        let occupied = |(slot, conn): (usize, &Conn)| {
            (!matches!(conn.phase, Phase::Vacant)).then(|| ConnId(u32::try_from(slot).expect("slot number")))
        };
        self.slots.iter().enumerate().filter_map(occupied)
    }

    /// An empty buffer for a partial packet.
    #[expect(clippy::box_collection, reason = "see Conn::partial")]
    pub(super) fn partial(&mut self) -> Box<Vec<u8>> {
        self.spare_partials.pop().unwrap_or_default()
    }

    /// Takes a buffer for partial packets back.
    #[expect(clippy::box_collection, reason = "see Conn::partial")]
    pub(super) fn recycle(&mut self, mut partial: Box<Vec<u8>>) {
        if self.spare_partials.len() < SPARE_PARTIALS_MAX && partial.capacity() <= SPARE_PARTIAL_BYTES_MAX {
            partial.clear();
            self.spare_partials.push(partial);
        }
    }
}

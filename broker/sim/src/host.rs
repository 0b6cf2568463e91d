//! One shard and the driver's side of its contract: slots of connections, commands, the outbox.
//!
//! Both the simulated world and the plain cluster are built on it; what differs is where bytes go and when.

use ringmq_core::machine::{CloseCause, CloseHow, Command, ConnId, Effects, Input, Machine, Origin, ShardId, Time};
use ringmq_core::shard::Shard;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A transport connection, by a number that stays the same when the connection moves to another shard.
pub(crate) type LinkId = usize;

/// What a shard wants done with a link.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The shard is done with it; `rest` is what was still to be sent.
    Close { link: LinkId, rest: Vec<u8> },
    /// Read no more for now.
    Pause { link: LinkId },
    /// Read again.
    Resume { link: LinkId },
    /// Another shard shall have it, with these bytes first.
    HandOff { link: LinkId, to: ShardId, bytes: Vec<u8> },
}

/// A shard with its connections.
pub(crate) struct Host {
    pub(crate) shard: Shard,
    pub(crate) fx: Effects,
    /// Link by slot.
    links: Vec<Option<LinkId>>,
    free: Vec<u32>,
    /// Slots that may be used again from the next turn on.
    freed: Vec<u32>,
    dirty: Vec<ConnId>,
}

impl Host {
    pub(crate) fn new(shard: Shard, shards: usize) -> Self {
        Self {
            shard,
            fx: Effects::new(shards),
            links: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            dirty: Vec::new(),
        }
    }

    /// Slots that were given back in the turn before may be used again.
    pub(crate) fn begin_turn(&mut self) {
        self.free.append(&mut self.freed);
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.links.iter().flatten().count()
    }

    pub(crate) fn link(&self, conn: ConnId) -> Option<LinkId> {
        *self.links.get(conn.0 as usize)?
    }

    /// Opens a link here.
    pub(crate) fn accept(&mut self, now: Time, link: LinkId, handed_over: bool, asked: &mut Vec<Asked>) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.links.push(None);
            u32::try_from(self.links.len() - 1).expect("fewer than 2^32 connections")
        });
        self.links[slot as usize] = Some(link);
        let conn = ConnId(slot);
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
        let origin = if handed_over { Origin::HandedOver { listener: 0 } } else { Origin::Accepted { listener: 0 } };
        self.step(now, Input::Opened { conn, peer, origin }, asked);
        conn
    }

    /// Tells the shard that a link has ended, and gives its slot back.
    pub(crate) fn closed(&mut self, now: Time, conn: ConnId, cause: CloseCause, asked: &mut Vec<Asked>) {
        self.vacate(conn);
        let _unsent = self.fx.outbox.detach(conn);
        self.step(now, Input::Closed { conn, cause }, asked);
    }

    /// One step of the shard. What it asks for is appended to `asked`.
    pub(crate) fn step(&mut self, now: Time, input: Input<'_>, asked: &mut Vec<Asked>) {
        self.shard.handle(now, input, &mut self.fx);
        for command in core::mem::take(&mut self.fx.commands) {
            match command {
                Command::Close { conn, how } => {
                    let link = self.vacate(conn);
                    let unsent = self.fx.outbox.detach(conn);
                    let rest = if how == CloseHow::Flush { unsent.rest() } else { Vec::new() };
                    asked.push(Asked::Close { link, rest });
                }
                Command::PauseReading { conn } => asked.push(Asked::Pause { link: self.expect_link(conn) }),
                Command::ResumeReading { conn } => asked.push(Asked::Resume { link: self.expect_link(conn) }),
                // A link has one other end.
                Command::HandOff { conn, to, bytes, .. } => {
                    assert_eq!(self.fx.outbox.unsent(conn), 0, "hand-off after output");
                    let link = self.vacate(conn);
                    asked.push(Asked::HandOff { link, to, bytes });
                }
                Command::Connect { .. } => unreachable!("a shard opens no connections"),
            }
        }
    }

    /// Calls `send` for each connection that was appended to since the last call.
    pub(crate) fn for_each_dirty(&mut self, mut send: impl FnMut(&mut Self, ConnId, LinkId)) {
        let mut dirty = core::mem::take(&mut self.dirty);
        self.fx.outbox.take_dirty(&mut dirty);
        for conn in &dirty {
            if let Some(link) = self.link(*conn) {
                send(self, *conn, link);
            }
        }
        self.dirty = dirty;
    }

    /// True if there is more to do without any input.
    pub(crate) fn is_busy(&self) -> bool {
        self.shard.busy() || self.fx.outbox.has_dirty()
    }

    fn expect_link(&self, conn: ConnId) -> LinkId {
        self.link(conn).expect("command for an open connection")
    }

    fn vacate(&mut self, conn: ConnId) -> LinkId {
        let link = self.links[conn.0 as usize].take().expect("connection is open");
        self.freed.push(conn.0);
        link
    }
}

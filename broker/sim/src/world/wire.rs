//! The way of bytes between clients and shards: cut anywhere, late, lost when a link is.

use super::link::Link;
use super::{Event, US, World};
use crate::client::{Ctx, Role};
use crate::host::LinkId;
use crate::oracle::Mark;
use crate::shape::Sabotage;
use ringmq_core::machine::Input;

impl World {
    /// A link has something for its shard.
    pub(super) fn note_ready(&mut self, link: LinkId) {
        let shard = self.links[link].shard;
        if !self.ready[shard].contains(&link) {
            self.ready[shard].push(link);
        }
        self.wake(shard);
    }

    fn delay(&mut self, link: LinkId) -> u64 {
        // The observer is next door.
        if self.clients[self.links[link].client].role == Role::Observer {
            return 0;
        }
        self.dice.within(0, self.shape.link_delay_us) * US
    }

    /// Lets a client do something, and carries out what it did.
    pub(super) fn with_client(&mut self, client: usize, what: impl FnOnce(&mut crate::client::Client, &mut Ctx<'_>)) {
        let mut ctx = Ctx {
            now_ns: self.now_ns,
            oracle: &mut self.oracle,
            dice: &mut self.dice,
            trace: &self.trace,
            shape: &self.shape,
            draining: self.draining,
            out: Vec::new(),
            marks: Vec::new(),
            open: false,
            fin: false,
            cut: false,
            stall_ns: 0,
            rest_ns: 0,
        };
        let before = self.clients[client].link;
        let was_anonymous = self.clients[client].anonymous;
        what(&mut self.clients[client], &mut ctx);
        let Ctx { out, marks, open, fin, cut, stall_ns, rest_ns, .. } = ctx;
        let link = if open {
            if let Some(old) = before {
                self.links[old].abandoned = true;
                self.note_ready(old);
                // A client without a name takes nothing over, nor does anybody from it.
                if was_anonymous || self.clients[client].anonymous {
                    self.end_up(old, true);
                }
            }
            let link = self.open(client);
            self.clients[client].link = Some(link);
            Some(link)
        } else {
            before
        };
        if stall_ns > 0 {
            self.stalled_until[client] = self.now_ns + stall_ns;
            self.later(stall_ns, Event::Read(client));
        }
        if rest_ns > 0 {
            self.later(rest_ns, Event::Act(client));
        }
        let Some(link) = link else { return };
        let written = self.links[link].written;
        for (offset, mark) in marks {
            self.links[link].marks.push_back((written + offset as u64, mark));
        }
        if !out.is_empty() {
            self.links[link].marks.push_back((written + out.len() as u64, Mark::End));
        }
        self.write_up(link, &out);
        if fin || cut {
            self.clients[client].disconnected();
            self.end_up(link, cut);
        }
    }

    fn open(&mut self, client: usize) -> LinkId {
        let shard = self.dice.index(self.hosts.len());
        let down_max = if self.clients[client].role == Role::Observer { usize::MAX } else { self.shape.socket_bytes };
        self.links.push(Link::new(client, shard, down_max, self.now_ns));
        let link = self.links.len() - 1;
        self.trace.note(self.now_ns, "client opens link", link, &[]);
        self.backlog[shard].push((link, false));
        self.wake(shard);
        link
    }

    /// The client writes: in pieces, which arrive one after the other.
    fn write_up(&mut self, link: LinkId, bytes: &[u8]) {
        if bytes.is_empty() || self.links[link].up_ended {
            return;
        }
        self.trace.note(self.now_ns, "client writes on link", link, bytes);
        self.links[link].written += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = if self.dice.chance(600) { rest.len() } else { 1 + self.dice.index(rest.len()) };
            let (piece, after) = rest.split_at(count);
            self.links[link].up.push_back(piece.to_vec());
            let wait_ns = self.delay(link);
            self.later(wait_ns, Event::Up(link));
            rest = after;
        }
    }

    /// The client closes; if the link is cut, only a part of what is under way arrives.
    fn end_up(&mut self, link: LinkId, cut: bool) {
        if core::mem::replace(&mut self.links[link].up_ended, true) {
            return;
        }
        if cut {
            let under_way: usize = self.links[link].up.iter().map(Vec::len).sum();
            let mut left = self.dice.index(under_way + 1);
            for piece in &mut self.links[link].up {
                piece.truncate(left);
                left -= piece.len();
            }
        }
        self.trace.note(self.now_ns, "client closes link", link, &[]);
        let wait_ns = self.dice.within(0, 3 * self.shape.link_delay_us.max(1)) * US;
        self.later(wait_ns, Event::UpEnd(link));
        self.note_ready(link);
    }

    pub(super) fn arrive_up(&mut self, link: LinkId) {
        if let Some(piece) = self.links[link].up.pop_front()
            && !self.links[link].down_ended
        {
            self.links[link].inbox.extend(piece);
            self.note_ready(link);
        }
    }

    /// The shard sends what the socket takes.
    pub(super) fn write_on(&mut self, link: LinkId) {
        let Some(conn) = self.links[link].conn else { return };
        let shard = self.links[link].shard;
        loop {
            let room = self.links[link].room();
            let outbox = &mut self.hosts[shard].fx.outbox;
            let _started = outbox.start_send(conn);
            let left = outbox.rest_of_send(conn).bytes;
            // A kernel calls a socket writable when a good part of it is free.
            if left.is_empty() || room < (self.links[link].down_max / 4).clamp(1, left.len()) {
                return;
            }
            let most = left.len().min(room);
            let count = if self.dice.chance(800) { most } else { 1 + self.dice.index(most) };
            let bytes = left[..count].to_vec();
            self.sends += 1;
            let lost = self.shape.sabotage == Some(Sabotage::LoseSend(self.sends));
            let sent = self.hosts[shard].fx.outbox.sent(conn, count);
            if !lost {
                self.send_down(link, &bytes);
            }
            if sent.drained {
                self.give(shard, Input::Drained { conn }, None);
                if self.links[link].conn != Some(conn) {
                    return;
                }
            }
        }
    }

    /// Bytes leave the shard's socket for the client.
    pub(super) fn send_down(&mut self, link: LinkId, bytes: &[u8]) {
        self.trace.note(self.now_ns, "shard sends on link", link, bytes);
        if self.links[link].abandoned || self.links[link].up_ended {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = if self.dice.chance(600) { rest.len() } else { 1 + self.dice.index(rest.len()) };
            let (piece, after) = rest.split_at(count);
            self.links[link].down.push_back(piece.to_vec());
            self.links[link].down_bytes += count;
            let wait_ns = self.way_down(link);
            self.later(wait_ns, Event::Down(link));
            rest = after;
        }
    }

    pub(super) fn way_down(&mut self, link: LinkId) -> u64 {
        self.delay(link)
    }

    pub(super) fn arrive_down(&mut self, link: LinkId) {
        let Some(piece) = self.links[link].down.pop_front() else { return };
        self.links[link].outbox.extend_from_slice(&piece);
        let client = self.links[link].client;
        if self.stalled_until[client] <= self.now_ns {
            self.read_link(link);
        }
    }

    /// A client reads again after a pause.
    pub(super) fn read(&mut self, client: usize) {
        if self.stalled_until[client] > self.now_ns {
            return;
        }
        if let Some(link) = self.clients[client].link {
            self.read_link(link);
        }
    }

    fn read_link(&mut self, link: LinkId) {
        let bytes = core::mem::take(&mut self.links[link].outbox);
        self.links[link].down_bytes -= bytes.len();
        let client = self.links[link].client;
        if self.clients[client].link == Some(link) && !bytes.is_empty() {
            self.trace.note(self.now_ns, "client reads on link", link, &bytes);
            self.with_client(client, |client, ctx| client.receive(&bytes, ctx));
        }
        if self.links[link].conn.is_some() {
            self.note_ready(link);
        }
        self.see_end(link);
    }

    pub(super) fn arrive_down_end(&mut self, link: LinkId) {
        self.see_end(link);
    }

    /// The client sees that the shard has closed, once it has read everything before.
    fn see_end(&mut self, link: LinkId) {
        let held = &self.links[link];
        let client = held.client;
        if !held.down_ended || held.down_bytes > 0 || self.clients[client].link != Some(link) {
            return;
        }
        self.trace.note(self.now_ns, "client sees the end of link", link, &[]);
        self.links[link].up_ended = true;
        self.clients[client].disconnected();
    }

    /// A client does the next thing of its plan.
    pub(super) fn act(&mut self, client: usize) {
        self.trace.note(self.now_ns, "client acts", client, &[]);
        if self.draining {
            self.with_client(client, |client, ctx| client.drain(ctx));
            self.later(500 * super::MS, Event::Act(client));
            return;
        }
        self.acted += 1;
        self.with_client(client, |client, ctx| client.act(ctx));
        let rests = self.events.iter().any(|std::cmp::Reverse((_, _, event))| *event == Event::Act(client));
        if !rests {
            let pace_us = self.shape.pace_us;
            let wait_ns = self.dice.within(1, pace_us.max(2)) * US;
            self.later(wait_ns, Event::Act(client));
        }
    }
}

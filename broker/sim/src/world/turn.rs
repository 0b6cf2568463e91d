//! A shard's turn: what a driver does.

use super::{Event, MS, US, World};
use crate::host::{Asked, LinkId};
use crate::oracle::Mark;
use crate::shape::Sabotage;
use ringmq_core::machine::{CloseCause, HIGH_WATER_BYTES, Input, Lane, Machine, ShardId};

/// Batches that a shard takes from one ring in one turn.
const BATCHES_PER_TURN: usize = 4;

/// Bytes staged for another shard that are never exceeded: publishers are held up long before, but what is received
/// already is still taken in.
const STAGED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A congested connection gets at most this beyond the high-water mark: one message, and answers to what it sent.
const UNSENT_BYTES_MAX: usize = HIGH_WATER_BYTES + 2 * 1024 * 1024;

impl World {
    pub(super) fn turn(&mut self, shard: usize) {
        let now = self.now();
        self.hosts[shard].begin_turn();
        for (link, handed_over) in core::mem::take(&mut self.backlog[shard]) {
            let mut asked = core::mem::take(&mut self.asked);
            let conn = self.hosts[shard].accept(now, link, handed_over, &mut asked);
            self.links[link].conn = Some(conn);
            self.links[link].shard = shard;
            self.asked = asked;
            self.carry_out(shard, None);
            self.note_ready(link);
        }
        self.serve_links(shard);
        self.hear(shard);
        let host = &mut self.hosts[shard];
        if host.shard.busy() || host.shard.deadline().is_some_and(|deadline| deadline <= now) {
            self.give(shard, Input::Tick, None);
        }
        self.send_all(shard);
        self.stage_out(shard);
        self.check_bounds(shard);
        let host = &self.hosts[shard];
        if host.is_busy() || !self.ready[shard].is_empty() || !self.backlog[shard].is_empty() {
            self.want_turn(shard, self.shape.turn_delay_us.max(1) * US);
        } else if let Some(deadline) = host.shard.deadline() {
            // Never twice at the same moment.
            let at_ns = deadline.0.max(self.now_ns + 1);
            self.want_turn_at(shard, at_ns);
        }
    }

    /// One step of a shard, with what follows from it. `from` is the link that the input came from.
    pub(super) fn give(&mut self, shard: usize, input: Input<'_>, from: Option<LinkId>) {
        let now = self.now();
        let mut asked = core::mem::take(&mut self.asked);
        self.hosts[shard].step(now, input, &mut asked);
        self.asked = asked;
        self.carry_out(shard, from);
    }

    /// Carries out what a shard has asked for. First the models learn what it was given.
    fn carry_out(&mut self, shard: usize, from: Option<LinkId>) {
        let asked = core::mem::take(&mut self.asked);
        for ask in &asked {
            if let Asked::HandOff { link, bytes, .. } = ask {
                self.links[*link].fed -= bytes.len() as u64;
            }
        }
        if let Some(link) = from {
            while let Some(mark) = self.links[link].take_mark() {
                let over = matches!(mark, Mark::Disconnect { .. });
                if matches!(mark, Mark::End) {
                    self.links[link].last_whole_ns = self.now_ns;
                    continue;
                }
                self.trace.say(self.now_ns, format_args!("shard {shard} has taken in, on link {link}: {mark:?}"));
                self.oracle.processed(link, mark);
                if over {
                    self.links[link].marks.clear();
                }
            }
        }
        for ask in asked {
            match ask {
                Asked::Close { link, rest } => self.close_by_shard(link, &rest),
                Asked::Pause { link } => self.links[link].paused = true,
                Asked::Resume { link } => {
                    self.links[link].paused = false;
                    self.note_ready(link);
                }
                Asked::HandOff { link, to, bytes } => {
                    self.trace.note(self.now_ns, "hand-off of link", link, &bytes);
                    let held = &mut self.links[link];
                    held.conn = None;
                    held.paused = false;
                    for byte in bytes.iter().rev() {
                        held.inbox.push_front(*byte);
                    }
                    held.shard = usize::from(to.0);
                    self.backlog[usize::from(to.0)].push((link, true));
                    self.wake(usize::from(to.0));
                }
            }
        }
        for link in core::mem::take(&mut self.oracle.must_close) {
            if self.links[link].conn.is_some() {
                self.oracle.fail(format!("link {link} should have been closed and is open"));
            }
        }
    }

    fn close_by_shard(&mut self, link: LinkId, rest: &[u8]) {
        self.trace.note(self.now_ns, "shard closes link", link, rest);
        let idle_ns = u64::try_from(self.shape.settings.idle_timeout.as_nanos()).unwrap_or(u64::MAX);
        let held = &mut self.links[link];
        held.conn = None;
        held.marks.clear();
        held.inbox.clear();
        if !self.shape.lossless && held.down_bytes > 0 {
            // A client that reads nothing is closed after the send timeout.
            self.oracle.links.entry(link).or_default().may_close.get_or_insert("send timeout");
        }
        let held = &self.links[link];
        let (silent_ns, age_ns) = (self.now_ns - held.last_whole_ns, self.now_ns - held.opened_ns);
        self.oracle.closed_by_shard(link, silent_ns, age_ns, idle_ns);
        self.send_down(link, rest);
        self.links[link].down_ended = true;
        let wait_ns = self.way_down(link);
        self.later(wait_ns, Event::DownEnd(link));
    }

    /// Looks at links that something has happened to, in any order, not always all of them.
    fn serve_links(&mut self, shard: usize) {
        let mut ready = core::mem::take(&mut self.ready[shard]);
        for at in (1..ready.len()).rev() {
            let other = self.dice.index(at + 1);
            ready.swap(at, other);
        }
        for link in ready {
            if self.links[link].shard != shard || self.links[link].conn.is_none() {
                continue;
            }
            if self.dice.chance(100) {
                // Next time.
                self.ready[shard].push(link);
                continue;
            }
            self.write_on(link);
            self.feed(link);
        }
    }

    /// Gives a shard what has arrived on a link, whole or in part.
    fn feed(&mut self, link: LinkId) {
        loop {
            let held = &mut self.links[link];
            let shard = held.shard;
            let Some(conn) = held.conn else { return };
            // What is received already is still delivered to a paused connection, sometimes.
            if held.paused && !self.dice.chance(200) {
                return;
            }
            let held = &mut self.links[link];
            if held.inbox.is_empty() {
                if held.up_end_arrived {
                    self.end_by_client(link);
                }
                return;
            }
            let most = held.inbox.len();
            let count = if self.dice.chance(500) { most } else { 1 + self.dice.index(most) };
            let held = &mut self.links[link];
            let bytes: Vec<u8> = held.inbox.drain(..count).collect();
            held.fed += count as u64;
            self.trace.note(self.now_ns, "shard receives on link", link, &bytes);
            self.give(shard, Input::Received { conn, bytes: &bytes }, Some(link));
            if self.oracle.violation.is_some() {
                return;
            }
        }
    }

    fn end_by_client(&mut self, link: LinkId) {
        let shard = self.links[link].shard;
        let Some(conn) = self.links[link].conn.take() else { return };
        self.trace.note(self.now_ns, "shard sees the end of link", link, &[]);
        let cause = if self.dice.chance(500) { CloseCause::Peer } else { CloseCause::Error(104) };
        self.oracle.link_over(link, false);
        let now = self.now();
        let mut asked = core::mem::take(&mut self.asked);
        self.hosts[shard].closed(now, conn, cause, &mut asked);
        self.asked = asked;
        self.carry_out(shard, None);
    }

    /// Takes batches from the other shards.
    fn hear(&mut self, shard: usize) {
        for from in 0..self.hosts.len() {
            for lane in [Lane::Control, Lane::Data] {
                let mut left = BATCHES_PER_TURN;
                while left > 0 {
                    match self.ways[from][shard][lane as usize].receive(self.now_ns) {
                        Ok(batch) => {
                            self.trace.note(self.now_ns, "shard hears", shard, &batch);
                            let id = ShardId(u8::try_from(from).expect("few shards"));
                            self.give(shard, Input::Mesh { from: id, bytes: &batch }, None);
                            // The sender may have waited for room.
                            self.wake(from);
                            left -= 1;
                        }
                        Err(Some(at_ns)) => {
                            self.want_turn_at(shard, at_ns);
                            break;
                        }
                        Err(None) => break,
                    }
                }
                if left == 0 {
                    self.wake(shard);
                }
            }
        }
    }

    /// Moves whole lanes into the rings, as far as there is room.
    fn stage_out(&mut self, shard: usize) {
        for to in 0..self.hosts.len() {
            for lane in [Lane::Data, Lane::Control] {
                let id = ShardId(u8::try_from(to).expect("few shards"));
                let staged = self.hosts[shard].fx.mesh.lane(id, lane);
                if staged.is_empty() {
                    continue;
                }
                let batch = core::mem::take(staged);
                if lane == Lane::Data {
                    self.batches += 1;
                    let number = self.batches;
                    match self.shape.sabotage {
                        Some(Sabotage::DropBatch(which)) if which == number => continue,
                        Some(Sabotage::RepeatBatch(which)) if which == number => {
                            self.move_batch(shard, to, lane, batch.clone());
                        }
                        Some(Sabotage::SwapBatches(which)) if which == number => {
                            self.kept_back = Some((shard, to, batch));
                            continue;
                        }
                        _ => {}
                    }
                    self.move_batch(shard, to, lane, batch);
                    if let Some((_, _, late)) = self.kept_back.take_if(|(from, at, _)| (*from, *at) == (shard, to)) {
                        self.move_batch(shard, to, lane, late);
                    }
                } else {
                    self.move_batch(shard, to, lane, batch);
                }
            }
        }
    }

    fn move_batch(&mut self, shard: usize, to: usize, lane: Lane, batch: Vec<u8>) {
        let delay_ns = self.shape.mesh_delay_us * US;
        match self.ways[shard][to][lane as usize].send(self.now_ns, delay_ns, batch, &mut self.dice) {
            Ok(at_ns) => self.want_turn_at(to, at_ns.max(self.now_ns + 1)),
            Err(batch) => {
                // The ring is full: the lane keeps it, and what is appended later comes after it.
                let id = ShardId(u8::try_from(to).expect("few shards"));
                let staged = self.hosts[shard].fx.mesh.lane(id, lane);
                let later = core::mem::replace(staged, batch);
                staged.extend_from_slice(&later);
            }
        }
    }

    /// Sends what the step has left in the outbox.
    fn send_all(&mut self, shard: usize) {
        let mut dirty = Vec::new();
        self.hosts[shard].for_each_dirty(|_, _, link| dirty.push(link));
        for link in dirty {
            self.write_on(link);
        }
    }

    /// Limits that hold at the end of every turn.
    fn check_bounds(&mut self, shard: usize) {
        for link in 0..self.links.len() {
            if self.links[link].shard == shard
                && let Some(conn) = self.links[link].conn
            {
                let unsent = self.hosts[shard].fx.outbox.unsent(conn);
                if unsent > UNSENT_BYTES_MAX {
                    self.oracle.fail(format!("{unsent} bytes wait to be sent on link {link}"));
                }
            }
        }
        for to in 0..self.hosts.len() {
            let id = ShardId(u8::try_from(to).expect("few shards"));
            let staged = self.hosts[shard].fx.mesh.backlog(id);
            if staged > STAGED_BYTES_MAX {
                self.oracle.fail(format!("{staged} bytes are staged from shard {shard} to shard {to}"));
            }
        }
    }

    /// How much later than its deadline a shard may act, nanoseconds.
    pub(super) fn timer_slack_ns(&self) -> u64 {
        self.oracle.slack_ns + 10 * self.shape.link_delay_us * US + 10 * MS
    }
}

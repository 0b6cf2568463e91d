//! The course of a run: clients act, then everything drains, then what must be true is checked, then everybody leaves.

use super::{Event, MS, World};
use crate::client::{Client, Role, Stage, TOPICS};
use ringmq_core::counters::Counters;
use ringmq_wire::Version;

/// Virtual time that everything may take to drain, nanoseconds.
const DRAIN_NS: u64 = 900_000 * MS;

/// Virtual time in which late timers and batches come, once nobody does anything, nanoseconds.
const SETTLE_NS: u64 = 12_000 * MS;

/// Events of one run, far above what any takes: a run that goes on for ever is a finding too.
const EVENTS_MAX: u64 = 20_000_000;

impl World {
    /// The whole run. Returns what was found wrong.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let mut events = 0;
        while self.acted < self.shape.steps {
            self.go_on(&mut events)?;
        }
        self.drain(&mut events)?;
        self.check_counters()?;
        let slack_ns = self.timer_slack_ns();
        self.oracle.check_complete(slack_ns);
        self.verdict()?;
        self.inspect(&mut events)?;
        self.leave(&mut events)
    }

    pub(crate) fn hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Deliveries that were checked.
    pub(crate) fn deliveries(&self) -> u64 {
        self.oracle.deliveries
    }

    /// Times that a full queue stopped a publisher.
    pub(crate) fn held_back(&self) -> u64 {
        self.counters().iter().map(|counters| counters.client_held_back).sum()
    }

    fn verdict(&mut self) -> Result<(), String> {
        self.oracle
            .violation
            .take()
            .map_or(Ok(()), |what| Err(format!("at {:.3} ms: {what}", self.now_ns as f64 / 1e6)))
    }

    fn go_on(&mut self, events: &mut u64) -> Result<(), String> {
        if !self.step(u64::MAX) {
            return Err("nothing happens any more".to_owned());
        }
        *events += 1;
        if *events > EVENTS_MAX {
            return Err(format!("{EVENTS_MAX} events, and no end"));
        }
        self.verdict()
    }

    fn go_on_until(&mut self, until_ns: u64, events: &mut u64) -> Result<(), String> {
        while self.now_ns < until_ns {
            if !self.step(until_ns) {
                break;
            }
            *events += 1;
            if *events > EVENTS_MAX {
                return Err(format!("{EVENTS_MAX} events, and no end"));
            }
            self.verdict()?;
        }
        self.oracle.now_ns = self.now_ns;
        Ok(())
    }

    /// Lets everything that has begun come to its end: clients come back to their sessions and read everything.
    fn drain(&mut self, events: &mut u64) -> Result<(), String> {
        self.trace.say(self.now_ns, format_args!("---- drain"));
        self.draining = true;
        for client in 0..self.clients.len() {
            self.stalled_until[client] = 0;
            self.later(0, Event::Read(client));
            if !self.has_act(client) {
                self.later(0, Event::Act(client));
            }
        }
        let end_ns = self.now_ns + DRAIN_NS;
        let mut quiet_since_ns = None;
        let mut deliveries = 0;
        loop {
            let step_ns = self.now_ns + 100 * MS;
            self.go_on_until(step_ns, events)?;
            let delivered = core::mem::replace(&mut deliveries, self.oracle.deliveries) != deliveries;
            if delivered || !self.is_quiet() {
                quiet_since_ns = None;
            } else if self.now_ns - *quiet_since_ns.get_or_insert(self.now_ns) > SETTLE_NS {
                return Ok(());
            }
            if self.now_ns > end_ns {
                let late: Vec<usize> =
                    self.clients.iter().filter(|c| c.stage != Stage::Online).map(|c| c.index).collect();
                return Err(format!("it does not come to rest; not online: {late:?}"));
            }
        }
    }

    fn has_act(&self, client: usize) -> bool {
        self.events.iter().any(|std::cmp::Reverse((_, _, event))| *event == Event::Act(client))
    }

    /// True if nothing is under way but what the clients do again and again.
    fn is_quiet(&self) -> bool {
        let online = self.clients.iter().all(|client| client.stage == Stage::Online);
        let ways = self.ways.iter().flatten().flatten().all(super::lanes::Way::is_empty);
        let idle = self.hosts.iter().all(|host| !host.is_busy());
        online && ways && idle && self.clients.iter().all(Client::is_settled)
    }

    fn counters(&self) -> Vec<Counters> {
        self.hosts.iter().map(|host| host.shard.counters()).collect()
    }

    /// Nothing was dropped that had room.
    fn check_counters(&mut self) -> Result<(), String> {
        if !self.shape.lossless {
            return Ok(());
        }
        for (shard, counters) in self.counters().iter().enumerate() {
            let dropped = counters.delivery_dropped_queue_full + counters.delivery_dropped_qos0_msg;
            if dropped > 0 {
                return Err(format!("shard {shard} dropped {dropped} messages that had room"));
            }
            if counters.packets_malformed + counters.packets_protocol_error > 0 {
                return Err(format!("shard {shard} refused packets that were right"));
            }
        }
        Ok(())
    }

    /// New clients look at what is retained.
    fn inspect(&mut self, events: &mut u64) -> Result<(), String> {
        self.trace.say(self.now_ns, format_args!("---- inspect"));
        let first = self.clients.len();
        let filters = ["#", "$d/#", "t/+", "t/0", "+/+"];
        for (at, filter) in filters.iter().enumerate() {
            let version = [Version::V5, Version::V311][at % 2];
            let client = self.add(Role::Inspector, version);
            self.with_client(client, Client::connect_clean);
            let end_ns = self.now_ns + 2_000 * MS;
            self.go_on_until(end_ns, events)?;
            self.with_client(client, |client, ctx| client.subscribe_plainly(filter, ctx));
            let end_ns = self.now_ns + 4_000 * MS;
            self.go_on_until(end_ns, events)?;
            let got = core::mem::take(&mut self.clients[client].collected);
            let got = got.into_iter().filter(|(topic, _)| !topic.starts_with("w/")).collect();
            // A short queue may have no room for all of them.
            if self.shape.lossless {
                self.oracle.check_retained(filter, &got);
                self.verdict()?;
            }
        }
        for client in first..self.clients.len() {
            self.with_client(client, |client, ctx| client.goodbye(false, None, ctx));
        }
        Ok(())
    }

    fn add(&mut self, role: Role, version: Version) -> usize {
        let index = self.clients.len();
        self.clients.push(Client::new(index, role, version, false));
        self.stalled_until.push(0);
        self.oracle.current.push(None);
        index
    }

    /// Everybody comes back with a clean start and leaves; what is retained is cleared. Then nothing may be left.
    fn leave(&mut self, events: &mut u64) -> Result<(), String> {
        self.trace.say(self.now_ns, format_args!("---- leave"));
        let end_ns = self.now_ns + 5_000 * MS;
        self.go_on_until(end_ns, events)?;
        // No more pings and reconnects.
        self.events.retain(|std::cmp::Reverse((_, _, event))| !matches!(event, Event::Act(_)));
        for client in 0..self.clients.len() {
            if self.clients[client].role != Role::Inspector {
                self.with_client(client, Client::connect_clean);
            }
        }
        let end_ns = self.now_ns + 5_000 * MS;
        self.go_on_until(end_ns, events)?;
        for client in 0..self.clients.len() {
            if self.clients[client].stage == Stage::Online {
                self.with_client(client, |client, ctx| client.goodbye(false, None, ctx));
            }
        }
        let end_ns = self.now_ns + 20_000 * MS;
        self.go_on_until(end_ns, events)?;
        let cleaner = self.add(Role::Inspector, Version::V5);
        self.with_client(cleaner, Client::connect_clean);
        let end_ns = self.now_ns + 2_000 * MS;
        self.go_on_until(end_ns, events)?;
        let wills: Vec<String> = (0..self.clients.len()).map(|client| format!("w/{client}")).collect();
        for topic in TOPICS.iter().copied().chain(wills.iter().map(String::as_str)) {
            self.with_client(cleaner, |client, ctx| client.clear_retained(topic, ctx));
            let end_ns = self.now_ns + 500 * MS;
            self.go_on_until(end_ns, events)?;
        }
        self.with_client(cleaner, |client, ctx| client.goodbye(false, None, ctx));
        let end_ns = self.now_ns + 2_000 * MS;
        self.go_on_until(end_ns, events)?;
        self.verdict()?;
        self.check_empty()
    }

    fn check_empty(&self) -> Result<(), String> {
        for (shard, counters) in self.counters().iter().enumerate() {
            for (what, count) in [
                ("connections", counters.connections),
                ("sessions", counters.sessions),
                ("subscriptions", counters.subscriptions),
                ("retained messages", counters.retained),
                ("clients that are held back", counters.connections_held_back),
                ("connected without a disconnected", counters.client_connected - counters.client_disconnected),
                ("created without a terminated", counters.session_created - counters.session_terminated),
            ] {
                if count != 0 {
                    return Err(format!("shard {shard} is left with {count} {what}"));
                }
            }
            if self.hosts[shard].open() > 0 {
                return Err(format!("shard {shard} has connections open that nobody has"));
            }
        }
        // Message queues stay.
        let announced = self.announced.get() - i64::try_from(self.shape.settings.queues.len()).expect("few queues");
        if announced != 0 {
            return Err(format!("{announced} filters are announced that nobody subscribes to"));
        }
        Ok(())
    }
}

//! The client fleet: all clients of one thread as one [`Machine`](ringmq_core::machine::Machine).
//!
//! The fleet is driven by the same drivers as the broker. At every tick it looks at the [`Stage`](crate::stage::Stage), does what the phase
//! asks for, and reports when it is done. What a client sends during a turn is coalesced by the outbox.
//!
//! | file | what it does |
//! |---|---|
//! | `client` | what is kept per client, publisher, subscriber |
//! | `directory` | what all fleets of a process share |
//! | `machine` | the fleet as its driver sees it |
//! | `outcome` | what it hands over in the end |
//! | `dial` | opening connections, CONNECT and CONNACK, losing connections |
//! | `subscribe` | SUBSCRIBE and SUBACK |
//! | `publish` | when a publisher may send, and its acknowledgements |
//! | `receive` | cutting frames, deliveries and the subscriber's acknowledgements |
//! | `ordeal` | which clients are disturbed, and when |
//! | `disturb` | lost connections, changing subscriptions, pauses |
//! | `strangers` | messages of other programs |
//! | `retain` | storing retained messages, and getting them |
//! | `takeover` | second connections |
//! | `idle` | keep-alive and stalled windows |
//! | `meter`, `disturbance_counts`, `experience` | what is measured |
//!
//! Absent: reconnecting unasked. A connection that is lost without the scenario's doing is an error of the run.

mod client;
mod dial;
mod directory;
mod disturb;
mod disturbance_counts;
mod experience;
mod idle;
mod machine;
mod meter;
mod ordeal;
mod outcome;
mod publish;
mod receive;
mod retain;
mod strangers;
mod subscribe;
mod takeover;
#[cfg(test)]
mod tests;

pub use directory::{Context, Directory};
pub use disturbance_counts::DisturbanceCounts;
pub use experience::{ClientExperience, Experience};
pub use machine::Lent;
pub use meter::Meter;
pub use outcome::Outcome;

use crate::arrivals::Arrivals;
use crate::checks::Checks;
use crate::cli::Timestamps;
use crate::disturbance::nanos;
use crate::live::{Counters, Gauge};
use crate::payload::{Maker, Strangers};
use crate::plan::Pace;
use crate::schedule::Schedule;
use crate::stage::{Account, Event, Phase};
use client::{Client, Publisher, State, Subscriber};
use idle::Sweep;
use ordeal::Ordeals;
use retain::Awaited;
use ringmq_core::machine::{Effects, ShardId, Time};
use ringmq_wire::MAX_PACKET_LEN;
use std::sync::Arc;
use std::time::Duration;

/// What a packet may hold besides the payload: the longest topic, and properties as long again.
const PACKET_BYTES_BESIDES_PAYLOAD: usize = 128 * 1024;

/// Clients on their way through a phase: dialled or subscribing.
#[derive(Debug, Default)]
struct Queue {
    /// Next client to start.
    next: usize,
    /// Started and not settled.
    under_way: usize,
    /// Succeeded or failed.
    settled: usize,
}

/// All clients of one thread.
#[derive(Debug)]
pub struct Fleet {
    cx: Context,
    thread: ShardId,
    maker: Maker,
    strangers: Strangers,
    /// Longest frame accepted, bytes.
    largest_frame: u32,
    /// Whether the subscribers are members of one group.
    shared: bool,
    /// Publishers of the run that send; those with higher numbers have one retained message each.
    live: u32,
    /// Messages after which each publisher is done.
    sequence_end: u64,
    /// With a limit: so many publishers, from the first, are known to be done.
    done: usize,
    /// Publishers first, then subscribers.
    clients: Vec<Client>,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    /// Index into `clients` by connection number.
    by_conn: Vec<u32>,
    checks: Checks,
    meter: Meter,
    gauge: Gauge,
    /// Times of the kernel, if latencies end with them.
    arrivals: Option<Arrivals>,
    /// When what is being handled was received: by the kernel, or else read by this thread.
    arrived_ns: u64,
    /// By client; empty if there is to be no log.
    experiences: Vec<Experience>,

    phase: Phase,
    /// The phase's work is done and reported.
    reached: bool,
    connect_schedule: Option<Schedule>,
    dialled: Queue,
    subscribed: Queue,
    disconnected: usize,
    /// Connections that have got as far as a CONNACK and are still there.
    open: usize,
    /// Messages that were skipped and have not come late.
    missing: u64,
    /// Subscribers that got their SUBACK.
    granted: u64,
    /// Messages sent in all of the run.
    sent: u64,
    schedule: Option<Schedule>,
    /// Closed loop: publishers that have begun to send, or need not.
    begun: usize,
    pace: Pace,
    account: Account,
    ordeals: Ordeals,
    /// Publishers whose retained message is sent, or who have none.
    retained: usize,
    /// By subscriber; empty if nothing is retained.
    awaited: Vec<Awaited>,
    /// When the measurement is meant to start, nanoseconds: the beginning of the traffic, and the warm-up.
    traffic_ns: u64,
    /// What the stage was last told.
    accounted: Option<Account>,
    sweep: Sweep,

    /// Something was received or sent since the last tick.
    active: bool,
    /// Longest time between two looks at what time brings, nanoseconds, if the thread sleeps.
    poll_ns: u64,
    last_tick_ns: u64,
    /// The driver's time at the last input.
    driver_now: Time,
}

impl Fleet {
    /// The fleet of this process's thread number `thread`.
    #[must_use]
    pub fn new(cx: Context, thread: usize) -> Self {
        let plan = Arc::clone(&cx.plan);
        let share = cx.directory.share;
        let (scenario, threads) = (&plan.scenario, share.total as u32);
        let mine = (share.first + thread) as u32;
        let publishers: Vec<Publisher> = (0..scenario.publishers())
            .filter(|publisher| scenario.publisher_thread(*publisher, threads) == mine)
            .map(|publisher| Publisher::new(publisher, plan.topic(publisher), scenario.copies(publisher)))
            .collect();
        let mut streams = 0;
        let subscribers: Vec<Subscriber> = (0..scenario.subscribers())
            .filter(|subscriber| scenario.subscriber_thread(*subscriber, threads) == mine)
            .map(|subscriber| {
                let sources = scenario.sources(subscriber);
                let count = sources.count() as usize;
                let subscriber = Subscriber::new(subscriber, sources, streams);
                streams += count;
                subscriber
            })
            .collect();
        let numbers: Vec<u32> = subscribers.iter().map(|subscriber| subscriber.global).collect();
        let ordeals = Ordeals::new(&plan, publishers.len(), &numbers);
        let mut checks = if scenario.share().is_some() {
            Checks::shared(streams, scenario.publishers() as usize)
        } else {
            Checks::plain(streams)
        };
        let lenient = |subscriber: &Subscriber| plan.disturbances.iter().any(|it| it.may_lose(subscriber.global));
        for subscriber in subscribers.iter().filter(|subscriber| lenient(subscriber)) {
            checks.tolerate(subscriber.streams..subscriber.streams + subscriber.sources.count() as usize);
        }
        let live = plan.live_publishers();
        let awaited = if plan.retained == 0 {
            Vec::new()
        } else {
            subscribers.iter().map(|subscriber| Awaited::new(&subscriber.sources, live)).collect()
        };
        let keep_alive = plan.identity.keep_alive;
        let logged = if plan.generator.experiences { publishers.len() + subscribers.len() } else { 0 };
        let experiences = vec![Experience::default(); logged];
        let clients = (0..publishers.len() + subscribers.len()).map(|_| Client::new(keep_alive)).collect();
        let clocks = cx.clocks();
        let (maker, largest_frame) = match &plan.traffic {
            Some(traffic) => {
                let largest = traffic.payload.largest() + PACKET_BYTES_BESIDES_PAYLOAD;
                (Maker::new(plan.run, &traffic.payload, clocks), largest as u32)
            }
            None => (Maker::of_nothing(clocks), MAX_PACKET_LEN),
        };
        let limit = plan.traffic.as_ref().and_then(|traffic| traffic.limit).unwrap_or(u64::MAX);
        let pace = plan.traffic.as_ref().map_or(Pace::Rate { per_second: 1 }, |traffic| traffic.pace);
        Self {
            thread: ShardId(thread as u8),
            sequence_end: maker.sequence_end().min(limit),
            maker,
            strangers: Strangers::new(plan.received.as_ref(), clocks),
            largest_frame,
            shared: scenario.share().is_some(),
            live,
            done: 0,
            clients,
            publishers,
            subscribers,
            by_conn: Vec::new(),
            checks,
            meter: Meter {
                disturbances: vec![DisturbanceCounts::default(); plan.disturbances.len()],
                ..Meter::default()
            },
            experiences,
            gauge: Gauge::new(Arc::clone(&cx.live), thread),
            arrivals: (plan.generator.timestamps == Timestamps::Kernel).then(|| Arrivals::new(cx.clock)),
            arrived_ns: 0,
            phase: Phase::Prepare,
            reached: false,
            connect_schedule: None,
            dialled: Queue::default(),
            subscribed: Queue::default(),
            disconnected: 0,
            open: 0,
            missing: 0,
            granted: 0,
            sent: 0,
            schedule: None,
            begun: 0,
            pace,
            account: Account::default(),
            ordeals,
            retained: 0,
            awaited,
            traffic_ns: 0,
            accounted: None,
            sweep: Sweep::default(),
            active: false,
            poll_ns: machine::poll_ns(&plan.generator.cores, thread),
            last_tick_ns: 0,
            driver_now: Time(0),
            cx,
        }
    }

    /// Global number of a client: publishers first, then subscribers.
    fn global(&self, client: usize) -> u32 {
        match client.checked_sub(self.publishers.len()) {
            None => self.publishers[client].global,
            Some(subscriber) => self.cx.plan.scenario.publishers() + self.subscribers[subscriber].global,
        }
    }

    fn tick(&mut self, fx: &mut Effects) {
        let now = self.cx.clock.now();
        if self.last_tick_ns != 0 && self.cx.stage.measures(now) {
            let turn = now - self.last_tick_ns;
            *(if self.active { &mut self.meter.busy_ns } else { &mut self.meter.idle_ns }) += turn;
        }
        if self.last_tick_ns != 0 {
            self.gauge.turn(now - self.last_tick_ns, self.active);
        }
        self.last_tick_ns = now;
        self.active = false;

        let phase = self.cx.stage.phase();
        if phase != self.phase {
            self.enter(phase, now, fx);
        }
        match self.phase {
            Phase::Prepare => self.reach(true),
            Phase::Connect => self.dial(now, fx),
            Phase::Retain => self.retain(now, fx),
            Phase::Subscribe => self.subscribe(now, fx),
            Phase::Traffic => {
                self.send_due(fx);
                self.begin_publishers(now, fx);
                self.disturb(now, fx);
                if self.open == 0 && self.ordeals.under_way == 0 && !self.clients.is_empty() && !self.reached {
                    self.reached = true;
                    self.tell(Event::Abandoned);
                }
                self.tell_when_done();
            }
            Phase::Drain => self.disturb(now, fx),
            Phase::Disconnect => self.disconnect(fx),
        }
        self.idle(now, fx);
        self.cx.stage.moved(usize::from(self.thread.0), self.moved());
        if self.phase == Phase::Drain {
            self.settle();
        }
        if self.gauge.is_due(now) {
            self.gauge.publish(now, self.counters(), &self.meter.errors);
        }
    }

    /// How far this thread is, for those who watch.
    fn counters(&self) -> Counters {
        let tally = self.checks.tally();
        Counters {
            open: self.open as u64,
            connected: self.meter.connected,
            subscribed: self.granted,
            sent: self.sent,
            delivered: tally.delivered,
            acknowledged: self.meter.acknowledged,
            missing: self.missing,
            duplicates: tally.duplicates,
            reordered: tally.reordered,
            damaged: tally.damaged,
            held_back: self.meter.held_back,
        }
    }

    fn enter(&mut self, phase: Phase, now: u64, fx: &mut Effects) {
        self.phase = phase;
        self.reached = false;
        let start = self.cx.stage.phase_start();
        match phase {
            Phase::Connect => {
                let everyone = (0..self.clients.len()).map(|client| self.global(client)).collect();
                let rate = self.cx.plan.connecting.rate;
                // With messages it is their rate that grows.
                let ramp_up = if self.cx.plan.traffic.is_none() { self.cx.plan.ramp_up } else { Duration::ZERO };
                let even = rate.map(|rate| Schedule::new(start, rate, self.cx.plan.clients(), everyone));
                // Each client is due once. A schedule that went on would have something due for ever, and its thread would
                // not sleep until the others have connected their clients as well.
                self.connect_schedule = even.map(|schedule| schedule.with_rounds(Some(1)).ramping(nanos(ramp_up)));
            }
            Phase::Traffic => {
                self.traffic_ns = start.saturating_add(nanos(self.cx.plan.lead_in()));
                self.start_traffic(start, now, fx);
            }
            Phase::Drain => self.stop_traffic(),
            Phase::Disconnect => self.end_ordeals(fx),
            Phase::Prepare | Phase::Retain | Phase::Subscribe => {}
        }
    }

    /// Rises with everything that gets done.
    fn moved(&self) -> u64 {
        (self.dialled.settled + self.subscribed.settled + self.disconnected) as u64
            + self.account.accounted
            + self.meter.acknowledged
            + self.ordeals.steps
    }

    /// Reports the phase's work as done, once.
    fn reach(&mut self, done: bool) {
        if done && !self.reached {
            self.reached = true;
            let failed = self.clients.iter().filter(|client| client.state == State::Gone).count();
            self.tell(Event::Reached { phase: self.phase, failed });
        }
    }

    /// Tells the stage where this thread stands, whenever that has changed.
    fn settle(&mut self) {
        if self.accounted != Some(self.account) {
            self.accounted = Some(self.account);
            self.cx.stage.account(usize::from(self.thread.0), self.account, &self.cx.events);
        }
    }

    fn tell(&self, event: Event) {
        // The main thread may have given up already; then nobody needs to know.
        let _ = self.cx.events.send(event);
    }
}

//! The fleet as its driver sees it.
//!
//! Absent: what is done with the input.

use super::{Fleet, POLL_NS};
use crate::schedule::Schedule;
use crate::stage::Phase;
use ringmq_core::machine::{Effects, Input, Machine, Time};

impl Machine for Fleet {
    fn handle(&mut self, now: Time, input: Input<'_>, fx: &mut Effects) {
        self.driver_now = now;
        match input {
            Input::Tick => return self.tick(fx),
            Input::Received { conn, bytes } => self.received(conn, bytes, fx),
            Input::Mesh { bytes, .. } => self.credits_from_afar(bytes, fx),
            Input::Drained { conn } => self.drained(conn, fx),
            Input::Opened { conn, origin, .. } => self.opened(conn, origin, fx),
            Input::ConnectFailed { token, error } => self.not_opened(token, error, fx),
            Input::Closed { conn, cause } => self.closed(conn, cause, fx),
            Input::Stop => self.abort(fx),
            // Nobody asks a fleet anything.
            Input::Control(_) => return,
        }
        self.active = true;
    }

    fn deadline(&self) -> Option<Time> {
        let due = match self.phase {
            Phase::Connect => self.connect_schedule.as_ref(),
            Phase::Traffic => self.schedule.as_ref(),
            _ => None,
        };
        let wait = due.and_then(Schedule::peek).map_or(POLL_NS, |due| due.at_ns.saturating_sub(self.last_tick_ns));
        Some(Time(self.driver_now.0 + wait.min(POLL_NS)))
    }

    fn busy(&self) -> bool {
        self.cx.plan.generator.spin
    }

    fn wants_arrival_times(&self) -> bool {
        self.arrivals.is_some()
    }

    fn arriving(&mut self, unix_ns: u64) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.tell(unix_ns);
        }
    }
}

/// A fleet that is lent to a driver, so that its outcome can be had afterwards.
#[derive(Debug)]
pub struct Lent<'a>(pub &'a mut Fleet);

impl Machine for Lent<'_> {
    fn handle(&mut self, now: Time, input: Input<'_>, fx: &mut Effects) {
        self.0.handle(now, input, fx);
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }

    fn busy(&self) -> bool {
        self.0.busy()
    }

    fn wants_arrival_times(&self) -> bool {
        self.0.wants_arrival_times()
    }

    fn arriving(&mut self, unix_ns: u64) {
        self.0.arriving(unix_ns);
    }
}

//! The fleet as its driver sees it.
//!
//! Absent: what is done with the input.

use super::Fleet;
use crate::clock::NANOS_PER_MILLI;
use crate::schedule::Schedule;
use crate::stage::Phase;
use ringmq_core::machine::{Effects, Input, Machine, Time};
use std::num::NonZero;
use std::thread::available_parallelism;

/// How often one of the fleets of a core looks after what time brings, if none of them spins, nanoseconds. Looking costs
/// tens of microseconds; if fifty fleets looked every two milliseconds each, they would do nothing else.
const POLL_NS: u64 = 2 * NANOS_PER_MILLI;

/// How often the fleet of this thread looks, of threads that are on these cores; `None` is not pinned.
pub(super) fn poll_ns(cores: &[Option<usize>], thread: usize) -> u64 {
    let core = cores.get(thread).copied().flatten();
    let together = cores.iter().filter(|other| **other == core).count();
    let spread = if core.is_some() { 1 } else { available_parallelism().map_or(1, NonZero::get) };
    POLL_NS * together.div_ceil(spread).max(1) as u64
}

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
            // A phase has begun.
            Input::Control(_) => return self.tick(fx),
        }
        self.active = true;
    }

    fn deadline(&self) -> Option<Time> {
        let due = match self.phase {
            Phase::Connect => self.connect_schedule.as_ref(),
            Phase::Traffic => self.schedule.as_ref(),
            _ => None,
        };
        let wait = due.and_then(Schedule::peek).map_or(self.poll_ns, |due| due.at_ns.saturating_sub(self.last_tick_ns));
        Some(Time(self.driver_now.0 + wait.min(self.poll_ns)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleets_of_one_core_share_its_looks() {
        let cores = [Some(1), Some(3), Some(1), Some(1)];
        assert_eq!([0, 1, 2].map(|thread| poll_ns(&cores, thread)), [3 * POLL_NS, POLL_NS, 3 * POLL_NS]);
        assert_eq!(poll_ns(&[None], 0), POLL_NS);
        let many = vec![None; 64 * available_parallelism().unwrap().get()];
        assert_eq!(poll_ns(&many, 5), 64 * POLL_NS);
    }
}

//! Which part of a run's threads one process has.
//!
//! The scenario spreads clients over all threads of all processes; a process has a row of them. Absent: which cores
//! they run on.

use crate::disturbance::Kind;
use crate::plan::{Pace, Plan};
use serde::{Deserialize, Serialize};

/// A row of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Number of this process's first thread among all.
    pub first: usize,
    /// Threads of this process.
    pub threads: usize,
    /// Threads of all processes.
    pub total: usize,
}

impl Share {
    /// All threads of a run in one process.
    #[must_use]
    pub const fn whole(threads: usize) -> Self {
        Self { first: 0, threads, total: threads }
    }

    /// Rows for processes with so many threads each, in order.
    #[must_use]
    pub fn rows(threads: &[usize]) -> Vec<Self> {
        let total = threads.iter().sum();
        let mut first = 0;
        let row = |threads: &usize| {
            let share = Self { first, threads: *threads, total };
            first += threads;
            share
        };
        threads.iter().map(row).collect()
    }

    /// Whether one of these threads has this number among all.
    #[must_use]
    pub fn has(&self, thread: u32) -> bool {
        (self.first..self.first + self.threads).contains(&(thread as usize))
    }

    /// Whether this is a share of something.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.threads > 0
            && u32::try_from(self.total).is_ok()
            && self.first.checked_add(self.threads).is_some_and(|end| end <= self.total)
    }

    /// How many connections may be open here at once: those taken over have two.
    #[must_use]
    pub fn connections(&self, plan: &Plan) -> u32 {
        let taken_over = plan.disturbances.iter().filter(|it| it.disturb.kind == Kind::Takeover);
        let mine = |it: &u32| self.has(plan.scenario.subscriber_thread(*it, self.total as u32));
        self.clients(plan) + taken_over.flat_map(|it| it.hit()).filter(mine).count() as u32
    }

    /// How many of a plan's clients run here.
    #[must_use]
    pub fn clients(&self, plan: &Plan) -> u32 {
        let (scenario, total) = (&plan.scenario, self.total as u32);
        let publishers = (0..scenario.publishers()).filter(|n| self.has(scenario.publisher_thread(*n, total)));
        let subscribers = (0..scenario.subscribers()).filter(|n| self.has(scenario.subscriber_thread(*n, total)));
        (publishers.count() + subscribers.count()) as u32
    }
}

/// Refuses a plan that these processes cannot carry out: a closed loop whose deliveries give credit works only where
/// publisher and subscriber are in one process, and a disturbed client has to be on its publishers' thread.
///
/// # Errors
/// A text for the user.
pub(super) fn check(plan: &Plan, shares: &[Share]) -> Result<(), String> {
    plan.check_disturbances_over(shares.first().map_or(1, |share| share.total) as u32)?;
    let credit_by_delivery =
        plan.traffic.as_ref().is_some_and(|it| matches!(it.pace, Pace::Window { until_delivered: true, .. }));
    if !credit_by_delivery || shares.len() < 2 {
        return Ok(());
    }
    match crossing(plan, shares, |one, other| one == other) {
        None => Ok(()),
        Some((stranger, subscriber)) => Err(format!(
            "publisher {stranger} and subscriber {subscriber} are in different processes, and a window that ends with \
             the delivery (--credit delivery or both, and always at QoS 0) works only within one: use --rate, or \
             --qos 1 --credit ack"
        )),
    }
}

/// A publisher and a subscriber that hears it in a process that is not `together` with the publisher's, if there are any.
pub(super) fn crossing(plan: &Plan, shares: &[Share], together: impl Fn(usize, usize) -> bool) -> Option<(u32, u32)> {
    let total = shares.first()?.total as u32;
    let process = |thread: u32| shares.iter().position(|share| share.has(thread));
    for subscriber in 0..plan.scenario.subscribers() {
        let Some(home) = process(plan.scenario.subscriber_thread(subscriber, total)) else { continue };
        let is_strange = |publisher: &u32| {
            let thread = plan.scenario.publisher_thread(*publisher, total);
            process(thread).is_some_and(|other| !together(home, other))
        };
        if let Some(stranger) = plan.scenario.sources(subscriber).iter().find(is_strange) {
            return Some((stranger, subscriber));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn plan(line: &str) -> Plan {
        Plan::new(&Cli::try_parse_from(std::iter::once("x").chain(line.split_whitespace())).unwrap()).unwrap()
    }

    #[test]
    fn every_client_has_exactly_one_process() {
        let shares = Share::rows(&[2, 1, 3]);
        assert_eq!(shares[2], Share { first: 3, threads: 3, total: 6 });
        for line in ["p2p --pairs 17", "conn --clients 31", "fanin --publishers 9 --subscribers 4", "fanout"] {
            let plan = plan(line);
            assert_eq!(shares.iter().map(|share| share.clients(&plan)).sum::<u32>(), plan.clients(), "{line}");
        }
        assert_eq!(Share::whole(2).clients(&plan("p2p --pairs 5")), 10);
    }

    #[test]
    fn a_share_of_nothing_or_beyond_the_end_is_not_sound() {
        assert!(Share::whole(1).is_sound());
        assert!(!Share { first: 0, threads: 0, total: 1 }.is_sound());
        assert!(!Share { first: 1, threads: 1, total: 1 }.is_sound());
        assert!(!Share { first: usize::MAX, threads: 2, total: 4 }.is_sound());
    }

    #[test]
    fn credits_by_delivery_must_not_cross_processes() {
        let refused = |line: &str| check(&plan(line), &Share::rows(&[1, 1])).is_err();
        assert!(!refused("p2p --pairs 20"), "pairs are together");
        assert!(!refused("fanin --publishers 9 --subscribers 4"), "so are a subscriber and its slice");
        assert!(refused("fanout --subscribers 10"));
        assert!(refused("fanin --share g --qos 1"));
        assert!(!refused("fanin --share g --qos 1 --credit ack"));
        assert!(!refused("fanout --subscribers 10 --rate 100"));
        assert!(check(&plan("fanout"), &Share::rows(&[2])).is_ok(), "threads have the mesh");
    }

    #[test]
    fn disturbed_clients_and_their_publishers_must_be_on_one_thread_of_all_processes() {
        for preset in ["reconnect-storm", "take-over-storm", "session-resume", "retained-storm", "slow-consumers"] {
            assert_eq!(check(&plan(&format!("run {preset}")), &Share::rows(&[1, 2])), Ok(()), "{preset}");
        }
        let storm = plan("run take-over-storm --scale 0.01");
        let shares = Share::rows(&[1, 1]);
        assert_eq!(shares.iter().map(|share| share.clients(&storm)).sum::<u32>(), 30);
        assert_eq!(shares.iter().map(|share| share.connections(&storm)).sum::<u32>(), 40, "ten have two");
    }
}

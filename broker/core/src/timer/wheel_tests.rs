//! The wheel against a sorted map.

use super::{HEAD, LEVEL_BITS, LEVEL_SLOTS, NONE, TimerId, Wheel};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// Delay in milliseconds; negative values lie in the past.
    Schedule(i64),
    /// At an absolute time.
    ScheduleAt(u64),
    Cancel(usize),
    CancelStale(usize),
    Reschedule(usize, i64),
    /// Milliseconds, and the limit of one call.
    Advance(u64, usize),
}

fn delay() -> impl Strategy<Value = i64> {
    prop_oneof![
        -50..70_i64,
        0..5_000_i64,
        0..400_000_i64,
        (0..70_i64).prop_map(|hours| hours * 3_600_000),
        0..(1_i64 << 50),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => delay().prop_map(Step::Schedule),
        1 => prop_oneof![Just(u64::MAX), Just(u64::MAX - 1), Just(0)].prop_map(Step::ScheduleAt),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::CancelStale),
        2 => (any::<usize>(), delay()).prop_map(|(which, delay)| Step::Reschedule(which, delay)),
        3 => (prop_oneof![0..3_u64, 0..100_u64, 0..10_000_u64, 0..20_000_000_u64, 0..(1_u64 << 51)],
              prop_oneof![1..4_usize, Just(1_000_000)]).prop_map(|(by, limit)| Step::Advance(by, limit)),
    ]
}

struct Model {
    wheel: Wheel,
    now: u64,
    next_key: u32,
    live: Vec<(u64, u32, TimerId)>,
    stale: Vec<TimerId>,
}

impl Model {
    fn run(&mut self, step: &Step) {
        let now = self.now;
        let after = |delay: i64| now.saturating_add_signed(delay);
        match *step {
            Step::Schedule(delay) => self.schedule(after(delay)),
            Step::ScheduleAt(at) => self.schedule(at),
            Step::Cancel(which) if !self.live.is_empty() => {
                let (_, _, id) = self.live.swap_remove(which % self.live.len());
                assert!(self.wheel.is_scheduled(id));
                assert!(self.wheel.cancel(id));
                self.stale.push(id);
            }
            Step::CancelStale(which) if !self.stale.is_empty() => {
                let id = self.stale[which % self.stale.len()];
                assert!(!self.wheel.cancel(id) && !self.wheel.reschedule(id, now) && !self.wheel.is_scheduled(id));
            }
            Step::Reschedule(which, delay) if !self.live.is_empty() => {
                let which = which % self.live.len();
                let at = after(delay).max(self.wheel.reached);
                self.live[which].0 = at;
                assert!(self.wheel.reschedule(self.live[which].2, after(delay)));
            }
            Step::Advance(by, limit) => self.advance(by, limit),
            _ => {}
        }
    }

    fn schedule(&mut self, at: u64) {
        let id = self.wheel.schedule(self.next_key, at);
        self.live.push((at.max(self.wheel.reached), self.next_key, id));
        self.next_key += 1;
    }

    fn advance(&mut self, by: u64, limit: usize) {
        self.now = self.now.saturating_add(by);
        let mut fired = Vec::new();
        let more = self.wheel.advance(self.now, limit, &mut fired);
        assert!(fired.len() <= limit);
        assert!(more || self.wheel.reached == self.now);
        let due: BTreeSet<u32> = self.live.iter().filter(|(at, ..)| *at <= self.now).map(|(_, key, _)| *key).collect();
        let times: Vec<u64> =
            fired.iter().map(|key| self.live.iter().find(|(_, held, _)| held == key).unwrap().0).collect();
        assert!(times.is_sorted(), "fired out of order");
        assert!(fired.iter().all(|key| due.contains(key)), "fired early, or twice");
        assert!(more || fired.len() == due.len(), "not all fired");
        let last = times.last().copied().unwrap_or_default();
        self.live.retain(|(at, key, id)| {
            let keep = !fired.contains(key);
            assert!(!keep || *at >= last, "an earlier one was left behind");
            if !keep {
                self.stale.push(*id);
            }
            keep
        });
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.live.len());
        let first = self.live.iter().map(|(at, ..)| *at).min();
        match (self.wheel.next_deadline_ms(), first) {
            (None, None) => {}
            (Some(deadline), Some(first)) => {
                assert!(deadline <= first && deadline >= self.wheel.reached, "late: {deadline} for {first}");
                let widest =
                    self.live.iter().filter(|(at, ..)| *at == first).map(|(.., id)| self.width_of(id.index)).max();
                let spare = first - deadline;
                let left_over = self.wheel.coming_down != NONE;
                assert!(left_over || spare < widest.unwrap(), "earlier than one slot: {deadline} for {first}");
            }
            (deadline, first) => panic!("deadline {deadline:?} but first timer at {first:?}"),
        }
    }

    /// Milliseconds of the slot in which a timer sits.
    fn width_of(&self, index: u32) -> u64 {
        let mut at = index;
        while self.wheel.timers[at].previous & HEAD == 0 {
            at = self.wheel.timers[at].previous;
        }
        1 << ((self.wheel.timers[at].previous & !HEAD) / LEVEL_SLOTS * LEVEL_BITS)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 400 }))]

    #[test]
    fn fires_what_is_due_and_nothing_else(start in prop_oneof![Just(0), any::<u64>(), Just(u64::MAX - 100_000)],
                                          steps in prop::collection::vec(step(), 1..200)) {
        let mut model =
            Model { wheel: Wheel::new(start), now: start, next_key: 0, live: Vec::new(), stale: Vec::new() };
        for step in &steps {
            model.run(step);
            model.check();
        }
        model.advance(u64::MAX, usize::MAX);
        prop_assert!(model.wheel.is_empty() && model.live.is_empty());
        prop_assert!(model.wheel.heads.iter().all(|head| *head == NONE));
        prop_assert_eq!(model.wheel.occupied, [0; 11]);
    }
}

#[test]
fn one_call_does_bounded_work() {
    let mut wheel = Wheel::new(0);
    for key in 0..10_000 {
        wheel.schedule(key, 5_000);
    }
    let mut fired = Vec::new();
    let mut calls = 1;
    while wheel.advance(5_000, 100, &mut fired) {
        calls += 1;
        assert!(fired.len() <= calls * 100);
    }
    assert_eq!(fired.len(), 10_000);
    assert!(calls >= 200, "moving down a level counts as work too, but there were {calls} calls only");
}

#[test]
fn places_are_reused() {
    let mut wheel = Wheel::new(0);
    let mut fired = Vec::new();
    for now in 0..10_000 {
        let id = wheel.schedule(1, now + 10);
        wheel.schedule(2, now + 10);
        assert!(wheel.cancel(id));
        wheel.advance(now, 1000, &mut fired);
    }
    assert!(wheel.timers.len() < 20, "{} places for 11 timers", wheel.timers.len());
}

//! No lost wake-up: a sleeper never stays asleep with an item in its ring and no signal under way.
//!
//! Two models. In the first a sleeper goes through several sleeps; the kernel's sticky signal is a condition variable and
//! a counter, and a sleeper that nobody signals makes loom report a deadlock. The second looks at one sleep and says in
//! an assertion whether it would last for ever, so that the canaries can fail without tearing down the process.

use crate::{explore, explore_canary};
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use ringmq_mesh::park::Parking;
use ringmq_mesh::ring::{Consumer, Producer, ring};

/// An eventfd, as far as it matters here.
#[derive(Default)]
struct Signal {
    count: Mutex<usize>,
    raised: Condvar,
}

impl Signal {
    fn raise(&self) {
        *self.count.lock().unwrap() += 1;
        self.raised.notify_one();
    }

    fn sleep(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.raised.wait(count).unwrap();
        }
        *count = 0;
    }
}

/// The protocol under test, so that the same model also runs weakened variants.
trait Protocol: Send + Sync + 'static {
    const RECHECKS: bool = true;
    fn new() -> Self;
    fn prepare_sleep(&self);
    fn awake(&self);
    fn should_wake(&self) -> bool;
}

impl Protocol for Parking {
    fn new() -> Self {
        Self::new()
    }
    fn prepare_sleep(&self) {
        self.prepare_sleep();
    }
    fn awake(&self) {
        self.awake();
    }
    fn should_wake(&self) -> bool {
        self.should_wake()
    }
}

/// Takes `items` items from the rings, sleeping whenever it finds them empty.
fn sleeper<P: Protocol>(parking: &P, signal: &Signal, rings: &mut [Consumer<usize>], items: usize) {
    let mut taken = 0;
    while taken < items {
        for ring in &mut *rings {
            taken += ring.drain(usize::MAX, |_| ());
        }
        if taken == items {
            break;
        }
        parking.prepare_sleep();
        if rings.iter().all(Consumer::is_empty) {
            signal.sleep();
        }
        parking.awake();
    }
    for ring in rings {
        assert!(ring.pop().is_none());
    }
}

fn producer<P: Protocol>(parking: &P, signal: &Signal, ring: &mut Producer<usize>, items: usize) -> usize {
    let mut signals = 0;
    for item in 0..items {
        ring.push(item).expect("the ring holds all");
        if parking.should_wake() {
            signals += 1;
            signal.raise();
        }
    }
    signals
}

/// One sleep: asserts that it is not for ever.
fn one_sleep<P: Protocol>(producers: usize) {
    let shared = Arc::new((P::new(), AtomicUsize::new(0)));
    let (senders, mut rings): (Vec<_>, Vec<_>) = (0..producers).map(|_| ring(1)).unzip();
    let senders: Vec<_> = senders
        .into_iter()
        .map(|mut ring| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                ring.push(0).expect("the ring holds one");
                if shared.0.should_wake() {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let taken: usize = rings.iter_mut().map(|ring| ring.drain(usize::MAX, |_| ())).sum();
    shared.0.prepare_sleep();
    let asleep = !P::RECHECKS || rings.iter().all(Consumer::is_empty);
    if !asleep {
        shared.0.awake();
    }
    for sender in senders {
        sender.join().unwrap();
    }
    let signals = shared.1.load(Ordering::Relaxed);
    drop(rings);
    assert!(signals <= 1, "signalled twice");
    assert!(!asleep || taken == producers || signals == 1, "lost wake-up");
}

/// Several sleeps, which end only by a signal.
fn many_sleeps<P: Protocol>(producers: usize, items: usize) {
    let shared = Arc::new((P::new(), Signal::default()));
    let (senders, mut rings): (Vec<_>, Vec<_>) = (0..producers).map(|_| ring(items)).unzip();
    let senders: Vec<_> = senders
        .into_iter()
        .map(|mut ring| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || producer(&shared.0, &shared.1, &mut ring, items))
        })
        .collect();
    sleeper(&shared.0, &shared.1, &mut rings, producers * items);
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn no_lost_wake_up_with_one_producer() {
    explore(3, || many_sleeps::<Parking>(1, 2));
}

#[test]
fn no_lost_wake_up_with_two_producers() {
    explore(2, || many_sleeps::<Parking>(2, 1));
}

#[test]
fn no_sleep_for_ever() {
    explore(5, || one_sleep::<Parking>(1));
    explore(3, || one_sleep::<Parking>(2));
}

/// One sleep, two producers: exactly one of them is told to signal.
#[test]
fn one_winner_a_sleep() {
    explore(4, || {
        let parking = Arc::new(Parking::new());
        let winners = Arc::new(AtomicUsize::new(0));
        parking.prepare_sleep();
        let other = {
            let (parking, winners) = (Arc::clone(&parking), Arc::clone(&winners));
            thread::spawn(move || winners.fetch_add(usize::from(parking.should_wake()), Ordering::Relaxed))
        };
        winners.fetch_add(usize::from(parking.should_wake()), Ordering::Relaxed);
        other.join().unwrap();
        assert_eq!(winners.load(Ordering::Relaxed), 1);
        assert!(!parking.is_sleeping());
    });
}

/// The state word of a weakened protocol; everything but the weakness is as in the real one.
struct State(AtomicUsize);

impl State {
    fn prepare_sleep(&self, fenced: bool) {
        self.0.store(1, Ordering::Relaxed);
        if fenced {
            fence(Ordering::SeqCst);
        }
    }
    fn should_wake(&self, fenced: bool) -> bool {
        if fenced {
            fence(Ordering::SeqCst);
        }
        self.0.load(Ordering::Relaxed) == 1
            && self.0.compare_exchange(1, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

macro_rules! canary {
    ($test:ident, $name:ident, sleeper_fence: $sleeper:literal, producer_fence: $producer:literal, rechecks: $rechecks:literal) => {
        struct $name(State);

        impl Protocol for $name {
            const RECHECKS: bool = $rechecks;
            fn new() -> Self {
                Self(State(AtomicUsize::new(0)))
            }
            fn prepare_sleep(&self) {
                self.0.prepare_sleep($sleeper);
            }
            fn awake(&self) {
                self.0.0.store(0, Ordering::Relaxed);
            }
            fn should_wake(&self) -> bool {
                self.0.should_wake($producer)
            }
        }

        #[test]
        fn $test() {
            explore_canary(3, "lost wake-up", || one_sleep::<$name>(1));
        }
    };
}

canary!(canary_without_sleepers_fence, NoSleepersFence, sleeper_fence: false, producer_fence: true, rechecks: true);
canary!(canary_without_producers_fence, NoProducersFence, sleeper_fence: true, producer_fence: false, rechecks: true);
canary!(canary_without_recheck, NoRecheck, sleeper_fence: true, producer_fence: true, rechecks: false);

// The variant that differs from `Parking` in nothing must pass, or the canaries would fail for their scaffolding.
struct Unweakened(State);

impl Protocol for Unweakened {
    fn new() -> Self {
        Self(State(AtomicUsize::new(0)))
    }
    fn prepare_sleep(&self) {
        self.0.prepare_sleep(true);
    }
    fn awake(&self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
    fn should_wake(&self) -> bool {
        self.0.should_wake(true)
    }
}

#[test]
fn canary_scaffolding_passes_unweakened() {
    explore(3, || one_sleep::<Unweakened>(1));
}

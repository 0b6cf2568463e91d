//! The interest table against a naive model: a list of filters and the standard's matching rules, level by level.
#![cfg(not(loom))]

use proptest::prelude::*;
use ringmq_mesh::interest::{Interest, InterestTable, LEVELS_MAX, Turn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sections 4.7.1 and 4.7.2 of the standard, as written.
fn matches(filter: &str, topic: &str) -> bool {
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[test]
fn the_model_matches_as_the_standard_says() {
    // The examples of sections 4.7.1.2, 4.7.1.3 and 4.7.2.
    for (filter, topic, expected) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "sport", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/monitor", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
    ] {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
    }
}

/// Levels few enough that topics and filters meet, of lengths around the hash's word size.
const LEVELS: [&str; 9] = ["", "a", "b", "$a", "eightlet", "eightletters", "sevenle", "sixteen letters!", "ä"];

fn level() -> impl Strategy<Value = String> {
    prop::sample::select(LEVELS.to_vec()).prop_map(str::to_owned)
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![4 => level(), 1 => Just("+".to_owned())];
    (prop::collection::vec(level, 0..5), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi || levels.is_empty() {
            levels.push("#".to_owned());
        }
        levels.join("/")
    })
}

#[derive(Debug, Clone)]
enum Step {
    Announce(usize, String),
    /// Many filters that nobody publishes to: this is what makes the table grow, or overflow.
    AnnounceMany(usize, usize),
    /// Withdraws one of the shard's announcements, by an index into them.
    Withdraw(usize, usize),
    WithdrawAll(usize),
    Turn(usize),
    /// Drops a shard's handle and takes a new one.
    Restart(usize),
}

fn steps(shards: usize) -> impl Strategy<Value = Vec<Step>> {
    let shard = 0..shards;
    let step = prop_oneof![
        6 => (shard.clone(), filter()).prop_map(|(shard, filter)| Step::Announce(shard, filter)),
        2 => (shard.clone(), 1..40_usize).prop_map(|(shard, count)| Step::AnnounceMany(shard, count)),
        6 => (shard.clone(), any::<usize>()).prop_map(|(shard, index)| Step::Withdraw(shard, index)),
        1 => shard.clone().prop_map(Step::WithdrawAll),
        8 => shard.clone().prop_map(Step::Turn),
        1 => shard.prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 0..120)
}

struct Shard {
    interest: Interest,
    filters: Vec<String>,
}

struct World {
    table: Arc<InterestTable>,
    shards: Vec<Shard>,
    serial: usize,
}

impl World {
    fn new(shards: usize, seed: u64, capacity: usize) -> Self {
        let table = InterestTable::new(shards, seed, capacity);
        let shards = (0..shards).map(|shard| Shard { interest: table.handle(shard), filters: Vec::new() }).collect();
        Self { table, shards, serial: 0 }
    }

    fn announce(&mut self, shard: usize, filter: String) {
        self.shards[shard].interest.announce(&filter);
        self.shards[shard].filters.push(filter);
    }

    fn withdraw(&mut self, shard: usize, index: usize) {
        let shard = &mut self.shards[shard];
        if !shard.filters.is_empty() {
            let filter = shard.filters.swap_remove(index % shard.filters.len());
            shard.interest.withdraw(&filter);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Announce(shard, filter) => self.announce(shard, filter),
            Step::AnnounceMany(shard, count) => {
                for _ in 0..count {
                    self.serial += 1;
                    let tail = if self.serial.is_multiple_of(3) { "/+" } else { "" };
                    self.announce(shard, format!("many/{}{tail}", self.serial));
                }
            }
            Step::Withdraw(shard, index) => self.withdraw(shard, index),
            Step::WithdrawAll(shard) => (0..self.shards[shard].filters.len()).for_each(|_| self.withdraw(shard, 0)),
            Step::Turn(shard) => {
                self.shards[shard].interest.turn();
            }
            Step::Restart(shard) => {
                let old = self.shards.remove(shard);
                drop(old);
                let new = Shard { interest: self.table.handle(shard), filters: Vec::new() };
                self.shards.insert(shard, new);
            }
        }
    }

    /// Turns until nobody has anything to do. The bound is generous; it is the growth's liveness that is tested.
    fn settle(&mut self) {
        for _ in 0..200 {
            let turns = self.shards.iter_mut().map(|shard| shard.interest.turn()).collect::<Vec<_>>();
            if turns.iter().all(|turn| *turn == Turn::default()) {
                return;
            }
        }
        panic!("the growth does not end");
    }

    fn wanted(&self, topic: &str) -> u64 {
        let wants = |shard: &Shard| shard.filters.iter().any(|filter| matches(filter, topic));
        (0..self.shards.len()).filter(|shard| wants(&self.shards[*shard])).fold(0, |mask, shard| mask | 1 << shard)
    }

    fn assert_no_false_negative(&self, topics: &[String]) {
        for topic in topics {
            let wanted = self.wanted(topic);
            for shard in &self.shards {
                let mask = shard.interest.lookup(topic);
                assert_eq!(mask & wanted, wanted, "{topic:?} does not reach everybody");
                assert_eq!(mask >> self.shards.len(), 0, "no such shard");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is announced, withdrawn, grown or restarted in whatever order: no lookup misses a shard. In the end
    /// nothing is left: withdrawing to zero clears.
    #[test]
    fn no_false_negative(
        steps in steps(3),
        topics in prop::collection::vec(topic(), 1..8),
        seed: u64,
        capacity in 0..40_usize,
    ) {
        let mut world = World::new(3, seed, capacity);
        for step in steps {
            world.step(step);
            world.assert_no_false_negative(&topics);
        }
        world.settle();
        world.assert_no_false_negative(&topics);
        for shard in 0..3 {
            world.step(Step::WithdrawAll(shard));
            prop_assert_eq!(world.shards[shard].interest.keys(), 0);
        }
        world.settle();
        for topic in &topics {
            for shard in &world.shards {
                prop_assert_eq!(shard.interest.lookup(topic), 0);
            }
        }
    }

    /// Without wildcards and once the growth has settled, an answer is exact but for collisions of 64-bit fingerprints.
    #[test]
    fn exact_only_is_exact(
        announcements in prop::collection::vec((0..3_usize, topic()), 0..60),
        topics in prop::collection::vec(topic(), 1..20),
        seed: u64,
    ) {
        let mut world = World::new(3, seed, 4);
        for (shard, filter) in announcements {
            world.announce(shard, filter);
        }
        world.settle();
        for topic in &topics {
            prop_assert_eq!(world.shards[0].interest.lookup(topic), world.wanted(topic));
        }
    }

    /// With wildcards, the shards named beyond those that match have announced a filter whose literal levels agree.
    #[test]
    fn false_positives_share_the_prefix(
        announcements in prop::collection::vec((0..3_usize, filter()), 0..30),
        topics in prop::collection::vec(topic(), 1..20),
        seed: u64,
    ) {
        let mut world = World::new(3, seed, 4);
        for (shard, filter) in announcements {
            world.announce(shard, filter);
        }
        world.settle();
        for topic in &topics {
            let coarse = |filter: &String| match filter.split('/').position(|level| level == "+" || level == "#") {
                None => filter == topic,
                Some(0) => !topic.starts_with('$'),
                Some(depth) => filter.split('/').take(depth).eq(topic.split('/').take(depth)),
            };
            let named = world.shards.iter().map(|shard| shard.filters.iter().any(coarse)).enumerate();
            let named = named.fold(0, |mask, (shard, named)| mask | u64::from(named) << shard);
            prop_assert_eq!(world.shards[1].interest.lookup(topic), named);
        }
    }
}

/// A shard that takes no turn holds the growth up; the table overflows, answers too much, and recovers afterwards.
#[test]
fn overflow_answers_too_much_and_recovers() {
    let table = InterestTable::new(2, 7, 8);
    let (mut busy, mut asleep) = (table.handle(0), table.handle(1));
    asleep.announce("seen/by/one");
    for number in 0..1000 {
        busy.announce(&format!("topic/{number}"));
        busy.turn();
    }
    assert_eq!(asleep.lookup("nobody"), 1, "the shard that found no slot gets everything");
    assert_eq!(busy.lookup("seen/by/one"), 3);
    for _ in 0..20 {
        busy.turn();
        asleep.turn();
    }
    for reader in [&busy, &asleep] {
        assert_eq!(reader.lookup("nobody"), 0);
        assert_eq!(reader.lookup("seen/by/one"), 2);
        assert!((0..1000).all(|number| reader.lookup(&format!("topic/{number}")) == 1));
    }
}

/// A shard that found no slot and then goes away no longer gets everything.
#[test]
fn overflow_ends_with_the_shard() {
    let table = InterestTable::new(2, 7, 8);
    let (mut busy, other) = (table.handle(0), table.handle(1));
    (0..1000).for_each(|number| busy.announce(&format!("topic/{number}")));
    assert_eq!(other.lookup("nobody"), 1);
    drop(busy);
    assert_eq!(other.lookup("nobody") | other.lookup("topic/0"), 0);
}

/// Keys that crowd a generation before their shard has noticed that its growth is over start the next growth.
#[test]
fn overflow_between_transition_and_notice() {
    let table = InterestTable::new(2, 7, 4);
    let (mut late, mut other) = (table.handle(0), table.handle(1));
    (0..5).for_each(|number| late.announce(&format!("first/{number}")));
    // Copies; copies and switches; notices; notices too, which ends the growth.
    assert_eq!((late.turn().nudge, other.turn().nudge, late.turn().nudge, other.turn().nudge), (2, 1, 0, 1));
    (0..100).for_each(|number| late.announce(&format!("second/{number}")));
    assert_eq!(other.lookup("nobody"), 1);
    for _ in 0..20 {
        late.turn();
        other.turn();
    }
    assert_eq!(other.lookup("nobody"), 0);
}

/// The shard that begins a growth names the others, once; one that has keys left to copy says that it is busy.
#[test]
fn growth_nudges_the_others() {
    let table = InterestTable::new(3, 7, 8);
    let mut shards: Vec<_> = (0..3).map(|shard| table.handle(shard)).collect();
    for number in 0..20_000 {
        shards[1].announce(&format!("topic/{number}"));
    }
    let first = shards[1].turn();
    assert_eq!((first.busy, first.nudge), (true, 0b101));
    let second = shards[1].turn();
    assert_eq!((second.busy, second.nudge), (true, 0));
    while shards[1].turn().busy {}
    assert_eq!(shards[0].turn().nudge, 0);
    // The last one to copy (it has nothing) makes the transition and names the others again.
    assert_eq!(shards[2].turn().nudge, 0b011);
}

/// A topic of more levels than are told apart still reaches deep filters.
#[test]
fn deep_names() {
    let table = InterestTable::new(2, 7, 8);
    let (mut subscriber, publisher) = (table.handle(0), table.handle(1));
    for depth in [1, 62, 63, 64, LEVELS_MAX - 1, LEVELS_MAX, LEVELS_MAX + 1, 3 * LEVELS_MAX] {
        let prefix = vec!["x"; depth].join("/");
        let filter = format!("{prefix}/#");
        subscriber.announce(&filter);
        for topic in [prefix.clone(), format!("{prefix}/y"), format!("{prefix}/y/{prefix}")] {
            assert_eq!(publisher.lookup(&topic), 1, "{depth} levels");
        }
        assert_eq!(publisher.lookup(&format!("y/{prefix}")), 0);
        subscriber.withdraw(&filter);
        assert_eq!(publisher.lookup(&prefix), 0);
    }
}

#[test]
#[should_panic(expected = "withdrawn more often than announced")]
fn withdrawing_too_much_is_a_bug() {
    let mut interest = InterestTable::new(1, 7, 8).handle(0);
    interest.announce("a");
    interest.withdraw("a");
    interest.withdraw("a");
}

#[test]
#[should_panic(expected = "one interest handle at a time")]
fn a_shard_has_one_handle() {
    let table = InterestTable::new(1, 7, 8);
    let _first = table.handle(0);
    let _second = table.handle(0);
}

/// Shards announce, withdraw and grow the table on their own threads, while each checks that what any of them has
/// declared to be announced is seen.
#[test]
fn growth_under_concurrent_lookups() {
    const SHARDS: usize = 4;
    const KEYS: usize = 20_000;
    /// Every third key is withdrawn again, some time later.
    const WITHDRAWN_AFTER: usize = 100;
    let table = InterestTable::new(SHARDS, 99, 16);
    // How many keys each shard has announced; stored after the announcement has returned.
    let announced: Arc<Vec<AtomicUsize>> = Arc::new((0..SHARDS).map(|_| AtomicUsize::new(0)).collect());
    let finished = Arc::new(AtomicUsize::new(0));
    let filter = |shard: usize, number: usize| match number % 8 {
        0 => format!("{shard}/{number}/+"),
        _ => format!("{shard}/{number}"),
    };
    let stays = |number: usize| !number.is_multiple_of(3);
    let threads: Vec<_> = (0..SHARDS)
        .map(|shard| {
            let (announced, finished) = (Arc::clone(&announced), Arc::clone(&finished));
            let mut interest = table.handle(shard);
            std::thread::spawn(move || {
                let mut state = 1 + shard as u64;
                let mut check = |interest: &Interest| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let other = (state >> 60) as usize % SHARDS;
                    let known = announced[other].load(Ordering::Acquire);
                    if known > 0 {
                        let number = (state >> 20) as usize % known;
                        let topic = format!("{other}/{number}");
                        assert!(!stays(number) || interest.lookup(&topic) & 1 << other != 0, "{topic} was lost");
                    }
                };
                for number in 0..KEYS {
                    interest.announce(&filter(shard, number));
                    announced[shard].store(number + 1, Ordering::Release);
                    if let Some(old) = number.checked_sub(WITHDRAWN_AFTER).filter(|old| !stays(*old)) {
                        interest.withdraw(&filter(shard, old));
                    }
                    if number % 4 == shard {
                        interest.turn();
                    }
                    check(&interest);
                }
                // Goes on turning until the growth that the others may be in has settled.
                finished.fetch_add(1, Ordering::AcqRel);
                let mut quiet = 0;
                while quiet < 100 {
                    let settled = interest.turn() == Turn::default() && finished.load(Ordering::Acquire) == SHARDS;
                    quiet = if settled { quiet + 1 } else { 0 };
                    check(&interest);
                    std::thread::yield_now();
                }
                interest
            })
        })
        .collect();
    let mut shards: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for _ in 0..100 {
        shards.iter_mut().for_each(|shard| {
            shard.turn();
        });
    }
    for (shard, number) in (0..SHARDS).flat_map(|shard| (0..KEYS).map(move |number| (shard, number))) {
        let gone = !stays(number) && number + WITHDRAWN_AFTER < KEYS;
        let expected = if gone { 0 } else { 1 << shard };
        let reader = &shards[(shard + number) % SHARDS];
        assert_eq!(reader.lookup(&format!("{shard}/{number}")), expected, "{shard}/{number}");
    }
}

//! The tables: topic index, retained messages, timer wheel, interest table.

use super::corpora::Corpus;
use super::{Counter, Scenario};
use ringmq_core::retained::Store;
use ringmq_core::timer::Wheel;
use ringmq_core::topics::{Index, Matches, SubOptions, Subscriber};
use ringmq_mesh::interest::InterestTable;
use std::hint::black_box;

/// Entries of each table: enough that none of it is trivial, few enough to be set up under valgrind in a second.
const ENTRIES: u32 = 10_000;

/// Topics that are looked up in turn: more than the index remembers the answers of.
const TOPICS: u32 = 250;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario { name: "core/match-telemetry", run: |to| matching(to, Corpus::Telemetry, TOPICS) },
        Scenario { name: "core/match-devices", run: |to| matching(to, Corpus::Devices, TOPICS) },
        Scenario { name: "core/match-chat", run: |to| matching(to, Corpus::Chat, TOPICS) },
        Scenario { name: "core/match-same-topic", run: |to| matching(to, Corpus::Telemetry, 1) },
        Scenario { name: "core/match-no-subscriber", run: no_subscriber },
        Scenario { name: "core/subscribe-exact", run: |to| subscribe(to, "site/00042/line/07/humidity") },
        Scenario { name: "core/subscribe-wildcard", run: |to| subscribe(to, "site/+/line/+/humidity") },
        Scenario { name: "core/retained-wildcard-40-of-10000", run: retained },
        Scenario { name: "core/timer-reschedule", run: timer_reschedule },
        Scenario { name: "core/timer-schedule-cancel", run: timer_schedule_cancel },
        Scenario { name: "mesh/interest-hit", run: |to| interest(to, "device/0004711/commands", 0) },
        Scenario { name: "mesh/interest-miss", run: |to| interest(to, "device/0004711/answers", 0) },
        Scenario { name: "mesh/interest-wildcards", run: |to| interest(to, "device/0004711/commands", 64) },
    ]
}

fn subscriber(id: u32) -> Subscriber {
    Subscriber { id, subscription_id: 0, options: SubOptions::new(1, false, false) }
}

fn index_of(corpus: Corpus) -> Index {
    let mut index = Index::new(7);
    for number in 0..ENTRIES {
        index.subscribe(&corpus.filter(number), subscriber(number));
    }
    index
}

fn matching(to: &mut Counter, corpus: Corpus, topics: u32) {
    let mut index = index_of(corpus);
    let topics: Vec<String> = (0..topics).map(|turn| corpus.topic(turn, ENTRIES)).collect();
    let mut turn = topics.iter().cycle();
    let mut matches = Matches::default();
    to.count(|| {
        index.matching(turn.next().expect("endless"), &mut matches);
        assert!(!matches.is_empty(), "somebody has subscribed");
    });
}

fn no_subscriber(to: &mut Counter) {
    let mut index = index_of(Corpus::Telemetry);
    let topics: Vec<String> = (0..TOPICS).map(|site| format!("site/{site:05}/line/07/none/such")).collect();
    let mut turn = topics.iter().cycle();
    let mut matches = Matches::default();
    to.count(|| {
        index.matching(turn.next().expect("endless"), &mut matches);
        black_box(matches.as_slice().len());
    });
}

/// Subscribes, and unsubscribes so that the next one finds the same index.
fn subscribe(to: &mut Counter, filter: &str) {
    let mut index = index_of(Corpus::Telemetry);
    to.count(|| {
        let subscribed = index.subscribe(black_box(filter), subscriber(ENTRIES));
        black_box(index.unsubscribe(subscribed.id, ENTRIES));
    });
}

/// What a new subscription to all of a site finds.
fn retained(to: &mut Counter) {
    let mut store: Store<String> = Store::new();
    for number in 0..ENTRIES {
        store.insert(format!("site/{:03}/line/{:02}/state", number / 40, number % 40));
    }
    to.count(|| {
        let mut found = 0;
        let mut cursor = None;
        loop {
            cursor = store.scan(black_box("site/042/line/+/state"), cursor, 256, &mut |_, _| found += 1);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, 40, "every line of the site");
    });
}

fn timer_reschedule(to: &mut Counter) {
    let mut wheel = Wheel::new(0);
    let timers: Vec<_> = (0..ENTRIES).map(|key| wheel.schedule(key, 60_000 + u64::from(key))).collect();
    let mut turn = timers.iter().cycle();
    let mut at_ms = 60_000;
    to.count(|| {
        at_ms += 1;
        black_box(wheel.reschedule(*turn.next().expect("endless"), at_ms));
    });
}

fn timer_schedule_cancel(to: &mut Counter) {
    let mut wheel = Wheel::new(0);
    for key in 0..ENTRIES {
        wheel.schedule(key, 60_000 + u64::from(key));
    }
    to.count(|| {
        let id = wheel.schedule(ENTRIES, black_box(30_000));
        black_box(wheel.cancel(id));
    });
}

fn interest(to: &mut Counter, topic: &str, wildcards: u32) {
    let table = InterestTable::new(2, 7, ENTRIES as usize * 2);
    let mut shards = [table.handle(0), table.handle(1)];
    for number in 0..ENTRIES {
        shards[number as usize % 2].announce(&Corpus::Devices.filter(number));
    }
    for number in 0..wildcards {
        shards[number as usize % 2].announce(&format!("device/{number:07}/#"));
    }
    to.count(|| {
        black_box(shards[0].lookup(black_box(topic)));
    });
}

//! A queue against a list that is searched for everything.

use super::*;
use crate::machine::ShardId;
use crate::message::Publisher;
use crate::settings::QueueDispatch;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;
use proptest::prelude::*;
use ringmq_wire::{QoS, UserProperties};

fn settings() -> QueueSettings {
    QueueSettings { topic_filter: "t/#".into(), max_inflight: 2, message_expiry: None, ..QueueSettings::default() }
}

fn key(session: u32) -> MemberKey {
    MemberKey { shard: ShardId(0), session, generation: 1 }
}

fn consumer(session: u32) -> Consumer {
    let options = SubOptions::new(1, false, false);
    Consumer { key: key(session), epoch: session + 1, subscription_id: 0, options, client_id: "c".into() }
}

fn passing<'a>(topic: &'a str, payload: &'a [u8]) -> Publication<'a> {
    Publication {
        publisher: Publisher { key: 0, client_hash: 0 },
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_ms: NEVER_MS,
        topic,
        properties: &[],
        payload,
    }
}

fn push(queue: &mut MessageQueue, topic: &str, payload: &str) {
    queue.push(&passing(topic, payload.as_bytes()), 0);
}

/// The payload of the next message and who gets it.
fn next(queue: &mut MessageQueue) -> Option<(u32, String, u32)> {
    let given = queue.next(0, 0)?;
    let payload = String::from_utf8(given.message.view().payload.to_vec()).expect("text");
    Some((given.seq, payload, given.to.session))
}

#[test]
fn messages_wait_for_consumers_and_go_round() {
    let mut queue = MessageQueue::new(1, "q", settings());
    for number in ["0", "1", "2", "3", "4"] {
        push(&mut queue, "t", number);
    }
    assert!(next(&mut queue).is_none());
    queue.join(consumer(1));
    queue.join(consumer(2));
    let given: Vec<_> = core::iter::from_fn(|| next(&mut queue)).collect();
    let who: Vec<(&str, u32)> = given.iter().map(|(_, payload, who)| (&**payload, *who)).collect();
    assert_eq!(who, [("0", 1), ("1", 2), ("2", 1), ("3", 2)], "two each");
    assert!(queue.settle(given[2].0));
    assert!(!queue.settle(given[2].0), "only once");
    assert_eq!(next(&mut queue).map(|(_, payload, who)| (payload, who)), Some(("4".into(), 1)));
    // Those of one that goes have their old places.
    assert!(queue.leave(key(2)) && !queue.leave(key(2)));
    assert!(queue.settle(given[0].0));
    assert_eq!(next(&mut queue).map(|(_, payload, who)| (payload, who)), Some(("1".into(), 1)));
    assert_eq!((queue.len(), queue.counts().returned, queue.counts().settled), (3, 2, 2));
}

#[test]
fn a_value_takes_the_place_of_the_one_before() {
    let mut queue = MessageQueue::new(1, "q", QueueSettings { last_value: true, ..settings() });
    for (topic, value) in [("t/a", "a1"), ("t/b", "b1"), ("t/a", "a2"), ("t/c", "c1"), ("t/a", "a3")] {
        push(&mut queue, topic, value);
    }
    queue.join(consumer(1));
    let (first, payload, _) = next(&mut queue).expect("a message");
    assert_eq!((&*payload, queue.counts().replaced), ("a3", 2));
    // What is with a consumer is not replaced, and does not come back once there is a newer one.
    push(&mut queue, "t/a", "a4");
    assert!(queue.give_back(first));
    let values: Vec<String> = core::iter::from_fn(|| {
        let (seq, payload, _) = next(&mut queue)?;
        queue.settle(seq);
        Some(payload)
    })
    .collect();
    assert_eq!(values, ["a4", "b1", "c1"], "the newer one has the older one's place");
}

#[test]
fn a_key_can_be_a_user_property() {
    let by_device = QueueKey::UserProperty("device".into());
    let mut queue = MessageQueue::new(1, "q", QueueSettings { last_value: true, key: by_device, ..settings() });
    let mut scratch = Vec::new();
    for (pairs, value) in [
        (&[("x", "y"), ("device", "1")][..], "1a"),
        (&[("device", "2")][..], "2a"),
        (&[("device", "1"), ("device", "2")][..], "1b"),
        (&[][..], "none"),
        (&[("Device", "1")][..], "none either"),
    ] {
        let properties = UserProperties::from_pairs(pairs.iter().copied(), &mut scratch);
        assert_eq!(properties.len(), pairs.len());
        queue.push(&Publication { properties: &scratch, ..passing("t", value.as_bytes()) }, 0);
    }
    queue.join(Consumer { options: SubOptions::default(), ..consumer(1) });
    let values = core::iter::from_fn(|| {
        let (seq, payload, _) = next(&mut queue)?;
        queue.settle(seq);
        Some(payload)
    });
    assert_eq!(values.collect::<Vec<_>>(), ["1b", "2a", "none", "none either"]);
}

#[test]
fn a_full_queue_keeps_what_its_policy_says() {
    let full = |full_policy| QueueSettings { max_length: 3, full_policy, ..settings() };
    for (policy, kept) in
        [(QueueFullPolicy::DropOldest, ["2", "3", "4"]), (QueueFullPolicy::DropNewest, ["0", "1", "2"])]
    {
        let mut queue = MessageQueue::new(1, "q", full(policy));
        for number in ["0", "1", "2", "3", "4"] {
            push(&mut queue, "t", number);
        }
        assert_eq!((queue.len(), queue.counts().dropped), (3, 2));
        queue.join(consumer(1));
        queue.join(consumer(2));
        let given: Vec<_> = core::iter::from_fn(|| next(&mut queue)).map(|(_, payload, _)| payload).collect();
        assert_eq!(given, kept);
        // All are with consumers: nothing can go for it.
        push(&mut queue, "t", "5");
        assert_eq!((queue.len(), queue.counts().dropped), (3, 3));
    }
}

#[test]
fn bytes_are_bounded_and_what_can_never_fit_drops_nothing_else() {
    let max_bytes = 3 * (ENTRY_BYTES as u64 + 11);
    let mut queue = MessageQueue::new(1, "q", QueueSettings { max_bytes, last_value: true, ..settings() });
    for topic in ["a", "b", "c", "d"] {
        push(&mut queue, topic, "0123456789");
    }
    assert_eq!((queue.len(), queue.counts().dropped), (3, 1));
    push(&mut queue, "c", &"x".repeat(3 * ENTRY_BYTES + 100));
    assert_eq!((queue.len(), queue.counts().dropped, queue.counts().replaced), (3, 2, 0), "the value before stays");
    assert_eq!(queue.facts(0, false).bytes as u64, max_bytes);
}

#[test]
fn messages_expire_while_they_wait() {
    let message_expiry = Some(Duration::from_secs(10));
    let mut queue = MessageQueue::new(1, "q", QueueSettings { message_expiry, ..settings() });
    queue.push(&Publication { expires_ms: 500, ..passing("t", b"short") }, 0);
    queue.push(&Publication { expires_ms: 90_000, ..passing("t", b"long") }, 0);
    queue.push(&passing("t", b"no"), 1_000);
    queue.sweep(499, 10);
    assert_eq!(queue.len(), 3);
    queue.sweep(500, 10);
    assert_eq!((queue.len(), queue.counts().expired), (2, 1));
    queue.join(consumer(1));
    // The queue's own limit, looked at when a message is given too.
    let given = queue.next(10_500, 0).expect("a message");
    assert_eq!((given.message.view().payload, queue.counts().expired), (&b"no"[..], 2));
    // One that comes back expired is not given again.
    assert!(queue.give_back(given.seq));
    assert!(queue.next(11_000, 0).is_none());
    assert_eq!((queue.len(), queue.counts().expired), (0, 3));
}

#[test]
fn a_sweep_goes_on_where_it_ended() {
    let mut queue = MessageQueue::new(1, "q", settings());
    for number in 0..10 {
        queue.push(&Publication { expires_ms: if number < 8 { NEVER_MS } else { 1 }, ..passing("t", b"") }, 0);
    }
    queue.sweep(5, 5);
    assert_eq!(queue.len(), 10);
    queue.sweep(5, 5);
    assert_eq!(queue.len(), 8);
}

#[test]
fn the_one_with_the_fewest_gets_the_next() {
    let settings = QueueSettings { dispatch: QueueDispatch::LeastInflight, max_inflight: 9, ..settings() };
    let mut queue = MessageQueue::new(1, "q", settings);
    for _ in 0..9 {
        push(&mut queue, "t", "");
    }
    queue.join(consumer(1));
    (0..3).for_each(|_| assert_eq!(next(&mut queue).map(|(.., who)| who), Some(1)));
    queue.join(consumer(2));
    (0..3).for_each(|_| assert_eq!(next(&mut queue).map(|(.., who)| who), Some(2)));
}

#[test]
fn settings_change_while_messages_wait() {
    let mut queue = MessageQueue::new(1, "q", settings());
    for number in ["0", "1", "2", "3", "4", "5"] {
        push(&mut queue, "t", number);
    }
    queue.join(consumer(1));
    assert_eq!(core::iter::from_fn(|| next(&mut queue)).count(), 2);
    queue.configure(QueueSettings { max_inflight: 3, max_length: 4, ..settings() });
    assert_eq!((queue.len(), queue.counts().dropped), (4, 2));
    assert_eq!(next(&mut queue).map(|(_, payload, _)| payload).as_deref(), Some("4"));
    queue.configure(QueueSettings { max_inflight: 1, ..settings() });
    assert!(next(&mut queue).is_none());
    queue.configure(QueueSettings { enable: false, ..settings() });
    assert!(queue.is_empty() && !queue.has_no_consumers());
    queue.configure(settings());
    push(&mut queue, "t", "new");
    assert_eq!(next(&mut queue).map(|(_, payload, _)| payload).as_deref(), Some("new"));
}

/// A message of the model: place in line, when it came, key.
type Held = (u64, u64, u8);

#[derive(Default)]
struct Model {
    line: Vec<Held>,
    given: Vec<(u32, u32, Held)>,
    arrivals: u64,
}

impl Model {
    fn of_key(&self, key: u8, last_value: bool) -> Option<usize> {
        self.line.iter().position(|(_, _, held)| last_value && *held == key)
    }

    fn wait_again(&mut self, (place, arrival, key): Held, last_value: bool) {
        let held = match self.of_key(key, last_value) {
            Some(at) => {
                let (other_place, other_arrival, _) = self.line.remove(at);
                (place.min(other_place), arrival.max(other_arrival), key)
            }
            None => (place, arrival, key),
        };
        self.line.push(held);
        self.line.sort_unstable();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn behaves_as_a_list(
        steps in prop::collection::vec((0..10_u8, 0..4_u8, any::<u64>()), 0..300),
        last_value: bool,
        max_length in 1..12_u32,
        dispatch in prop::sample::select(vec![
            QueueDispatch::RoundRobin, QueueDispatch::LeastInflight, QueueDispatch::Random,
        ]),
    ) {
        let settings = QueueSettings { last_value, max_length, dispatch, ..settings() };
        let mut queue = MessageQueue::new(1, "q", settings);
        let mut model = Model::default();
        let mut consumers: BTreeSet<u32> = BTreeSet::new();
        for (kind, key_number, random) in steps {
            let session = u32::from(key_number);
            match kind {
                0..4 => {
                    let arrival = model.arrivals + 1;
                    let replaced = model.of_key(key_number, last_value).map(|at| model.line.remove(at));
                    let mut fits = true;
                    while fits && model.line.len() + model.given.len() >= max_length as usize {
                        fits = model.given.len() < max_length as usize;
                        if fits {
                            model.line.remove(0);
                        }
                    }
                    if fits {
                        model.arrivals = arrival;
                        let place = replaced.map_or(arrival, |(place, ..)| place);
                        model.line.push((place, arrival, key_number));
                        model.line.sort_unstable();
                    }
                    push(&mut queue, ["a", "b", "c", "d"][usize::from(key_number)], &alloc::format!("{arrival}"));
                }
                4 => {
                    queue.join(consumer(session));
                    consumers.insert(session);
                }
                5 => {
                    prop_assert_eq!(queue.leave(key(session)), consumers.remove(&session));
                    let given = core::mem::take(&mut model.given).into_iter();
                    let (left, kept): (Vec<_>, Vec<_>) = given.partition(|(_, who, _)| *who == session);
                    model.given = kept;
                    left.into_iter().for_each(|(_, _, held)| model.wait_again(held, last_value));
                }
                6..8 => {
                    let has_room = |who: &u32| model.given.iter().filter(|(_, by, _)| by == who).count() < 2;
                    let somebody = consumers.iter().any(has_room);
                    let given = queue.next(0, random);
                    prop_assert_eq!(given.is_some(), somebody && !model.line.is_empty());
                    if let Some(given) = given {
                        prop_assert!(consumers.contains(&given.to.session) && has_room(&given.to.session));
                        let held = model.line.remove(0);
                        let expected = alloc::format!("{}", held.1);
                        prop_assert_eq!(given.message.view().payload, expected.as_bytes());
                        model.given.push((given.seq, given.to.session, held));
                    }
                }
                _ if model.given.is_empty() => prop_assert!(!queue.settle(7_000_000)),
                _ => {
                    let at = usize::try_from(random % model.given.len() as u64).expect("small");
                    let (seq, _, held) = model.given.remove(at);
                    if kind == 8 {
                        prop_assert!(queue.settle(seq));
                    } else {
                        prop_assert!(queue.give_back(seq));
                        model.wait_again(held, last_value);
                    }
                }
            }
            prop_assert_eq!(queue.len(), model.line.len() + model.given.len());
            let counts = queue.counts();
            // Nothing is lost without a reason.
            let done = counts.settled + counts.replaced + counts.dropped + counts.expired;
            prop_assert_eq!(counts.received, done + queue.len() as u64);
        }
    }
}

//! The outbox against a naive model: one byte queue a connection, and the number of its bytes that are in flight.

use super::{ConnId, LENT_BYTES_MIN, LOW_WATER_BYTES, Outbox, Stretch};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use proptest::prelude::*;

const CONNECTIONS: u32 = 6;

#[derive(Debug, Clone)]
enum Step {
    /// The machine appends that many bytes.
    Append(u32, usize),
    /// The machine appends that many bytes from where they lie, with some of its own before them.
    Lend(u32, usize),
    /// The machine asks to be told of the drain.
    Watch(u32),
    /// The driver's end of a turn.
    SendDirty,
    /// The kernel takes a part of what is in flight, in 256ths.
    Taken(u32, u8),
    /// The connection goes, once nothing is in flight.
    Release(u32),
    /// The connection goes with a send in flight.
    Detach(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let conn = 0..CONNECTIONS;
    let len = prop_oneof![8 => 1..200_usize, 1 => 10_000..40_000_usize, 1 => LOW_WATER_BYTES..LOW_WATER_BYTES * 2];
    let step = prop_oneof![
        6 => (conn.clone(), len).prop_map(|(conn, len)| Step::Append(conn, len)),
        2 => (conn.clone(), LENT_BYTES_MIN..LENT_BYTES_MIN * 2).prop_map(|(conn, len)| Step::Lend(conn, len)),
        2 => conn.clone().prop_map(Step::Watch),
        4 => Just(Step::SendDirty),
        8 => (conn.clone(), any::<u8>()).prop_map(|(conn, part)| Step::Taken(conn, part)),
        1 => conn.clone().prop_map(Step::Release),
        1 => conn.prop_map(Step::Detach),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Debug, Default)]
struct Model {
    queue: VecDeque<u8>,
    in_flight: usize,
    watched: bool,
    dirty: bool,
}

impl Model {
    /// What is to be sent next is the beginning of what is in flight, and not only a part of it without saying so.
    fn check_stretch(&self, next: Stretch<'_>) -> usize {
        assert!(self.queue.iter().take(next.bytes.len()).eq(next.bytes));
        assert!(!next.bytes.is_empty());
        assert_eq!(next.more, next.bytes.len() < self.in_flight);
        next.bytes.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn bytes_leave_once_and_in_order(steps in steps()) {
        let mut outbox = Outbox::default();
        let mut models: BTreeMap<u32, Model> = (0..CONNECTIONS).map(|conn| (conn, Model::default())).collect();
        let mut dirty = Vec::new();
        let mut next = 0_u8;
        for step in steps {
            match step {
                Step::Append(conn, len) => {
                    let model = models.get_mut(&conn).unwrap();
                    for _ in 0..len {
                        next = next.wrapping_mul(5).wrapping_add(17);
                        outbox.buffer(ConnId(conn)).push(next);
                        model.queue.push_back(next);
                    }
                    model.dirty = true;
                }
                Step::Lend(conn, len) => {
                    let model = models.get_mut(&conn).unwrap();
                    let lent = Rc::new((0..=len).map(|n| next.wrapping_add(n as u8)).collect::<Vec<u8>>());
                    next = next.wrapping_mul(3).wrapping_add(29);
                    outbox.lend(lent.clone());
                    outbox.buffer(ConnId(conn)).push(next);
                    prop_assert!(!outbox.append_lent(ConnId(conn), &lent.to_vec()), "bytes that are not lent");
                    prop_assert!(outbox.append_lent(ConnId(conn), &lent[1..]));
                    outbox.take_back();
                    prop_assert!(!outbox.lends(&lent), "no longer lent");
                    model.queue.push_back(next);
                    model.queue.extend(&lent[1..]);
                    model.dirty = true;
                }
                Step::Watch(conn) => {
                    outbox.watch_drain(ConnId(conn), LOW_WATER_BYTES);
                    let model = models.get_mut(&conn).unwrap();
                    model.watched |= !model.queue.is_empty();
                }
                Step::SendDirty => {
                    prop_assert!(outbox.has_dirty() || models.values().all(|model| !model.dirty));
                    outbox.take_dirty(&mut dirty);
                    for conn in &dirty {
                        let model = models.get_mut(&conn.0).unwrap();
                        model.dirty = false;
                        let started = outbox.start_send(*conn).is_some();
                        prop_assert_eq!(started, model.in_flight == 0 && !model.queue.is_empty());
                        if started {
                            model.in_flight = model.queue.len();
                            model.check_stretch(outbox.rest_of_send(*conn));
                        }
                    }
                    prop_assert!(models.values().all(|model| !model.dirty), "a dirty connection was not listed");
                }
                Step::Taken(conn, part) => {
                    let id = ConnId(conn);
                    let model = models.get_mut(&conn).unwrap();
                    if model.in_flight == 0 {
                        continue;
                    }
                    let given = model.check_stretch(outbox.rest_of_send(id));
                    let count = if part > 127 { given } else { given * usize::from(part) / 256 };
                    let sent = outbox.sent(id, count);
                    prop_assert_eq!(sent.short, count < given);
                    model.queue.drain(..count);
                    model.in_flight -= count;
                    prop_assert_eq!(sent.rest, model.in_flight);
                    prop_assert_eq!(sent.pending, model.queue.len() - model.in_flight);
                    prop_assert_eq!(sent.drained, model.watched && model.queue.len() <= LOW_WATER_BYTES);
                    model.watched &= !sent.drained;
                    if sent.rest == 0 && sent.pending > 0 && !model.dirty {
                        // What was appended meanwhile has lost its place on the dirty list: the driver goes on itself.
                        prop_assert!(outbox.start_send(id).is_some());
                        model.in_flight = model.queue.len();
                    }
                }
                Step::Release(conn) if models[&conn].in_flight > 0 => {}
                Step::Release(conn) => {
                    outbox.release(ConnId(conn));
                    models.insert(conn, Model::default());
                }
                Step::Detach(conn) => {
                    let model = models.insert(conn, Model::default()).unwrap();
                    let held = outbox.detach(ConnId(conn));
                    prop_assert_eq!(held.in_flight.len() - held.taken, model.in_flight);
                    prop_assert!(model.queue.iter().eq(&held.rest()));
                }
            }
            for (conn, model) in &models {
                prop_assert_eq!(outbox.unsent(ConnId(*conn)), model.queue.len());
            }
        }
    }
}

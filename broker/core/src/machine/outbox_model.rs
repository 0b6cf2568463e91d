//! The outbox against a naive model: one byte queue a connection, and the number of its bytes that are in flight.

use super::{ConnId, LOW_WATER_BYTES, Outbox};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use proptest::prelude::*;

const CONNECTIONS: u32 = 6;

#[derive(Debug, Clone)]
enum Step {
    /// The machine appends that many bytes.
    Append(u32, usize),
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
                        let start = outbox.start_send(*conn).map(<[u8]>::to_vec);
                        if model.in_flight > 0 || model.queue.is_empty() {
                            prop_assert_eq!(start, None);
                        } else {
                            model.in_flight = model.queue.len();
                            prop_assert_eq!(start, Some(model.queue.iter().copied().collect()));
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
                    let rest: Vec<u8> = model.queue.iter().take(model.in_flight).copied().collect();
                    prop_assert_eq!(outbox.rest_of_send(id), rest);
                    let count = if part > 127 { model.in_flight } else { model.in_flight * usize::from(part) / 256 };
                    let sent = outbox.sent(id, count);
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
                }
            }
            for (conn, model) in &models {
                prop_assert_eq!(outbox.unsent(ConnId(*conn)), model.queue.len());
            }
        }
    }
}

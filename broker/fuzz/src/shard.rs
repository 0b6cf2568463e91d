//! What must hold for a cluster of shards whatever its clients send. The body of one fuzz target, also run over the seed
//! corpus and over random bytes by the tests of `ringmq-sim`.

use ringmq_core::settings::{QueueFullPolicy, QueueSettings, Settings, TopicPolicy};
use ringmq_sim::cluster::{Cluster, Link};
use ringmq_wire::{Cut, MAX_PACKET_LEN, cut};
use std::collections::BTreeMap;
use std::time::Duration;

/// Connections in one run.
const LINKS_MAX: usize = 16;

/// Virtual time after which whatever is not connected is over, milliseconds.
const END_MS: u64 = 30_000;

/// Bytes from one client to all others are copied as often as there are subscribers; this many are enough, bytes.
const SENT_MAX: usize = 64 * 1024 * 1024;

/// A message queue with bounds as small.
fn queue(topic_filter: &str, last_value: bool) -> QueueSettings {
    QueueSettings {
        topic_filter: topic_filter.into(),
        last_value,
        max_length: 6,
        max_inflight: 2,
        message_expiry: Some(Duration::from_secs(3)),
        ..QueueSettings::default()
    }
}

/// Limits small enough to be met by short inputs. `$q/q` holds messages and `$q/l` last values; publishers to `b/...` are
/// held back by full queues.
fn settings() -> Settings {
    Settings {
        queues: [("q", queue("q/#", false)), ("l", queue("l/+", true))].map(|(name, of)| (Box::from(name), of)).into(),
        queue_full_policies: vec![TopicPolicy { topic: "b/#".into(), policy: QueueFullPolicy::BackPressure }],
        max_packet_size: 2_000,
        max_inflight: 3,
        max_mqueue_len: 8,
        max_awaiting_rel: 3,
        max_topic_alias: 4,
        max_topic_levels: 8,
        max_subscriptions: 20,
        max_user_properties: 4,
        max_topic_filters: 8,
        session_expiry_interval: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(2),
        await_rel_timeout: Duration::from_secs(3),
        ..Settings::default()
    }
}

/// Treats `data` as a number of shards and a script. Each step is an octet, its lower three bits what to do, the upper
/// five with which connection: open, push so many octets that follow, close, let time pass. Returns how many octets the
/// shards have sent.
pub fn shard(data: &[u8]) -> usize {
    let Some((&first, mut rest)) = data.split_first() else { return 0 };
    let mut cluster = Cluster::new(1 + usize::from(first % 3), &settings(), 42);
    let mut links: Vec<Link> = Vec::new();
    let mut sent: BTreeMap<Link, Vec<u8>> = BTreeMap::new();
    let mut total = 0;
    while let Some((&step, after)) = rest.split_first() {
        rest = after;
        let which = usize::from(step >> 3);
        match step & 7 {
            0 if links.len() < LINKS_MAX => links.push(cluster.open(which % cluster.shards())),
            1..=5 if !links.is_empty() => {
                let Some((&count, after)) = rest.split_first() else { break };
                let (bytes, after) = after.split_at(usize::from(count).min(after.len()));
                rest = after;
                cluster.push(links[which % links.len()], bytes);
            }
            6 if !links.is_empty() => cluster.close(links[which % links.len()]),
            7 => cluster.advance(50 * which as u64, |link, bytes| sent.entry(link).or_default().extend(bytes)),
            _ => {}
        }
        cluster.turn(|link, bytes| {
            total += bytes.len();
            sent.entry(link).or_default().extend_from_slice(bytes);
        });
        if total > SENT_MAX {
            break;
        }
    }
    for bytes in sent.values() {
        are_packets(bytes);
    }
    for link in links {
        cluster.close(link);
    }
    cluster.advance(END_MS, |_, _| panic!("something was sent to a closed connection"));
    for counters in cluster.counters() {
        assert_eq!(counters.connections, 0);
        assert_eq!(counters.client_connected, counters.client_disconnected);
        assert_eq!(counters.sessions, counters.session_created - counters.session_terminated);
        assert_eq!(counters.connections_held_back, 0);
        // With whoever a message of a queue was: it has expired by now.
        assert_eq!(counters.queue_messages, 0);
        let went = counters.messages_queue_settled + counters.messages_queue_replaced + counters.messages_queue_dropped;
        assert_eq!(counters.messages_queue_received, went + counters.messages_queue_expired);
    }
    total
}

/// A server sends whole packets.
fn are_packets(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match cut(bytes, MAX_PACKET_LEN) {
            Ok(Cut::Frame(_, used)) => bytes = &bytes[used..],
            other => panic!("sent {bytes:?}, which begins with {other:?}"),
        }
    }
}

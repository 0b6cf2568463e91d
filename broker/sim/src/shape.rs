//! What kind of run it is: sizes, limits, faults. A seed chooses one of the kinds and its details.

use crate::dice::Dice;
use ringmq_core::settings::{QueueDispatch, QueueSettings, Settings, ShareStrategy};
use std::time::Duration;

/// The name of the message queue.
pub(crate) const QUEUE: &str = "jobs";

/// What fills it.
pub(crate) const QUEUE_FILTER: &str = "q/#";

/// What is broken on purpose, to see that the oracles notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// One batch between shards is lost, the one with this number.
    DropBatch(u64),
    /// One batch between shards arrives twice.
    RepeatBatch(u64),
    /// Two batches between the same shards change places.
    SwapBatches(u64),
    /// Every so manieth look-up of the interest table finds nobody.
    ForgetInterest(u64),
    /// One send to a client is lost as a whole, the one with this number.
    LoseSend(u64),
}

/// The kinds of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Links without faults; QoS 0, 1 and 2.
    Calm,
    /// Links are cut, clients take over and reconnect.
    Stormy,
    /// Clients that read late, and large messages.
    Slow,
    /// Retained messages and subscriptions to them.
    Retained,
    /// Shared subscriptions.
    Shared,
    /// Wills and session expiry.
    Mortal,
    /// Small receive maximum, small packets, aliases.
    Narrow,
    /// Small queues: drops are allowed, and nothing else.
    Tight,
    /// A message queue and consumers that come and go. Not among [`KINDS`]: a test of its own runs it.
    Queued,
}

/// Kinds that seeds choose from.
pub const KINDS: [Kind; 8] =
    [Kind::Calm, Kind::Stormy, Kind::Slow, Kind::Retained, Kind::Shared, Kind::Mortal, Kind::Narrow, Kind::Tight];

/// Everything about a run but its seed.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Which kind it is.
    pub kind: Kind,
    /// Shards of the cluster.
    pub shards: usize,
    /// Virtual clients, the observer of wills included.
    pub clients: usize,
    /// Things that clients do before the run comes to its end.
    pub steps: u64,
    /// Settings of the shards.
    pub settings: Settings,
    /// The interest table answers "everybody".
    pub broadcast: bool,
    /// Batches that a ring holds.
    pub ring_batches: usize,
    /// Longest way of a batch, microseconds.
    pub mesh_delay_us: u64,
    /// Longest way of a piece of a stream, microseconds.
    pub link_delay_us: u64,
    /// Longest time between an event and the turn that serves it, microseconds.
    pub turn_delay_us: u64,
    /// Longest time between things that one client does, microseconds.
    pub pace_us: u64,
    /// Of 1000 things a client does, how many cut its link.
    pub cut_permille: u64,
    /// Of 1000 things a client does, how many stop its reading for a while.
    pub stall_permille: u64,
    /// Largest payload, bytes.
    pub payload_max: u64,
    /// Bytes that a socket holds towards a client.
    pub socket_bytes: usize,
    /// Nothing may be dropped for want of room.
    pub lossless: bool,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Shape {
    /// The shape of a seed: its kind is the seed modulo the number of kinds.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let kinds = KINDS.len() as u64;
        let kind = KINDS[usize::try_from(seed % kinds).expect("few kinds")];
        Self::of_kind(kind, &mut Dice::new(seed ^ 0x5EED_0F5B))
    }

    /// A shape of this kind.
    #[must_use]
    pub fn of_kind(kind: Kind, dice: &mut Dice) -> Self {
        let strategies = [
            ShareStrategy::Random,
            ShareStrategy::RoundRobin,
            ShareStrategy::RoundRobinPerGroup,
            ShareStrategy::Sticky,
            ShareStrategy::HashTopic,
            ShareStrategy::HashClientId,
        ];
        let settings = Settings {
            max_mqueue_len: 0,
            send_timeout: Duration::from_secs(600),
            await_rel_timeout: Duration::from_secs(3600),
            shared_subscription_strategy: *dice.pick(&strategies),
            max_inflight: *dice.pick(&[1, 3, 32]),
            max_topic_alias: *dice.pick(&[0, 2, 100]),
            ..Settings::default()
        };
        let mut shape = Self {
            kind,
            shards: usize::try_from(dice.within(1, 4)).expect("few"),
            clients: usize::try_from(dice.within(4, 10)).expect("few"),
            steps: 400,
            settings,
            broadcast: dice.chance(250),
            ring_batches: *dice.pick(&[1, 2, 8]),
            mesh_delay_us: *dice.pick(&[0, 50, 5_000]),
            link_delay_us: *dice.pick(&[0, 200, 20_000]),
            turn_delay_us: *dice.pick(&[0, 20, 2_000]),
            pace_us: *dice.pick(&[500, 20_000]),
            cut_permille: 0,
            stall_permille: 0,
            payload_max: 64,
            socket_bytes: *dice.pick(&[64, 1_000, 100_000]),
            lossless: true,
            sabotage: None,
        };
        match kind {
            Kind::Calm => {}
            Kind::Stormy => shape.cut_permille = 40,
            Kind::Slow => {
                shape.stall_permille = 60;
                shape.payload_max = 120_000;
                shape.cut_permille = 5;
                shape.socket_bytes = *dice.pick(&[1_000, 100_000]);
            }
            Kind::Retained => {
                shape.stall_permille = 20;
                shape.payload_max = *dice.pick(&[64, 30_000]);
            }
            Kind::Shared => shape.cut_permille = 10,
            Kind::Mortal => {
                shape.cut_permille = 80;
                shape.pace_us = 400_000;
            }
            Kind::Narrow => {
                shape.cut_permille = 20;
                shape.stall_permille = 20;
                shape.payload_max = 200;
            }
            Kind::Queued => {
                shape.cut_permille = 40;
                let queue = QueueSettings {
                    topic_filter: QUEUE_FILTER.into(),
                    max_inflight: *dice.pick(&[1, 3, 10]),
                    dispatch: *dice.pick(&[QueueDispatch::RoundRobin, QueueDispatch::LeastInflight]),
                    ..QueueSettings::default()
                };
                shape.settings.queues.insert(QUEUE.into(), queue);
            }
            Kind::Tight => {
                shape.lossless = false;
                shape.cut_permille = 20;
                shape.stall_permille = 40;
                shape.payload_max = 20_000;
                shape.settings.max_mqueue_len = *dice.pick(&[1, 5, 30]);
                shape.settings.mqueue_store_qos0 = dice.chance(500);
                shape.settings.send_timeout = Duration::from_secs(1);
            }
        }
        if shape.payload_max > 1_000 {
            // Large messages through a tiny socket are only slow.
            shape.socket_bytes = shape.socket_bytes.max(8_000);
        }
        shape
    }
}

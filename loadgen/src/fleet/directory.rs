//! What all fleets of a process share: the plan, the stage, and where publishers run.
//!
//! Absent: anything that changes while messages flow.

use crate::clock::Clock;
use crate::disturbance::nanos;
use crate::live::Live;
use crate::payload::{Clocks, Kind, UNMARKED, clock_mark};
use crate::plan::Plan;
use crate::stage::{Event, Stage};
use crate::workers::Share;
use ringmq_core::machine::ShardId;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::SystemTime;

/// Which thread runs a publisher, and under which number there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    pub(super) thread: ShardId,
    pub(super) local: u32,
}

/// Where every publisher runs; shared by all fleets.
#[derive(Debug)]
pub struct Directory {
    /// Which of the run's threads are those of this process.
    pub(super) share: Share,
    /// By publisher; those of other processes have none: nothing that is looked up here crosses processes.
    homes: Vec<Option<Home>>,
    /// Who publishes to a topic, where messages do not say it.
    by_topic: HashMap<String, u32>,
}

impl Directory {
    /// The directory of a plan that one process carries out.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self::of_share(plan, Share::whole(plan.threads()))
    }

    /// The directory of a process with some of the plan's threads.
    #[must_use]
    pub fn of_share(plan: &Plan, share: Share) -> Self {
        let mut counts = vec![0; share.total];
        let home = |publisher| {
            let thread = plan.scenario.publisher_thread(publisher, share.total as u32);
            let local = counts[thread as usize];
            counts[thread as usize] += 1;
            share.has(thread).then(|| Home { thread: ShardId((thread as usize - share.first) as u8), local })
        };
        let publishers = 0..plan.scenario.publishers();
        let is_silent = plan.traffic.as_ref().is_some_and(|traffic| !traffic.payload.headers.has(Kind::Stamp));
        let by_topic = if is_silent && plan.scenario.subscribers() > 0 {
            publishers.clone().map(|publisher| (plan.topic(publisher), publisher)).collect()
        } else {
            HashMap::new()
        };
        Self { share, homes: publishers.map(home).collect(), by_topic }
    }

    /// Who publishes to a topic, where messages do not say it.
    pub(super) fn publisher_of(&self, topic: &str) -> Option<u32> {
        self.by_topic.get(topic).copied()
    }

    /// Where a publisher runs; `None` if that is another process.
    pub(super) fn home(&self, publisher: u32) -> Option<Home> {
        self.homes[publisher as usize]
    }
}

/// What all fleets of a run share.
#[derive(Debug, Clone)]
pub struct Context {
    /// What to do.
    pub plan: Arc<Plan>,
    /// When to do it.
    pub stage: Arc<Stage>,
    /// Where publishers run.
    pub directory: Arc<Directory>,
    /// Where the threads publish how far they are.
    pub live: Arc<Live>,
    /// The run's clock.
    pub clock: Clock,
    /// The way to the main thread.
    pub events: Sender<Event>,
}

impl Context {
    /// What the clocks outside show when the run's shows 0. Only a run within one process is on one host for certain, so
    /// that others can read the times in its stamps.
    pub(super) fn clocks(&self) -> Clocks {
        let share = self.directory.share;
        let mark = if share.threads == share.total { clock_mark() } else { UNMARKED };
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clocks { monotonic_ns: self.clock.zero_ns(), mark, unix_ns: nanos(unix).saturating_sub(self.clock.now()) }
    }
}

//! What all fleets of a process share: the plan, the stage, and where publishers run.
//!
//! Absent: anything that changes while messages flow.

use crate::clock::Clock;
use crate::live::Live;
use crate::plan::Plan;
use crate::stage::{Event, Stage};
use crate::workers::Share;
use ringmq_core::machine::ShardId;
use std::sync::Arc;
use std::sync::mpsc::Sender;

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
    /// Those of other processes have no meaning: credits do not cross processes.
    pub(super) publishers: Vec<Home>,
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
            let thread = plan.scenario.publisher_thread(publisher, share.total as u32) as usize;
            let local = counts[thread];
            counts[thread] += 1;
            Home { thread: ShardId(thread.wrapping_sub(share.first) as u8), local }
        };
        Self { share, publishers: (0..plan.scenario.publishers()).map(home).collect() }
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

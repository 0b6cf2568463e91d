//! From a command line to a plan: each scenario drafts a run, and what all have in common completes it.
//!
//! Absent: files, `pub` and `sub`, which have modules of their own.

use super::resolve::{generator, identity, qos, resolve, resolve_traffic, run_number, sources};
use super::{Connecting, Identity, Plan, Traffic, ends, file};
use crate::cli::{Cli, CommonArgs, ScenarioArgs, TrafficArgs};
use crate::disturbance::Disturbance;
use crate::payload::Headers;
use crate::scenario::{Conn, Fanin, Fanout, P2p, Reach, Scenario};
use crate::schedule::RATE_MAX;
use crate::simulated::Simulated;
use ringmq_wire::QoS;
use std::time::Duration;

impl Plan {
    /// Resolves a command line.
    ///
    /// # Errors
    /// A text for the user, if options contradict each other or the broker's name cannot be resolved.
    pub fn new(cli: &Cli) -> Result<Self, String> {
        let draft = match &cli.scenario {
            ScenarioArgs::Run(args) => file::draft(args)?,
            ScenarioArgs::List | ScenarioArgs::Describe(_) | ScenarioArgs::Agent(_) => {
                return Err("nothing to run".into());
            }
            ScenarioArgs::Conn(args) => {
                let conn = Conn { clients: args.clients, subscribe: args.subscribe };
                let draft = Draft::new(Box::new(conn), &args.common, None)?;
                Draft { duration: args.duration, subscription_qos: qos(args.qos), ..draft }
            }
            ScenarioArgs::Pub(args) => ends::draft_pub(args)?,
            ScenarioArgs::Sub(args) => ends::draft_sub(args)?,
            ScenarioArgs::P2p(args) => {
                Draft::new(Box::new(P2p { pairs: args.pairs }), &args.common, Some(&args.traffic))?
            }
            ScenarioArgs::Fanin(args) => {
                let reach = match &args.share {
                    Some(group) => Reach::Shared(group.clone()),
                    None if args.all => Reach::All,
                    None => Reach::Slice,
                };
                let fanin = Fanin { publishers: args.publishers, subscribers: args.subscribers, reach };
                Draft::new(Box::new(fanin), &args.common, Some(&args.traffic))?
            }
            ScenarioArgs::Fanout(args) => {
                let (publishers, subscribers) = (args.publishers, args.subscribers);
                let fanout = Fanout { publishers, subscribers, topics: args.topics.min(publishers) };
                Draft::new(Box::new(fanout), &args.common, Some(&args.traffic))?
            }
        };
        draft.finish()
    }
}

/// A run whose broker is not looked up yet.
pub(super) struct Draft {
    pub(super) run: u32,
    pub(super) scenario: Box<dyn Scenario>,
    pub(super) traffic: Option<Traffic>,
    pub(super) received: Option<Headers>,
    pub(super) subscription_qos: QoS,
    pub(super) duration: Duration,
    pub(super) warmup: Duration,
    pub(super) wait: Duration,
    pub(super) drain: Duration,
    pub(super) identity: Identity,
    pub(super) common: CommonArgs,
    pub(super) disturbances: Vec<Disturbance>,
    pub(super) retained: u32,
}

impl Draft {
    /// What options alone say.
    pub(super) fn new(
        scenario: Box<dyn Scenario>,
        common: &CommonArgs,
        traffic: Option<&TrafficArgs>,
    ) -> Result<Self, String> {
        let run = run_number();
        let clients = scenario.publishers().checked_add(scenario.subscribers()).ok_or("more than 2^32 clients")?;
        let time = |of: fn(&TrafficArgs) -> Duration| traffic.map_or(Duration::ZERO, of);
        let identity = identity(common, run, scenario.publishers(), clients)?;
        Ok(Self {
            run,
            traffic: traffic.map(|args| resolve_traffic(args, scenario.publishers(), &identity.naming)).transpose()?,
            received: None,
            identity,
            scenario,
            subscription_qos: traffic.map_or(QoS::AtMostOnce, |args| qos(args.sub_qos.unwrap_or(args.qos))),
            duration: time(|args| args.duration),
            warmup: time(|args| args.warmup),
            wait: time(|args| args.span.wait_before_publishing.unwrap_or_default()),
            drain: time(|args| args.drain),
            common: common.clone(),
            disturbances: Vec::new(),
            retained: 0,
        })
    }

    pub(super) fn finish(self) -> Result<Plan, String> {
        let common = &self.common;
        let remote = resolve(common)?;
        let clients = self.scenario.publishers() + self.scenario.subscribers();
        let plan = Plan {
            run: self.run,
            scenario: self.scenario,
            traffic: self.traffic,
            received: self.received,
            subscription_qos: self.subscription_qos,
            duration: self.duration,
            warmup: self.warmup,
            wait: self.wait,
            ramp_up: common.ramp_up.unwrap_or_default(),
            drain: self.drain,
            remote,
            pids: common.pid.clone(),
            simulated: common.simulated.then(Simulated::default),
            identity: self.identity,
            connecting: Connecting {
                rate: common.connect_rate,
                window: common.connect_window,
                timeout: common.connect_timeout,
                sources: sources(common, remote, clients)?,
            },
            generator: generator(common)?,
            disturbances: self.disturbances,
            retained: self.retained,
        };
        debug_assert!(plan.rate().is_none_or(|rate| rate <= RATE_MAX), "the range has been checked");
        plan.check()?;
        plan.check_disturbances()?;
        Ok(plan)
    }
}

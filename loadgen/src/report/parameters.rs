//! What was run, as the result names it. Absent: what came of it.

use super::SIMULATED;
use super::fields::Parameters;
use crate::cli::Timestamps;
use crate::payload::Headers;
use crate::plan::{Pace, Plan};

/// Whether latencies end with the kernel's timestamps.
pub(super) fn stamped(plan: &Plan) -> bool {
    plan.generator.timestamps == Timestamps::Kernel
}

impl Parameters {
    /// Those of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let traffic = plan.traffic.as_ref();
        let (window, credit) = match traffic.map(|traffic| traffic.pace) {
            Some(Pace::Window { messages, until_acknowledged, until_delivered }) => {
                let credit = match (until_acknowledged, until_delivered) {
                    (true, true) => "both",
                    (true, false) => "ack",
                    (false, _) => "delivery",
                };
                (Some(messages), Some(credit.to_owned()))
            }
            Some(Pace::Rate { .. }) | None => (None, None),
        };
        Self {
            name: plan.scenario.name().into(),
            target: if plan.simulated.is_some() { SIMULATED.into() } else { plan.remote.to_string() },
            mqtt: plan.identity.version.level(),
            publishers: plan.scenario.publishers(),
            subscribers: plan.scenario.subscribers(),
            share: plan.scenario.share().map(str::to_owned),
            copies: if plan.scenario.publishers() > 0 { plan.scenario.copies(0) } else { 0 },
            qos: traffic.map_or(0, |traffic| traffic.qos.bits()),
            subscription_qos: plan.subscription_qos.bits(),
            size: traffic.map_or(0, |traffic| traffic.payload.largest()),
            sizes: traffic.and_then(|traffic| traffic.payload.sizes()),
            payload: traffic.map_or("pattern", |traffic| traffic.payload.kind()).into(),
            payload_headers: traffic
                .map(|traffic| &traffic.payload.headers)
                .or(plan.received.as_ref())
                .map_or_else(|| Headers::stamp().names(), Headers::names),
            rate: plan.rate(),
            window,
            credit,
            retain: traffic.is_some_and(|traffic| traffic.retain),
            retained: plan.retained,
            timestamps: stamped(plan).then(|| "kernel".into()),
            keep_alive_s: plan.identity.keep_alive,
            connect_rate: plan.connecting.rate,
            ramp_up_s: plan.ramp_up.as_secs_f64(),
            warmup_s: plan.warmup.as_secs_f64(),
            duration_s: plan.duration.as_secs_f64(),
        }
    }
}

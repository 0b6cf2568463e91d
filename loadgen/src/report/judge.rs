//! What makes a run failed or invalid, and what may distort it.
//!
//! Absent: the checks themselves; here is decided what their counts mean.

use super::disturbances::DisturbanceResult;
use super::{Report, Verdict};
use crate::checks::{Tally, Unmade};
use crate::fleet::Meter;
use crate::plan::Plan;
use ringmq_wire::QoS;

/// A rate run is invalid if one message in a hundred was handled later than this, microseconds.
const LAG_P99_US_MAX: f64 = 1000.0;

/// A rate run is invalid if less than this share of its messages became due or was sent in time.
const SCHEDULE_KEPT_MIN: f64 = 0.99;

/// Above this share of busy turns the generator itself may be what limits a closed loop.
const BUSY_SHARE_MAX: f64 = 0.95;

/// Above this share of waiting for a processor the generator's own delays show in the latencies.
const WAIT_SHARE_MAX: f64 = 0.02;

impl Report {
    /// Applies the rules for failed and invalid runs.
    pub(super) fn judge(&mut self, plan: &Plan, failed_clients: usize) {
        let mut failures = Vec::new();
        if failed_clients > 0 && plan.traffic.is_some() {
            failures.push(format!("{failed_clients} clients could not connect or subscribe: nothing was sent"));
        }
        for (what, count) in &self.errors {
            failures.push(format!("{count} x {what}"));
        }
        let checks = &self.checks;
        let qos = plan.delivery_qos();
        if checks.lost > 0 && qos != QoS::AtMostOnce {
            failures.push(format!("{} messages lost at QoS {}", checks.lost, qos.bits()));
        }
        if checks.reordered > 0 {
            failures.push(format!("{} messages out of order", checks.reordered));
        }
        if checks.duplicates > 0 && qos == QoS::ExactlyOnce {
            failures.push(format!("{} duplicates at QoS 2", checks.duplicates));
        }
        if checks.damaged > 0 {
            failures.push(format!("{} messages damaged", checks.damaged));
        }
        if failed_clients == 0 {
            // Those whose time had not come when the run was interrupted have not failed.
            let begun = self.disturbances.iter().filter(|part| part.hit > 0 || !self.interrupted);
            failures.extend(begun.flat_map(DisturbanceResult::failures));
        }
        let somebody_hears = (0..plan.live_publishers()).any(|publisher| plan.scenario.copies(publisher) > 0);
        // With a limit the last message may have come before the measurement had begun.
        let limited = plan.traffic.as_ref().is_some_and(|traffic| traffic.limit.is_some());
        let delivered = if limited { self.checks.delivered } else { self.traffic.delivered };
        if plan.traffic.is_some() && somebody_hears && failures.is_empty() && delivered == 0 && !self.interrupted {
            failures.push("nothing was delivered".into());
        }

        let mut invalid = Vec::new();
        if self.interrupted {
            let (measured, planned) = (self.traffic.seconds, plan.duration.as_secs_f64());
            invalid.push(format!("interrupted: measured for {measured:.1} of {planned:.1} s"));
        }
        // A run that was interrupted before it measured has no schedule.
        let begun = !self.interrupted || self.traffic.seconds > 0.0;
        let generator = &self.generator;
        if let Some(kept) = generator.schedule_kept.filter(|_| failed_clients == 0 && begun) {
            let lag = self.latency.get("generator_lag").map_or(0.0, |lag| lag.p99_us);
            if kept < SCHEDULE_KEPT_MIN || lag > LAG_P99_US_MAX {
                invalid.push(format!(
                    "the generator did not keep the schedule: it was {lag} us late at the 99th percentile (at most \
                     {LAG_P99_US_MAX}), and got to {:.1} % of it in time (at least {:.0} %)",
                    kept.min(1.0) * 100.0,
                    SCHEDULE_KEPT_MIN * 100.0
                ));
            }
            let sent = self.traffic.sent as f64 / scheduled(plan, self.traffic.seconds).unwrap_or(1.0);
            if kept >= SCHEDULE_KEPT_MIN && (sent < SCHEDULE_KEPT_MIN || generator.unsent > 0) {
                invalid.push(format!(
                    "the broker held publishers back: {:.1} % of the rate was sent, {} messages never",
                    sent * 100.0,
                    generator.unsent
                ));
            }
        }
        if generator.busy_share > BUSY_SHARE_MAX && generator.spin && self.simulated.is_none() {
            self.warnings.push(format!(
                "the generator was busy {:.0} % of the time and may have been the limit: give it more cores",
                generator.busy_share * 100.0
            ));
        }
        if generator.wait_share > WAIT_SHARE_MAX {
            self.warnings.push(format!(
                "the generator waited for a processor {:.0} % of the time: latencies are too long by that",
                generator.wait_share * 100.0
            ));
        }
        self.verdict = match (failures.is_empty(), invalid.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Invalid,
            (true, true) => Verdict::Passed,
        };
        self.reasons = failures;
        self.reasons.append(&mut invalid);
    }
}

/// Open loop: messages due in a measured interval, at least one. A limit may end them, or it, early.
pub(super) fn scheduled(plan: &Plan, seconds: f64) -> Option<f64> {
    let rate = plan.rate()? as f64;
    let limit = plan.traffic.as_ref().and_then(|traffic| traffic.limit).map_or(f64::INFINITY, |limit| limit as f64);
    let left = limit * f64::from(plan.scenario.publishers())
        - rate * (plan.warmup.as_secs_f64() + plan.ramp_up.as_secs_f64() / 2.0);
    Some((rate * seconds).min(left).max(1.0))
}

/// Which checks could not be made, because of the payloads or because nobody of this run received or sent anything.
pub(super) fn unmade(plan: &Plan, tally: &Tally, meter: &Meter) -> Unmade {
    let latency = meter.end_to_end.is_empty();
    let nothing = Unmade { loss: true, loss_is_counted: false, duplicates: true, order: true, damage: true, latency };
    match &plan.traffic {
        Some(traffic) if plan.scenario.subscribers() > 0 => traffic.payload.unmade(),
        // What others sent may have had numbers.
        None if tally.delivered + tally.duplicates > 0 => Unmade { damage: true, latency, ..Unmade::default() },
        Some(_) | None => nothing,
    }
}

/// Says that times of other programs' messages were still to come.
pub(super) fn ahead(meter: &Meter) -> Option<String> {
    let count = meter.from_the_future;
    (count > 0).then(|| {
        format!(
            "{count} messages came before the time in their header: the sender's clock is ahead of this host's, and all \
             latencies are too short by that"
        )
    })
}

/// Says what is wrong with the kernel's timestamps.
pub(super) fn untimed(meter: &Meter) -> Vec<String> {
    let mut warnings = Vec::new();
    if meter.unstamped > 0 {
        warnings.push(format!(
            "{} receives had no timestamp of the kernel: their latencies end when the generator read them",
            meter.unstamped
        ));
    }
    if meter.clock_steps > 0 {
        warnings.push(format!(
            "the wall clock was set {} times while the run lasted: some latencies may be wrong by as much",
            meter.clock_steps
        ));
    }
    warnings
}

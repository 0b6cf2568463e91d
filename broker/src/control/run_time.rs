//! Warnings about the run time (EMQX's `sysmon.vm`), in the log and on `$SYS/brokers/<node>/sysmon/<event>`.
//!
//! They follow from counters of the shards, which are looked at once a second: there is one message for each shard and
//! event in which something has happened since.
//!
//! Absent: EMQX's `long_gc` and `large_heap`, for which there is nothing here.

use super::console::Console;
use crate::log::module;
use crate::sysmon::SysmonOptions;
use ringmq_core::observe::OwnMessage;
use serde_json::json;

/// Something that is told.
struct Event {
    /// In EMQX's words.
    name: &'static str,
    /// The counter that it follows from.
    counter: &'static str,
    /// What that counts: the name of the field.
    unit: &'static str,
    /// Whether it is told.
    is_wanted: fn(&SysmonOptions) -> bool,
}

const EVENTS: [Event; 3] = [
    Event {
        name: "long_schedule",
        counter: "sysmon.long_schedule.milliseconds",
        unit: "milliseconds",
        // Otherwise shards do not count it.
        is_wanted: |_| true,
    },
    Event {
        name: "busy_port",
        counter: "client.congested",
        unit: "connections",
        is_wanted: |options| options.busy_port,
    },
    Event {
        name: "busy_dist_port",
        counter: "client.held_up",
        unit: "publishers",
        is_wanted: |options| options.busy_dist_port,
    },
];

/// The counters as they were when they were last looked at.
#[derive(Debug, Default)]
pub(crate) struct RunTime([Counted; EVENTS.len()]);

/// A counter, by shard.
#[derive(Debug, Default)]
struct Counted(Vec<u64>);

impl Counted {
    /// By how much it has grown, by shard.
    fn growth(&mut self, now: Vec<u64>) -> Vec<u64> {
        self.0.resize(now.len(), 0);
        let growth = now.iter().zip(&self.0).map(|(now, before)| now.saturating_sub(*before)).collect();
        self.0 = now;
        growth
    }
}

impl Console {
    /// Tells of what has happened since `told` was last looked at. A shard that has too much to do to publish it leaves
    /// it out: the counters have it.
    pub(crate) fn warn_of_run_time(&self, told: &mut RunTime) {
        let options = self.sysmon();
        let mut messages = Vec::new();
        for (Event { name, counter, unit, is_wanted }, counted) in EVENTS.iter().zip(&mut told.0) {
            let growth = counted.growth(self.counter_by_shard(counter));
            for (shard, count) in growth.into_iter().enumerate().filter(|(_, count)| *count > 0 && is_wanted(&options))
            {
                tracing::warn!(target: module::BROKER, shard = shard as u64, count, unit, "{name}");
                let topic = format!("$SYS/brokers/{}/sysmon/{name}", self.alarms().node());
                let payload = json!({ "shard": shard, *unit: count }).to_string();
                let payload = payload.into_bytes().into();
                messages.push(OwnMessage { topic: topic.into(), payload, retain: false });
            }
        }
        let _ = self.publish(&messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_core::counters::Counters;

    #[test]
    fn only_growth_is_news() {
        let mut counted = Counted::default();
        assert_eq!(counted.growth(vec![3, 0]), [3, 0]);
        assert_eq!(counted.growth(vec![3, 5]), [0, 5]);
        assert_eq!(counted.growth(vec![3, 5]), [0, 0]);
    }

    #[test]
    fn every_event_follows_from_a_counter_that_there_is() {
        for Event { name, counter, .. } in EVENTS {
            assert!(Counters::NAMES.contains(&counter), "{name}");
        }
    }
}

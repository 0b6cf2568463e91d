//! The shards' counters, as other threads see them.
//!
//! A shard hands out a copy of its counters about once a second; the driver keeps its own. Readers may see counters of
//! two neighbouring moments mixed.

use ringmq_core::counters::{CounterSink, Counters};
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, Stats};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The latest copy of every shard's counters.
#[derive(Debug)]
pub(crate) struct SharedCounters {
    /// By shard, in the order of [`Counters::NAMES`].
    shards: Vec<Vec<AtomicU64>>,
}

impl SharedCounters {
    /// All zero, for `shards` shards.
    pub(crate) fn new(shards: usize) -> Self {
        let row = || (0..Counters::COUNT).map(|_| AtomicU64::new(0)).collect();
        Self { shards: (0..shards).map(|_| row()).collect() }
    }

    /// Where one shard puts its copies.
    pub(crate) fn sink(self: &Arc<Self>, shard: ShardId) -> Box<dyn CounterSink> {
        Box::new(Sink { shared: Arc::clone(self), shard: usize::from(shard.0) })
    }

    /// A table of all counters that are not zero: the sum, then each shard's value.
    pub(crate) fn report(&self, control: &Control) -> String {
        table(&self.rows(control))
    }

    /// The sum of one of the shards' counters; 0 if there is none of this name.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let Some(index) = Counters::NAMES.iter().position(|known| *known == name) else { return 0 };
        self.shards.iter().fold(0, |sum, shard| sum.wrapping_add(shard[index].load(Ordering::Relaxed)))
    }

    /// All counters: name, and each shard's value.
    pub(crate) fn rows(&self, control: &Control) -> Vec<(String, Vec<u64>)> {
        let mut rows: Vec<(String, Vec<u64>)> = Vec::new();
        for (index, name) in Counters::NAMES.into_iter().enumerate() {
            let values = self.shards.iter().map(|shard| shard[index].load(Ordering::Relaxed)).collect();
            rows.push((name.to_owned(), values));
        }
        let stats: Vec<Stats> = (0..=u8::MAX).take(self.shards.len()).map(|s| control.stats(ShardId(s))).collect();
        for (index, (name, _)) in Stats::default().iter().enumerate() {
            let values = stats.iter().map(|stats| stats.iter().nth(index).map_or(0, |(_, value)| value)).collect();
            rows.push((format!("driver.{name}"), values));
        }
        rows
    }
}

/// The table that [`SharedCounters::report`] prints.
pub(crate) fn table(rows: &[(String, Vec<u64>)]) -> String {
    let rows = || rows.iter().filter(|(_, values)| values.iter().any(|value| *value > 0));
    let width = rows().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = "counters: sum and shards\n".to_owned();
    for (name, values) in rows() {
        let sum = values.iter().fold(0, |sum: u64, value| sum.wrapping_add(*value));
        let shards: String = values.iter().map(|value| format!(" {value:>12}")).collect();
        writeln!(text, "  {name:<width$} {sum:>12}{shards}").unwrap_or_else(|_| unreachable!("a string takes all"));
    }
    text
}

struct Sink {
    shared: Arc<SharedCounters>,
    shard: usize,
}

impl CounterSink for Sink {
    fn publish(&mut self, counters: &Counters) {
        for (shared, value) in self.shared.shards[self.shard].iter().zip(counters.values()) {
            shared.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shard_publishes_is_reported() {
        let shared = Arc::new(SharedCounters::new(2));
        let control = Control::new(2).expect("a control");
        for (shard, messages_received) in [(0, 5), (1, 7)] {
            shared.sink(ShardId(shard)).publish(&Counters { messages_received, ..Counters::default() });
        }
        let report = shared.report(&control);
        let line = report.lines().find(|line| line.contains("messages.received")).expect("a line");
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["messages.received", "12", "5", "7"]);
        assert_eq!(report.lines().count(), 2, "{report}");
        assert_eq!((shared.sum("messages.received"), shared.sum("messages.sent"), shared.sum("nothing")), (12, 0, 0));
    }
}

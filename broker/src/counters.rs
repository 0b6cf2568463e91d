//! The shards' counters, as other threads see them, and the most that gauges have been.
//!
//! A shard hands out a copy of its counters about once a second; the driver keeps its own. Readers may see counters of
//! two neighbouring moments mixed.

use ringmq_core::counters::{CounterSink, Counters};
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, Stats};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the name of a gauge ends, and that of the most that it has been.
const GAUGE: &str = ".count";
const MAXIMUM: &str = ".max";

/// Gauges that EMQX tells of under further names, which are the same thing in a broker of one node whose clients are no
/// processes.
const ALIASES: [(&str, &str); 5] = [
    ("live_connections.count", "connections.count"),
    ("channels.count", "connections.count"),
    ("cluster_sessions.count", "sessions.count"),
    ("suboptions.count", "subscriptions.count"),
    ("subscribers.count", "subscriptions.count"),
];

/// Counters of the drivers that EMQX has too, and their names there.
const BYTES: [(&str, &str); 2] = [("received_bytes", "bytes.received"), ("sent_bytes", "bytes.sent")];

/// A counter or gauge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name in EMQX, as far as EMQX has it.
    pub(crate) name: String,
    /// Its value for the whole broker.
    pub(crate) sum: u64,
    /// Each shard's share; empty for what only the broker as a whole has.
    pub(crate) shards: Vec<u64>,
}

impl Row {
    /// What is the sum of the shards' values.
    pub(crate) fn of_shards(name: &str, shards: Vec<u64>) -> Self {
        let sum = shards.iter().fold(0, |sum: u64, value| sum.wrapping_add(*value));
        Self { name: name.to_owned(), sum, shards }
    }
}

/// True for what can also shrink, and for the most that it has been.
pub(crate) fn is_gauge(name: &str) -> bool {
    name.ends_with(GAUGE) || name.ends_with(MAXIMUM) || name == "driver.connections"
}

/// The latest copy of every shard's counters.
#[derive(Debug)]
pub(crate) struct SharedCounters {
    /// By shard, in the order of [`Counters::NAMES`].
    shards: Vec<Vec<AtomicU64>>,
    /// The largest sums that were seen, in the same order; of use for gauges alone.
    largest: Vec<AtomicU64>,
}

impl SharedCounters {
    /// All zero, for `shards` shards.
    pub(crate) fn new(shards: usize) -> Self {
        let row = || (0..Counters::COUNT).map(|_| AtomicU64::new(0)).collect();
        Self { shards: (0..shards).map(|_| row()).collect(), largest: row() }
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
        Counters::NAMES.iter().position(|known| *known == name).map_or(0, |index| self.sum_of(index))
    }

    /// One of the shards' counters, by shard; empty if there is none of this name.
    pub(crate) fn by_shard(&self, name: &str) -> Vec<u64> {
        let index = Counters::NAMES.iter().position(|known| *known == name);
        let values = |index: usize| self.shards.iter().map(|shard| shard[index].load(Ordering::Relaxed)).collect();
        index.map(values).unwrap_or_default()
    }

    /// Takes note of how large the gauges are. To be called as often as the shards hand out copies.
    pub(crate) fn note_largest(&self) {
        for (index, largest) in self.largest.iter().enumerate() {
            largest.fetch_max(self.sum_of(index), Ordering::Relaxed);
        }
    }

    /// All counters, and for each gauge the most that it has been.
    pub(crate) fn rows(&self, control: &Control) -> Vec<Row> {
        self.note_largest();
        let mut rows: Vec<Row> = Vec::new();
        for (index, name) in Counters::NAMES.into_iter().enumerate() {
            let values = self.shards.iter().map(|shard| shard[index].load(Ordering::Relaxed)).collect();
            rows.push(Row::of_shards(name, values));
        }
        for (alias, name) in ALIASES {
            let same = rows.iter().find(|row| row.name == name).map(|row| row.shards.clone());
            rows.push(Row::of_shards(alias, same.unwrap_or_default()));
        }
        rows.extend(self.maxima());
        let stats: Vec<Stats> = (0..=u8::MAX).take(self.shards.len()).map(|s| control.stats(ShardId(s))).collect();
        for (index, (name, _)) in Stats::default().iter().enumerate() {
            let values: Vec<u64> =
                stats.iter().map(|stats| stats.iter().nth(index).map_or(0, |(_, value)| value)).collect();
            if let Some((_, told)) = BYTES.iter().find(|(driver, _)| *driver == name) {
                rows.push(Row::of_shards(told, values.clone()));
            }
            rows.push(Row::of_shards(&format!("driver.{name}"), values));
        }
        rows
    }

    fn maxima(&self) -> impl Iterator<Item = Row> {
        let names = Counters::NAMES.into_iter().map(|name| (name, name)).chain(ALIASES);
        names.filter_map(|(told, name)| {
            let index = Counters::NAMES.iter().position(|known| *known == name)?;
            let name = format!("{}{MAXIMUM}", told.strip_suffix(GAUGE)?);
            Some(Row { name, sum: self.largest[index].load(Ordering::Relaxed), shards: Vec::new() })
        })
    }

    fn sum_of(&self, index: usize) -> u64 {
        self.shards.iter().fold(0, |sum, shard| sum.wrapping_add(shard[index].load(Ordering::Relaxed)))
    }
}

/// The table that [`SharedCounters::report`] prints.
pub(crate) fn table(rows: &[Row]) -> String {
    let rows = || rows.iter().filter(|row| row.sum > 0 || row.shards.iter().any(|value| *value > 0));
    let width = rows().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = "counters: sum and shards\n".to_owned();
    for Row { name, sum, shards } in rows() {
        let shards: String = shards.iter().map(|value| format!(" {value:>12}")).collect();
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
        assert_eq!((shared.by_shard("messages.received"), shared.by_shard("nothing")), (vec![5, 7], vec![]));
        assert_eq!((shared.sum("messages.received"), shared.sum("messages.sent"), shared.sum("nothing")), (12, 0, 0));
    }

    #[test]
    fn the_most_that_gauges_have_been_is_remembered_of_the_whole_broker() {
        let shared = Arc::new(SharedCounters::new(2));
        let control = Control::new(2).expect("a control");
        let tell = |shard, connections| {
            shared.sink(ShardId(shard)).publish(&Counters { connections, ..Counters::default() });
        };
        let row = |name: &str| {
            let row = shared.rows(&control).into_iter().find(|row| row.name == name).expect(name);
            (row.sum, row.shards)
        };
        tell(0, 5);
        tell(1, 7);
        shared.note_largest();
        tell(0, 0);
        // Each shard's own maximum would add up to more.
        tell(1, 9);
        assert_eq!(row("connections.count"), (9, vec![0, 9]));
        assert_eq!(row("live_connections.count"), (9, vec![0, 9]));
        for name in ["connections.max", "live_connections.max", "channels.max"] {
            assert_eq!(row(name), (12, Vec::new()), "{name}");
        }
        tell(0, 4);
        assert_eq!(row("connections.max").0, 13, "seen when it is asked for");
    }

    /// Statistics of EMQX 5.8, without those of durable sessions, which there are none of.
    const EMQX: [&str; 12] = [
        "connections",
        "live_connections",
        "channels",
        "sessions",
        "cluster_sessions",
        "topics",
        "suboptions",
        "subscribers",
        "subscriptions",
        "subscriptions.shared",
        "retained",
        "delayed",
    ];

    #[test]
    fn every_statistic_of_emqx_is_there_with_its_maximum() {
        let (shared, control) = (SharedCounters::new(1), Control::new(1).expect("a control"));
        let names: Vec<String> = shared.rows(&control).into_iter().map(|row| row.name).collect();
        for name in EMQX {
            for end in [GAUGE, MAXIMUM] {
                let name = format!("{name}{end}");
                assert!(names.contains(&name) && is_gauge(&name), "{name}");
            }
        }
        assert!(!is_gauge("messages.received"));
        let ending = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
        assert_eq!(ending(MAXIMUM), ending(GAUGE), "each gauge has one");
    }
}

//! Runs of one scenario through one server, taken together.

use super::{Metric, Percentiles, Run};
use crate::stats::median;

/// What a group has in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Scenario.
    pub label: String,
    /// Server.
    pub server: String,
}

/// Runs of one scenario through one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What they have in common.
    pub key: Key,
    /// Those that passed their checks: the ones that have figures.
    pub passed: Vec<Run>,
    /// Those that failed, or are invalid.
    pub others: Vec<Run>,
}

/// Groups runs, in the order in which scenarios and servers first occur.
#[must_use]
pub fn group(runs: &[Run]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for run in runs {
        let of_run = |group: &Group| group.key.label == run.label && group.key.server == run.server;
        let position = groups.iter().position(of_run).unwrap_or_else(|| {
            let key = Key { label: run.label.clone(), server: run.server.clone() };
            groups.push(Group { key, passed: Vec::new(), others: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[position];
        if run.passed() { group.passed.push(run.clone()) } else { group.others.push(run.clone()) }
    }
    groups
}

impl Group {
    /// A metric of every run that passed and has it.
    #[must_use]
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        self.passed.iter().filter_map(|run| metric.of(run)).collect()
    }

    /// Median of a metric; `None` if no run has it.
    #[must_use]
    pub fn median(&self, metric: Metric) -> Option<f64> {
        median(&self.values(metric))
    }

    /// Runs of any verdict.
    pub fn all(&self) -> impl Iterator<Item = &Run> {
        self.passed.iter().chain(&self.others)
    }

    /// Runs that failed their checks.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.others.iter().filter(|run| run.verdict == "failed").count()
    }

    /// The latency curve: percentile with the median of the runs, and the extremes of the runs, microseconds. From
    /// whole distributions if every run has one, otherwise from the percentiles that lines have always had.
    #[must_use]
    pub fn latency_curve(&self) -> Vec<CurvePoint> {
        type Field = fn(&Percentiles) -> Option<f64>;
        const FIELDS: [(f64, Field); 5] = [
            (50.0, |of| of.p50_us),
            (90.0, |of| of.p90_us),
            (99.0, |of| of.p99_us),
            (99.9, |of| of.p999_us),
            (99.99, |of| of.p9999_us),
        ];
        const PERCENTILES: [f64; 11] = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99];
        let whole: Option<Vec<_>> = self.passed.iter().map(Run::main_distribution).collect();
        if let Some(whole) = whole {
            let values = |percentile| whole.iter().map(|of| of.percentile_us(percentile)).collect::<Vec<_>>();
            return PERCENTILES.iter().filter_map(|&of| CurvePoint::of(of, &values(of))).collect();
        }
        let values =
            |field: Field| self.passed.iter().filter_map(|run| run.main_latency().and_then(field)).collect::<Vec<_>>();
        FIELDS.iter().filter_map(|&(percentile, field)| CurvePoint::of(percentile, &values(field))).collect()
    }
}

/// A point of a latency curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Percentile, below 100.
    pub percentile: f64,
    /// Median of the runs, microseconds.
    pub median: f64,
    /// Least of the runs, microseconds.
    pub least: f64,
    /// Greatest of the runs, microseconds.
    pub most: f64,
}

impl CurvePoint {
    /// Of the runs' values; `None` if there is none.
    fn of(percentile: f64, values: &[f64]) -> Option<Self> {
        Some(Self {
            percentile,
            median: median(values)?,
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(0.0, f64::max),
        })
    }
}

//! Judging two sides, A and B, scenario by scenario and metric by metric.
//!
//! A difference is flagged if the rank test, corrected for all comparisons of the report, is below
//! [`Policy::alpha`], and the medians differ by at least [`Metric::smallest_change`]. Runs that failed or are invalid
//! have no figures; failures of B that A does not have count as worse whatever the figures. Absent: measuring.

mod markdown;
mod page;

pub use markdown::markdown;
pub use page::page;

use crate::results::{Direction, Group, Metric, Run, group};
use crate::stats::bootstrap::{Estimate, Resampling, ratio_of_medians};
use crate::stats::family::holm;
use crate::stats::median;
use crate::stats::rank::{rank_test, smallest_p};

/// How to judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Chance of any false alarm in a whole report.
    pub alpha: f64,
    /// The intervals.
    pub resampling: Resampling,
}

impl Default for Policy {
    fn default() -> Self {
        Self { alpha: 0.05, resampling: Resampling::default() }
    }
}

/// What is to be said of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// No difference was shown, which does not prove that there is none.
    NotShown,
    /// So few runs that no difference whatever could have been shown.
    TooFewRuns,
}

impl Judgement {
    /// In a word or two.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::NotShown => "not shown",
            Self::TooFewRuns => "too few runs",
        }
    }
}

/// One metric of one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Which.
    pub metric: Metric,
    /// A's runs.
    pub a: Vec<f64>,
    /// B's runs.
    pub b: Vec<f64>,
    /// B over A; `None` if a value is not above 0.
    pub ratio: Option<Estimate>,
    /// Of the rank test, corrected for all comparisons of the report.
    pub p: f64,
    /// What follows.
    pub judgement: Judgement,
}

/// One scenario through one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Scenario, with the server's name where there are several.
    pub title: String,
    /// A's runs.
    pub a: Group,
    /// B's runs.
    pub b: Group,
    /// Metrics that both sides have.
    pub comparisons: Vec<Comparison>,
}

impl Scenario {
    /// Whether B failed its checks more often than A.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.b.failed() > self.a.failed()
    }
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Names of A and B.
    pub names: [String; 2],
    /// Scenarios that both have, in A's order.
    pub scenarios: Vec<Scenario>,
    /// What the reader should know before believing it.
    pub warnings: Vec<String>,
    /// How it was judged.
    pub policy: Policy,
}

impl Report {
    /// Compares the runs of B with those of A.
    #[must_use]
    pub fn new(names: [String; 2], a: &[Run], b: &[Run], policy: Policy) -> Self {
        let (groups_a, groups_b) = (group(a), group(b));
        // One server on either side is the thing compared, whatever it is called; of several, each with its like.
        let single = one_server(&groups_a) && one_server(&groups_b);
        let mut warnings = Vec::new();
        let mut scenarios = Vec::new();
        let matches =
            |of: &Group, with: &Group| of.key.label == with.key.label && (single || of.key.server == with.key.server);
        for of_a in &groups_a {
            let title =
                if single { of_a.key.label.clone() } else { format!("{} ({})", of_a.key.label, of_a.key.server) };
            match groups_b.iter().find(|of_b| matches(of_a, of_b)) {
                Some(of_b) => {
                    let comparisons = compare(of_a, of_b, policy);
                    scenarios.push(Scenario { title, a: of_a.clone(), b: of_b.clone(), comparisons });
                }
                None => warnings.push(format!("{title}: {} has no runs", names[1])),
            }
        }
        for of_b in groups_b.iter().filter(|of_b| !groups_a.iter().any(|of_a| matches(of_a, of_b))) {
            warnings.push(format!("{} ({}): {} has no runs", of_b.key.label, of_b.key.server, names[0]));
        }
        judge(&mut scenarios, policy);
        warnings.extend(doubts(&scenarios, a, b));
        Self { names, scenarios, warnings, policy }
    }

    /// Whether B is worse anywhere.
    #[must_use]
    pub fn worse(&self) -> bool {
        self.scenarios.iter().any(Scenario::broken) || self.count(Judgement::Worse) > 0
    }

    /// Comparisons with this judgement.
    #[must_use]
    pub fn count(&self, judgement: Judgement) -> usize {
        let all = self.scenarios.iter().flat_map(|scenario| &scenario.comparisons);
        all.filter(|comparison| comparison.judgement == judgement).count()
    }
}

fn one_server(groups: &[Group]) -> bool {
    groups.iter().all(|group| group.key.server == groups[0].key.server)
}

/// Every metric that both have, with p not yet corrected and no judgement.
fn compare(a: &Group, b: &Group, policy: Policy) -> Vec<Comparison> {
    let one = |&metric: &Metric| {
        let (a, b) = (a.values(metric), b.values(metric));
        let p = rank_test(&a, &b)?.p;
        let ratio = ratio_of_medians(&a, &b, policy.resampling);
        Some(Comparison { metric, a, b, ratio, p, judgement: Judgement::NotShown })
    };
    Metric::ALL.iter().filter_map(one).collect()
}

fn judge(scenarios: &mut [Scenario], policy: Policy) {
    let mut all: Vec<&mut Comparison> = scenarios.iter_mut().flat_map(|of| &mut of.comparisons).collect();
    let corrected = holm(&all.iter().map(|comparison| comparison.p).collect::<Vec<_>>());
    let questions = all.len() as f64;
    for (comparison, p) in all.iter_mut().zip(corrected) {
        comparison.p = p;
        let change = comparison.ratio.map_or(0.0, |of| of.ratio - 1.0);
        let more = change > 0.0;
        let good = more == (comparison.metric.direction() == Direction::Higher);
        comparison.judgement = if p <= policy.alpha && change.abs() >= comparison.metric.smallest_change() {
            if good { Judgement::Better } else { Judgement::Worse }
        } else if smallest_p(comparison.a.len(), comparison.b.len()) * questions > policy.alpha {
            Judgement::TooFewRuns
        } else {
            Judgement::NotShown
        };
    }
}

/// What makes a comparison doubtful, other than noise.
fn doubts(scenarios: &[Scenario], a: &[Run], b: &[Run]) -> Vec<String> {
    let mut doubts = Vec::new();
    for Scenario { title, a, b, .. } in scenarios {
        let first = a.all().next();
        if first.is_some_and(|first| !a.all().chain(b.all()).all(|run| run.same_parameters(first))) {
            doubts.push(format!("{title}: the runs have different parameters"));
        }
        for (name, of) in [("A", a), ("B", b)] {
            if !of.others.is_empty() {
                let (failed, all) = (of.failed(), of.all().count());
                let invalid = of.others.len() - failed;
                doubts.push(format!("{title}: of {all} runs of {name} {failed} failed and {invalid} were invalid"));
            }
        }
    }
    let mut hosts: Vec<_> = a.iter().chain(b).map(|run| &run.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.len() > 1 {
        doubts.push("the runs are from different machines, kernels or settings".into());
    }
    if hosts.iter().any(|host| host.congestion_control == "bbr") {
        doubts.push("measured under bbr, which paces loopback and distorts every figure".into());
    }
    let span = |runs: &[Run]| {
        let times = || runs.iter().map(|run| run.ended_unix_ms);
        times().min().zip(times().max())
    };
    if let (Some((first_a, last_a)), Some((first_b, last_b))) = (span(a), span(b))
        && (last_a < first_b || last_b < first_a)
    {
        doubts.push("all runs of one side are before those of the other: the machine's speed may have changed".into());
    }
    doubts
}

/// Median with digits enough to see a difference of a hundredth.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// [`figure`] of the median.
fn median_figure(values: &[f64]) -> String {
    median(values).map_or_else(|| "-".into(), figure)
}

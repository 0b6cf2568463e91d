//! The comparison as Markdown, for a terminal, a commit message or a review.

use super::{Judgement, Report, median_figure};
use std::fmt::Write;

/// Renders the report.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {} against {}\n\n", report.names[1], report.names[0]);
    let counts = [Judgement::Worse, Judgement::Better, Judgement::NotShown, Judgement::TooFewRuns]
        .map(|judgement| format!("{} {}", report.count(judgement), judgement.name()));
    let _ = writeln!(text, "{}.\n", counts.join(", "));
    for scenario in report.scenarios.iter().filter(|scenario| scenario.broken()) {
        let (a, b) = (scenario.a.failed(), scenario.b.failed());
        let _ = writeln!(text, "- **WORSE**: {}: {b} runs of B failed their checks, {a} of A", scenario.title);
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "- warning: {warning}");
    }
    let confidence = report.policy.resampling.confidence * 100.0;
    let _ = writeln!(text, "\n| scenario | metric | A | B | B/A | {confidence:.0} % interval | p | runs | B is |");
    let _ = writeln!(text, "|---|---|--:|--:|--:|:-:|--:|:-:|---|");
    for scenario in &report.scenarios {
        for of in &scenario.comparisons {
            let ratio = of.ratio.map_or_else(|| "-".into(), |of| format!("{:.3}", of.ratio));
            // Of a single run there is nothing to resample.
            let interval = of.ratio.filter(|_| of.a.len().min(of.b.len()) > 1);
            let interval = interval.map_or_else(|| "-".into(), |of| format!("{:.3} to {:.3}", of.low, of.high));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {ratio} | {interval} | {:.4} | {}+{} | {} |",
                scenario.title,
                of.metric.title(),
                median_figure(&of.a),
                median_figure(&of.b),
                of.p,
                of.a.len(),
                of.b.len(),
                of.judgement.name()
            );
        }
    }
    let _ = writeln!(
        text,
        "\nA and B: medians. p: Mann-Whitney, two-sided, Holm's correction over the report; flagged at {} if the change \
         is large enough to matter. Interval: bootstrap.",
        report.policy.alpha
    );
    text
}

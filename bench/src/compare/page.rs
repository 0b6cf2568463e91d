//! The comparison as a page with plots.

use super::{Report, Scenario, median_figure};
use crate::plot::{Chart, Line, Scale, Strip, escape, html, strips};
use crate::results::{Group, Metric};
use crate::stats::median;
use std::fmt::Write;

/// Renders the report as one self-contained HTML file.
#[must_use]
pub fn page(report: &Report) -> String {
    let [a, b] = report.names.each_ref().map(|name| escape(name));
    let mut body = format!("<p>A (blue): {a}. B (orange): {b}.</p>\n");
    for scenario in report.scenarios.iter().filter(|scenario| scenario.broken()) {
        let title = escape(&scenario.title);
        let _ = writeln!(body, "<p class=\"WORSE\">{title}: B failed its checks more often than A.</p>");
    }
    if !report.warnings.is_empty() {
        let items: String = report.warnings.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
        let _ = writeln!(body, "<p>Warnings:</p><ul>{items}</ul>");
    }
    body.push_str(&table(report));
    body.push_str(
        "<h2>Every run</h2>\n<p>Relative to A's median: above A's runs, below B's. Bar: interval of B's median.</p>\n\
         <div class=\"plots\">\n",
    );
    for metric in Metric::ALL {
        let rows: Vec<Strip> = report.scenarios.iter().filter_map(|scenario| strip(scenario, metric)).collect();
        body.push_str(&strips(metric.title(), &rows));
    }
    body.push_str(
        "</div>\n<h2>Latency</h2>\n<p>Microseconds by percentile: median of the runs, and their extremes.</p>\n\
         <div class=\"plots\">\n",
    );
    for scenario in &report.scenarios {
        body.push_str(&latency(scenario).svg());
    }
    body.push_str("</div>\n");
    html(&format!("{} against {}", report.names[1], report.names[0]), &body)
}

fn table(report: &Report) -> String {
    let mut text = String::from(
        "<table><tr><th>scenario</th><th>metric</th><th>A</th><th>B</th><th>B/A</th><th>interval</th><th>p</th>\
         <th>B is</th></tr>\n",
    );
    for scenario in &report.scenarios {
        for of in &scenario.comparisons {
            let ratio = of.ratio.map_or_else(
                || "<td>-</td><td>-</td>".into(),
                |of| format!("<td>{:.3}</td><td>{:.3} to {:.3}</td>", of.ratio, of.low, of.high),
            );
            let (title, judgement) = (escape(&scenario.title), of.judgement.name());
            let (a, b) = (median_figure(&of.a), median_figure(&of.b));
            let _ = writeln!(
                text,
                "<tr><td>{title}</td><td>{}</td><td>{a}</td><td>{b}</td>{ratio}<td>{:.4}</td>\
                 <td class=\"{judgement}\">{judgement}</td></tr>",
                of.metric.title(),
                of.p
            );
        }
    }
    text + "</table>\n"
}

fn strip(scenario: &Scenario, metric: Metric) -> Option<Strip> {
    let of = scenario.comparisons.iter().find(|of| of.metric == metric)?;
    let base = median(&of.a).filter(|base| *base > 0.0)?;
    let relative = |values: &[f64]| values.iter().map(|value| value / base).collect();
    let interval = of.ratio.map(|of| (of.low, of.high));
    Some(Strip { name: scenario.title.clone(), a: relative(&of.a), b: relative(&of.b), interval })
}

fn latency(scenario: &Scenario) -> Chart {
    let (a, b) = (scenario.a.latency_curve(), scenario.b.latency_curve());
    let mut percentiles: Vec<f64> = a.iter().chain(&b).map(|point| point.percentile).collect();
    percentiles.sort_unstable_by(f64::total_cmp);
    percentiles.dedup();
    let line = |name: &str, group: &Group| {
        let curve = group.latency_curve();
        let at = |of: &f64| curve.iter().find(|point| point.percentile == *of);
        Line {
            name: name.into(),
            values: percentiles.iter().map(|of| at(of).map(|point| point.median)).collect(),
            band: percentiles.iter().map(|of| at(of).map(|point| (point.least, point.most))).collect(),
        }
    };
    Chart {
        title: scenario.title.clone(),
        labels: percentiles.iter().map(|of| format!("{of} %")).collect(),
        lines: vec![line("A", &scenario.a), line("B", &scenario.b)],
        scale: Scale::Logarithmic,
    }
}

//! Plots as inline SVG, and the page around them: one file, no script, nothing loaded from anywhere.
//!
//! Colours come from the page's style, so both light and dark screens are served. Absent: interaction other than the
//! browser's own tool tips.

mod chart;

pub use chart::{Band, Chart, Line, Scale, Strip, strips};

/// Text for HTML, in and outside of attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A whole page; `body` is HTML already.
#[must_use]
pub fn html(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n{body}</html>\n"
    )
}

/// Series 0 to 5 have colours that are told apart with the common kinds of colour blindness (Okabe and Ito).
const STYLE: &str = "
:root { --ink: #222; --faint: #bbb; --back: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #555; --back: #181818 } }
body { font: 15px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2em auto;
  max-width: 76em; padding: 0 1em }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .15em .7em; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid var(--faint) }
.WORSE { color: #d55e00; font-weight: bold } .better { color: #009e73; font-weight: bold }
.plots { display: flex; flex-wrap: wrap; gap: 1em } svg { max-width: 100%; height: auto }
svg text { font-size: 11px; fill: var(--ink) } svg .title { font-size: 13px; font-weight: bold }
svg .grid { stroke: var(--faint); stroke-width: .6 }
svg .line { fill: none; stroke-width: 2 } svg .band { stroke: none; opacity: .15 }
svg .s0 { stroke: #0072b2; fill: #0072b2 } svg .s1 { stroke: #e69f00; fill: #e69f00 }
svg .s2 { stroke: #009e73; fill: #009e73 } svg .s3 { stroke: #cc79a7; fill: #cc79a7 }
svg .s4 { stroke: #56b4e9; fill: #56b4e9 } svg .s5 { stroke: #d55e00; fill: #d55e00 }
svg polyline.line { fill: none } svg circle { stroke: none; opacity: .8 }
";

//! Charts of lines over one axis, and rows of dots.

use super::escape;
use crate::compare::figure;
use std::fmt::Write;

/// Width of a chart, pixels.
const WIDTH: f64 = 520.0;
/// Height of a chart, pixels.
const HEIGHT: f64 = 280.0;
/// Room for labels on the left.
const LEFT: f64 = 70.0;
/// Room for the title.
const TOP: f64 = 30.0;
/// Room for labels below.
const BOTTOM: f64 = 50.0;
/// Room on the right.
const RIGHT: f64 = 15.0;
/// Lines that have colours of their own.
const COLOURS: usize = 6;
/// Ticks of a linear axis, about.
const TICKS: f64 = 5.0;
/// Labels below a chart, at most; of more, some are left out.
const LABELS_MAX: usize = 9;

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero, so that heights compare.
    Linear,
    /// Decades; values must be above 0, others are left out.
    Logarithmic,
}

/// The range around a line's points.
pub type Band = Vec<Option<(f64, f64)>>;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// A value for every label, or none.
    pub values: Vec<Option<f64>>,
    /// Lowest and highest for every value; may be empty.
    pub band: Band,
}

/// Lines over labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// What is below, from left to right.
    pub labels: Vec<String>,
    /// The lines.
    pub lines: Vec<Line>,
    /// The vertical axis.
    pub scale: Scale,
}

impl Chart {
    /// Draws it; empty if there is no value.
    #[must_use]
    pub fn svg(&self) -> String {
        let fits = |value: &f64| value.is_finite() && (self.scale == Scale::Linear || *value > 0.0);
        let values = || {
            let banded =
                self.lines.iter().flat_map(|line| line.band.iter().flatten()).flat_map(|&(low, high)| [low, high]);
            self.lines.iter().flat_map(|line| line.values.iter().flatten().copied()).chain(banded).filter(fits)
        };
        if values().next().is_none() {
            return String::new();
        }
        let (least, most) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let ticks = match self.scale {
            Scale::Linear => linear_ticks(least.min(0.0), most.max(0.0)),
            Scale::Logarithmic => decades(least, most),
        };
        let place = |value: f64| if self.scale == Scale::Linear { value } else { value.log10() };
        let (bottom, top) = (place(ticks[0]), place(ticks[ticks.len() - 1]));
        let y = |value: f64| HEIGHT - BOTTOM - (place(value) - bottom) / (top - bottom) * (HEIGHT - BOTTOM - TOP);
        let step = (WIDTH - LEFT - RIGHT) / self.labels.len().max(1) as f64;
        let x = |index: usize| LEFT + step * (index as f64 + 0.5);

        let mut svg = open(HEIGHT, &self.title);
        for &tick in &ticks {
            let at = y(tick);
            let end = WIDTH - RIGHT;
            let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{end}" y1="{at:.1}" y2="{at:.1}"/>"#);
            let label = tick_label(tick);
            let _ = write!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 6.0, at + 4.0);
        }
        let every = self.labels.len().div_ceil(LABELS_MAX).max(1);
        for (index, label) in self.labels.iter().enumerate().step_by(every) {
            let (x, y, label) = (x(index), HEIGHT - BOTTOM + 16.0, escape(label));
            let _ = write!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{label}</text>"#);
        }
        for (number, line) in self.lines.iter().enumerate() {
            let colour = number % COLOURS;
            let band: Vec<_> = line.band.iter().enumerate().filter_map(|(at, of)| Some((at, (*of)?))).collect();
            let band: Vec<_> = band.into_iter().filter(|(_, (low, high))| fits(low) && fits(high)).collect();
            let there = band.iter().map(|&(at, (_, high))| (at, high));
            let back = band.iter().rev().map(|&(at, (low, _))| (at, low));
            let outline = points(there.chain(back), x, y);
            let _ = write!(svg, r#"<polygon class="band s{colour}" points="{outline}"/>"#);
            let dots: Vec<_> = line.values.iter().enumerate().filter_map(|(at, of)| Some((at, (*of)?))).collect();
            let dots: Vec<_> = dots.into_iter().filter(|(_, value)| fits(value)).collect();
            let path = points(dots.iter().copied(), x, y);
            let _ = write!(svg, r#"<polyline class="line s{colour}" style="fill:none" points="{path}"/>"#);
            for &(at, value) in &dots {
                let tip =
                    format!("{}, {}: {}", line.name, self.labels.get(at).map_or("", |label| label), figure(value));
                dot(&mut svg, x(at), y(value), colour, &tip);
            }
            let (x, y) = (LEFT + 110.0 * number as f64, HEIGHT - 14.0);
            dot(&mut svg, x, y - 4.0, colour, &line.name);
            let _ = write!(svg, r#"<text x="{}" y="{y}">{}</text>"#, x + 8.0, escape(&line.name));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// One row of dots: the runs of two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// What it is.
    pub name: String,
    /// A's runs, relative to A's median.
    pub a: Vec<f64>,
    /// B's runs, relative to A's median.
    pub b: Vec<f64>,
    /// Interval of B's median, relative to A's.
    pub interval: Option<(f64, f64)>,
}

/// Draws rows of dots over one axis of ratios; empty if there is no value.
#[must_use]
pub fn strips(title: &str, rows: &[Strip]) -> String {
    const ROW: f64 = 34.0;
    const NAMES: f64 = 130.0;
    let values = || rows.iter().flat_map(|row| row.a.iter().chain(&row.b)).copied().filter(|value| value.is_finite());
    if values().next().is_none() {
        return String::new();
    }
    // A single wild run must not squeeze all others into a point: it is drawn at the edge.
    let (least, most) = values().fold((0.9, 1.1), |(a, b), value| (value.min(a), value.max(b)));
    let (least, most) = (least.max(0.5), most.min(2.0));
    let ticks = linear_ticks(least, most);
    let (from, to) = (ticks[0], ticks[ticks.len() - 1]);
    let x = |value: f64| NAMES + (value.clamp(from, to) - from) / (to - from) * (WIDTH - RIGHT - NAMES);
    let height = TOP + ROW * rows.len() as f64 + 24.0;
    let mut svg = open(height, title);
    for tick in ticks {
        let (at, end) = (x(tick), height - 20.0);
        let _ = write!(svg, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{end}"/>"#);
        let _ = write!(svg, r#"<text x="{at:.1}" y="{}" text-anchor="middle">{tick:.2}</text>"#, height - 6.0);
    }
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + ROW * number as f64;
        let _ = write!(svg, r#"<text x="0" y="{}">{}</text>"#, y + 20.0, escape(&row.name));
        for (colour, values, below) in [(0, &row.a, 10.0), (1, &row.b, 22.0)] {
            for &value in values.iter().filter(|value| value.is_finite()) {
                dot(&mut svg, x(value), y + below, colour, &format!("{value:.3}"));
            }
        }
        if let Some((low, high)) = row.interval {
            let at = y + 29.0;
            let (low, high) = (x(low), x(high));
            let _ = write!(svg, r#"<line class="s1" x1="{low:.1}" x2="{high:.1}" y1="{at}" y2="{at}"/>"#);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn open(height: f64, title: &str) -> String {
    let title = escape(title);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}">
<text class="title" x="0" y="16">{title}</text>"#
    )
}

fn dot(svg: &mut String, x: f64, y: f64, colour: usize, tip: &str) {
    let tip = escape(tip);
    let _ = write!(svg, r#"<circle class="s{colour}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{tip}</title></circle>"#);
}

fn points(of: impl Iterator<Item = (usize, f64)>, x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    of.map(|(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect::<Vec<_>>().join(" ")
}

/// Round numbers that enclose both.
fn linear_ticks(least: f64, most: f64) -> Vec<f64> {
    let span = if most > least { most - least } else { 1.0 };
    let raw = span / TICKS;
    let decade = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|of| of * decade).into_iter().find(|of| *of >= raw).unwrap_or(raw);
    let (first, last) = ((least / step).floor(), ((least + span) / step).ceil());
    (0..=(last - first) as usize).map(|index| (first + index as f64) * step).collect()
}

/// A tick's number as short as it can be written, with the digits of thousands apart.
fn tick_label(tick: f64) -> String {
    // Multiples of a step such as 0.1 carry the error of its representation.
    let text = format!("{}", (tick * 1e6).round() / 1e6);
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, after)| (whole, Some(after)));
    let mut label = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left % 3 == 0 && label != "-" {
            label.push(',');
        }
        label.push(digit);
    }
    fraction.map_or(label.clone(), |fraction| format!("{label}.{fraction}"))
}

/// Powers of ten that enclose both.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let first = least.log10().floor() as i32;
    let last = (most.log10().ceil() as i32).max(first + 1);
    (first..=last).map(|power| 10_f64.powi(power)).collect()
}

#[cfg(test)]
mod tests {
    use super::{decades, linear_ticks, tick_label};

    #[test]
    fn tick_labels_are_short() {
        let labels = [0.0, 0.5, 0.1 * 3.0, 20.0, 1500.0, 2_500_000.0, -500.0].map(tick_label);
        assert_eq!(labels, ["0", "0.5", "0.3", "20", "1,500", "2,500,000", "-500"]);
    }

    #[test]
    fn ticks_are_round_and_enclose() {
        assert_eq!(linear_ticks(0.0, 9.3), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear_ticks(0.0, 0.0).first(), Some(&0.0));
        assert_eq!(decades(30.0, 2000.0), [10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(decades(10.0, 10.0), [10.0, 100.0]);
    }
}

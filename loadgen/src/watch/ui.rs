//! The full-screen view.
//!
//! `q` and Ctrl-C end the run early and in order, a second Ctrl-C at once. The terminal is put back by the view's end, by
//! a panic on any thread, and by [`restore`]. Absent: any influence on the run but that.

use super::interrupt::end_at_once;
use super::{time_or_dash, warnings};
use crate::figures::grouped;
use crate::live::Snapshot;
use crate::stage::Event;
use crossterm::event::{self, Event as Input, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};
use ratatui::{DefaultTerminal, Frame};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Seconds that the sparklines remember.
const HISTORY: usize = 300;

/// Whether the terminal is ours.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back if it is ours.
pub(super) fn restore() {
    if OPEN.swap(false, Ordering::AcqRel) {
        ratatui::restore();
    }
}

/// The view; the terminal is put back with this value.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
    picture: Picture,
    events: Sender<Event>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(super) fn open(title: String, events: Sender<Event>) -> io::Result<Self> {
        // Puts the terminal back on a panic as well.
        let terminal = ratatui::try_init()?;
        OPEN.store(true, Ordering::Release);
        Ok(Self { terminal, picture: Picture::new(title), events })
    }

    /// Draws, and does what keys ask for.
    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        self.picture.remember(snapshot);
        // A terminal that is gone ends the view's usefulness, not the run.
        let _ = self.terminal.draw(|frame| self.picture.draw(frame, snapshot));
        while event::poll(Duration::ZERO).unwrap_or(false) {
            let Ok(Input::Key(key)) = event::read() else { continue };
            let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if key.kind != KeyEventKind::Press || !(control_c || key.code == KeyCode::Char('q')) {
                continue;
            }
            if control_c && self.picture.ending {
                end_at_once();
            }
            if !self.picture.ending {
                self.picture.ending = true;
                let _ = self.events.send(Event::Interrupted);
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// What is drawn.
#[derive(Debug)]
struct Picture {
    title: String,
    /// The number of the last second in the history, and whether there is one.
    last: Option<u64>,
    /// Sent, delivered, p50, p99, maximum; newest first.
    history: [VecDeque<u64>; 5],
    /// An end has been asked for.
    ending: bool,
}

impl Picture {
    fn new(title: String) -> Self {
        Self { title, last: None, history: Default::default(), ending: false }
    }

    fn remember(&mut self, snapshot: &Snapshot) {
        let second = &snapshot.second;
        if second.busy_ns + second.idle_ns == 0 || self.last == Some(second.number) {
            return;
        }
        self.last = Some(second.number);
        let at = |share| second.end_to_end.quantile(share).unwrap_or(0);
        let values = [second.sent, second.delivered, at(0.5), at(0.99), at(1.0)];
        for (line, value) in self.history.iter_mut().zip(values) {
            line.push_front(value);
            line.truncate(HISTORY);
        }
    }

    fn draw(&self, frame: &mut Frame<'_>, snapshot: &Snapshot) {
        let fixed = |rows| Constraint::Length(rows);
        let charts = [Constraint::Fill(1); 5];
        let rows = [fixed(1), fixed(1)].into_iter().chain(charts).chain([fixed(5), fixed(2), fixed(1)]);
        let areas = Layout::vertical(rows).split(frame.area());
        let head = format!("ringmq-loadgen {}   {:.0} s", self.title, snapshot.elapsed_s);
        frame.render_widget(Line::from(head), areas[0]);
        let left = snapshot.left_s.map_or_else(String::new, |left| format!(", {left:.0} s left"));
        let phase = format!("{}{left}", snapshot.phase_name());
        let gauge = Gauge::default().ratio(super::progress::share(snapshot)).label(phase);
        frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Blue).bg(Color::Black)), areas[1]);

        let (second, counters) = (&snapshot.second, &snapshot.counters);
        let at = |share| time_or_dash(second.end_to_end.quantile(share));
        let titles = [
            format!("sent {}/s", grouped(second.sent)),
            format!("delivered {}/s", grouped(second.delivered)),
            format!("p50 {}", at(0.5)),
            format!("p99 {}", at(0.99)),
            format!("max {}", at(1.0)),
        ];
        for (number, title) in titles.into_iter().enumerate() {
            chart(frame, areas[2 + number], title, &self.history[number]);
        }

        let broker = snapshot.broker.map_or_else(
            || "broker       not watched (--pid)".into(),
            |load| format!("broker       {:.2} cores, {:.1} MB", load.cores, load.rss_bytes as f64 / 1e6),
        );
        let lines = [
            format!(
                "clients      {} of {} open, {} connected, {} subscribed",
                grouped(counters.open),
                grouped(snapshot.clients),
                grouped(counters.connected),
                grouped(counters.subscribed)
            ),
            format!(
                "messages     {} sent, {} delivered, {} acknowledged",
                grouped(counters.sent),
                grouped(counters.delivered),
                grouped(counters.acknowledged)
            ),
            format!(
                "problems     {} missing, {} duplicates, {} reordered, {} damaged, {} errors",
                counters.missing,
                counters.duplicates,
                counters.reordered,
                counters.damaged,
                snapshot.error_count()
            ),
            broker,
            format!(
                "generator    busy {:.0} %, lag p99 {}",
                second.busy_share() * 100.0,
                time_or_dash(second.lag.quantile(0.99))
            ),
        ];
        frame.render_widget(Paragraph::new(lines.map(Line::from).to_vec()), areas[7]);
        let mut doubts = warnings(snapshot);
        if let Some((what, count)) = snapshot.errors.iter().max_by_key(|(_, count)| **count) {
            doubts.push(format!("{count} x {what}"));
        }
        let doubts: Vec<Line<'_>> = doubts.into_iter().map(Line::from).collect();
        frame.render_widget(
            Paragraph::new(doubts).style(Style::new().fg(Color::White).bg(Color::Red)),
            warned(areas[8], snapshot),
        );
        let keys = if self.ending { "ending: Ctrl-C again ends at once" } else { "q ends the run early and reports" };
        frame.render_widget(Line::from(keys), areas[9]);
    }
}

/// The area of warnings: none of it red without one.
fn warned(area: Rect, snapshot: &Snapshot) -> Rect {
    let count = warnings(snapshot).len() + usize::from(!snapshot.errors.is_empty());
    Rect { height: area.height.min(count as u16), ..area }
}

/// A sparkline with its newest second at the right.
fn chart(frame: &mut Frame<'_>, area: Rect, title: String, history: &VecDeque<u64>) {
    let data: Vec<u64> = history.iter().take(area.width as usize).rev().copied().collect();
    let block = Block::new().title(title);
    frame.render_widget(Sparkline::default().data(data).block(block).style(Style::new().fg(Color::Green)), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{BrokerLoad, Distribution};
    use crate::stage::Phase;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(picture: &Picture, snapshot: &Snapshot, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| picture.draw(frame, snapshot)).unwrap();
        terminal.backend().to_string()
    }

    fn second(number: u64) -> Snapshot {
        let mut snapshot =
            Snapshot { phase: Phase::Traffic, measuring: true, left_s: Some(42.0), ..Snapshot::new(200) };
        snapshot.counters.open = 199;
        snapshot.second.number = number;
        (snapshot.second.sent, snapshot.second.delivered) = (1000 * number, 12_345);
        (snapshot.second.busy_ns, snapshot.second.idle_ns) = (30, 70);
        snapshot.second.end_to_end = Distribution::from_pairs([(100, 50), (4000, 50)]);
        snapshot.broker = Some(BrokerLoad { cores: 0.5, rss_bytes: 12_000_000 });
        snapshot
    }

    #[test]
    fn a_healthy_run_is_shown_without_a_warning() {
        let mut picture = Picture::new("p2p on 127.0.0.1:1883".into());
        for number in 1..=9 {
            picture.remember(&second(number));
            picture.remember(&second(number));
        }
        assert_eq!(picture.history[0].len(), 9, "each second once");
        let text = drawn(&picture, &second(9), 80, 30);
        for part in [
            "p2p on 127.0.0.1:1883",
            "measure, 42 s left",
            "sent 9,000/s",
            "delivered 12,345/s",
            "p50 100 us",
            "p99 4.0 ms",
            "199 of 200 open",
            "0.50 cores, 12.0 MB",
            "busy 30 %, lag p99 -",
            "q ends the run",
            "█",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("bottleneck"), "{text}");
    }

    #[test]
    fn a_generator_at_its_limit_and_errors_cannot_be_missed() {
        let mut picture = Picture::new("p2p".into());
        picture.ending = true;
        let mut snapshot = second(1);
        snapshot.second.busy_ns = 10_000;
        snapshot.errors.insert("connection closed by the broker".into(), 5);
        let text = drawn(&picture, &snapshot, 90, 30);
        assert!(text.contains("the generator is the bottleneck: busy 99 %"), "{text}");
        assert!(text.contains("5 x connection closed") && text.contains("Ctrl-C again"), "{text}");
        // A window too small for everything must do no harm.
        drawn(&picture, &snapshot, 10, 3);
    }
}

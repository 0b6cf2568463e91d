//! All results as one page of trends.
//!
//! A point is the median of a scenario's runs through a server, of one commit on one machine. The speed of a machine
//! wanders, so absolute figures of different days compare badly; where the floor was measured with it, CPU time is also
//! shown as a ratio to the floor, which compares well. Absent: any judgement; that takes interleaved runs.

use crate::plot::{Chart, Line, Scale, html};
use crate::results::{Group, Host, Metric, Run, group};
use std::fmt::Write;

/// The server that is the lower bound of cost.
const FLOOR: &str = "floor";

/// Runs of one commit on one machine.
#[derive(Debug, Clone, PartialEq)]
struct Session {
    commit: String,
    host: Host,
    groups: Vec<Group>,
}

impl Session {
    fn value(&self, label: &str, server: &str, metric: Metric) -> Option<f64> {
        self.groups.iter().find(|of| of.key.label == label && of.key.server == server)?.median(metric)
    }
}

/// Renders runs, of any number of files, as one self-contained HTML file.
#[must_use]
pub fn page(runs: &[Run]) -> String {
    let sessions = sessions(runs);
    let groups = group(runs);
    let mut labels: Vec<&str> = groups.iter().map(|of| of.key.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    let mut body = format!(
        "<p>{} runs, {} commits and machines, oldest first. Each point is a median.</p>\n",
        runs.len(),
        sessions.len()
    );
    for label in labels {
        let mut servers: Vec<&str> =
            groups.iter().filter(|of| of.key.label == label).map(|of| of.key.server.as_str()).collect();
        servers.sort_unstable();
        let _ = writeln!(body, "<h2>{}</h2>\n<div class=\"plots\">", crate::plot::escape(label));
        let chart = |title: &str, servers: &[&str], value: &dyn Fn(&Session, &str) -> Option<f64>| {
            let line = |server: &&str| Line {
                name: (*server).into(),
                values: sessions.iter().map(|session| value(session, server)).collect(),
                band: Vec::new(),
            };
            let labels = sessions.iter().map(|session| session.commit.chars().take(7).collect()).collect();
            Chart { title: title.into(), labels, lines: servers.iter().map(line).collect(), scale: Scale::Linear }.svg()
        };
        // With the floor, although it is 1, so that every server has the same colour in all plots.
        body.push_str(&chart("server CPU, ratio to the floor", &servers, &|session, server| {
            let floor = session.value(label, FLOOR, Metric::Cpu).filter(|floor| *floor > 0.0)?;
            Some(session.value(label, server, Metric::Cpu)? / floor)
        }));
        for metric in Metric::ALL {
            let value = |session: &Session, server: &str| session.value(label, server, metric);
            body.push_str(&chart(metric.title(), &servers, &value));
        }
        body.push_str("</div>\n");
    }
    html("Results over time", &body)
}

/// By commit and machine, in the order of their first runs.
fn sessions(runs: &[Run]) -> Vec<Session> {
    let mut ordered: Vec<&Run> = runs.iter().collect();
    ordered.sort_by_key(|run| run.ended_unix_ms);
    let mut sessions: Vec<(Session, Vec<Run>)> = Vec::new();
    for run in ordered {
        let same = |(session, _): &(Session, Vec<Run>)| session.commit == run.commit && session.host == run.host;
        let at = sessions.iter().position(same).unwrap_or_else(|| {
            let session = Session { commit: run.commit.clone(), host: run.host.clone(), groups: Vec::new() };
            sessions.push((session, Vec::new()));
            sessions.len() - 1
        });
        sessions[at].1.push(run.clone());
    }
    sessions.into_iter().map(|(session, runs)| Session { groups: group(&runs), ..session }).collect()
}

//! Reading a file of results.

use super::{Run, SCHEMA_MAX};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longest file that is read, bytes: some hundred thousand runs.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why results could not be read.
#[derive(Debug)]
pub enum Problem {
    /// The file cannot be read, or is too long, or is not text.
    File(io::Error),
    /// A line is not a result.
    Line {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A line was written by a newer version.
    Newer {
        /// Its number, from 1.
        number: usize,
        /// Its version.
        schema: u32,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(to),
            Self::Line { number, error } => write!(to, "line {number}: {error}"),
            Self::Newer { number, schema } => {
                write!(to, "line {number} has schema {schema}; this version knows those up to {SCHEMA_MAX}")
            }
        }
    }
}

impl std::error::Error for Problem {}

/// Reads a file; no run is left out, so one bad line fails it.
///
/// # Errors
/// See [`Problem`].
pub fn read_file(path: &Path) -> Result<Vec<Run>, Problem> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(Problem::File)
        .and_then(|read| {
            let longer = || Problem::File(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
            if read as u64 > FILE_BYTES_MAX { Err(longer()) } else { Ok(()) }
        })?;
    parse(&text)
}

/// Reads lines; empty ones are skipped.
///
/// # Errors
/// [`Problem::Line`] and [`Problem::Newer`].
pub fn parse(text: &str) -> Result<Vec<Run>, Problem> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| parse_line(index + 1, line)).collect()
}

fn parse_line(number: usize, line: &str) -> Result<Run, Problem> {
    /// What every version has.
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u32,
    }
    // First the version alone: a newer line may lack what this version insists on.
    let at_line = |error| Problem::Line { number, error };
    let Version { schema } = serde_json::from_str(line).map_err(at_line)?;
    if schema > SCHEMA_MAX {
        return Err(Problem::Newer { number, schema });
    }
    let mut run: Run = serde_json::from_str(line).map_err(at_line)?;
    // A line straight from the generator has no label; its scenario's own name is the next best.
    if run.label.is_empty() {
        run.label = run.scenario.get("name").and_then(serde_json::Value::as_str).unwrap_or("unnamed").to_owned();
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::{Problem, parse};
    use crate::results::{Metric, group};

    /// As short as a line can be.
    const LEAST: &str = r#"{"schema":1,"scenario":{"name":"p2p"},"verdict":"passed","connect":{},"traffic":{}}"#;

    /// As the generator writes it and `scripts/bench` labels it, shortened.
    const FULL: &str = r#"{"schema":1,"version":"0.1.0","ended_unix_ms":1795422636039,"host":{"kernel":"6.18","cpu":"x",
        "cpus":2,"congestion_control":"reno"},"scenario":{"name":"p2p","target":"127.0.0.1:40005","qos":1},
        "verdict":"passed","reasons":[],"connect":{"connected":200,"per_second":5698.8,"broker_cpu_us":12.469,
        "broker_bytes":327.68},"traffic":{"delivered":324304,"delivered_per_second":161250.0},"latency":{"end_to_end":
        {"count":324304,"p50_us":9232.38,"p90_us":17022.98,"p99_us":40173.57,"p999_us":64258.05}},
        "broker":{"cpu_us_per_delivery":0.771952},"errors":{},"server":"floor","label":"p2p-q1-w16","round":1}"#;

    #[test]
    fn figures_are_found_by_their_names() {
        let run = &parse(&FULL.replace('\n', " ")).unwrap()[0];
        let figures = Metric::ALL.map(|metric| metric.of(run).unwrap());
        assert_eq!(figures, [0.771_952, 161_250.0, 9232.38, 40_173.57, 64_258.05, 327.68]);
        assert_eq!((run.label.as_str(), run.server.as_str(), run.round), ("p2p-q1-w16", "floor", 1));
        assert_eq!(run.host.congestion_control, "reno");
    }

    #[test]
    fn without_messages_the_figures_are_those_of_connecting() {
        let line = FULL.replace('\n', " ").replace(r#""delivered":324304"#, r#""delivered":0"#);
        let run = &parse(&line.replace("end_to_end", "connack")).unwrap()[0];
        assert_eq!(Metric::Cpu.of(run), Some(12.469));
        assert_eq!(Metric::Throughput.of(run), Some(5698.8));
        assert_eq!(Metric::P50.of(run), Some(9232.38));
    }

    #[test]
    fn what_is_missing_is_unknown() {
        let runs = parse(&format!("\n{LEAST}\n\n")).unwrap();
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].label, "p2p");
        assert!(Metric::ALL.iter().all(|metric| metric.of(&runs[0]).is_none()));
    }

    #[test]
    fn the_port_is_no_parameter() {
        let port = |port: &str| parse(&FULL.replace('\n', " ").replace("40005", port)).unwrap().remove(0);
        assert!(port("1").same_parameters(&port("2")));
        assert!(!port("1").same_parameters(&parse(LEAST).unwrap()[0]));
    }

    #[test]
    fn a_bad_line_is_named() {
        let text = format!("{LEAST}\nnonsense\n");
        assert!(matches!(parse(&text), Err(Problem::Line { number: 2, .. })));
        let newer = format!("{LEAST}\n{}\n", r#"{"schema":2}"#);
        assert!(matches!(parse(&newer), Err(Problem::Newer { number: 2, schema: 2 })));
    }

    #[test]
    fn curves_are_of_whole_distributions_where_every_run_has_one() {
        let full = FULL.replace('\n', " ");
        let times = crate::results::histogram::encode_for_tests(1..=1000);
        let with =
            |text: &str| full.replace(r#""broker":"#, &format!(r#""histograms":{{"end_to_end":"{text}"}},"broker":"#));
        let curve = |lines: &[&str]| group(&parse(&lines.join("\n")).unwrap())[0].latency_curve();
        let of = curve(&[&with(&times)]);
        assert_eq!(of.len(), 11);
        let at = |percentile| of.iter().find(|point| point.percentile == percentile).unwrap().median;
        assert!((at(10.0) - 100.0).abs() < 0.2 && (at(99.5) - 995.0).abs() < 1.0, "{of:?}");
        assert_eq!(curve(&[&with(&times), &full]).len(), 4, "one run has none");
        assert_eq!(curve(&[&with("nonsense")]).len(), 4, "no histogram");
    }

    #[test]
    fn only_runs_that_passed_have_figures() {
        let full = FULL.replace('\n', " ");
        let text = [full.as_str(), &full.replace("passed", "failed"), &full.replace("floor", "ringmq")].join("\n");
        let groups = group(&parse(&text).unwrap());
        let sizes: Vec<_> = groups.iter().map(|of| (of.key.server.as_str(), of.passed.len(), of.failed())).collect();
        assert_eq!(sizes, [("floor", 1, 1), ("ringmq", 1, 0)]);
        assert_eq!(groups[0].median(Metric::Cpu), Some(0.771_952));
        assert_eq!(groups[0].latency_curve().len(), 4);
    }
}

//! `ringmq-compare`: judges two sides of measured results. See [`ringmq_bench::compare`].

use clap::Parser;
use ringmq_bench::compare::{Policy, Report, markdown, page};
use ringmq_bench::results::{Run, read_file};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compares two files of results, or two sides within one, and prints Markdown.
///
/// Exit status: 0 if B is nowhere worse, 1 if it is, 2 if there is nothing to compare or a file cannot be read.
#[derive(Debug, Parser)]
#[command(name = "ringmq-compare", version)]
struct Arguments {
    /// A's results, or both sides'.
    a: PathBuf,
    /// B's results.
    #[arg(required_unless_present = "sides", conflicts_with = "sides")]
    b: Option<PathBuf>,
    /// The two sides within one file, each the name of a server or the beginning of a commit.
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1)]
    sides: Vec<String>,
    /// Names of A and B in the report.
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1)]
    names: Vec<String>,
    /// Chance of any false alarm in the whole report.
    #[arg(long, default_value_t = Policy::default().alpha)]
    alpha: f64,
    /// Also write a page with plots here.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(error) => {
            eprintln!("ringmq-compare: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether B is worse.
fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    if !(arguments.alpha > 0.0 && arguments.alpha < 1.0) {
        return Err("--alpha is between 0 and 1".into());
    }
    let (names, a, b) = sides(arguments)?;
    let names = match arguments.names.as_slice() {
        [] => names,
        [a, b] => [a.clone(), b.clone()],
        _ => return Err("--names takes two names with a comma between".into()),
    };
    let report = Report::new(names, &a, &b, Policy { alpha: arguments.alpha, ..Policy::default() });
    if report.scenarios.is_empty() {
        return Err("no scenario has runs of both sides".into());
    }
    print!("{}", markdown(&report));
    if let Some(path) = &arguments.html {
        std::fs::write(path, page(&report)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report.worse())
}

type Sides = ([String; 2], Vec<Run>, Vec<Run>);

fn sides(arguments: &Arguments) -> Result<Sides, Box<dyn Error>> {
    let a = read(&arguments.a)?;
    if let Some(path) = &arguments.b {
        let names = [&arguments.a, path].map(|path| path.display().to_string());
        return Ok((names, a, read(path)?));
    }
    let [first, second] = arguments.sides.as_slice() else {
        return Err("--sides takes two names with a comma between".into());
    };
    let of = |name: &String| -> Vec<Run> {
        a.iter().filter(|run| run.server == *name || run.commit.starts_with(name.as_str())).cloned().collect()
    };
    Ok(([first.clone(), second.clone()], of(first), of(second)))
}

fn read(path: &Path) -> Result<Vec<Run>, String> {
    read_file(path).map_err(|error| format!("{}: {error}", path.display()))
}

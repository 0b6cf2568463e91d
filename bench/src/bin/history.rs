//! `ringmq-history`: renders results as a page of trends. See [`ringmq_bench::history`].

use clap::Parser;
use ringmq_bench::{history, results};
use std::path::PathBuf;
use std::process::ExitCode;

/// Renders files of results as one HTML page of trends.
#[derive(Debug, Parser)]
#[command(name = "ringmq-history", version)]
struct Arguments {
    /// Results, in any order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where the page goes.
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmq-history: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut runs = Vec::new();
    for path in &arguments.files {
        runs.extend(results::read_file(path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    std::fs::write(&arguments.html, history::page(&runs))
        .map_err(|error| format!("{}: {error}", arguments.html.display()))
}

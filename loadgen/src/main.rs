//! `ringmq-loadgen`: reads the command line, runs one scenario, reports, and turns the verdict into an exit code.

use clap::Parser;
use mimalloc::MiMalloc;
use ringmq_loadgen::{cli::Cli, run};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Exit code of a run that could not be set up; clap uses the same one for a command line it cannot read.
const EXIT_SETUP: u8 = 2;

fn main() -> ExitCode {
    match run::execute(&Cli::parse()) {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(problem) => {
            eprintln!("ringmq-loadgen: {problem}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

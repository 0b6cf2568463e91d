//! `ringmq`, the broker: reads the command line and the configuration, and runs the shards.
//!
//! Exit codes: 0 after a graceful stop, 1 after a failure at run time, 2 for a wrong command line or configuration;
//! `check-config` ends with 0 or 1.
#![forbid(unsafe_code)]

mod alarms;
mod banned;
mod banner;
mod check;
mod cli;
mod config;
mod control;
mod counters;
mod ctl;
mod data_file;
mod durable;
mod listeners;
mod log;
mod machine;
mod monitoring;
mod process;
mod rewrite;
#[cfg(test)]
mod scratch;
mod signals;
mod sys;
mod sysmon;
mod timestamp;
mod topic_metrics;
mod topology;
mod trace;
mod wall_clock;
mod watch;

use clap::Parser;
use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code after a failure at run time.
const FAILED: u8 = 1;

/// Exit code for a wrong command line or configuration; the same as the command line parser's own.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    exit_on_panic();
    let cli = cli::Cli::parse();
    if cli.print_keys {
        banner::say(&config::reference_page());
        return ExitCode::SUCCESS;
    }
    let action = cli.action.clone();
    let layers = cli.layers(std::env::vars_os());
    if let Some(cli::Action::Ctl { json, socket, ask }) = action {
        return match socket.map_or_else(|| config::data_dir(&layers).map(|dir| control::socket::path(&dir)), Ok) {
            Ok(socket) => conclude(ctl::run(&socket, ask, json)),
            Err(problems) => misused(&problems),
        };
    }
    let loaded = config::load(&layers);
    if let Some(cli::Action::CheckConfig) = action {
        return ExitCode::from(if check::report(&loaded) { 0 } else { FAILED });
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(problems) => return misused(&problems),
    };
    loaded.warnings.iter().for_each(|warning| banner::warn(warning));
    if let Some(cli::Action::PrintConfig { origin }) = action {
        banner::say(&check::print(&loaded, origin));
        return ExitCode::SUCCESS;
    }
    conclude(process::run(layers, loaded).map(|()| true))
}

fn misused(problems: &config::Problems) -> ExitCode {
    banner::fail(&problems.0);
    ExitCode::from(MISUSED)
}

fn conclude(done: Result<bool, config::Problem>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(problem) => {
            banner::fail(&[problem]);
            ExitCode::from(FAILED)
        }
    }
}

/// A panic on any thread ends the process: a broker with a shard missing would lose messages in silence.
fn exit_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        banner::fail(&[config::Problem::new("ringmq has a defect and must stop; the lines above say where")]);
        std::process::exit(i32::from(FAILED));
    }));
}

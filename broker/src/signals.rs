//! What signals do: SIGTERM and SIGINT stop, a second one exits at once, SIGUSR1 prints the counters, SIGHUP
//! reads the configuration files again.
//!
//! `signal-hook` because its handlers only write to a pipe, and a thread of ours does the work without any `unsafe`.
//! SIGPIPE needs nothing: Rust programs start with it ignored.

use crate::banner;
use crate::control::Console;
use crate::counters::SharedCounters;
use crate::log;
use ringmq_drive::Control;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::{io, process, thread};

/// Exit code when a graceful stop was cut short.
const FORCED: i32 = 1;

/// Handles signals from now on, on a thread of its own that lives as long as the process.
///
/// # Errors
/// The handlers cannot be set, or the thread cannot be started.
pub(crate) fn watch(control: Control, counters: Arc<SharedCounters>, console: Arc<Console>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut stopping = false;
        for signal in signals.forever() {
            if signal == SIGUSR1 {
                banner::say(&counters.report(&control));
            } else if signal == SIGHUP {
                reload(&console);
            } else if stopping {
                banner::say("exiting at once\n");
                process::exit(FORCED);
            } else {
                stopping = true;
                tracing::info!(target: log::module::BROKER, signal, "stopping");
                banner::say("stopping; once more to exit at once\n");
                control.request_stop();
            }
        }
    })?;
    Ok(())
}

fn reload(console: &Console) {
    match console.reload() {
        Ok((changed, warnings)) => {
            warnings.iter().for_each(|warning| banner::warn(warning));
            let lines: String = changed.iter().map(|row| format!("  {} = {}\n", row.key, row.value)).collect();
            banner::say(&format!("configuration read again, {} changed\n{lines}", changed.len()));
        }
        Err(problems) => {
            banner::fail(&problems.0);
            banner::say("configuration not changed\n");
        }
    }
}

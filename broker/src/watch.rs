//! A thread that looks after a running broker once a second: it has clients banned that flap, alarms
//! raised, warnings about the run time told, rates measured, and the most remembered that there has been of anything.
//!
//! Absent: anything that a client waits for.

use crate::config::Problem;
use crate::control::{Console, RunTime};
use crate::log::module;
use crate::sysmon::Sysmon;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks from now on, on a thread of its own that lives as long as the process.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(console: Arc<Console>) -> io::Result<()> {
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        let (mut sysmon, mut run_time) = (Sysmon::new(console.sysmon(), Instant::now()), RunTime::default());
        loop {
            // An early return does no harm.
            thread::park_timeout(INTERVAL);
            if let Err(problem) = look(&console, &mut sysmon, &mut run_time) {
                tracing::warn!(target: module::BROKER, reason = %problem.message, "watch_failed");
            }
        }
    })?;
    Ok(())
}

fn look(console: &Console, sysmon: &mut Sysmon, run_time: &mut RunTime) -> Result<(), Problem> {
    let now = Instant::now();
    console.note_largest();
    sysmon.set(console.sysmon(), now);
    sysmon.measure(now).iter().for_each(|reading| console.note_reading(reading));
    console.warn_of_run_time(run_time);
    console.look_at_topics(now)?;
    console.ban_flapping()?;
    console.check_congestion()?;
    console.save_alarms()
}

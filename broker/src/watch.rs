//! A thread that looks after a running broker once a second: it has clients banned that flap.
//!
//! Absent: anything that a client waits for.

use crate::banner;
use crate::control::Console;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks from now on, on a thread of its own that lives as long as the process.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(console: Arc<Console>) -> io::Result<()> {
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        loop {
            // An early return does no harm.
            thread::park_timeout(INTERVAL);
            match console.ban_flapping() {
                Ok(Some(told)) => banner::warn(&told),
                Ok(None) => {}
                Err(problem) => banner::warn(&problem),
            }
        }
    })?;
    Ok(())
}

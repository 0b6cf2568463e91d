//! SIGINT and SIGTERM: the first ends the run early with a report, the second ends the process at once.

use super::ui;
use crate::stage::Event;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

/// Exit code of a process that was told twice to end: that of one killed by SIGINT.
pub const EXIT_INTERRUPTED: i32 = 130;

/// Handles the signals for as long as this value lives.
#[derive(Debug)]
pub struct Interrupts {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Interrupts {
    /// Handles signals from now on, on a thread of its own.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn handle(events: Sender<Event>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let body = move || {
            for (count, _) in signals.forever().enumerate() {
                if count > 0 {
                    end_at_once();
                }
                // The main thread may be done with the run already.
                let _ = events.send(Event::Interrupted);
            }
        };
        let thread = thread::Builder::new().name("signals".into()).spawn(body)?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ends the process without a report, and leaves the terminal as it was.
pub(super) fn end_at_once() -> ! {
    ui::restore();
    std::process::exit(EXIT_INTERRUPTED);
}

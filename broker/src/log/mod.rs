//! The log: what the broker notes for its operator, as lines on standard error, in files, or both.
//!
//! Notes are made with `tracing`'s macros, from any thread. A thread that makes one does two things: it asks whether a
//! note of this level and module is wanted (atomics, no lock), and puts it into a bounded queue; if that is full, the
//! note is lost and counted. So no shard ever waits for a log. Everything else (holding repetitions back, wording,
//! writing, changing files) is the work of one thread, [`writer`].
//!
//! The banner and what is wrong with the configuration are told to whoever starts the broker, by [`crate::banner`], and
//! are no part of the log.
//!
//! Absent: spans, which `tracing` has and nothing here uses.

mod file;
mod format;
mod level;
mod levels;
mod note;
mod settings;
mod shards;
mod subscriber;
mod throttle;
mod writer;

pub(crate) use level::Level;
pub(crate) use levels::{Handler, LEVELS, MODULES, module};
pub(crate) use settings::{DEFAULT_FILE, FILES_MAX, FileSettings, Formatter, LogSettings, TimeOffset, TimestampFormat};
pub(crate) use shards::{note_dropped, note_event, note_refused, notes_all};
pub(crate) use subscriber::lost;
pub(crate) use writer::Guard;

use crate::config::Problem;

/// Takes notes from now on, as long as what is returned; then writes out what is there.
///
/// # Errors
/// A file of the log cannot be opened.
pub(crate) fn install(settings: &LogSettings) -> Result<Guard, Problem> {
    LEVELS.set(settings);
    let (queue, notes) = subscriber::queue();
    let guard = writer::start(settings, notes, queue.clone())?;
    // Fails only if there is one, as in tests that share a process.
    let _ = tracing::subscriber::set_global_default(subscriber::Subscriber::new(queue));
    Ok(guard)
}

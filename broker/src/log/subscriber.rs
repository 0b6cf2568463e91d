//! What `tracing` calls on the thread that makes a note: is it wanted, and if so, into the queue with it.

use super::Level;
use super::levels::LEVELS;
use super::note::Note;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata};

/// Notes that may wait to be written.
const QUEUE_NOTES_MAX: usize = 8192;

/// Notes lost because the queue was full, or because they could not be written.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many notes were lost so far.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Counts one that is lost.
pub(super) fn lose() {
    LOST.fetch_add(1, Ordering::Relaxed);
}

/// What waits for the writing thread.
#[derive(Debug)]
pub(super) enum Waiting {
    Note(Note),
    /// Say so once everything before this is written.
    Flush(SyncSender<()>),
}

/// The end of the queue that everybody has.
pub(super) type Queue = SyncSender<Waiting>;

/// A queue, and the end of it that is read.
pub(super) fn queue() -> (Queue, Receiver<Waiting>) {
    mpsc::sync_channel(QUEUE_NOTES_MAX)
}

/// Puts notes into the queue.
#[derive(Debug)]
pub(super) struct Subscriber {
    queue: Queue,
}

impl Subscriber {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue }
    }
}

impl tracing::Subscriber for Subscriber {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Levels change, and what is never wanted is kept away by the hint below.
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LEVELS.widest().map_or(LevelFilter::OFF, Level::filter))
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && LEVELS.any_takes(metadata.target(), Level::of(*metadata.level()))
    }

    fn event(&self, event: &Event<'_>) {
        match self.queue.try_send(Waiting::Note(Note::of(event))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => lose(),
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::module;

    #[test]
    fn a_full_queue_loses_notes_and_counts_them() {
        let (queue, notes) = mpsc::sync_channel(2);
        let before = lost();
        LEVELS.set_module(module::OTHER, Some(Level::Debug));
        LEVELS.set(&crate::log::LogSettings::default());
        tracing::subscriber::with_default(Subscriber::new(queue), || {
            for number in 0..5_u64 {
                tracing::debug!(target: "elsewhere", number, text = "x", "noted");
            }
        });
        assert_eq!(lost() - before, 3);
        let Ok(Waiting::Note(note)) = notes.try_recv() else { panic!("no note") };
        assert_eq!((note.level, note.module.as_str(), note.message.as_str()), (Level::Debug, "elsewhere", "noted"));
        assert_eq!(note.fields, [("number", 0_u64.into()), ("text", "x".into())]);
        LEVELS.set_module(module::OTHER, None);
    }
}

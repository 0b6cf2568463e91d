//! The thread that writes: takes notes from the queue, holds repetitions back, and gives each to the handlers that want
//! it.

use super::file::RotatingFile;
use super::levels::{Handler, LEVELS};
use super::note::Note;
use super::settings::{DEFAULT_FILE, FileSettings, HandlerSettings, LogSettings};
use super::subscriber::{Queue, Waiting, lose, lost};
use super::throttle::Throttle;
use super::{Level, format, module};
use crate::config::Problem;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long the end of the process waits for what is still to be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// How long the thread waits for a note while nothing else is to be done.
const IDLE: Duration = Duration::from_secs(3600);

/// Writes out what waits when it goes.
#[derive(Debug)]
pub(crate) struct Guard {
    queue: Queue,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // With a full queue there is nothing to wait for.
        if self.queue.try_send(Waiting::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_PATIENCE);
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// A file cannot be opened, or the thread cannot be started.
pub(super) fn start(settings: &LogSettings, notes: Receiver<Waiting>, queue: Queue) -> Result<Guard, Problem> {
    let files = settings.files().zip(0..).filter(|((_, file), _)| file.handler.enable);
    let files = files.map(|((name, settings), place)| FileHandler::open(name, settings, place));
    let mut writer = Writer {
        console: settings.console.clone(),
        files: files.collect::<Result<_, _>>()?,
        throttle: Throttle::new(settings.time_window),
        told_lost: 0,
    };
    let started = thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&notes));
    started.map_err(|error| Problem::new(format!("cannot start the thread of the log: {error}")))?;
    Ok(Guard { queue })
}

/// A handler with a file that is on.
struct FileHandler {
    handler: Handler,
    settings: HandlerSettings,
    file: RotatingFile,
}

impl FileHandler {
    fn open(name: &str, settings: &FileSettings, place: u8) -> Result<Self, Problem> {
        let FileSettings { handler, path, rotation_size, rotation_count } = settings;
        let file = RotatingFile::open(path, *rotation_size, *rotation_count).map_err(|error| {
            let key = if name == DEFAULT_FILE { "log.file".to_owned() } else { format!("log.file.{name}") };
            Problem::new(format!("cannot write the log to {}: {error}", path.display()))
                .with_help(format!("choose another place with {key}.path, or {key}.enable = false"))
        })?;
        Ok(Self { handler: Handler::File(place), settings: handler.clone(), file })
    }
}

struct Writer {
    console: HandlerSettings,
    files: Vec<FileHandler>,
    throttle: Throttle,
    /// Losses that were noted.
    told_lost: u64,
}

impl Writer {
    /// Until nobody can make notes any more.
    fn run(&mut self, notes: &Receiver<Waiting>) {
        loop {
            let wait = self.throttle.left(Instant::now()).unwrap_or(IDLE);
            match notes.recv_timeout(wait) {
                Ok(Waiting::Note(note)) => self.take(&note),
                Ok(Waiting::Flush(done)) => {
                    // Whoever asked may have gone on.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(summary) = self.throttle.summary(Instant::now()) {
                self.write(&summary);
            }
            self.tell_losses();
        }
    }

    fn take(&mut self, note: &Note) {
        if self.throttle.admits(note, LEVELS.widest(), Instant::now()) {
            self.write(note);
        }
    }

    fn write(&mut self, note: &Note) {
        if LEVELS.takes(Handler::Console, &note.module, note.level) {
            let line = format::line(note, &self.console);
            // A closed standard error is no reason to stop.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
        for FileHandler { handler, settings, file } in &mut self.files {
            if LEVELS.takes(*handler, &note.module, note.level) && file.write(&format::line(note, settings)).is_err() {
                lose();
            }
        }
    }

    /// Notes how many were lost since that was last told.
    fn tell_losses(&mut self) {
        let lost = lost();
        if lost == self.told_lost {
            return;
        }
        let count = lost - self.told_lost;
        self.told_lost = lost;
        let note = Note {
            at: SystemTime::now(),
            level: Level::Warning,
            module: module::BROKER.to_owned(),
            message: "log_lines_lost".to_owned(),
            fields: vec![("count", count.into())],
        };
        self.write(&note);
    }
}

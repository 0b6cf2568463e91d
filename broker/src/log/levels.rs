//! Which notes are wanted: a threshold for each handler, and one for a module in its place, all changed at any time.
//!
//! Plain atomics: whoever makes a note looks without a lock. A change of several may be seen in part for a moment.

use super::Level;
use super::settings::{FILES_MAX, HandlerSettings, LogSettings};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// What notes are about. `other` is all that libraries note.
pub(crate) const MODULES: [&str; 4] = [module::CLIENT, module::DELIVERY, module::BROKER, module::OTHER];

/// The `target` of notes.
pub(crate) mod module {
    /// Connections of clients, and what they do wrong.
    pub(crate) const CLIENT: &str = "client";
    /// Messages that do not reach somebody.
    pub(crate) const DELIVERY: &str = "delivery";
    /// Settings, requests of the operator, start and stop.
    pub(crate) const BROKER: &str = "broker";
    /// Everything else.
    pub(crate) const OTHER: &str = "other";
}

/// Where notes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// `log.console`.
    Console,
    /// One of those with a file, by its place in [`LogSettings::files`] when the broker started: 0 is `log.file` itself.
    File(u8),
}

/// The thresholds of the process.
pub(crate) static LEVELS: Levels = Levels::new();

/// In the place of a level: there is none.
const NONE: u8 = u8::MAX;

/// Thresholds. Every change is announced to `tracing`, which remembers what was wanted.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Of the console; [`NONE`] is off.
    console: AtomicU8,
    /// Of the handlers with a file, by their places.
    files: [AtomicU8; FILES_MAX],
    /// What these are called, in the same order. It does not change any more once the levels have been set.
    names: OnceLock<Vec<String>>,
    /// By module; [`NONE`] is that of the handler.
    modules: [AtomicU8; MODULES.len()],
}

impl Levels {
    const fn new() -> Self {
        Self {
            console: AtomicU8::new(NONE),
            files: [const { AtomicU8::new(NONE) }; FILES_MAX],
            names: OnceLock::new(),
            modules: [const { AtomicU8::new(NONE) }; MODULES.len()],
        }
    }

    /// Takes over the levels of handlers; those of modules stay. The first time, it also learns which handlers there
    /// are; one that comes later is left out, because it has no file before the next start.
    pub(crate) fn set(&self, settings: &LogSettings) {
        let level = |handler: &HandlerSettings| if handler.enable { handler.level as u8 } else { NONE };
        self.console.store(level(&settings.console), Ordering::Relaxed);
        let names = self.names.get_or_init(|| settings.files().map(|(name, _)| name.to_owned()).collect());
        for (held, name) in self.files.iter().zip(names) {
            let file = settings.files().find(|(known, _)| known == name).map(|(_, file)| file);
            held.store(file.map_or(NONE, |file| level(&file.handler)), Ordering::Relaxed);
        }
        tracing::callsite::rebuild_interest_cache();
    }

    /// Sets the threshold of every handler that is on.
    pub(crate) fn set_handlers(&self, level: Level) {
        for held in self.all().filter(|held| held.load(Ordering::Relaxed) != NONE) {
            held.store(level as u8, Ordering::Relaxed);
        }
        tracing::callsite::rebuild_interest_cache();
    }

    /// Sets the threshold of a module, whatever that of the handler; false if there is no such module.
    pub(crate) fn set_module(&self, module: &str, level: Option<Level>) -> bool {
        let Some(index) = MODULES.iter().position(|known| *known == module) else { return false };
        self.modules[index].store(level.map_or(NONE, |level| level as u8), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
        true
    }

    /// The threshold of a handler; `None` if it is off.
    pub(crate) fn handler(&self, handler: Handler) -> Option<Level> {
        match handler {
            Handler::Console => level(&self.console),
            Handler::File(place) => self.files.get(usize::from(place)).and_then(level),
        }
    }

    /// The handlers with a file by name, the first of which is `default`, with their thresholds; `None` is off.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, Option<Level>)> {
        self.names.get().into_iter().flatten().map(String::as_str).zip(self.files.iter().map(level))
    }

    fn all(&self) -> impl Iterator<Item = &AtomicU8> {
        std::iter::once(&self.console).chain(&self.files)
    }

    /// The thresholds of modules that have one of their own.
    pub(crate) fn own(&self) -> impl Iterator<Item = (&'static str, Level)> {
        MODULES.into_iter().zip(&self.modules).filter_map(|(module, held)| Some((module, level(held)?)))
    }

    /// Whether a handler takes a note.
    pub(crate) fn takes(&self, handler: Handler, module: &str, grave: Level) -> bool {
        let threshold = |handler| level(&self.modules[index(module)]).unwrap_or(handler);
        self.handler(handler).is_some_and(|handler| grave <= threshold(handler))
    }

    /// Whether any handler does.
    pub(crate) fn any_takes(&self, module: &str, grave: Level) -> bool {
        let own = level(&self.modules[index(module)]);
        self.all().filter_map(level).any(|handler| grave <= own.unwrap_or(handler))
    }

    /// The threshold that lets through all that some handler takes; `None` if all are off.
    pub(crate) fn widest(&self) -> Option<Level> {
        let handlers = self.all().filter_map(level).max()?;
        Some(self.modules.iter().filter_map(level).max().unwrap_or(handlers).max(handlers))
    }
}

fn level(held: &AtomicU8) -> Option<Level> {
    Level::numbered(held.load(Ordering::Relaxed))
}

fn index(module: &str) -> usize {
    MODULES.iter().position(|known| *known == module).unwrap_or(MODULES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::super::settings::FileSettings;
    use super::*;

    #[test]
    fn a_module_s_threshold_takes_the_place_of_the_handlers() {
        let levels = Levels::new();
        assert!(!levels.any_takes(module::CLIENT, Level::Emergency) && levels.widest().is_none(), "all are off");
        let mut settings = LogSettings::default();
        settings.file.handler.enable = true;
        settings.file.handler.level = Level::Error;
        levels.set(&settings);
        assert!(levels.takes(Handler::Console, module::CLIENT, Level::Warning));
        assert!(!levels.takes(Handler::File(0), module::CLIENT, Level::Warning));
        assert!(levels.set_module(module::CLIENT, Some(Level::Debug)));
        assert!(!levels.set_module("nothing", Some(Level::Debug)));
        assert!(levels.takes(Handler::File(0), module::CLIENT, Level::Debug));
        assert!(!levels.any_takes(module::DELIVERY, Level::Info));
        assert!(!levels.any_takes("hyper::proto", Level::Info), "what nobody knows is `other`");
        assert_eq!(
            (levels.widest(), levels.own().collect::<Vec<_>>()),
            (Some(Level::Debug), vec![("client", Level::Debug)])
        );
        levels.set_handlers(Level::Info);
        levels.set_module(module::CLIENT, None);
        assert_eq!((levels.handler(Handler::File(0)), levels.widest()), (Some(Level::Info), Some(Level::Info)));
        settings.file.handler.enable = false;
        levels.set(&settings);
        levels.set_handlers(Level::Info);
        assert_eq!(levels.handler(Handler::File(0)), None, "what is off stays off");
    }

    #[test]
    fn every_file_has_a_threshold_of_its_own() {
        let levels = Levels::new();
        let mut settings = LogSettings::default();
        settings.console.enable = false;
        for (name, level) in [("audit", Level::None), ("debug", Level::Debug)] {
            let handler = HandlerSettings { level, ..HandlerSettings::default() };
            settings.named.insert(name.to_owned(), FileSettings { handler, ..FileSettings::default() });
        }
        levels.set(&settings);
        let told: Vec<_> = levels.files().collect();
        assert_eq!(told, [("default", None), ("audit", Some(Level::None)), ("debug", Some(Level::Debug))]);
        assert!(!levels.takes(Handler::File(1), module::CLIENT, Level::Emergency), "none lets nothing through");
        assert!(levels.takes(Handler::File(2), module::CLIENT, Level::Debug));
        assert!(levels.any_takes(module::CLIENT, Level::Debug) && levels.widest() == Some(Level::Debug));
        settings.named.remove("debug");
        settings.named.insert("a".to_owned(), FileSettings::default());
        levels.set(&settings);
        let told: Vec<_> = levels.files().collect();
        assert_eq!(told[1..], [("audit", Some(Level::None)), ("debug", None)], "places stay, and nobody new comes");
    }
}

//! What can be set of the log, `log`.

use super::Level;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use time::UtcOffset;

/// Most handlers with a file, the one without a name among them.
pub(crate) const FILES_MAX: usize = 16;

/// What EMQX calls the handler with a file that has no name, `log.file` itself.
pub(crate) const DEFAULT_FILE: &str = "default";

/// `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// `log.console`.
    pub(crate) console: HandlerSettings,
    /// `log.file`.
    pub(crate) file: FileSettings,
    /// `log.file.<name>`.
    pub(crate) named: BTreeMap<String, FileSettings>,
    /// `log.throttling.time_window`: how long a note is not repeated.
    pub(crate) time_window: Duration,
}

impl LogSettings {
    /// All handlers with a file, by name; the first is [`DEFAULT_FILE`].
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &FileSettings)> {
        let named = self.named.iter().map(|(name, file)| (name.as_str(), file));
        std::iter::once((DEFAULT_FILE, &self.file)).chain(named)
    }
}

/// What all handlers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandlerSettings {
    /// `enable`.
    pub(crate) enable: bool,
    /// `level`.
    pub(crate) level: Level,
    /// `formatter`.
    pub(crate) formatter: Formatter,
    /// `timestamp_format`.
    pub(crate) timestamp_format: TimestampFormat,
    /// `time_offset`.
    pub(crate) time_offset: TimeOffset,
}

/// `log.file`, or `log.file.<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSettings {
    /// What it has in common with the console.
    pub(crate) handler: HandlerSettings,
    /// `path`.
    pub(crate) path: PathBuf,
    /// `rotation_size`, bytes; `None` is infinity.
    pub(crate) rotation_size: Option<u64>,
    /// `rotation_count`: files in all.
    pub(crate) rotation_count: u32,
}

/// How a note is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Formatter {
    /// A line for people.
    Text,
    /// A line of JSON.
    Json,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampFormat {
    /// RFC 3339 in text, microseconds in JSON.
    Auto,
    /// Microseconds since 1970.
    Epoch,
    /// RFC 3339.
    Rfc3339,
}

/// The time zone of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOffset {
    /// That of the system.
    System,
    /// This one.
    Fixed(UtcOffset),
}

impl TimeOffset {
    /// `system`, `utc`, or such as `+02:00`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "system" => return Some(Self::System),
            "utc" => return Some(Self::Fixed(UtcOffset::UTC)),
            _ => {}
        }
        let sign = match text.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let (hours, minutes) = text[1..].split_once(':')?;
        let number = |text: &str, max: i8| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i8>().ok().filter(|number| digits && *number <= max)
        };
        let (hours, minutes) = (number(hours, 23)?, number(minutes, 59)?);
        UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok().map(Self::Fixed)
    }

    /// What it is at a time.
    pub(crate) fn at(self, at: SystemTime) -> UtcOffset {
        match self {
            Self::Fixed(offset) => offset,
            // A system that does not know its own is taken to be in UTC.
            Self::System => UtcOffset::local_offset_at(at.into()).unwrap_or(UtcOffset::UTC),
        }
    }
}

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            enable: true,
            level: Level::Warning,
            formatter: Formatter::Text,
            timestamp_format: TimestampFormat::Auto,
            time_offset: TimeOffset::System,
        }
    }
}

impl FileSettings {
    /// What a handler with a name begins with: it is on, and has no path before it is told one.
    pub(crate) fn named() -> Self {
        Self { handler: HandlerSettings::default(), path: PathBuf::new(), ..Self::default() }
    }
}

impl Default for FileSettings {
    fn default() -> Self {
        Self {
            handler: HandlerSettings { enable: false, ..HandlerSettings::default() },
            path: PathBuf::from("log/ringmq.log"),
            rotation_size: Some(50 * 1024 * 1024),
            rotation_count: 10,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            console: HandlerSettings::default(),
            file: FileSettings::default(),
            named: BTreeMap::new(),
            time_window: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_read() {
        let offset = |hours, minutes| Some(TimeOffset::Fixed(UtcOffset::from_hms(hours, minutes, 0).expect("one")));
        assert_eq!(TimeOffset::parse("system"), Some(TimeOffset::System));
        assert_eq!(TimeOffset::parse("utc"), offset(0, 0));
        assert_eq!((TimeOffset::parse("+05:45"), TimeOffset::parse("-03:30")), (offset(5, 45), offset(-3, -30)));
        for wrong in ["", "Z", "02:00", "+2:00", "+24:00", "+02:60", "+0200", "++2:00", "+é:00"] {
            assert_eq!(TimeOffset::parse(wrong), None, "{wrong}");
        }
    }
}

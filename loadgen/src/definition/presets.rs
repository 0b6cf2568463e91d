//! The scenarios that come with the generator, and finding the one that is meant.
//!
//! The first eight have the names and figures of the Open MQTT Benchmark Suite. Absent: anything that a file of one's
//! own could not say as well; the presets are such files, built in.

use super::{Definition, FILE_BYTES_MAX};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A built-in scenario.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Its file's text.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(Preset { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

/// All of them.
pub const PRESETS: &[Preset] = presets![
    "conn-tcp-10K-100",
    "p2p-1K-1K-1K-1K",
    "fanout-1-1K-1-1K",
    "sharedsub-1K-5-1K-1K",
    "conn-tcp-1M-5K",
    "p2p-50K-50K-50K-50K",
    "fanout-5-1000-5-250K",
    "sharedsub-50K-500-50K-50K",
    "broadcast",
    "bursts",
    "wildcard-routing",
    "large-payloads",
    "background-connections",
    "retained-publishers",
    "small-receive-maximum",
    "reconnect-storm",
    "session-resume",
    "take-over-storm",
    "subscription-churn",
    "slow-consumers",
    "retained-storm",
];

/// The name and text of a scenario: a preset's, or a file's.
///
/// # Errors
/// A text for the user, if there is no such preset and no such file.
pub fn find(wanted: &str) -> Result<(String, String), String> {
    if let Some(preset) = PRESETS.iter().find(|preset| preset.name == wanted) {
        return Ok((preset.name.into(), preset.text.into()));
    }
    let mut text = String::new();
    let read = File::open(wanted).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(problem) => Err(format!("{wanted}: no preset (`ringmq-loadgen list` names them) and no file: {problem}")),
        Ok(bytes) if bytes as u64 > FILE_BYTES_MAX => Err(format!("{wanted}: longer than {FILE_BYTES_MAX} bytes")),
        Ok(_) => {
            let name = Path::new(wanted).file_stem().map_or(wanted.into(), |stem| stem.to_string_lossy().into_owned());
            Ok((name, text))
        }
    }
}

/// Reads a scenario: its name and what it says.
///
/// # Errors
/// A text for the user.
pub fn load(wanted: &str) -> Result<(String, Definition), String> {
    let (name, text) = find(wanted)?;
    let definition = Definition::read(wanted, &text)?;
    Ok((name, definition))
}

/// One line a preset: its name and what it is for.
#[must_use]
pub fn list() -> String {
    let widest = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    let line = |preset: &Preset| match Definition::read(preset.name, preset.text) {
        Ok(definition) => format!("{:<widest$}  {}\n", preset.name, definition.description),
        Err(problem) => format!("{problem}\n"),
    };
    PRESETS.iter().map(line).collect()
}

/// A scenario in figures, and its file.
///
/// # Errors
/// A text for the user.
pub fn describe(wanted: &str) -> Result<String, String> {
    let (name, text) = find(wanted)?;
    let definition = Definition::read(wanted, &text)?;
    let publishers: u64 = definition.publishers.iter().map(|group| u64::from(group.count)).sum();
    let live = publishers - u64::from(definition.retained(1.0));
    let subscribers: u64 = definition.subscribers.iter().map(|group| u64::from(group.count)).sum();
    let pace = match &definition.messages {
        None => "no messages".into(),
        Some(messages) => match (messages.rate_per_publisher, messages.window) {
            (Some(rate), _) => format!("{} messages a second in all", rate * live as f64),
            (None, window) => {
                format!("{} messages in flight per publisher", window.unwrap_or(crate::plan::WINDOW_DEFAULT))
            }
        },
    };
    let duration = definition.duration;
    Ok(format!(
        "{name}: {}\n{publishers} publishers, {subscribers} subscribers or idle clients, {pace}, {duration:?}\n\n{text}",
        definition.description
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read_and_is_listed() {
        let list = list();
        for preset in PRESETS {
            let (name, definition) = load(preset.name).unwrap();
            assert_eq!(name, preset.name);
            assert!(list.contains(&format!("{}  ", preset.name)) && list.contains(&definition.description));
            assert!(describe(preset.name).unwrap().ends_with(preset.text));
        }
        assert_eq!(list.lines().count(), PRESETS.len());
    }

    #[test]
    fn a_name_that_is_neither_preset_nor_file_is_an_error() {
        assert!(load("no-such-scenario").unwrap_err().contains("no preset"));
    }
}

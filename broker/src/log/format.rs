//! A note as a line, in EMQX's form.

use super::note::Note;
use super::settings::{Formatter, HandlerSettings, TimestampFormat};
use crate::timestamp::{Digits, rfc3339};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

/// The line of a note, with its end.
pub(super) fn line(note: &Note, settings: &HandlerSettings) -> String {
    match settings.formatter {
        Formatter::Text => text(note, settings),
        Formatter::Json => json(note, settings),
    }
}

/// `2024-05-06T07:08:09.123456+02:00 [warning] msg: what_happened, module: client, clientid: c1`. What came from outside
/// is escaped, so that a line stays a line.
fn text(note: &Note, settings: &HandlerSettings) -> String {
    let time = match settings.timestamp_format {
        TimestampFormat::Epoch => micros(note).to_string(),
        TimestampFormat::Auto | TimestampFormat::Rfc3339 => written(note, settings),
    };
    let message = note.message.escape_debug();
    let mut line = format!("{time} [{}] msg: {message}, module: {}", note.level.name(), note.module);
    for (name, value) in &note.fields {
        let _ = match value {
            Value::String(text) => write!(line, ", {name}: {}", text.escape_debug()),
            other => write!(line, ", {name}: {other}"),
        };
    }
    line.push('\n');
    line
}

fn json(note: &Note, settings: &HandlerSettings) -> String {
    let time = match settings.timestamp_format {
        TimestampFormat::Auto | TimestampFormat::Epoch => micros(note).into(),
        TimestampFormat::Rfc3339 => written(note, settings).into(),
    };
    let mut fields = Map::from_iter([
        ("time".to_owned(), time),
        ("level".to_owned(), note.level.name().into()),
        ("msg".to_owned(), note.message.as_str().into()),
        ("module".to_owned(), note.module.as_str().into()),
    ]);
    fields.extend(note.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    format!("{}\n", Value::Object(fields))
}

fn micros(note: &Note) -> u64 {
    let since = note.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn written(note: &Note, settings: &HandlerSettings) -> String {
    rfc3339(note.at, settings.time_offset.at(note.at), Digits::Six)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Level, TimeOffset};
    use std::time::Duration;
    use time::UtcOffset;

    fn note() -> Note {
        Note {
            at: UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
            level: Level::Warning,
            module: "client".to_owned(),
            message: "something".to_owned(),
            fields: vec![("clientid", "a\nb".into()), ("count", 7.into())],
        }
    }

    fn settings(formatter: Formatter, timestamp_format: TimestampFormat) -> HandlerSettings {
        let time_offset = TimeOffset::Fixed(UtcOffset::from_hms(1, 0, 0).expect("an offset"));
        HandlerSettings { formatter, timestamp_format, time_offset, ..HandlerSettings::default() }
    }

    #[test]
    fn text_is_one_line_whatever_clients_are_called() {
        let rest = " [warning] msg: something, module: client, clientid: a\\nb, count: 7\n";
        let text = |format| line(&note(), &settings(Formatter::Text, format));
        assert_eq!(text(TimestampFormat::Auto), format!("2023-11-14T23:13:20.000001+01:00{rest}"));
        assert_eq!(text(TimestampFormat::Rfc3339), text(TimestampFormat::Auto));
        assert_eq!(text(TimestampFormat::Epoch), format!("1700000000000001{rest}"));
    }

    #[test]
    fn json_can_be_read_again() {
        let read = |format| {
            let text = line(&note(), &settings(Formatter::Json, format));
            assert_eq!(text.lines().count(), 1);
            serde_json::from_str::<Value>(&text).expect("JSON")
        };
        let told = read(TimestampFormat::Auto);
        assert_eq!((&told["time"], &told["clientid"]), (&Value::from(1_700_000_000_000_001_u64), &Value::from("a\nb")));
        assert_eq!((&told["level"], &told["msg"], &told["count"]), (&"warning".into(), &"something".into(), &7.into()));
        assert_eq!(read(TimestampFormat::Rfc3339)["time"], "2023-11-14T23:13:20.000001+01:00");
    }
}

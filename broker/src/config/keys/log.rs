//! Keys of the log.

use super::{DAY, Key, SECOND, fit, key};
use crate::config::kind::Kind;
use crate::log::{Formatter, Level, TimestampFormat};

const FORMATTERS: [&str; 2] = ["text", "json"];

fn formatter(index: usize) -> Formatter {
    [Formatter::Text, Formatter::Json][index]
}

const TIMESTAMPS: [&str; 3] = ["auto", "epoch", "rfc3339"];

fn timestamp(index: usize) -> TimestampFormat {
    [TimestampFormat::Auto, TimestampFormat::Epoch, TimestampFormat::Rfc3339][index]
}

const LOG_LEVEL: &str = "How grave a note has to be; `none` is for no note, `all` for every one, as `debug` is. Can change while the broker runs.";
const LOG_FORMATTER: &str = "How a note is written: as text for people, or as an object of JSON; one line either way.";
const LOG_TIMESTAMP: &str = "How its time is written: as in RFC 3339, or in microseconds since 1970. `auto` is the first in text, the second in JSON.";
const LOG_OFFSET: &str = "The time zone of times as in RFC 3339.";

pub(super) const KEYS: &[Key] = &[
    key(
        "log.console.enable",
        "true",
        Kind::Bool(|t, on| t.config.log.console.enable = on),
        "Whether the log goes to standard error. `EMQX_DEFAULT_LOG_HANDLER=file` in the environment turns this off and \
         the file on, `console` the other way round; a file of settings overrides that.",
    ),
    key(
        "log.console.level",
        "warning",
        Kind::Choice { names: &Level::NAMES, set: |t, index| t.config.log.console.level = Level::at(index) },
        LOG_LEVEL,
    ),
    key(
        "log.console.formatter",
        "text",
        Kind::Choice { names: &FORMATTERS, set: |t, index| t.config.log.console.formatter = formatter(index) },
        LOG_FORMATTER,
    ),
    key(
        "log.console.timestamp_format",
        "auto",
        Kind::Choice { names: &TIMESTAMPS, set: |t, index| t.config.log.console.timestamp_format = timestamp(index) },
        LOG_TIMESTAMP,
    ),
    key(
        "log.console.time_offset",
        "system",
        Kind::TimeOffset(|t, offset| t.config.log.console.time_offset = offset),
        LOG_OFFSET,
    ),
    key(
        "log.file.enable",
        "false",
        Kind::Bool(|t, on| t.config.log.file.handler.enable = on),
        "Whether the log goes to a file.",
    ),
    key(
        "log.file.level",
        "warning",
        Kind::Choice { names: &Level::NAMES, set: |t, index| t.config.log.file.handler.level = Level::at(index) },
        LOG_LEVEL,
    ),
    key(
        "log.file.path",
        "log/ringmq.log",
        Kind::Path(|t, text| t.config.log.file.path = text.into()),
        "The file. Its directory is made if missing; a relative path starts at the working directory.",
    ),
    key(
        "log.file.rotation_size",
        "50MB",
        Kind::SizeOrInfinity { min: 1024, max: 1 << 40, set: |t, bytes| t.config.log.file.rotation_size = bytes },
        "How large the file grows before it is put aside under its name with `.1`, the one before with `.2`, and so on.",
    ),
    key(
        "log.file.rotation_count",
        "10",
        Kind::Integer { min: 1, max: 128, words: &[], set: |t, n| t.config.log.file.rotation_count = fit(n) },
        "Files in all; the oldest is removed for a new one.",
    ),
    key(
        "log.file.formatter",
        "text",
        Kind::Choice { names: &FORMATTERS, set: |t, index| t.config.log.file.handler.formatter = formatter(index) },
        LOG_FORMATTER,
    ),
    key(
        "log.file.timestamp_format",
        "auto",
        Kind::Choice {
            names: &TIMESTAMPS,
            set: |t, index| t.config.log.file.handler.timestamp_format = timestamp(index),
        },
        LOG_TIMESTAMP,
    ),
    key(
        "log.file.time_offset",
        "system",
        Kind::TimeOffset(|t, offset| t.config.log.file.handler.time_offset = offset),
        LOG_OFFSET,
    ),
    key(
        "log.file.<name>.enable",
        "true",
        Kind::Bool(|t, on| t.log_file(|file| file.handler.enable = on)),
        "Whether the log goes to this file, too. There are at most 16 with `log.file` itself, which is also the one called \
         `default`.",
    ),
    key(
        "log.file.<name>.level",
        "warning",
        Kind::Choice { names: &Level::NAMES, set: |t, index| t.log_file(|file| file.handler.level = Level::at(index)) },
        "As `log.file.level`. Can change while the broker runs.",
    ),
    key(
        "log.file.<name>.path",
        "",
        Kind::Path(|t, text| t.log_file(|file| file.path = text.into())),
        "As `log.file.path`. A handler without one is left out with a warning, and no two can have the same.",
    ),
    key(
        "log.file.<name>.rotation_size",
        "50MB",
        Kind::SizeOrInfinity { min: 1024, max: 1 << 40, set: |t, bytes| t.log_file(|file| file.rotation_size = bytes) },
        "As `log.file.rotation_size`.",
    ),
    key(
        "log.file.<name>.rotation_count",
        "10",
        Kind::Integer { min: 1, max: 128, words: &[], set: |t, n| t.log_file(|file| file.rotation_count = fit(n)) },
        "As `log.file.rotation_count`.",
    ),
    key(
        "log.file.<name>.formatter",
        "text",
        Kind::Choice {
            names: &FORMATTERS,
            set: |t, index| t.log_file(|file| file.handler.formatter = formatter(index)),
        },
        "As `log.file.formatter`.",
    ),
    key(
        "log.file.<name>.timestamp_format",
        "auto",
        Kind::Choice {
            names: &TIMESTAMPS,
            set: |t, index| t.log_file(|file| file.handler.timestamp_format = timestamp(index)),
        },
        "As `log.file.timestamp_format`.",
    ),
    key(
        "log.file.<name>.time_offset",
        "system",
        Kind::TimeOffset(|t, offset| t.log_file(|file| file.handler.time_offset = offset)),
        "As `log.file.time_offset`.",
    ),
    key(
        "log.throttling.time_window",
        "1m",
        Kind::Duration { min: SECOND, max: DAY, set: |t, span| t.config.log.time_window = span },
        "What clients can cause at will is noted once in this time, and at its end how often it happened. While a level is \
         `debug`, everything is noted.",
    ),
];

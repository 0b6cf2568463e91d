//! The effective value of every key and where it came from, for `print-config` and `ctl conf show`.

use super::error::Origin;
use super::keys::{NAME, keys};
use super::kind::Kind;
use super::{Config, zones};
use std::collections::{BTreeMap, BTreeSet};

/// A value that some layer gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// As it would be written in a file.
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// What the layers gave, by key; keys that are not in here have their defaults.
pub(super) type GivenByKey = BTreeMap<String, Given>;

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The key, with the operator's name in it where it has one.
    pub(crate) key: String,
    /// The value as it would be written in a file.
    pub(crate) value: String,
    /// Where the value came from; `None` is the default.
    pub(crate) origin: Option<Origin>,
}

impl Row {
    /// The origin in words.
    pub(crate) fn origin_text(&self) -> String {
        self.origin.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string)
    }
}

/// All keys in the order of the reference page, those with a name once for each listener or group; then what zones have of their
/// own.
pub(super) fn rows(config: &Config, given: &GivenByKey) -> Vec<Row> {
    let groups = &config.settings.shared_subscription_groups;
    let names = |path: &str| match path.contains(NAME) {
        true if path.starts_with("listeners.") => config.listeners.keys().map(String::as_str).collect(),
        true if path.starts_with("log.file.") => config.log.named.keys().map(String::as_str).collect(),
        true if path.starts_with("ringmq.queues.") => config.settings.queues.keys().map(|queue| &**queue).collect(),
        true => groups.keys().map(|group| &**group).collect(),
        false => vec![""],
    };
    let named = keys().flat_map(|key| names(key.path).into_iter().map(move |name| (key, name)));
    let mut rows: Vec<(&str, Row)> = named
        .map(|(key, name)| {
            let path = key.path.replace(NAME, name);
            let row = match given.get(&path) {
                Some(Given { text, origin }) => Row { key: path, value: text.clone(), origin: Some(origin.clone()) },
                None => Row { key: path, value: written_for(&key.kind, key.default), origin: None },
            };
            (name, row)
        })
        .collect();
    // One listener after the other; the order of keys without a name does not change.
    let listeners = rows.iter().take_while(|(name, _)| !name.is_empty()).count();
    rows[..listeners].sort_by_key(|(name, _)| *name);
    rows.into_iter().map(|(_, row)| row).chain(zone_rows(config, given)).collect()
}

/// What the names of all keys begin with, in alphabetical order.
pub(crate) fn roots() -> BTreeSet<&'static str> {
    keys().filter_map(|key| key.path.split('.').next()).chain([zones::ROOT]).collect()
}

/// What was written for zones. One for which nothing was is told of too: listeners may name it.
fn zone_rows<'a>(config: &'a Config, given: &'a GivenByKey) -> impl Iterator<Item = Row> + 'a {
    config.zones.keys().flat_map(move |name| {
        let prefix = format!("{}.{name}.", zones::ROOT);
        let mut rows: Vec<Row> = given
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, given)| Row { key: key.clone(), value: given.text.clone(), origin: Some(given.origin.clone()) })
            .collect();
        if rows.is_empty() {
            rows.push(Row { key: format!("{}.{name}", zones::ROOT), value: "{}".to_owned(), origin: None });
        }
        rows
    })
}

/// The text of a value of this kind as it is written in a file.
pub(super) fn written_for(kind: &Kind, text: &str) -> String {
    // The text of a list is a list, not a scalar.
    let is_list = matches!(kind, Kind::List { .. } | Kind::Texts { .. } | Kind::Words { .. });
    if is_list { text.to_owned() } else { written(text) }
}

/// A scalar as it is written in a file: in quotes unless it is plain.
pub(crate) fn written(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let keyword = matches!(text, "null" | "include");
    if !text.is_empty() && text.chars().all(plain) && !keyword { text.to_owned() } else { quoted(text) }
}

/// A text in quotes, as in JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

//! Environment variables that are settings.
//!
//! `EMQX_MQTT__MAX_INFLIGHT` and `RINGMQ_MQTT__MAX_INFLIGHT` both mean `mqtt.max_inflight`; if both are there, the
//! second wins. Our own keys need no group: `RINGMQ_SHARDS` is `ringmq.shards`. Case does not matter. A value that
//! begins like HOCON (a quote, a brace, a bracket) is read as HOCON; any other text is taken as it is.

use super::hocon::{self, Node, Value};
use std::borrow::Cow;

/// Prefixes, the weaker first.
const PREFIXES: [&str; 2] = ["EMQX_", "RINGMQ_"];

/// The settings among `variables`: path and variable, in the order in which they apply.
pub(crate) fn settings(variables: impl Iterator<Item = (String, String)>) -> Vec<(Vec<String>, String, String)> {
    let mut found: Vec<(usize, Vec<String>, String, String)> = variables
        .filter_map(|(name, value)| {
            let (rank, path) = path(&name)?;
            Some((rank, path, name, value))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path, name, value)| (path, name, value)).collect()
}

fn path(name: &str) -> Option<(usize, Vec<String>)> {
    let name = name.to_ascii_lowercase();
    let (rank, rest) = PREFIXES
        .iter()
        .enumerate()
        .find_map(|(rank, prefix)| name.strip_prefix(&prefix.to_ascii_lowercase()).map(|rest| (rank, rest)))?;
    let path: Vec<String> = rest.split("__").map(str::to_owned).collect();
    // Without a group it is one of ours, or nothing: EMQX's own scripts use EMQX_NAME and the like.
    match (path.as_slice(), PREFIXES[rank]) {
        ([own], "RINGMQ_") => Some((rank, vec!["ringmq".to_owned(), own.clone()])),
        ([_], _) => None,
        _ => Some((rank, path)),
    }
}

/// The meaning of a value that stands outside any file.
pub(crate) fn value(text: &str) -> Result<Node, hocon::Error> {
    let text = text.trim();
    let structured = text.starts_with(['"', '{', '[']);
    match hocon::parse_value(text, "value") {
        Ok(node) if structured => Ok(node),
        Err(error) if text.starts_with(['"', '{']) => Err(error),
        Ok(Node { place, .. }) => Ok(Node { place, value: Value::Text(text.to_owned()) }),
        Err(error) => error.place.clone().map(|place| Node { place, value: Value::Text(text.to_owned()) }).ok_or(error),
    }
}

/// Directories that EMQX's own scripts name by a variable, and where they are if it is not set.
const DIRECTORIES: [(&str, &str); 3] = [("EMQX_ETC_DIR", "etc"), ("EMQX_LOG_DIR", "log"), ("EMQX_DATA_DIR", "data")];

/// A path with a variable at its beginning filled in: `${HOME}/log`, `$HOME/log`.
///
/// # Errors
/// The variable is not set, as the end of a sentence that begins with the path.
pub(super) fn expanded<'a>(path: &'a str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Cow<'a, str>, String> {
    let Some(rest) = path.strip_prefix('$') else { return Ok(Cow::Borrowed(path)) };
    let (name, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let name = name.trim_start_matches('{').trim_end_matches('}');
    let usual = || DIRECTORIES.iter().find(|(known, _)| *known == name).map(|(_, directory)| (*directory).to_owned());
    match variable(name).filter(|value| !value.is_empty()).or_else(usual) {
        Some(directory) => Ok(Cow::Owned(directory + below)),
        None => Err(format!("begins with the environment variable {}, which is not set", name.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_and_ours_win() {
        let variables = [
            ("RINGMQ_SHARDS", "2"),
            ("RINGMQ_MQTT__MAX_INFLIGHT", "7"),
            ("emqx_mqtt__max_inflight", "8"),
            ("EMQX_NAME", "x"),
            ("PATH", "y"),
        ];
        let found = settings(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let found: Vec<(String, String)> = found.into_iter().map(|(path, _, value)| (path.join("."), value)).collect();
        let expected = [("mqtt.max_inflight", "8"), ("mqtt.max_inflight", "7"), ("ringmq.shards", "2")];
        assert_eq!(found, expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
    }

    #[test]
    fn paths_may_begin_with_a_variable() {
        let variable = |name: &str| (name == "HOME").then(|| "/home/user".to_owned());
        let filled = |path: &str| expanded(path, &variable).map(Cow::into_owned);
        assert_eq!(filled("${HOME}/log/x"), Ok("/home/user/log/x".to_owned()));
        assert_eq!(filled("$HOME"), Ok("/home/user".to_owned()));
        assert_eq!(filled("a/$HOME"), Ok("a/$HOME".to_owned()));
        assert_eq!(filled("${EMQX_LOG_DIR}/emqx.log"), Ok("log/emqx.log".to_owned()));
        assert!(filled("${NOWHERE}/x").is_err_and(|why| why.contains("variable NOWHERE, which is not set")));
    }

    #[test]
    fn values_are_hocon_or_plain_text() {
        let text = |raw: &str| value(raw).map(|node| node.value);
        assert_eq!(text("15s"), Ok(Value::Text("15s".to_owned())));
        assert_eq!(text("\"[::]:1883\""), Ok(Value::Text("[::]:1883".to_owned())));
        assert_eq!(text("[::]:1883"), Ok(Value::Text("[::]:1883".to_owned())));
        assert_eq!(text("0.0.0.0:1883"), Ok(Value::Text("0.0.0.0:1883".to_owned())));
        assert_eq!(text("a // b"), Ok(Value::Text("a // b".to_owned())));
        assert_eq!(text(""), Ok(Value::Text(String::new())));
        assert!(matches!(text("{max_inflight = 5}"), Ok(Value::Object(_))));
        assert!(text("\"open").is_err());
    }
}

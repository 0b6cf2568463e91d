//! Handlers of the log with a file (`log.file`, `log.file.<name>`): which there can be, and how EMQX writes them.
//!
//! In EMQX `log.file` is either one handler or a table of them by name, and the one without a name is called `default`.
//! Here it is both at a time: what is said of `default` is said of `log.file` itself.

use super::apply::Loader;
use super::error::Problem;
use super::hocon::{Node, Value};
use crate::log::{DEFAULT_FILE, FILES_MAX, FileSettings, LogSettings};
use std::collections::BTreeMap;
use std::path::Path;

/// Longest name of a handler, bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a handler has in EMQX, under all names that it ever had: so no handler is called like that.
const FIELDS: [&str; 24] = [
    "burst_limit",
    "chars_limit",
    "drop_mode_qlen",
    "enable",
    "file",
    "flush_qlen",
    "format",
    "formatter",
    "level",
    "max_depth",
    "max_size",
    "overload_kill",
    "path",
    "payload_encode",
    "rotation",
    "rotation_count",
    "rotation_size",
    "single_line",
    "supervisor_reports",
    "sync_mode_qlen",
    "time_offset",
    "timestamp_format",
    "to",
    "with_mfa",
];

/// True for a path into `log.file` that goes on with something other than a name.
pub(super) fn goes_on_with_field(path: &[String]) -> bool {
    matches!(path, [log, file, field, ..] if log == "log" && file == "file" && FIELDS.contains(&field.as_str()))
}

/// The name of the handler that a path leads into, and what follows it.
pub(super) fn named(path: &[String]) -> Option<(&str, &[String])> {
    match path {
        [log, file, name, rest @ ..] if log == "log" && file == "file" && !goes_on_with_field(path) => {
            Some((name, rest))
        }
        _ => None,
    }
}

/// The key and value that EMQX means by these, where they are others: `log.file_handlers`, `default`, and a rotation
/// that is a group of its own, of which EMQX takes the count.
pub(super) fn meant(path: &[String], node: &Node) -> Option<(Vec<String>, Node)> {
    let [log, file, below @ ..] = path else { return None };
    let older = file == "file_handlers";
    if log != "log" || !(older || file == "file") {
        return None;
    }
    let is_default = below.first().is_some_and(|name| name == DEFAULT_FILE);
    let mut meant = vec![log.clone(), "file".to_owned()];
    meant.extend_from_slice(&below[usize::from(is_default)..]);
    let mut value = None;
    match (meant.as_slice(), &node.value) {
        ([.., rotation], Value::Object(object)) if rotation == "rotation" => {
            value = Some(object.get("count").map_or(Value::Null, |count| count.value.clone()));
        }
        ([.., rotation, count], _) if rotation == "rotation" && count == "count" => {
            meant.pop();
            value = Some(node.value.clone());
        }
        _ => {}
    }
    if let (Some(_), Some(last)) = (&value, meant.last_mut()) {
        "rotation_count".clone_into(last);
    }
    let differs = older || is_default || value.is_some();
    let value = value.unwrap_or_else(|| node.value.clone());
    differs.then(|| (meant, Node { place: node.place.clone(), value }))
}

/// Changes the handler with this name. One of which nothing is said is not kept.
pub(super) fn change(named: &mut BTreeMap<String, FileSettings>, name: &str, change: impl FnOnce(&mut FileSettings)) {
    let mut file = named.remove(name).unwrap_or_else(FileSettings::named);
    change(&mut file);
    if file != FileSettings::named() {
        named.insert(name.to_owned(), file);
    }
}

/// True if a path leads into a handler that the broker did not start with: no file is opened later.
pub(super) fn is_new(log: &LogSettings, path: &[String]) -> bool {
    named(path).is_some_and(|(name, _)| !log.named.contains_key(name))
}

/// Takes over the levels of `new` for the handlers that the broker started with.
pub(super) fn take_levels(log: &mut LogSettings, new: &LogSettings) {
    log.console.level = new.console.level;
    log.file.handler.level = new.file.handler.level;
    for (name, file) in &mut log.named {
        file.handler.level = new.named.get(name).map_or(FileSettings::named().handler.level, |new| new.handler.level);
    }
}

/// The key of a handler's path.
fn path_key(name: &str) -> String {
    if name == DEFAULT_FILE { "log.file.path".to_owned() } else { format!("log.file.{name}.path") }
}

impl Loader {
    /// Leaves out handlers that have no file, and finds out whether the others can be.
    pub(super) fn check_log_files(&mut self) {
        let log = &mut self.config.log;
        // A level that was changed at run time may be all that is left of one.
        for (name, _) in log.named.iter().filter(|(_, file)| file.path.as_os_str().is_empty()) {
            let problem = Problem::new(format!("the log's handler log.file.{name} has no path, and is left out"));
            self.warnings.push(problem.with_help(format!("set {}", path_key(name))));
        }
        log.named.retain(|_, file| !file.path.as_os_str().is_empty());
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        for name in log.named.keys().filter(|name| name.len() > NAME_BYTES_MAX || !name.chars().all(allowed)) {
            let message = format!("log.file: `{}` is no name of a handler", name.escape_debug());
            let help = format!("allowed: 1 to {NAME_BYTES_MAX} letters, digits, `_` and `-`");
            self.errors.push(Problem::new(message).with_help(help));
        }
        if log.named.len() >= FILES_MAX {
            let problem = Problem::new(format!("the log has more than {FILES_MAX} handlers with a file"));
            self.errors.push(problem.with_help("log.file itself is one of them"));
        }
        let mut known: BTreeMap<&Path, &str> = BTreeMap::new();
        for (name, file) in log.files().filter(|(_, file)| file.handler.enable) {
            if let Some(other) = known.insert(&file.path, name) {
                let (one, two) = (path_key(other), path_key(name));
                let problem = Problem::new(format!("{one} and {two} are the same file, {}", file.path.display()));
                self.errors.push(problem.with_help(format!("set {two}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Layers, Loaded, load, set};
    use crate::log::{DEFAULT_FILE, FileSettings};
    use crate::scratch::Dir;

    fn loaded(file: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
        let dir = Dir::new("log-files");
        dir.write("r.conf", file);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let layers = Layers { file: Some(dir.path("r.conf")), variables, ..Layers::default() };
        load(&layers).map_err(|problems| problems.0[0].to_string())
    }

    /// Every handler that is on: name, level, path and files in all.
    fn handlers(loaded: &Loaded) -> Vec<String> {
        let word = |(name, file): (&str, &FileSettings)| {
            format!("{name} {} {} {}", file.handler.level.name(), file.path.display(), file.rotation_count)
        };
        loaded.config.log.files().filter(|(_, file)| file.handler.enable).map(word).collect()
    }

    #[test]
    fn handlers_have_names_and_the_one_without_is_called_default() {
        let file = "log.file { enable = true, path = a, b { path = b.log, level = none, rotation_count = 3 },\n\
                    default.level = all, off { path = c, enable = false } }";
        let loaded = loaded(file, &[("EMQX_LOG__FILE__B__LEVEL", "error"), ("EMQX_LOG__FILE__DEFAULT__PATH", "d")]);
        let loaded = loaded.expect("right");
        assert_eq!(handlers(&loaded), [format!("{DEFAULT_FILE} debug d 10"), "b error b.log 3".to_owned()]);
        assert_eq!(loaded.warnings, []);
        let row = |key: &str| loaded.rows().into_iter().find(|row| row.key == key).expect(key).value;
        assert_eq!(
            [row("log.file.level"), row("log.file.b.level"), row("log.file.off.enable")],
            ["all", "error", "false"]
        );
    }

    #[test]
    fn older_words_of_emqx_are_understood() {
        let file = "log.file_handlers {\n\
                    default { enable = true, file = a, rotation { enable = true, count = 5 }, max_size = 1MB }\n\
                    more { to = b, rotation = 6, format = json, burst_limit { enable = true }, payload_encode = hex } }";
        let loaded = loaded(file, &[("EMQX_LOG__FILE__MORE__ROTATION__COUNT", "7")]).expect("right");
        assert_eq!(handlers(&loaded), [format!("{DEFAULT_FILE} warning a 5"), "more warning b 7".to_owned()]);
        assert_eq!(loaded.config.log.file.rotation_size, Some(1 << 20));
        assert_eq!(loaded.warnings.len(), 2, "what is not there yet, and what never will be: {:?}", loaded.warnings);
    }

    #[test]
    fn what_cannot_be_is_refused_and_what_is_no_handler_left_out() {
        let refused = |file: &str| loaded(file, &[]).map(|loaded| handlers(&loaded)).expect_err(file);
        let twice = refused("log.file { enable = true, path = x, b.path = x }");
        assert!(twice.starts_with("log.file.path and log.file.b.path are the same file, x"), "{twice}");
        assert!(refused("log.file.b { path = b, levle = info }").contains("did you mean log.file.b.level?"));
        assert!(refused("log.file.\"a/b\".path = x").contains("`a/b` is no name of a handler"));
        let many: String = (0..16).map(|number| format!("log.file.h{number}.path = f{number}\n")).collect();
        assert!(refused(&many).contains("more than 16 handlers"));
        assert!(refused("log.file.b.level = loud").contains("log.file.b.level: `loud` is none of the choices"));
        let loaded = loaded("log.file.b.level = info", &[]).expect("right");
        assert!(handlers(&loaded).is_empty() && loaded.warnings[0].message.contains("log.file.b has no path"));
    }

    #[test]
    fn levels_change_while_the_broker_runs_and_handlers_do_not_come() {
        let dir = Dir::new("log-files-set");
        dir.write("r.conf", "log.file.b.path = b.log");
        let layers = Layers { file: Some(dir.path("r.conf")), ..Layers::default() };
        let (file, first) = (dir.path("cluster.hocon"), load(&layers).expect("right"));
        let next = set(&first, "log.file.b.level", "info", &file).expect("changed");
        let next = set(&next, "log.file.default.level", "none", &file).expect("changed");
        assert_eq!(handlers(&next), ["b info b.log 10"]);
        assert_eq!(next.config.log.file.handler.level.name(), "none");
        let kept = std::fs::read_to_string(&file).expect("a file");
        assert!(kept.contains("level = none") && !kept.contains("default"), "{kept}");
        let refused = set(&next, "log.file.c.level", "info", &file).expect_err("no such handler").0[0].to_string();
        assert!(refused.contains("there is no handler log.file.c"), "{refused}");
        assert!(set(&next, "log.file.b.path", "c", &file).is_err());
    }
}

//! From layers of `key = value` to a checked [`Config`].
//!
//! All problems are collected, so that one run shows them all.

use super::error::{Origin, Problem, Problems};
use super::hocon::{self, Node, Object, Value};
use super::keys::{Found, NAME, Target, find, keys};
use super::kind::Kind;
use super::listeners::names_listener;
use super::skipped::Skipped;
use super::values::{self, Given, GivenByKey, Row};
use super::zones;
use super::{Config, DEFAULT_LISTENER, emqx, environment, log_files, overrides, places, suggest};
use crate::sys;
use std::path::{Path, PathBuf};

/// What the operator gave, before any check.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    /// The file of `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The file that is read in its place if there is one.
    pub(crate) usual_file: Option<PathBuf>,
    /// Environment variables.
    pub(crate) variables: Vec<(String, String)>,
    /// Values of `--set`, each `key=value`.
    pub(crate) set: Vec<String>,
    /// Other flags that stand for a key: the flag as typed, the key, the value.
    pub(crate) flags: Vec<(String, &'static str, String)>,
    /// Values of `--tcp`: if there are any, these addresses replace all listeners.
    pub(crate) tcp: Vec<String>,
}

/// What lies below the file of settings, in its directory.
const BASE: &str = "base.hocon";

impl Layers {
    /// The files of the operator, the weaker first.
    fn files(&self) -> Vec<PathBuf> {
        let usual = self.usual_file.as_ref().filter(|file| file.exists());
        let Some(file) = self.file.as_ref().or(usual) else { return Vec::new() };
        let base = file.with_file_name(BASE);
        let base = (base != *file && base.exists()).then_some(base);
        base.into_iter().chain([file.clone()]).collect()
    }
}

/// A checked configuration and how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// What is odd about it.
    pub(crate) warnings: Vec<Problem>,
    pub(super) given: GivenByKey,
}

impl Loaded {
    /// Where a key's value came from, unless it has its default.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.given.get(key).map(|given| &given.origin)
    }

    /// The effective value of every key.
    pub(crate) fn rows(&self) -> Vec<Row> {
        values::rows(&self.config, &self.given)
    }
}

/// Checks everything.
///
/// # Errors
/// All that is wrong.
pub(crate) fn load(layers: &Layers) -> Result<Loaded, Problems> {
    // The other layers say where the data directory is.
    let loader = read(layers, Changed::Nothing);
    let changed = overrides::path(&loader.config.data_dir);
    if !changed.exists() {
        return loader.finish();
    }
    let mut full = read(layers, Changed::File(&changed));
    if full.config.data_dir != loader.config.data_dir {
        let problem = Problem::new(format!("node.data_dir cannot be set in {}", changed.display()));
        full.errors.push(problem.with_help("that file is found through it; set it in the file of --config"));
    }
    full.finish()
}

/// Where a broker with these layers keeps its data. What was changed at run time, and whether all fits together, does
/// not matter for that.
///
/// # Errors
/// All that is wrong with single values.
pub(crate) fn data_dir(layers: &Layers) -> Result<PathBuf, Problems> {
    let loader = read(layers, Changed::Nothing);
    if loader.errors.is_empty() { Ok(loader.config.data_dir) } else { Err(Problems(loader.errors)) }
}

/// What follows from `current` and one more value.
///
/// # Errors
/// All that is wrong.
pub(super) fn with(current: &Loaded, path: &[String], value: &str, origin: &Origin) -> Result<Loaded, Problems> {
    let (config, given) = (current.config.clone(), current.given.clone());
    let mut loader = Loader { config, given, ..Loader::default() };
    loader.outside(path, value, origin, Strictness::Strict);
    loader.finish()
}

/// What follows from these layers if this is what was changed at run time.
///
/// # Errors
/// All that is wrong.
pub(super) fn with_changed(layers: &Layers, changed: &Object, origin: &Origin) -> Result<Loaded, Problems> {
    read(layers, Changed::Settings(changed, origin)).finish()
}

/// What was changed at run time.
#[derive(Clone, Copy)]
enum Changed<'a> {
    Nothing,
    File(&'a Path),
    Settings(&'a Object, &'a Origin),
}

fn read(layers: &Layers, changed: Changed<'_>) -> Loader {
    let mut loader = Loader::default();
    for (name, value) in &layers.variables {
        loader.default_log_handler(name, value);
    }
    for file in layers.files() {
        loader.file(&file);
    }
    match changed {
        Changed::Nothing => {}
        Changed::File(file) => loader.file(file),
        Changed::Settings(object, origin) => {
            loader.object(object, &mut Vec::new(), Some(origin), Strictness::Compatible);
        }
    }
    for (path, name, value) in environment::settings(layers.variables.iter().cloned()) {
        let origin = Origin::Variable(name);
        loader.outside(&path, &value, &origin, Strictness::Lenient);
    }
    for set in &layers.set {
        loader.set(set);
    }
    for (flag, key, value) in &layers.flags {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        loader.text(&path, value, &Origin::Flag(flag.clone()));
    }
    loader.replace_listeners(&layers.tcp);
    loader
}

/// What an unknown key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Files: a key that EMQX has is skipped with a warning, any other is an error.
    Compatible,
    /// Environment: skipped with a warning.
    Lenient,
    /// `--set`: an error.
    Strict,
}

#[derive(Default)]
pub(super) struct Loader {
    pub(super) config: Config,
    pub(super) warnings: Vec<Problem>,
    pub(super) errors: Vec<Problem>,
    /// Settings of EMQX that have no effect.
    pub(super) skipped: Skipped,
    pub(super) given: GivenByKey,
}

impl Loader {
    /// Goes on from this configuration.
    pub(super) fn over(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    fn file(&mut self, file: &Path) {
        match hocon::load(file, &|name| std::env::var(name).ok()) {
            Ok(document) => {
                self.warnings.extend(document.warnings.into_iter().map(Problem::from));
                self.object(&document.root, &mut Vec::new(), None, Strictness::Compatible);
            }
            Err(error) => self.errors.push(error.into()),
        }
    }

    /// EMQX's variable for containers, which files override.
    fn default_log_handler(&mut self, name: &str, value: &str) {
        let origin = Origin::Variable(name.to_owned());
        let (console, file) = match (name, value) {
            ("EMQX_DEFAULT_LOG_HANDLER", "console") => ("true", "false"),
            ("EMQX_DEFAULT_LOG_HANDLER", "file") => ("false", "true"),
            ("EMQX_DEFAULT_LOG_HANDLER", "both") => ("true", "true"),
            ("EMQX_DEFAULT_LOG_HANDLER", other) => {
                let problem = Problem::at(&origin, format!("`{}` is no handler of the log", other.escape_debug()));
                self.warnings.push(problem.with_help("allowed: console, file or both"));
                return;
            }
            _ => return,
        };
        for (handler, value) in [("console", console), ("file", file)] {
            self.text(&["log", handler, "enable"].map(str::to_owned), value, &origin);
        }
    }

    fn set(&mut self, set: &str) {
        let origin = Origin::Flag(format!("--set {set}"));
        let Some((key, value)) = set.split_once('=') else {
            let problem = Problem::at(&origin, "`--set` needs a key and a value");
            self.errors.push(problem.with_help("write --set key=value, for example --set mqtt.max_inflight=64"));
            return;
        };
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        self.outside(&path, value, &origin, Strictness::Strict);
    }

    /// A value that does not come from a file.
    fn outside(&mut self, path: &[String], value: &str, origin: &Origin, strictness: Strictness) {
        match environment::value(value) {
            Ok(node) => {
                let (mut path, node) = places::into_list(path, node);
                self.node(&mut path, &node, origin, Some(origin), strictness);
            }
            Err(error) => {
                let problem = Problem::at(origin, format!("{}: {}", path.join("."), error.message));
                self.errors.push(Problem { help: error.help, ..problem });
            }
        }
    }

    /// `fixed` is the origin of everything within, for values that do not come from a file.
    pub(super) fn object(
        &mut self,
        object: &Object,
        path: &mut Vec<String>,
        fixed: Option<&Origin>,
        strictness: Strictness,
    ) {
        for entry in &object.entries {
            let origin = fixed.cloned().unwrap_or_else(|| Origin::File(entry.place.clone()));
            path.push(entry.key.clone());
            self.node(path, &entry.node, &origin, fixed, strictness);
            path.pop();
        }
    }

    pub(super) fn node(
        &mut self,
        path: &mut Vec<String>,
        node: &Node,
        origin: &Origin,
        fixed: Option<&Origin>,
        strictness: Strictness,
    ) {
        if let Some((mut path, node)) = log_files::meant(path, node) {
            return self.node(&mut path, &node, origin, fixed, strictness);
        }
        emqx::rename(path);
        match (find(path), &node.value) {
            (Found::Key(key, _), Value::Null) => self.text(path, key.default, origin),
            (Found::Key(_, _), Value::Text(text)) => self.text(path, text, origin),
            (Found::Key(key, _), Value::Object(table)) if matches!(key.kind, Kind::Table { .. }) => {
                self.table(path, table, origin);
            }
            (Found::Key(key, _), Value::Object(object)) if places::are_places(&key.kind, object) => {
                self.places(path, object, origin, fixed, strictness);
            }
            (Found::Key(key, _), Value::List(items)) if matches!(key.kind, Kind::List { .. }) => {
                self.list(path, items, origin, fixed);
            }
            (Found::Key(key, _), Value::List(items)) if matches!(key.kind, Kind::Texts { .. }) => {
                self.texts(path, items, origin);
            }
            (Found::Key(key, _), Value::List(items)) if matches!(key.kind, Kind::Words { .. }) => {
                self.words(path, items, origin);
            }
            (Found::Key(key, _), other) => {
                let problem = Problem::at(origin, format!("{} cannot be {}", path.join("."), other.kind()));
                self.errors.push(problem.with_help(format!("allowed: {}", key.kind.allowed())));
            }
            (Found::ZoneKey, _) => self.zone_value(path, node, origin, fixed, strictness),
            (Found::Group, Value::Object(object)) => {
                if let [root, zone] = path.as_slice()
                    && root == zones::ROOT
                {
                    self.config.zones.entry(zone.clone()).or_default();
                }
                self.object(object, path, fixed, strictness);
            }
            (Found::Group, Value::Null) => {}
            (Found::Group, Value::Text(text)) if text == emqx::DELETED && names_listener(path) => {
                self.delete_listener(&path[2]);
            }
            (Found::Group, other) => {
                let name = path.join(".");
                let problem = Problem::at(origin, format!("{name} is a group of keys, not {}", other.kind()));
                self.errors.push(problem.with_help(format!("keys within: {}", keys_within(path).join(", "))));
            }
            (Found::Nothing, _) => self.unknown(path, origin, strictness),
        }
    }

    /// Gives a key that is known to exist its value.
    pub(super) fn text(&mut self, path: &[String], text: &str, origin: &Origin) {
        let Found::Key(key, name) = find(path) else { return self.unknown(path, origin, Strictness::Strict) };
        let mut target = Target { config: &mut self.config, name };
        let full = path.join(".");
        let expanded = match key.kind {
            Kind::Path(_) => environment::expanded(text, &|name| std::env::var(name).ok()),
            _ => Ok(text.into()),
        };
        let parsed = expanded.and_then(|text| key.kind.parse_into(&text, &mut target).map(|()| text));
        let text = match parsed {
            Ok(text) => text,
            Err(why) => {
                let problem = Problem::at(origin, format!("{full}: `{}` {why}", text.escape_debug()));
                self.errors.push(problem.with_help(format!("allowed: {}", key.kind.allowed())));
                return;
            }
        };
        let text = values::written_for(&key.kind, &text);
        self.given.insert(full, Given { text, origin: origin.clone() });
    }

    pub(super) fn unknown(&mut self, path: &[String], origin: &Origin, strictness: Strictness) {
        let full = path.join(".");
        match (emqx::standing(path), strictness) {
            (Some(standing), Strictness::Compatible | Strictness::Lenient) => {
                self.skipped.note(path, standing, origin);
            }
            (Some(_), Strictness::Strict) => {
                let message = format!("{full} is a setting of EMQX that ringmq does not have");
                self.errors.push(Problem::at(origin, message));
            }
            (None, _) => {
                // With the operator's own name in the place of `<name>`, so that distance and message are right.
                let name = path.get(2).map_or(DEFAULT_LISTENER, String::as_str);
                let candidates: Vec<String> = match path {
                    [root, zone, ..] if root == zones::ROOT => {
                        zones::zonal_keys().map(|key| format!("{root}.{zone}.{key}")).collect()
                    }
                    _ => keys().map(|key| key.path.replace(NAME, name)).collect(),
                };
                let near = suggest::nearest(&full, candidates.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean {near}?"));
                let problem = Problem::at(origin, format!("unknown key {full}"));
                if strictness == Strictness::Lenient {
                    self.warnings.push(problem.with_help(help.unwrap_or_else(|| "ignored".to_owned())));
                } else {
                    self.errors.push(Problem { help, ..problem });
                }
            }
        }
    }

    fn finish(mut self) -> Result<Loaded, Problems> {
        self.warnings.extend(self.skipped.warnings());
        self.check_listeners();
        self.check_log_files();
        if self.config.data_dir.as_os_str().is_empty() {
            self.errors.push(Problem::new("node.data_dir is empty").with_help("allowed: the path of a directory"));
        }
        if let Err(why) = sys::check_node_name(&self.config.node_name) {
            let problem = Problem::new(format!("node.name: `{}` {why}", self.config.node_name.escape_debug()));
            self.errors.push(problem.with_help("for example emqx@127.0.0.1"));
        }
        if !self.errors.is_empty() {
            return Err(Problems(self.errors));
        }
        Ok(Loaded { config: self.config, warnings: self.warnings, given: self.given })
    }
}

/// The next path elements below a group, each once.
fn keys_within(group: &[String]) -> Vec<&'static str> {
    match group {
        [root] if root == zones::ROOT => return vec![NAME],
        [root, _, below @ ..] if root == zones::ROOT => return elements_after(below, zones::zonal_keys()),
        _ => {}
    }
    elements_after(group, keys().map(|key| key.path))
}

fn elements_after(group: &[String], paths: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut within: Vec<&'static str> = paths
        .filter(|path| {
            let mut elements = path.split('.');
            group.iter().all(|wanted| elements.next().is_some_and(|element| element == NAME || element == wanted))
        })
        .filter_map(|path| path.split('.').nth(group.len()))
        .collect();
    within.dedup();
    within
}

//! Taking over the settings of one more file while the broker runs (`ringmq ctl conf load`).
//!
//! They are put into the file of what was changed at run time, and the configuration that follows is made as it is at a
//! start: from all layers. So what holds now is what holds after the next start, but for what cannot change until then.
//!
//! Absent: bringing it to the shards, and writing that file.

use super::apply::{self, Layers, Loaded, Loader, Strictness};
use super::change::{Change, follow};
use super::error::{Origin, Problem, Problems};
use super::hocon::{self, Node, Object, Place, Value};
use super::values::Given;
use super::{DEFAULT_LISTENER, emqx, overrides};
use std::path::Path;

/// What the file's settings do to those that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadMode {
    /// They are laid over them, key by key. Lists and tables of numbers are replaced.
    Merge,
    /// Each root of the file takes the place of all that holds below it.
    Replace,
}

impl LoadMode {
    /// The mode with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "merge" => Some(Self::Merge),
            "replace" => Some(Self::Replace),
            _ => None,
        }
    }
}

/// Roots that cannot be loaded, as in EMQX: they say what the process is.
const READ_ONLY: [&str; 3] = ["cluster", "node", "rpc"];

/// What follows from the settings of `file`; `kept_in` is where they would be kept. What waits for the next start, and
/// what a stronger layer forbids, comes as warnings.
///
/// # Errors
/// All that is wrong with the file, or with what follows from it.
pub(crate) fn load_file(
    current: &Loaded,
    layers: &Layers,
    file: &Path,
    mode: LoadMode,
    kept_in: &Path,
) -> Result<Change, Problems> {
    let document = hocon::load(file, &|name| std::env::var(name).ok()).map_err(Problem::from)?;
    let root = document.root;
    if root.entries.is_empty() {
        return Err(Problem::new(format!("{} has no settings", file.display())).into());
    }
    if let Some(entry) = root.entries.iter().find(|entry| READ_ONLY.contains(&entry.key.as_str())) {
        let problem = Problem::at(&Origin::File(entry.place.clone()), format!("{} cannot be loaded", entry.key));
        return Err(problem.with_help("set it in the file of --config and start again").into());
    }
    let trial = trial(current, &root)?;
    let mut changed = overrides::read(kept_in)?.0;
    match mode {
        LoadMode::Merge => changed.merge(root),
        LoadMode::Replace => replace_roots(&mut changed, root, current),
    }
    let origin = Origin::Changed(kept_in.display().to_string());
    let mut new = apply::with_changed(layers, &changed, &origin)?;
    new.warnings = document.warnings.into_iter().map(Problem::from).chain(trial.warnings).collect();
    for key in trial.keys {
        if let Some(fixed @ (Origin::Variable(_) | Origin::Flag(_))) = new.origin(&key) {
            let problem = Problem::at(fixed, format!("{key} is fixed from outside, which wins over every file"));
            new.warnings.push(problem.with_help("its value is kept, and holds once that is removed"));
        }
    }
    // What says the same as before came from where it came before.
    for (key, given) in &mut new.given {
        if let Some(before) = current.given.get(key).filter(|before| before.text == given.text) {
            given.origin = before.origin.clone();
        }
    }
    Ok(Change::of_all(follow(current, new), changed))
}

/// What one file says for itself.
struct Trial {
    /// What is odd about it.
    warnings: Vec<Problem>,
    /// The keys that it gives.
    keys: Vec<String>,
}

/// Looks at what a file says, over what holds. Whether all fits together is not found out.
///
/// # Errors
/// All that is wrong with single values.
fn trial(current: &Loaded, root: &Object) -> Result<Trial, Problems> {
    let mut loader = Loader { given: current.given.clone(), ..Loader::over(current.config.clone()) };
    loader.object(root, &mut Vec::new(), None, Strictness::Compatible);
    if !loader.errors.is_empty() {
        return Err(Problems(loader.errors));
    }
    let skipped = loader.skipped.warnings();
    let warnings = loader.warnings.into_iter().chain(skipped).collect();
    let is_new = |(key, given): &(&String, &Given)| current.given.get(*key) != Some(*given);
    let keys = loader.given.iter().filter(is_new).map(|(key, _)| key.clone()).collect();
    Ok(Trial { warnings, keys })
}

/// Puts the roots of `new` in the place of those that were changed before, and takes back what weaker layers say below
/// them.
fn replace_roots(changed: &mut Object, new: Object, current: &Loaded) {
    for entry in new.entries {
        let below = hidden(current, &entry.key, &entry.node);
        changed.entries.retain(|known| known.key != entry.key);
        changed.merge(below);
        changed.merge(Object { entries: vec![entry] });
    }
}

/// What makes all keys below a root that files have given as if they had not been.
fn hidden(current: &Loaded, root: &str, new: &Node) -> Object {
    let mut hidden = Object::default();
    let put = |hidden: &mut Object, path: &[String], place: &Place, value: Value| {
        hidden.merge(Object::single(path, Node { place: place.clone(), value }));
    };
    for (key, given) in &current.given {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        if path[0] != root || matches!(given.origin, Origin::Variable(_) | Origin::Flag(_)) {
            continue;
        }
        match path.as_slice() {
            [listeners, kind, name, ..]
                if listeners == "listeners" && name != DEFAULT_LISTENER && !has(new, &[kind, name]) =>
            {
                put(&mut hidden, &path[..3], &new.place, Value::Text(emqx::DELETED.to_owned()));
            }
            path => put(&mut hidden, path, &new.place, Value::Null),
        }
    }
    hidden
}

/// True if there is something at a path below a node.
fn has(node: &Node, path: &[&String]) -> bool {
    path.split_first().is_none_or(|(first, rest)| match &node.value {
        Value::Object(object) => object.get(first).is_some_and(|below| has(below, rest)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::scratch::Dir;

    const BASE: &str = "mqtt { max_inflight = 1, max_awaiting_rel = 50, mqueue_priorities { \"a\" = 1 } }\n\
                        listeners.tcp { default.bind = 1884, more.bind = 1885 }\nringmq.shards = 1\n\
                        zones.z.mqtt.max_inflight = 4\nsysmon.os.procmem_high_watermark = \"7%\"\n";

    struct Running {
        dir: Dir,
        layers: Layers,
        loaded: Loaded,
    }

    impl Running {
        fn new(variables: &[(&str, &str)]) -> Self {
            let dir = Dir::new("load");
            dir.write("r.conf", BASE);
            let flags = vec![("--data-dir".to_owned(), "node.data_dir", dir.path("data").display().to_string())];
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let layers = Layers { file: Some(dir.path("r.conf")), flags, variables, ..Layers::default() };
            let loaded = load(&layers).expect("right");
            Self { dir, layers, loaded }
        }

        fn load(&mut self, mode: LoadMode, text: &str) -> Result<Vec<String>, String> {
            self.dir.write("more.conf", text);
            let kept_in = overrides::path(&self.loaded.config.data_dir);
            let change = load_file(&self.loaded, &self.layers, &self.dir.path("more.conf"), mode, &kept_in)
                .map_err(|problems| problems.0[0].to_string())?;
            change.keep(&kept_in).expect("written");
            self.loaded = change.loaded;
            Ok(self.loaded.warnings.iter().map(|problem| problem.message.clone()).collect())
        }

        fn value(&self, key: &str) -> String {
            self.loaded.rows().into_iter().find(|row| row.key == key).expect(key).value
        }

        /// What holds now holds after the next start as well.
        fn assert_it_lasts(&self) {
            let values =
                |loaded: &Loaded| loaded.rows().into_iter().map(|row| (row.key, row.value)).collect::<Vec<_>>();
            assert_eq!(values(&load(&self.layers).expect("right")), values(&self.loaded));
        }
    }

    #[test]
    fn a_file_is_laid_over_what_holds() {
        let mut running = Running::new(&[]);
        let warnings = running.load(LoadMode::Merge, "mqtt { max_inflight = 2, mqueue_priorities { \"b\" = 2 } }");
        assert_eq!(warnings, Ok(Vec::new()));
        let values =
            ["mqtt.max_inflight", "mqtt.max_awaiting_rel", "mqtt.mqueue_priorities"].map(|key| running.value(key));
        assert_eq!(values, ["2", "50", "{\"b\" = 2}"], "a table is replaced");
        running.assert_it_lasts();
        running.load(LoadMode::Merge, "mqtt.max_inflight = 3\nlisteners.tcp.third.bind = 1886").expect("right");
        assert_eq!(running.loaded.config.listeners.keys().collect::<Vec<_>>(), ["default", "more", "third"]);
        assert_eq!(running.value("mqtt.mqueue_priorities"), "{\"b\" = 2}", "what was loaded before stays");
        running.assert_it_lasts();
    }

    #[test]
    fn a_root_takes_the_place_of_all_that_holds_below_it() {
        let mut running = Running::new(&[]);
        running.load(LoadMode::Merge, "mqtt.max_mqueue_len = 7").expect("right");
        let text = "mqtt.max_inflight = 3\nlisteners.tcp.third.bind = 1886\nzones.y.mqtt.max_inflight = 5";
        assert_eq!(running.load(LoadMode::Replace, text), Ok(Vec::new()));
        let keys = ["mqtt.max_inflight", "mqtt.max_mqueue_len", "mqtt.mqueue_priorities", "listeners.tcp.default.bind"];
        assert_eq!(keys.map(|key| running.value(key)), ["3", "1000", "disabled", "\"0.0.0.0:1883\""]);
        assert_eq!(running.loaded.config.listeners.keys().collect::<Vec<_>>(), ["default", "third"]);
        assert_eq!(running.value("sysmon.os.procmem_high_watermark"), "\"7%\"", "other roots stay");
        assert_eq!(running.value("zones.y.mqtt.max_inflight"), "5");
        assert!(!running.loaded.rows().iter().any(|row| row.key == "zones.z.mqtt.max_inflight"));
        running.assert_it_lasts();
    }

    #[test]
    fn what_cannot_hold_now_is_told_and_waits() {
        let mut running = Running::new(&[("EMQX_MQTT__MAX_MQUEUE_LEN", "9")]);
        let text = "mqtt { max_inflight = 2, max_awaiting_rel = 5, max_mqueue_len = 8 }\nringmq.shards = 3\n\
                    dashboard.listeners.http.bind = 1";
        let told = running.load(LoadMode::Merge, text).expect("right");
        let first = |text: &String| text.split(' ').next().unwrap_or_default().to_owned();
        assert_eq!(told[0], "not available yet: dashboard");
        let others: Vec<String> = told[1..].iter().map(first).collect();
        assert_eq!(others, ["mqtt.max_mqueue_len", "ringmq.shards", "mqtt.max_awaiting_rel"]);
        let keys = ["mqtt.max_inflight", "mqtt.max_mqueue_len", "mqtt.max_awaiting_rel", "ringmq.shards"];
        assert_eq!(keys.map(|key| running.value(key)), ["2", "9", "50", "1"]);
        let next = load(&running.layers).expect("right").config;
        assert_eq!((next.shards, next.settings.max_awaiting_rel), (Some(3), 5));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place_and_nothing_is_kept() {
        let mut running = Running::new(&[]);
        let mut refused = |text: &str| {
            let problem = running.load(LoadMode::Merge, text).expect_err(text);
            assert!(!overrides::path(&running.loaded.config.data_dir).exists());
            problem
        };
        assert!(refused("mqtt.max_inflight = 2\nmqtt.max_inflght = 3").contains("more.conf:2:1"));
        assert!(refused("node.name = \"a@b\"").starts_with("node cannot be loaded"));
        assert!(refused("# nothing").contains("more.conf has no settings"));
        assert!(refused("listeners.tcp.more.bind = 1884").contains("overlap"));
        assert!(refused("mqtt {").contains("more.conf"));
    }
}

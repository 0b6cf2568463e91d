//! Changing settings while the broker runs: one key by hand, or all files anew.
//!
//! Keys below [`ROOTS`] are read by a shard for each packet or connection and can change at any time; all others are
//! looked at once, when the broker starts.

use super::Config;
use super::apply::{Layers, Loaded, load};
use super::error::{Origin, Problem, Problems};
use super::hocon::Node;
use super::keys::{Found, find};
use super::zones::{self, without_zone};
use super::{apply, environment, overrides};
use std::path::Path;

/// Roots of keys that can change at run time.
const ROOTS: [&str; 12] = [
    "broker",
    "listeners",
    "mqtt",
    "force_shutdown",
    "overload_protection",
    "auto_subscribe",
    "conn_congestion",
    "delayed",
    "flapping_detect",
    "retainer",
    "slow_subs",
    zones::ROOT,
];

/// Other keys that can.
const LIVE_KEYS: [&str; 3] = ["ringmq.limit_action", "ringmq.overload_lateness", "ringmq.queue_full_policy"];

/// Those that the process around the shards looks at.
const KEYS_OF_THE_PROCESS: [&str; 2] = ["log.console.level", "log.file.level"];

/// True if a key can change at run time. In a zone every key can.
pub(super) fn at_run_time(key: &str) -> bool {
    let key = without_zone(key);
    ROOTS.contains(&key.split('.').next().unwrap_or(key))
        || LIVE_KEYS.contains(&key)
        || KEYS_OF_THE_PROCESS.contains(&key)
}

/// A change of one key that has been checked.
#[derive(Debug)]
pub(crate) struct Change {
    /// The configuration with it.
    pub(crate) loaded: Loaded,
    path: Vec<String>,
    node: Node,
}

impl Change {
    /// Keeps it in `file` for the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&self, file: &Path) -> Result<(), Problem> {
        overrides::keep(file, &self.path, self.node.clone())
    }
}

/// The configuration with one key changed, checked like any other layer; `file` is where it would be kept.
///
/// # Errors
/// The key is not known, is fixed by a stronger layer or until the next start, or the value is not allowed.
pub(crate) fn change(current: &Loaded, key: &str, value: &str, file: &Path) -> Result<Change, Problems> {
    let origin = Origin::Changed(file.display().to_string());
    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    let key = path.join(".");
    if let Found::Key(..) | Found::ZoneKey = find(&path) {
        if !at_run_time(&key) {
            let problem = Problem::new(format!("{key} cannot change while the broker runs"));
            return Err(problem.with_help("set it in the file of --config and start again").into());
        }
        if let Some(fixed @ (Origin::Variable(_) | Origin::Flag(_))) = current.origin(&key) {
            let problem = Problem::at(fixed, format!("{key} is fixed from outside, which wins over every file"));
            return Err(problem.with_help("remove it there and start again").into());
        }
    } else if let Found::Group = find(&path) {
        let problem = Problem::new(format!("{key} is a group of keys"));
        return Err(problem.with_help("give one key, for example mqtt.max_inflight").into());
    }
    let mut changed = apply::with(current, &path, value, &origin)?;
    if let Some(promised) = changed.config.keep_promises(&current.config).first() {
        let problem = Problem::new(format!("{promised} may only grow while the broker runs"));
        let help = "connected clients were told the present limit; set it in the file of --config and start again";
        return Err(problem.with_help(help).into());
    }
    let node = environment::value(value).map_err(Problem::from)?;
    changed.warnings.clear();
    Ok(Change { loaded: changed, path, node })
}

/// A change that is kept.
#[cfg(test)]
pub(crate) fn set(current: &Loaded, key: &str, value: &str, file: &Path) -> Result<Loaded, Problems> {
    let change = change(current, key, value, file)?;
    change.keep(file)?;
    Ok(change.loaded)
}

/// The configuration of files that are read again: what can change does, and of everything else a warning tells that
/// it waits for the next start.
///
/// # Errors
/// All that is wrong with the files; nothing has changed.
pub(crate) fn reload(current: &Loaded, layers: &Layers) -> Result<Loaded, Problems> {
    let mut new = load(layers)?;
    // What the files say now; what follows is what of it can hold.
    let new_values = new.rows();
    let promised = new.config.keep_promises(&current.config);
    let Config { settings, zones, listeners, .. } = new.config;
    let mut wait = |key: &str, why: &str| {
        let problem = Problem::new(format!("{key} has changed, but {why}"));
        new.warnings.push(problem.with_help("the new value holds from the next start"));
    };
    let values = |loaded: &Loaded| loaded.rows().into_iter().map(|row| (row.key, row.value)).collect::<Vec<_>>();
    let old_values = values(current);
    for row in &new_values {
        if !at_run_time(&row.key) && !old_values.contains(&(row.key.clone(), row.value.clone())) {
            wait(&row.key, "cannot change while the broker runs");
        }
    }
    for key in &promised {
        wait(key, "connected clients were told a wider limit");
    }
    let stays = |key: &str| !at_run_time(key) || promised.iter().any(|promised| promised == key);
    let mut given = new.given.clone();
    given.retain(|key, _| !stays(key));
    given.extend(current.given.iter().filter(|(key, _)| stays(key)).map(|(key, value)| (key.clone(), value.clone())));
    let mut config = current.config.clone();
    config.settings = settings;
    config.log.console.level = new.config.log.console.level;
    config.log.file.handler.level = new.config.log.file.handler.level;
    config.zones = zones;
    config.listeners = listeners;
    Ok(Loaded { config, warnings: new.warnings, given })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::keys::{KEYS, Target};
    use crate::scratch::Dir;

    fn layers(dir: &Dir) -> Layers {
        let data = ("--data-dir".to_owned(), "node.data_dir", dir.path("data").display().to_string());
        Layers { file: Some(dir.path("r.conf")), flags: vec![data], ..Layers::default() }
    }

    #[test]
    fn a_change_lies_above_the_file_and_below_everything_else() {
        let dir = Dir::new("change");
        dir.write("r.conf", "mqtt { max_inflight = 1, max_awaiting_rel = 1 }");
        let file = overrides::path(&dir.path("data"));
        let mut layers = layers(&dir);
        let loaded = load(&layers).expect("right");
        let loaded = set(&loaded, "mqtt.max_inflight", "2", &file).expect("changed");
        let loaded = set(&loaded, "mqtt.max_awaiting_rel", "3", &file).expect("changed");
        assert_eq!((loaded.config.settings.max_inflight, loaded.config.settings.max_awaiting_rel), (2, 3));
        layers.variables = vec![("EMQX_MQTT__MAX_INFLIGHT".to_owned(), "9".to_owned())];
        let next = load(&layers).expect("right");
        assert_eq!((next.config.settings.max_inflight, next.config.settings.max_awaiting_rel), (9, 3));
        let fixed = set(&next, "mqtt.max_inflight", "2", &file).expect_err("fixed").0[0].to_string();
        assert!(fixed.contains("wins over every file\n  --> environment variable EMQX_MQTT__MAX_INFLIGHT"), "{fixed}");
    }

    #[test]
    fn a_file_that_cannot_be_written_changes_nothing() {
        let dir = Dir::new("unwritable");
        dir.write("r.conf", "");
        dir.write("data/configs", "a file in the way of the directory");
        let loaded = load(&layers(&dir)).expect("right");
        let refused = set(&loaded, "mqtt.max_inflight", "2", &overrides::path(&dir.path("data")));
        let text = refused.expect_err("refused").0[0].to_string();
        assert!(text.contains("cluster.hocon"), "{text}");
    }

    #[test]
    fn a_reload_changes_what_can_and_names_what_waits() {
        let dir = Dir::new("reload");
        dir.write("r.conf", "mqtt { max_inflight = 1, max_awaiting_rel = 50 }\nringmq.shards = 2");
        let layers = layers(&dir);
        let loaded = load(&layers).expect("right");
        let text = "mqtt { max_inflight = 2, max_awaiting_rel = 5 }\nringmq.shards = 3\n\
                    listeners.tcp.default.tcp_options.send_timeout = 5s";
        dir.write("r.conf", text);
        let new = reload(&loaded, &layers).expect("right");
        let settings = (new.config.settings.max_inflight, new.config.settings.max_awaiting_rel);
        assert_eq!((settings, new.config.shards), ((2, 50), Some(2)));
        assert_eq!(new.config.settings.send_timeout.as_secs(), 5);
        let named: Vec<&str> = new.warnings.iter().filter_map(|w| w.message.split(' ').next()).collect();
        assert_eq!(named, ["ringmq.shards", "mqtt.max_awaiting_rel"]);
        let row = |key: &str| new.rows().into_iter().find(|row| row.key == key).expect(key).value;
        assert_eq!([row("mqtt.max_inflight"), row("mqtt.max_awaiting_rel"), row("ringmq.shards")], ["2", "50", "2"]);
    }

    #[test]
    fn what_can_change_lies_in_the_shards_settings() {
        for key in KEYS.iter().filter(|key| at_run_time(key.path)) {
            for text in ["true", "false", "1", "2", "1m", "highest", "random", "error", "x"] {
                let mut config = Config::default();
                if key.kind.parse_into(text, &mut Target { config: &mut config, name: "" }).is_ok() {
                    config.settings = Config::default().settings;
                    if KEYS_OF_THE_PROCESS.contains(&key.path) {
                        assert_ne!(config.log, Config::default().log, "{}", key.path);
                        config.log = Config::default().log;
                    }
                    config.listeners = Config::default().listeners;
                    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()), "{}", key.path);
                }
            }
        }
    }
}

//! Changing settings while the broker runs: one key by hand, or all files anew.
//!
//! Keys below [`ROOTS`] are read by a shard for each packet or connection, or by the broker each time that it looks at
//! something, and can change at any time; all others are looked at once, when it starts.

use super::apply::{Layers, Loaded, load};
use super::error::{Origin, Problem, Problems};
use super::hocon::{Node, Object};
use super::keys::{Found, find};
use super::zones::{self, without_zone};
use super::{Config, Row};
use super::{apply, emqx, environment, log_files, overrides, places};
use overrides::Kept;
use std::path::Path;

/// Roots of keys that can change at run time.
const ROOTS: [&str; 16] = [
    "alarm",
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
    "rewrite",
    "slow_subs",
    "sysmon",
    "topic_metrics",
    zones::ROOT,
];

/// Other keys that can.
const LIVE_KEYS: [&str; 7] = [
    "ringmq.back_pressure.fallback",
    "ringmq.back_pressure.max_overrun",
    "ringmq.back_pressure.patience",
    "ringmq.limit_action",
    "ringmq.overload_lateness",
    "ringmq.queue_full_policies",
    "ringmq.queue_full_policy",
];

/// How keys of message queues begin, which can, too.
const QUEUES: &str = "ringmq.queues.";

/// True for a level of the log, which the process around the shards looks at.
fn is_level(key: &str) -> bool {
    key == "log.console.level" || key.starts_with("log.file.") && key.ends_with(".level")
}

/// True if a key can change at run time. In a zone every key can.
pub(super) fn at_run_time(key: &str) -> bool {
    let key = without_zone(key);
    ROOTS.contains(&key.split('.').next().unwrap_or(key))
        || LIVE_KEYS.contains(&key)
        || key.starts_with(QUEUES)
        || is_level(key)
}

/// A change that has been checked.
#[derive(Debug)]
pub(crate) struct Change {
    /// The configuration with it.
    pub(crate) loaded: Loaded,
    kept: WhatIsKept,
}

/// What the file of changes gets.
#[derive(Debug)]
enum WhatIsKept {
    /// This value, beside all others.
    Value { path: Vec<String>, node: Node },
    /// This in the place of all that it had.
    All(Object),
}

impl Change {
    /// A change of the whole file.
    pub(super) fn of_all(loaded: Loaded, changed: Object) -> Self {
        Self { loaded, kept: WhatIsKept::All(changed) }
    }

    /// Keeps it in `file` for the next start; gives what takes that back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&self, file: &Path) -> Result<Kept, Problem> {
        match &self.kept {
            WhatIsKept::Value { path, node } => overrides::keep(file, path, node.clone()),
            WhatIsKept::All(changed) => overrides::keep_all(file, changed),
        }
    }
}

/// The configuration with one key changed, checked like any other layer; `file` is where it would be kept.
///
/// # Errors
/// The key is not known, is fixed by a stronger layer or until the next start, or the value is not allowed.
pub(crate) fn change(current: &Loaded, key: &str, value: &str, file: &Path) -> Result<Change, Problems> {
    let origin = Origin::Changed(file.display().to_string());
    let written: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    let meant = environment::value(value).ok().and_then(|node| log_files::meant(&written, &node));
    let mut path = meant.map_or(written, |(path, _)| path);
    emqx::rename(&mut path);
    // A place of a list can change if the list can.
    let known = places::list_of(&path);
    let key = known.join(".");
    if let Found::Key(..) | Found::ZoneKey = find(known) {
        if !at_run_time(&key) {
            let problem = Problem::new(format!("{key} cannot change while the broker runs"));
            return Err(problem.with_help("set it in the file of --config and start again").into());
        }
        if log_files::is_new(&current.config.log, known) {
            let problem = Problem::new(format!("there is no handler {}", known[..known.len() - 1].join(".")));
            return Err(problem.with_help("set its path in the file of --config and start again").into());
        }
        if let Some(fixed @ (Origin::Variable(_) | Origin::Flag(_))) = current.origin(&key) {
            let problem = Problem::at(fixed, format!("{key} is fixed from outside, which wins over every file"));
            return Err(problem.with_help("remove it there and start again").into());
        }
    } else if let Found::Group = find(known) {
        let problem = Problem::new(format!("{key} is a group of keys"));
        return Err(problem.with_help("give one key, for example mqtt.max_inflight").into());
    }
    let mut changed = apply::with(current, &path, value, &origin)?;
    if let Some(promised) = changed.config.keep_promises(&current.config).first() {
        let problem = Problem::new(format!("{promised} may only grow while the broker runs"));
        let help = "connected clients were told the present limit; set it in the file of --config and start again";
        return Err(problem.with_help(help).into());
    }
    // A list is kept as a whole: a place means nothing where the list below it is another.
    let whole = changed.given.get(&key).filter(|_| known.len() < path.len()).map(|given| given.text.clone());
    let node = environment::value(whole.as_deref().unwrap_or(value)).map_err(Problem::from)?;
    changed.warnings.clear();
    Ok(Change { loaded: changed, kept: WhatIsKept::Value { path: known.to_vec(), node } })
}

/// The configuration without a listener; `file` is where that would be kept, in EMQX's words.
///
/// # Errors
/// It is fixed by a stronger layer, or the only one.
pub(crate) fn delete_listener(current: &Loaded, name: &str, file: &Path) -> Result<Change, Problems> {
    let path = ["listeners", "tcp", name].map(str::to_owned);
    let options = format!("{}.", path.join("."));
    for (key, given) in current.given.iter().filter(|(key, _)| key.starts_with(&options)) {
        if let fixed @ (Origin::Variable(_) | Origin::Flag(_)) = &given.origin {
            let problem = Problem::at(fixed, format!("{key} is fixed from outside, which wins over every file"));
            return Err(problem.with_help("remove it there and start again").into());
        }
    }
    let origin = Origin::Changed(file.display().to_string());
    let mut loaded = apply::with(current, &path, emqx::DELETED, &origin)?;
    let node = environment::value(emqx::DELETED).map_err(Problem::from)?;
    loaded.warnings.clear();
    Ok(Change { loaded, kept: WhatIsKept::Value { path: path.to_vec(), node } })
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
    Ok(follow(current, load(layers)?))
}

/// What of a new configuration can hold while the broker runs; a warning tells of everything else.
pub(super) fn follow(current: &Loaded, mut new: Loaded) -> Loaded {
    // What the files say now; what follows is what of it can hold.
    let new_values = new.rows();
    let promised = new.config.keep_promises(&current.config);
    let Config { settings, zones, listeners, rewrite, topic_metrics, alarms, sysmon, .. } = new.config;
    let mut wait = |key: &str, why: &str| {
        let problem = Problem::new(format!("{key} has changed, but {why}"));
        new.warnings.push(problem.with_help("the new value holds from the next start"));
    };
    let values = |loaded: &Loaded| loaded.rows().into_iter().map(|row| (row.key, row.value)).collect::<Vec<_>>();
    let old_values = values(current);
    // What is new as a whole is told of as far as something is said of it.
    let concerns = |row: &Row| row.origin.is_some() || old_values.iter().any(|(key, _)| *key == row.key);
    for row in new_values.iter().filter(|row| concerns(row)) {
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
    log_files::take_levels(&mut config.log, &new.config.log);
    config.zones = zones;
    config.rewrite = rewrite;
    config.topic_metrics = topic_metrics;
    config.alarms = alarms;
    config.sysmon = sysmon;
    config.listeners = listeners;
    Loaded { config, warnings: new.warnings, given }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::keys::{Target, keys};
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
    fn a_listener_that_is_deleted_stays_away_until_it_is_set_again() {
        let dir = Dir::new("deleted");
        dir.write("r.conf", "listeners.tcp { a { bind = 1884, max_connections = 5 }, b.bind = 1885 }");
        let (file, layers) = (overrides::path(&dir.path("data")), layers(&dir));
        let names = |loaded: &Loaded| loaded.config.listeners.keys().cloned().collect::<Vec<_>>().join(" ");
        let loaded = load(&layers).expect("right");
        let change = delete_listener(&loaded, "a", &file).expect("there are others");
        change.keep(&file).expect("written");
        assert_eq!(names(&change.loaded), "b default");
        assert_eq!(names(&load(&layers).expect("right")), "b default");
        let again = set(&change.loaded, "listeners.tcp.a.bind", "1886", &file).expect("changed");
        assert_eq!((names(&again).as_str(), again.config.listeners["a"].max_connections), ("a b default", 0));
        let without_b = delete_listener(&loaded, "b", &file).expect("there are others").loaded;
        let last =
            delete_listener(&delete_listener(&without_b, "a", &file).expect("one more").loaded, "default", &file);
        assert!(last.expect_err("the last").0[0].to_string().contains("no listener is enabled"));
        let mut fixed = layers;
        fixed.variables = vec![("EMQX_LISTENERS__TCP__B__BIND".to_owned(), "1887".to_owned())];
        let refused = delete_listener(&load(&fixed).expect("right"), "b", &file).expect_err("fixed");
        assert!(refused.0[0].to_string().contains("listeners.tcp.b.bind is fixed from outside"));
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
        assert_eq!(new.config.effective().for_listeners[0].send_timeout.as_secs(), 5);
        let named: Vec<&str> = new.warnings.iter().filter_map(|w| w.message.split(' ').next()).collect();
        assert_eq!(named, ["ringmq.shards", "mqtt.max_awaiting_rel"]);
        let row = |key: &str| new.rows().into_iter().find(|row| row.key == key).expect(key).value;
        assert_eq!([row("mqtt.max_inflight"), row("mqtt.max_awaiting_rel"), row("ringmq.shards")], ["2", "50", "2"]);
    }

    #[test]
    fn what_can_change_lies_where_changes_are_brought() {
        for key in keys().filter(|key| at_run_time(key.path)) {
            for text in ["true", "false", "1", "2", "1m", "highest", "random", "error", "x"] {
                let mut config = Config::default();
                if key.kind.parse_into(text, &mut Target { config: &mut config, name: "" }).is_ok() {
                    config.settings = Config::default().settings;
                    if is_level(key.path) {
                        assert_ne!(config.log, Config::default().log, "{}", key.path);
                        config.log = Config::default().log;
                    }
                    config.listeners = Config::default().listeners;
                    config.alarms = Config::default().alarms;
                    config.sysmon = Config::default().sysmon;
                    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()), "{}", key.path);
                }
            }
        }
    }
}

//! Zones: settings below `zones.<name>` that hold for the clients of listeners which name that zone, in the place of
//! the ones without it.
//!
//! A zone keeps what was written for it, and its settings are made from the common ones and that, so that a later change
//! of a common setting reaches every zone that does not have its own.

use super::apply::{Loader, Strictness};
use super::error::Origin;
use super::hocon::Node;
use super::keys::keys;
use super::values::Given;
use super::{Config, Listener};
use ringmq_core::settings::Settings;
use std::collections::BTreeSet;

/// The root of all zones.
pub(super) const ROOT: &str = "zones";

/// The zone of listeners that name none.
pub(super) const DEFAULT_ZONE: &str = "default";

/// True for a key that a zone can have of its own: one that is about a single client.
pub(super) fn is_zonal(key: &str) -> bool {
    const OTHERS: [&str; 3] = ["ringmq.limit_action", "ringmq.queue_full_policy", "ringmq.queue_full_policies"];
    // A shared subscription has members of many zones.
    key.starts_with("force_shutdown.")
        || key.starts_with("ringmq.back_pressure.")
        || key.starts_with("overload_protection.")
        || (key.starts_with("mqtt.") && !key.starts_with("mqtt.shared_subscription_"))
        || OTHERS.contains(&key)
}

/// The keys that zones can have.
pub(super) fn zonal_keys() -> impl Iterator<Item = &'static str> {
    keys().map(|key| key.path).filter(|path| is_zonal(path))
}

/// What a key means whatever its zone: `mqtt.max_inflight` for `zones.z.mqtt.max_inflight`.
pub(super) fn without_zone(key: &str) -> &str {
    let below = key.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('.'));
    below.and_then(|rest| rest.split_once('.')).map_or(key, |(_, key)| key)
}

/// What was written for one zone: the key without the zone, and its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Zone(Vec<(Vec<String>, Node)>);

impl Zone {
    fn get(&self, path: &[String]) -> Option<&Node> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, node)| node)
    }

    /// Replaces what was written for a key; `None` leaves it to the common setting.
    fn put(&mut self, path: &[String], node: Option<Node>) {
        self.0.retain(|(known, _)| known != path);
        self.0.extend(node.map(|node| (path.to_vec(), node)));
    }
}

impl Config {
    /// Listeners that are started, in the order of their numbers.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = (&String, &Listener)> {
        self.listeners.iter().filter(|(_, listener)| listener.enable)
    }

    /// What shards work with: the settings of the clients of these listeners, by number.
    pub(crate) fn effective_of<'a>(&self, listeners: impl Iterator<Item = &'a Listener>) -> Settings {
        let common = self.of_zone(DEFAULT_ZONE);
        let of = |listener: &Listener| {
            let mut settings = self.of_zone(&listener.zone);
            listener.lay_over(&mut settings);
            settings
        };
        let each: Vec<Settings> = listeners.map(of).collect();
        let for_listeners = if each.iter().all(|settings| *settings == common) { Vec::new() } else { each };
        Settings { for_listeners, ..common }
    }

    /// What shards begin with.
    pub(crate) fn effective(&self) -> Settings {
        self.effective_of(self.enabled().map(|(_, listener)| listener))
    }

    /// What holds for the clients of a zone.
    fn of_zone(&self, name: &str) -> Settings {
        let Some(zone) = self.zones.get(name) else { return self.settings.clone() };
        let mut loader = Loader::over(Self { settings: self.settings.clone(), ..Self::default() });
        for (path, node) in &zone.0 {
            let origin = Origin::File(node.place.clone());
            loader.node(&mut path.clone(), node, &origin, None, Strictness::Strict);
        }
        loader.config.settings
    }

    /// Puts back what connected clients were told and what is narrower now, as [`Settings::keep_promises`] does, in
    /// every zone that clients are in. Gives the keys.
    pub(super) fn keep_promises(&mut self, before: &Self) -> Vec<String> {
        let kept = self.settings.keep_promises(&before.settings);
        let mut kept: Vec<String> = kept.into_iter().map(str::to_owned).collect();
        let in_use: BTreeSet<String> = before.enabled().map(|(_, listener)| listener.zone.clone()).collect();
        for name in in_use {
            for key in self.of_zone(&name).keep_promises(&before.of_zone(&name)) {
                let path: Vec<String> = key.split('.').map(str::to_owned).collect();
                let old = before.zones.get(&name).and_then(|zone| zone.get(&path)).cloned();
                self.zones.entry(name.clone()).or_default().put(&path, old);
                kept.push(format!("{ROOT}.{name}.{key}"));
            }
        }
        kept
    }
}

impl Loader {
    /// Gives a zone's key its value; `null` leaves it to the common setting.
    pub(super) fn zone_value(
        &mut self,
        path: &[String],
        node: &Node,
        origin: &Origin,
        fixed: Option<&Origin>,
        strictness: Strictness,
    ) {
        let [root, name, below @ ..] = path else { return };
        let prefix = format!("{root}.{name}.");
        let mut trial = Self::over(Config::default());
        trial.node(&mut below.to_vec(), node, origin, fixed, strictness);
        let key = below.join(".");
        let full = format!("{prefix}{key}");
        for mut problem in trial.errors {
            problem.message = match problem.message.strip_prefix(&key) {
                Some(rest) => format!("{full}{rest}"),
                None => problem.message,
            };
            self.errors.push(problem);
        }
        let is_null = node.value == super::hocon::Value::Null;
        let zone = self.config.zones.entry(name.clone()).or_default();
        zone.put(below, (!is_null).then(|| node.clone()));
        self.given.remove(&full);
        if let Some(Given { text, .. }) = trial.given.remove(&key).filter(|_| !is_null) {
            self.given.insert(full, Given { text, origin: origin.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Layers, Loaded, load, set};
    use crate::scratch::Dir;

    fn loaded(dir: &Dir, file: &str) -> Result<Loaded, String> {
        dir.write("r.conf", file);
        let layers = Layers { file: Some(dir.path("r.conf")), ..Layers::default() };
        load(&layers).map_err(|problems| problems.0[0].to_string())
    }

    const FILE: &str = "mqtt { max_inflight = 5, max_awaiting_rel = 6 }\n\
                        listeners.tcp.slow { bind = 1884, zone = quiet }\n\
                        zones.quiet.mqtt { max_inflight = 2, mqueue_priorities { \"a/b\" = 3 } }\n";

    #[test]
    fn a_zone_overrides_what_it_names_and_inherits_the_rest() {
        let dir = Dir::new("zones");
        let config = loaded(&dir, FILE).expect("right").config;
        let effective = config.effective();
        assert_eq!((effective.max_inflight, effective.max_awaiting_rel), (5, 6));
        let [default, quiet] = &effective.for_listeners[..] else { panic!("two listeners") };
        assert_eq!((default.max_inflight, default.mqueue_priorities.len()), (5, 0));
        assert_eq!((quiet.max_inflight, quiet.max_awaiting_rel, quiet.mqueue_priorities.len()), (2, 6, 1));
    }

    #[test]
    fn without_zones_all_listeners_share_one_record() {
        let dir = Dir::new("zones");
        let config = loaded(&dir, "listeners.tcp.b.bind = 1884\nzones.unused.mqtt.max_inflight = 2").expect("right");
        assert!(config.config.effective().for_listeners.is_empty());
    }

    #[test]
    fn the_default_zone_is_that_of_listeners_that_name_none() {
        let dir = Dir::new("zones");
        let config =
            loaded(&dir, "zones.default.mqtt.max_inflight = 2\nzones.x {}\nlisteners.tcp.b { bind = 1, zone = x }");
        let effective = config.expect("right").config.effective();
        assert_eq!(effective.for_listeners.iter().map(|one| one.max_inflight).collect::<Vec<_>>(), [32, 2]);
        assert_eq!(effective.max_inflight, 2);
    }

    #[test]
    fn mistakes_name_the_zone_and_the_place() {
        let dir = Dir::new("zones");
        let refused = |file: &str| {
            let text = loaded(&dir, file).map(|loaded| loaded.config).expect_err(file);
            text.replace(&format!("{}", dir.path("r.conf").display()), "r.conf")
        };
        assert_eq!(
            refused("zones.z.mqtt.max_inflight = 70000"),
            "zones.z.mqtt.max_inflight: `70000` is more than 65535\n  --> r.conf:1:1\n   \
             = allowed: an integer from 1 to 65535"
        );
        assert!(refused("zones.z.mqtt.max_inflght = 7").contains("did you mean zones.z.mqtt.max_inflight?"));
        assert!(refused("zones.z.retainer.max_payload_size = 1MB").contains("unknown key zones.z.retainer"));
        assert!(refused("zones.z.mqtt = 7").contains("zones.z.mqtt is a group of keys"));
        let text = refused("listeners.tcp.default.zone = lost");
        assert!(text.contains("listeners.tcp.default.zone names the zone lost, which does not exist"), "{text}");
    }

    #[test]
    fn a_change_holds_for_the_zone_and_a_common_one_for_those_that_inherit() {
        let dir = Dir::new("zones");
        let first = loaded(&dir, FILE).expect("right");
        let file = dir.path("cluster.hocon");
        let of = |loaded: &Loaded| {
            let settings = &loaded.config.effective().for_listeners[1];
            (settings.max_inflight, settings.max_awaiting_rel, settings.max_topic_levels)
        };
        let next = set(&first, "zones.quiet.mqtt.max_inflight", "9", &file).expect("changed");
        assert_eq!(of(&next), (9, 6, 128));
        let next = set(&next, "mqtt.max_topic_levels", "3", &file).expect("changed");
        assert_eq!(of(&next), (9, 6, 3));
        let row = next.rows().into_iter().find(|row| row.key == "zones.quiet.mqtt.max_inflight").expect("a row");
        assert!(row.value == "9" && row.origin_text().starts_with("changed at run time"), "{row:?}");
        let narrower = set(&next, "zones.quiet.mqtt.max_packet_size", "1KB", &file).expect_err("a promise");
        assert!(narrower.0[0].to_string().contains("zones.quiet.mqtt.max_packet_size may only grow"));
        let strategy = set(&next, "zones.quiet.mqtt.shared_subscription_strategy", "local", &file);
        assert!(strategy.expect_err("not by zone").0[0].to_string().contains("unknown key"));
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let dir = Dir::new("zones");
        let first = loaded(&dir, &format!("{FILE}zones.empty {{}}\nlisteners.tcp.e {{ bind = 2, zone = empty }}"))
            .expect("right");
        let text: String = first.rows().iter().map(|row| format!("{} = {}\n", row.key, row.value)).collect();
        let again = loaded(&dir, &text).expect(&text);
        assert_eq!(format!("{:?}", again.config.effective()), format!("{:?}", first.config.effective()));
        assert!(again.config.zones.contains_key("empty"));
    }
}

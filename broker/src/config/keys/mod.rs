//! The table of keys: the one place that says what can be configured.
//!
//! From it come the checks, the defaults, `--set`, the environment variables and the reference page. A `<name>` in a
//! path stands for any one path element. The modules below have the keys themselves, each those of some roots.

mod listeners;
mod log;
mod messaging;
mod mqtt;
mod observation;
mod process;
mod protection;
mod strategies;

use super::kind::Kind;
use super::{Config, Listener, log_files, queues, zones};
use crate::log::FileSettings;
use ringmq_core::settings::{QueueSettings, ShareGroup};
use std::time::Duration;

/// The path element that stands for a name of the operator's choice.
pub(crate) const NAME: &str = "<name>";

/// One setting.
pub(crate) struct Key {
    /// EMQX's path, or ours below `ringmq`.
    pub(crate) path: &'static str,
    /// Type, bounds, and where the value goes.
    pub(crate) kind: Kind,
    /// The default, as it would be written.
    pub(crate) default: &'static str,
    /// What it does, as a sentence of the reference page.
    pub(crate) doc: &'static str,
}

/// Where a value goes.
pub(crate) struct Target<'a> {
    pub(crate) config: &'a mut Config,
    /// What stands for [`NAME`] in the path.
    pub(crate) name: &'a str,
}

impl Target<'_> {
    fn listener(&mut self) -> &mut Listener {
        self.config.listeners.entry(self.name.to_owned()).or_default()
    }

    /// Changes what a group of shared subscriptions has of its own. One of which nothing is said is not kept.
    fn group(&mut self, change: impl FnOnce(&mut ShareGroup)) {
        let groups = &mut self.config.settings.shared_subscription_groups;
        let group = groups.entry(self.name.into()).or_default();
        change(group);
        if *group == ShareGroup::default() {
            groups.remove(self.name);
        }
    }

    /// Changes a handler of the log that has a name. One of which nothing is said is not kept.
    fn log_file(&mut self, change: impl FnOnce(&mut FileSettings)) {
        log_files::change(&mut self.config.log.named, self.name, change);
    }

    /// Changes a message queue. One of which nothing is said is not kept.
    fn queue(&mut self, change: impl FnOnce(&mut QueueSettings)) {
        queues::change(&mut self.config.settings.queues, self.name, change);
    }
}

/// A number that the table's bounds keep within the field.
fn fit<T: TryFrom<u64>>(value: u64) -> T {
    T::try_from(value).unwrap_or_else(|_| unreachable!("the table's bounds fit the field"))
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Longest interval the protocol can express, 2^32 - 1 seconds.
const INTERVAL_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// Longest packet of the protocol: five bytes of fixed header and 268,435,455 bytes [MQTT 5.0, 1.5.5].
const PACKET_BYTES_MAX: u64 = 256 * 1024 * 1024;

const fn key(path: &'static str, default: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, default, doc }
}

static TABLES: [&[Key]; 7] =
    [listeners::KEYS, mqtt::KEYS, messaging::KEYS, protection::KEYS, observation::KEYS, log::KEYS, process::KEYS];

/// All keys, in the order of the reference page. Those that [`zones::is_zonal`] says can be below `zones.<name>` too.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    TABLES.into_iter().flatten()
}

/// How a path relates to the table.
pub(crate) enum Found<'p> {
    /// It is a key; the second is what stands for [`NAME`], or nothing.
    Key(&'static Key, &'p str),
    /// It is a key below a zone.
    ZoneKey,
    /// Keys begin with it.
    Group,
    /// It is neither.
    Nothing,
}

/// Finds a path, given by its elements.
pub(crate) fn find<'p>(path: &'p [String]) -> Found<'p> {
    if let [root, rest @ ..] = path
        && root == zones::ROOT
    {
        let below = rest.get(1..).unwrap_or_default();
        let name = below.join(".");
        return match find_below(below) {
            Found::Key(..) if zones::is_zonal(&name) => Found::ZoneKey,
            Found::Group if zones::zonal_keys().any(|key| key.starts_with(&format!("{name}."))) => Found::Group,
            _ if below.is_empty() => Found::Group,
            _ => Found::Nothing,
        };
    }
    find_below(path)
}

fn find_below<'p>(path: &'p [String]) -> Found<'p> {
    let mut group = false;
    let is_unnamed = log_files::goes_on_with_field(path);
    for key in keys() {
        let mut elements = key.path.split('.');
        let mut name = "";
        let matches = path.iter().all(|wanted| match elements.next() {
            Some(NAME) if !is_unnamed => {
                name = wanted;
                true
            }
            element => element == Some(wanted.as_str()),
        });
        match (matches, elements.next()) {
            (true, None) => return Found::Key(key, name),
            (true, Some(_)) => group = true,
            (false, _) => {}
        }
    }
    if group { Found::Group } else { Found::Nothing }
}

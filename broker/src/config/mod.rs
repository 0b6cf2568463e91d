//! What the operator asked for: files, environment and command line, checked against one table of keys.
//!
//! Layers, later ones win: built-in defaults, the file of `--config`, what was changed at run time ([`overrides`]),
//! environment variables, `--set`, and the other flags. Every layer is a set of `key = value` with an origin and goes
//! through the same table ([`keys`]), so that the same check and the same message serve all of them.
//!
//! Absent: bringing a change to the shards.

mod apply;
mod change;
mod collections;
mod emqx;
mod environment;
mod error;
pub(crate) mod hocon;
mod keys;
mod kind;
mod listeners;
mod loading;
mod log_files;
mod overrides;
mod places;
mod queues;
mod records;
mod reference;
mod skipped;
mod suggest;
#[cfg(test)]
mod tests;
mod values;
mod zones;

pub(crate) use apply::{Layers, Loaded, data_dir, load};
#[cfg(test)]
pub(crate) use change::set;
pub(crate) use change::{Change, change, delete_listener, reload};
pub(crate) use error::{Problem, Problems};
pub(crate) use listeners::Listener;
pub(crate) use loading::{LoadMode, load_file};
pub(crate) use overrides::path as overrides_path;
pub(crate) use reference::reference_page;
pub(crate) use values::{Row, quoted, roots};
pub(crate) use zones::Zone;

use crate::alarms::Keep;
use crate::log::LogSettings;
use crate::rewrite::Rule;
use crate::sys::{self, SysTopics};
use crate::sysmon::SysmonOptions;
use crate::topology::CoreList;
use crate::trace::PayloadEncode;
use ringmq_core::settings::Settings;
use ringmq_drive::DriverKind;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The MQTT port without TLS, as registered.
const MQTT_PORT: u16 = 1883;

/// Connections not yet accepted (`tcp_options.backlog`).
const BACKLOG_CONNECTIONS: u32 = 1024;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Settings of the protocol, as far as no zone and no listener has its own: see [`Config::effective`].
    pub(crate) settings: Settings,
    /// Zones by name.
    pub(crate) zones: BTreeMap<String, Zone>,
    /// `rewrite`.
    pub(crate) rewrite: Vec<Rule>,
    /// `log`.
    pub(crate) log: LogSettings,
    /// `trace.payload_encode`.
    pub(crate) trace_payload_encode: PayloadEncode,
    /// `node.name`.
    pub(crate) node_name: String,
    /// `sys_topics`.
    pub(crate) sys_topics: SysTopics,
    /// `node.data_dir`.
    pub(crate) data_dir: PathBuf,
    /// `topic_metrics`: topics whose messages are counted.
    pub(crate) topic_metrics: Vec<String>,
    /// `alarm`.
    pub(crate) alarms: Keep,
    /// `sysmon.os`.
    pub(crate) sysmon: SysmonOptions,
    /// `banned.bootstrap_file`.
    pub(crate) banned_bootstrap_file: Option<PathBuf>,
    /// TCP listeners by name.
    pub(crate) listeners: BTreeMap<String, Listener>,
    /// `ringmq.shards`; `None` is one a core.
    pub(crate) shards: Option<u8>,
    /// `ringmq.cores`; `None` is every core this process may use.
    pub(crate) cores: Option<CoreList>,
    /// `ringmq.driver`; `None` is io_uring, or epoll where io_uring cannot be had.
    pub(crate) driver: Option<DriverKind>,
    /// `ringmq.monitoring_bind`; `None` is no monitoring port.
    pub(crate) monitoring_bind: Option<SocketAddr>,
    /// Tuning of the driver.
    pub(crate) driver_options: ringmq_drive::Options,
}

/// The listener that exists without being configured.
const DEFAULT_LISTENER: &str = "default";

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            zones: BTreeMap::new(),
            rewrite: Vec::new(),
            log: LogSettings::default(),
            trace_payload_encode: PayloadEncode::default(),
            node_name: sys::DEFAULT_NODE_NAME.to_owned(),
            sys_topics: SysTopics::default(),
            data_dir: PathBuf::from("data"),
            topic_metrics: Vec::new(),
            alarms: Keep::default(),
            sysmon: SysmonOptions::default(),
            banned_bootstrap_file: None,
            listeners: BTreeMap::from([(DEFAULT_LISTENER.to_owned(), Listener::default())]),
            shards: None,
            cores: None,
            driver: None,
            monitoring_bind: None,
            driver_options: ringmq_drive::Options::default(),
        }
    }
}

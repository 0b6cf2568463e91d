//! TCP listeners: what one is, what `--tcp` makes of them, and which cannot be open at a time.

use super::apply::Loader;
use super::error::{Origin, Problem};
use super::values::Given;
use super::zones::DEFAULT_ZONE;
use super::{BACKLOG_CONNECTIONS, DEFAULT_LISTENER, MQTT_PORT};
use ringmq_core::limit::{Allowance, Limits};
use ringmq_core::machine::HIGH_WATER_BYTES;
use ringmq_core::settings::{Mountpoint, Settings};
use ringmq_drive::AccessRule;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Most rules of access of one listener.
pub(super) const ACCESS_RULES_MAX: usize = 1024;

/// How long a client may take no byte (`tcp_options.send_timeout`).
const SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a proxy's header may take (`proxy_protocol_timeout`).
const PROXY_PROTOCOL_TIMEOUT: Duration = Duration::from_secs(3);

/// One TCP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// `listeners.tcp.<name>.enable`.
    pub(crate) enable: bool,
    /// `listeners.tcp.<name>.bind`.
    pub(crate) bind: SocketAddr,
    /// `listeners.tcp.<name>.tcp_options.backlog`, connections.
    pub(crate) backlog: u32,
    /// `listeners.tcp.<name>.zone`.
    pub(crate) zone: String,
    /// `listeners.tcp.<name>.mountpoint`.
    pub(crate) mountpoint: Option<Mountpoint>,
    /// `listeners.tcp.<name>.proxy_protocol`.
    pub(crate) proxy_protocol: bool,
    /// `listeners.tcp.<name>.proxy_protocol_timeout`.
    pub(crate) proxy_protocol_timeout: Duration,
    /// `listeners.tcp.<name>.max_connections`; 0 is unlimited.
    pub(crate) max_connections: u64,
    /// `listeners.tcp.<name>.max_conn_rate` and `max_conn_burst`.
    pub(crate) conn_rate: Allowance,
    /// `listeners.tcp.<name>.messages_rate` and the like.
    pub(crate) limits: ListenerLimits,
    /// `listeners.tcp.<name>.access_rules`; the first that matches decides.
    pub(crate) access_rules: Vec<AccessRule>,
    /// `listeners.tcp.<name>.tcp_options.send_timeout`.
    pub(crate) send_timeout: Duration,
    /// `listeners.tcp.<name>.tcp_options.high_watermark`, bytes.
    pub(crate) high_watermark: usize,
    /// `listeners.tcp.<name>.max_conn_rate_per_ip`, a second and shard; 0 is unlimited.
    pub(crate) max_conn_rate_per_ip: u32,
}

impl Default for Listener {
    fn default() -> Self {
        let bind = SocketAddr::from((Ipv4Addr::UNSPECIFIED, MQTT_PORT));
        Self {
            enable: true,
            bind,
            backlog: BACKLOG_CONNECTIONS,
            zone: DEFAULT_ZONE.to_owned(),
            mountpoint: None,
            proxy_protocol: false,
            proxy_protocol_timeout: PROXY_PROTOCOL_TIMEOUT,
            max_connections: 0,
            conn_rate: Allowance::default(),
            limits: ListenerLimits::default(),
            access_rules: Vec::new(),
            send_timeout: SEND_TIMEOUT,
            high_watermark: HIGH_WATER_BYTES,
            max_conn_rate_per_ip: 0,
        }
    }
}

impl Listener {
    /// Puts what the listener says of its clients in the place of what its zone does.
    pub(super) fn lay_over(&self, settings: &mut Settings) {
        self.limits.lay_over(&mut settings.limits);
        settings.mountpoint.clone_from(&self.mountpoint);
        settings.proxy_protocol = self.proxy_protocol;
        settings.proxy_protocol_timeout = self.proxy_protocol_timeout;
        settings.send_timeout = self.send_timeout;
        settings.high_watermark = self.high_watermark;
        settings.max_conn_rate_per_ip = self.max_conn_rate_per_ip;
    }
}

/// How much a client of one listener may publish, where the listener says so itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListenerLimits {
    /// `messages_rate` and `messages_burst`.
    pub(crate) messages: Allowance,
    /// `bytes_rate` and `bytes_burst`.
    pub(crate) bytes: Allowance,
}

impl ListenerLimits {
    /// Puts the listener's limits in the place of its zone's.
    fn lay_over(self, limits: &mut Limits) {
        if self.messages.rate.is_some() {
            limits.messages = self.messages;
        }
        if self.bytes.rate.is_some() {
            limits.bytes = self.bytes;
        }
    }
}

/// True for the path of one listener as a whole.
pub(super) fn names_listener(path: &[String]) -> bool {
    matches!(path, [root, kind, _] if root == "listeners" && kind == "tcp")
}

/// Adds the rules of a text: one, or several with commas between them.
pub(super) fn add_access_rules(rules: &mut Vec<AccessRule>, text: &str) -> Result<(), String> {
    for rule in text.split(',') {
        if rules.len() >= ACCESS_RULES_MAX {
            return Err(format!("is one rule more than {ACCESS_RULES_MAX}"));
        }
        rules.push(access_rule(rule)?);
    }
    Ok(())
}

/// Reads a rule such as `allow all`, `deny 192.168.0.0/16` or `allow ::1`.
fn access_rule(text: &str) -> Result<AccessRule, String> {
    let mut words = text.split_whitespace();
    let (verb, whom, rest) = (words.next(), words.next(), words.next());
    let allow = match verb {
        Some("allow") => true,
        Some("deny") => false,
        _ => return Err("begins with neither allow nor deny".to_owned()),
    };
    let (Some(whom), None) = (whom, rest) else {
        return Err("does not name one address, network, or all".to_owned());
    };
    if whom == "all" {
        return Ok(AccessRule { allow, network: None });
    }
    let (address, prefix) = whom.split_once('/').map_or((whom, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| format!("has no address in `{}`", whom.escape_debug()))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix.map(str::parse::<u8>) {
        None => bits,
        Some(Ok(prefix)) if prefix <= bits => prefix,
        Some(_) => return Err(format!("has a prefix that is no number from 0 to {bits}")),
    };
    Ok(AccessRule { allow, network: Some((address, prefix)) })
}

impl Loader {
    /// Takes a listener out, with all that stronger layers have not given it again.
    pub(super) fn delete_listener(&mut self, name: &str) {
        self.config.listeners.remove(name);
        let options = format!("listeners.tcp.{name}.");
        self.given.retain(|key, _| !key.starts_with(&options));
    }

    /// Finds out whether all that are enabled can be open at a time, and there is one.
    pub(super) fn check_listeners(&mut self) {
        let enabled: Vec<(&String, &Listener)> = self.config.listeners.iter().filter(|(_, l)| l.enable).collect();
        for (index, (name, listener)) in enabled.iter().enumerate() {
            if let Some((other, twin)) = enabled[..index].iter().find(|(_, other)| overlap(other.bind, listener.bind)) {
                let both = format!("the listeners {other} ({}) and {name} ({}) overlap", twin.bind, listener.bind);
                self.errors.push(Problem::new(both).with_help(format!("set listeners.tcp.{name}.bind")));
            }
        }
        for (name, zone) in enabled.iter().map(|(name, listener)| (*name, &listener.zone)) {
            if zone != DEFAULT_ZONE && !self.config.zones.contains_key(zone) {
                let key = format!("listeners.tcp.{name}.zone");
                let message = format!("{key} names the zone {}, which does not exist", zone.escape_debug());
                let origin = self.given.get(&key).map(|given| given.origin.clone());
                let help = Some("allowed: default, or a name below `zones`".to_owned());
                self.errors.push(Problem { message, origin, help });
            }
        }
        if enabled.is_empty() {
            let problem = Problem::new("no listener is enabled, so no client could connect");
            self.errors.push(problem.with_help("set listeners.tcp.default.enable = true, or give --tcp ADDR:PORT"));
        }
    }

    /// `--tcp`: these addresses replace all listeners, which keep the options of the one named `default`.
    pub(super) fn replace_listeners(&mut self, addresses: &[String]) {
        if addresses.is_empty() {
            return;
        }
        let like = self.config.listeners.remove(DEFAULT_LISTENER).unwrap_or_default();
        self.config.listeners.clear();
        let options = format!("listeners.tcp.{DEFAULT_LISTENER}.");
        let shared: Vec<(String, Given)> = self
            .given
            .iter()
            .filter_map(|(key, given)| Some((key.strip_prefix(&options)?.to_owned(), given.clone())))
            .filter(|(option, _)| option != "enable")
            .collect();
        self.given.retain(|key, _| !key.starts_with("listeners.tcp."));
        for (index, address) in addresses.iter().enumerate() {
            let name = if index == 0 { DEFAULT_LISTENER.to_owned() } else { format!("tcp{index}") };
            self.config.listeners.insert(name.clone(), Listener { enable: true, ..like.clone() });
            for (option, given) in &shared {
                self.given.insert(format!("listeners.tcp.{name}.{option}"), given.clone());
            }
            let path = ["listeners", "tcp", &name, "bind"].map(str::to_owned);
            self.text(&path, address, &Origin::Flag(format!("--tcp {address}")));
        }
    }
}

/// True if one listener would take connections meant for the other. `[::]` takes IPv4 as well.
fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let covers = |wide: IpAddr, other: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    let (a, b) = (left.ip(), right.ip());
    left.port() != 0 && left.port() == right.port() && (a == b || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_access_are_read() {
        let rule = |text: &str| access_rule(text).map(|rule| (rule.allow, rule.network));
        let network = |text: &str, prefix| Some((text.parse().expect("an address"), prefix));
        assert_eq!(rule("allow all"), Ok((true, None)));
        assert_eq!(rule("deny  192.168.0.0/16 "), Ok((false, network("192.168.0.0", 16))));
        assert_eq!(rule("allow 10.0.0.1"), Ok((true, network("10.0.0.1", 32))));
        assert_eq!(rule("deny fe80::/10"), Ok((false, network("fe80::", 10))));
        assert_eq!(rule("deny ::1"), Ok((false, network("::1", 128))));
        for wrong in ["", "all", "allow", "permit all", "deny 1.2.3", "deny 1.2.3.4/33", "deny ::/129", "allow all of"]
        {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
        let mut rules = Vec::new();
        assert_eq!(add_access_rules(&mut rules, "allow 10.0.0.0/8 , deny all"), Ok(()));
        assert_eq!(rules.iter().map(|rule| rule.allow).collect::<Vec<_>>(), [true, false]);
        assert!(add_access_rules(&mut rules, "allow all,").is_err());
        rules.clear();
        let many = vec!["deny all"; ACCESS_RULES_MAX].join(",");
        assert_eq!(add_access_rules(&mut rules, &many), Ok(()));
        assert!(add_access_rules(&mut rules, "deny all").is_err());
    }

    #[test]
    fn a_listeners_limit_stands_in_for_its_zones() {
        use ringmq_core::limit::Rate;
        let allowance = |amount| Allowance { rate: Rate::new(amount, 1), burst: Rate::new(amount, 2) };
        let zone = Limits { messages: allowance(1), bytes: allowance(2), ..Limits::default() };
        let mut limits = zone;
        ListenerLimits::default().lay_over(&mut limits);
        assert_eq!(limits, zone);
        let own = Allowance { rate: Rate::new(5, 1), burst: None };
        ListenerLimits { messages: own, ..ListenerLimits::default() }.lay_over(&mut limits);
        assert_eq!(limits, Limits { messages: own, ..zone });
    }

    #[test]
    fn a_listener_that_says_nothing_changes_nothing() {
        let mut settings = Settings::default();
        Listener::default().lay_over(&mut settings);
        assert_eq!(settings, Settings::default());
    }
}

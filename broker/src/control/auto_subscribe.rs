//! What clients are subscribed to without asking, tried out for one that is not there.

use super::console::Console;
use crate::config::Problem;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Console {
    /// What a client would get if it connected now: `subscriptions`.
    ///
    /// # Errors
    /// `host` is no address.
    pub(super) fn auto_subscriptions(
        &self,
        client_id: &str,
        username: Option<&str>,
        host: Option<&str>,
        port: Option<u16>,
    ) -> Result<Value, Problem> {
        let host = host.map_or(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), |host| {
            let wrong = || Problem::new(format!("`{}` is no address", host.escape_debug()));
            host.parse().map_err(|_| wrong().with_help("for example 192.0.2.7"))
        })?;
        let peer = SocketAddr::new(host, port.unwrap_or(0));
        let settings = self.settings();
        let rows = settings.auto_subscribe.iter().filter_map(|wanted| {
            Some(json!({
                "clientid": client_id,
                "topic": wanted.filter_for(client_id, username, peer)?,
                "qos": wanted.qos,
                "nl": u8::from(wanted.no_local),
                "rap": u8::from(wanted.retain_as_published),
                "rh": wanted.retain_handling,
            }))
        });
        Ok(json!({ "subscriptions": rows.collect::<Vec<_>>() }))
    }
}

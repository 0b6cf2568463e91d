//! Subscriptions that the operator gives to every client once it is connected (`auto_subscribe.topics`).
//!
//! They are made as if the client had asked for them after its CONNACK, but nothing answers. Rewriting does not
//! apply, a mountpoint does.

use super::Shard;
use crate::machine::{ConnId, Effects};
use crate::session::Answer;
use crate::settings::AutoSubscription;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use ringmq_wire::{QoS, RetainHandling, SubscribeOptions};

/// What a placeholder may stand for.
struct Facts<'a> {
    client_id: &'a str,
    username: Option<&'a str>,
    peer: SocketAddr,
}

impl Shard {
    /// Gives a client that has just connected its subscriptions.
    #[cold]
    pub(super) fn auto_subscribe(&mut self, session: u32, conn: ConnId, username: Option<&str>, fx: &mut Effects) {
        let settings = self.hub.settings.clone();
        let client_id = String::from(self.hub.sessions.get(session).expect("live session").names.client_id());
        let peer = self.conns.get(conn).expect("live connection").peer.into();
        let facts = Facts { client_id: &client_id, username, peer };
        let mut filters: Vec<(String, SubscribeOptions)> = Vec::with_capacity(settings.auto_subscribe.len());
        for wanted in &settings.auto_subscribe {
            let filter = fill(&wanted.topic, &facts).map(|filter| self.mounted_filter(session, &filter));
            filters.extend(filter.map(|filter| (filter, options(wanted))));
        }
        let filters = filters.iter().map(|(filter, options)| (filter.as_str(), *options));
        let _ = self.subscribe_to(session, conn, Answer::Nothing, 0, 0, filters, fx);
    }
}

impl AutoSubscription {
    /// The filter that a client gets; `None` if it stands for something that the client does not have.
    #[must_use]
    pub fn filter_for(&self, client_id: &str, username: Option<&str>, peer: SocketAddr) -> Option<String> {
        fill(&self.topic, &Facts { client_id, username, peer })
    }
}

fn options(wanted: &AutoSubscription) -> SubscribeOptions {
    SubscribeOptions {
        qos: QoS::from_bits(wanted.qos).unwrap_or(QoS::ExactlyOnce),
        no_local: wanted.no_local,
        retain_as_published: wanted.retain_as_published,
        retain_handling: match wanted.retain_handling {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::DoNotSend,
        },
    }
}

/// The filter with its placeholders filled in; `None` if one stands for something that the client does not have.
fn fill(template: &str, facts: &Facts<'_>) -> Option<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        filled.push_str(&rest[..at]);
        let (name, after) = rest[at + 2..].split_once('}')?;
        match name {
            "clientid" => filled.push_str(facts.client_id),
            "username" => filled.push_str(facts.username?),
            "host" => filled.push_str(&facts.peer.ip().to_string()),
            "port" => filled.push_str(&facts.peer.port().to_string()),
            _ => return None,
        }
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_or_the_entry_is_left_out() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        let facts = Facts { client_id: "c", username: None, peer };
        assert_eq!(fill("plain/#", &facts).as_deref(), Some("plain/#"));
        assert_eq!(fill("a/${clientid}/${host}/${port}", &facts).as_deref(), Some("a/c/127.0.0.1/5000"));
        assert_eq!(fill("a/${username}", &facts), None);
        assert_eq!(fill("${username}x", &Facts { username: Some("u"), ..facts }).as_deref(), Some("ux"));
    }
}

//! What is told of clients' comings and goings, `$SYS/brokers/<node>/clients/<clientid>/...`, as JSON with EMQX's fields.
//!
//! A client without a user name has `undefined` there, as in EMQX.

use crate::listeners::Directory;
use crate::log;
use crate::trace::Tracer;
use ringmq_core::observe::{ClientView, Dropped, EndReason, Event, Observer, Refused, What};
use ringmq_core::trace::Traced;
use serde_json::{Value, json};
use std::sync::Arc;

/// `sys_topics.sys_event_messages`: which events are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// `client_connected`.
    pub(crate) connected: bool,
    /// `client_disconnected`.
    pub(crate) disconnected: bool,
    /// `client_subscribed`.
    pub(crate) subscribed: bool,
    /// `client_unsubscribed`.
    pub(crate) unsubscribed: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self { connected: true, disconnected: true, subscribed: false, unsubscribed: false }
    }
}

/// One shard's words for events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    words: Arc<Words>,
    tracer: Option<Tracer>,
}

#[derive(Debug)]
struct Words {
    /// Of every topic, up to the client identifier.
    prefix: String,
    told: Told,
    listeners: Directory,
}

impl Events {
    /// For a node with this name and these listeners.
    pub(crate) fn new(node: &str, told: Told, listeners: Directory) -> Self {
        let prefix = format!("$SYS/brokers/{node}/clients/");
        Self { words: Arc::new(Words { prefix, told, listeners }), tracer: None }
    }

    /// The same, with somebody to tell traced packets to.
    pub(crate) fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer: Some(tracer), ..self }
    }
}

impl Observer for Events {
    fn minds_subscriptions(&self) -> bool {
        self.words.told.subscribed || self.words.told.unsubscribed || log::notes_all()
    }

    fn observe(&mut self, event: &Event<'_>) {
        let listener = self.words.listeners.get(event.client.listener);
        if let (What::Disconnected { reason }, Some(listener)) = (event.what, listener) {
            listener.endings.count(reason);
        }
        log::note_event(event, listener.map(|listener| listener.id.as_str()));
    }

    fn traced(&mut self, rule: u32, traced: &Traced<'_>) {
        if let Some(tracer) = &self.tracer {
            tracer.take(rule, traced);
        }
    }

    fn refused(&mut self, refused: &Refused) {
        log::note_refused(refused, self.words.listeners.id(refused.listener));
    }

    fn dropped(&mut self, dropped: &Dropped<'_>) {
        log::note_dropped(dropped);
    }

    fn topic(&self, event: &Event<'_>, topic: &mut String) -> bool {
        let told = self.words.told;
        let (wanted, name) = match event.what {
            What::Connected { .. } => (told.connected, "/connected"),
            What::Disconnected { .. } => (told.disconnected, "/disconnected"),
            What::Subscribed { .. } => (told.subscribed, "/subscribed"),
            What::Unsubscribed { .. } => (told.unsubscribed, "/unsubscribed"),
        };
        if wanted {
            topic.extend([self.words.prefix.as_str(), event.client.client_id, name]);
        }
        wanted
    }

    fn payload(&self, event: &Event<'_>, payload: &mut Vec<u8>) {
        let client = &event.client;
        let mut told = match event.what {
            What::Connected { keep_alive_s, clean_start, expiry_s } => {
                let mut told = self.whole(client);
                told["keepalive"] = json!(keep_alive_s);
                told["clean_start"] = json!(clean_start);
                told["expiry_interval"] = json!(expiry_s);
                told
            }
            What::Disconnected { reason } => {
                let mut told = self.whole(client);
                told["reason"] = json!(reason_name(reason));
                told["disconnected_at"] = json!(event.at_ms);
                told
            }
            What::Subscribed { filter, options } => {
                let mut told = brief(client);
                told["topic"] = json!(filter);
                told["subopts"] = json!({
                    "qos": options.qos.bits(),
                    "nl": u8::from(options.no_local),
                    "rap": u8::from(options.retain_as_published),
                    "rh": options.retain_handling as u8,
                });
                told
            }
            What::Unsubscribed { filter } => {
                let mut told = brief(client);
                told["topic"] = json!(filter);
                told
            }
        };
        told["ts"] = json!(event.at_ms);
        // A vector takes all.
        let _ = serde_json::to_writer(payload, &told);
    }
}

impl Events {
    /// What is told of a client whose connection is the subject.
    fn whole(&self, client: &ClientView<'_>) -> Value {
        let mut told = brief(client);
        told["ipaddress"] = json!(client.peer.ip());
        let listener = self.words.listeners.get(client.listener);
        told["sockport"] = json!(listener.map(|listener| listener.port));
        told["listener"] = json!(listener.map(|listener| &listener.id));
        told["proto_name"] = json!(client.version.protocol_name());
        told["proto_ver"] = json!(client.version.level());
        told["connected_at"] = json!(client.connected_at_ms);
        told
    }
}

/// What is told of every client.
fn brief(client: &ClientView<'_>) -> Value {
    json!({
        "clientid": client.client_id,
        "username": client.username.unwrap_or("undefined"),
        "protocol": "mqtt",
    })
}

/// A reason as EMQX names it, such as `keepalive_timeout` or `protocol_error`.
pub(crate) fn reason_name(reason: EndReason) -> String {
    match reason {
        EndReason::Named(name) => name.to_owned(),
        EndReason::Code(code) | EndReason::Breach(code) => code.name().to_ascii_lowercase().replace([' ', '-'], "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listeners::Entry;
    use ringmq_wire::{QoS, ReasonCode, SubscribeOptions, Version};

    fn event<'a>(username: Option<&'a str>, what: What<'a>) -> Event<'a> {
        let client = ClientView {
            client_id: "c/\"1\"",
            username,
            peer: "127.0.0.1:5000".parse().expect("an address"),
            listener: 1,
            version: Version::V311,
            connected_at_ms: 5000,
        };
        Event { client, at_ms: 7123, what }
    }

    fn listeners() -> Directory {
        let listeners = Directory::new();
        listeners.put(0, Entry::new("tcp:default".to_owned(), 1882));
        listeners.put(1, Entry::new("tcp:more".to_owned(), 1883));
        listeners
    }

    fn told(events: &Events, event: &Event<'_>) -> (String, Value) {
        let (mut topic, mut payload) = (String::new(), Vec::new());
        assert!(events.topic(event, &mut topic));
        events.payload(event, &mut payload);
        (topic, serde_json::from_slice(&payload).expect("JSON"))
    }

    #[test]
    fn connections_are_told_with_emqx_fields() {
        let events = Events::new("n@h", Told::default(), listeners());
        let what = What::Connected { keep_alive_s: 60, clean_start: true, expiry_s: 9 };
        let (topic, payload) = told(&events, &event(Some("u"), what));
        assert_eq!(topic, "$SYS/brokers/n@h/clients/c/\"1\"/connected");
        let expected = json!({
            "clientid": "c/\"1\"", "username": "u", "ipaddress": "127.0.0.1", "sockport": 1883, "protocol": "mqtt",
            "listener": "tcp:more",
            "proto_name": "MQTT", "proto_ver": 4, "keepalive": 60, "clean_start": true, "expiry_interval": 9,
            "connected_at": 5000, "ts": 7123,
        });
        assert_eq!(payload, expected);
        let what = What::Disconnected { reason: EndReason::Code(ReasonCode::PROTOCOL_ERROR) };
        let (topic, payload) = told(&events, &event(None, what));
        assert!(topic.ends_with("/disconnected"));
        let mut events = events;
        events.observe(&event(None, what));
        let counted = events.words.listeners.endings().into_iter().next();
        assert_eq!(counted, Some((("tcp:more", "protocol_error".to_owned()), 1)));
        assert_eq!(payload["reason"], "protocol_error");
        assert_eq!((&payload["disconnected_at"], &payload["username"]), (&json!(7123), &json!("undefined")));
    }

    #[test]
    fn subscriptions_are_told_only_if_the_operator_wants_that() {
        let what = What::Subscribed { filter: "a/#", options: SubscribeOptions::with_qos(QoS::AtLeastOnce) };
        let quiet = Events::new("n@h", Told::default(), listeners());
        assert!(!quiet.topic(&event(None, what), &mut String::new()));
        let events = Events::new("n@h", Told { subscribed: true, ..Told::default() }, listeners());
        assert!(events.minds_subscriptions());
        let (topic, payload) = told(&events, &event(None, what));
        assert!(topic.ends_with("/subscribed"));
        assert_eq!(payload["subopts"], json!({ "qos": 1, "nl": 0, "rap": 0, "rh": 0 }));
        assert!(!events.topic(&event(None, What::Unsubscribed { filter: "a" }), &mut String::new()));
    }
}

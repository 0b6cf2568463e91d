//! What shards note: clients that come and go, what they do wrong, and messages that do not reach somebody.
//!
//! Called on the shards' threads, for rare things alone. While a level is off, a note costs one look at an atomic.

use super::module;
use crate::sys::reason_name;
use ringmq_core::observe::{Dropped, EndReason, Event, Refusal, Refused, What};
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, warn};

/// Whether somebody wants to know all that happens.
pub(crate) fn notes_all() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}

/// Something has happened to a client, which came by this listener.
pub(crate) fn note_event(event: &Event<'_>, listener: Option<&str>) {
    let client = &event.client;
    let (clientid, peername) = (client.client_id, client.peer);
    match event.what {
        What::Connected { keep_alive_s, clean_start, expiry_s } => {
            let (username, proto_ver) = (client.username, u64::from(client.version.level()));
            let (keepalive, expiry_interval) = (u64::from(keep_alive_s), u64::from(expiry_s));
            info!(
                target: module::CLIENT, clientid, username, %peername, listener, proto_ver, keepalive, clean_start,
                expiry_interval, "client_connected"
            );
        }
        What::Disconnected { reason } => {
            if matches!(reason, EndReason::Breach(_)) {
                let reason = reason_name(reason);
                warn!(target: module::CLIENT, clientid, %peername, listener, reason, "client_protocol_error");
            } else {
                let reason = reason_name(reason);
                info!(target: module::CLIENT, clientid, %peername, listener, reason, "client_disconnected");
            }
        }
        What::Subscribed { filter, options } => {
            debug!(
                target: module::CLIENT, clientid, topic = filter, qos = u64::from(options.qos.bits()),
                "client_subscribed"
            );
        }
        What::Unsubscribed { filter } => {
            debug!(target: module::CLIENT, clientid, topic = filter, "client_unsubscribed");
        }
    }
}

/// A connection that came by this listener was refused before a client was known.
pub(crate) fn note_refused(refused: &Refused, listener: Option<&str>) {
    let peername = refused.peer;
    let reason = match refused.why {
        Refusal::Code(code) => reason_name(EndReason::Code(code)),
        Refusal::Header(error) => error.name().to_owned(),
    };
    warn!(target: module::CLIENT, %peername, listener, reason, "connection_refused");
}

/// Messages were dropped in the second that has passed.
pub(crate) fn note_dropped(dropped: &Dropped<'_>) {
    let clientid = dropped.client_id;
    let (full, at_once, not_retained) = (dropped.queue_full, dropped.qos0_msg, dropped.not_retained);
    if full > 0 {
        warn!(target: module::DELIVERY, count = full, clientid, "dropped_msg_due_to_mqueue_is_full");
    }
    if at_once > 0 {
        warn!(target: module::DELIVERY, count = at_once, clientid, "dropped_qos0_msg");
    }
    if not_retained > 0 {
        warn!(target: module::DELIVERY, count = not_retained, "failed_to_retain_message");
    }
}

//! How connections and sessions end, and what becomes of the will (sections 3.1.2.5, 3.14, 4.1).

use super::back_pressure::Notice;
use super::connect::spread;
use super::observe::Place;
use super::{Flow, Shard};
use crate::machine::{CloseHow, Command, ConnId, Effects};
use crate::message::{NEVER_MS, Publication};
use crate::observe::{EndReason, What};
use crate::session::{EXPIRY_NEVER_S, Outgoing, Session, Stage, Will};
use crate::settings::Settings;
use alloc::vec::Vec;
use ringmq_wire::{Disconnect, QoS, ReasonCode};

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The transport is gone.
    Lost,
    /// DISCONNECT came, which discards the will if it is a normal one, and otherwise asks for it.
    Goodbye(ReasonCode),
    /// The client did what it must not.
    Refused(ReasonCode),
    /// The same client has connected anew.
    TakenOver,
    /// Nothing came for too long.
    KeepAliveTimeout,
    /// Nothing could be sent for too long.
    SendTimeout,
    /// Too much waits for it.
    Overfull,
    /// The operator wants it gone.
    Kicked,
    /// The server stops.
    ShuttingDown,
}

impl End {
    /// What a version 5 client is told.
    fn reason(self) -> Option<ReasonCode> {
        match self {
            Self::Lost | Self::Goodbye(_) | Self::SendTimeout => None,
            Self::Refused(reason) => Some(reason),
            Self::TakenOver => Some(ReasonCode::SESSION_TAKEN_OVER),
            Self::KeepAliveTimeout => Some(ReasonCode::KEEP_ALIVE_TIMEOUT),
            Self::Overfull => Some(ReasonCode::QUOTA_EXCEEDED),
            Self::Kicked => Some(ReasonCode::ADMINISTRATIVE_ACTION),
            Self::ShuttingDown => Some(ReasonCode::SERVER_SHUTTING_DOWN),
        }
    }

    /// What others are told, in EMQX's words.
    fn told(self) -> EndReason {
        match self {
            Self::Lost => EndReason::Named("tcp_closed"),
            Self::Goodbye(ReasonCode::NORMAL_DISCONNECTION) => EndReason::Named("normal"),
            Self::Goodbye(reason) => EndReason::Code(reason),
            Self::TakenOver => EndReason::Named("takenover"),
            Self::KeepAliveTimeout => EndReason::Named("keepalive_timeout"),
            Self::SendTimeout => EndReason::Named("send_timeout"),
            Self::Overfull => EndReason::Named("message_queue_too_long"),
            Self::Kicked => EndReason::Named("kicked"),
            Self::Refused(reason) => EndReason::Breach(reason),
            Self::ShuttingDown => EndReason::Code(ReasonCode::SERVER_SHUTTING_DOWN),
        }
    }
}

impl Shard {
    /// The transport of a connection is gone.
    pub(super) fn lost(&mut self, conn: ConnId, fx: &mut Effects) {
        if let Some(session) = self.conns.session(conn) {
            self.end(session, End::Lost, fx);
        } else if let Some(closed) = self.conns.close(conn)
            && let Some(timer) = closed.timer
        {
            self.wheel.cancel(timer);
        }
    }

    /// DISCONNECT from a client.
    pub(super) fn goodbye(&mut self, session: u32, disconnect: Disconnect<'_>, fx: &mut Effects) -> Flow {
        // Some codes, and Server Reference, are the server's alone.
        if !disconnect.reason.is_disconnect_from_client() || disconnect.server_reference.is_some() {
            return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx);
        }
        let held = self.hub.sessions.get_mut(session).expect("live session");
        if let Some(expiry_s) = disconnect.session_expiry {
            // A session that was to end with its connection cannot be made to stay (section 3.14.2.2.2).
            if held.expiry_s == 0 && expiry_s != 0 {
                return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx);
            }
            held.expiry_s = expiry_s;
        }
        // [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT3-3.14.4-2] [MQTT3-3.1.2-10]
        self.end(session, End::Goodbye(disconnect.reason), fx);
        Flow::Ended
    }

    /// Ends the connection of a live session, and the session too if it is not to outlive it.
    pub(super) fn end(&mut self, session: u32, why: End, fx: &mut Effects) {
        self.pause_consuming(session, fx);
        if self.hub.settings.flapping.enable {
            self.count_disconnect(session, why);
        }
        let held = self.hub.sessions.get_mut(session).expect("session to end");
        let conn = held.conn.take().expect("live session");
        if let Some(reason) = why.reason().filter(|reason| held.version.is_v5() && reason.is_disconnect()) {
            // [MQTT-3.14.2-1] [MQTT-3.14.2-3] [MQTT-4.13.2-1]; nothing follows it [MQTT-3.14.4-1] [MQTT-3.14.4-2].
            // Without a Session Expiry Interval [MQTT-3.14.2-2].
            let farewell = Disconnect::with_reason(reason);
            let fits = farewell.encode_within(held.max_packet_size, held.version, fx.outbox.buffer(conn));
            self.hub.counters.disconnect_sent += u64::from(fits);
        }
        let closed = self.conns.close(conn);
        let paused = closed.as_ref().is_some_and(|closed| closed.pauses.any());
        if let Some(timer) = closed.as_ref().and_then(|closed| closed.timer) {
            self.wheel.cancel(timer);
        }
        match why {
            End::Lost => {}
            End::SendTimeout => fx.commands.push(Command::Close { conn, how: CloseHow::Abort }),
            _ => fx.commands.push(Command::Close { conn, how: CloseHow::Flush }),
        }
        self.hub.counters.client_disconnected += 1;
        self.hub.counters.connections -= 1;
        held.last_seen_ms = self.hub.now_ms;
        if let Some(delivery) = &mut held.delivery {
            delivery.stall = None;
            if let Some(mut holding) = delivery.holding.take() {
                self.hub.notices.extend(holding.let_go().map(Notice::LetGo));
            }
        }
        let mut replays = Vec::new();
        if let Some(extra) = &mut held.extra {
            replays = extra.end_connection();
            if matches!(why, End::Goodbye(ReasonCode::NORMAL_DISCONNECTION) | End::ShuttingDown) {
                extra.will = None;
            }
        }
        held.flags.own_frames = false;
        held.flags.mounted = false;
        held.flags.waits_for_room = false;
        held.shrink();
        for (shard, replay) in replays {
            self.cancel_replay(shard, replay, fx);
        }
        if paused {
            self.forget_held_up(conn);
        }
        if let Some(closed) = closed.filter(|_| self.observer.is_some()) {
            let place = Place { peer: closed.peer.into(), listener: closed.listener, since_s: closed.since_s };
            self.tell_of_at(session, place, &What::Disconnected { reason: why.told() }, fx);
        }
        let held = self.hub.sessions.get_mut(session).expect("session to end");
        // [MQTT-4.1.0-2] [MQTT-3.1.2-23]
        if held.expiry_s == 0 {
            self.terminate(session, fx);
            return;
        }
        if let Some(delay_s) = held.extra.as_ref().and_then(|extra| Some(extra.will.as_ref()?.delay_s)) {
            // Whichever comes first, the delay's end or the session's [MQTT-3.1.2-8].
            let delay_ms = u64::from(delay_s) * 1000;
            if delay_ms == 0 {
                self.publish_will(session, fx);
            } else {
                held.extra_mut().will_due_ms = Some(self.hub.now_ms + delay_ms);
            }
        }
        self.arm(session);
    }

    /// Publishes a session's will, if it still has one [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-15]
    /// [MQTT3-3.1.2-8] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17].
    pub(super) fn publish_will(&mut self, session: u32, fx: &mut Effects) {
        let Some(held) = self.hub.sessions.get_mut(session) else { return };
        let Some(extra) = &mut held.extra else { return };
        extra.will_due_ms = None;
        // [MQTT3-3.1.2-12]
        let Some(Will { message, expiry_s, .. }) = extra.will.take() else { return };
        held.shrink();
        let now_ms = self.hub.now_ms;
        let expiry_ms = match expiry_s {
            Some(expiry_s) => now_ms + u64::from(expiry_s) * 1000,
            None => Self::default_expiry_ms(self.hub.profiles.of(held.listener), now_ms),
        };
        let passing = Publication { expires_ms: expiry_ms, ..message.view() };
        self.hub.counters.messages_will += 1;
        if self.is_special(passing.topic) {
            self.take_in_special(&passing, session, None, fx);
        } else {
            self.take_in(&passing, None, fx);
        }
    }

    /// When a message published now without an expiry of its own expires, milliseconds.
    pub(super) fn default_expiry_ms(settings: &Settings, now_ms: u64) -> u64 {
        settings
            .message_expiry_interval
            .map_or(NEVER_MS, |interval| now_ms.saturating_add(u64::try_from(interval.as_millis()).unwrap_or(NEVER_MS)))
    }

    /// Ends a session without a connection: its will, its subscriptions, what it had to deliver. What it retained stays
    /// [MQTT3-3.1.2-7].
    pub(super) fn terminate(&mut self, session: u32, fx: &mut Effects) {
        self.publish_will(session, fx);
        let held = self.hub.sessions.get_mut(session).expect("session to terminate");
        assert!(held.conn.is_none(), "a live session was to be terminated [MQTT-4.1.0-1]");
        let subscriptions = core::mem::take(&mut held.subscriptions);
        for subscription in subscriptions.as_slice() {
            self.drop_subscription(session, *subscription, fx);
        }
        let generation = self.hub.sessions.generation(session).expect("session to terminate");
        let held = self.hub.sessions.remove(session).expect("session to terminate");
        self.back_pressure.forget(held.key);
        let hash = held.client_hash;
        if let Ok(entry) = self.clients.find_entry(spread(hash), |(_, slot)| *slot == session) {
            entry.remove();
        }
        if let Some(timer) = held.timer {
            self.wheel.cancel(timer);
        }
        self.hub.counters.session_terminated += 1;
        let replays = held.extra.as_ref().map(|extra| extra.replays.clone()).unwrap_or_default();
        for (shard, replay) in replays {
            self.cancel_replay(shard, replay, fx);
        }
        for outgoing in undelivered(held) {
            if let Some(via) = outgoing.via {
                self.return_shared(via, session, generation, &outgoing.message.view(), fx);
            }
        }
    }

    /// When a session without a connection ends, milliseconds; `None` if never.
    pub(super) fn session_end_ms(held: &Session) -> Option<u64> {
        (held.expiry_s != EXPIRY_NEVER_S).then(|| held.last_seen_ms + u64::from(held.expiry_s) * 1000)
    }
}

/// What a session leaves that another member of a shared group may have: what was never sent, and QoS 1 messages that
/// were not acknowledged. QoS 2 messages that were sent stay with this client alone [MQTT-4.8.2-5].
fn undelivered(session: Session) -> Vec<Outgoing> {
    let Some(delivery) = session.delivery else { return Vec::new() };
    let sent = delivery.window.into_iter().filter_map(|flight| match flight.stage {
        Stage::Published(outgoing) if outgoing.qos == QoS::AtLeastOnce => Some(outgoing),
        _ => None,
    });
    let queued = delivery.queue.into_messages().filter(|outgoing| outgoing.qos != QoS::AtMostOnce);
    sent.chain(queued).collect()
}

//! AUTH packets: the exchange at connection and re-authentication (section 4.12).

use super::conns::Phase;
use super::{Flow, Shard};
use crate::enhanced_auth::AuthStep;
use crate::machine::{ConnId, Effects};
use alloc::boxed::Box;
use alloc::vec::Vec;
use ringmq_wire::{Auth, Connect, Frame, Packet, ReasonCode, UserProperties, Version};

impl Shard {
    /// A packet of a client whose CONNECT waits for its authentication: AUTH or DISCONNECT, nothing else
    /// [MQTT-3.1.4-6].
    pub(super) fn auth_packet(&mut self, conn: ConnId, frame: Frame<'_>, fx: &mut Effects) -> Flow {
        let open = self.conns.get_mut(conn).expect("open");
        let Phase::Authenticating(waiting) = core::mem::replace(&mut open.phase, Phase::Fresh) else {
            unreachable!("called for connections that authenticate")
        };
        let listener = open.listener;
        match self.read(listener, frame, Version::V5) {
            Ok(Packet::Auth(auth)) => {
                // Of MQTT 5, of which nothing is let pass that was not sound.
                let connect = Connect::decode(&waiting.connect).expect("was decoded when it came");
                let method = connect.properties.authentication_method;
                // [MQTT-4.12.0-3] [MQTT-4.12.0-5]
                if auth.reason != ReasonCode::CONTINUE_AUTHENTICATION || auth.authentication_method != method {
                    return self.refuse_connect(conn, Version::V5, ReasonCode::PROTOCOL_ERROR, fx);
                }
                self.step_authentication(conn, *waiting, auth.authentication_data.unwrap_or_default(), fx)
            }
            Ok(Packet::Disconnect(_)) => {
                self.shut(conn, fx);
                Flow::Ended
            }
            Ok(_) => {
                self.hub.packets.fail(frame.first);
                self.refuse_connect(conn, Version::V5, ReasonCode::PROTOCOL_ERROR, fx)
            }
            Err(error) => {
                self.count_refused(error);
                self.hub.packets.fail(frame.first);
                self.refuse_connect(conn, Version::V5, error.reason, fx)
            }
        }
    }

    /// AUTH on a live connection [MQTT-4.12.1-1].
    pub(super) fn reauthenticate(&mut self, session: u32, conn: ConnId, auth: Auth<'_>, fx: &mut Effects) -> Flow {
        let held = self.hub.sessions.get_mut(session).expect("live session");
        // Without a method in CONNECT there is no AUTH [MQTT-4.12.0-7]; with one, it stays the same [MQTT-4.12.0-5].
        let Some(method) = held.extra.as_ref().and_then(|extra| extra.auth_method.clone()) else {
            return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx);
        };
        if auth.authentication_method != Some(&*method) {
            return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx);
        }
        let limit = held.max_packet_size;
        let extra = held.extra_mut();
        // Whatever exchange was under way ends or goes on here.
        let under_way = extra.auth_exchange.take();
        let exchange = match auth.reason {
            ReasonCode::RE_AUTHENTICATE => {
                let client_id = Box::<str>::from(held.names.client_id());
                let known = self.auth_methods.iter().find(|known| known.name() == &*method);
                known.map(|known| known.begin(&client_id))
            }
            ReasonCode::CONTINUE_AUTHENTICATION => under_way,
            // Success is the server's to say.
            _ => None,
        };
        let Some(mut exchange) = exchange else { return self.refuse(session, ReasonCode::PROTOCOL_ERROR, fx) };
        let mut reply = Vec::new();
        let reason = match exchange.step(auth.authentication_data.unwrap_or_default(), &mut reply) {
            // [MQTT-4.12.1-2]
            AuthStep::Refuse(reason) => return self.refuse(session, reason, fx),
            AuthStep::Done => ReasonCode::SUCCESS,
            AuthStep::Continue => {
                let held = self.hub.sessions.get_mut(session).expect("live session");
                held.extra_mut().auth_exchange = Some(exchange);
                ReasonCode::CONTINUE_AUTHENTICATION
            }
        };
        let answer = Auth {
            reason,
            authentication_method: Some(&method),
            authentication_data: (!reply.is_empty()).then_some(&reply),
            reason_string: None,
            user_properties: UserProperties::NONE,
        };
        if answer.encode_within(limit, fx.outbox.buffer(conn)) {
            self.hub.counters.auth_sent += 1;
            Flow::Continue
        } else {
            self.refuse(session, ReasonCode::PACKET_TOO_LARGE, fx)
        }
    }
}

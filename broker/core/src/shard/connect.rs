//! CONNECT: who is it, where is its home, what is left of its session (section 3.1.4).

use super::conns::{Authenticating, Phase};
use super::leave::End;
use super::mounting::Mounting;
use super::{Flow, Shard};
use crate::enhanced_auth::AuthStep;
use crate::machine::{Command, ConnId, Effects, ShardId};
use crate::message::{Message, NEVER_MS, Publication};
use crate::session::{AliasesOut, EXPIRY_NEVER_S, Flags, Names, Session, Subscriptions, Will};
use crate::settings::Settings;
use crate::topics::filter;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use ringmq_wire::{
    Auth, ConnAck, ConnAckProperties, Connect, Frame, MAX_PACKET_LEN, Packet, PacketType, QoS, ReasonCode,
    UserProperties, Version,
};

/// Beginning of the client identifiers that we assign.
const ASSIGNED_PREFIX: &str = "ringmq-";

/// Most client identifiers tried to find one that is at home here: with 64 shards, fewer than 1 in 10^13 runs out.
const ASSIGN_TRIES_MAX: usize = 2048;

impl Shard {
    /// The first packet must be CONNECT [MQTT-3.1.0-1] [MQTT3-3.1.0-1].
    pub(super) fn first_packet(
        &mut self,
        conn: ConnId,
        frame: Frame<'_>,
        whole: &[u8],
        after: &[u8],
        fx: &mut Effects,
    ) -> Flow {
        if frame.packet_type() != Some(PacketType::Connect) {
            self.hub.counters.packets_protocol_error += 1;
            self.hub.packets.fail(frame.first);
            self.tell_of_refused(conn, ReasonCode::PROTOCOL_ERROR);
            self.shut(conn, fx);
            return Flow::Ended;
        }
        let listener = self.conns.get(conn).expect("open").listener;
        match self.read(listener, frame, Version::V5) {
            Ok(Packet::Connect(connect)) => self.connect(conn, &connect, frame.body, whole, after, fx),
            Ok(_) => unreachable!("a CONNECT frame holds a CONNECT"),
            Err(error) => {
                // [MQTT-3.1.4-1] [MQTT3-3.1.4-1]
                self.count_refused(error);
                self.refuse_connect(conn, Connect::answer_version(frame.body), error.reason, fx)
            }
        }
    }

    fn connect(
        &mut self,
        conn: ConnId,
        connect: &Connect<'_>,
        body: &[u8],
        whole: &[u8],
        after: &[u8],
        fx: &mut Effects,
    ) -> Flow {
        let mut connect = *connect;
        let settings = self.hub.profiles.of(self.conns.get(conn).expect("open").listener);
        if settings.use_username_as_clientid
            && let Some(username) = connect.username
        {
            connect.client_id = username;
        }
        let connect = &connect;
        if let Err(reason) = Self::check_connect(connect, settings) {
            return self.refuse_connect(conn, connect.version, reason, fx);
        }
        let client_id = if connect.client_id.is_empty() {
            // [MQTT-3.1.3-6] [MQTT3-3.1.3-6]
            Cow::Owned(self.assign_client_id())
        } else {
            Cow::Borrowed(connect.client_id)
        };
        let home = self.placement.home(client_id.as_bytes());
        if home != self.id {
            self.hand_over(conn, home, [whole, after].concat(), fx);
            return Flow::Ended;
        }
        self.hub.counters.client_connect += 1;
        if self.is_banned(conn, &client_id, connect.username) {
            self.hub.counters.client_banned += 1;
            return self.refuse_connect(conn, connect.version, ReasonCode::BANNED, fx);
        }
        if self.load.is_overloaded() && self.turns_away_new(conn) {
            self.hub.counters.overload_new_conn += 1;
            return self.refuse_connect(conn, connect.version, ReasonCode::SERVER_BUSY, fx);
        }
        let Some(method) = connect.properties.authentication_method else {
            self.hub.counters.client_auth_anonymous += 1;
            return self.accept(conn, connect, &client_id, &[], fx);
        };
        let Some(method) = self.auth_methods.iter().find(|known| known.name() == method) else {
            // [MQTT-4.12.0-1]
            return self.refuse_connect(conn, connect.version, ReasonCode::BAD_AUTHENTICATION_METHOD, fx);
        };
        let exchange = method.begin(&client_id);
        let waiting = Authenticating { connect: body.to_vec(), client_id: client_id.into(), exchange };
        let data = connect.properties.authentication_data.unwrap_or_default();
        self.step_authentication(conn, waiting, data, fx)
    }

    /// Whether those who come by this connection's listener are turned away while the shard is overloaded.
    fn turns_away_new(&self, conn: ConnId) -> bool {
        let overload = &self.hub.profiles.of(self.conns.get(conn).expect("open").listener).overload;
        overload.enable && overload.backoff_new_conn
    }

    /// Gives what the client sent to its authentication exchange, and accepts it, refuses it or asks for more.
    pub(super) fn step_authentication(
        &mut self,
        conn: ConnId,
        mut waiting: Authenticating,
        data: &[u8],
        fx: &mut Effects,
    ) -> Flow {
        let body = core::mem::take(&mut waiting.connect);
        let connect = Connect::decode(&body).expect("was decoded when it came");
        let mut reply = Vec::new();
        match waiting.exchange.step(data, &mut reply) {
            AuthStep::Done => {
                self.hub.counters.authentication_success += 1;
                self.accept(conn, &connect, &waiting.client_id, &reply, fx)
            }
            // [MQTT-4.12.0-4]
            AuthStep::Refuse(reason) => self.refuse_connect(conn, connect.version, reason, fx),
            AuthStep::Continue => {
                // [MQTT-4.12.0-2] [MQTT-4.12.0-5]
                let auth = Auth {
                    reason: ReasonCode::CONTINUE_AUTHENTICATION,
                    authentication_method: connect.properties.authentication_method,
                    authentication_data: Some(&reply),
                    reason_string: None,
                    user_properties: UserProperties::NONE,
                };
                let limit = connect.properties.maximum_packet_size.unwrap_or(MAX_PACKET_LEN);
                if !auth.encode_within(limit, fx.outbox.buffer(conn)) {
                    self.shut(conn, fx);
                    return Flow::Ended;
                }
                self.hub.counters.auth_sent += 1;
                waiting.connect = body;
                self.conns.get_mut(conn).expect("open").phase = Phase::Authenticating(Box::new(waiting));
                Flow::Continue
            }
        }
    }

    /// What a CONNECT may not ask for here [MQTT-3.1.4-2].
    fn check_connect(connect: &Connect<'_>, settings: &Settings) -> Result<(), ReasonCode> {
        let id_len = connect.client_id.len();
        // [MQTT-3.1.3-5] [MQTT3-3.1.3-5] [MQTT-3.1.3-8] [MQTT3-3.1.3-7] [MQTT3-3.1.3-8] [MQTT3-3.1.3-9]; MQTT 3.1
        // requires an identifier.
        let nameless = id_len == 0
            && match connect.version {
                Version::V31 => true,
                Version::V311 => !connect.clean_start,
                Version::V5 => false,
            };
        if nameless || id_len > usize::from(settings.max_clientid_len) {
            return Err(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
        if connect.properties.user_properties.len() > usize::from(settings.max_user_properties) {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        if let Some(will) = &connect.will {
            // [MQTT-3.2.2-12]
            if will.qos.bits() > settings.max_qos_allowed {
                return Err(ReasonCode::QOS_NOT_SUPPORTED);
            }
            // [MQTT-3.2.2-13]
            if will.retain && !settings.retain_available {
                return Err(ReasonCode::RETAIN_NOT_SUPPORTED);
            }
            if filter::topic_levels(will.topic) > usize::from(settings.max_topic_levels) {
                return Err(ReasonCode::TOPIC_NAME_INVALID);
            }
        }
        Ok(())
    }

    /// A client identifier that nobody has and whose home is here, so that the connection can stay.
    fn assign_client_id(&mut self) -> String {
        for _ in 0..ASSIGN_TRIES_MAX {
            // Half a word each: a whole one would give the sequence away.
            let mut half = || self.names.next_u64() >> 32;
            let name = format!("{ASSIGNED_PREFIX}{:08x}{:08x}{:08x}", half(), half(), half());
            if self.placement.home(name.as_bytes()) == self.id && self.find_client(&name).is_none() {
                return name;
            }
        }
        unreachable!("no client identifier is at home on this shard")
    }

    fn hand_over(&mut self, conn: ConnId, to: ShardId, bytes: Vec<u8>, fx: &mut Effects) {
        let closed = self.conns.close(conn).expect("open");
        if let Some(timer) = closed.timer {
            self.wheel.cancel(timer);
        }
        self.hub.counters.client_handed_over += 1;
        self.hub.packets.pass_on(PacketType::Connect.first());
        let peer = Some(closed.peer.into());
        fx.commands.push(Command::HandOff { conn, to, bytes, peer });
    }

    /// Answers CONNECT with a refusal and closes [MQTT-3.2.2-7] [MQTT3-3.2.2-5]. Session Present is then 0
    /// [MQTT-3.2.2-6] [MQTT3-3.2.2-4].
    pub(super) fn refuse_connect(
        &mut self,
        conn: ConnId,
        version: Version,
        reason: ReasonCode,
        fx: &mut Effects,
    ) -> Flow {
        self.hub.counters.client_refused += 1;
        self.tell_of_refused(conn, reason);
        // [MQTT-3.2.2-8] [MQTT3-3.2.2-6]
        let applicable = if version.is_v5() { reason.is_connack() } else { reason.applicable_connack_v3().is_some() };
        if applicable {
            let connack = ConnAck { session_present: false, reason, properties: ConnAckProperties::default() };
            connack.encode(version, fx.outbox.buffer(conn));
            self.hub.counters.connack_error += 1;
        }
        self.shut(conn, fx);
        Flow::Ended
    }

    /// The session of a client, if there is one [MQTT-3.1.3-2] [MQTT3-3.1.3-2].
    pub(super) fn find_client(&self, client_id: &str) -> Option<u32> {
        let hash = self.placement.hash(client_id.as_bytes()) as u32;
        self.clients
            .find(spread(hash), |(held, session)| {
                let named = |session: &Session| session.names.client_id() == client_id;
                *held == hash && self.hub.sessions.get(*session).is_some_and(named)
            })
            .map(|(_, session)| *session)
    }

    /// Makes a client live: takes its session over, resumes it or makes a new one, and answers with CONNACK
    /// [MQTT-3.1.4-5] [MQTT3-3.1.4-4].
    fn accept(
        &mut self,
        conn: ConnId,
        connect: &Connect<'_>,
        client_id: &str,
        auth_reply: &[u8],
        fx: &mut Effects,
    ) -> Flow {
        // A client that could not even take its CONNACK is closed before it changes anything.
        let mut trial = core::mem::take(&mut self.scratch);
        trial.clear();
        let limit = connect.properties.maximum_packet_size.unwrap_or(MAX_PACKET_LEN);
        let settings = Rc::clone(self.hub.profiles.of(self.conns.get(conn).expect("open").listener));
        let fits = Self::encode_connack(&settings, client_id, connect, true, auth_reply, limit, &mut trial);
        self.scratch = trial;
        if !fits {
            self.hub.counters.client_refused += 1;
            self.shut(conn, fx);
            return Flow::Ended;
        }
        let mounting = match self.mounting_of(&settings, client_id, connect) {
            Ok(mounting) => mounting,
            Err(reason) => return self.refuse_connect(conn, connect.version, reason, fx),
        };
        let resumed = self.settle_old_session(connect.clean_start, client_id, fx);
        let session = resumed.unwrap_or_else(|| self.create_session(client_id));
        self.bind(session, conn, connect, mounting);
        self.hub.counters.client_connected += 1;
        self.hub.counters.connections += 1;
        let out = fx.outbox.buffer(conn);
        let sent = Self::encode_connack(&settings, client_id, connect, resumed.is_some(), auth_reply, limit, out);
        assert!(sent, "the CONNACK fitted before");
        self.arm(session);
        if resumed.is_some() {
            self.hub.counters.session_resumed += 1;
            self.hub.repeat(session, u64::MAX, fx);
            self.hub.pump(session, fx);
            self.resume_consuming(session, fx);
        }
        self.read_or_not(session, fx);
        self.tell_of_connected(session, conn, connect.clean_start, fx);
        if !self.hub.settings.auto_subscribe.is_empty() {
            self.auto_subscribe(session, conn, connect.username, fx);
        }
        Flow::Continue
    }

    /// Ends what stands in the way of a new connection and returns the session to resume, if any [MQTT-3.1.2-4]
    /// [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.1.4-4] [MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-3.1.2-6]
    /// [MQTT3-3.1.4-2] [MQTT3-3.1.4-3].
    fn settle_old_session(&mut self, clean_start: bool, client_id: &str, fx: &mut Effects) -> Option<u32> {
        let old = self.find_client(client_id)?;
        if self.hub.sessions.get(old)?.conn.is_some() {
            self.hub.counters.session_takenover += 1;
            self.end(old, End::TakenOver, fx);
        }
        // The session is gone if it was not to outlive its connection.
        let old = self.find_client(client_id)?;
        if clean_start {
            self.hub.counters.session_discarded += 1;
            self.terminate(old, fx);
            return None;
        }
        Some(old)
    }

    fn create_session(&mut self, client_id: &str) -> u32 {
        let hash = self.placement.hash(client_id.as_bytes()) as u32;
        let session = self.hub.sessions.insert(Session {
            names: Names::new(client_id, None),
            key: 0,
            client_hash: hash,
            conn: None,
            version: Version::V5,
            flags: Flags::default(),
            listener: 0,
            keep_alive: 0,
            window: 0,
            max_packet_size: 0,
            expiry_s: 0,
            last_seen_ms: self.hub.now_ms,
            timer: None,
            timer_due_ms: 0,
            subscriptions: Subscriptions::None,
            delivery: None,
            extra: None,
        });
        let generation = self.hub.sessions.generation(session).expect("just inserted");
        // Unique in the process: shard, 24 bits of the generation, slot.
        let key = u64::from(self.id.0) << 56 | u64::from(generation & 0xFF_FFFF) << 32 | u64::from(session);
        self.hub.sessions.get_mut(session).expect("just inserted").key = key;
        self.clients.insert_unique(spread(hash), (hash, session), |(hash, _)| spread(*hash));
        self.hub.counters.session_created += 1;
        session
    }

    /// Sets what a connection brings to its session. Request Problem Information needs no memory: acknowledgements
    /// carry neither reason strings nor user properties to anybody [MQTT-3.1.2-29].
    fn bind(&mut self, session: u32, conn: ConnId, connect: &Connect<'_>, mounting: Mounting) {
        let open = self.conns.get_mut(conn).expect("open");
        open.phase = Phase::Live(session);
        open.since_s = u32::try_from(self.hub.now_ms / 1000).unwrap_or(u32::MAX);
        if let Some(timer) = open.timer.take() {
            self.wheel.cancel(timer);
        }
        let listener = open.listener;
        let settings = self.hub.profiles.of(listener);
        let alias_seed = self.random.next_u64();
        let now_ms = self.hub.now_ms;
        let peer = self.conns.get(conn).expect("open").peer.into();
        let properties = &connect.properties;
        let held = self.hub.sessions.get_mut(session).expect("session to bind");
        held.names.set_username(connect.username);
        held.conn = Some(conn);
        held.listener = listener;
        held.version = connect.version;
        // [MQTT-3.1.2-27]
        let aliases = properties.topic_alias_maximum.min(settings.max_topic_alias);
        held.flags = Flags {
            bridge: connect.bridge,
            own_frames: aliases > 0 || mounting.mountpoint.is_some(),
            mounted: mounting.mountpoint.is_some(),
            waits_for_room: held.extra.as_ref().is_some_and(|extra| !extra.replays.is_empty()),
            traced: self.hub.traces.as_ref().is_some_and(|traces| traces.mean(held.names.client_id(), peer)),
        };
        // [MQTT-3.1.2-21] [MQTT-3.2.2-22]
        let server_keep_alive = settings.server_keepalive.filter(|_| connect.version.is_v5());
        held.keep_alive = server_keep_alive.unwrap_or(connect.keep_alive);
        held.window = settings.max_inflight.min(properties.receive_maximum.unwrap_or(u16::MAX)).max(1);
        held.max_packet_size = properties.maximum_packet_size.unwrap_or(MAX_PACKET_LEN).min(MAX_PACKET_LEN);
        held.expiry_s = match connect.version {
            Version::V5 => properties.session_expiry.unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => seconds(settings.session_expiry_interval),
        };
        held.last_seen_ms = now_ms;
        // [MQTT-3.1.2-7] [MQTT3-3.1.2-8]; a will of the connection before is void [MQTT-3.1.3-9].
        let will = connect.will.as_ref().map(|will| {
            let mut scratch = Vec::new();
            let passing = Publication {
                publisher: held.publisher(),
                qos: will.qos,
                retain: will.retain,
                expires_ms: NEVER_MS,
                topic: mounting.will_topic.as_deref().unwrap_or(will.topic),
                properties: will.properties.forwardable(&mut scratch),
                payload: will.payload,
            };
            let expiry_s = will.properties.message_expiry;
            Will { message: Message::keep(&passing), expiry_s, delay_s: will.delay }
        });
        let authenticated = properties.authentication_method.is_some();
        if will.is_some() || held.flags.own_frames || authenticated || held.extra.is_some() {
            let extra = held.extra_mut();
            extra.will = will;
            extra.will_due_ms = None;
            extra.aliases_out = (aliases > 0).then(|| AliasesOut::new(aliases, alias_seed));
            extra.mountpoint = mounting.mountpoint;
            extra.auth_method = properties.authentication_method.map(Box::from);
        }
        held.shrink();
    }

    /// Appends the CONNACK, sent once [MQTT-3.2.0-2] and before anything else [MQTT-3.2.0-1] [MQTT3-3.2.0-1]. False if it
    /// does not fit `limit` bytes.
    fn encode_connack(
        settings: &Settings,
        client_id: &str,
        connect: &Connect<'_>,
        session_present: bool,
        auth_reply: &[u8],
        limit: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        let asked = &connect.properties;
        let properties = ConnAckProperties {
            receive_maximum: (settings.max_awaiting_rel > 0).then_some(settings.max_awaiting_rel),
            // [MQTT-3.2.2-9]
            maximum_qos: QoS::from_bits(settings.max_qos_allowed).unwrap_or(QoS::ExactlyOnce),
            retain_available: settings.retain_available,
            maximum_packet_size: Some(settings.max_packet_size),
            // [MQTT-3.2.2-16]
            assigned_client_id: connect.client_id.is_empty().then_some(client_id),
            topic_alias_maximum: settings.max_topic_alias,
            wildcard_subscription_available: settings.wildcard_subscription,
            shared_subscription_available: settings.shared_subscription,
            server_keep_alive: settings.server_keepalive,
            // [MQTT-3.1.2-28]
            response_information: (asked.request_response_information && !settings.response_information.is_empty())
                .then_some(settings.response_information.as_str()),
            // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
            authentication_method: asked.authentication_method,
            authentication_data: asked.authentication_method.and((!auth_reply.is_empty()).then_some(auth_reply)),
            ..ConnAckProperties::default()
        };
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3]
        let connack = ConnAck { session_present, reason: ReasonCode::SUCCESS, properties };
        connack.encode_within(limit, connect.version, out)
    }
}

/// A 32-bit hash for a table that looks at the upper bits too.
pub(super) const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

/// Whole seconds of a setting, with everything too long meaning never.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(EXPIRY_NEVER_S)
}

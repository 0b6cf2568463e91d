//! Opening connections: TCP, CONNECT, CONNACK; closing them; and what is left of a client whose connection ends.

use super::Fleet;
use super::client::{NO_CONNECTION, State};
use super::takeover::SECOND;
use crate::clock::NANOS_PER_MILLI;
use crate::stage::Phase;
use ringmq_core::machine::{CloseCause, CloseHow, Command, ConnId, Effects, Origin};
use ringmq_wire::{ConnAck, Connect, ConnectProperties, Disconnect, PublishProperties, QoS, ReasonCode, Will};
use std::io;

/// Most connections opened in one turn.
const DIALS_PER_TURN: usize = 512;

/// Clients that are disconnected in one turn, so that a turn stays short.
const DISCONNECTS_PER_TURN: usize = 1000;

impl Fleet {
    /// Starts what is due: by the schedule if there is one, else as much as the window allows.
    pub(super) fn dial(&mut self, now: u64, fx: &mut Effects) {
        for _ in 0..DIALS_PER_TURN {
            if self.dialled.next == self.clients.len() {
                break;
            }
            let due_ns = match &mut self.connect_schedule {
                Some(schedule) => match schedule.take(now) {
                    Some(due) => due.at_ns,
                    None => break,
                },
                None if self.dialled.under_way >= self.cx.plan.connecting.window as usize => break,
                None => now,
            };
            let client = self.dialled.next;
            self.dialled.next += 1;
            self.dialled.under_way += 1;
            self.clients[client].state = State::Dialling;
            self.clients[client].due_ns = due_ns;
            let local = self.cx.plan.source(self.global(client));
            fx.commands.push(Command::Connect { token: client as u64, remote: self.cx.plan.remote, local });
        }
        self.reach(self.dialled.settled == self.clients.len());
    }

    /// TCP is connected: introduces the client. The first packet is CONNECT [MQTT-3.1.0-1] [MQTT3-3.1.0-1].
    pub(super) fn opened(&mut self, conn: ConnId, origin: Origin, fx: &mut Effects) {
        let Origin::Connected { token } = origin else { unreachable!("fleets do not listen") };
        let at = conn.0 as usize;
        if at >= self.by_conn.len() {
            self.by_conn.resize(at + 1, NO_CONNECTION);
        }
        self.by_conn[at] = token as u32;
        let now = self.cx.clock.now();
        let (index, is_second) = ((token & !SECOND) as usize, token & SECOND != 0);
        if is_second && !self.second_opened(index, conn) {
            fx.commands.push(Command::Close { conn, how: CloseHow::Abort });
            return;
        }
        let identity = &self.cx.plan.identity;
        let name = match index.checked_sub(self.publishers.len()) {
            None => identity.naming.publisher(self.publishers[index].global),
            Some(subscriber) => identity.naming.subscriber(self.subscribers[subscriber].global),
        };
        let will_topic = identity.will.as_ref().map(|will| {
            let topic = will.topic(self.global(index), &name, &identity.naming);
            topic.expect("the plan has tried the template")
        });
        let will = identity.will.as_ref().zip(will_topic.as_deref()).map(|(will, topic)| Will {
            qos: will.qos,
            retain: will.retain,
            topic,
            payload: will.payload.as_bytes(),
            delay: 0,
            properties: PublishProperties::default(),
        });
        let client = &mut self.clients[index];
        if !is_second {
            client.conn = conn.0;
            client.state = if client.state == State::Away { State::Returning } else { State::Greeting };
        }
        // Whoever comes back has lost a connection, and a second one ends the first.
        let has_lost = is_second || client.state == State::Returning;
        let tcp_ns = now.saturating_sub(client.due_ns);
        client.asked_ns = now;
        client.last_sent_ms = (now / NANOS_PER_MILLI) as u32;
        Connect {
            version: identity.version,
            bridge: false,
            clean_start: identity.clean,
            keep_alive: identity.keep_alive,
            client_id: &name,
            will,
            username: identity.naming.user.as_deref(),
            password: identity.password.as_deref().map(str::as_bytes),
            properties: ConnectProperties {
                session_expiry: Some(identity.expiry).filter(|expiry| *expiry != 0),
                receive_maximum: identity.receive_maximum,
                ..ConnectProperties::default()
            },
        }
        .encode(fx.outbox.buffer(conn));
        self.experience(index, |experience| match has_lost {
            true => experience.disconnects += 1,
            false => experience.tcp_ns = Some(tcp_ns),
        });
    }

    /// TCP could not be connected.
    pub(super) fn not_opened(&mut self, token: u64, error: i32, fx: &mut Effects) {
        let index = (token & !SECOND) as usize;
        let conn = self.clients[index].conn;
        if conn != NO_CONNECTION {
            fx.commands.push(Command::Close { conn: ConnId(conn), how: CloseHow::Abort });
        }
        self.lose(index, format!("connecting: {}", io::Error::from_raw_os_error(error)), fx);
    }

    /// The server's answer.
    pub(super) fn greeted(
        &mut self,
        index: usize,
        answer: &ConnAck<'_>,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), String> {
        if answer.reason.is_error() {
            return Err(format!("CONNACK: {}", answer.reason));
        }
        if self.clients[index].state == State::Returning {
            return self.welcomed(index, answer, now, fx);
        }
        let properties = &answer.properties;
        if let (Some(traffic), true) = (&self.cx.plan.traffic, index < self.publishers.len()) {
            if properties.maximum_qos < traffic.qos {
                return Err(format!("CONNACK: the server takes QoS {} at most", properties.maximum_qos.bits()));
            }
            if traffic.retain && !properties.retain_available {
                return Err("CONNACK: the server does not retain messages".into());
            }
            // The server's quota for QoS 1 and 2 messages [MQTT-3.3.4-7].
            if traffic.qos != QoS::AtMostOnce {
                self.publishers[index].in_flight.limit = properties.receive_maximum.unwrap_or(u16::MAX);
            }
        }
        let client = &mut self.clients[index];
        client.state = State::Ready;
        // [MQTT-3.1.2-21]: the server's value wins.
        client.keep_alive = properties.server_keep_alive.unwrap_or(client.keep_alive);
        self.sweep.keep_alive(client.keep_alive);
        let arrived_ns = self.arrived_ns;
        let connect_ns = arrived_ns.saturating_sub(client.due_ns);
        let connack_ns = arrived_ns.saturating_sub(client.asked_ns);
        self.meter.connect.record(connect_ns);
        self.meter.connack.record(connack_ns);
        self.gauge.connected(connect_ns);
        self.experience(index, |experience| {
            (experience.connect_ns, experience.connack_ns) = (Some(connect_ns), Some(connack_ns));
        });
        self.meter.connected += 1;
        self.open += 1;
        self.settle_dial();
        Ok(())
    }

    fn settle_dial(&mut self) {
        self.dialled.under_way -= 1;
        self.dialled.settled += 1;
    }

    /// A connection ended without our asking.
    pub(super) fn closed(&mut self, conn: ConnId, cause: CloseCause, fx: &mut Effects) {
        let index = self.by_conn[conn.0 as usize] as usize;
        if conn.0 != self.clients[index].conn {
            return self.closed_beside(index, fx);
        }
        if self.is_taken_over(index) {
            return self.first_closed_early(index);
        }
        let cause = match cause {
            CloseCause::Peer => "by the broker".into(),
            CloseCause::Error(number) => format!("by {}", io::Error::from_raw_os_error(number)),
        };
        let when = match self.clients[index].state {
            State::Greeting | State::Returning => "before CONNACK, ",
            State::Subscribing | State::Resubscribing => "before SUBACK, ",
            _ => "",
        };
        self.lose(index, format!("connection closed {when}{cause}"), fx);
    }

    /// The broker did something that ends the connection: closes it.
    #[cold]
    pub(super) fn fail(&mut self, index: usize, why: String, fx: &mut Effects) {
        if self.clients[index].conn != NO_CONNECTION {
            fx.commands.push(Command::Close { conn: self.clients[index].conn(), how: CloseHow::Abort });
        }
        self.lose(index, why, fx);
    }

    /// Counts a connection that has ended too early, and takes the client out of whatever it was under way in.
    pub(super) fn lose(&mut self, index: usize, why: String, fx: &mut Effects) {
        self.meter.error(why);
        self.give_up(index, fx);
        let had_connection = self.clients[index].conn != NO_CONNECTION;
        self.experience(index, |experience| experience.disconnects += u32::from(had_connection));
        match self.clients[index].state {
            State::Waiting | State::Away | State::Returning | State::Gone => {}
            State::Dialling | State::Greeting => self.settle_dial(),
            State::Ready | State::Unsubscribing | State::Resubscribing | State::Paused => self.open -= 1,
            State::Subscribing => {
                self.open -= 1;
                self.settle_subscription();
            }
        }
        self.clients[index].forget(State::Gone);
        let pending = match index.checked_sub(self.publishers.len()) {
            None => self.publishers[index].in_flight.clear(),
            Some(subscriber) => std::mem::take(&mut self.subscribers[subscriber].unreleased).len(),
        };
        self.account.unacknowledged -= pending as u64;
    }

    /// Closes everything that is still open, at once.
    pub(super) fn abort(&mut self, fx: &mut Effects) {
        self.end_ordeals(fx);
        for client in &mut self.clients {
            if client.conn != NO_CONNECTION {
                fx.commands.push(Command::Close { conn: client.conn(), how: CloseHow::Abort });
                client.forget(State::Gone);
            }
        }
        self.open = 0;
        self.phase = Phase::Disconnect;
        self.disconnected = self.clients.len();
        self.reached = true;
    }

    /// Says goodbye to everybody, some in each turn.
    pub(super) fn disconnect(&mut self, fx: &mut Effects) {
        let version = self.cx.plan.identity.version;
        let end = self.clients.len().min(self.disconnected + DISCONNECTS_PER_TURN);
        while self.disconnected < end {
            let client = &mut self.clients[self.disconnected];
            self.disconnected += 1;
            if client.state.is_open() {
                self.open = self.open.saturating_sub(1);
                let goodbye = Disconnect::with_reason(ReasonCode::NORMAL_DISCONNECTION);
                goodbye.encode(version, fx.outbox.buffer(client.conn()));
                fx.commands.push(Command::Close { conn: client.conn(), how: CloseHow::Flush });
            } else if client.conn != NO_CONNECTION {
                fx.commands.push(Command::Close { conn: client.conn(), how: CloseHow::Abort });
            }
            client.forget(State::Gone);
        }
        self.reach(self.disconnected == self.clients.len());
    }
}

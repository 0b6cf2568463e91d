//! Time: timers of connections and sessions, what is left over from earlier turns, and housekeeping once a second.

use super::Shard;
use super::back_pressure::Notice;
use super::conns::Phase;
use super::leave::End;
use crate::machine::{CloseHow, Command, ConnId, Effects};
use crate::proxy_protocol::HeaderError;
use crate::session::{Session, Stall};

/// Timers that fire in one turn.
const TIMERS_PER_TURN: usize = 1024;

/// Addresses whose connections are counted at a time.
pub(super) const ADDRESSES_MAX: usize = 65_536;

/// Marks the timer of a connection; without it a key is a session's slot.
const CONN_KEY: u32 = 1 << 31;

impl Shard {
    pub(super) fn timer_key_of_conn(conn: ConnId) -> u32 {
        assert!(conn.0 < CONN_KEY, "connection slots are below 2^31");
        conn.0 | CONN_KEY
    }

    pub(super) fn tick(&mut self, fx: &mut Effects) {
        let mut fired = core::mem::take(&mut self.fired);
        fired.clear();
        self.wheel.advance(self.hub.now_ms, TIMERS_PER_TURN, &mut fired);
        for key in &fired {
            if key & CONN_KEY != 0 {
                self.conn_timer(ConnId(key & !CONN_KEY), fx);
            } else {
                self.session_timer(*key, fx);
            }
        }
        self.fired = fired;
        self.publish_delayed(fx);
        self.continue_fan_outs(fx);
        self.continue_slices(fx);
        self.let_go(fx);
        if self.hub.now_ms >= self.next_second_ms {
            self.note_lateness();
            self.next_second_ms = self.hub.now_ms + 1000;
            self.each_second();
        }
    }

    /// Counts it if the appointment of this second was kept too late: the turn before was long, or the processor busy
    /// with something else. What lies wholly between two appointments is not seen.
    fn note_lateness(&mut self) {
        // None was made before the first.
        let late_ms = if self.next_second_ms == 0 { 0 } else { self.hub.now_ms - self.next_second_ms };
        if self.hub.settings.long_schedule.is_some_and(|limit| u128::from(late_ms) >= limit.as_millis()) {
            self.hub.counters.sysmon_long_schedule += 1;
            self.hub.counters.sysmon_long_schedule_ms += late_ms;
        }
    }

    fn each_second(&mut self) {
        self.accepted_from.clear();
        self.sweep_retained();
        self.sweep_congestion();
        self.sweep_queues();
        if let Some(interest) = &mut self.interest {
            interest.turn();
        }
        self.tell_of_drops();
        let counters = self.counters();
        if let Some(sink) = &mut self.counter_sink {
            sink.publish(&counters);
        }
    }

    /// No CONNECT came in time, or no header before it, or a client that published too much may go on.
    fn conn_timer(&mut self, conn: ConnId, fx: &mut Effects) {
        if let Some(open) = self.conns.get_mut(conn) {
            open.timer = None;
            if let Phase::Live(_) = open.phase {
                return self.limit_over(conn, fx);
            }
            if let Phase::Proxied = open.phase {
                self.refuse_header(conn, HeaderError::Late);
            } else {
                self.hub.counters.client_idle += 1;
            }
            self.conns.close(conn);
            fx.commands.push(Command::Close { conn, how: CloseHow::Abort });
        }
    }

    /// Something of a session may be due. Timers are set for the earliest thing and fire early if that was put off
    /// meanwhile, which is cheaper than moving them with every packet.
    fn session_timer(&mut self, session: u32, fx: &mut Effects) {
        let now_ms = self.hub.now_ms;
        let Some(held) = self.hub.sessions.get_mut(session) else { return };
        let settings = self.hub.profiles.of(held.listener).clone();
        held.timer = None;
        self.continue_replays(session, fx);
        let Some(held) = self.hub.sessions.get_mut(session) else { return };
        if held.conn.is_none() {
            if held.extra.as_ref().and_then(|extra| extra.will_due_ms).is_some_and(|due_ms| due_ms <= now_ms) {
                self.publish_will(session, fx);
            }
            let Some(held) = self.hub.sessions.get(session) else { return };
            if Self::session_end_ms(held).is_some_and(|end_ms| end_ms <= now_ms) {
                return self.terminate(session, fx);
            }
            return self.arm(session);
        }
        let conn = held.conn.expect("live session");
        if self.conns.get_mut(conn).is_some_and(|open| open.pauses.any()) {
            // It cannot be heard while it is not read.
            held.last_seen_ms = now_ms;
        }
        let silent_ms = now_ms - held.last_seen_ms;
        if held.patience_ms(settings.keepalive_multiplier_permille).is_some_and(|patience_ms| silent_ms >= patience_ms)
        {
            self.hub.counters.client_keepalive += 1;
            return self.end(session, End::KeepAliveTimeout, fx);
        }
        if let Some(delivery) = &mut held.delivery {
            if let Some(stall) = &mut delivery.stall {
                let unsent = fx.outbox.unsent(conn);
                if unsent < stall.unsent {
                    // Slow is not stuck.
                    *stall = Stall { since_ms: now_ms, unsent };
                }
                let send_timeout_ms = u64::try_from(settings.send_timeout.as_millis()).unwrap_or(u64::MAX);
                if stall.since_ms.saturating_add(send_timeout_ms) <= now_ms {
                    self.hub.counters.client_send_timeout += 1;
                    return self.end(session, End::SendTimeout, fx);
                }
            }
            if let Some(holding) = &mut delivery.holding
                && !holding.gave_up
                && settings.back_pressure.gives_up_ms(holding.took_ms) <= now_ms
            {
                holding.gave_up = true;
                self.hub.counters.client_held_back_in_vain += 1;
                self.hub.notices.extend(holding.let_go().map(Notice::LetGo));
                self.hub.notices.push(Notice::Changed(session));
            }
            let release_ms = u64::try_from(settings.await_rel_timeout.as_millis()).unwrap_or(u64::MAX);
            if let Some(since_ms) = now_ms.checked_sub(release_ms) {
                let dropped = delivery.drop_unreleased(since_ms);
                self.hub.counters.messages_dropped_await_pubrel_timeout += dropped as u64;
            }
        }
        held.shrink();
        if let Some(interval) = settings.retry_interval
            && self.retry_due_ms(session).is_some_and(|due_ms| due_ms <= now_ms)
        {
            let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
            self.hub.repeat(session, now_ms.saturating_sub(interval_ms), fx);
            self.hub.pump(session, fx);
        }
        self.arm(session);
    }

    /// Sets a session's timer for the earliest thing that can become due.
    pub(super) fn arm(&mut self, session: u32) {
        let retry_due_ms = self.retry_due_ms(session);
        let Some(held) = self.hub.sessions.get_mut(session) else { return };
        let settings = self.hub.profiles.of(held.listener);
        let extra = held.extra.as_ref();
        let waits = extra.filter(|extra| !extra.replaying && !extra.replays.is_empty());
        let replay_due_ms = waits.map(|extra| extra.replay_due_ms).filter(|due_ms| *due_ms > self.hub.now_ms);
        let due_ms = if held.conn.is_none() {
            let will_due_ms = extra.and_then(|extra| extra.will_due_ms);
            [will_due_ms, Self::session_end_ms(held), replay_due_ms].into_iter().flatten().min()
        } else {
            let keep_alive_ms =
                held.patience_ms(settings.keepalive_multiplier_permille).map(|ms| held.last_seen_ms.saturating_add(ms));
            let delivery = held.delivery.as_ref();
            let after = |since_ms: Option<u64>, timeout: core::time::Duration| {
                let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                since_ms.map(|since_ms| since_ms.saturating_add(timeout_ms))
            };
            let stalled =
                after(delivery.and_then(|held| held.stall).map(|stall| stall.since_ms), settings.send_timeout);
            let unreleased = after(delivery.and_then(|held| held.unreleased_since_ms()), settings.await_rel_timeout);
            let holding = delivery.and_then(|held| held.holding.as_ref()).filter(|holding| !holding.gave_up);
            let gives_up_ms = holding.map(|holding| settings.back_pressure.gives_up_ms(holding.took_ms));
            let others = [unreleased, retry_due_ms, replay_due_ms, gives_up_ms];
            [keep_alive_ms, stalled].into_iter().chain(others).flatten().min()
        };
        let Some(due_ms) = due_ms else { return };
        match held.timer {
            Some(timer) if due_ms >= held.timer_due_ms && self.wheel.is_scheduled(timer) => return,
            Some(timer) => {
                self.wheel.cancel(timer);
            }
            None => {}
        }
        held.timer_due_ms = due_ms;
        held.timer = Some(self.wheel.schedule(session, due_ms));
    }

    /// When the oldest unacknowledged message is to be sent again, if the operator wants that.
    fn retry_due_ms(&self, session: u32) -> Option<u64> {
        let held: &Session = self.hub.sessions.get(session)?;
        let interval_ms = u64::try_from(self.hub.profiles.of(held.listener).retry_interval?.as_millis()).ok()?;
        let oldest_ms = held.delivery.as_ref()?.window.iter().map(|flight| flight.sent_ms).min()?;
        Some(oldest_ms.saturating_add(interval_ms))
    }

    /// The process stops: version 5 clients are told, everybody is disconnected.
    pub(super) fn stop(&mut self, fx: &mut Effects) {
        self.stopping = true;
        let open: alloc::vec::Vec<ConnId> = self.conns.open_slots().collect();
        for conn in open {
            match self.conns.session(conn) {
                Some(session) => self.end(session, End::ShuttingDown, fx),
                None => self.shut(conn, fx),
            }
        }
        self.each_second();
    }
}

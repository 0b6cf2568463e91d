//! What time alone brings about: PINGREQs, and closed loops that have run dry because messages were lost.
//!
//! There are no timers. A sweep passes over the clients at an even pace, each once in a quarter of the keep-alive, so
//! that a million clients cost a little every millisecond and their pings are spread out.

use super::Fleet;
use super::client::State;
use crate::clock::{NANOS_PER_MILLI, NANOS_PER_SECOND};
use crate::plan::Pace;
use crate::stage::Phase;
use ringmq_core::machine::Effects;
use ringmq_wire::encode_pingreq;

/// The sweep visits every client this many times in a keep-alive interval.
const VISITS_PER_KEEP_ALIVE: u64 = 4;

/// Shortest pause between two steps of the sweep, nanoseconds.
const STEP_NS: u64 = NANOS_PER_MILLI;

/// Pause between two looks at the windows of a closed loop, nanoseconds.
const STALL_CHECK_NS: u64 = NANOS_PER_SECOND / 2;

/// A window is stalled when this many looks in a row found no delivery.
const STALLED_AFTER: u8 = 2;

/// Where the sweeps have got to.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Shortest keep-alive of any client, seconds; 0 if none has one.
    shortest: u16,
    last_step_ns: u64,
    /// Clients to visit that have accumulated, times the visiting period in nanoseconds.
    arrears: u64,
    next: usize,
    last_stall_check_ns: u64,
}

impl Sweep {
    /// A client has this keep-alive, seconds.
    pub(super) fn keep_alive(&mut self, seconds: u16) {
        if seconds != 0 && (self.shortest == 0 || seconds < self.shortest) {
            self.shortest = seconds;
        }
    }
}

impl Fleet {
    /// Does what time alone brings about.
    pub(super) fn idle(&mut self, now: u64, fx: &mut Effects) {
        self.keep_alive(now, fx);
        let restarts = matches!(self.pace, Pace::Window { until_delivered: true, .. });
        if self.phase == Phase::Traffic && restarts && now - self.sweep.last_stall_check_ns >= STALL_CHECK_NS {
            self.sweep.last_stall_check_ns = now;
            self.restart_stalled(now, fx);
        }
    }

    fn keep_alive(&mut self, now: u64, fx: &mut Effects) {
        let sweep = &mut self.sweep;
        if sweep.shortest == 0 || now - sweep.last_step_ns < STEP_NS {
            return;
        }
        let period = u64::from(sweep.shortest) * NANOS_PER_SECOND / VISITS_PER_KEEP_ALIVE;
        // One round at most, however long the pause was; that also keeps the product small.
        let passed = (now - sweep.last_step_ns).min(period);
        sweep.last_step_ns = now;
        sweep.arrears += passed * self.clients.len() as u64;
        let visits = sweep.arrears / period;
        sweep.arrears %= period;
        for _ in 0..visits {
            self.sweep.next = (self.sweep.next + 1) % self.clients.len();
            self.visit(self.sweep.next, now, fx);
        }
    }

    /// Sends a PINGREQ if the client was silent for half its keep-alive [MQTT-3.1.2-20] [MQTT3-3.1.2-23].
    fn visit(&mut self, index: usize, now: u64, fx: &mut Effects) {
        let client = &mut self.clients[index];
        let now_ms = (now / NANOS_PER_MILLI) as u32;
        // The client may have sent later in this turn than `now`, and the 32 bits overflow after 49 days.
        let silent_ms = u32::try_from(now_ms.wrapping_sub(client.last_sent_ms).cast_signed()).unwrap_or(0);
        if client.state != State::Ready || client.keep_alive == 0 || silent_ms < u32::from(client.keep_alive) * 1000 / 2
        {
            return;
        }
        if client.pinged {
            return self.fail(index, "no PINGRESP within half the keep-alive".into(), fx);
        }
        encode_pingreq(fx.outbox.buffer(client.conn()));
        client.pinged = true;
        client.last_sent_ms = now_ms;
        self.meter.pings += 1;
        self.active = true;
    }

    /// Messages that were lost at the end of a stream never show as gaps, and a window full of them never opens again.
    fn restart_stalled(&mut self, now: u64, fx: &mut Effects) {
        for local in 0..self.publishers.len() {
            let publisher = &mut self.publishers[local];
            if publisher.copies_out == 0 {
                continue;
            }
            publisher.stalled_sweeps += 1;
            if publisher.stalled_sweeps > STALLED_AFTER {
                publisher.stalled_sweeps = 0;
                publisher.copies_out = 0;
                self.meter.stalls += 1;
                self.pump(local, now, fx);
            }
        }
    }
}

//! The model of wills (sections 3.1.2.5 and 3.1.3.2.2).

use super::Oracle;

const SECOND_NS: u64 = 1_000_000_000;

/// What must become of a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing yet.
    Open,
    /// To be published then.
    Due(u64),
    /// Not to be published.
    Void,
    /// Both would be right.
    Either,
}

/// A will.
#[derive(Debug, Clone)]
pub(crate) struct WillModel {
    pub(crate) message: usize,
    pub(crate) delay_s: u32,
    pub(crate) fate: Fate,
    /// When the observer received it.
    pub(crate) seen_ns: Vec<u64>,
}

impl Oracle {
    pub(super) fn will_made(&mut self, session: usize, message: usize, delay_s: u32) {
        self.wills.push(WillModel { message, delay_s, fate: Fate::Open, seen_ns: Vec::new() });
        self.sessions[session].will = Some(self.wills.len() - 1);
    }

    /// DISCONNECT without the will.
    pub(super) fn will_discarded(&mut self, session: usize) {
        if let Some(will) = self.sessions[session].will.take() {
            self.wills[will].fate = Fate::Void;
        }
    }

    /// The connection is over, the session is not.
    pub(super) fn will_link_ends(&mut self, session: usize, taken_over: bool) {
        let Some(will) = self.sessions[session].will else { return };
        let delay_s = self.wills[will].delay_s;
        let ends_ns = self.sessions[session].ends_ns.unwrap_or(u64::MAX);
        let due_ns = (self.now_ns + u64::from(delay_s) * SECOND_NS).min(ends_ns);
        self.wills[will].fate = Fate::Due(due_ns);
        self.leaves(will);
        if taken_over && delay_s == 0 {
            self.sessions[session].will = None;
        }
    }

    /// The session ends now, and with it any delay.
    pub(super) fn will_session_ends(&mut self, session: usize) {
        if let Some(will) = self.sessions[session].will.take() {
            let due_ns = match self.wills[will].fate {
                Fate::Due(due_ns) => due_ns.min(self.now_ns),
                _ => self.now_ns,
            };
            self.wills[will].fate = Fate::Due(due_ns);
            self.leaves(will);
        }
    }

    /// A new connection continues the session.
    pub(super) fn will_cancelled(&mut self, session: usize) {
        let Some(will) = self.sessions[session].will.take() else { return };
        if let Fate::Due(due_ns) = self.wills[will].fate {
            if due_ns > self.now_ns {
                self.wills[will].fate = Fate::Void;
            } else if due_ns.saturating_add(self.slack_ns) >= self.now_ns && self.wills[will].delay_s > 0 {
                self.wills[will].fate = Fate::Either;
            }
        }
    }

    /// It cannot be known whether the session was still there.
    pub(super) fn will_maybe(&mut self, session: usize) {
        if let Some(will) = self.sessions[session].will.take()
            && let Fate::Due(due_ns) = self.wills[will].fate
            && due_ns.saturating_add(self.slack_ns) >= self.now_ns
        {
            self.wills[will].fate = Fate::Either;
        }
    }

    /// From now on the will may be on its way.
    fn leaves(&mut self, will: usize) {
        let clock = self.clock;
        let message = &mut self.messages[self.wills[will].message];
        if message.routed.is_empty() {
            message.routed.push(clock);
        }
    }

    /// The observer, who reads at once and loses nothing, has received a will.
    pub(crate) fn will_seen(&mut self, message: usize) {
        let now_ns = self.now_ns;
        let Some(will) = self.wills.iter_mut().find(|will| will.message == message) else { return };
        will.seen_ns.push(now_ns);
        if let Fate::Due(due_ns) = will.fate
            && now_ns + 1_000_000 < due_ns
        {
            let what = format!("will {message} came at {now_ns} ns, but is due at {due_ns} ns");
            self.fail(what);
        }
    }

    /// At the end: each will was seen once if it was due, and not at all otherwise.
    pub(super) fn check_wills(&mut self, slack_ns: u64) {
        let Some(since_ns) = self.observed_since_ns else { return };
        for will in self.wills.clone() {
            if matches!(will.fate, Fate::Due(due_ns) if due_ns <= since_ns + self.slack_ns) {
                continue;
            }
            let seen = will.seen_ns.len();
            let message = will.message;
            match will.fate {
                Fate::Open | Fate::Void if seen > 0 => self.fail(format!("will {message} was not to be published")),
                Fate::Due(due_ns) if due_ns.saturating_add(slack_ns) < self.now_ns && seen != 1 => {
                    self.fail(format!("will {message}, due at {due_ns} ns, was published {seen} times"));
                }
                Fate::Due(due_ns) if seen == 1 && will.seen_ns[0] > due_ns.saturating_add(slack_ns) => {
                    let seen_ns = will.seen_ns[0];
                    self.fail(format!("will {message}, due at {due_ns} ns, came late at {seen_ns} ns"));
                }
                _ if seen > 1 => self.fail(format!("will {message} was published {seen} times")),
                _ => {}
            }
        }
    }
}

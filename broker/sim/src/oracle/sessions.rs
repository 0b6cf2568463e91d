//! The model of sessions and subscriptions.

use super::{ConnectMark, FilterMark, Oracle, QUEUE_GROUP, SubscribeMark, matching};
use crate::host::LinkId;
use crate::shape::QUEUE_FILTER;
use std::collections::BTreeMap;

const SECOND_NS: u64 = 1_000_000_000;

/// A Session Expiry Interval that means never.
const NEVER_S: u32 = u32::MAX;

/// Origins of clients without a name, one a connection, begin here.
const FIRST_ANONYMOUS: usize = 1 << 32;

/// What the model knows of a connection.
#[derive(Debug, Default)]
pub(crate) struct LinkModel {
    pub(crate) session: Option<usize>,
    /// What Session Present must say, if that is certain.
    pub(crate) expect_present: Option<bool>,
    pub(crate) keep_alive_s: u16,
    /// The shard is right to close it, and why.
    pub(crate) may_close: Option<&'static str>,
    pub(crate) ended: bool,
    /// Answers that are due: packet identifier and reason codes, if they are certain.
    pub(crate) unsubacks: BTreeMap<u16, Vec<u8>>,
    pub(crate) subacks: BTreeMap<u16, Vec<u8>>,
}

/// One subscription from one SUBSCRIBE to the next of the same filter, or its end.
#[derive(Debug, Clone)]
pub(crate) struct SubModel {
    pub(crate) filter: String,
    pub(crate) group: Option<String>,
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) id: u32,
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    /// The SUBSCRIBE it came with: link and packet identifier.
    pub(crate) asked: (LinkId, u16),
    /// Since when the client has the SUBACK. A shared subscription may begin as late as that.
    pub(crate) granted: Option<u64>,
    /// It was replaced by another with the same filter, without a gap.
    pub(crate) replaced: bool,
    /// Retained messages were asked for.
    pub(crate) replay: bool,
}

impl SubModel {
    pub(crate) fn matches(&self, topic: &str) -> bool {
        matching::matches(&self.filter, topic)
    }

    pub(crate) fn active(&self, at: u64) -> bool {
        self.from < at && self.to.is_none_or(|to| at < to)
    }
}

/// How often a session has received a message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Got {
    pub(crate) at_most_once: usize,
    pub(crate) acknowledged: usize,
}

/// A session as the standard wants it to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionModel {
    pub(crate) client: usize,
    /// Whose messages are its own: the client, or itself if the client has given no name.
    pub(crate) origin: usize,
    pub(crate) dead: Option<u64>,
    pub(crate) link: Option<LinkId>,
    /// Connections that it has had.
    pub(crate) connections: u32,
    /// Since when it has that link.
    pub(crate) link_since: u64,
    pub(crate) expiry_s: u32,
    /// When it ends for want of a connection.
    pub(crate) ends_ns: Option<u64>,
    /// It is certain that this is what the broker has.
    pub(crate) sure: bool,
    pub(crate) subs: Vec<SubModel>,
    pub(crate) got: BTreeMap<usize, Got>,
    /// Which message was last sent under a packet identifier.
    pub(crate) by_packet_id: BTreeMap<u16, usize>,
    /// The newest message by publisher, topic, published and delivered QoS.
    pub(crate) newest: BTreeMap<(usize, String, u8, u8), usize>,
    /// The smallest Maximum Packet Size the client ever asked for.
    pub(crate) max_packet: Option<u32>,
    /// Its will while it is not decided.
    pub(crate) will: Option<usize>,
}

impl SessionModel {
    /// It is certain that the session is there.
    pub(crate) fn lives_at(&self, now_ns: u64) -> bool {
        self.sure && self.dead.is_none() && self.ends_ns.is_none_or(|ends_ns| now_ns < ends_ns)
    }
}

impl Oracle {
    /// A shard has taken in a CONNECT.
    pub(super) fn connected(&mut self, link: LinkId, connect: &ConnectMark, clock: u64) {
        let mut present = Some(false);
        let mut inherited = None;
        let old = if connect.anonymous { None } else { self.current[connect.client] };
        if let Some(old) = old {
            if let Some(before) = self.sessions[old].link {
                let model = self.links.get_mut(&before).expect("link of a session");
                model.may_close = Some("taken over");
                self.must_close.push(before);
                self.link_over(before, true);
            }
            let held = &self.sessions[old];
            if held.dead.is_none() {
                let ends_ns = held.ends_ns.unwrap_or(u64::MAX);
                if ends_ns.saturating_add(self.slack_ns) < self.now_ns {
                    self.session_over(old, clock);
                } else if connect.clean_start {
                    self.will_session_ends(old);
                    self.session_over(old, clock);
                } else if ends_ns <= self.now_ns {
                    present = None;
                    self.will_maybe(old);
                    let mut maybe = self.sessions[old].clone();
                    maybe.sure = false;
                    self.session_over(old, clock);
                    inherited = Some(maybe);
                } else {
                    present = Some(true);
                    self.will_cancelled(old);
                }
            }
        }
        let session = match old {
            Some(old) if present == Some(true) => old,
            _ => {
                self.sessions.push(inherited.unwrap_or_else(|| SessionModel {
                    client: connect.client,
                    origin: if connect.anonymous { FIRST_ANONYMOUS + link } else { connect.client },
                    sure: true,
                    ..SessionModel::default()
                }));
                self.sessions.len() - 1
            }
        };
        if !connect.anonymous {
            self.current[connect.client] = Some(session);
        }
        let held = &mut self.sessions[session];
        held.dead = None;
        held.link = Some(link);
        held.link_since = clock;
        held.connections += 1;
        held.ends_ns = None;
        held.expiry_s = connect.expiry_s;
        held.max_packet = match (held.max_packet, connect.max_packet) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let model = self.links.entry(link).or_default();
        model.session = Some(session);
        model.expect_present = present;
        model.keep_alive_s = connect.keep_alive_s;
        if let Some((message, delay_s)) = connect.will {
            self.will_made(session, message, delay_s);
        }
    }

    /// A client has received its CONNACK.
    pub(crate) fn connack(&mut self, link: LinkId, present: bool, v31: bool) {
        let model = self.links.entry(link).or_default();
        let Some(session) = model.session else {
            return self.fail(format!("link {link}: CONNACK before the whole CONNECT was there"));
        };
        match model.expect_present {
            // MQTT 3.1 has no such flag.
            _ if v31 => {}
            Some(expected) if expected != present => {
                self.fail(format!("link {link}: session present is {present}, but must be {expected}"));
            }
            Some(_) => {}
            None if !present => {
                let clock = self.clock;
                for sub in self.sessions[session].subs.iter_mut().filter(|sub| sub.to.is_none()) {
                    sub.to = Some(clock);
                }
            }
            None => {}
        }
    }

    pub(super) fn subscribed(&mut self, link: LinkId, subscribe: &SubscribeMark, clock: u64) {
        let Some(session) = self.links.get(&link).and_then(|model| model.session) else { return };
        let mut codes = Vec::new();
        // The first client is the observer.
        if self.sessions[session].client == 0 {
            self.observed_since_ns.get_or_insert(self.now_ns);
        }
        for filter in &subscribe.filters {
            codes.push(filter.qos);
            self.subscribed_one(session, (link, subscribe.packet_id), subscribe.id, filter, clock);
        }
        self.links.get_mut(&link).expect("link").subacks.insert(subscribe.packet_id, codes);
    }

    fn subscribed_one(&mut self, session: usize, asked: (LinkId, u16), id: u32, filter: &FilterMark, clock: u64) {
        if let Some(group) = &filter.group {
            let pair = (group.clone(), filter.filter.clone());
            if !self.groups.contains(&pair) {
                self.groups.push(pair);
            }
        }
        let held = &mut self.sessions[session];
        let mut known = false;
        for sub in &mut held.subs {
            if sub.to.is_none() && sub.filter == filter.filter && sub.group == filter.group {
                sub.to = Some(clock);
                sub.replaced = true;
                known = true;
            }
        }
        held.subs.push(SubModel {
            filter: filter.filter.clone(),
            group: filter.group.clone(),
            qos: filter.qos,
            no_local: filter.no_local,
            retain_as_published: filter.retain_as_published,
            id,
            from: clock,
            to: None,
            asked,
            granted: None,
            replaced: false,
            replay: filter.group.is_none()
                && (filter.retain_handling == 0 || filter.retain_handling == 1 && (!known || !held.sure)),
        });
    }

    pub(super) fn unsubscribed(&mut self, link: LinkId, packet_id: u16, filters: &[String], clock: u64) {
        let Some(session) = self.links.get(&link).and_then(|model| model.session) else { return };
        let held = &mut self.sessions[session];
        let mut codes = Vec::new();
        for filter in filters {
            let (group, filter) = split_share(filter);
            self.consumer_lost |= group == Some(QUEUE_GROUP);
            let mut code = 0x11;
            for sub in held.subs.iter_mut().filter(|sub| sub.to.is_none()) {
                if sub.filter == filter && sub.group.as_deref() == group {
                    sub.to = Some(clock);
                    code = 0;
                }
            }
            codes.push(code);
        }
        if held.sure {
            self.links.get_mut(&link).expect("link").unsubacks.insert(packet_id, codes);
        }
    }

    /// A client has received SUBACK (`subscribe`) or UNSUBACK with these codes.
    pub(crate) fn answered(&mut self, link: LinkId, subscribe: bool, packet_id: u16, codes: &[u8], v5: bool) {
        let clock = self.tick();
        if subscribe && let Some(session) = self.links.get(&link).and_then(|model| model.session) {
            let subs = self.sessions[session].subs.iter_mut();
            subs.filter(|sub| sub.asked == (link, packet_id)).for_each(|sub| sub.granted = Some(clock));
        }
        let model = self.links.entry(link).or_default();
        let due = if subscribe { model.subacks.remove(&packet_id) } else { model.unsubacks.remove(&packet_id) };
        let Some(due) = due else { return };
        if (subscribe || v5) && due != codes {
            self.fail(format!("link {link}: packet {packet_id} answered {codes:?}, but must be {due:?}"));
        }
    }

    pub(super) fn said_goodbye(&mut self, link: LinkId, with_will: bool, expiry_s: Option<u32>) {
        let model = self.links.get_mut(&link).expect("link that says goodbye");
        model.may_close = Some("goodbye");
        let Some(session) = model.session else { return };
        if let Some(expiry_s) = expiry_s {
            self.sessions[session].expiry_s = expiry_s;
        }
        if !with_will {
            self.will_discarded(session);
        }
        self.must_close.push(link);
        self.link_over(link, false);
    }

    /// A connection is over for the shard.
    pub(crate) fn link_over(&mut self, link: LinkId, taken_over: bool) {
        let model = self.links.entry(link).or_default();
        if core::mem::replace(&mut model.ended, true) {
            return;
        }
        let Some(session) = model.session else { return };
        let held = &mut self.sessions[session];
        if held.link != Some(link) {
            return;
        }
        held.link = None;
        self.consumer_lost |= held.subs.iter().any(|sub| sub.group.as_deref() == Some(QUEUE_GROUP));
        let clock = self.tick();
        let held = &mut self.sessions[session];
        if held.expiry_s == 0 {
            self.will_session_ends(session);
            self.session_over(session, clock);
            return;
        }
        if held.expiry_s != NEVER_S {
            held.ends_ns = Some(self.now_ns + u64::from(held.expiry_s) * SECOND_NS);
        }
        self.will_link_ends(session, taken_over);
    }

    pub(super) fn session_over(&mut self, session: usize, clock: u64) {
        let held = &mut self.sessions[session];
        held.dead = Some(clock);
        held.link = None;
        let client = held.client;
        for sub in held.subs.iter_mut().filter(|sub| sub.to.is_none()) {
            sub.to = Some(clock);
        }
        self.member_lost |= held.subs.iter().any(|sub| sub.group.is_some());
        if self.current[client] == Some(session) {
            self.current[client] = None;
        }
    }

    /// The shard has closed a link: it needs a reason.
    pub(crate) fn closed_by_shard(&mut self, link: LinkId, silent_ns: u64, age_ns: u64, idle_ns: u64) {
        let model = self.links.entry(link).or_default();
        let keep_alive_ns = u64::from(model.keep_alive_s) * SECOND_NS * 3 / 2;
        let why = match model.may_close {
            Some(why) => Some(why),
            None if model.session.is_none() && age_ns + 1_000_000 >= idle_ns => Some("no CONNECT"),
            // The clock of the shards counts whole milliseconds.
            None if keep_alive_ns > 0 && silent_ns + 1_000_000 >= keep_alive_ns => Some("keep alive"),
            None => None,
        };
        if why.is_none() {
            self.fail(format!("link {link} was closed by its shard without a reason"));
        }
        self.link_over(link, false);
    }
}

/// Group and filter of what a client calls a shared subscription.
pub(crate) fn split_share(filter: &str) -> (Option<&str>, &str) {
    if filter.strip_prefix(QUEUE_GROUP).is_some_and(|rest| rest.starts_with('/')) {
        return (Some(QUEUE_GROUP), QUEUE_FILTER);
    }
    match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
        Some((group, filter)) => (Some(group), filter),
        None => (None, filter),
    }
}

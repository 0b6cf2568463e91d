//! What must be true, by models of its own: sessions, subscriptions, messages, retained messages, wills.
//!
//! The world tells the oracle what each shard has been given, byte by byte, and what each client has received. Since it
//! is known exactly when a shard took in a packet, the models are exact wherever one shard decides alone; where shards
//! talk to each other, an event's effect lies between two points in time and the models allow for that and no more.
//!
//! Nothing here uses the broker's code.

mod delivery;
mod finish;
pub(crate) mod matching;
mod sessions;
mod wills;

pub(crate) use delivery::Delivered;
pub(crate) use sessions::{LinkModel, SessionModel, SubModel};
pub(crate) use wills::WillModel;

use crate::host::LinkId;
use std::collections::BTreeMap;

/// The group that consumers of the message queue count as. Unlike in another group, what nobody had acknowledged when its
/// connection ended goes to another, and what comes while there is nobody is kept.
pub(crate) const QUEUE_GROUP: &str = "$q";

/// What a client wrote, as far as the models care.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    Connect(Box<ConnectMark>),
    Publish {
        message: usize,
    },
    Subscribe(Box<SubscribeMark>),
    Unsubscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    Disconnect {
        with_will: bool,
        expiry_s: Option<u32>,
    },
    /// The end of what was written at once: a packet is whole.
    End,
}

/// CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct ConnectMark {
    pub(crate) client: usize,
    /// No client identifier was given: nobody can come back to this session.
    pub(crate) anonymous: bool,
    pub(crate) clean_start: bool,
    pub(crate) expiry_s: u32,
    pub(crate) keep_alive_s: u16,
    pub(crate) max_packet: Option<u32>,
    /// The message of the will and its delay in seconds.
    pub(crate) will: Option<(usize, u32)>,
}

/// SUBSCRIBE.
#[derive(Debug, Clone)]
pub(crate) struct SubscribeMark {
    pub(crate) packet_id: u16,
    pub(crate) id: u32,
    pub(crate) filters: Vec<FilterMark>,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone)]
pub(crate) struct FilterMark {
    /// Without its `$share` part.
    pub(crate) filter: String,
    pub(crate) group: Option<String>,
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: u8,
}

/// A message that some client published or left as its will.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) publisher: usize,
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) expiry_s: Option<u32>,
    pub(crate) payload_len: usize,
    /// The will of a connection.
    pub(crate) is_will: bool,
    /// When it was first written, nanoseconds.
    pub(crate) sent_ns: u64,
    /// Whose it is: messages of the same origin stay in order. Clients without a name are new with each session.
    pub(crate) origin: usize,
    /// Each time a shard took it in to route it, on the oracle's clock.
    pub(crate) routed: Vec<u64>,
    /// The session that it was last taken in for.
    pub(crate) routed_in: Option<usize>,
    /// It was written more than once. A repeated QoS 2 message is acknowledged at once, even while the first is still on
    /// its way to where it is retained.
    pub(crate) repeated: bool,
    /// When the publisher got PUBACK or PUBREC for it.
    pub(crate) acked: Option<u64>,
    /// How many deliveries there were to members of shared groups.
    pub(crate) shared_got: usize,
}

/// Everything that is modelled, and the first thing found wrong.
pub(crate) struct Oracle {
    /// Counts events, so that any two can be ordered.
    pub(crate) clock: u64,
    pub(crate) now_ns: u64,
    /// How late a shard may act on a timer, nanoseconds.
    pub(crate) slack_ns: u64,
    pub(crate) lossless: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) sessions: Vec<SessionModel>,
    /// The latest session of each client, if it is not known to be over.
    pub(crate) current: Vec<Option<usize>>,
    pub(crate) links: BTreeMap<LinkId, LinkModel>,
    pub(crate) wills: Vec<WillModel>,
    /// Since when the observer sees wills.
    pub(crate) observed_since_ns: Option<u64>,
    /// Links that must have been closed by the shard when its step is over.
    pub(crate) must_close: Vec<LinkId>,
    /// Group and filter of every shared subscription there ever was.
    pub(crate) groups: Vec<(String, String)>,
    /// A session that was member of a shared group has ended.
    pub(crate) member_lost: bool,
    /// A consumer of the message queue has lost its connection, or has left it.
    pub(crate) consumer_lost: bool,
    pub(crate) violation: Option<String>,
    /// Deliveries looked at.
    pub(crate) deliveries: u64,
}

impl Oracle {
    pub(crate) fn new(clients: usize, slack_ns: u64, lossless: bool) -> Self {
        Self {
            clock: 0,
            now_ns: 0,
            slack_ns,
            lossless,
            messages: Vec::new(),
            sessions: Vec::new(),
            current: vec![None; clients],
            links: BTreeMap::new(),
            wills: Vec::new(),
            observed_since_ns: None,
            must_close: Vec::new(),
            groups: Vec::new(),
            member_lost: false,
            consumer_lost: false,
            violation: None,
            deliveries: 0,
        }
    }

    /// Notes what is wrong; the first finding counts.
    pub(crate) fn fail(&mut self, what: String) {
        if self.violation.is_none() {
            self.violation = Some(what);
        }
    }

    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A shard has been given the whole of what this mark stands for.
    pub(crate) fn processed(&mut self, link: LinkId, mark: Mark) {
        let clock = self.tick();
        match mark {
            Mark::Connect(connect) => self.connected(link, &connect, clock),
            Mark::Publish { message } => {
                let session = self.links.get(&link).and_then(|model| model.session);
                let message = &mut self.messages[message];
                if let Some(session) = session {
                    message.origin = self.sessions[session].origin;
                }
                // A repeated QoS 2 message must not be routed again, unless the session that knew of it is gone.
                let known = message.qos == 2 && !message.routed.is_empty() && message.routed_in == session;
                if !known {
                    message.routed.push(clock);
                    message.routed_in = session;
                }
            }
            Mark::Subscribe(subscribe) => self.subscribed(link, &subscribe, clock),
            Mark::Unsubscribe { packet_id, filters } => self.unsubscribed(link, packet_id, &filters, clock),
            Mark::End => {}
            Mark::Disconnect { with_will, expiry_s } => self.said_goodbye(link, with_will, expiry_s),
        }
    }

    /// The publisher has its PUBACK or PUBREC.
    pub(crate) fn acknowledged(&mut self, message: usize, reason: u8) {
        let clock = self.tick();
        let held = &mut self.messages[message];
        if held.routed.is_empty() {
            return self.fail(format!("message {message} was acknowledged and never taken in"));
        }
        if !matches!(reason, 0 | 0x10) {
            return self.fail(format!("message {message} was refused with {reason:#x}"));
        }
        held.acked.get_or_insert(clock);
        // Somebody subscribed when it was taken in.
        let (at, topic) = (held.routed[0], held.topic.clone());
        if reason == 0x10 && held.routed.len() == 1 {
            let someone = self.sessions.iter().any(|session| {
                session.lives_at(self.now_ns)
                    && session.subs.iter().any(|sub| sub.group.is_none() && sub.active(at) && sub.matches(&topic))
            });
            if someone {
                self.fail(format!("message {message} to {topic}: \"no matching subscribers\", but there was one"));
            }
        }
    }
}

/// The payload of a message: its number, then a pattern that only it has.
pub(crate) fn payload(message: usize, len: usize, into: &mut Vec<u8>) {
    let number = message as u64;
    into.extend_from_slice(&number.to_be_bytes());
    let word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    into.extend((8..len).map(|at| word[at % 8]));
}

//! One PUBLISH to one client, within what the client takes: its maximum packet size, its topic aliases; without what
//! stands before its topics.

use super::frames::Frames;
use super::mounting::unmounted;
use crate::machine::{ConnId, Effects, LENT_BYTES_MIN};
use crate::message::{Message, Publication};
use crate::session::{Session, TopicForm};
use alloc::rc::Rc;
use ringmq_wire::{PublishOut, QoS, Version};

/// Most bytes of a PUBLISH beside topic, forwarded properties and payload: fixed header, length of the topic, packet
/// identifier, length of the properties, message expiry, subscription identifier.
const OVERHEAD_MAX: usize = 5 + 2 + 2 + 4 + 5 + 5;

/// How one PUBLISH goes out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) packet_id: u16,
    pub(super) subscription_id: u32,
}

pub(super) enum Written {
    Sent,
    TooLarge,
}

/// Lets connections be sent this message's payload from where it lies, if it is large.
#[inline]
pub(super) fn lend(message: &Rc<Message>, traced: bool, fx: &mut Effects) {
    // A trace shows what is sent as it lies in the connection's own buffer.
    if message.size() >= LENT_BYTES_MIN && !traced {
        fx.outbox.lend(message.clone());
    }
}

/// Appends a PUBLISH to what the connection is to be sent.
#[inline]
pub(super) fn write(
    session: &mut Session,
    conn: ConnId,
    passing: &Publication<'_>,
    form: Form,
    frames: Option<&mut Frames>,
    now_ms: u64,
    fx: &mut Effects,
) -> Written {
    let version = session.version;
    let out = PublishOut {
        qos: form.qos,
        retain: form.retain,
        dup: form.dup,
        topic: passing.topic.as_bytes(),
        packet_id: form.packet_id,
        expiry: passing.expiry_s(now_ms),
        alias: None,
        // [MQTT-3.3.4-3] [MQTT-3.3.4-5]: one delivery for each matching subscription, each with its own identifier.
        subscription_ids: match form.subscription_id {
            0 => &[],
            _ => core::slice::from_ref(&form.subscription_id),
        },
        properties: passing.properties,
        payload: passing.payload,
    };
    if session.flags.own_frames {
        return write_own(session, conn, passing.topic, out, fx);
    }
    // [MQTT-3.1.2-24]; most messages are so far below any limit that their exact length need not be known.
    let roughly = out.topic.len() + out.properties.len() + out.payload.len() + OVERHEAD_MAX;
    if roughly > session.max_packet_size as usize && !fits(&out, session) {
        return Written::TooLarge;
    }
    if out.payload.len() >= LENT_BYTES_MIN && append_lent(&out, version, conn, fx) {
        return Written::Sent;
    }
    match frames.filter(|_| form.subscription_id == 0 && !form.dup) {
        Some(frames) => frames.copy(version, &out, fx.outbox.buffer(conn)),
        None => out.encode(version, fx.outbox.buffer(conn)),
    }
    Written::Sent
}

/// Appends a PUBLISH whose payload stays where it lies, if that is lent and worth it.
#[cold]
fn append_lent(out: &PublishOut<'_>, version: Version, conn: ConnId, fx: &mut Effects) -> bool {
    if !fx.outbox.lends(out.payload) {
        return false;
    }
    out.encode_head(version, fx.outbox.buffer(conn));
    fx.outbox.append_lent(conn, out.payload)
}

/// As [`write`], without the client's mountpoint, and with a topic alias if it takes those and that fits.
fn write_own<'a>(
    session: &mut Session,
    conn: ConnId,
    topic: &'a str,
    mut out: PublishOut<'a>,
    fx: &mut Effects,
) -> Written {
    let extra = session.extra.as_mut().expect("aliases or a mountpoint");
    let topic = extra.mountpoint.as_deref().map_or(topic, |mountpoint| unmounted(mountpoint, topic));
    out.topic = topic.as_bytes();
    let form = extra.aliases_out.as_mut().map_or(TopicForm::Full, |aliases| aliases.form(topic));
    match form {
        TopicForm::Full => {}
        TopicForm::Assign(alias) => out.alias = Some(alias),
        TopicForm::Alias(alias) => {
            out.alias = Some(alias);
            out.topic = &[];
        }
    }
    if !fits(&out, session) {
        if !matches!(form, TopicForm::Assign(_)) {
            return Written::TooLarge;
        }
        out.alias = None;
        if !fits(&out, session) {
            return Written::TooLarge;
        }
    }
    if let (TopicForm::Assign(alias), Some(_)) = (form, out.alias) {
        session.extra_mut().aliases_out.as_mut().expect("aliases are used").assign(topic, alias);
    }
    if !append_lent(&out, session.version, conn, fx) {
        out.encode(session.version, fx.outbox.buffer(conn));
    }
    Written::Sent
}

fn fits(out: &PublishOut<'_>, session: &Session) -> bool {
    out.encoded_len(session.version) <= session.max_packet_size as usize
}

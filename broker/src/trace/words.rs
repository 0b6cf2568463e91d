//! Packets in words, a line each.

use super::writer::Seen;
use crate::log::Level;
use crate::timestamp::{Digits, rfc3339};
use ringmq_core::trace::Direction;
use ringmq_wire::{Frame, Packet, PacketType, Publish, Version, decode};
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};
use time::UtcOffset;

/// Bytes of a payload that are shown.
const PAYLOAD_BYTES_MAX: usize = 1024;

/// How payloads are shown (`trace.payload_encode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PayloadEncode {
    /// As text, with what is none escaped.
    #[default]
    Text,
    /// In hexadecimal digits.
    Hex,
    /// Not at all.
    Hidden,
}

/// How grave a packet is: messages, acknowledgements and pings are details.
pub(super) fn level(packet: PacketType) -> Level {
    match packet {
        PacketType::Publish
        | PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubRel
        | PacketType::PubComp
        | PacketType::PingReq
        | PacketType::PingResp => Level::Debug,
        _ => Level::Info,
    }
}

/// The line of a packet of a client that came by this listener, with its end.
pub(super) fn line(seen: &Seen, listener: Option<&str>, encode: PayloadEncode) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(seen.at_ms);
    let time = rfc3339(at, UtcOffset::local_offset_at(at.into()).unwrap_or(UtcOffset::UTC), Digits::Three);
    let direction = if seen.direction == Direction::Received { "received" } else { "sent" };
    let client_id = seen.client_id.escape_debug();
    let mut line = format!("{time} {direction} clientid: {client_id}, peername: {}, ", seen.peer);
    if let Some(listener) = listener {
        put(&mut line, format_args!("listener: {}, ", listener.escape_debug()));
    }
    let frame = Frame { first: seen.first, body: &seen.body };
    describe(&mut line, frame, seen.version, seen.length, encode);
    line.push('\n');
    line
}

/// `length` is that of the whole body, of which the frame may have only the beginning.
fn describe(line: &mut String, frame: Frame<'_>, version: Version, length: usize, encode: PayloadEncode) {
    let cut = length - frame.body.len();
    if frame.packet_type() == Some(PacketType::Publish) {
        match Publish::decode(frame.flags(), frame.body, version) {
            Ok(publish) => message(line, &publish, cut, encode),
            Err(error) => put(line, format_args!("PUBLISH of {length} bytes, ill-formed: {error}")),
        }
        return;
    }
    match (decode(frame, version), frame.packet_type()) {
        (Ok(packet), _) => other(line, &packet),
        (Err(_), Some(kind)) if cut > 0 => put(line, format_args!("{kind:?} of {length} bytes")),
        (Err(error), Some(kind)) => put(line, format_args!("{kind:?} of {length} bytes, ill-formed: {error}")),
        (Err(_), None) => put(line, format_args!("a packet of type 0")),
    }
}

fn message(line: &mut String, publish: &Publish<'_>, cut: usize, encode: PayloadEncode) {
    let flags = (u8::from(publish.dup), u8::from(publish.retain));
    put(
        line,
        format_args!(
            "PUBLISH topic: {}, qos: {}, retain: {}, dup: {}, packet_id: {}, payload_bytes: {}",
            publish.topic.escape_debug(),
            publish.qos.bits(),
            flags.1,
            flags.0,
            publish.packet_id,
            publish.payload.len() + cut
        ),
    );
    let shown = &publish.payload[..publish.payload.len().min(PAYLOAD_BYTES_MAX)];
    match encode {
        PayloadEncode::Hidden => return,
        PayloadEncode::Text => put(line, format_args!(", payload: {}", String::from_utf8_lossy(shown).escape_debug())),
        PayloadEncode::Hex => {
            line.push_str(", payload: ");
            shown.iter().for_each(|byte| put(line, format_args!("{byte:02x}")));
        }
    }
    if shown.len() < publish.payload.len() + cut {
        line.push_str("...");
    }
}

fn other(line: &mut String, packet: &Packet<'_>) {
    match packet {
        Packet::Connect(connect) => put(
            line,
            format_args!(
                "CONNECT proto_ver: {}, clean_start: {}, keepalive: {}, username: {}, password: {}, will: {}",
                connect.version.level(),
                connect.clean_start,
                connect.keep_alive,
                connect.username.unwrap_or("undefined").escape_debug(),
                // Never shown.
                if connect.password.is_some() { "******" } else { "undefined" },
                connect.will.as_ref().map_or("undefined", |will| will.topic).escape_debug()
            ),
        ),
        Packet::ConnAck(ack) => {
            put(line, format_args!("CONNACK session_present: {}, reason: {}", ack.session_present, ack.reason));
        }
        Packet::PubAck(ack) => put(line, format_args!("PUBACK packet_id: {}, reason: {}", ack.packet_id, ack.reason)),
        Packet::PubRec(ack) => put(line, format_args!("PUBREC packet_id: {}, reason: {}", ack.packet_id, ack.reason)),
        Packet::PubRel(ack) => put(line, format_args!("PUBREL packet_id: {}, reason: {}", ack.packet_id, ack.reason)),
        Packet::PubComp(ack) => put(line, format_args!("PUBCOMP packet_id: {}, reason: {}", ack.packet_id, ack.reason)),
        Packet::Subscribe(subscribe) => {
            put(line, format_args!("SUBSCRIBE packet_id: {}, topics:", subscribe.packet_id));
            for (filter, options) in subscribe.filters() {
                put(line, format_args!(" {} (qos {})", filter.escape_debug(), options.qos.bits()));
            }
        }
        Packet::SubAck(ack) => {
            put(line, format_args!("SUBACK packet_id: {}, codes: {:02x?}", ack.packet_id, ack.codes));
        }
        Packet::Unsubscribe(unsubscribe) => {
            put(line, format_args!("UNSUBSCRIBE packet_id: {}, topics:", unsubscribe.packet_id));
            for filter in unsubscribe.filters() {
                put(line, format_args!(" {}", filter.escape_debug()));
            }
        }
        Packet::UnsubAck(ack) => {
            put(line, format_args!("UNSUBACK packet_id: {}, codes: {:02x?}", ack.packet_id, ack.codes));
        }
        Packet::PingReq => line.push_str("PINGREQ"),
        Packet::PingResp => line.push_str("PINGRESP"),
        Packet::Disconnect(disconnect) => put(line, format_args!("DISCONNECT reason: {}", disconnect.reason)),
        Packet::Auth(auth) => put(line, format_args!("AUTH reason: {}", auth.reason)),
        Packet::Publish(_) => unreachable!("messages have words of their own"),
    }
}

fn put(line: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = line.write_fmt(words);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8], length: usize) -> Seen {
        Seen {
            rule: 1,
            at_ms: 0,
            client_id: "c\n1".into(),
            peer: "127.0.0.1:5".parse().expect("an address"),
            listener: 0,
            version: Version::V311,
            direction: Direction::Sent,
            first: bytes[0],
            body: bytes[2..].into(),
            length,
        }
    }

    fn told(bytes: &[u8], encode: PayloadEncode) -> String {
        let line = line(&seen(bytes, bytes.len() - 2), Some("tcp:x"), encode);
        let (_, rest) = line.split_once(' ').expect("a time");
        rest.strip_prefix("sent clientid: c\\n1, peername: 127.0.0.1:5, listener: tcp:x, ").expect("who").to_owned()
    }

    #[test]
    fn payloads_are_shown_as_asked_for() {
        let publish = b"\x33\x07\0\x01t\0\x09a\0";
        let about = "PUBLISH topic: t, qos: 1, retain: 1, dup: 0, packet_id: 9, payload_bytes: 2";
        assert_eq!(told(publish, PayloadEncode::Text), format!("{about}, payload: a\\0\n"));
        assert_eq!(told(publish, PayloadEncode::Hex), format!("{about}, payload: 6100\n"));
        assert_eq!(told(publish, PayloadEncode::Hidden), format!("{about}\n"));
        let long = line(&seen(publish, 100), None, PayloadEncode::Hex);
        assert!(long.ends_with("payload_bytes: 95, payload: 6100...\n"), "{long}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let connect = b"\x10\x13\0\x04MQTT\x04\xC2\0\x3C\0\x01c\0\x01u\0\x01p";
        let expected = "CONNECT proto_ver: 4, clean_start: true, keepalive: 60, username: u, password: ******, \
                        will: undefined\n";
        assert_eq!(told(connect, PayloadEncode::Text), expected);
    }

    #[test]
    fn what_is_ill_formed_or_cut_is_told_all_the_same() {
        assert_eq!(told(&[0xD0, 0], PayloadEncode::Text), "PINGRESP\n");
        assert!(told(&[0x32, 1, 0], PayloadEncode::Text).starts_with("PUBLISH of 1 bytes, ill-formed: "));
        assert!(told(&[0x90, 1, 0], PayloadEncode::Text).starts_with("SubAck of 1 bytes, ill-formed: "));
        assert!(line(&seen(&[0x90, 1, 0], 70), None, PayloadEncode::Text).ends_with("SubAck of 70 bytes\n"));
    }

    #[test]
    fn only_messages_and_what_goes_with_them_are_details() {
        assert_eq!((level(PacketType::Publish), level(PacketType::PubAck)), (Level::Debug, Level::Debug));
        assert_eq!((level(PacketType::Connect), level(PacketType::SubAck)), (Level::Info, Level::Info));
    }
}

//! What a lenient decoder lets pass, and what it does not.

use ringmq_wire::{
    Cut, DecodeError, Frame, Packet, Publish, QoS, ReasonCode, Strictness, Version, cut, decode, decode_with,
};

fn frame(bytes: &[u8]) -> Frame<'_> {
    match cut(bytes, u32::MAX) {
        Ok(Cut::Frame(frame, used)) if used == bytes.len() => frame,
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

fn lenient(bytes: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    decode_with(frame(bytes), version, Strictness::Lenient)
}

const NO_ACK: &str = "an acknowledgement";

#[test]
fn flags_of_the_fixed_header_are_ignored() {
    for (bytes, version) in [
        (&b"\x80\x06\0\x01\0\x01a\0"[..], Version::V311),
        (b"\xA0\x05\0\x01\0\x01a", Version::V311),
        (b"\x60\x02\0\x01", Version::V5),
        (b"\x41\x02\0\x01", Version::V5),
        (b"\xC9\0", Version::V31),
        (b"\xE8\0", Version::V5),
        (b"\x1F\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01c", Version::V5),
    ] {
        assert_eq!(decode(frame(bytes), version).expect_err("strict").reason, ReasonCode::MALFORMED_PACKET);
        let first = frame(bytes).packet_type().expect("a type").first();
        let sound = [&[first], &bytes[1..]].concat();
        assert_eq!(lenient(bytes, version), decode(frame(&sound), version), "{bytes:02x?}");
    }
}

#[test]
fn a_duplicate_at_qos_0_is_none() {
    let bytes = b"\x39\x04\0\x01tx";
    assert!(decode(frame(bytes), Version::V311).is_err());
    let Ok(Packet::Publish(publish)) = lenient(bytes, Version::V311) else { panic!("a message") };
    assert_eq!((publish.dup, publish.qos, publish.retain), (false, QoS::AtMostOnce, true));
    assert_eq!((publish.topic, publish.payload), ("t", &b"x"[..]));
    let again = Publish::decode_with(0x39, &bytes[2..], Version::V311, Strictness::Lenient);
    assert_eq!(again, Ok(publish));
}

#[test]
fn packet_identifier_0_is_one() {
    for (bytes, version) in [
        (&b"\x32\x05\0\x01t\0\0"[..], Version::V311),
        (b"\x34\x06\0\x01t\0\0\0", Version::V5),
        (b"\x82\x06\0\0\0\x01a\0", Version::V311),
        (b"\xA2\x06\0\0\0\0\x01a", Version::V5),
    ] {
        assert_eq!(decode(frame(bytes), version).expect_err("strict").reason, ReasonCode::PROTOCOL_ERROR);
        let identifier = match lenient(bytes, version).expect("lenient") {
            Packet::Publish(publish) => publish.packet_id,
            Packet::Subscribe(subscribe) => subscribe.packet_id,
            Packet::Unsubscribe(unsubscribe) => unsubscribe.packet_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(identifier, 0);
    }
    for first in [0x40, 0x50, 0x62, 0x70] {
        let bytes = [first, 2, 0, 0];
        assert!(decode(frame(&bytes), Version::V311).is_err());
        let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) =
            lenient(&bytes, Version::V311).expect(NO_ACK)
        else {
            panic!("{NO_ACK}")
        };
        assert_eq!((ack.packet_id, ack.reason), (0, ReasonCode::SUCCESS));
    }
}

#[test]
fn a_password_may_come_alone_before_mqtt_5() {
    let bytes = b"\x10\x10\0\x04MQTT\x04\x42\0\x3C\0\x01c\0\x01p";
    assert!(decode(frame(bytes), Version::V5).is_err());
    let Ok(Packet::Connect(connect)) = lenient(bytes, Version::V5) else { panic!("a CONNECT") };
    assert_eq!((connect.username, connect.password), (None, Some(&b"p"[..])));
}

#[test]
fn what_would_do_harm_is_refused_all_the_same() {
    for (what, bytes, version) in [
        ("QoS 3", &b"\x36\x05\0\x01t\0\x01"[..], Version::V311),
        ("ill-formed topic", b"\x30\x03\0\x01\xFF", Version::V311),
        ("U+0000 in a topic", b"\x30\x03\0\x01\0", Version::V311),
        ("wildcard in a topic", b"\x30\x03\0\x01#", Version::V311),
        ("no topic", b"\x30\x02\0\0", Version::V311),
        ("ill-formed filter", b"\x82\x06\0\x01\0\x01\xFF\0", Version::V311),
        ("reserved bits in options", b"\x82\x06\0\x01\0\x01a\x04", Version::V311),
        ("no filter", b"\x82\x02\0\x01", Version::V311),
        ("identifier cut off", b"\x82\x01\0", Version::V311),
        ("octets after PINGREQ", b"\xC0\x01\0", Version::V311),
        ("reserved flag in CONNECT", b"\x10\x0D\0\x04MQTT\x04\x03\0\x3C\0\x01c", Version::V5),
        ("will QoS without a will", b"\x10\x0D\0\x04MQTT\x04\x0A\0\x3C\0\x01c", Version::V5),
        ("ill-formed client identifier", b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01\xFF", Version::V5),
    ] {
        assert_eq!(lenient(bytes, version), decode(frame(bytes), version), "{what}");
        assert!(lenient(bytes, version).is_err(), "{what}");
    }
}

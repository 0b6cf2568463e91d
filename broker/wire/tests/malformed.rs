//! Packets that the standard forbids by their own content, each with the reason it is refused for.

mod support;

use ringmq_wire::Version::{self, V5, V31, V311};
use ringmq_wire::{Cut, ReasonCode, cut};
use support::{framed, packet};

const MALFORMED: ReasonCode = ReasonCode::MALFORMED_PACKET;
const PROTOCOL: ReasonCode = ReasonCode::PROTOCOL_ERROR;
const TOPIC_NAME: ReasonCode = ReasonCode::TOPIC_NAME_INVALID;

/// What is wrong (with the statement that forbids it), version, first octet, body, reason.
type Case = (&'static str, Version, u8, &'static [u8], ReasonCode);

fn refuses(cases: &[Case]) {
    for (what, version, first, body, reason) in cases {
        match packet(&framed(*first, body), *version) {
            Err(refused) => assert_eq!(refused.reason, *reason, "{what}: {refused}"),
            Ok(accepted) => panic!("{what}: accepted as {accepted:?}"),
        }
    }
}

#[test]
fn flags_of_the_fixed_header() {
    refuses(&[
        ("CONNECT with flags [MQTT-2.1.3-1] [MQTT3-2.2.2-1]", V311, 0x11, b"\0\x04MQTT\x04\x02\0\0\0\0", MALFORMED),
        ("CONNACK with flags [MQTT-2.1.3-1] [MQTT3-2.2.2-2]", V311, 0x21, b"\0\0", MALFORMED),
        ("PUBACK with flags [MQTT-2.1.3-1]", V5, 0x42, b"\0\x01", MALFORMED),
        ("PUBREC with flags [MQTT-2.1.3-1]", V5, 0x52, b"\0\x01", MALFORMED),
        ("PUBREL without its flag [MQTT-3.6.1-1]", V5, 0x60, b"\0\x01", MALFORMED),
        ("PUBREL without its flag [MQTT3-3.6.1-1]", V311, 0x60, b"\0\x01", MALFORMED),
        ("PUBREL with DUP in 3.1.1 [MQTT3-3.6.1-1]", V311, 0x6A, b"\0\x01", MALFORMED),
        ("PUBCOMP with flags [MQTT-2.1.3-1]", V5, 0x72, b"\0\x01", MALFORMED),
        ("SUBSCRIBE without its flag [MQTT-3.8.1-1]", V5, 0x80, b"\0\x01\0\0\x01a\0", MALFORMED),
        ("SUBSCRIBE without its flag [MQTT3-3.8.1-1]", V311, 0x80, b"\0\x01\0\x01a\0", MALFORMED),
        ("SUBACK with flags [MQTT-2.1.3-1]", V5, 0x92, b"\0\x01\0\0", MALFORMED),
        ("UNSUBSCRIBE without its flag [MQTT-3.10.1-1]", V5, 0xA0, b"\0\x01\0\0\x01a", MALFORMED),
        ("UNSUBSCRIBE without its flag [MQTT3-3.10.1-1]", V311, 0xA0, b"\0\x01\0\x01a", MALFORMED),
        ("UNSUBACK with flags [MQTT-2.1.3-1]", V5, 0xB2, b"\0\x01\0\0", MALFORMED),
        ("PINGREQ with flags [MQTT-2.1.3-1]", V5, 0xC1, b"", MALFORMED),
        ("PINGRESP with flags [MQTT-2.1.3-1]", V5, 0xD1, b"", MALFORMED),
        ("DISCONNECT with flags [MQTT-3.14.1-1]", V5, 0xE1, b"", MALFORMED),
        ("DISCONNECT with flags [MQTT3-3.14.1-1]", V311, 0xE1, b"", MALFORMED),
        ("AUTH with flags [MQTT-3.15.1-1]", V5, 0xF1, b"", MALFORMED),
    ]);
}

#[test]
fn mqtt_3_1_repeats_with_dup() {
    for (first, body) in [(0x6A, &b"\0\x01"[..]), (0x8A, b"\0\x01\0\x01a\0"), (0xAA, b"\0\x01\0\x01a")] {
        assert!(packet(&framed(first, body), V31).is_ok(), "{first:02X}");
    }
}

#[test]
fn lengths() {
    // [MQTT-1.5.5-1]
    for (bytes, what) in [
        (&[0xC0, 0x80, 0x00][..], "zero in two octets"),
        (&[0xC0, 0xFF, 0x00], "127 in two octets"),
        (&[0xC0, 0xFF, 0xFF, 0xFF, 0x00], "four octets, the last zero"),
        (&[0xC0, 0x80, 0x80, 0x80, 0x80], "a fifth octet to come"),
        (&[0xC0, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], "five octets"),
        (&[0x00, 0x00], "type 0"),
        (&[0x0F], "type 0, at once"),
    ] {
        assert_eq!(cut(bytes, u32::MAX).map_err(|refused| refused.reason), Err(MALFORMED), "{what}");
    }
    for (bytes, need) in [
        (&[][..], 2),
        (&[0x30], 2),
        (&[0x30, 0x80], 3),
        (&[0x30, 0x80, 0x80], 4),
        (&[0x30, 0x80, 0x80, 0x80], 5),
        (&[0x30, 0x05, 0x00], 7),
        (&[0x30, 0x80, 0x01], 131),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 268_435_460),
    ] {
        assert_eq!(cut(bytes, u32::MAX), Ok(Cut::Partial { need }), "{bytes:02X?}");
    }
}

#[test]
fn a_packet_too_large_is_refused_before_its_body() {
    // [MQTT-3.2.2-15]
    assert_eq!(cut(&[0x30, 98], 100), Ok(Cut::Partial { need: 100 }));
    assert_eq!(cut(&[0x30, 99], 100).map_err(|refused| refused.reason), Err(ReasonCode::PACKET_TOO_LARGE));
    assert_eq!(cut(&[0x30], 1), Ok(Cut::Partial { need: 2 }));
}

/// What does not match the format is refused [MQTT-3.1.4-1] [MQTT3-3.1.4-1].
#[test]
fn connect() {
    refuses(&[
        ("reserved flag [MQTT-3.1.2-3]", V5, 0x10, b"\0\x04MQTT\x05\x03\0\0\0\0\0", MALFORMED),
        ("reserved flag [MQTT3-3.1.2-3]", V311, 0x10, b"\0\x04MQTT\x04\x03\0\0\0\0", MALFORMED),
        ("will QoS without a will [MQTT-3.1.2-11]", V5, 0x10, b"\0\x04MQTT\x05\x08\0\0\0\0\0", MALFORMED),
        ("will QoS without a will [MQTT3-3.1.2-13]", V311, 0x10, b"\0\x04MQTT\x04\x08\0\0\0\0", MALFORMED),
        ("will retain without a will [MQTT-3.1.2-13]", V5, 0x10, b"\0\x04MQTT\x05\x20\0\0\0\0\0", MALFORMED),
        (
            "will retain without a will [MQTT3-3.1.2-11] [MQTT3-3.1.2-15]",
            V311,
            0x10,
            b"\0\x04MQTT\x04\x20\0\0\0\0",
            MALFORMED,
        ),
        ("will QoS 3 [MQTT-3.1.2-12]", V5, 0x10, b"\0\x04MQTT\x05\x1C\0\0\0\0\0\0\0\x01t\0\0", MALFORMED),
        ("will QoS 3 [MQTT3-3.1.2-14]", V311, 0x10, b"\0\x04MQTT\x04\x1C\0\0\0\0\0\x01t\0\0", MALFORMED),
        ("will missing [MQTT-3.1.2-9]", V5, 0x10, b"\0\x04MQTT\x05\x04\0\0\0\0\0", MALFORMED),
        ("will missing [MQTT3-3.1.2-9]", V311, 0x10, b"\0\x04MQTT\x04\x04\0\0\0\0", MALFORMED),
        ("will message missing [MQTT3-3.1.2-9]", V311, 0x10, b"\0\x04MQTT\x04\x04\0\0\0\0\0\x01t", MALFORMED),
        ("will topic empty [MQTT-4.7.3-1]", V5, 0x10, b"\0\x04MQTT\x05\x04\0\0\0\0\0\0\0\0\0\0", PROTOCOL),
        (
            "will topic with a wildcard [MQTT-4.7.0-1] [MQTT3-4.7.1-1]",
            V311,
            0x10,
            b"\0\x04MQTT\x04\x04\0\0\0\0\0\x03a/#\0\0",
            TOPIC_NAME,
        ),
        (
            "will topic ill-formed [MQTT-3.1.3-11] [MQTT3-3.1.3-10]",
            V311,
            0x10,
            b"\0\x04MQTT\x04\x04\0\0\0\0\0\x01\xFF\0\0",
            MALFORMED,
        ),
        ("user name missing [MQTT-3.1.2-17]", V5, 0x10, b"\0\x04MQTT\x05\x80\0\0\0\0\0", MALFORMED),
        ("user name missing [MQTT3-3.1.2-19]", V311, 0x10, b"\0\x04MQTT\x04\x80\0\0\0\0", MALFORMED),
        ("user name not flagged [MQTT-3.1.2-16]", V5, 0x10, b"\0\x04MQTT\x05\0\0\0\0\0\0\0\x01u", MALFORMED),
        ("user name not flagged [MQTT3-3.1.2-18]", V311, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\0\0\x01u", MALFORMED),
        ("password missing [MQTT-3.1.2-19]", V5, 0x10, b"\0\x04MQTT\x05\x40\0\0\0\0\0", MALFORMED),
        ("password missing [MQTT3-3.1.2-21]", V311, 0x10, b"\0\x04MQTT\x04\xC2\0\0\0\0\0\x01u", MALFORMED),
        (
            "password not flagged [MQTT-3.1.2-18] [MQTT3-3.1.2-20]",
            V311,
            0x10,
            b"\0\x04MQTT\x04\x82\0\0\0\0\0\x01u\0\x01p",
            MALFORMED,
        ),
        ("password without a user name [MQTT3-3.1.2-22]", V311, 0x10, b"\0\x04MQTT\x04\x42\0\0\0\0\0\x01p", MALFORMED),
        ("password without a user name, 3.1", V31, 0x10, b"\0\x06MQIsdp\x03\x42\0\0\0\0\0\x01p", MALFORMED),
        (
            "user name ill-formed [MQTT-3.1.3-12] [MQTT3-3.1.3-11]",
            V311,
            0x10,
            b"\0\x04MQTT\x04\x82\0\0\0\0\0\x01\xC0",
            MALFORMED,
        ),
        ("no client identifier [MQTT-3.1.3-3]", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\0", MALFORMED),
        ("no client identifier [MQTT3-3.1.3-3]", V311, 0x10, b"\0\x04MQTT\x04\x02\0\0", MALFORMED),
        (
            "client identifier ill-formed [MQTT-3.1.3-4] [MQTT3-3.1.3-4]",
            V311,
            0x10,
            b"\0\x04MQTT\x04\x02\0\0\0\x03\xED\xA0\x80",
            MALFORMED,
        ),
        ("no property length [MQTT-2.2.2-1]", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0", MALFORMED),
        ("receive maximum 0", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\0", PROTOCOL),
        ("maximum packet size 0", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x05\x27\0\0\0\0\0\0", PROTOCOL),
        ("request problem information 2", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x02\x17\x02\0\0", PROTOCOL),
        ("request response information 2", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x02\x19\x02\0\0", PROTOCOL),
        ("authentication data alone", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01d\0\0", PROTOCOL),
        ("a property of the will", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x05\x18\0\0\0\x01\0\0", MALFORMED),
        (
            "a property of CONNECT in a will",
            V5,
            0x10,
            b"\0\x04MQTT\x05\x04\0\0\0\0\0\x03\x21\0\x01\0\x01t\0\0",
            MALFORMED,
        ),
        ("topic alias in a will", V5, 0x10, b"\0\x04MQTT\x05\x04\0\0\0\0\0\x03\x23\0\x01\0\x01t\0\0", MALFORMED),
        ("session expiry twice", V5, 0x10, b"\0\x04MQTT\x05\x02\0\0\x0A\x11\0\0\0\x01\x11\0\0\0\x01\0\0", PROTOCOL),
    ]);
}

#[test]
fn unknown_protocols_are_told_apart() {
    use ringmq_wire::Connect;
    // [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT3-3.1.2-1] [MQTT3-3.1.2-2]
    for (body, answer) in [
        (&b"\0\x04MQTT\x06\x02\0\0\0\0\0"[..], V5),
        (b"\0\x04MQTT\x03\x02\0\0\0\0", V311),
        (b"\0\x06MQIsdp\x04\x02\0\0\0\0", V31),
        (b"\0\x04HTTP\x04\x02\0\0\0\0", V311),
        (b"\0\x04mqtt\x05\x02\0\0\0\0\0", V311),
        (b"\0\x04MQTT\x85\x02\0\0\0\0", V311),
    ] {
        let refused = Connect::decode(body).expect_err("an unknown protocol");
        assert_eq!(refused.reason, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, "{body:02X?}");
        assert_eq!(Connect::answer_version(body), answer, "{body:02X?}");
    }
}

#[test]
fn publish() {
    refuses(&[
        ("QoS 3 [MQTT-3.3.1-4]", V5, 0x36, b"\0\x01t\0\x01\0", MALFORMED),
        ("QoS 3 [MQTT3-3.3.1-4]", V311, 0x36, b"\0\x01t\0\x01", MALFORMED),
        ("DUP at QoS 0 [MQTT-3.3.1-2]", V5, 0x38, b"\0\x01t\0", MALFORMED),
        ("DUP at QoS 0 [MQTT3-3.3.1-2]", V311, 0x38, b"\0\x01t", MALFORMED),
        ("no topic [MQTT-3.3.2-1]", V5, 0x30, b"", MALFORMED),
        ("no topic [MQTT3-3.3.2-1]", V311, 0x30, b"\0", MALFORMED),
        ("topic beyond the packet [MQTT3-3.3.2-1]", V311, 0x30, b"\0\x02t", MALFORMED),
        ("topic ill-formed [MQTT-1.5.4-1] [MQTT3-1.5.3-1]", V311, 0x30, b"\0\x01\x80", MALFORMED),
        ("a surrogate in a topic [MQTT-1.5.4-1]", V5, 0x30, b"\0\x03\xED\xA0\x80\0", MALFORMED),
        ("U+0000 in a topic [MQTT-1.5.4-2] [MQTT-4.7.3-2]", V5, 0x30, b"\0\x03a\0b\0", MALFORMED),
        ("U+0000 in a topic [MQTT3-1.5.3-2] [MQTT3-4.7.3-2]", V311, 0x30, b"\0\x03a\0b", MALFORMED),
        ("# in a topic [MQTT-3.3.2-2] [MQTT-4.7.0-1]", V5, 0x30, b"\0\x03a/#\0", TOPIC_NAME),
        ("+ in a topic [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]", V311, 0x30, b"\0\x03+/a", TOPIC_NAME),
        ("empty topic without an alias [MQTT-4.7.3-1]", V5, 0x30, b"\0\0\0", PROTOCOL),
        ("empty topic [MQTT3-4.7.3-1]", V311, 0x30, b"\0\0", PROTOCOL),
        ("packet identifier 0 [MQTT-2.2.1-3] [MQTT-2.2.1-4]", V5, 0x32, b"\0\x01t\0\0\0", PROTOCOL),
        ("packet identifier 0 [MQTT3-2.3.1-1]", V311, 0x34, b"\0\x01t\0\0", PROTOCOL),
        ("no packet identifier [MQTT3-2.3.1-1]", V311, 0x32, b"\0\x01t\0", MALFORMED),
        ("no property length [MQTT-2.2.2-1]", V5, 0x30, b"\0\x01t", MALFORMED),
        ("properties beyond the packet", V5, 0x30, b"\0\x01t\x02\x01", MALFORMED),
        ("property cut off by the block", V5, 0x30, b"\0\x01t\x01\x01\x01", MALFORMED),
        ("topic alias 0 [MQTT-3.3.2-8]", V5, 0x30, b"\0\x01t\x03\x23\0\0", ReasonCode::TOPIC_ALIAS_INVALID),
        ("topic alias twice", V5, 0x30, b"\0\x01t\x06\x23\0\x01\x23\0\x01", PROTOCOL),
        ("payload format 2", V5, 0x30, b"\0\x01t\x02\x01\x02", PROTOCOL),
        ("message expiry twice", V5, 0x30, b"\0\x01t\x0A\x02\0\0\0\x01\x02\0\0\0\x01", PROTOCOL),
        ("subscription identifier 0", V5, 0x30, b"\0\x01t\x02\x0B\0", PROTOCOL),
        ("subscription identifier not minimal [MQTT-1.5.5-1]", V5, 0x30, b"\0\x01t\x03\x0B\x81\0", MALFORMED),
        ("wildcard in the response topic [MQTT-3.3.2-14]", V5, 0x30, b"\0\x01t\x06\x08\0\x03a/#", TOPIC_NAME),
        ("response topic empty [MQTT-4.7.3-1]", V5, 0x30, b"\0\x01t\x03\x08\0\0", PROTOCOL),
        ("response topic ill-formed [MQTT-3.3.2-13]", V5, 0x30, b"\0\x01t\x04\x08\0\x01\xFE", MALFORMED),
        ("content type ill-formed [MQTT-3.3.2-19]", V5, 0x30, b"\0\x01t\x04\x03\0\x01\xFE", MALFORMED),
        ("user property name ill-formed [MQTT-1.5.7-1]", V5, 0x30, b"\0\x01t\x06\x26\0\x01\xFF\0\0", MALFORMED),
        ("user property value ill-formed [MQTT-1.5.7-1]", V5, 0x30, b"\0\x01t\x06\x26\0\0\0\x01\0", MALFORMED),
        ("unknown property", V5, 0x30, b"\0\x01t\x02\x7E\0", MALFORMED),
        ("property of two octets", V5, 0x30, b"\0\x01t\x03\x81\x02\0", MALFORMED),
        ("property of CONNECT", V5, 0x30, b"\0\x01t\x05\x11\0\0\0\x01", MALFORMED),
    ]);
}

#[test]
fn acknowledgements() {
    refuses(&[
        ("PUBACK too short", V5, 0x40, b"\0", MALFORMED),
        ("PUBACK, packet identifier 0", V5, 0x40, b"\0\0", PROTOCOL),
        ("PUBACK, packet identifier 0", V311, 0x40, b"\0\0", PROTOCOL),
        ("PUBACK with a reason in MQTT 3", V311, 0x40, b"\0\x01\0", MALFORMED),
        ("PUBACK with a reason of PUBREL [MQTT-3.4.2-1]", V5, 0x40, b"\0\x01\x92", PROTOCOL),
        ("PUBREC with a reason of SUBACK [MQTT-3.5.2-1]", V5, 0x50, b"\0\x01\x01", PROTOCOL),
        ("PUBREL with a reason of PUBACK [MQTT-3.6.2-1]", V5, 0x62, b"\0\x01\x10", PROTOCOL),
        ("PUBCOMP with a reason of PUBACK [MQTT-3.7.2-1]", V5, 0x70, b"\0\x01\x80", PROTOCOL),
        ("reason string twice", V5, 0x40, b"\0\x01\0\x08\x1F\0\x01a\x1F\0\x01b", PROTOCOL),
        ("property of PUBLISH", V5, 0x40, b"\0\x01\0\x02\x01\0", MALFORMED),
        ("octets after the properties", V5, 0x40, b"\0\x01\0\0\0", MALFORMED),
        ("SUBACK without a code", V5, 0x90, b"\0\x01\0", MALFORMED),
        ("SUBACK without a code", V311, 0x90, b"\0\x01", MALFORMED),
        ("SUBACK with a reason of UNSUBACK [MQTT-3.9.3-2]", V5, 0x90, b"\0\x01\0\x11", PROTOCOL),
        ("SUBACK with a reserved code [MQTT3-3.9.3-2]", V311, 0x90, b"\0\x01\x03", PROTOCOL),
        ("SUBACK, packet identifier 0", V311, 0x90, b"\0\0\0", PROTOCOL),
        ("UNSUBACK without a code", V5, 0xB0, b"\0\x01\0", MALFORMED),
        ("UNSUBACK with a reason of SUBACK [MQTT-3.11.3-2]", V5, 0xB0, b"\0\x01\0\x01", PROTOCOL),
        ("UNSUBACK with a code in MQTT 3", V311, 0xB0, b"\0\x01\0", MALFORMED),
        ("CONNACK with reserved flags [MQTT-3.2.2-1]", V5, 0x20, b"\x02\0\0", MALFORMED),
        ("CONNACK with a reason of SUBACK [MQTT-3.2.2-8]", V5, 0x20, b"\0\x01\0", PROTOCOL),
        ("CONNACK with a reserved code", V311, 0x20, b"\0\x06", PROTOCOL),
        ("session present with a refusal [MQTT-3.2.2-6]", V5, 0x20, b"\x01\x87\0", PROTOCOL),
        ("session present with a refusal [MQTT3-3.2.2-4]", V311, 0x20, b"\x01\x05", PROTOCOL),
        ("maximum QoS 2", V5, 0x20, b"\0\0\x02\x24\x02", PROTOCOL),
        ("retain available 2", V5, 0x20, b"\0\0\x02\x25\x02", PROTOCOL),
        ("receive maximum 0", V5, 0x20, b"\0\0\x03\x21\0\0", PROTOCOL),
        ("maximum packet size 0", V5, 0x20, b"\0\0\x05\x27\0\0\0\0", PROTOCOL),
        ("CONNACK with octets after it", V311, 0x20, b"\0\0\0", MALFORMED),
    ]);
}

#[test]
fn subscriptions() {
    refuses(&[
        ("no filter [MQTT-3.8.3-2]", V5, 0x82, b"\0\x01\0", PROTOCOL),
        ("no filter [MQTT3-3.8.3-3]", V311, 0x82, b"\0\x01", PROTOCOL),
        ("empty filter [MQTT-4.7.3-1]", V5, 0x82, b"\0\x01\0\0\0\0", PROTOCOL),
        ("empty filter [MQTT3-4.7.3-1]", V311, 0x82, b"\0\x01\0\0\0", PROTOCOL),
        ("filter ill-formed [MQTT-3.8.3-1]", V5, 0x82, b"\0\x01\0\0\x01\xFF\0", MALFORMED),
        ("filter ill-formed [MQTT3-3.8.3-1]", V311, 0x82, b"\0\x01\0\x01\xFF\0", MALFORMED),
        ("U+0000 in a filter [MQTT-4.7.3-2]", V5, 0x82, b"\0\x01\0\0\x01\0\0", MALFORMED),
        ("no options", V5, 0x82, b"\0\x01\0\0\x01a", MALFORMED),
        ("QoS 3", V5, 0x82, b"\0\x01\0\0\x01a\x03", PROTOCOL),
        ("QoS 3 [MQTT3-3.8.3-4]", V311, 0x82, b"\0\x01\0\x01a\x03", MALFORMED),
        ("retain handling 3", V5, 0x82, b"\0\x01\0\0\x01a\x30", PROTOCOL),
        ("reserved bits [MQTT-3.8.3-5]", V5, 0x82, b"\0\x01\0\0\x01a\x40", MALFORMED),
        ("reserved bits, in the second filter [MQTT-3.8.3-5]", V5, 0x82, b"\0\x01\0\0\x01a\0\0\x01b\x80", MALFORMED),
        ("options of MQTT 5 [MQTT3-3.8.3-4]", V311, 0x82, b"\0\x01\0\x01a\x04", MALFORMED),
        ("packet identifier 0 [MQTT-2.2.1-3]", V5, 0x82, b"\0\0\0\0\x01a\0", PROTOCOL),
        ("packet identifier 0 [MQTT3-2.3.1-1]", V311, 0x82, b"\0\0\0\x01a\0", PROTOCOL),
        ("subscription identifier 0", V5, 0x82, b"\0\x01\x02\x0B\0\0\x01a\0", PROTOCOL),
        ("subscription identifier twice", V5, 0x82, b"\0\x01\x04\x0B\x01\x0B\x02\0\x01a\0", PROTOCOL),
        ("reason string in SUBSCRIBE", V5, 0x82, b"\0\x01\x03\x1F\0\0\0\x01a\0", MALFORMED),
        ("no filter [MQTT-3.10.3-2]", V5, 0xA2, b"\0\x01\0", PROTOCOL),
        ("no filter [MQTT3-3.10.3-2]", V311, 0xA2, b"\0\x01", PROTOCOL),
        ("empty filter [MQTT-4.7.3-1]", V5, 0xA2, b"\0\x01\0\0\0", PROTOCOL),
        ("filter ill-formed [MQTT-3.10.3-1]", V5, 0xA2, b"\0\x01\0\0\x01\xFF", MALFORMED),
        ("filter ill-formed [MQTT3-3.10.3-1]", V311, 0xA2, b"\0\x01\0\x01\xFF", MALFORMED),
        ("packet identifier 0 [MQTT-2.2.1-3]", V5, 0xA2, b"\0\0\0\0\x01a", PROTOCOL),
        ("packet identifier 0 [MQTT3-2.3.1-1]", V311, 0xA2, b"\0\0\0\x01a", PROTOCOL),
        ("subscription identifier in UNSUBSCRIBE", V5, 0xA2, b"\0\x01\x02\x0B\x01\0\x01a", MALFORMED),
    ]);
}

#[test]
fn the_rest() {
    refuses(&[
        ("PINGREQ with a body", V311, 0xC0, b"\0", MALFORMED),
        ("PINGRESP with a body", V5, 0xD0, b"\0", MALFORMED),
        ("DISCONNECT with a body in MQTT 3", V311, 0xE0, b"\0", MALFORMED),
        ("DISCONNECT with a reason of SUBACK [MQTT-3.14.2-1]", V5, 0xE0, b"\x01", PROTOCOL),
        ("DISCONNECT, session expiry twice", V5, 0xE0, b"\0\x0A\x11\0\0\0\x01\x11\0\0\0\x01", PROTOCOL),
        ("DISCONNECT with octets after it", V5, 0xE0, b"\0\0\0", MALFORMED),
        ("AUTH in MQTT 3", V311, 0xF0, b"", MALFORMED),
        ("AUTH with another reason [MQTT-3.15.2-1]", V5, 0xF0, b"\x80\x04\x15\0\x01m", PROTOCOL),
        ("AUTH without properties", V5, 0xF0, b"\x18", MALFORMED),
        ("AUTH without a method", V5, 0xF0, b"\x18\0", PROTOCOL),
        ("AUTH with the method twice", V5, 0xF0, b"\x18\x08\x15\0\x01m\x15\0\x01m", PROTOCOL),
    ]);
}

#[test]
fn mqtt_3_1_allows_a_flagged_user_name_to_be_missing() {
    let bytes = framed(0x10, b"\0\x06MQIsdp\x03\xC2\0\0\0\x01c");
    let Ok(ringmq_wire::Packet::Connect(connect)) = packet(&bytes, V31) else { panic!("refused") };
    assert_eq!((connect.client_id, connect.username, connect.password), ("c", None, None));
}

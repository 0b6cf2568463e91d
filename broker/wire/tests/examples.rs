//! Packets octet by octet, from the examples and tables of the standard: each is decoded to what it says and encoded
//! from what it says. Independent of the encoders, which the round trips cannot be.

mod support;

use ringmq_wire::Version::{V5, V31, V311};
use ringmq_wire::{
    Ack, AckProperties, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, MAX_VARINT, Packet,
    PacketType, Publish, PublishOut, QoS, ReasonCode, RetainHandling, SubAck, SubscribeOptions, SubscribeOut, UnsubAck,
    UnsubscribeOut, UserProperties, Version, cut, decode, encode_ack, encode_pingreq, encode_pingresp,
};
use support::{VERSIONS, packet};

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

const CONNECT: Connect<'static> = Connect {
    version: V311,
    bridge: false,
    clean_start: true,
    keep_alive: 10,
    client_id: "",
    will: None,
    username: None,
    password: None,
    properties: ConnectProperties {
        session_expiry: None,
        receive_maximum: None,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
        authentication_data: None,
        user_properties: UserProperties::NONE,
    },
};

fn is_connect(bytes: &[u8], connect: &Connect<'_>) {
    assert_eq!(packet(bytes, V311), Ok(Packet::Connect(*connect)));
    assert_eq!(encoded(|out| connect.encode(out)), bytes);
}

#[test]
fn connect_of_each_version() {
    is_connect(b"\x10\x0C\0\x04MQTT\x04\x02\0\x0A\0\0", &CONNECT);
    is_connect(b"\x10\x0F\0\x06MQIsdp\x03\x02\0\x0A\0\x01c", &Connect { version: V31, client_id: "c", ..CONNECT });
    is_connect(b"\x10\x0C\0\x04MQTT\x84\x02\0\x0A\0\0", &Connect { bridge: true, ..CONNECT });
    // The variable header of figure 3-6: session expiry 10 s.
    is_connect(
        b"\x10\x12\0\x04MQTT\x05\x02\0\x0A\x05\x11\0\0\0\x0A\0\0",
        &Connect {
            version: V5,
            properties: ConnectProperties { session_expiry: Some(10), ..CONNECT.properties },
            ..CONNECT
        },
    );
}

#[test]
fn connect_with_everything() {
    // All flags but those of QoS 2, and the payload in its order [MQTT-3.1.3-1] [MQTT3-3.1.3-1].
    let bytes =
        b"\x10\x27\0\x04MQTT\x05\xEE\0\x0A\0\0\x01c\x0A\x18\0\0\0\x07\x02\0\0\0\x09\0\x01t\0\x02pl\0\x01u\0\x02\xFF\0";
    let Ok(Packet::Connect(connect)) = packet(bytes, V5) else { panic!("refused") };
    let will = connect.will.expect("a will");
    assert_eq!((connect.client_id, connect.username, connect.password), ("c", Some("u"), Some(&b"\xFF\0"[..])));
    assert_eq!((will.qos, will.retain, will.topic, will.payload), (QoS::AtLeastOnce, true, "t", &b"pl"[..]));
    assert_eq!((will.delay, will.properties.message_expiry), (7, Some(9)));
    assert!(connect.clean_start);
}

#[test]
fn a_password_may_stand_alone_in_mqtt_5_only() {
    let lone = Connect { password: Some(b"p"), ..CONNECT };
    is_connect(b"\x10\x10\0\x04MQTT\x05\x42\0\x0A\0\0\0\0\x01p", &Connect { version: V5, ..lone });
    // [MQTT3-3.1.2-22]
    assert_eq!(encoded(|out| lone.encode(out)), b"\x10\x0C\0\x04MQTT\x04\x02\0\x0A\0\0");
}

#[test]
fn connack() {
    let success = ConnAck { session_present: true, ..ConnAck::with_reason(ReasonCode::SUCCESS) };
    assert_eq!(encoded(|out| success.encode(V5, out)), b"\x20\x03\x01\0\0");
    assert_eq!(encoded(|out| success.encode(V311, out)), b"\x20\x02\x01\0");
    // MQTT 3.1 has no session present flag.
    assert_eq!(encoded(|out| success.encode(V31, out)), b"\x20\x02\0\0");
    // [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
    let refused = ConnAck { reason: ReasonCode::NOT_AUTHORIZED, ..success };
    assert_eq!(encoded(|out| refused.encode(V5, out)), b"\x20\x03\0\x87\0");
    assert_eq!(encoded(|out| refused.encode(V311, out)), b"\x20\x02\0\x05");
    // [MQTT-3.2.2-9]
    let limits = ConnAckProperties { maximum_qos: QoS::AtLeastOnce, retain_available: false, ..Default::default() };
    let limited = ConnAck { session_present: false, properties: limits, ..success };
    assert_eq!(encoded(|out| limited.encode(V5, out)), b"\x20\x07\0\0\x04\x25\0\x24\x01");
    assert_eq!(packet(b"\x20\x07\0\0\x04\x25\0\x24\x01", V5), Ok(Packet::ConnAck(limited)));
    for (bytes, version, connack) in [(&b"\x20\x03\x01\0\0"[..], V5, success), (b"\x20\x02\x01\0", V311, success)] {
        assert_eq!(packet(bytes, version), Ok(Packet::ConnAck(connack)));
    }
}

const PUBLISH: PublishOut<'static> = PublishOut {
    qos: QoS::AtLeastOnce,
    retain: false,
    dup: false,
    topic: b"a/b",
    packet_id: 10,
    expiry: None,
    alias: None,
    subscription_ids: &[],
    properties: &[],
    payload: b"hi",
};

#[test]
fn publish() {
    // The variable header of figures 3-10 (MQTT 5) and 3-11 (MQTT 3.1.1): topic a/b, packet identifier 10.
    let of = |message: &PublishOut<'_>, version| encoded(|out| message.encode(version, out));
    assert_eq!(of(&PUBLISH, V311), b"\x32\x09\0\x03a/b\0\x0Ahi");
    assert_eq!(of(&PUBLISH, V5), b"\x32\x0A\0\x03a/b\0\x0A\0hi");
    assert_eq!((PUBLISH.packet_id_offset(V5), PUBLISH.packet_id_offset(V311)), (Some(7), Some(7)));
    // [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
    // [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT3-3.3.1-2]
    let at_most_once = PublishOut { qos: QoS::AtMostOnce, retain: true, dup: true, ..PUBLISH };
    assert_eq!(of(&at_most_once, V311), b"\x31\x07\0\x03a/bhi");
    assert_eq!(at_most_once.packet_id_offset(V311), None);
    // DUP [MQTT-3.3.1-1] and several subscription identifiers [MQTT-3.3.4-4].
    let all = PublishOut {
        qos: QoS::ExactlyOnce,
        dup: true,
        retain: true,
        expiry: Some(0x0102_0304),
        alias: Some(5),
        subscription_ids: &[1, 128, MAX_VARINT],
        properties: &[0x01, 0x01],
        ..PUBLISH
    };
    let bytes =
        b"\x3D\x1E\0\x03a/b\0\x0A\x14\x02\x01\x02\x03\x04\x23\0\x05\x0B\x01\x0B\x80\x01\x0B\xFF\xFF\xFF\x7F\x01\x01hi";
    assert_eq!(of(&all, V5), bytes);
    assert_eq!(of(&all, V311), b"\x3D\x09\0\x03a/b\0\x0Ahi");

    let Ok(Packet::Publish(publish)) = packet(bytes, V5) else { panic!("refused") };
    let Publish { dup, qos, retain, topic, packet_id, properties, payload } = publish;
    assert_eq!((dup, qos, retain, topic, packet_id), (true, QoS::ExactlyOnce, true, "a/b", 10));
    assert_eq!(payload, b"hi");
    assert_eq!((properties.message_expiry, properties.topic_alias), (Some(0x0102_0304), Some(5)));
    assert_eq!(properties.payload_format, Some(true));
    assert_eq!(properties.subscription_ids().collect::<Vec<_>>(), [1, 128, MAX_VARINT]);
    assert_eq!(properties.forwardable(&mut Vec::new()), [0x01, 0x01]);
}

#[test]
fn an_empty_topic_is_allowed_with_an_alias() {
    let Ok(Packet::Publish(publish)) = packet(b"\x30\x06\0\0\x03\x23\0\x07", V5) else { panic!("refused") };
    assert_eq!((publish.topic, publish.properties.topic_alias, publish.payload), ("", Some(7), &[][..]));
}

#[test]
fn a_byte_order_mark_stays() {
    // [MQTT-1.5.4-3] [MQTT3-1.5.3-3]
    let Ok(Packet::Publish(publish)) = packet(b"\x30\x06\0\x04\xEF\xBB\xBFa", V311) else { panic!("refused") };
    assert_eq!(publish.topic, "\u{FEFF}a");
}

#[test]
fn what_is_forwarded_keeps_its_order() {
    // User property, topic alias, content type, message expiry, user property, correlation data, subscription
    // identifier, response topic, payload format. [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
    // [MQTT-3.3.2-18] [MQTT-3.3.2-20] [MQTT-3.1.3-10]
    let block = b"\x26\0\x01b\0\x011\x23\0\x09\x03\0\x01c\x02\0\0\0\x09\
        \x26\0\x01a\0\x012\x09\0\x01d\x0B\x09\x08\0\x01r\x01\x01";
    let kept = b"\x26\0\x01b\0\x011\x03\0\x01c\x26\0\x01a\0\x012\x09\0\x01d\x08\0\x01r\x01\x01";
    let properties = ringmq_wire::PublishProperties::decode(block).expect("valid");
    let mut scratch = vec![7];
    assert_eq!(properties.forwardable(&mut scratch), kept);
    assert_eq!(properties.user_properties.iter().collect::<Vec<_>>(), [("b", "1"), ("a", "2")]);

    let properties = ringmq_wire::PublishProperties::decode(kept).expect("valid");
    let mut scratch = Vec::new();
    assert!(core::ptr::eq(properties.forwardable(&mut scratch), kept), "copied without need");
}

#[test]
fn acknowledgements_take_their_shortest_form() {
    use PacketType::{PubAck, PubComp, PubRec, PubRel};
    let not_authorized = ReasonCode::NOT_AUTHORIZED;
    let not_found = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
    for (packet_type, first, reason) in [
        (PubAck, 0x40, not_authorized),
        (PubRec, 0x50, not_authorized),
        (PubRel, 0x62, not_found),
        (PubComp, 0x70, not_found),
    ] {
        for version in VERSIONS {
            let bytes = encoded(|out| encode_ack(out, packet_type, version, 0x1234, ReasonCode::SUCCESS));
            assert_eq!(bytes, [first, 2, 0x12, 0x34]);
        }
        let bytes = encoded(|out| encode_ack(out, packet_type, V5, 1, reason));
        assert_eq!(bytes, [first, 3, 0, 1, reason.0]);
        let bytes = encoded(|out| encode_ack(out, packet_type, V311, 1, reason));
        assert_eq!(bytes, [first, 2, 0, 1]);
    }
    let reason_string = AckProperties { reason_string: Some("no"), ..AckProperties::NONE };
    let ack = Ack { packet_id: 1, reason: ReasonCode::SUCCESS, properties: reason_string };
    let bytes = b"\x40\x09\0\x01\0\x05\x1F\0\x02no";
    assert_eq!(encoded(|out| ack.encode(PubAck, V5, out)), bytes);
    assert_eq!(packet(bytes, V5), Ok(Packet::PubAck(ack)));
}

#[test]
fn subscribe_and_unsubscribe() {
    // The payload of figure 3-21: a/b at QoS 1, c/d at QoS 2.
    let filters =
        [("a/b", SubscribeOptions::with_qos(QoS::AtLeastOnce)), ("c/d", SubscribeOptions::with_qos(QoS::ExactlyOnce))];
    let out =
        SubscribeOut { packet_id: 10, subscription_id: None, filters: &filters, user_properties: UserProperties::NONE };
    let v3 = b"\x82\x0E\0\x0A\0\x03a/b\x01\0\x03c/d\x02";
    assert_eq!(encoded(|bytes| out.encode(V311, bytes)), v3);
    let v5 = b"\x82\x0F\0\x0A\0\0\x03a/b\x01\0\x03c/d\x02";
    assert_eq!(encoded(|bytes| out.encode(V5, bytes)), v5);
    let Ok(Packet::Subscribe(subscribe)) = packet(v5, V5) else { panic!("refused") };
    assert_eq!((subscribe.packet_id, subscribe.filter_count, subscribe.subscription_id), (10, 2, None));
    assert_eq!(subscribe.filters().collect::<Vec<_>>(), filters);

    // Every bit of the options: QoS 2, no local, retain as published, retain handling 2; identifier 128.
    let Ok(Packet::Subscribe(subscribe)) = packet(b"\x82\x0A\0\x0A\x03\x0B\x80\x01\0\x01#\x2E", V5) else {
        panic!("refused")
    };
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    assert_eq!(subscribe.subscription_id, Some(128));
    assert_eq!(subscribe.filters().collect::<Vec<_>>(), [("#", options)]);
    assert_eq!((options.encode(V5), options.encode(V311)), (0x2E, 0x02));

    let out = UnsubscribeOut { packet_id: 10, filters: &["a/b", "c/d"], user_properties: UserProperties::NONE };
    let v3 = b"\xA2\x0C\0\x0A\0\x03a/b\0\x03c/d";
    assert_eq!(encoded(|bytes| out.encode(V311, bytes)), v3);
    assert_eq!(encoded(|bytes| out.encode(V5, bytes)), b"\xA2\x0D\0\x0A\0\0\x03a/b\0\x03c/d");
    let Ok(Packet::Unsubscribe(unsubscribe)) = packet(v3, V311) else { panic!("refused") };
    assert_eq!(unsubscribe.filters().collect::<Vec<_>>(), ["a/b", "c/d"]);
}

#[test]
fn suback_and_unsuback() {
    let suback = SubAck { packet_id: 10, codes: &[0, 2, 0x87], properties: AckProperties::NONE };
    assert_eq!(encoded(|out| suback.encode(V5, out)), b"\x90\x06\0\x0A\0\0\x02\x87");
    // [MQTT3-3.9.3-2]
    assert_eq!(encoded(|out| suback.encode(V311, out)), b"\x90\x05\0\x0A\0\x02\x80");
    let unsuback = UnsubAck { packet_id: 10, codes: &[0, 0x11], properties: AckProperties::NONE };
    assert_eq!(encoded(|out| unsuback.encode(V5, out)), b"\xB0\x05\0\x0A\0\0\x11");
    assert_eq!(encoded(|out| unsuback.encode(V311, out)), b"\xB0\x02\0\x0A");
}

#[test]
fn the_rest() {
    assert_eq!(encoded(encode_pingreq), b"\xC0\0");
    assert_eq!(encoded(encode_pingresp), b"\xD0\0");
    let taken_over = Disconnect::with_reason(ReasonCode::SESSION_TAKEN_OVER);
    assert_eq!(encoded(|out| taken_over.encode(V5, out)), b"\xE0\x01\x8E");
    assert_eq!(encoded(|out| taken_over.encode(V311, out)), b"\xE0\0");
    assert_eq!(encoded(|out| Disconnect::default().encode(V5, out)), b"\xE0\0");
    let expiry = Disconnect { session_expiry: Some(1), ..Disconnect::default() };
    assert_eq!(encoded(|out| expiry.encode(V5, out)), b"\xE0\x07\0\x05\x11\0\0\0\x01");
    assert_eq!(packet(b"\xE0\x07\0\x05\x11\0\0\0\x01", V5), Ok(Packet::Disconnect(expiry)));
    let auth =
        Auth { reason: ReasonCode::CONTINUE_AUTHENTICATION, authentication_method: Some("m"), ..Auth::default() };
    assert_eq!(encoded(|out| auth.encode(out)), b"\xF0\x06\x18\x04\x15\0\x01m");
    assert_eq!(packet(b"\xF0\0", V5), Ok(Packet::Auth(Auth::default())));
}

#[test]
fn lengths_at_the_borders_of_table_1_1() {
    // [MQTT-1.5.5-1]
    for (count, octets) in [
        (0, &[0x00][..]),
        (127, &[0x7F]),
        (128, &[0x80, 0x01]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 0x01]),
        (2_097_151, &[0xFF, 0xFF, 0x7F]),
        (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
    ] {
        let mut bytes = vec![0x30];
        bytes.extend_from_slice(octets);
        bytes.resize(bytes.len() + count, 0);
        let Ok(ringmq_wire::Cut::Frame(frame, used)) = cut(&bytes, u32::MAX) else { panic!("{count}") };
        assert_eq!((frame.body.len(), used), (count, bytes.len()));
        if count > 127 {
            let payload = vec![0; count - 3];
            let message = PublishOut { qos: QoS::AtMostOnce, topic: b"t", payload: &payload, ..PUBLISH };
            let out = encoded(|out| message.encode(V311, out));
            assert_eq!(out[1..=octets.len()], *octets);
            assert_eq!((out.len(), message.encoded_len(V311)), (bytes.len(), bytes.len()));
        }
    }
}

#[test]
fn return_codes_of_mqtt_3() {
    for code in 0..=5 {
        assert_eq!(ReasonCode::from_connack_v3(code).map(ReasonCode::connack_v3), Some(code));
    }
    assert_eq!(ReasonCode::from_connack_v3(6), None);
    for code in 0..=5 {
        let reason = ReasonCode::from_connack_v3(code).expect("a known code");
        assert_eq!(reason.applicable_connack_v3(), Some(code));
    }
    // [MQTT3-3.2.2-6] [MQTT3-3.1.4-1]
    for reason in [ReasonCode::MALFORMED_PACKET, ReasonCode::PROTOCOL_ERROR, ReasonCode::PACKET_TOO_LARGE] {
        assert_eq!(reason.applicable_connack_v3(), None);
    }
    let named = (0..=u8::MAX).map(ReasonCode).filter(|code| code.name() != "Reserved");
    // Table 2-6 has 43 codes, 0x00 under three names.
    assert_eq!(named.count(), 43);
}

#[test]
fn what_is_for_people_is_shed_to_fit() {
    let mut scratch = Vec::new();
    let user_properties = UserProperties::from_pairs([("name", "value")], &mut scratch);
    let properties = AckProperties { reason_string: Some("why"), user_properties };
    let ack = Ack { packet_id: 1, reason: ReasonCode::NOT_AUTHORIZED, properties };
    let within = |limit| {
        let mut out = vec![9];
        let fits = ack.encode_within(limit, PacketType::PubAck, V5, &mut out);
        assert_eq!(out.remove(0), 9);
        assert!(out.len() <= limit as usize && fits != out.is_empty());
        fits.then(|| match decode(support::frame(&out).expect("a frame"), V5) {
            Ok(Packet::PubAck(ack)) => {
                (ack.properties.reason_string.is_some(), !ack.properties.user_properties.is_empty())
            }
            other => panic!("{other:?}"),
        })
    };
    // [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2]
    // [MQTT-3.7.2-3]: 26 octets with all, 12 without user properties, 5 without the reason string.
    assert_eq!(within(26), Some((true, true)));
    assert_eq!(within(25), Some((true, false)));
    assert_eq!(within(12), Some((true, false)));
    assert_eq!(within(11), Some((false, false)));
    assert_eq!(within(5), Some((false, false)));
    assert_eq!(within(4), None);

    // [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.14.2-3]
    // [MQTT-3.14.2-4] [MQTT-3.15.2-2] [MQTT-3.15.2-3]
    let codes = &[0][..];
    let mut out = Vec::new();
    let mut fits = |limit: u32, expected: &[u8], encode: &dyn Fn(&mut Vec<u8>) -> bool| {
        out.clear();
        assert_eq!(encode(&mut out), !expected.is_empty());
        assert_eq!(out, expected, "within {limit}");
    };
    let suback = SubAck { packet_id: 1, codes, properties };
    fits(6, b"\x90\x04\0\x01\0\0", &|out| suback.encode_within(6, V5, out));
    let unsuback = UnsubAck { packet_id: 1, codes, properties };
    fits(6, b"\xB0\x04\0\x01\0\0", &|out| unsuback.encode_within(6, V5, out));
    let people = ConnAckProperties { reason_string: Some("why"), user_properties, ..Default::default() };
    let connack = ConnAck { properties: people, ..ConnAck::default() };
    fits(5, b"\x20\x03\0\0\0", &|out| connack.encode_within(5, V5, out));
    fits(4, b"", &|out| connack.encode_within(4, V5, out));
    let disconnect =
        Disconnect { reason_string: Some("why"), user_properties, ..Disconnect::with_reason(ReasonCode::SERVER_BUSY) };
    fits(3, b"\xE0\x01\x89", &|out| disconnect.encode_within(3, V5, out));
    let auth = Auth {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        authentication_method: Some("m"),
        reason_string: Some("why"),
        user_properties,
        ..Auth::default()
    };
    fits(8, b"\xF0\x06\x18\x04\x15\0\x01m", &|out| auth.encode_within(8, out));
}

#[test]
#[should_panic(expected = "at most 65535 octets")]
fn a_filter_beyond_65535_octets_is_not_encoded() {
    // [MQTT-4.7.3-3]
    let filter = "a".repeat(65_536);
    let out = UnsubscribeOut { packet_id: 1, filters: &[&filter], user_properties: UserProperties::NONE };
    out.encode(V5, &mut Vec::new());
}

#[test]
fn versions_are_ordered() {
    assert!(Version::V31 < Version::V311 && Version::V311 < Version::V5);
    assert_eq!(VERSIONS.map(Version::level), [3, 4, 5]);
}

//! What must hold for arbitrary bytes. Each function is the body of one fuzz target and is also run, over the seed
//! corpus and over random bytes, by the tests of `ringmq-wire`.

use ringmq_wire::{
    Cut, FilterKind, Frame, MAX_PACKET_LEN, Packet, PacketType, Publish, PublishOut, ReasonCode, Version, cut, decode,
    encode_pingreq, encode_pingresp, validate_filter, validate_topic,
};

/// The version that a seed's first octet chooses.
fn version(octet: u8) -> Version {
    match octet % 3 {
        0 => Version::V31,
        1 => Version::V311,
        _ => Version::V5,
    }
}

/// Treats `data` as a version octet and a byte stream: cuts it, decodes every packet, and holds each that is accepted
/// to [`encodes_back`].
pub fn stream(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let version = version(first);
    loop {
        match cut(rest, MAX_PACKET_LEN) {
            Ok(Cut::Frame(frame, used)) => {
                assert!(used >= 2 && used <= rest.len() && frame.body.len() < used);
                if let Ok(packet) = decode(frame, version) {
                    encodes_back(&packet, version);
                }
                rest = &rest[used..];
            }
            Ok(Cut::Partial { need }) => {
                assert!(need > rest.len());
                return;
            }
            Err(refused) => {
                assert!(refused.reason == ReasonCode::MALFORMED_PACKET);
                return;
            }
        }
    }
}

/// Treats `data` as a version octet, flags, and the body of a PUBLISH.
pub fn publish(data: &[u8]) {
    let [first, flags, body @ ..] = data else { return };
    let version = version(*first);
    let general = decode(Frame { first: PacketType::Publish.first() | flags & 0x0F, body }, version);
    match Publish::decode(*flags, body, version) {
        Ok(publish) => {
            assert!(general == Ok(Packet::Publish(publish)));
            assert!(!publish.topic.contains(['+', '#', '\0']));
            encodes_back(&Packet::Publish(publish), version);
        }
        Err(refused) => assert!(general == Err(refused) && refused.reason.is_error()),
    }
}

/// Treats `data` as a topic name and a topic filter, and compares with a model that works by characters.
pub fn topic(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let named = !text.is_empty() && text.chars().all(|character| !matches!(character, '+' | '#' | '\0'));
    let levels = text.chars().filter(|character| *character == '/').count() as u32 + 1;
    assert_eq!(validate_topic(text).ok(), named.then_some(levels));
    assert_eq!(validate_filter(text).ok(), filter_model(text));
}

fn filter_model(text: &str) -> Option<FilterKind> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| characters.get(index)).copied().unwrap_or('/');
    let mut kind = FilterKind { levels: 1, wildcard: false, multi_level: false };
    for (index, character) in characters.iter().enumerate() {
        let alone = at(index.checked_sub(1)) == '/' && at(Some(index + 1)) == '/';
        match character {
            '\0' => return None,
            '/' => kind.levels += 1,
            '+' | '#' if !alone => return None,
            '#' if index + 1 < characters.len() => return None,
            '#' => (kind.wildcard, kind.multi_level) = (true, true),
            '+' => kind.wildcard = true,
            _ => {}
        }
    }
    (!characters.is_empty()).then_some(kind)
}

/// An accepted packet encodes to bytes that decode to an equal packet and encode to the same bytes again.
pub fn encodes_back(packet: &Packet<'_>, version: Version) {
    // CONNECT is of its own version.
    let version = if let Packet::Connect(connect) = packet { connect.version } else { version };
    let first = encode(packet, version);
    let Ok(Cut::Frame(frame, used)) = cut(&first, MAX_PACKET_LEN) else {
        panic!("an encoded packet is not a frame: {packet:?}");
    };
    assert_eq!(used, first.len());
    let again = decode(frame, version);
    assert!(again.as_ref() == Ok(packet), "{packet:?} came back as {again:?}");
    assert_eq!(encode(packet, version), first);
}

/// Encodes any packet.
pub fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        Packet::Connect(connect) => connect.encode(&mut out),
        Packet::ConnAck(connack) => connack.encode(version, &mut out),
        Packet::Publish(publish) => encode_publish(publish, version, &mut out),
        Packet::PubAck(ack) => ack.encode(PacketType::PubAck, version, &mut out),
        Packet::PubRec(ack) => ack.encode(PacketType::PubRec, version, &mut out),
        Packet::PubRel(ack) => ack.encode(PacketType::PubRel, version, &mut out),
        Packet::PubComp(ack) => ack.encode(PacketType::PubComp, version, &mut out),
        Packet::Subscribe(subscribe) => {
            assert_eq!(subscribe.filters().count(), subscribe.filter_count);
            subscribe.encode(&mut out);
        }
        Packet::SubAck(suback) => suback.encode(version, &mut out),
        Packet::Unsubscribe(unsubscribe) => {
            assert_eq!(unsubscribe.filters().count(), unsubscribe.filter_count);
            unsubscribe.encode(version, &mut out);
        }
        Packet::UnsubAck(unsuback) => unsuback.encode(version, &mut out),
        Packet::PingReq => encode_pingreq(&mut out),
        Packet::PingResp => encode_pingresp(&mut out),
        Packet::Disconnect(disconnect) => disconnect.encode(version, &mut out),
        Packet::Auth(auth) => auth.encode(&mut out),
    }
    out
}

fn encode_publish(publish: &Publish<'_>, version: Version, out: &mut Vec<u8>) {
    let mut scratch = Vec::new();
    let subscription_ids: Vec<u32> = publish.properties.subscription_ids().collect();
    let message = PublishOut {
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        topic: publish.topic.as_bytes(),
        packet_id: publish.packet_id,
        expiry: publish.properties.message_expiry,
        alias: publish.properties.topic_alias,
        subscription_ids: &subscription_ids,
        properties: publish.properties.forwardable(&mut scratch),
        payload: publish.payload,
    };
    message.encode(version, out);
    assert_eq!(out.len(), message.encoded_len(version));
    if let Some(at) = message.packet_id_offset(version) {
        assert_eq!(out[at..at + 2], publish.packet_id.to_be_bytes());
    }
    let mut head = Vec::new();
    message.encode_head(version, &mut head);
    assert!(out.starts_with(&head) && out.len() == head.len() + publish.payload.len());
}

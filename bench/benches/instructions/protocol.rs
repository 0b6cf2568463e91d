//! The wire format.

use super::{Counter, Scenario};
use ringmq_wire::{
    Connect, ConnectProperties, Cut, MAX_PACKET_LEN, MessageProperties, PacketType, PublishOut, QoS, ReasonCode,
    Version, cut, decode, encode_ack,
};
use std::hint::black_box;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario { name: "wire/decode-publish-q0-v311", run: |to| decode_publish(to, Version::V311, QoS::AtMostOnce) },
        Scenario { name: "wire/decode-publish-q1-v311", run: |to| decode_publish(to, Version::V311, QoS::AtLeastOnce) },
        Scenario { name: "wire/decode-publish-q0-v5", run: |to| decode_publish(to, Version::V5, QoS::AtMostOnce) },
        Scenario { name: "wire/decode-publish-q1-v5", run: |to| decode_publish(to, Version::V5, QoS::AtLeastOnce) },
        Scenario { name: "wire/encode-publish-q0-v311", run: |to| encode_publish(to, Version::V311, QoS::AtMostOnce) },
        Scenario { name: "wire/encode-publish-q1-v311", run: |to| encode_publish(to, Version::V311, QoS::AtLeastOnce) },
        Scenario { name: "wire/encode-publish-q1-v5", run: |to| encode_publish(to, Version::V5, QoS::AtLeastOnce) },
        Scenario { name: "wire/decode-connect-v311", run: |to| decode_connect(to, Version::V311) },
        Scenario { name: "wire/decode-connect-v5", run: |to| decode_connect(to, Version::V5) },
        Scenario { name: "wire/decode-puback-v311", run: decode_puback },
        Scenario { name: "wire/encode-puback-v311", run: encode_puback },
    ]
}

/// Cuts and decodes one packet.
fn take(bytes: &[u8], version: Version) {
    match cut(black_box(bytes), MAX_PACKET_LEN) {
        Ok(Cut::Frame(frame, _)) => {
            let packet = decode(frame, version).expect("a valid packet");
            black_box(&packet);
        }
        other => panic!("one whole frame, not {other:?}"),
    }
}

/// A message of 64 bytes; in MQTT 5 with the properties of a request.
fn with_publish(version: Version, qos: QoS, then: impl FnOnce(&PublishOut<'_>)) {
    let mut properties = Vec::new();
    if version.is_v5() {
        MessageProperties {
            payload_format: Some(true),
            response_topic: Some("site/0042/answers"),
            correlation_data: Some(b"0123456789abcdef"),
            content_type: Some("application/json"),
            ..MessageProperties::default()
        }
        .encode(&mut properties);
    }
    then(&PublishOut {
        qos,
        retain: false,
        dup: false,
        topic: b"site/0042/line/07/temperature",
        packet_id: 4711,
        expiry: version.is_v5().then_some(3600),
        alias: None,
        subscription_ids: &[],
        properties: &properties,
        payload: &[0x5a; 64],
    });
}

fn decode_publish(to: &mut Counter, version: Version, qos: QoS) {
    with_publish(version, qos, |message| {
        let mut bytes = Vec::new();
        message.encode(version, &mut bytes);
        to.count(|| take(&bytes, version));
    });
}

fn encode_publish(to: &mut Counter, version: Version, qos: QoS) {
    with_publish(version, qos, |message| {
        let mut out = Vec::new();
        to.count(|| {
            out.clear();
            black_box(message).encode(version, &mut out);
            black_box(out.len());
        });
    });
}

fn decode_connect(to: &mut Counter, version: Version) {
    let mut bytes = Vec::new();
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: "sensor-0042-07",
        will: None,
        username: Some("sensor"),
        password: Some(b"secret"),
        properties: ConnectProperties::default(),
    }
    .encode(&mut bytes);
    to.count(|| take(&bytes, version));
}

fn decode_puback(to: &mut Counter) {
    let mut bytes = Vec::new();
    encode_ack(&mut bytes, PacketType::PubAck, Version::V311, 4711, ReasonCode::SUCCESS);
    to.count(|| take(&bytes, Version::V311));
}

fn encode_puback(to: &mut Counter) {
    let mut out = Vec::new();
    to.count(|| {
        out.clear();
        encode_ack(&mut out, PacketType::PubAck, Version::V311, black_box(4711), ReasonCode::SUCCESS);
        black_box(out.len());
    });
}

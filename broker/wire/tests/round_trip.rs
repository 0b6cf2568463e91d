//! Packets drawn at random survive encoding and decoding, wherever the stream is split, and no damage to them, nor any
//! other bytes, makes a decoder fail otherwise than by refusing.

mod arbitrary;
#[path = "../../fuzz/src/checks.rs"]
#[allow(dead_code, unreachable_pub)]
mod checks;
mod support;

use arbitrary::{Sample, any_packet};
use proptest::collection::vec;
use proptest::prelude::*;
use ringmq_wire::{Cut, Frame, MAX_PACKET_LEN, PublishOut, QoS, Version, cut, decode};

/// Every proper prefix is partial and asks for more than there is, never for more than the packet.
fn cuts_at_every_split(sample: &Sample) {
    let bytes = &sample.bytes;
    for held in 0..bytes.len() {
        match cut(&bytes[..held], MAX_PACKET_LEN) {
            Ok(Cut::Partial { need }) => assert!(need > held && need <= bytes.len(), "{need} at {held}"),
            other => panic!("{other:?} at {held} of {}", bytes.len()),
        }
    }
    let mut more = bytes.clone();
    more.extend_from_slice(&[0xC0, 0x00]);
    let Ok(Cut::Frame(frame, used)) = cut(&more, MAX_PACKET_LEN) else { panic!("not a frame") };
    assert_eq!(used, bytes.len());
    let packet = decode(frame, sample.version).expect("decoded when it was drawn");
    checks::encodes_back(&packet, sample.version);
}

/// A body that ends early is refused or, where the rest was payload, accepted; it never panics.
fn survives_truncation(sample: &Sample) {
    let Ok(Cut::Frame(frame, _)) = cut(&sample.bytes, MAX_PACKET_LEN) else { panic!("not a frame") };
    // Beyond the first and last kilooctet a body is one long field.
    let edge = frame.body.len().min(1024);
    for held in (0..edge).chain(frame.body.len() - edge..frame.body.len()) {
        let short = Frame { first: frame.first, body: &frame.body[..held] };
        if let Ok(packet) = decode(short, sample.version) {
            checks::encodes_back(&packet, sample.version);
        }
    }
}

macro_rules! round_trips {
    ($($name:ident)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
            $(#[test] fn $name(sample in arbitrary::$name()) { cuts_at_every_split(&sample); })*
        }
    };
}

round_trips! { connect connack publish acks subscribe suback unsubscribe unsuback disconnect auth ping }

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truncated(sample in any_packet()) {
        survives_truncation(&sample);
    }

    #[test]
    fn damaged(sample in any_packet(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut data = vec![sample.version as u8 - 3];
        data.extend_from_slice(&sample.bytes);
        for (at, octet) in damage {
            let at = at.index(data.len());
            data[at] = octet;
        }
        checks::stream(&data);
    }

    #[test]
    fn a_stream_of_packets(samples in vec(any_packet(), 0..5)) {
        // One version for all, so that some are refused.
        let mut data = vec![2];
        for sample in samples {
            data.extend_from_slice(&sample.bytes);
        }
        checks::stream(&data);
    }

    #[test]
    fn random_bytes(data in vec(any::<u8>(), 0..200)) {
        checks::stream(&data);
        checks::publish(&data);
        checks::topic(&data);
    }

    #[test]
    fn topics(text in "[a+#/\0é$]{0,8}") {
        checks::topic(text.as_bytes());
    }

    #[test]
    fn a_cached_publish_can_be_given_another_identifier(
        version in arbitrary::version(), topic in "[a-z/]{1,200}", payload in vec(any::<u8>(), 0..200),
        ids in (1..=u16::MAX, 1..=u16::MAX), expiry in prop::option::of(any::<u32>()),
    ) {
        let message = |packet_id| PublishOut {
            qos: QoS::ExactlyOnce, retain: false, dup: false, topic: topic.as_bytes(), packet_id, expiry,
            alias: None, subscription_ids: &[], properties: &[], payload: &payload,
        };
        let encode = |packet_id, version: Version| {
            let mut out = Vec::new();
            message(packet_id).encode(version, &mut out);
            out
        };
        let mut cached = encode(ids.0, version);
        let at = message(ids.0).packet_id_offset(version).expect("QoS 2 has an identifier");
        cached[at..at + 2].copy_from_slice(&ids.1.to_be_bytes());
        prop_assert_eq!(cached, encode(ids.1, version));
    }
}

//! Packets drawn at random, as their encoded bytes and a check of what they must decode to.
#![allow(unreachable_pub, reason = "a module of a test")]

use proptest::prelude::*;
use proptest::{collection::vec, option};
use ringmq_wire::{
    Ack, AckProperties, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, MessageProperties,
    Packet, PacketType, PublishOut, PublishProperties, QoS, ReasonCode, RetainHandling, SubAck, SubscribeOptions,
    SubscribeOut, UnsubAck, UnsubscribeOut, UserProperties, Version, Will, encode_pingreq, encode_pingresp,
};

use crate::support::{VERSIONS, packet};

/// A packet on the wire, of its version. Drawing one has already held it to what it was encoded from.
#[derive(Clone, Debug)]
pub struct Sample {
    pub version: Version,
    pub bytes: Vec<u8>,
}

pub fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(VERSIONS.to_vec())
}

pub fn qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// Text of one to four octets a character, now and then long enough for a length of two octets.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-c/ é漢😀\u{1}\u{FEFF}]{0,12}", 1 => "[a-zß]{100,300}"]
}

fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("t{text}"))
}

fn filter() -> impl Strategy<Value = String> {
    prop_oneof![name(), Just("#".into()), Just("+/a/#".into()), Just("not#valid".into())]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 120..140), 1 => vec(any::<u8>(), 16_370..16_400)]
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec((text(), text()), 1..4)]
}

fn id() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn reason(legal: fn(ReasonCode) -> bool) -> impl Strategy<Value = ReasonCode> {
    prop::sample::select((0..=u8::MAX).map(ReasonCode).filter(|code| legal(*code)).collect::<Vec<_>>())
}

fn user<'a>(pairs: &'a [(String, String)], scratch: &'a mut Vec<u8>) -> UserProperties<'a> {
    UserProperties::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())), scratch)
}

/// Encodes, decodes, and holds what comes to what is expected.
fn sample(version: Version, encode: impl FnOnce(&mut Vec<u8>), expected: impl FnOnce(&Packet<'_>)) -> Sample {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    expected(&packet(&bytes, version).unwrap_or_else(|refused| panic!("{refused}: {bytes:02X?}")));
    Sample { version, bytes }
}

fn equals(version: Version, encode: impl FnOnce(&mut Vec<u8>), expected: &Packet<'_>) -> Sample {
    sample(version, encode, |packet| assert_eq!(packet, expected))
}

type Message = (Option<bool>, Option<String>, Option<Vec<u8>>, Option<String>, Vec<(String, String)>);

fn message() -> impl Strategy<Value = Message> {
    (option::of(any::<bool>()), option::of(name()), option::of(bytes()), option::of(text()), pairs())
}

fn encode_message(message: &Message, expiry: Option<u32>) -> Vec<u8> {
    let (payload_format, response_topic, correlation_data, content_type, pairs) = message;
    let (mut block, mut scratch) = (Vec::new(), Vec::new());
    let properties = MessageProperties {
        payload_format: *payload_format,
        response_topic: response_topic.as_deref(),
        correlation_data: correlation_data.as_deref(),
        content_type: content_type.as_deref(),
        user_properties: user(pairs, &mut scratch),
    };
    properties.encode_with_expiry(expiry, &mut block);
    let read = PublishProperties::decode(&block).expect("valid");
    assert_eq!(
        (read.payload_format, read.response_topic, read.correlation_data, read.content_type, read.user_properties),
        (
            properties.payload_format,
            properties.response_topic,
            properties.correlation_data,
            properties.content_type,
            properties.user_properties
        )
    );
    assert_eq!(read.message_expiry, expiry);
    block
}

prop_compose! {
    pub fn publish()(
        (version, qos, retain, dup, topic, packet_id) in
            (version(), qos(), any::<bool>(), any::<bool>(), name(), id()),
        expiry in option::of(any::<u32>()),
        alias in option::of(id()),
        subscription_ids in vec(1..=ringmq_wire::MAX_VARINT, 0..4),
        message in message(),
        payload in bytes(),
        unnamed in any::<bool>(),
    ) -> Sample {
        let v5 = version == Version::V5;
        let topic = if unnamed && v5 && alias.is_some() { String::new() } else { topic };
        let dup = dup && qos != QoS::AtMostOnce;
        let block = encode_message(&message, None);
        let out = PublishOut {
            qos, retain, dup, topic: topic.as_bytes(), packet_id, expiry, alias,
            subscription_ids: &subscription_ids, properties: &block, payload: &payload,
        };
        sample(version, |bytes| out.encode(version, bytes), |packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            assert_eq!((publish.qos, publish.retain, publish.dup), (qos, retain, dup));
            assert_eq!(publish.topic, topic);
            assert_eq!(publish.packet_id, if qos == QoS::AtMostOnce { 0 } else { packet_id });
            assert_eq!(publish.payload, payload);
            let properties = &publish.properties;
            assert_eq!(properties.message_expiry, expiry.filter(|_| v5));
            assert_eq!(properties.topic_alias, alias.filter(|_| v5));
            assert_eq!(properties.forwardable(&mut Vec::new()), if v5 { &block[..] } else { &[] });
            assert!(properties.subscription_ids().eq(subscription_ids.iter().copied().filter(|_| v5)));
        })
    }
}

prop_compose! {
    pub fn connect()(
        (version, bridge, clean_start, keep_alive, client_id) in
            (version(), any::<bool>(), any::<bool>(), any::<u16>(), text()),
        (username, password) in (option::of(text()), option::of(bytes())),
        (session_expiry, receive_maximum, maximum_packet_size, topic_alias_maximum) in
            (option::of(any::<u32>()), option::of(id()), option::of(1..=u32::MAX), any::<u16>()),
        (request_response_information, request_problem_information) in any::<(bool, bool)>(),
        (method, data, pairs) in (option::of(text()), option::of(bytes()), pairs()),
        will in option::of((qos(), any::<bool>(), name(), bytes(), any::<u32>(), option::of(any::<u32>()), message())),
    ) -> Sample {
        let mut scratch = Vec::new();
        let v5 = version == Version::V5;
        let properties = if v5 {
            ConnectProperties {
                session_expiry, receive_maximum, maximum_packet_size, topic_alias_maximum,
                request_response_information, request_problem_information,
                authentication_method: method.as_deref(),
                authentication_data: data.as_deref().filter(|_| method.is_some()),
                user_properties: user(&pairs, &mut scratch),
            }
        } else {
            ConnectProperties::default()
        };
        let block = match &will {
            Some((.., expiry, message)) if v5 => encode_message(message, *expiry),
            _ => Vec::new(),
        };
        let will = will.as_ref().map(|(qos, retain, topic, payload, delay, ..)| Will {
            qos: *qos, retain: *retain, topic, payload,
            delay: if v5 { *delay } else { 0 },
            properties: PublishProperties::decode(&block).expect("valid"),
        });
        let connect = Connect {
            version, bridge: bridge && !v5, clean_start, keep_alive, client_id: &client_id, will,
            username: username.as_deref(),
            password: password.as_deref().filter(|_| v5 || username.is_some()),
            properties,
        };
        equals(version, |bytes| connect.encode(bytes), &Packet::Connect(connect))
    }
}

prop_compose! {
    pub fn connack()(
        (version, session_present, reason) in (version(), any::<bool>(), reason(ReasonCode::is_connack)),
        (session_expiry, receive_maximum, maximum_qos, retain_available, maximum_packet_size) in
            (option::of(any::<u32>()), option::of(id()), qos(), any::<bool>(), option::of(1..=u32::MAX)),
        (assigned, topic_alias_maximum, reason_string, pairs) in
            (option::of(text()), any::<u16>(), option::of(text()), pairs()),
        (wildcard, subscription_ids, shared) in any::<(bool, bool, bool)>(),
        (server_keep_alive, information, reference, method, data) in (
            option::of(any::<u16>()), option::of(text()), option::of(text()), option::of(text()), option::of(bytes()),
        ),
    ) -> Sample {
        let mut scratch = Vec::new();
        let v5 = version == Version::V5;
        let properties = if v5 {
            ConnAckProperties {
                session_expiry, receive_maximum, maximum_qos, retain_available, maximum_packet_size,
                assigned_client_id: assigned.as_deref(), topic_alias_maximum,
                reason_string: reason_string.as_deref(),
                user_properties: user(&pairs, &mut scratch),
                wildcard_subscription_available: wildcard,
                subscription_ids_available: subscription_ids,
                shared_subscription_available: shared,
                server_keep_alive,
                response_information: information.as_deref(),
                server_reference: reference.as_deref(),
                authentication_method: method.as_deref(),
                authentication_data: data.as_deref(),
            }
        } else {
            ConnAckProperties::default()
        };
        let reason = if v5 { reason } else { ReasonCode::from_connack_v3(reason.connack_v3()).expect("known") };
        let session_present = session_present && reason == ReasonCode::SUCCESS && version != Version::V31;
        let connack = ConnAck { session_present, reason, properties };
        equals(version, |bytes| connack.encode(version, bytes), &Packet::ConnAck(connack))
    }
}

fn ack_properties<'a>(
    version: Version,
    reason_string: Option<&'a str>,
    pairs: &'a [(String, String)],
    scratch: &'a mut Vec<u8>,
) -> AckProperties<'a> {
    if version != Version::V5 {
        return AckProperties::NONE;
    }
    AckProperties { reason_string, user_properties: user(pairs, scratch) }
}

prop_compose! {
    fn ack(packet_type: PacketType, legal: fn(ReasonCode) -> bool)(
        version in version(), packet_id in id(), reason in reason(legal),
        reason_string in option::of(text()), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        let reason = if version == Version::V5 { reason } else { ReasonCode::SUCCESS };
        let properties = ack_properties(version, reason_string.as_deref(), &pairs, &mut scratch);
        let ack = Ack { packet_id, reason, properties };
        let expected = match packet_type {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        equals(version, |bytes| ack.encode(packet_type, version, bytes), &expected)
    }
}

prop_compose! {
    pub fn suback()(
        version in version(), packet_id in id(), reasons in vec(reason(ReasonCode::is_suback), 1..200),
        reason_string in option::of(text()), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        let v5 = version == Version::V5;
        // The order of the codes stays [MQTT-3.9.3-1].
        let codes: Vec<u8> = reasons.iter().map(|reason| if v5 { reason.0 } else { reason.suback_v3() }).collect();
        let properties = ack_properties(version, reason_string.as_deref(), &pairs, &mut scratch);
        let suback = SubAck { packet_id, codes: &codes, properties };
        equals(version, |bytes| suback.encode(version, bytes), &Packet::SubAck(suback))
    }
}

prop_compose! {
    pub fn unsuback()(
        version in version(), packet_id in id(), reasons in vec(reason(ReasonCode::is_unsuback), 1..200),
        reason_string in option::of(text()), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        // The order of the codes stays [MQTT-3.11.3-1].
        let codes: Vec<u8> =
            reasons.iter().map(|reason| reason.0).filter(|_| version == Version::V5).collect();
        let properties = ack_properties(version, reason_string.as_deref(), &pairs, &mut scratch);
        let unsuback = UnsubAck { packet_id, codes: &codes, properties };
        equals(version, |bytes| unsuback.encode(version, bytes), &Packet::UnsubAck(unsuback))
    }
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    let handling = vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    (qos(), any::<bool>(), any::<bool>(), prop::sample::select(handling)).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscribeOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

prop_compose! {
    pub fn subscribe()(
        version in version(), packet_id in id(), subscription_id in option::of(1..=ringmq_wire::MAX_VARINT),
        filters in vec((filter(), options()), 1..6), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        let v5 = version == Version::V5;
        let filters: Vec<(&str, SubscribeOptions)> =
            filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
        let user_properties = user(&pairs, &mut scratch);
        let out = SubscribeOut { packet_id, subscription_id, filters: &filters, user_properties };
        sample(version, |bytes| out.encode(version, bytes), |packet| {
            let Packet::Subscribe(subscribe) = packet else { panic!("{packet:?}") };
            assert_eq!(subscribe.packet_id, packet_id);
            assert_eq!(subscribe.subscription_id, subscription_id.filter(|_| v5));
            assert_eq!(subscribe.user_properties, if v5 { user_properties } else { UserProperties::NONE });
            assert_eq!(subscribe.filter_count, filters.len());
            let expected = filters.iter().map(|(filter, options)| {
                (*filter, if v5 { *options } else { SubscribeOptions::with_qos(options.qos) })
            });
            assert!(subscribe.filters().eq(expected));
        })
    }
}

prop_compose! {
    pub fn unsubscribe()(
        version in version(), packet_id in id(), filters in vec(filter(), 1..6), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let user_properties = user(&pairs, &mut scratch);
        let out = UnsubscribeOut { packet_id, filters: &filters, user_properties };
        sample(version, |bytes| out.encode(version, bytes), |packet| {
            let Packet::Unsubscribe(unsubscribe) = packet else { panic!("{packet:?}") };
            let v5 = version == Version::V5;
            assert_eq!(unsubscribe.packet_id, packet_id);
            assert_eq!(unsubscribe.user_properties, if v5 { user_properties } else { UserProperties::NONE });
            assert_eq!(unsubscribe.filter_count, filters.len());
            assert!(unsubscribe.filters().eq(filters.iter().copied()));
        })
    }
}

prop_compose! {
    pub fn disconnect()(
        version in version(), reason in reason(ReasonCode::is_disconnect), session_expiry in option::of(any::<u32>()),
        reason_string in option::of(text()), reference in option::of(text()), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        let disconnect = if version == Version::V5 {
            Disconnect {
                reason, session_expiry,
                reason_string: reason_string.as_deref(),
                server_reference: reference.as_deref(),
                user_properties: user(&pairs, &mut scratch),
            }
        } else {
            Disconnect::default()
        };
        equals(version, |bytes| disconnect.encode(version, bytes), &Packet::Disconnect(disconnect))
    }
}

prop_compose! {
    pub fn auth()(
        reason in reason(ReasonCode::is_auth), method in text(), data in option::of(bytes()),
        reason_string in option::of(text()), pairs in pairs(),
    ) -> Sample {
        let mut scratch = Vec::new();
        let auth = Auth {
            reason,
            authentication_method: Some(&method),
            authentication_data: data.as_deref(),
            reason_string: reason_string.as_deref(),
            user_properties: user(&pairs, &mut scratch),
        };
        equals(Version::V5, |bytes| auth.encode(bytes), &Packet::Auth(auth))
    }
}

pub fn ping() -> impl Strategy<Value = Sample> {
    (version(), any::<bool>()).prop_map(|(version, request)| {
        if request {
            equals(version, encode_pingreq, &Packet::PingReq)
        } else {
            equals(version, encode_pingresp, &Packet::PingResp)
        }
    })
}

pub fn acks() -> impl Strategy<Value = Sample> {
    prop_oneof![
        ack(PacketType::PubAck, ReasonCode::is_puback),
        ack(PacketType::PubRec, ReasonCode::is_puback),
        ack(PacketType::PubRel, ReasonCode::is_pubrel),
        ack(PacketType::PubComp, ReasonCode::is_pubrel),
    ]
}

/// A packet of any type and version.
pub fn any_packet() -> impl Strategy<Value = Sample> {
    prop_oneof![
        connect(),
        connack(),
        publish(),
        acks(),
        subscribe(),
        suback(),
        unsubscribe(),
        unsuback(),
        disconnect(),
        auth(),
        ping(),
    ]
}

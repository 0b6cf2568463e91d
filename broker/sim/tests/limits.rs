//! Maximum Packet Size to the octet, with and without a topic alias [MQTT-3.1.2-24].

use ringmq_core::settings::Settings;
use ringmq_sim::cluster::Cluster;
use ringmq_wire::{
    Connect, ConnectProperties, Cut, MAX_PACKET_LEN, Packet, PublishOut, QoS, SubscribeOptions, SubscribeOut,
    UserProperties, Version, cut, decode,
};

fn message(topic: &str, payload: &[u8]) -> Vec<u8> {
    let message = PublishOut {
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        topic: topic.as_bytes(),
        packet_id: 0,
        expiry: None,
        alias: None,
        subscription_ids: &[],
        properties: &[],
        payload,
    };
    let mut bytes = Vec::new();
    message.encode(Version::V5, &mut bytes);
    bytes
}

fn connect(client_id: &str, properties: ConnectProperties<'_>) -> Vec<u8> {
    let connect = Connect {
        version: Version::V5,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties,
    };
    let mut bytes = Vec::new();
    connect.encode(&mut bytes);
    bytes
}

/// What a client that takes `max` octets receives of two messages of `len` octets to one topic: sizes of packets.
fn received(max: u32, alias_maximum: u16, len: usize) -> Vec<usize> {
    let mut cluster = Cluster::new(1, &Settings::default(), 1);
    let (subscriber, publisher) = (cluster.open(0), cluster.open(0));
    let mut bytes = connect(
        "subscriber",
        ConnectProperties {
            maximum_packet_size: Some(max),
            topic_alias_maximum: alias_maximum,
            ..ConnectProperties::default()
        },
    );
    let filters = [("t", SubscribeOptions::with_qos(QoS::AtMostOnce))];
    let subscribe =
        SubscribeOut { packet_id: 1, subscription_id: None, filters: &filters, user_properties: UserProperties::NONE };
    subscribe.encode(Version::V5, &mut bytes);
    cluster.push(subscriber, &bytes);
    let bytes =
        [connect("publisher", ConnectProperties::default()), message("t", &vec![1; len]), message("t", &vec![2; len])]
            .concat();
    cluster.push(publisher, &bytes);
    let mut sizes = Vec::new();
    cluster.turn(|link, mut bytes| {
        while link == subscriber
            && let Ok(Cut::Frame(frame, used)) = cut(bytes, MAX_PACKET_LEN)
        {
            if let Ok(Packet::Publish(_)) = decode(frame, Version::V5) {
                sizes.push(used);
            }
            bytes = &bytes[used..];
        }
    });
    sizes
}

#[test]
fn no_packet_is_larger_than_the_client_takes() {
    for len in 110..130 {
        let plain = message("t", &vec![1; len]).len();
        for max in 110..140_u32 {
            for alias_maximum in [0, 1] {
                let sizes = received(max, alias_maximum, len);
                let context = format!("payload {len}, maximum {max}, aliases {alias_maximum}: {sizes:?}");
                assert!(sizes.iter().all(|size| *size <= max as usize), "{context}");
                let fits = plain <= max as usize;
                assert_eq!(sizes.len(), if fits { 2 } else { 0 }, "{context}");
            }
        }
    }
}

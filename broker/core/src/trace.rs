//! Tracing: what an operator wants to see of single clients, topics or addresses, packet by packet.
//!
//! A shard is given rules, and tells its [`Observer`](crate::observe::Observer) of every packet that one of them means:
//! those that come from clients, those that are sent to them in answer, and messages on their way to them. Without rules
//! a packet costs one test. Not seen: what is sent to a client neither in answer nor as a message, such as a DISCONNECT;
//! and topics that a packet names by an alias alone.
//!
//! Absent: wording, files and time limits, which are the affair of the process around the shard.

use crate::rewrite::real_filter;
use crate::topics::filter;
use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use ringmq_wire::{Frame, Packet, PacketType, Strictness, Version, decode_with};

/// Most rules at a time, as in EMQX.
pub const TRACE_RULES_MAX: usize = 30;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRule {
    /// What tells it from others, now and later.
    pub id: u32,
    /// What is to be seen.
    pub what: TraceWhat,
}

/// What is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceWhat {
    /// The client with this identifier.
    Client(Box<str>),
    /// Messages whose topics match this filter, and subscriptions to filters that it matches if their wildcards are taken
    /// for levels like any other, as in EMQX: those below it, and those that may overlap with it in a level.
    Topic(Box<str>),
    /// Clients that connect from this address.
    Address(IpAddr),
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It came from the client.
    Received,
    /// It is sent to the client.
    Sent,
}

/// A packet that was seen.
#[derive(Debug, Clone, Copy)]
pub struct Traced<'a> {
    /// The client, if it is known yet.
    pub client_id: &'a str,
    /// The other end of its connection.
    pub peer: SocketAddr,
    /// Index of the listener that accepted the connection.
    pub listener: u16,
    /// The version that the packet is of; that of a CONNECT is in the packet.
    pub version: Version,
    /// Where it goes.
    pub direction: Direction,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// The packet.
    pub frame: Frame<'a>,
}

impl TraceWhat {
    /// True if it means a client, whatever that does.
    pub(crate) fn means_client(&self, client_id: &str, peer: IpAddr) -> bool {
        match self {
            Self::Client(wanted) => **wanted == *client_id,
            Self::Address(wanted) => *wanted == peer,
            Self::Topic(_) => false,
        }
    }

    /// True if it means messages with a topic.
    pub(crate) fn means_topic(&self, topic: &str) -> bool {
        matches!(self, Self::Topic(wanted) if filter::matches(wanted, topic))
    }

    /// True if it means a packet for what it says.
    fn means_packet(&self, frame: Frame<'_>, version: Version) -> bool {
        let Self::Topic(wanted) = self else { return false };
        let subscribed = |filter: &str| filter::matches(wanted, real_filter(filter));
        match frame.packet_type() {
            // What is refused in the end is of interest as well.
            Some(PacketType::Publish | PacketType::Subscribe | PacketType::Unsubscribe) => {
                match decode_with(frame, version, Strictness::Lenient) {
                    Ok(Packet::Publish(publish)) => self.means_topic(publish.topic),
                    Ok(Packet::Subscribe(subscribe)) => subscribe.filters().any(|(filter, _)| subscribed(filter)),
                    Ok(Packet::Unsubscribe(unsubscribe)) => unsubscribe.filters().any(subscribed),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// True if it means what was seen.
    pub(crate) fn means(&self, traced: &Traced<'_>) -> bool {
        self.means_client(traced.client_id, traced.peer.ip()) || self.means_packet(traced.frame, traced.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use ringmq_wire::{Cut, PublishOut, QoS, SubscribeOptions, SubscribeOut, UnsubscribeOut, UserProperties, cut};

    fn means(what: &TraceWhat, client_id: &str, bytes: &[u8]) -> bool {
        let Ok(Cut::Frame(frame, _)) = cut(bytes, u32::MAX) else { panic!("a packet") };
        let (peer, version) = (SocketAddr::from(([127, 0, 0, 1], 5)), Version::V5);
        let direction = Direction::Received;
        what.means(&Traced { client_id, peer, listener: 0, version, direction, at_ms: 0, frame })
    }

    #[test]
    fn rules_mean_clients_addresses_and_topics() {
        let ping = [0xC0, 0];
        let client = TraceWhat::Client("a".into());
        assert!(means(&client, "a", &ping) && !means(&client, "b", &ping));
        assert!(means(&TraceWhat::Address(IpAddr::from([127, 0, 0, 1])), "b", &ping));
        assert!(!means(&TraceWhat::Address(IpAddr::from([127, 0, 0, 2])), "b", &ping));
        let topic = TraceWhat::Topic("t/+".into());
        let mut publish = Vec::new();
        let out = PublishOut {
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            topic: b"t/1",
            packet_id: 0,
            expiry: None,
            alias: None,
            subscription_ids: &[],
            properties: &[],
            payload: b"x",
        };
        out.encode(Version::V5, &mut publish);
        assert!(means(&topic, "b", &publish) && !means(&TraceWhat::Topic("t".into()), "b", &publish));
        assert!(!means(&topic, "b", &ping));
    }

    #[test]
    fn a_topic_means_subscriptions_to_all_filters_below_it() {
        let below =
            ["site/#", "site/+", "site/1", "site/+/x", "site", "$share/g/site/+", "$queue/site/+", "$exclusive/site/1"];
        let beside = ["#", "+/1", "sites/+", "$share/site/+"];
        for (filter, meant) in
            below.map(|filter| (filter, true)).into_iter().chain(beside.map(|filter| (filter, false)))
        {
            let (mut subscribe, mut unsubscribe) = (Vec::new(), Vec::new());
            let user_properties = UserProperties::NONE;
            let filters = &[(filter, SubscribeOptions::with_qos(QoS::AtMostOnce))];
            SubscribeOut { packet_id: 1, subscription_id: None, filters, user_properties }
                .encode(Version::V5, &mut subscribe);
            UnsubscribeOut { packet_id: 1, filters: &[filter], user_properties }.encode(Version::V5, &mut unsubscribe);
            let topic = TraceWhat::Topic("site/#".into());
            assert_eq!([&subscribe, &unsubscribe].map(|bytes| means(&topic, "b", bytes)), [meant; 2], "{filter}");
        }
        let level = TraceWhat::Topic("t/+".into());
        for (filter, meant) in [("t/+", true), ("t/2", true), ("t/#", true), ("t/+/x", false), ("u", false)] {
            let mut subscribe = Vec::new();
            let filters = &[(filter, SubscribeOptions::with_qos(QoS::AtMostOnce))];
            SubscribeOut { packet_id: 1, subscription_id: None, filters, user_properties: UserProperties::NONE }
                .encode(Version::V5, &mut subscribe);
            assert_eq!(means(&level, "b", &subscribe), meant, "{filter}");
        }
    }
}

//! Control packets (section 3): one file each, with its view, its decoder and its encoder.

use alloc::vec::Vec;

use crate::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, Frame, PacketType, Publish, SubAck, Subscribe, UnsubAck,
    Unsubscribe, Version,
};

pub(crate) mod ack;
pub(crate) mod auth;
pub(crate) mod connack;
pub(crate) mod connect;
pub(crate) mod disconnect;
pub(crate) mod message_properties;
pub(crate) mod publish;
pub(crate) mod publish_out;
pub(crate) mod publish_properties;
pub(crate) mod suback;
pub(crate) mod subscribe;
pub(crate) mod unsubscribe;
mod within;

/// Any control packet.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// Decodes any packet. CONNECT tells its own version, so `version` does not matter for it. For PUBLISH,
/// [`Publish::decode`] does the same with less to decide.
///
/// # Errors
/// Whatever makes the packet malformed or a protocol error by its own content.
pub fn decode(frame: Frame<'_>, version: Version) -> Result<Packet<'_>, DecodeError> {
    let Some(packet_type) = frame.packet_type() else {
        return Err(DecodeError::malformed("packet type 0"));
    };
    let body = frame.body;
    if packet_type == PacketType::Publish {
        return Publish::decode(frame.flags(), body, version).map(Packet::Publish);
    }
    frame.check_flags(packet_type, version)?;
    Ok(match packet_type {
        PacketType::Connect => Packet::Connect(Connect::decode(body)?),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(body, version)?),
        PacketType::Publish => Packet::Publish(Publish::decode(frame.flags(), body, version)?),
        PacketType::PubAck => Packet::PubAck(Ack::decode(packet_type, body, version)?),
        PacketType::PubRec => Packet::PubRec(Ack::decode(packet_type, body, version)?),
        PacketType::PubRel => Packet::PubRel(Ack::decode(packet_type, body, version)?),
        PacketType::PubComp => Packet::PubComp(Ack::decode(packet_type, body, version)?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(body, version)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(body, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(body, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(body, version)?),
        PacketType::PingReq => empty(body, Packet::PingReq)?,
        PacketType::PingResp => empty(body, Packet::PingResp)?,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(body, version)?),
        PacketType::Auth => Packet::Auth(Auth::decode(body, version)?),
    })
}

fn empty<'a>(body: &[u8], packet: Packet<'a>) -> Result<Packet<'a>, DecodeError> {
    if body.is_empty() { Ok(packet) } else { Err(DecodeError::malformed("octets in a packet that has no body")) }
}

/// Appends a PINGREQ (section 3.12).
#[inline]
pub fn encode_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::PingReq.first(), 0]);
}

/// Appends a PINGRESP (section 3.13).
#[inline]
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::PingResp.first(), 0]);
}

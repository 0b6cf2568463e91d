//! Control packets (section 3): one file each, with its view, its decoder and its encoder.

use alloc::vec::Vec;

use crate::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, Frame, PacketType, Publish, Strictness, SubAck, Subscribe,
    UnsubAck, Unsubscribe, Version,
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
    decode_with(frame, version, Strictness::Strict)
}

/// The same, as strictly as that. For PUBLISH there is [`Publish::decode_with`].
///
/// # Errors
/// As [`decode`], less what [`Strictness`] lets pass.
pub fn decode_with(frame: Frame<'_>, version: Version, strictness: Strictness) -> Result<Packet<'_>, DecodeError> {
    let Some(packet_type) = frame.packet_type() else {
        return Err(DecodeError::malformed("packet type 0"));
    };
    let body = frame.body;
    if packet_type == PacketType::Publish {
        return Publish::decode_with(frame.flags(), body, version, strictness).map(Packet::Publish);
    }
    if strictness.is_strict() {
        frame.check_flags(packet_type, version)?;
    }
    let ack = || Ack::decode_with(packet_type, body, version, strictness);
    Ok(match packet_type {
        PacketType::Connect => Packet::Connect(Connect::decode_with(body, strictness)?),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(body, version)?),
        PacketType::Publish => Packet::Publish(Publish::decode_with(frame.flags(), body, version, strictness)?),
        PacketType::PubAck => Packet::PubAck(ack()?),
        PacketType::PubRec => Packet::PubRec(ack()?),
        PacketType::PubRel => Packet::PubRel(ack()?),
        PacketType::PubComp => Packet::PubComp(ack()?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode_with(body, version, strictness)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode_with(body, version, strictness)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode_with(body, version, strictness)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode_with(body, version, strictness)?),
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

//! UNSUBSCRIBE (section 3.10).

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{DecodeError, PacketType, Strictness, UserProperties, Version, build};

/// A request to end subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Unsubscribe<'a> {
    /// Never 0 unless decoded leniently.
    pub packet_id: u16,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// How many filters there are, at least 1.
    pub filter_count: usize,
    payload: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    /// Decodes the body. The filters are well-formed strings and not empty; whether their wildcards stand where they
    /// may is for [`crate::validate_filter`].
    ///
    /// # Errors
    /// No filter at all [MQTT-3.10.3-2] [MQTT3-3.10.3-2], one that is empty [MQTT-4.7.3-1] or ill-formed
    /// [MQTT-3.10.3-1] [MQTT3-3.10.3-1], packet identifier 0 or properties that it may not have.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_with(body, version, Strictness::Strict)
    }

    pub(crate) fn decode_with(body: &'a [u8], version: Version, strictness: Strictness) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let packet_id = from.packet_id_with(strictness)?;
        let mut user_properties = UserProperties::NONE;
        if version.is_v5() {
            let block = from.properties()?;
            let mut walk = Walk::new(block, IdSet::of(&[id::USER_PROPERTY]));
            let mut users = 0;
            while walk.next()?.is_some() {
                users += 1;
            }
            user_properties = UserProperties::within(block, users);
        }
        let payload = from.rest();
        let mut filter_count = 0;
        while !from.is_empty() {
            if from.string_octets()?.is_empty() {
                return Err(DecodeError::protocol("empty topic filter"));
            }
            filter_count += 1;
        }
        if filter_count == 0 {
            return Err(DecodeError::protocol("UNSUBSCRIBE without a topic filter"));
        }
        Ok(Self { packet_id, user_properties, filter_count, payload })
    }

    /// The filters in their order.
    pub const fn filters(&self) -> UnsubFilters<'a> {
        UnsubFilters { from: Reader::new(self.payload) }
    }

    /// Appends the packet as it was decoded.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        encode(out, version, self.packet_id, &self.user_properties, |out| out.extend_from_slice(self.payload));
    }
}

impl PartialEq for Unsubscribe<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.user_properties == other.user_properties
            && self.payload == other.payload
    }
}

/// The iterator of [`Unsubscribe::filters`].
#[derive(Clone, Debug)]
pub struct UnsubFilters<'a> {
    from: Reader<'a>,
}

impl<'a> Iterator for UnsubFilters<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.from.string().ok()
    }
}

/// An UNSUBSCRIBE to send.
#[derive(Clone, Copy, Debug)]
pub struct UnsubscribeOut<'a> {
    /// Never 0.
    pub packet_id: u16,
    /// The filters, at least one.
    pub filters: &'a [&'a str],
    /// User properties; not sent in MQTT 3.
    pub user_properties: UserProperties<'a>,
}

impl UnsubscribeOut<'_> {
    /// Appends the packet.
    ///
    /// # Panics
    /// If a filter is longer than 65535 octets.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        encode(out, version, self.packet_id, &self.user_properties, |out| {
            for filter in self.filters {
                build::binary(out, filter.as_bytes());
            }
        });
    }
}

fn encode(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    user_properties: &UserProperties<'_>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    build::frame(out, PacketType::Unsubscribe.first(), |out| {
        build::u16(out, packet_id);
        if version.is_v5() {
            build::counted(out, |out| user_properties.encode(out));
        }
        payload(out);
    });
}

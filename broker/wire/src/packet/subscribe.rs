//! SUBSCRIBE (section 3.8).

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{DecodeError, PacketType, QoS, Strictness, UserProperties, Version, build};

/// When a subscription brings retained messages (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE; always so in MQTT 3.
    #[default]
    Send = 0,
    /// At a SUBSCRIBE for a subscription that did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// The options of one subscription (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscribeOptions {
    /// The highest QoS to deliver at.
    pub qos: QoS,
    /// Do not deliver what the subscriber itself published; false in MQTT 3.
    pub no_local: bool,
    /// Forward with the RETAIN flag as it was published; false in MQTT 3.
    pub retain_as_published: bool,
    /// When to send retained messages.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// The options of an MQTT 3 subscription.
    pub const fn with_qos(qos: QoS) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
    }

    /// Decodes the octet.
    ///
    /// # Errors
    /// Reserved bits [MQTT-3.8.3-5] [MQTT3-3.8.3-4], QoS 3, retain handling 3.
    pub fn decode(octet: u8, version: Version) -> Result<Self, DecodeError> {
        let reserved = if version.is_v5() { 0xC0 } else { 0xFC };
        if octet & reserved != 0 {
            return Err(DecodeError::malformed("reserved bits in subscription options"));
        }
        let qos = QoS::from_bits(octet & 3).ok_or_else(|| match version {
            Version::V5 => DecodeError::protocol("subscription with QoS 3"),
            Version::V31 | Version::V311 => DecodeError::malformed("subscription with QoS 3"),
        })?;
        let retain_handling = match octet >> 4 & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::protocol("retain handling 3")),
        };
        Ok(Self { qos, no_local: octet & 4 != 0, retain_as_published: octet & 8 != 0, retain_handling })
    }

    /// The octet; MQTT 3 has only the QoS.
    pub const fn encode(self, version: Version) -> u8 {
        if !version.is_v5() {
            return self.qos.bits();
        }
        self.qos.bits()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }
}

/// A request to subscribe.
#[derive(Clone, Copy, Debug)]
pub struct Subscribe<'a> {
    /// Never 0 unless decoded leniently.
    pub packet_id: u16,
    /// The identifier for all these subscriptions, never 0.
    pub subscription_id: Option<u32>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// How many filters there are, at least 1.
    pub filter_count: usize,
    version: Version,
    payload: &'a [u8],
}

impl<'a> Subscribe<'a> {
    /// Decodes the body. The filters are well-formed strings and not empty, their options valid; whether their
    /// wildcards stand where they may is for [`crate::validate_filter`], because that fails one subscription and not
    /// the packet.
    ///
    /// # Errors
    /// No filter at all [MQTT-3.8.3-2] [MQTT3-3.8.3-3], one that is empty [MQTT-4.7.3-1] or ill-formed [MQTT-3.8.3-1]
    /// [MQTT3-3.8.3-1], invalid options, packet identifier 0, subscription identifier 0 or properties that it may not
    /// have.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_with(body, version, Strictness::Strict)
    }

    pub(crate) fn decode_with(body: &'a [u8], version: Version, strictness: Strictness) -> Result<Self, DecodeError> {
        const ALLOWED: IdSet = IdSet::of(&[id::SUBSCRIPTION_ID, id::USER_PROPERTY]);
        let mut from = Reader::new(body);
        let packet_id = from.packet_id_with(strictness)?;
        let mut subscription_id = None;
        let mut user_properties = UserProperties::NONE;
        if version.is_v5() {
            let block = from.properties()?;
            let mut walk = Walk::new(block, ALLOWED);
            let mut users = 0;
            while let Some(property) = walk.next()? {
                match property.id {
                    id::SUBSCRIPTION_ID => {
                        subscription_id = Some(property.value.non_zero("subscription identifier 0")?);
                    }
                    _ => users += 1,
                }
            }
            user_properties = UserProperties::within(block, users);
        }
        let payload = from.rest();
        let mut filter_count = 0;
        while !from.is_empty() {
            if from.string_octets()?.is_empty() {
                return Err(DecodeError::protocol("empty topic filter"));
            }
            SubscribeOptions::decode(from.u8()?, version)?;
            filter_count += 1;
        }
        if filter_count == 0 {
            return Err(DecodeError::protocol("SUBSCRIBE without a topic filter"));
        }
        Ok(Self { packet_id, subscription_id, user_properties, filter_count, version, payload })
    }

    /// The filters and their options in their order.
    pub const fn filters(&self) -> Filters<'a> {
        Filters { from: Reader::new(self.payload), version: self.version }
    }

    /// Appends the packet as it was decoded.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(out, self.version, self.packet_id, self.subscription_id, &self.user_properties, |out| {
            out.extend_from_slice(self.payload);
        });
    }
}

impl PartialEq for Subscribe<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.subscription_id == other.subscription_id
            && self.user_properties == other.user_properties
            && self.payload == other.payload
    }
}

/// The iterator of [`Subscribe::filters`].
#[derive(Clone, Debug)]
pub struct Filters<'a> {
    from: Reader<'a>,
    version: Version,
}

impl<'a> Iterator for Filters<'a> {
    type Item = (&'a str, SubscribeOptions);

    fn next(&mut self) -> Option<(&'a str, SubscribeOptions)> {
        let filter = self.from.string().ok()?;
        let options = SubscribeOptions::decode(self.from.u8().ok()?, self.version).ok()?;
        Some((filter, options))
    }
}

/// A SUBSCRIBE to send.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeOut<'a> {
    /// Never 0.
    pub packet_id: u16,
    /// Never 0; not sent in MQTT 3.
    pub subscription_id: Option<u32>,
    /// The filters, at least one.
    pub filters: &'a [(&'a str, SubscribeOptions)],
    /// User properties; not sent in MQTT 3.
    pub user_properties: UserProperties<'a>,
}

impl SubscribeOut<'_> {
    /// Appends the packet.
    ///
    /// # Panics
    /// If a filter is longer than 65535 octets.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        encode(out, version, self.packet_id, self.subscription_id, &self.user_properties, |out| {
            for (filter, options) in self.filters {
                build::binary(out, filter.as_bytes());
                out.push(options.encode(version));
            }
        });
    }
}

fn encode(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    subscription_id: Option<u32>,
    user_properties: &UserProperties<'_>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    build::frame(out, PacketType::Subscribe.first(), |out| {
        build::u16(out, packet_id);
        if version.is_v5() {
            build::counted(out, |out| {
                build::property_varint(out, id::SUBSCRIPTION_ID, subscription_id);
                user_properties.encode(out);
            });
        }
        payload(out);
    });
}

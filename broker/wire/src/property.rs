//! Properties (section 2.2.2): identifiers, their types, and the one walk that every packet's decoder uses.
//! Which properties a packet may have, and what their values may be, is in that packet's file.

use alloc::vec::Vec;

use crate::{DecodeError, build, reader::Reader};

/// Property identifiers (table 2-4).
pub(crate) mod id {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// A set of property identifiers, one bit each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdSet(u64);

impl IdSet {
    pub(crate) const fn of(ids: &[u8]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < ids.len() {
            bits |= 1 << ids[at];
            at += 1;
        }
        Self(bits)
    }

    #[inline]
    const fn has(self, id: u8) -> bool {
        id < 64 && self.0 >> id & 1 == 1
    }
}

/// A property's value by its type on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    /// An octet, a two-octet, a four-octet or a variable byte integer.
    Int(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    /// Two strings, as octets: a decoder counts user properties and reads none.
    Pair(&'a [u8], &'a [u8]),
}

impl<'a> Value<'a> {
    /// An integer property's value; the walk has established the type by the identifier.
    pub(crate) const fn int(self) -> u32 {
        if let Self::Int(value) = self { value } else { 0 }
    }

    /// The value of a property of two octets.
    pub(crate) const fn int16(self) -> u16 {
        self.int() as u16
    }

    pub(crate) const fn text(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) const fn binary(self) -> Option<&'a [u8]> {
        if let Self::Binary(bytes) = self { Some(bytes) } else { None }
    }

    /// A property of one octet that is 0 or 1.
    pub(crate) fn flag(self) -> Result<bool, DecodeError> {
        match self.int() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::protocol("property is neither 0 nor 1")),
        }
    }

    /// An integer property that may not be zero.
    pub(crate) fn non_zero(self, what: &'static str) -> Result<u32, DecodeError> {
        match self.int() {
            0 => Err(DecodeError::protocol(what)),
            value => Ok(value),
        }
    }
}

#[inline]
fn value<'a>(property: u8, from: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    Ok(match property {
        id::PAYLOAD_FORMAT
        | id::REQUEST_PROBLEM_INFORMATION
        | id::REQUEST_RESPONSE_INFORMATION
        | id::MAXIMUM_QOS
        | id::RETAIN_AVAILABLE
        | id::WILDCARD_SUBSCRIPTION_AVAILABLE
        | id::SUBSCRIPTION_IDS_AVAILABLE
        | id::SHARED_SUBSCRIPTION_AVAILABLE => Value::Int(u32::from(from.u8()?)),
        id::SERVER_KEEP_ALIVE | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => {
            Value::Int(u32::from(from.u16()?))
        }
        id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET_SIZE => Value::Int(from.u32()?),
        id::SUBSCRIPTION_ID => Value::Int(from.varint()?),
        id::CONTENT_TYPE
        | id::RESPONSE_TOPIC
        | id::ASSIGNED_CLIENT_ID
        | id::AUTHENTICATION_METHOD
        | id::RESPONSE_INFORMATION
        | id::SERVER_REFERENCE
        | id::REASON_STRING => Value::Text(from.string()?),
        id::CORRELATION_DATA | id::AUTHENTICATION_DATA => Value::Binary(from.binary()?),
        // [MQTT-1.5.7-1]
        id::USER_PROPERTY => Value::Pair(from.string_octets()?, from.string_octets()?),
        _ => return Err(DecodeError::malformed("unknown property")),
    })
}

/// A property as found: its identifier, its value and the octets of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property<'a> {
    pub(crate) id: u8,
    pub(crate) value: Value<'a>,
    pub(crate) octets: &'a [u8],
}

/// A walk through a property block that refuses what the packet may not have and what comes twice.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    from: Reader<'a>,
    allowed: IdSet,
    repeatable: IdSet,
    seen: u64,
}

impl<'a> Walk<'a> {
    /// Walks `block`; only user properties may come more than once.
    pub(crate) const fn new(block: &'a [u8], allowed: IdSet) -> Self {
        Self::repeating(block, allowed, IdSet::of(&[id::USER_PROPERTY]))
    }

    /// Walks `block`; those in `repeatable` may come more than once.
    pub(crate) const fn repeating(block: &'a [u8], allowed: IdSet, repeatable: IdSet) -> Self {
        Self { from: Reader::new(block), allowed, repeatable, seen: 0 }
    }

    /// The next property, `None` after the last.
    ///
    /// # Errors
    /// One the packet may not have is malformed (section 2.2.2.2), one that comes twice is a protocol error.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        let start = self.from.rest();
        if start.is_empty() {
            return Ok(None);
        }
        // An identifier is a variable byte integer, but all that are defined take one octet.
        let id = self.from.varint()?;
        let id = u8::try_from(id).unwrap_or(u8::MAX);
        if !self.allowed.has(id) {
            return Err(DecodeError::malformed("property not allowed in this packet"));
        }
        if self.seen >> id & 1 == 1 && !self.repeatable.has(id) {
            return Err(DecodeError::protocol("property more than once"));
        }
        self.seen |= 1 << id;
        let value = value(id, &mut self.from)?;
        let octets = &start[..start.len() - self.from.rest().len()];
        Ok(Some(Property { id, value, octets }))
    }
}

const ANY: IdSet = IdSet(u64::MAX);

/// All properties of a block that a decoder has accepted, in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted<'a> {
    from: &'a [u8],
}

impl<'a> Accepted<'a> {
    pub(crate) const fn new(block: &'a [u8]) -> Self {
        Self { from: block }
    }
}

impl<'a> Iterator for Accepted<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        let property = Walk::repeating(self.from, ANY, ANY).next().ok().flatten()?;
        self.from = &self.from[property.octets.len()..];
        Some(property)
    }
}

/// The user properties of a packet: name and value pairs in their order (section 2.2.2.2); names may repeat.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserProperties<'a> {
    block: &'a [u8],
    count: u32,
}

impl<'a> UserProperties<'a> {
    /// No user properties.
    pub const NONE: UserProperties<'static> = UserProperties { block: &[], count: 0 };

    /// Those in an accepted block, of which there are `count`.
    pub(crate) const fn within(block: &'a [u8], count: u32) -> Self {
        Self { block, count }
    }

    /// Builds user properties from pairs, kept in `scratch`, which is cleared first.
    ///
    /// # Panics
    /// If a name or a value is longer than 65535 octets.
    pub fn from_pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>, scratch: &'a mut Vec<u8>) -> Self {
        scratch.clear();
        let mut count = 0;
        for (name, value) in pairs {
            push_user_property(scratch, name, value);
            count += 1;
        }
        Self { block: scratch, count }
    }

    /// How many there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The pairs in their order.
    #[inline]
    pub const fn iter(&self) -> UserPropertiesIter<'a> {
        UserPropertiesIter { properties: Accepted::new(self.block), left: self.count }
    }

    /// Appends them to a property block.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (name, value) in self {
            push_user_property(out, name, value);
        }
    }
}

/// Appends one user property to a property block.
fn push_user_property(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(id::USER_PROPERTY);
    build::binary(out, name.as_bytes());
    build::binary(out, value.as_bytes());
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl<'a> IntoIterator for &UserProperties<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = UserPropertiesIter<'a>;

    fn into_iter(self) -> UserPropertiesIter<'a> {
        self.iter()
    }
}

/// The iterator of [`UserProperties::iter`].
#[derive(Clone, Debug)]
pub struct UserPropertiesIter<'a> {
    properties: Accepted<'a>,
    left: u32,
}

impl<'a> Iterator for UserPropertiesIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.left = self.left.checked_sub(1)?;
        self.properties.find_map(|property| match property.value {
            Value::Pair(name, value) => {
                // Both were checked when the packet was decoded.
                Some((str::from_utf8(name).unwrap_or_default(), str::from_utf8(value).unwrap_or_default()))
            }
            _ => None,
        })
    }
}

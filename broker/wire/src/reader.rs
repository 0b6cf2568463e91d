//! A cursor over a packet's body: each read takes from the front or refuses the packet as malformed.

use crate::{DecodeError, Strictness, text, varint};

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// The refusal of a packet that ends too early.
#[cold]
const fn short() -> DecodeError {
    DecodeError::malformed("packet ends within a field")
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[octet]| octet)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let (value, octets) = varint::get(self.rest)?.ok_or_else(short)?;
        self.rest = &self.rest[octets..];
        Ok(value)
    }

    /// Binary Data (section 1.5.6): a two-octet length and as many octets.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }

    /// A UTF-8 Encoded String (section 1.5.4).
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        text::string(self.binary()?)
    }

    /// A UTF-8 Encoded String, checked but given as its octets.
    #[inline]
    pub(crate) fn string_octets(&mut self) -> Result<&'a [u8], DecodeError> {
        let octets = self.binary()?;
        text::check(octets)?;
        Ok(octets)
    }

    /// A packet identifier, which is never zero [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT3-2.3.1-1].
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(DecodeError::protocol("packet identifier 0")),
            id => Ok(id),
        }
    }

    /// The same, from a peer that may get away with zero.
    #[inline]
    pub(crate) fn packet_id_with(&mut self, strictness: Strictness) -> Result<u16, DecodeError> {
        if strictness.is_strict() { self.packet_id() } else { self.u16() }
    }

    /// A property block (section 2.2.2): its length and as many octets.
    #[inline]
    pub(crate) fn properties(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.varint()?;
        self.take(count as usize)
    }

    /// Refuses a packet that goes on after its last field.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::malformed("octets after the last field")) }
    }
}

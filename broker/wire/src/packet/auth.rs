//! AUTH (section 3.15), of MQTT 5 only.

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{DecodeError, PacketType, ReasonCode, UserProperties, Version, build};

/// A step of an extended authentication (section 4.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// `SUCCESS`, `CONTINUE_AUTHENTICATION` or `RE_AUTHENTICATE`.
    pub reason: ReasonCode,
    /// The authentication method; absent only in the form without a body.
    pub authentication_method: Option<&'a str>,
    /// What the method says.
    pub authentication_data: Option<&'a [u8]>,
    /// For people to read.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Auth<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// A version before 5, a reason code that is not of AUTH [MQTT-3.15.2-1], or a body without a method.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        const ALLOWED: IdSet =
            IdSet::of(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA, id::REASON_STRING, id::USER_PROPERTY]);
        if !version.is_v5() {
            return Err(DecodeError::malformed("AUTH before MQTT 5"));
        }
        let mut auth = Self::default();
        let mut from = Reader::new(body);
        if from.is_empty() {
            return Ok(auth);
        }
        auth.reason = ReasonCode(from.u8()?);
        if !auth.reason.is_auth() {
            return Err(DecodeError::protocol("reason code not allowed in AUTH"));
        }
        let block = from.properties()?;
        from.end()?;
        let mut users = 0;
        let mut walk = Walk::new(block, ALLOWED);
        while let Some(property) = walk.next()? {
            match property.id {
                id::AUTHENTICATION_METHOD => auth.authentication_method = property.value.text(),
                id::AUTHENTICATION_DATA => auth.authentication_data = property.value.binary(),
                id::REASON_STRING => auth.reason_string = property.value.text(),
                _ => users += 1,
            }
        }
        auth.user_properties = UserProperties::within(block, users);
        if auth.authentication_method.is_none() {
            return Err(DecodeError::protocol("AUTH without an authentication method"));
        }
        Ok(auth)
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        build::frame(out, PacketType::Auth.first(), |out| {
            if *self == Self::default() {
                return;
            }
            debug_assert!(self.reason.is_auth(), "{} in AUTH", self.reason);
            out.push(self.reason.0);
            build::counted(out, |out| {
                build::property_str(out, id::AUTHENTICATION_METHOD, self.authentication_method);
                build::property_binary(out, id::AUTHENTICATION_DATA, self.authentication_data);
                build::property_str(out, id::REASON_STRING, self.reason_string);
                self.user_properties.encode(out);
            });
        });
    }
}

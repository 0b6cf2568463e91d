//! DISCONNECT (section 3.14).

use alloc::vec::Vec;

use crate::property::{IdSet, Walk, id};
use crate::reader::Reader;
use crate::{DecodeError, PacketType, ReasonCode, UserProperties, Version, build};

/// The last packet on a connection. In MQTT 3 only a client sends it, and it has no body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; `NORMAL_DISCONNECTION` in MQTT 3. Whether this sender may use it is
    /// [`ReasonCode::is_disconnect_from_client`].
    pub reason: ReasonCode,
    /// Seconds that the session outlives the connection, if this changes it. Only a client may send it,
    /// which its receiver checks.
    pub session_expiry: Option<u32>,
    /// For people to read.
    pub reason_string: Option<&'a str>,
    /// Another server to use.
    pub server_reference: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A disconnection with a reason and no properties.
    pub const fn with_reason(reason: ReasonCode) -> Self {
        Self {
            reason,
            session_expiry: None,
            reason_string: None,
            server_reference: None,
            user_properties: UserProperties::NONE,
        }
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// A body before MQTT 5, a reason code that is not of DISCONNECT [MQTT-3.14.2-1].
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        const ALLOWED: IdSet =
            IdSet::of(&[id::SESSION_EXPIRY, id::REASON_STRING, id::SERVER_REFERENCE, id::USER_PROPERTY]);
        let mut disconnect = Self::default();
        let mut from = Reader::new(body);
        if from.is_empty() {
            return Ok(disconnect);
        }
        if !version.is_v5() {
            from.end()?;
        }
        disconnect.reason = ReasonCode(from.u8()?);
        if !disconnect.reason.is_disconnect() {
            return Err(DecodeError::protocol("reason code not allowed in DISCONNECT"));
        }
        if from.is_empty() {
            return Ok(disconnect);
        }
        let block = from.properties()?;
        from.end()?;
        let mut users = 0;
        let mut walk = Walk::new(block, ALLOWED);
        while let Some(property) = walk.next()? {
            match property.id {
                id::SESSION_EXPIRY => disconnect.session_expiry = Some(property.value.int()),
                id::REASON_STRING => disconnect.reason_string = property.value.text(),
                id::SERVER_REFERENCE => disconnect.server_reference = property.value.text(),
                _ => users += 1,
            }
        }
        disconnect.user_properties = UserProperties::within(block, users);
        Ok(disconnect)
    }

    /// Appends the packet in its shortest form; in MQTT 3 without a body.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        build::frame(out, PacketType::Disconnect.first(), |out| {
            if !version.is_v5() || *self == Self::default() {
                return;
            }
            debug_assert!(self.reason.is_disconnect(), "{} in DISCONNECT", self.reason);
            out.push(self.reason.0);
            if *self == Self::with_reason(self.reason) {
                return;
            }
            build::counted(out, |out| {
                build::property_u32(out, id::SESSION_EXPIRY, self.session_expiry);
                build::property_str(out, id::REASON_STRING, self.reason_string);
                build::property_str(out, id::SERVER_REFERENCE, self.server_reference);
                self.user_properties.encode(out);
            });
        });
    }
}

//! Why bytes were refused. What to do about it (answer, close, count) is the caller's decision.

use core::fmt;

use crate::ReasonCode;

/// A refusal to decode: the reason code to answer with and what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The code for the CONNACK or DISCONNECT that a version 5 peer may be sent (section 4.13).
    pub reason: ReasonCode,
    /// What was wrong, for a log.
    pub what: &'static str,
}

impl DecodeError {
    /// The bytes cannot be parsed: `0x81`.
    #[cold]
    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self { reason: ReasonCode::MALFORMED_PACKET, what }
    }

    /// The bytes parse but say what the protocol forbids: `0x82`.
    #[cold]
    pub(crate) const fn protocol(what: &'static str) -> Self {
        Self { reason: ReasonCode::PROTOCOL_ERROR, what }
    }

    /// Refused with a reason code of its own.
    #[cold]
    pub(crate) const fn with(reason: ReasonCode, what: &'static str) -> Self {
        Self { reason, what }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.what)
    }
}

impl core::error::Error for DecodeError {}

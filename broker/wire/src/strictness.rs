//! How far a peer is held to the letter of the standards.

/// What a decoder does with a packet that is wrong in a way that does no harm (EMQX's `mqtt.strict_mode`).
///
/// Never let pass, because names would not be text or a packet would have two meanings: ill-formed UTF-8 and U+0000,
/// reserved bits of CONNECT and of subscription options, will flags without a will, QoS 3, fields that are missing or too
/// many, and wildcards where they may not stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// It refuses what the standards forbid.
    #[default]
    Strict,
    /// It lets pass: flags of the fixed header other than those prescribed for the type, which it ignores; the duplicate
    /// flag at QoS 0, which it ignores; packet identifier 0; and before MQTT 5 a password without a user name.
    Lenient,
}

impl Strictness {
    /// Whether everything is enforced.
    pub(crate) const fn is_strict(self) -> bool {
        matches!(self, Self::Strict)
    }
}

//! What the index stores of one subscription.

/// Options of a subscription that matter at delivery (MQTT 5.0, section 3.8.3.1), in one byte. Retain Handling is not
/// among them: it matters only while subscribing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SubOptions(u8);

impl SubOptions {
    const QOS: u8 = 0b0011;
    const NO_LOCAL: u8 = 0b0100;
    const RETAIN_AS_PUBLISHED: u8 = 0b1000;

    /// Options with this maximum QoS; anything above 2 counts as 2.
    #[must_use]
    pub const fn new(qos: u8, no_local: bool, retain_as_published: bool) -> Self {
        let qos = if qos > 2 { 2 } else { qos };
        let no_local = if no_local { Self::NO_LOCAL } else { 0 };
        let retain_as_published = if retain_as_published { Self::RETAIN_AS_PUBLISHED } else { 0 };
        Self(qos | no_local | retain_as_published)
    }

    /// The options from [`SubOptions::bits`]; unknown bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self::new(bits & Self::QOS, bits & Self::NO_LOCAL != 0, bits & Self::RETAIN_AS_PUBLISHED != 0)
    }

    /// The same layout as the first four bits of the Subscription Options byte of SUBSCRIBE.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The granted maximum QoS: 0, 1 or 2.
    #[must_use]
    pub const fn qos(self) -> u8 {
        self.0 & Self::QOS
    }

    /// Messages of the subscribing connection itself are not delivered to it.
    #[must_use]
    pub const fn no_local(self) -> bool {
        self.0 & Self::NO_LOCAL != 0
    }

    /// The RETAIN flag is delivered as it was published.
    #[must_use]
    pub const fn retain_as_published(self) -> bool {
        self.0 & Self::RETAIN_AS_PUBLISHED != 0
    }
}

/// One subscriber of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subscriber {
    /// Number of the session's slot or of the shared group: unique within one filter.
    pub id: u32,
    /// The Subscription Identifier (MQTT 5.0, section 3.8.2.1.2); 0 if there is none.
    pub subscription_id: u32,
    /// How to deliver.
    pub options: SubOptions,
}

//! The properties of a message: those of PUBLISH (section 3.3.2.3) and of a will (section 3.1.3.2).

use alloc::vec::Vec;

use crate::property::{Accepted, IdSet, Walk, id};
use crate::{DecodeError, ReasonCode, UserProperties, text};

/// The properties of a message. In MQTT 3 there are none.
#[derive(Clone, Copy, Debug)]
pub struct PublishProperties<'a> {
    /// Stands for a topic name; never 0.
    pub topic_alias: Option<u16>,
    /// Seconds until the message is not worth delivering.
    pub message_expiry: Option<u32>,
    /// Whether the payload is said to be UTF-8 text; `None` if nothing is said.
    pub payload_format: Option<bool>,
    /// Where an answer is to be published; without wildcards.
    pub response_topic: Option<&'a str>,
    /// What an answer is to repeat.
    pub correlation_data: Option<&'a [u8]>,
    /// What the payload is.
    pub content_type: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// How many subscription identifiers there are; only a server may send any, which its receiver checks.
    pub subscription_id_count: u32,
    /// Whether `raw` holds nothing but what a server forwards.
    all_forwardable: bool,
    /// The whole property block, without its length, as it came.
    pub raw: &'a [u8],
}

const PUBLISH: IdSet = IdSet::of(&[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::TOPIC_ALIAS,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER_PROPERTY,
    id::SUBSCRIPTION_ID,
    id::CONTENT_TYPE,
]);

const WILL: IdSet = IdSet::of(&[
    id::WILL_DELAY,
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER_PROPERTY,
]);

impl<'a> PublishProperties<'a> {
    /// No properties.
    pub const NONE: PublishProperties<'static> = PublishProperties {
        topic_alias: None,
        message_expiry: None,
        payload_format: None,
        response_topic: None,
        correlation_data: None,
        content_type: None,
        user_properties: UserProperties::NONE,
        subscription_id_count: 0,
        all_forwardable: true,
        raw: &[],
    };

    /// Decodes a block without its length.
    ///
    /// # Errors
    /// A property that is not of PUBLISH, is there twice, or has a value that it may not have.
    #[inline]
    pub fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        if block.is_empty() {
            return Ok(Self::NONE);
        }
        let (properties, _) = Self::decode_some(block, PUBLISH)?;
        Ok(properties)
    }

    /// Decodes will properties: those of the message and the delay in seconds.
    pub(crate) fn decode_will(block: &'a [u8]) -> Result<(Self, u32), DecodeError> {
        Self::decode_some(block, WILL)
    }

    fn decode_some(block: &'a [u8], allowed: IdSet) -> Result<(Self, u32), DecodeError> {
        // A server sends one identifier for each matching subscription [MQTT-3.3.4-4].
        const REPEATABLE: IdSet = IdSet::of(&[id::USER_PROPERTY, id::SUBSCRIPTION_ID]);
        let mut properties = Self { raw: block, ..Self::NONE };
        let mut delay = 0;
        let mut users = 0;
        let mut walk = Walk::repeating(block, allowed, REPEATABLE);
        while let Some(property) = walk.next()? {
            properties.all_forwardable &= forwards(property.id);
            match property.id {
                id::PAYLOAD_FORMAT => properties.payload_format = Some(property.value.flag()?),
                id::MESSAGE_EXPIRY => properties.message_expiry = Some(property.value.int()),
                id::TOPIC_ALIAS => properties.topic_alias = Some(topic_alias(property.value.int16())?),
                // Strings: [MQTT-3.3.2-13] [MQTT-3.3.2-19].
                id::RESPONSE_TOPIC => properties.response_topic = Some(response_topic(property.value.text())?),
                id::CORRELATION_DATA => properties.correlation_data = property.value.binary(),
                id::CONTENT_TYPE => properties.content_type = property.value.text(),
                id::SUBSCRIPTION_ID => {
                    property.value.non_zero("subscription identifier 0")?;
                    properties.subscription_id_count += 1;
                }
                id::WILL_DELAY => delay = property.value.int(),
                _ => users += 1,
            }
        }
        properties.user_properties = UserProperties::within(block, users);
        Ok((properties, delay))
    }

    /// The subscription identifiers in their order.
    pub const fn subscription_ids(&self) -> SubscriptionIds<'a> {
        SubscriptionIds { properties: Accepted::new(self.raw), left: self.subscription_id_count }
    }

    /// The properties that a server forwards unaltered and in their order, as a block without its length: payload
    /// format [MQTT-3.3.2-4], response topic [MQTT-3.3.2-15], correlation data [MQTT-3.3.2-16], user properties
    /// [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.1.3-10] and content type [MQTT-3.3.2-20]. Left out are message expiry,
    /// topic alias, subscription identifiers and will delay. If there are none of those, which is usual, this is `raw`
    /// itself; otherwise `scratch` is cleared and filled.
    #[inline]
    pub fn forwardable<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        if self.all_forwardable { self.raw } else { self.forwardable_copy(scratch) }
    }

    /// Appends what a will has besides its delay, as it came.
    pub(crate) fn encode_without_delay(&self, out: &mut Vec<u8>) {
        for property in Accepted::new(self.raw).filter(|property| property.id != id::WILL_DELAY) {
            out.extend_from_slice(property.octets);
        }
    }

    fn forwardable_copy<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8] {
        scratch.clear();
        for property in Accepted::new(self.raw).filter(|property| forwards(property.id)) {
            scratch.extend_from_slice(property.octets);
        }
        scratch
    }
}

impl Default for PublishProperties<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialEq for PublishProperties<'_> {
    /// Equal in what they say: the order of different properties, and so `raw`, says nothing.
    fn eq(&self, other: &Self) -> bool {
        self.topic_alias == other.topic_alias
            && self.message_expiry == other.message_expiry
            && self.payload_format == other.payload_format
            && self.response_topic == other.response_topic
            && self.correlation_data == other.correlation_data
            && self.content_type == other.content_type
            && self.user_properties == other.user_properties
            && self.subscription_ids().eq(other.subscription_ids())
    }
}

const fn forwards(property: u8) -> bool {
    matches!(
        property,
        id::PAYLOAD_FORMAT | id::RESPONSE_TOPIC | id::CORRELATION_DATA | id::USER_PROPERTY | id::CONTENT_TYPE
    )
}

/// A topic alias is never 0 [MQTT-3.3.2-8].
fn topic_alias(alias: u16) -> Result<u16, DecodeError> {
    if alias == 0 {
        return Err(DecodeError::with(ReasonCode::TOPIC_ALIAS_INVALID, "topic alias 0"));
    }
    Ok(alias)
}

/// A response topic is a topic name: not empty [MQTT-4.7.3-1] and without wildcards [MQTT-3.3.2-14].
fn response_topic(topic: Option<&str>) -> Result<&str, DecodeError> {
    let topic = topic.unwrap_or_default();
    if topic.is_empty() {
        return Err(DecodeError::protocol("empty response topic"));
    }
    if text::has_wildcard(topic.as_bytes()) {
        return Err(DecodeError::with(ReasonCode::TOPIC_NAME_INVALID, "wildcard in a response topic"));
    }
    Ok(topic)
}

/// The iterator of [`PublishProperties::subscription_ids`].
#[derive(Clone, Debug)]
pub struct SubscriptionIds<'a> {
    properties: Accepted<'a>,
    left: u32,
}

impl Iterator for SubscriptionIds<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        self.properties.find(|property| property.id == id::SUBSCRIPTION_ID).map(|property| property.value.int())
    }
}

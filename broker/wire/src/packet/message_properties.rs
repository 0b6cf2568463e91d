//! What a publisher says of a message (section 3.3.2.3), to be encoded: the counterpart of `publish_properties`, which
//! is what a receiver reads. Topic alias and subscription identifiers are not the message's but the connection's.

use alloc::vec::Vec;

use crate::property::id;
use crate::{UserProperties, build};

/// The properties of a message to publish, or of a will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageProperties<'a> {
    /// Whether the payload is UTF-8 text; `None` says nothing.
    pub payload_format: Option<bool>,
    /// Where an answer is to be published: a topic name without wildcards [MQTT-3.3.2-14].
    pub response_topic: Option<&'a str>,
    /// What an answer is to repeat.
    pub correlation_data: Option<&'a [u8]>,
    /// What the payload is.
    pub content_type: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl MessageProperties<'_> {
    /// Appends the block without its length, as [`crate::PublishOut::properties`] takes it.
    ///
    /// # Panics
    /// If a string or binary data is longer than 65535 octets.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(text) = self.payload_format {
            build::property_u8(out, id::PAYLOAD_FORMAT, u8::from(text));
        }
        build::property_str(out, id::RESPONSE_TOPIC, self.response_topic);
        build::property_binary(out, id::CORRELATION_DATA, self.correlation_data);
        build::property_str(out, id::CONTENT_TYPE, self.content_type);
        self.user_properties.encode(out);
    }

    /// Appends the block with a message expiry in seconds, as a will has it: [`crate::PublishProperties::decode`] reads
    /// it back.
    ///
    /// # Panics
    /// As [`MessageProperties::encode`].
    pub fn encode_with_expiry(&self, expiry: Option<u32>, out: &mut Vec<u8>) {
        build::property_u32(out, id::MESSAGE_EXPIRY, expiry);
        self.encode(out);
    }
}

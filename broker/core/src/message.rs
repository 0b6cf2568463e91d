//! Application messages: as a borrowed view while they pass through, and owned where they have to wait.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use ringmq_wire::QoS;

/// The expiry time of a message that never expires, milliseconds.
pub const NEVER_MS: u64 = u64::MAX;

/// Who published a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// Identity of the publishing session, unique in the process for as long as the session lives.
    pub key: u64,
    /// Hash of its client identifier.
    pub client_hash: u32,
}

/// A message on its way, borrowed from wherever its bytes are.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// Who published it.
    pub publisher: Publisher,
    /// The quality of service it was published with.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires on the shards' common clock, milliseconds; [`NEVER_MS`] if it does not.
    pub expires_ms: u64,
    /// The topic name.
    pub topic: &'a str,
    /// The properties a server forwards unaltered, encoded, without their length.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl Publication<'_> {
    /// Whole seconds left, rounded up, of a message that has an expiry [MQTT-3.3.2-6].
    #[inline]
    #[must_use]
    pub fn expiry_s(&self, now_ms: u64) -> Option<u32> {
        (self.expires_ms != NEVER_MS)
            .then(|| u32::try_from(self.expires_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// True once its time is over [MQTT-3.3.2-5].
    #[inline]
    #[must_use]
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms <= now_ms
    }
}

/// A message that waits: in a queue, unacknowledged, retained, or as a will. Shared by all who wait for it on a shard.
#[derive(Debug)]
pub struct Message {
    publisher_key: u64,
    client_hash: u32,
    properties_len: u32,
    expires_ms: u64,
    /// When it was taken in, as [`Message::age_ms`] understands it; 0 if that does not matter.
    taken_in_ms: u32,
    /// Topic, properties, payload.
    bytes: Box<[u8]>,
    topic_len: u16,
    qos: QoS,
    retain: bool,
}

// There may be millions, and the two counts of an `Rc` make it a cache line.
const _: () = assert!(size_of::<Message>() == 48);

impl AsRef<[u8]> for Message {
    /// Topic, properties, payload.
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Message {
    /// A copy of a message that was passing through.
    ///
    /// # Panics
    /// Never: a topic is shorter than 2^16 bytes, and a packet's other parts than 2^32.
    #[must_use]
    pub fn keep(passing: &Publication<'_>) -> Rc<Self> {
        Self::keep_from(passing, 0)
    }

    /// The same, of a message that was taken in at `now_ms`.
    #[must_use]
    pub fn keep_at(passing: &Publication<'_>, now_ms: u64) -> Rc<Self> {
        Self::keep_from(passing, (now_ms as u32).max(1))
    }

    fn keep_from(passing: &Publication<'_>, taken_in_ms: u32) -> Rc<Self> {
        let mut bytes = Vec::with_capacity(passing.topic.len() + passing.properties.len() + passing.payload.len());
        bytes.extend_from_slice(passing.topic.as_bytes());
        bytes.extend_from_slice(passing.properties);
        bytes.extend_from_slice(passing.payload);
        Rc::new(Self {
            publisher_key: passing.publisher.key,
            client_hash: passing.publisher.client_hash,
            properties_len: u32::try_from(passing.properties.len()).expect("properties length"),
            expires_ms: passing.expires_ms,
            bytes: bytes.into_boxed_slice(),
            topic_len: u16::try_from(passing.topic.len()).expect("topic length"),
            qos: passing.qos,
            retain: passing.retain,
            taken_in_ms,
        })
    }

    /// The message as a view.
    ///
    /// # Panics
    /// Never: the topic was a string when it was kept.
    #[must_use]
    pub fn view(&self) -> Publication<'_> {
        let (topic, rest) = self.bytes.split_at(usize::from(self.topic_len));
        let (properties, payload) = rest.split_at(self.properties_len as usize);
        Publication {
            publisher: Publisher { key: self.publisher_key, client_hash: self.client_hash },
            qos: self.qos,
            retain: self.retain,
            expires_ms: self.expires_ms,
            topic: core::str::from_utf8(topic).expect("topic was kept as a string"),
            properties,
            payload,
        }
    }

    /// The topic's bytes.
    #[inline]
    #[must_use]
    pub fn topic_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.topic_len)]
    }

    /// Who published it: [`Publisher::key`].
    #[must_use]
    pub fn publisher_key(&self) -> u64 {
        self.publisher_key
    }

    /// Bytes of topic, properties and payload.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// How long ago it was taken in, milliseconds; `None` if that was not noted. After 49 days it begins anew.
    #[must_use]
    pub fn age_ms(&self, now_ms: u64) -> Option<u64> {
        (self.taken_in_ms != 0).then(|| u64::from((now_ms as u32).wrapping_sub(self.taken_in_ms)))
    }

    /// When it expires, milliseconds.
    #[must_use]
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

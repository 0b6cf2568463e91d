//! What is inside a message: headers and a body, and what can be checked with them.
//!
//! A payload begins with headers, in the order asked for, and ends with a body: a pattern, the bytes of a file, or a
//! text template. Without a wish it is the generator's own stamp and the pattern, with which everything can be checked;
//! see [`Payload::unmade`] for the others.
//!
//! | file | what it is about |
//! |---|---|
//! | `sizes` | how long payloads are |
//! | `headers`, `stamp` | what they begin with |
//! | `template` | bodies of text with placeholders |
//! | `maker` | making this run's messages, and reading them again |
//! | `strangers` | what can be known of messages that others sent |
//!
//! Absent: anything of MQTT.

mod headers;
mod maker;
mod sizes;
mod stamp;
mod strangers;
mod template;

pub use headers::{Headers, Kind, Layout};
pub use maker::{Clocks, Header, Maker, Rejected};
pub use sizes::Sizes;
pub use stamp::{
    COMPACT_HEADER_BYTES, COMPACT_PUBLISHERS_MAX, FULL_HEADER_BYTES, Form, SIGNED_HEADER_BYTES, UNMARKED, clock_mark,
};
pub use strangers::{Age, Seen, Strangers};
pub use template::Template;

use crate::checks::Unmade;
use std::sync::Arc;

/// Largest payload the generator sends, bytes; MQTT's own bound on a whole packet is 268,435,455.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What payloads are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What they begin with.
    pub headers: Headers,
    /// What follows.
    pub body: Body,
}

/// What follows the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A fixed pattern that shows damage. The sizes are those of whole payloads.
    Pattern(Sizes),
    /// The bytes of a file.
    File(Arc<[u8]>),
    /// A text.
    Template(Template),
}

impl Payload {
    /// The generator's stamp and a pattern, so many bytes in all.
    #[must_use]
    pub fn stamped(sizes: Sizes) -> Self {
        Self { headers: Headers::stamp(), body: Body::Pattern(sizes) }
    }

    /// Most bytes of a payload.
    #[must_use]
    pub fn largest(&self) -> usize {
        match &self.body {
            Body::Pattern(sizes) => sizes.largest(),
            Body::File(bytes) => self.layout().bytes + bytes.len(),
            Body::Template(template) => self.layout().bytes + template.largest(),
        }
    }

    /// What the body is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.body {
            Body::Pattern(_) => "pattern",
            Body::File(_) => "file",
            Body::Template(_) => "template",
        }
    }

    /// Sizes of the pattern, if there are several, as they were asked for.
    #[must_use]
    pub fn sizes(&self) -> Option<String> {
        match &self.body {
            Body::Pattern(Sizes::One(_)) | Body::File(_) | Body::Template(_) => None,
            Body::Pattern(sizes) => Some(sizes.to_string()),
        }
    }

    /// The form that the stamp has in all payloads: the longest that the smallest has room for.
    fn form(&self) -> Form {
        let Body::Pattern(sizes) = &self.body else { return Form::Signed };
        let room = sizes.smallest().saturating_sub(self.headers.bytes_besides_stamp());
        Form::fitting(room).unwrap_or(Form::Compact)
    }

    /// Where the headers are.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.headers.layout(self.form())
    }

    /// Most publishers that can be told apart, if that is bounded.
    #[must_use]
    pub fn publishers_max(&self) -> Option<u32> {
        (self.layout().stamp?.1 == Form::Compact).then_some(COMPACT_PUBLISHERS_MAX)
    }

    /// Whether messages have numbers.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.headers.has(Kind::Stamp) || self.headers.has(Kind::Cnt64)
    }

    /// Whether it is known of a message when it was due.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.headers.has(Kind::Stamp) || self.headers.has(Kind::Ts)
    }

    /// Which checks cannot be made with such payloads.
    #[must_use]
    pub fn unmade(&self) -> Unmade {
        let numbered = self.is_numbered();
        Unmade {
            loss: false,
            loss_is_counted: !numbered,
            duplicates: !numbered,
            order: !numbered,
            // A template is not the same twice.
            damage: matches!(self.body, Body::Template(_)),
            latency: !self.is_timed(),
        }
    }

    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// A text for the user.
    pub fn check(&self) -> Result<(), String> {
        if let Body::Pattern(sizes) = &self.body
            && sizes.smallest() < self.layout().bytes
        {
            return Err(format!(
                "a size of {} bytes must be {} at least: the header{} {} for the checks",
                sizes.smallest(),
                self.layout().bytes,
                if self.headers.names().len() > 1 { "s" } else { "" },
                self.headers
            ));
        }
        if self.largest() > PAYLOAD_BYTES_MAX || self.largest() == 0 {
            return Err(format!("a payload has 1 to {PAYLOAD_BYTES_MAX} bytes, headers included"));
        }
        Ok(())
    }
}

/// Numbers whose bits look like chance, and are the same for the same message.
pub(crate) fn mix(run: u32, publisher: u32, sequence: u64) -> u64 {
    // The finaliser of SplitMix64, over the three put together.
    let mut bits =
        (u64::from(run) << 32 | u64::from(publisher)).wrapping_add(sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

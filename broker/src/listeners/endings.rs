//! How the connections that came by a listener have ended, by reason (EMQX: `emqx_client_disconnected_reason`).
//!
//! Counted on the shards' threads without a lock, each time a connection ends; read by whoever asks.

use crate::sys::reason_name;
use ringmq_core::observe::EndReason;
use ringmq_wire::ReasonCode;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reasons that have a word instead of a reason code. One that is missing here counts as the last.
const WORDS: [&str; 8] = [
    "normal",
    "tcp_closed",
    "keepalive_timeout",
    "send_timeout",
    "takenover",
    "kicked",
    "message_queue_too_long",
    "other",
];

/// Reason codes are below this.
const CODES: usize = 256;

/// Counts by reason: words first, then reason codes. Made when the first connection ends: listeners come and go.
#[derive(Default)]
pub(crate) struct Endings(OnceLock<Box<[AtomicU64]>>);

impl Endings {
    /// Counts a connection that has ended.
    pub(crate) fn count(&self, reason: EndReason) {
        let counts = self.0.get_or_init(|| (0..WORDS.len() + CODES).map(|_| AtomicU64::new(0)).collect());
        let place = match reason {
            EndReason::Named(word) => WORDS.iter().position(|known| *known == word).unwrap_or(WORDS.len() - 1),
            EndReason::Code(ReasonCode(code)) | EndReason::Breach(ReasonCode(code)) => WORDS.len() + usize::from(code),
        };
        counts[place].fetch_add(1, Ordering::Relaxed);
    }

    /// The reasons that there were, as EMQX names them, and how often.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        let places = self.0.get().into_iter().flatten().enumerate();
        places.map(|(place, count)| (place, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0).map(
            |(place, count)| {
                let name = match WORDS.get(place) {
                    Some(word) => (*word).to_owned(),
                    None => reason_name(EndReason::Code(ReasonCode(
                        u8::try_from(place - WORDS.len()).unwrap_or_else(|_| unreachable!("a reason code")),
                    ))),
                };
                (name, count)
            },
        )
    }
}

impl fmt::Debug for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_under_their_names() {
        let endings = Endings::default();
        assert_eq!(endings.counts().count(), 0);
        for reason in [
            EndReason::Named("kicked"),
            EndReason::Named("kicked"),
            EndReason::Named("unheard_of"),
            EndReason::Code(ReasonCode::PROTOCOL_ERROR),
            EndReason::Breach(ReasonCode::PROTOCOL_ERROR),
            EndReason::Code(ReasonCode(0xFF)),
        ] {
            endings.count(reason);
        }
        let counts: Vec<(String, u64)> = endings.counts().collect();
        let told: Vec<(&str, u64)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(told, [("kicked", 2), ("other", 1), ("protocol_error", 2), ("reserved", 1)]);
    }
}

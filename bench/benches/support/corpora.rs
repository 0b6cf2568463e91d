//! Three kinds of topic trees, of any size: what brokers are asked to hold.
//!
//! The number counts subscriptions. Everything follows from the number, so that runs are alike. Absent: payloads, and
//! how often which topic is published to; topics are taken in turn.

/// A kind of topic tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corpus {
    /// Sites with lines of sensors, watched by exact filters and by three kinds of wildcards.
    Telemetry,
    /// A topic of its own for every device, exact.
    Devices,
    /// Rooms with members who all have the same filter, and a moderator who sees all of a room.
    Chat,
}

/// Lines of a site in [`Corpus::Telemetry`].
const LINES: u32 = 40;
/// Members of a room in [`Corpus::Chat`], the moderator included.
const MEMBERS: u32 = 20;
/// Steps between topics taken in turn: a prime, so that neighbours are far from each other in memory.
const STRIDE: u32 = 7919;

impl Corpus {
    /// The filter of a subscription.
    pub(crate) fn filter(self, number: u32) -> String {
        match self {
            Self::Telemetry => {
                let (site, line) = (number / LINES, number % LINES);
                match number % 4 {
                    0 => format!("site/{site:05}/line/{line:02}/temperature"),
                    1 => format!("site/{site:05}/line/{line:02}/+"),
                    2 => format!("site/{site:05}/+/{line:02}/temperature"),
                    _ => format!("site/{site:05}/line/{line:02}/#"),
                }
            }
            Self::Devices => format!("device/{number:07}/commands"),
            Self::Chat if number.is_multiple_of(MEMBERS) => format!("room/{:06}/#", number / MEMBERS),
            Self::Chat => format!("room/{:06}/messages", number / MEMBERS),
        }
    }

    /// A topic that somebody among `subscriptions` has subscribed to; `turn` counts from 0 for ever.
    pub(crate) fn topic(self, turn: u32, subscriptions: u32) -> String {
        let number = turn.wrapping_mul(STRIDE) % subscriptions;
        match self {
            Self::Telemetry => format!("site/{:05}/line/{:02}/temperature", number / LINES, number % LINES),
            Self::Devices => self.filter(number),
            Self::Chat => format!("room/{:06}/messages", number / MEMBERS),
        }
    }
}

//! `p2p`: pairs of one publisher and one subscriber, each pair with a topic of its own and on one thread.

use super::{Scenario, Sources};

/// Pairs.
#[derive(Debug, Clone)]
pub struct P2p {
    /// How many.
    pub pairs: u32,
}

impl Scenario for P2p {
    fn name(&self) -> &str {
        "p2p"
    }

    fn publishers(&self) -> u32 {
        self.pairs
    }

    fn subscribers(&self) -> u32 {
        self.pairs
    }

    fn topic(&self, publisher: u32) -> String {
        format!("p2p/{publisher}")
    }

    fn filters(&self, subscriber: u32) -> Vec<String> {
        vec![format!("p2p/{subscriber}")]
    }

    fn sources(&self, subscriber: u32) -> Sources {
        Sources::Progression { first: subscriber, step: 1, count: 1 }
    }

    fn copies(&self, _publisher: u32) -> u32 {
        1
    }
}

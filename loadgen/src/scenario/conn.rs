//! `conn`: clients that connect, perhaps subscribe, and stay. Absent: messages.

use super::{Scenario, Sources};

/// Idle clients.
#[derive(Debug, Clone)]
pub struct Conn {
    /// How many.
    pub clients: u32,
    /// Whether each subscribes to a topic of its own.
    pub subscribe: bool,
}

impl Scenario for Conn {
    fn name(&self) -> &str {
        "conn"
    }

    fn publishers(&self) -> u32 {
        0
    }

    fn subscribers(&self) -> u32 {
        self.clients
    }

    fn topic(&self, publisher: u32) -> String {
        unreachable!("conn has no publisher {publisher}")
    }

    fn filters(&self, subscriber: u32) -> Vec<String> {
        if self.subscribe { vec![format!("conn/{subscriber}")] } else { Vec::new() }
    }

    fn sources(&self, _subscriber: u32) -> Sources {
        Sources::NONE
    }

    fn copies(&self, _publisher: u32) -> u32 {
        0
    }
}

//! Bytes staged for other shards.
//!
//! A lane holds what the ring to that shard has not taken yet. Drivers move a whole lane into the ring at the end of a
//! turn; when the ring is full the lane simply grows, and [`MeshOut::backlog`] is how the machine notices and stops
//! reading from the connections that feed it. Nothing here ever blocks.

use super::ShardId;
use alloc::vec::Vec;

/// The two queues between a pair of shards. Each is first-in first-out; there is no order between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Publishes, and whatever must stay in order with them.
    Data,
    /// Small requests and answers that must not wait behind data.
    Control,
}

/// Lanes to every shard of the process.
#[derive(Debug, Default)]
pub struct MeshOut {
    lanes: Vec<[Vec<u8>; 2]>,
}

impl MeshOut {
    /// Empty lanes to `shards` shards (the one to oneself stays unused).
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let mut lanes = Vec::new();
        lanes.resize_with(shards, Default::default);
        Self { lanes }
    }

    /// Number of shards, this one included.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.lanes.len()
    }

    /// The buffer to append records to.
    pub fn lane(&mut self, to: ShardId, lane: Lane) -> &mut Vec<u8> {
        &mut self.lanes[usize::from(to.0)][lane as usize]
    }

    /// Bytes staged for `to` on its data lane that the ring has not taken.
    #[must_use]
    pub fn backlog(&self, to: ShardId) -> usize {
        self.lanes[usize::from(to.0)][Lane::Data as usize].len()
    }
}

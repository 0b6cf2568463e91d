//! The counts that come of the checks.
//!
//! Absent: what they mean for the run; that is the report's decision.

/// Counts of [`Verdict`]s, and at the end of a run of what never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Messages received for the first time.
    pub delivered: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages that did not come and did not have to: sent while the subscriber was away by the scenario's doing.
    #[serde(default)]
    pub missed: u64,
    /// Messages that never came to subscribers that read slowly and may lose messages.
    #[serde(default)]
    pub dropped: u64,
    /// Messages received again.
    pub duplicates: u64,
    /// Messages received after a later one of the same publisher.
    pub reordered: u64,
    /// Messages with a damaged payload or an impossible sequence number.
    pub damaged: u64,
    /// Messages of other runs or programs; ignored otherwise.
    pub foreign: u64,
}

impl Tally {
    /// Adds another thread's counts.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.missed += other.missed;
        self.dropped += other.dropped;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.foreign += other.foreign;
    }
}

//! What a shard has to know about the other shards' subscriptions.
//!
//! The real table is shared by all shards and lives in the mesh; the simulator has a broadcasting one as its oracle.
//! A set bit may be wrong, a clear one never is.

/// One shard's handle on the process-wide interest table.
pub trait Interest {
    /// This shard has gained a first subscriber to `filter`. Visible to every shard's [`Interest::lookup`] on return,
    /// so that a SUBACK sent afterwards keeps its promise.
    fn announce(&mut self, filter: &str);

    /// This shard has lost its last subscriber to `filter`.
    fn withdraw(&mut self, filter: &str);

    /// One bit for every shard that may have a subscriber whose filter matches `topic`, this shard included.
    fn lookup(&mut self, topic: &str) -> u64;

    /// Called now and then, at least once a second: takes part in the table's growth.
    fn turn(&mut self);
}

//! A shard's counters: plain integers on its own thread, copied to shared atomics now and then.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$meaning:meta])* $name:ident,)*) => {
        /// What a shard did since it started. Counts, unless said otherwise.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$meaning])* pub $name: u64,)*
        }

        impl Stats {
            /// Names and values, in a fixed order, for metrics and reports.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// Adds another shard's counters to these.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }

        /// The copy other threads may read.
        #[derive(Debug, Default)]
        pub(crate) struct SharedStats {
            $($name: AtomicU64,)*
        }

        impl SharedStats {
            /// Makes `stats` visible. Relaxed: a reader may see counters of two neighbouring publications mixed.
            pub(crate) fn publish(&self, stats: &Stats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            /// The latest publication.
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Turns of the event loop.
    turns,
    /// System calls of the event loop itself: `io_uring_enter`, or `epoll_wait`.
    enters,
    /// All system calls the driver made, those of the event loop included.
    syscalls,
    /// Times the shard went to sleep in the kernel.
    sleeps,
    /// Receives that brought bytes.
    receives,
    /// Bytes received.
    received_bytes,
    /// Sends that took bytes.
    sends,
    /// Bytes sent.
    sent_bytes,
    /// Sends that took fewer bytes than were offered.
    short_sends,
    /// Connections accepted.
    accepted,
    /// Failures to accept: out of descriptors or memory.
    accept_failures,
    /// Connections accepted only to be closed at once, because descriptors had run out.
    refused,
    /// Connections closed when they were accepted, because an access rule keeps their address out.
    denied,
    /// Connections closed when they were accepted, because their listener had as many as it may have.
    turned_away,
    /// Times a listener stopped accepting for a while, because connections came faster than they may.
    accept_pauses,
    /// Outgoing connections established.
    connected,
    /// Outgoing connections that failed.
    connect_failures,
    /// Connections that have ended, handed-over ones not included.
    closed,
    /// Connections ended because the peer did not read its last bytes in time.
    flush_timeouts,
    /// Connections given to other shards.
    handed_off,
    /// Connections taken over from other shards.
    handed_over,
    /// Connections open at the moment, those about to end included. Not a count of events.
    connections,
    /// Receives that found no buffer and were repeated.
    enobufs,
    /// Batches sent to other shards.
    mesh_sent,
    /// Bytes of these.
    mesh_sent_bytes,
    /// Batches received from other shards.
    mesh_received,
    /// Bytes of these.
    mesh_received_bytes,
    /// Times a ring to another shard was full.
    mesh_full,
    /// Sleeping shards woken.
    wakes_sent,
    /// Times this shard was woken by another thread.
    wakes_received,
}

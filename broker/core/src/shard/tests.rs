//! The shard from outside: packets in, packets out.
